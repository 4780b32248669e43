"""How fast models answered: a table of measured latencies, by what served the calls.

Only calls that a model answered are measured: no cache hits, no failed or broken-off calls, and
none that waited for an invocation job. What a `TokenQuota` held a call back for is no part of its
times. Percentiles are exact: the times are kept, eight bytes
each.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from langchain_bedrock_opt.contracts import UsageRecord
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.usage.reporting.grouping import Group, Several, groups_of
from langchain_bedrock_opt.usage.reporting.html import table_html
from langchain_bedrock_opt.usage.reporting.tables import Table, milliseconds, short
from langchain_bedrock_opt.usage.reporting.text import NOTHING, table_text
from langchain_bedrock_opt.usage.reporting.totals import is_provisioned
from langchain_bedrock_opt.usage.reporting.totals import percentile as nearest_rank
from langchain_bedrock_opt.usage.waiting import latency_of, ttft_of, waited_for_job

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

ENOUGH_CALLS: Final = 10
"""Calls that must have been measured before a model is chosen by them, unless told otherwise."""

_Served = tuple[str, str, str]
"""Service tier, performance and capacity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyRow:
    """The calls of one group that one kind of capacity served.

    Attributes:
        group: What they have in common, such as the model id.
        service_tier: The service tier that served them; `default` where the answer named none.
        performance: `optimized` if latency-optimized inference served them, else `standard`.
        capacity: `provisioned` or `on_demand`.
        calls: Calls that were measured.
        failed: Calls that failed or were broken off, which are measured for nothing but throttles.
        throttled: Calls, of all of these, of which an attempt was throttled.
        output_tokens: Tokens that the measured calls wrote, where they say so.
        seconds: The time that these calls took.
        latencies_ms: The latency of each measured call, ascending.
        ttfts_ms: The time to first token of each of them that streamed, ascending.
    """

    group: Group
    service_tier: str = "default"
    performance: str = "standard"
    capacity: Literal["provisioned", "on_demand"] = "on_demand"
    calls: int
    failed: int = 0
    throttled: int = 0
    output_tokens: int = 0
    seconds: float = 0.0
    latencies_ms: Sequence[float] = field(default=(), repr=False)
    ttfts_ms: Sequence[float] = field(default=(), repr=False)

    def latency_ms(self, percentile: int = 50) -> float | None:
        """A percentile of the calls' latency, in milliseconds: a value that occurred.

        Args:
            percentile: Which one, such as 50 or 95.

        Returns:
            None if no call was measured.
        """
        return nearest_rank(self.latencies_ms, _checked(percentile))

    def ttft_ms(self, percentile: int = 50) -> float | None:
        """A percentile of the streams' time to first token, in milliseconds.

        Args:
            percentile: Which one, such as 50 or 95.

        Returns:
            None if there was no stream.
        """
        return nearest_rank(self.ttfts_ms, _checked(percentile))

    @property
    def tokens_per_second(self) -> float | None:
        """Output tokens by the seconds that the calls took, from start to end; None without."""
        return self.output_tokens / self.seconds if self.seconds and self.output_tokens else None

    @property
    def throttled_share(self) -> float:
        """The share of calls, failed ones included, of which an attempt was throttled."""
        return self.throttled / max(1, self.calls + self.failed)


