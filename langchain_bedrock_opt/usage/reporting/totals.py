"""Totals over usage records, whole or by properties of theirs: pure functions."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, TypeVar, overload

from langchain_bedrock_opt.catalog.prices import usd
from langchain_bedrock_opt.contracts import TokenUsage, UsageRecord
from langchain_bedrock_opt.usage.reporting.grouping import Several, groups_of
from langchain_bedrock_opt.usage.waiting import latency_of, ttft_of

_Key = TypeVar("_Key", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTotals:
    """What a set of records adds up to. Money is exact.

    The sums of money tell what each way of saving brought, over the priced calls:
    `saved_pico_usd` our cache's part, `uncached_pico_usd - list_pico_usd` the prompt cache's, and
    `list_pico_usd - cost_pico_usd` what batch jobs and service tiers were cheaper; it is negative
    where they were dearer.

    Attributes:
        calls: Model runs, cache hits, failed and broken-off ones included.
        errors: Those that failed.
        cache_hits: Those a response cache answered.
        unpriced_calls: Those whose tokens are known and whose cost is not. They are not in
            `cost_pico_usd`.
        unmetered_calls: Those that Bedrock may have billed and whose tokens nobody said: a
            stream that broke or was broken off, a call that was cancelled or timed out.
        provisioned_calls: Those that ran on capacity which is paid by the hour.
        retries: Attempts beyond the first of each call.
        throttles: Attempts that were throttled.
        escalations: Calls of a stronger tier, made because a weaker one's answer was no good.
        usage: Tokens spent.
        saved: Tokens that cache hits saved.
        estimate: Tokens that the unmetered calls are likely to be billed for; not in `usage`.
        cost_pico_usd: Cost of the priced calls, in 10⁻¹² US dollars.
        estimate_pico_usd: What `estimate` costs; not in `cost_pico_usd`.
        list_pico_usd: What the priced calls cost at the default service tier; a call of which
            that is not known counts as it cost.
        uncached_pico_usd: What they cost there without the prompt cache; likewise.
        saved_pico_usd: What cache hits saved, in 10⁻¹² US dollars.
        latency_p50_ms: Median latency of the calls that finished; None without one.
        latency_p95_ms: Their 95th percentile (nearest rank).
        latency_p99_ms: Their 99th percentile.
        ttft_p50_ms: Median time to the first token of the streams that got one; None without.
        ttft_p95_ms: Their 95th percentile.
    """

    calls: int = 0
    errors: int = 0
    cache_hits: int = 0
    unpriced_calls: int = 0
    unmetered_calls: int = 0
    provisioned_calls: int = 0
    retries: int = 0
    throttles: int = 0
    escalations: int = 0
    usage: TokenUsage = field(default_factory=TokenUsage)
    saved: TokenUsage = field(default_factory=TokenUsage)
    estimate: TokenUsage = field(default_factory=TokenUsage)
    cost_pico_usd: int = 0
    estimate_pico_usd: int = 0
    list_pico_usd: int = 0
    uncached_pico_usd: int = 0
    saved_pico_usd: int = 0
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    latency_p99_ms: float | None = None
    ttft_p50_ms: float | None = None
    ttft_p95_ms: float | None = None

    @property
    def cost_usd(self) -> Decimal:
        """The cost of the priced calls in US dollars, exact."""
        return usd(self.cost_pico_usd)

    @property
    def saved_usd(self) -> Decimal:
        """What cache hits saved in US dollars, exact."""
        return usd(self.saved_pico_usd)

    @property
    def hit_rate(self) -> float:
        """The share of all calls that a response cache answered; 0.0 without calls."""
        return self.cache_hits / self.calls if self.calls else 0.0

    @property
    def error_rate(self) -> float:
        """The share of all calls that failed; 0.0 without calls."""
        return self.errors / self.calls if self.calls else 0.0


_COUNTS: Final = (
    "calls",
    "errors",
    "cache_hits",
    "unpriced_calls",
    "unmetered_calls",
    "provisioned_calls",
    "retries",
    "throttles",
    "escalations",
)
_TOKENS: Final = ("usage", "saved", "estimate")
_KINDS: Final = tuple(TokenUsage.__dataclass_fields__)
MONEY: Final = (
    "cost_pico_usd",
    "estimate_pico_usd",
    "list_pico_usd",
    "uncached_pico_usd",
    "saved_pico_usd",
)
"""The measures that are money."""

MEASURES: Final = (*_COUNTS, *(f"{name}_{kind}" for name in _TOKENS for kind in _KINDS), *MONEY)
"""Names of what `measures` gives, in its order."""

_NO_TOKENS: Final = (0,) * len(_KINDS)


def measures(record: UsageRecord) -> tuple[int, ...]:
    """What one record adds to each sum, in the order of `MEASURES`."""
    route = record.route
    return (
        1,
        record.status == "error",
        record.cache_hit,
        is_unpriced(record),
        record.unmetered,
        is_provisioned(record),
        record.retries,
        record.throttles,
        route is not None and route.escalated_from is not None,
        *_tokens(record.usage),
        *(_tokens(record.saved) if record.cache_hit else _NO_TOKENS),
        *_tokens(record.estimate),
        record.cost_pico_usd or 0,
        record.estimate_pico_usd or 0,
        list_pico_usd(record) or 0,
        uncached_pico_usd(record) or 0,
        record.saved_pico_usd or 0,
    )


def _tokens(usage: TokenUsage | None) -> tuple[int, ...]:
    if usage is None:
        return _NO_TOKENS
    return (
        usage.input,
        usage.output,
        usage.cache_read,
        usage.cache_write_5m,
        usage.cache_write_1h,
        usage.reasoning,
    )


def totals_of(
    sums: Sequence[int], latencies: Iterable[float], ttfts: Iterable[float]
) -> UsageTotals:
    """Totals from sums in the order of `MEASURES`, and latencies in any order."""
    by_name = dict(zip(MEASURES, sums, strict=True))
    values: dict[str, Any] = {name: by_name[name] for name in (*_COUNTS, *MONEY)}
    for name in _TOKENS:
        values[name] = TokenUsage(**{kind: by_name[f"{name}_{kind}"] for kind in _KINDS})
    latencies, ttfts = sorted(latencies), sorted(ttfts)
    return UsageTotals(
        **values,
        latency_p50_ms=percentile(latencies, 50),
        latency_p95_ms=percentile(latencies, 95),
        latency_p99_ms=percentile(latencies, 99),
        ttft_p50_ms=percentile(ttfts, 50),
        ttft_p95_ms=percentile(ttfts, 95),
    )


class Sums:
    """Adds records up one by one, so that they need not be held."""

    __slots__ = ("_latencies", "_sums", "_ttfts")

    def __init__(self) -> None:
        self._sums = [0] * len(MEASURES)
        self._latencies = array("d")
        self._ttfts = array("d")

    def add(self, record: UsageRecord) -> None:
        """Add one record."""
        self._sums = [one + more for one, more in zip(self._sums, measures(record), strict=True)]
        latency = latency_of(record)
        if latency is not None:
            self._latencies.append(latency)
        if (ttft := ttft_of(record)) is not None:
            self._ttfts.append(ttft)

    def totals(self) -> UsageTotals:
        """What they add up to."""
        return totals_of(self._sums, self._latencies, self._ttfts)


def total(records: Iterable[UsageRecord]) -> UsageTotals:
    """Add records up.

    Example:
        >>> total([]).cost_usd
        Decimal('0')
    """
    sums = Sums()
    for record in records:
        sums.add(record)
    return sums.totals()


@overload
def totals_by(records: Iterable[UsageRecord], by: str) -> dict[str, UsageTotals]: ...


@overload
def totals_by(
    records: Iterable[UsageRecord], by: Several
) -> dict[tuple[str, ...], UsageTotals]: ...


def totals_by(
    records: Iterable[UsageRecord], by: str | Several
) -> dict[str, UsageTotals] | dict[tuple[str, ...], UsageTotals]:
    """Add records up by a property, or by several at once.

    Args:
        records: Any records.
        by: A property, as in `grouping.groups_of`, or a list of such. A record with several tags
            counts in each of their groups.

    Returns:
        Totals by group, in the order in which the groups first occur: a text for one property, a
        tuple of texts for a list. Records without the property are in the group `(none)`.

    Raises:
        ConfigurationError: `by` is no such property.
    """
    found: dict[Any, UsageTotals] = grouped(records, groups_of(by))
    return found


def grouped(
    records: Iterable[UsageRecord], groups: Callable[[UsageRecord], Iterable[_Key]]
) -> dict[_Key, UsageTotals]:
    """Add records up by whatever a function names.

    Args:
        records: Any records.
        groups: Names the groups in which a record counts.
    """
    sums: dict[_Key, Sums] = {}
    for record in records:
        for name in groups(record):
            one = sums.get(name)
            if one is None:
                one = sums[name] = Sums()
            one.add(record)
    return {name: one.totals() for name, one in sums.items()}


def is_unpriced(record: UsageRecord) -> bool:
    """Whether a call's tokens are known and its cost is not."""
    return record.usage is not None and record.cost_pico_usd is None


