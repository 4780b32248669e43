"""A run that could cost too much is refused before anything is uploaded."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import IO, NamedTuple

from langchain_bedrock_opt.batching.parts import Entry, JobKind, Record
from langchain_bedrock_opt.batching.run.context import Context
from langchain_bedrock_opt.batching.run.pricing import Bill
from langchain_bedrock_opt.catalog.model_price import usd
from langchain_bedrock_opt.errors import BatchCostError


def guarded(context: Context, entries: Iterable[Entry]) -> Iterable[Entry]:
    """The same entries, once it is known that they don't cost too much.

    Inputs may be an iterator and entries may have had an effect (a callback that was told), so
    they are made once: bodies wait in a temporary file until all of them were counted.

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
    bill = Bill(context.settings, context.tariff, context.estimate)
    with tempfile.TemporaryFile() as spool:
        waiting: list[_Waiting | Entry] = []
        for entry in entries:
            if isinstance(entry, Record):
                bill.add(entry.kind, entry.place, entry.body)
                spool.write(entry.body)
                waiting.append(_Waiting(entry.place, entry.kind, len(entry.body)))
            else:
                waiting.append(entry)
        # By now the stages before have been read to their end.
        _check(bill, limit, usd(sum(context.spent.values())))
        spool.seek(0)
        for item in waiting:
            yield _read(spool, item)


class _Waiting(NamedTuple):
    """A record whose body is in the file; what is no record stays in memory."""

    place: int
    kind: JobKind
    length: int


def _read(spool: IO[bytes], item: _Waiting | Entry) -> Entry:
    if isinstance(item, _Waiting):
        return Record(item.place, item.kind, spool.read(item.length))
    return item


def _check(bill: Bill, limit: Decimal, spent: Decimal) -> None:
    estimate = bill.estimate()
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