@dataclass(frozen=True, slots=True)
class LatencyTable:
    """How fast models answered. Printed, or shown by a notebook, it is a table.

    Attributes:
        by: What the rows are grouped by.
        rows: One a group and capacity, in the order in which they first occurred.

    Example:
        >>> from langchain_bedrock_opt.usage import UsageLedger
        >>> print(UsageLedger().latency())
        No calls.
    """

    by: str | Several
    rows: tuple[LatencyRow, ...]

    def __iter__(self) -> Iterator[LatencyRow]:
        """The rows."""
        return iter(self.rows)

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.rows)

    def ttft_ms(self, percentile: int = 95, *, min_calls: int = ENOUGH_CALLS) -> dict[str, float]:
        """The time to first token by model, for `RoutingPolicy(latency=…)`.

        Args:
            percentile: Which one.
            min_calls: Models with fewer measured streams are left out.

        Returns:
            Milliseconds by model id, over all that served the model.

        Raises:
            ConfigurationError: The table is not by `model`, or it is no percentile.
        """
        return self._by_model("ttft", percentile, min_calls)

    def latency_ms(
        self, percentile: int = 95, *, min_calls: int = ENOUGH_CALLS
    ) -> dict[str, float]:
        """The latency by model; see `ttft_ms`.

        Args:
            percentile: Which one.
            min_calls: Models with fewer measured calls are left out.

        Raises:
            ConfigurationError: The table is not by `model`, or it is no percentile.
        """
        return self._by_model("latency", percentile, min_calls)

    def fastest(
        self,
        measure: Literal["ttft", "latency"] = "ttft",
        *,
        percentile: int = 95,
        min_calls: int = ENOUGH_CALLS,
    ) -> LatencyRow | None:
        """The row with the lowest percentile.

        Args:
            measure: `ttft`, the time to first token of streams, or `latency`.
            percentile: Which one.
            min_calls: Rows with fewer measured calls don't take part.

        Returns:
            None if no row has calls enough.

        Raises:
            ConfigurationError: `measure` or `percentile` is none.
        """
        percent = _checked(percentile)
        enough = [row for row in self.rows if len(_times(row, measure)) >= max(1, min_calls)]
        return min(
            enough,
            key=lambda row: nearest_rank(_times(row, measure), percent) or 0.0,
            default=None,
        )

    def _by_model(self, measure: str, percentile: int, min_calls: int) -> dict[str, float]:
        if self.by != "model":
            raise ConfigurationError(
                f"This table is by {self.by!r}: ask a ledger for latency(by='model')."
            )
        times: dict[str, list[float]] = {}
        for row in self.rows:
            times.setdefault(str(row.group), []).extend(_times(row, measure))
        return {
            model: found
            for model, each in times.items()
            if len(each) >= min_calls
            and (found := nearest_rank(sorted(each), _checked(percentile))) is not None
        }

    def frame(self) -> pd.DataFrame:
        """The rows as a pandas frame.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        from langchain_bedrock_opt.usage.reporting.frames import latency_frame

        return latency_frame(self)

    def __str__(self) -> str:
        """The table as text."""
        return table_text(_table(self)) if self.rows else NOTHING

    def _repr_html_(self) -> str:
        """The table as a notebook shows it."""
        return table_html(_table(self), is_open=True) if self.rows else f"<p>{NOTHING}</p>"


class _Measured:
    """What is added up of one row."""

    def __init__(self) -> None:
        self.latencies, self.ttfts = array("d"), array("d")
        self.calls = self.failed = self.throttled = self.tokens = 0
        self.seconds = 0.0

    def add(self, record: UsageRecord) -> None:
        self.throttled += bool(record.throttles)
        latency = latency_of(record)
        if latency is None:
            self.failed += 1
            return
        self.calls += 1
        self.latencies.append(latency)
        if (ttft := ttft_of(record)) is not None:
            self.ttfts.append(ttft)
        if record.usage is not None:
            self.tokens += record.usage.output
            self.seconds += latency / 1000


def latency_table(records: Iterable[UsageRecord], by: str | Several = "model") -> LatencyTable:
    """Measure calls.

    Args:
        records: The calls; what no model answered in time is left out.
        by: What to group them by, as in `UsageLedger.totals`.

    Raises:
        ConfigurationError: `by` names what no record has.
    """
    groups = groups_of(by)
    measured: dict[tuple[Group, _Served], _Measured] = {}
    for record in records:
        if record.cache_hit or waited_for_job(record):
            continue
        served = _served(record)
        for group in groups(record):
            measured.setdefault((group, served), _Measured()).add(record)
    return LatencyTable(by, tuple(_row(*key, found) for key, found in measured.items()))


def _served(record: UsageRecord) -> _Served:
    capacity = "provisioned" if is_provisioned(record) else "on_demand"
    return record.service_tier or "default", record.performance or "standard", capacity


def _row(group: Group, served: _Served, found: _Measured) -> LatencyRow:
    service_tier, performance, capacity = served
    return LatencyRow(
        group=group,
        service_tier=service_tier,
        performance=performance,
        capacity="provisioned" if capacity == "provisioned" else "on_demand",
        calls=found.calls,
        failed=found.failed,
        throttled=found.throttled,
        output_tokens=found.tokens,
        seconds=found.seconds,
        latencies_ms=array("d", sorted(found.latencies)),
        ttfts_ms=array("d", sorted(found.ttfts)),
    )


def _times(row: LatencyRow, measure: str) -> Sequence[float]:
    if measure not in ("ttft", "latency"):
        raise ConfigurationError(f"measure={measure!r} is none: use 'ttft' or 'latency'.")
    return row.ttfts_ms if measure == "ttft" else row.latencies_ms


def _checked(percentile: int) -> int:
    if not 0 < percentile <= 100:  # noqa: PLR2004 - a hundred percent
        raise ConfigurationError(f"percentile={percentile!r} is none: give one from 1 to 100.")
    return percentile


def _table(table: LatencyTable) -> Table:
    by = table.by if isinstance(table.by, str) else ", ".join(table.by)
    return Table(
        title="Latency",
        head=(
            *(by, "served by", "calls", "first token p50", "p95", "latency p50", "p95"),
            *("tokens/s", "throttled"),
        ),
        rows=tuple(_cells(row) for row in table.rows),
        texts=2,
        note="Without cache hits, failed calls and invocation jobs; percentiles are exact.",
    )


def _cells(row: LatencyRow) -> tuple[str, ...]:
    group = row.group if isinstance(row.group, str) else ", ".join(row.group)
    speed = row.tokens_per_second
    return (
        short(group),
        _how(row),
        f"{row.calls:,}",
        milliseconds(row.ttft_ms(50)),
        milliseconds(row.ttft_ms(95)),
        milliseconds(row.latency_ms(50)),
        milliseconds(row.latency_ms(95)),
        "–" if speed is None else f"{speed:,.0f}",
        f"{row.throttled_share:.0%}",
    )


def _how(row: LatencyRow) -> str:
    """What served a row's calls, in a few words."""
    if row.capacity == "provisioned":
        return "provisioned"
    optimized = " optimized" if row.performance == "optimized" else ""
    return row.service_tier + optimized
