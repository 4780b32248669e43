"""Totals by SQL: the database adds up, so that a million records need not be read."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterator
from typing import Any, Final

from langchain_bedrock_opt.usage.ledger.selection import Selection
from langchain_bedrock_opt.usage.ledger.sqlite_schema import GROUP_COLUMNS, SUM_COLUMNS
from langchain_bedrock_opt.usage.reporting.grouping import UNGROUPED, Group, Several, groups_of
from langchain_bedrock_opt.usage.reporting.totals import MONEY, UsageTotals, totals_of

_HALF: Final = 32
"""Bits in the lower half of an amount."""

_LOWER: Final = (1 << _HALF) - 1

# SQLite's integers have 64 bits, which the pico-dollars of nine million dollars fill: amounts are
# added up in two halves, which Python puts together.
_SUMS: Final = ["count(*)"] + [
    part
    for name in SUM_COLUMNS
    for part in ([f"sum({name} >> {_HALF})", f"sum({name} & {_LOWER})"]
                 if name in MONEY else [f"sum({name})"])
]  # fmt: skip

_GROUPS: Final = {
    "day": "substr(started_at, 1, 10)",
    "hour": "substr(started_at, 1, 13) || ':00Z'",
    **{name: f"coalesce(nullif({name}, ''), '{UNGROUPED}')" for name in GROUP_COLUMNS},
}


def sums_of(connection: sqlite3.Connection, selection: Selection) -> UsageTotals:
    """What the selected records add up to."""
    (totals,) = _totals(connection, selection, []).values()
    return totals


def sums_by(
    connection: sqlite3.Connection, selection: Selection, by: str | Several
) -> dict[Group, UsageTotals] | None:
    """The same by properties; None if one of them has no column.

    Raises:
        ConfigurationError: `by` names what no record has.
    """
    groups_of(by)
    names = [by] if isinstance(by, str) else by
    if not all(name in _GROUPS for name in names):
        return None
    found = _totals(connection, selection, [_GROUPS[name] for name in names])
    return {key[0] if isinstance(by, str) else key: totals for key, totals in found.items()}


def _totals(
    connection: sqlite3.Connection, selection: Selection, groups: list[str]
) -> dict[tuple[str, ...], UsageTotals]:
    where, parameters = selection.where()
    query = f"SELECT {', '.join([*groups, *_SUMS])} FROM records WHERE {where}"  # noqa: S608 - fixed texts
    if groups:
        query += f" GROUP BY {', '.join(groups)} ORDER BY min(id)"
    # One transaction: both queries see the same records.
    connection.execute("BEGIN")
    sums = {
        row[: len(groups)]: list(_joined(iter(row[len(groups) :])))
        for row in connection.execute(query, parameters)
    }
    times: dict[tuple[str, ...], tuple[array[float], array[float]]] = {
        key: (array("d"), array("d")) for key in sums
    }
    query = f"SELECT {', '.join([*groups, 'latency_ms', 'ttft_ms'])} FROM records WHERE {where}"  # noqa: S608 - fixed texts
    for *key, latency, ttft in connection.execute(query, parameters):
        latencies, ttfts = times[tuple(key)]
        if latency is not None:
            latencies.append(latency)
        if ttft is not None:
            ttfts.append(ttft)
    connection.execute("COMMIT")
    return {key: totals_of(sums[key], *times[key]) for key in sums}


def _joined(row: Iterator[Any]) -> Iterator[int]:
    """A row's sums, with the halves of amounts put together; nothing adds up to 0."""
    yield next(row)
    for name in SUM_COLUMNS:
        first = next(row) or 0
        yield (first << _HALF) + (next(row) or 0) if name in MONEY else first
