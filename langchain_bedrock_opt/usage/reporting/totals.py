"""Totals over usage records, whole or by a property of theirs: pure functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from langchain_bedrock_opt.catalog.prices import usd
from langchain_bedrock_opt.contracts import TokenUsage, UsageRecord
from langchain_bedrock_opt.errors import ConfigurationError

_PAID_ALL_THE_SAME: Final = frozenset({"ModelTimeoutError", "ReadTimeoutError"})
"""Errors of a client that stopped waiting; the model went on."""

UNGROUPED: Final = "(none)"
"""Group of the records that do not have the property they are grouped by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTotals:
    """What a set of records adds up to. Money is exact.

    Attributes:
        calls: Model runs, cache hits, failed and broken-off ones included.
        errors: Those that failed.
        cache_hits: Those a response cache answered.
        unpriced_calls: Those whose tokens are known and whose cost is not. They are not in
            `cost_pico_usd`.
        unmetered_calls: Those that Bedrock may have billed and whose tokens nobody said: a
            stream that broke or was broken off, a call that was cancelled or timed out.
        usage: Tokens spent.
        saved: Tokens that cache hits saved.
        cost_pico_usd: Cost of the priced calls, in 10⁻¹² US dollars.
        saved_pico_usd: What cache hits saved, in 10⁻¹² US dollars.
        latency_p50_ms: Median latency of the calls that finished; None without one.
        latency_p95_ms: Their 95th percentile (nearest rank).
    """

    calls: int = 0
    errors: int = 0
    cache_hits: int = 0
    unpriced_calls: int = 0
    unmetered_calls: int = 0
    usage: TokenUsage = field(default_factory=TokenUsage)
    saved: TokenUsage = field(default_factory=TokenUsage)
    cost_pico_usd: int = 0
    saved_pico_usd: int = 0
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None

    @property
    def cost_usd(self) -> Decimal:
        """The cost of the priced calls in US dollars, exact."""
        return usd(self.cost_pico_usd)

    @property
    def saved_usd(self) -> Decimal:
        """What cache hits saved in US dollars, exact."""
        return usd(self.saved_pico_usd)


def total(records: Iterable[UsageRecord]) -> UsageTotals:
    """Add records up.

    Example:
        >>> total([]).cost_usd
        Decimal('0')
    """
    records = list(records)
    latencies = sorted(record.latency_ms for record in records if record.status == "ok")
    return UsageTotals(
        calls=len(records),
        errors=sum(record.status == "error" for record in records),
        cache_hits=sum(record.cache_hit for record in records),
        unpriced_calls=sum(is_unpriced(record) for record in records),
        unmetered_calls=sum(is_unmetered(record) for record in records),
        usage=sum((record.usage for record in records if record.usage), start=TokenUsage()),
        saved=sum((record.saved for record in records if record.cache_hit), start=TokenUsage()),
        cost_pico_usd=sum(record.cost_pico_usd or 0 for record in records),
        saved_pico_usd=sum(record.saved_pico_usd or 0 for record in records),
        latency_p50_ms=_percentile(latencies, 50),
        latency_p95_ms=_percentile(latencies, 95),
    )


def is_unpriced(record: UsageRecord) -> bool:
    """Whether a call's tokens are known and its cost is not."""
    return record.usage is not None and record.cost_pico_usd is None


def is_unmetered(record: UsageRecord) -> bool:
    """Whether a call may be billed and nobody said for how many tokens.

    A call that Bedrock refused is not; one whose answer had begun, or was waited for too long, is.
    """
    if record.usage is not None:
        return False
    return (
        record.status != "error" or record.ttft_ms is not None or record.error in _PAID_ALL_THE_SAME
    )


def _percentile(ascending: Sequence[float], percent: int) -> float | None:
    """The nearest-rank percentile: a value that occurred, never one in between."""
    if not ascending:
        return None
    return ascending[max(0, math.ceil(len(ascending) * percent / 100) - 1)]


def totals_by(records: Iterable[UsageRecord], by: str) -> dict[str, UsageTotals]:
    """Add records up by a property.

    Args:
        records: Any records.
        by: `model`, `tier` (the router's), `service_tier`, `status`, `tag` (each tag),
            `tag:NAME` (what follows in tags such as `NAME:search`) or `metadata:KEY`. A record
            with several such tags counts in each of their groups.

    Returns:
        Totals by group, in the order in which the groups first occur. Records without the
        property are in the group `(none)`.

    Raises:
        ConfigurationError: `by` is none of these.
    """
    groups_of = _grouping(by)
    grouped: dict[str, list[UsageRecord]] = {}
    for record in records:
        for group in groups_of(record) or (UNGROUPED,):
            grouped.setdefault(group, []).append(record)
    return {group: total(members) for group, members in grouped.items()}


def _grouping(by: str) -> Callable[[UsageRecord], tuple[str, ...]]:
    """The function that names a record's groups."""
    if by in _BY_PROPERTY:
        return _BY_PROPERTY[by]
    kind, _, name = by.partition(":")
    if name and kind == "tag":
        prefix = f"{name}:"
        return lambda record: tuple(
            dict.fromkeys(tag[len(prefix) :] for tag in record.tags if tag.startswith(prefix))
        )
    if name and kind == "metadata":
        return lambda record: (str(record.metadata[name]),) if name in record.metadata else ()
    raise ConfigurationError(
        f"totals(by={by!r}) is not known: use {', '.join(map(repr, _BY_PROPERTY))}, "
        "'tag:NAME' or 'metadata:KEY'."
    )


_BY_PROPERTY: Final[dict[str, Callable[[UsageRecord], tuple[str, ...]]]] = {
    "model": lambda record: (record.model_id,),
    "tier": lambda record: (record.route.tier,) if record.route else (),
    "service_tier": lambda record: (record.service_tier,) if record.service_tier else (),
    "status": lambda record: (record.status,),
    "tag": lambda record: tuple(dict.fromkeys(record.tags)),
}
