"""A run whose inputs were all taken is asked for again: they must be the same ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from langchain_bedrock_opt.batching.parts import Entry, Refused
from langchain_bedrock_opt.batching.run.context import Context
from langchain_bedrock_opt.batching.run.dedupe import digest_of
from langchain_bedrock_opt.batching.run.notes import Note
from langchain_bedrock_opt.batching.run.sending import Sender, inputs_changed
from langchain_bedrock_opt.batching.run.stage import Stage
from langchain_bedrock_opt.batching.run.state import Plan

Items = Iterable[tuple[int, Any] | Note]
"""A stage's inputs by their places; a note for one that failed in an earlier stage."""


def compare(context: Context, stage: Stage, plan: Plan, items: Items) -> None:
    """Make sure that inputs are those that a run was begun with.

    An input that no record could be made of can't be compared: its error stands.

    Args:
        context: The run.
        stage: Its first stage.
        plan: The stage's plan.
        items: The inputs, by rising places from 0.

    Raises:
        InputsChangedError: They are not.
    """
    stored = [part.shard for part in stage.parts() if part.shard.attempt == 1]
    too_few = {place for shard in stored if shard.route == "refused" for place in shard.places}
    sender, notes, count = Sender(context, stage, stored), _Noted(stage), 0
    pairs = (item for item in items if not isinstance(item, Note))
    for count, entry in enumerate(context.program.entries(stage.number, pairs), 1):  # noqa: B007
        place = entry.place
        if sender.sent(place) is not None:
            sender.keep(entry)
            continue
        note = notes.of(place)
        if not (place in too_few if note is None else _is_of(note, entry)):
            raise inputs_changed(context, place)
    if count < plan.inputs:
        raise inputs_changed(context, count)


class _Noted:
    """A stage's notes, to be asked for by rising place."""

    def __init__(self, stage: Stage) -> None:
        self._notes = stage.notes()
        self._next = next(self._notes, None)

    def of(self, place: int) -> Note | None:
        """A place's note."""
        while self._next is not None and self._next.place < place:
            self._next = next(self._notes, None)
        return self._next if self._next is not None and self._next.place == place else None


def _is_of(note: Note, entry: Entry) -> bool:
    """Whether a note was made of the input that an entry is made of."""
    if note.digest is None:
        return True
    return not isinstance(entry, Refused) and digest_of(entry.body) == note.digest