def is_provisioned(record: UsageRecord) -> bool:
    """Whether a call ran on capacity that is paid by the hour, so that its tokens cost nothing."""
    return record.price_tier == "provisioned"


def is_hourly(record: UsageRecord) -> bool:
    """Whether a call was made whose price a token is nothing, as its capacity is paid by the hour.

    Not each call on such capacity: an override may say what share of the hours a token bears.
    """
    return record.price_source == "hourly" and not record.cache_hit


def list_pico_usd(record: UsageRecord) -> int | None:
    """What a priced call costs at the default service tier; what it cost if that is not known.

    None without a cost. A call on provisioned throughput counts as it cost: what it saves depends
    on the hours, not on the call.
    """
    cost = record.cost_pico_usd
    if cost is None or record.list_pico_usd is None or is_provisioned(record):
        return cost
    return record.list_pico_usd


def uncached_pico_usd(record: UsageRecord) -> int | None:
    """What a priced call costs there without the prompt cache; `list_pico_usd` if not known."""
    if record.cost_pico_usd is None or record.uncached_pico_usd is None or is_provisioned(record):
        return list_pico_usd(record)
    return record.uncached_pico_usd


def percentile(ascending: Sequence[float], percent: int) -> float | None:
    """The nearest-rank percentile: a value that occurred, never one in between.

    Example:
        >>> percentile([1.0, 2.0, 3.0, 4.0], 50)
        2.0
    """
    if not ascending:
        return None
    return ascending[max(0, math.ceil(len(ascending) * percent / 100) - 1)]
