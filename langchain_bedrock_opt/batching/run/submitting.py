"""A stage's inputs are taken: each becomes a record in a shard, or a note."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from typing_extensions import Self

from langchain_bedrock_opt.batching.parts import Entry, JobKind, Known, Record, Refused
from langchain_bedrock_opt.batching.run.context import Context
from langchain_bedrock_opt.batching.run.dedupe import FirstPlaces
from langchain_bedrock_opt.batching.run.guarding import guarded
from langchain_bedrock_opt.batching.run.notes import Note
from langchain_bedrock_opt.batching.run.sending import Sender, inputs_changed
from langchain_bedrock_opt.batching.run.sharding import line_bytes
from langchain_bedrock_opt.batching.run.stage import Stage
from langchain_bedrock_opt.batching.run.state import NOTES, Plan, Route, Shard
from langchain_bedrock_opt.errors import BatchTooSmallError, InvalidRequestError

Items = Iterable[tuple[int, Any] | Note]
"""A stage's inputs by their places; a note for one that failed in an earlier stage."""


def submit_stage(context: Context, number: int, items: Items) -> bool:
    """Take a stage's inputs and send what is to be sent.

    It may be called again with the same inputs after it was interrupted at any point, also in
    another process, or while another process does the same.

    Args:
        context: The run.
        number: The stage.
        items: Its inputs, by rising places from 0.

    Returns:
        Whether an earlier process has sent some of them.

    Raises:
        InputsChangedError: They are not those that the run was begun with.
        BatchTooSmallError: They are too few for a job, and nothing else is allowed.
        BatchCostError: They could cost too much.
        BatchJobError: Bedrock refuses a job.
        BatchStorageError: S3 refuses something.
    """
    stage = context.stage(number)
    plan = stage.plan()
    if plan is not None:
        if number == 0:
            _compare(context, stage, plan, items)
        return True
    stored = [part.shard for part in stage.parts()]
    notes = _Notes(stage)
    intake = _Intake(context, stage, notes)
    sender = Sender(
        context,
        stage,
        stored,
        route_below=route_below(context) or "refused",
        refuse=lambda shard: intake.refuse_few(shard, sender),
        is_strict=number == 0,
    )
    with notes, sender:
        pairs = intake.without_dropped(items)
        entries = guarded(context, context.program.entries(number, pairs))
        for entry in entries:
            intake.take(entry, sender)
        sender.finish()
    intake.plan.records = sender.records - sender.few
    intake.plan.refused += sender.few
    stage.store_plan(intake.plan)
    return bool(stored)


def route_below(context: Context) -> Route | None:
    """How records that are too few for a job are answered; None if they are not.

    Args:
        context: The run.
    """
    below = context.settings.below_minimum
    return None if below == "error" or context.services.direct is None else below


class _Notes:
    """Writes notes; there is no object if there are none."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._upload: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._upload is not None:
            self._upload.__exit__(*error)

    def add(self, note: Note) -> None:
        if self._upload is None:
            self._upload = self._stage.folder.upload(NOTES)
            self._upload.__enter__()
        self._upload.write(note.to_line())


class _Intake:
    """Sorts entries into records that are sent, and notes."""

    def __init__(self, context: Context, stage: Stage, notes: _Notes) -> None:
        self.plan = Plan()
        self._context = context
        self._stage = stage
        self._notes = notes
        self._seen: dict[JobKind, FirstPlaces] = {}

    def without_dropped(self, items: Items) -> Iterator[tuple[int, Any]]:
        """The items that are left; those that failed in an earlier stage are noted."""
        for item in items:
            if isinstance(item, Note):
                self.plan.inputs += 1
                self.plan.dropped += 1
                self._notes.add(item)
            else:
                yield item

    def take(self, entry: Entry, sender: Sender) -> None:
        """Take one entry."""
        self.plan.inputs += 1
        if isinstance(entry, Record):
            self._take_record(entry, sender)
        elif isinstance(entry, Known):
            if sender.was_sent(entry.place):
                sender.skip()  # a cache has learnt the answer since; it is paid for in any case
                return
            self.plan.known += 1
            self._notes.add(Note(entry.place, known=entry.message))
        else:
            self._refuse(entry, sender)

    def _take_record(self, record: Record, sender: Sender) -> None:
        most = self._context.settings.max_file_bytes
        if line_bytes(record.body) > most:
            error = InvalidRequestError(
                f"Input {record.place} makes a record of {line_bytes(record.body):,} bytes, and a "
                f"file takes {most:,}: shorten it."
            )
            self._refuse(Refused(record.place, error), sender)
            return
        seen = self._seen.get(record.kind)
        if seen is None:
            seen = self._seen[record.kind] = FirstPlaces()
        first = seen.first(record.place, record.body)
        if first is None or sender.was_sent(record.place):
            sender.add(record)
            return
        self.plan.same += 1
        self._notes.add(Note(record.place, same=first))

    def _refuse(self, refused: Refused, sender: Sender) -> None:
        if sender.was_sent(refused.place) and self._stage.number > 0:
            sender.skip()
            return
        if sender.was_sent(refused.place):
            raise inputs_changed(self._context, refused.place)
        self.plan.refused += 1
        self._notes.add(Note(refused.place, error=refused.error))

    def refuse_few(self, shard: Shard, sender: Sender) -> None:
        """Raise the error of too few records, if nothing was sent at all."""
        if self._stage.number == 0 and not sender.shards:
            raise too_small(self._context, shard.records)


def too_small(context: Context, records: int) -> BatchTooSmallError:
    """The error of records that are too few for a job.

    Args:
        context: The run.
        records: How many they are.
    """
    least = context.settings.min_records
    advice = (
        'below_minimum="on_demand" answers them by single calls'
        if context.settings.below_minimum == "error"
        else "there is no model here to answer them by single calls"
    )
    return BatchTooSmallError(
        f"{records} records are fewer than the {least} that a job takes at least: {advice}."
    )


def _compare(context: Context, stage: Stage, plan: Plan, items: Items) -> None:
    """Make sure that a run whose inputs were all taken is asked for with the same ones."""
    stored = [part.shard for part in stage.parts() if part.shard.attempt == 1]
    noted = _noted(stage, plan, stored)
    sender = Sender(context, stage, stored)
    count = 0
    pairs = (item for item in items if not isinstance(item, Note))
    for count, entry in enumerate(context.program.entries(stage.number, pairs), 1):  # noqa: B007
        place = entry.place
        was_sent = sender.was_sent(place)
        if was_sent and isinstance(entry, Record):
            sender.add(entry)
        elif was_sent and isinstance(entry, Known):
            sender.skip()
        elif was_sent or place >= plan.inputs or not noted[place]:
            raise inputs_changed(context, place)
    if count < plan.inputs:
        raise inputs_changed(context, count)


def _noted(stage: Stage, plan: Plan, stored: list[Shard]) -> bytearray:
    """A byte for each place, 1 where nothing was sent."""
    noted = bytearray(plan.inputs)
    for note in stage.notes():
        noted[note.place] = 1
    for shard in stored:
        if shard.route == "refused":
            for first, last in shard.places.ranges():
                noted[first : last + 1] = b"\1" * (last + 1 - first)
    return noted
