"""How a stage's inputs have ended, read from S3: one `Outcome` for each place, always.

Answers of jobs, answers that came on demand and notes are lanes that rise by place and are
merged, so memory does not grow with the run: one shard's index is held at a time. A record that
was sent more than once has its last attempt's outcome, since only failed ones are sent again.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby, islice
from typing import Any, Final

from langchain_bedrock_opt.batching.jobs.collecting import Answer, Collector
from langchain_bedrock_opt.batching.jobs.documents import write_document
from langchain_bedrock_opt.batching.jobs.names import job_id
from langchain_bedrock_opt.batching.parts import Order, Outcome, record_id
from langchain_bedrock_opt.batching.records.outcomes import record_error
from langchain_bedrock_opt.batching.run.context import Context
from langchain_bedrock_opt.batching.run.failures import lost_output, missing_error
from langchain_bedrock_opt.batching.run.notes import Note, error_from_dict
from langchain_bedrock_opt.batching.run.output_watch import check_output, has_output
from langchain_bedrock_opt.batching.run.same import SameAnswers
from langchain_bedrock_opt.batching.run.stage import Part, Stage
from langchain_bedrock_opt.batching.run.state import Plan, lanes
from langchain_bedrock_opt.batching.run.tally import Tally
from langchain_bedrock_opt.errors import BatchStorageError

Ending = Outcome | Note
"""How an input has ended in a stage; a note if it had failed in an earlier one."""

_READ_AHEAD: Final = 16
# More than there are attempts.
_GIVEN: Final = 255


class StageReader:
    """Reads a stage whose shards have all ended.

    Args:
        context: The run.
        stage: The stage.
        tally: Counts what is read.
        before: Leave out what was sent a `before`th time, or later.
    """

    def __init__(
        self, context: Context, stage: Stage, tally: Tally, *, before: int | None = None
    ) -> None:
        self._context = context
        self._stage = stage
        self._tally = tally
        self._before = before

    def endings(self, order: Order) -> Iterator[Ending]:
        """One for each input of the stage.

        Args:
            order: By place, or as they come.

        Raises:
            BatchStorageError: S3 failed or lost something, or the disk is full.
        """
        parts = [
            part
            for part in self._stage.parts()
            if self._before is None or part.shard.attempt < self._before
        ]
        plan = self._stage.plan()
        has_same = plan is None or plan.same > 0
        self._tally.begin(parts)
        with SameAnswers(self._stage.notes() if has_same else ()) as same:
            if order == "input":
                endings = self._by_place(parts, same)
            else:
                endings = self._as_they_come(parts, same)
            for ending in self._each_once(endings, plan, order):
                self._tally.add(ending)
                yield ending
        self._tally.is_complete = True

    def _each_once(
        self, endings: Iterator[Ending], plan: Plan | None, order: Order
    ) -> Iterator[Ending]:
        """The same endings. An input's place is its answer's place in a list: none may be gone."""
        count = 0
        for ending in endings:
            if plan is not None and order == "input" and ending.place != count:
                raise self._gone(count)
            yield ending
            count += 1
        if plan is not None and count != plan.inputs:
            raise self._gone(min(count, plan.inputs) if order == "input" else None)

    def _gone(self, place: int | None) -> BatchStorageError:
        what = "Some inputs are" if place is None else f"Input {place} is"
        return BatchStorageError(
            f"{what} in no shard and no note of {self._stage.folder.uri}, or in several: was an "
            "object of it deleted or written over? Restore it from a version of the bucket's, or "
            "begin another run."
        )

    def _by_place(self, parts: list[Part], same: SameAnswers) -> Iterator[Ending]:
        streams: list[Iterable[Ending]] = [
            self._outcomes(lane, "input") for lane in lanes(parts, lambda part: part.shard)
        ]
        # Notes come first: where a record was sent all the same, its outcome stands.
        merged = heapq.merge(self._stage.notes(), *streams, key=_place)
        for _, endings in groupby(merged, key=_place):
            *_, ending = endings
            if isinstance(ending, Note):
                same_as = ending.same
                ending = _ended(ending) if same_as is None else same.recall(same_as, ending.place)
            if isinstance(ending, Outcome):
                same.keep(ending)
            yield ending

    def _as_they_come(self, parts: list[Part], same: SameAnswers) -> Iterator[Ending]:
        plan = self._stage.plan()
        attempts = _last_attempts(parts, 0 if plan is None else plan.inputs)

        def with_same(outcome: Outcome) -> Iterator[Outcome]:
            yield outcome
            # One that was sent all the same has an outcome of its own.
            yield from (other for other in same.of(outcome) if not attempts[other.place])

        for part in parts:
            for outcome in self._outcomes([part], "any"):
                if attempts[outcome.place] == part.shard.attempt:
                    attempts[outcome.place] = _GIVEN
                    yield from with_same(outcome)
        for note in self._stage.notes():
            if note.same is None and not attempts[note.place]:
                ending = _ended(note)
                if isinstance(ending, Outcome):
                    yield from with_same(ending)
                else:
                    yield ending

    def _outcomes(self, parts: list[Part], order: Order) -> Iterator[Outcome]:
        for part in parts:
            if part.shard.route == "job":
                yield from self._of_job(part, order)
            elif part.shard.route == "refused":
                yield from self._refused(part)
            else:
                yield from self._of_calls(part)

    def _refused(self, part: Part) -> Iterator[Outcome]:
        from langchain_bedrock_opt.batching.run.submitting import too_small

        error = too_small(self._context, part.shard.records)
        for place in part.shard.places:
            yield Outcome(place, kind=part.shard.kind, error=error, attempts=0)

    def _of_job(self, part: Part, order: Order) -> Iterator[Outcome]:
        shard, places = part.shard, part.shard.places.as_sequence()
        kind, arn, attempts = shard.kind, part.arn, shard.attempt
        if arn is None:
            for place in places:
                yield Outcome(place, kind=kind, error=missing_error(place, part), attempts=0)
            return
        folder = self._stage.folder.child(self._stage.output_of(shard)).child(job_id(arn))
        collector = Collector(folder, places, order=order)
        if not has_output(self._context, collector, part):
            lost = lost_output(folder.uri, part)
            self._tally.counts.lost += len(places)
            for place in places:
                yield Outcome(place, kind=kind, error=lost, job_arn=arn, attempts=attempts)
            return
        for answer in collector:
            if answer.output is not None:
                yield Outcome(answer.place, "job", kind, answer.output, None, None, arn, attempts)
            else:
                error = _error_of(answer, part)
                yield Outcome(answer.place, "job", kind, None, None, error, arn, attempts)
        self._tally.counts.lost += check_output(collector.report(), part)

    def _of_calls(self, part: Part) -> Iterator[Outcome]:
        folder = self._stage.folder
        names = ((place, direct_name(part, place)) for place in part.shard.places.as_sequence())
        with ThreadPoolExecutor(_READ_AHEAD) as pool:
            while batch := list(islice(names, 8 * _READ_AHEAD)):
                answers = pool.map(folder.get_json, [name for _, name in batch])
                for (place, _), answer in zip(batch, answers, strict=True):
                    yield _called(place, part, answer)


def _last_attempts(parts: list[Part], inputs: int) -> bytearray:
    """A byte for each place: how often its record was sent."""
    attempts = bytearray(inputs)
    for part in parts:
        for first, last in part.shard.places.ranges():
            attempts.extend(bytes(max(0, last + 1 - len(attempts))))
            attempts[first : last + 1] = bytes([part.shard.attempt]) * (last + 1 - first)
    return attempts


def direct_name(part: Part, place: int) -> str:
    """The name of a record's answer that came on demand."""
    return f"direct/{part.shard.name}/{record_id(place)}.json"


def _called(place: int, part: Part, answer: dict[str, Any] | None) -> Outcome:
    kind = part.shard.kind
    if answer is None:
        return Outcome(place, "on_demand", kind, error=missing_error(place, part), attempts=0)
    attempts = part.shard.attempt - 1 + answer["attempts"]
    if "error" in answer:
        error = error_from_dict(answer["error"])
        return Outcome(place, "on_demand", kind, error=error, attempts=attempts)
    return Outcome(place, "on_demand", kind, write_document(answer["output"]), attempts=attempts)


def _error_of(answer: Answer, part: Part) -> Exception:
    if answer.error is None:
        return missing_error(answer.place, part)
    return record_error(*answer.error, place=answer.place, job_arn=part.arn)


def _ended(note: Note) -> Ending:
    """What a note says, as an outcome; one of an earlier stage stays a note."""
    if note.is_dropped:
        return note
    if note.known is not None:
        return Outcome(note.place, "cache", message=note.known, attempts=0)
    return Outcome(note.place, error=note.error, attempts=0)


def _place(ending: Ending) -> int:
    return ending.place
