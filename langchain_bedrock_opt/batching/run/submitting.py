"""A stage's inputs are taken: each becomes a record in a shard, or a note."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from typing_extensions import Self

from langchain_bedrock_opt.batching.jobs.upload import LineUpload
from langchain_bedrock_opt.batching.parts import Entry, JobKind, Known, Record
from langchain_bedrock_opt.batching.run.comparing import Items, compare
from langchain_bedrock_opt.batching.run.context import Context
from langchain_bedrock_opt.batching.run.dedupe import FirstPlaces, digest_of
from langchain_bedrock_opt.batching.run.guarding import guarded
from langchain_bedrock_opt.batching.run.notes import Note
from langchain_bedrock_opt.batching.run.sending import OvertakenError, Sender
from langchain_bedrock_opt.batching.run.sharding import line_bytes
from langchain_bedrock_opt.batching.run.stage import Stage, notes_name
from langchain_bedrock_opt.batching.run.state import Plan, Route, Shard
from langchain_bedrock_opt.errors import BatchTooSmallError, InvalidRequestError


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
        OvertakenError: Another process is faster, and takes other records for the same inputs.
    """
    stage = context.stage(number)
    plan = stage.plan()
    if plan is not None:
        if number == 0:
            compare(context, stage, plan, items)
            context.declare()
        return True
    stored = [part.shard for part in stage.parts()]
    notes = _Notes(context, stage)
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
    context.declare()
    stage.store_plan(intake.plan)
    return bool(stored)


def submit_later_stage(context: Context, number: int, items: Callable[[], Items]) -> None:
    """`submit_stage`, for a stage whose inputs come from S3.

    They may depend on the moment, so two processes that send them at once may disagree. Whoever
    comes second begins anew: what the first one has sent stands.

    Args:
        context: The run.
        number: The stage.
        items: Gives its inputs, as often as it is asked.
    """
    while True:
        try:
            submit_stage(context, number, items())
        except OvertakenError:  # there is one shard more each time
            continue
        return


def route_below(context: Context) -> Route | None:
    """How records that are too few for a job are answered; None if they are not.

    Args:
        context: The run.
    """
    below = context.settings.below_minimum
    return None if below == "error" or context.services.direct is None else below


class _Notes:
    """Writes notes; there is no object if there are none."""

    def __init__(self, context: Context, stage: Stage) -> None:
        self._owner = context.owner
        self._folder = stage.folder
        self._open = ExitStack()
        self._uploads: dict[bool, LineUpload] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open.__exit__(kind, error, traceback)

    def add(self, note: Note) -> None:
        upload = self._uploads.get(note.is_dropped)
        if upload is None:
            name = notes_name(self._owner, is_dropped=note.is_dropped)
            upload = self._open.enter_context(self._folder.upload(name))
            self._uploads[note.is_dropped] = upload
        upload.write(note.to_line())


class _Intake:
    """Sorts entries into records that are sent, and notes."""

    def __init__(self, context: Context, stage: Stage, notes: _Notes) -> None:
        self.plan = Plan(owner=context.owner)
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
        sent = sender.sent(entry.place)
        if sent is not None:
            # It is paid for in any case, also if a cache has learnt its answer since. What was
            # sent then decides which inputs get its answer, not what would be sent now.
            self._first(sent)
            sender.keep(entry)
        elif isinstance(entry, Record):
            self._take_record(entry, sender)
        elif isinstance(entry, Known):
            self.plan.known += 1
            note = Note(entry.place, known=entry.message, digest=digest_of(entry.body))
            self._notes.add(note)
        else:
            self.plan.refused += 1
            self._notes.add(Note(entry.place, error=entry.error))

    def _take_record(self, record: Record, sender: Sender) -> None:
        most = self._context.settings.max_file_bytes
        size = line_bytes(record.body)
        if size > most:
            error = InvalidRequestError(
                f"Input {record.place} makes a record of {size:,} bytes, and a file takes "
                f"{most:,}: shorten it."
            )
            self.plan.refused += 1
            self._notes.add(Note(record.place, error=error, digest=digest_of(record.body)))
            return
        first = self._first(record)
        if first is None:
            sender.add(record)
            return
        self.plan.same += 1
        self._notes.add(Note(record.place, same=first, digest=digest_of(record.body)))

    def _first(self, record: Record) -> int | None:
        """The place of the equal record that came first; None if there is none."""
        seen = self._seen.get(record.kind)
        if seen is None:
            seen = self._seen[record.kind] = FirstPlaces()
        return seen.first(record.place, record.body)

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
