"""A run that could cost too much is refused before anything is uploaded."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from decimal import Decimal
from struct import Struct
from typing import IO, Final

from langchain_bedrock_opt.batching.parts import Entry, JobKind, Known, Record, Refused
from langchain_bedrock_opt.batching.run.context import Context
from langchain_bedrock_opt.batching.run.notes import Note
from langchain_bedrock_opt.batching.run.pricing import Bill, CostEstimate
from langchain_bedrock_opt.catalog.model_price import usd
from langchain_bedrock_opt.errors import BatchCostError

# Place, kind, and what body and note weigh.
_HEAD: Final = Struct("<QqQQ")
_NO_KIND: Final = -1


def guarded(context: Context, entries: Iterable[Entry]) -> Iterable[Entry]:
    """The same entries, once it is known that they don't cost too much.

    Inputs may be an iterator and entries may have had an effect (a callback that was told), so
    they are made once: they wait in a temporary file until all of them were counted.

    Args:
        context: The run. Without `max_cost_usd` the entries pass by as they come.
        entries: The entries.

    Raises:
        BatchCostError: They could cost more, or nobody knows what they cost.
    """
    limit = context.settings.max_cost_usd
    if limit is None:
        return entries
    return _counted(context, entries, limit)


def _counted(context: Context, entries: Iterable[Entry], limit: Decimal) -> Iterator[Entry]:
    with tempfile.TemporaryFile() as file:
        spool = _Spool(file)
        needed = _needed(context, entries, spool)
        # By now the stages before have been read to their end.
        _check(needed, limit, usd(sum(context.spent.values())))
        yield from spool.entries()


def _needed(context: Context, entries: Iterable[Entry], spool: _Spool) -> CostEstimate:
    """What entries will cost; they are put aside."""
    bill = Bill(context.settings, context.tariff, context.estimate)
    for entry in entries:
        if isinstance(entry, Record):
            bill.add(entry.kind, entry.place, entry.body)
        spool.add(entry)
    return bill.estimate()


class _Spool:
    """Entries in a file, one behind the other: memory does not grow with them.

    What is no record waits as its note, which is what becomes of it in any case.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._kinds: dict[JobKind, int] = {}

    def add(self, entry: Entry) -> None:
        kind, body, note = _NO_KIND, b"", b""
        if isinstance(entry, Record):
            kind, body = self._kinds.setdefault(entry.kind, len(self._kinds)), entry.body
        elif isinstance(entry, Known):
            body, note = entry.body, Note(entry.place, known=entry.message).to_line()
        else:
            note = Note(entry.place, error=entry.error).to_line()
        self._file.write(_HEAD.pack(entry.place, kind, len(body), len(note)))
        self._file.write(body)
        self._file.write(note)

    def entries(self) -> Iterator[Entry]:
        """What was added, once."""
        kinds = list(self._kinds)
        self._file.seek(0)
        while head := self._file.read(_HEAD.size):
            place, kind, body_bytes, note_bytes = _HEAD.unpack(head)
            body, line = self._file.read(body_bytes), self._file.read(note_bytes)
            if kind != _NO_KIND:
                yield Record(place, kinds[kind], body)
                continue
            note = Note.from_line(line)
            if note.known is not None:
                yield Known(place, note.known, body)
            elif note.error is not None:
                yield Refused(place, note.error)


def _check(estimate: CostEstimate, limit: Decimal, spent: Decimal) -> None:
    if estimate.at_most_usd is None:
        raise BatchCostError(
            f"There is no price for {', '.join(estimate.unpriced)}, so nobody knows whether the "
            f"run stays within max_cost_usd={limit}: give a PriceBook with its price, or no limit.",
            limit_usd=limit,
        )
    needed = spent + estimate.at_most_usd
    if needed > limit:
        raise BatchCostError(
            f"The run could cost {needed:.4f} US dollars, with answers as long as "
            f"they may get, and max_cost_usd is {limit}: send fewer inputs, lower max_tokens, or "
            "raise the limit. None of these records was sent.",
            needed_usd=needed,
            limit_usd=limit,
        )
