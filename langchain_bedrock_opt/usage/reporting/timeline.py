"""Cost over time, stacked by model: as many columns as a small picture can show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final

from langchain_bedrock_opt.contracts import UsageRecord

OTHER: Final = "other"
"""The group of what is beyond the first ones."""

_HOURS: Final = (1 / 60, 1 / 12, 1 / 4, 1, 6, 24, 7 * 24, 28 * 24, 364 * 24)
_STEPS: Final = tuple(timedelta(hours=hours) for hours in _HOURS)
_MAX_COLUMNS: Final = 36
_EPOCH: Final = datetime(1970, 1, 5, tzinfo=timezone.utc)  # a Monday, on which weeks begin


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Cost by time and model.

    Attributes:
        starts: When each column begins, in UTC, without gaps.
        step: How long a column is.
        cost_pico_usd: The cost in each column, by model, the dearest first.
    """

    starts: tuple[datetime, ...] = ()
    step: timedelta = _STEPS[0]
    cost_pico_usd: Mapping[str, tuple[int, ...]]

    @property
    def columns(self) -> list[int]:
        """The cost of all models in each column."""
        return [sum(column) for column in zip(*self.cost_pico_usd.values(), strict=True)]


def timeline(records: Iterable[UsageRecord], models: Sequence[str]) -> Timeline:
    """Cost over time.

    Args:
        records: Any records; those without a price add nothing.
        models: The models that are told apart; all others are one.

    Example:
        >>> timeline([], ["m"]).starts
        ()
    """
    records = list(records)
    if not records:
        return Timeline(cost_pico_usd={})
    times = [record.started_at for record in records]
    step, first, count = _columns(min(times), max(times))
    costs = {model: [0] * count for model in (*models, OTHER)}
    for record in records:
        column = (record.started_at - first) // step
        costs[model_of(record, models)][column] += record.cost_pico_usd or 0
    return Timeline(
        starts=tuple(first + step * number for number in range(count)),
        step=step,
        cost_pico_usd={model: tuple(costs[model]) for model in costs if any(costs[model])},
    )


def model_of(record: UsageRecord, models: Sequence[str] | None = None) -> str:
    """What a report calls a record's model: the id that an ARN stands for, if that is known."""
    model = record.resolved_id or record.model_id
    return model if models is None or model in models else OTHER


def _columns(first: datetime, last: datetime) -> tuple[timedelta, datetime, int]:
    """The finest step that gives few enough columns, the first one's start, and how many."""
    for step in _STEPS:
        start = _EPOCH + (first - _EPOCH) // step * step
        count = (last - start) // step + 1
        if count <= _MAX_COLUMNS:
            break
    return step, start, count
