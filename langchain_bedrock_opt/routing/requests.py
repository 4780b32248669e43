"""From runs to requests: what was asked several times over is one request with one answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from langchain_bedrock_opt.contracts import UsageRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A routed request.

    Attributes:
        answer: The run whose answer, or error, the caller was given.
        attempts: The runs that it stands in for, and those that failed to stand in for it.
    """

    answer: UsageRecord
    attempts: tuple[UsageRecord, ...] = ()

    @property
    def runs(self) -> tuple[UsageRecord, ...]:
        """All of its runs."""
        return (self.answer, *self.attempts)


def requests_of(records: Iterable[UsageRecord]) -> list[Request]:
    """Put the runs of each request together, by what their routes say they replace.

    Args:
        records: Usage records of routed calls.
    """
    records = list(records)
    places = {key: place for place, record in enumerate(records) for key in _keys(record)}
    following: dict[int, int] = {}
    for place, record in enumerate(records):
        replaced = None if record.route is None else record.route.replaces
        if replaced in places and places[replaced] != place:
            following[places[replaced]] = place
    followers = set(following.values())
    starts = [place for place in range(len(records)) if place not in followers]
    return [_request(records, following, start) for start in starts]


def _keys(record: UsageRecord) -> tuple[str, ...]:
    """What a run may be named by: with structured output the run around it is named."""
    parent = record.parent_run_id
    return (record.run_id,) if parent is None else (record.run_id, parent)


def _request(records: Sequence[UsageRecord], following: dict[int, int], start: int) -> Request:
    chain = [start]
    while (after := following.pop(chain[-1], None)) is not None:
        chain.append(after)
    runs = [records[place] for place in chain]
    # Where an escalation could not be answered, the first answer was given after all.
    answer = next((run for run in reversed(runs) if run.status != "error"), runs[-1])
    return Request(answer=answer, attempts=tuple(run for run in runs if run is not answer))
