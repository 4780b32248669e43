"""What routing did, over a log of calls: the mix of tiers, and what one tier alone would cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from langchain_bedrock_opt.catalog.prices import ModelPrice
from langchain_bedrock_opt.contracts import TokenUsage, UsageRecord
from langchain_bedrock_opt.routing.learning.calibration import Calibration
from langchain_bedrock_opt.routing.learning.labels import (
    Scale,
    by_run,
    on_scale,
    read_label,
)
from langchain_bedrock_opt.routing.records import HasRecords, Tier, records_of
from langchain_bedrock_opt.routing.requests import requests_of
from langchain_bedrock_opt.routing.scoring.asking import FAILED, is_by_scorer
from langchain_bedrock_opt.routing.tables import html_bar, html_table, money, text_table


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingReport:
    """Routed calls, summed up. Calls without a decision are left out.

    A call is what the caller asked, however many tiers were asked in turn: it is counted once, by
    the run whose answer the caller got.

    A notebook shows it as a table; `str()` gives it as text.

    Attributes:
        calls: Routed calls.
        attempts: More runs that these took: answers that were replaced, tiers not to be reached.
        by_tier: Calls by tier, in the router's order.
        forced: Calls whose tier the caller named.
        sticky: Calls that only their conversation kept in a stronger tier.
        constrained: Calls whose tier of choice could not serve them.
        short_of_budget: Calls that got the cheapest tier because the budget was running out.
        scorer_failed: Calls that another scorer scored because the router's own failed.
        explored: Calls that were tried one tier up or down. Like `sticky`, `constrained` and
            `short_of_budget` without those in shadow mode, to which it did not happen.
        escalated: Calls that a stronger tier answered after a weaker one's answer was no good.
        fell_back: Calls that another tier answered because the first was not to be reached.
        failed: Calls without an answer.
        cache_hits: Calls that our cache answered.
        cost_pico_usd: What the calls cost whose cost is known, in 10⁻¹² US dollars.
        unpriced: Calls whose cost is not known, failed ones aside.
        compared_cost_pico_usd: The part of the cost that is compared with single tiers: that of
            calls that a model answered, with tokens and a price, and of all of their runs.
        single_tier_pico_usd: What those calls would cost with each tier alone, had it spent the
            same tokens; None where no price is known. Models count tokens differently, so this is
            an estimate.
        labelled: Answers that have a label.
        observed_good: The mean of these labels, from 0 to 1; None if there are none.
        expected_good: What the calibration expects: of the answers with a label, or of all if
            there are none; None if the router is not calibrated. It takes scores as they were
            when the calls were routed, so calls before the calibration don't count right; calls
            without a score by the scorer itself, as it failed or was not asked, are left out.
        would_be: Calls in shadow mode by the tier that the policy would have taken; empty without
            any.
        would_be_pico_usd: What those that are compared would have cost with these tiers, with the
            same tokens; None where no price is known.
        shadow_pico_usd: What the same calls cost with the tier that answered.
    """

    calls: int
    attempts: int
    by_tier: Mapping[str, int]
    forced: int
    sticky: int
    constrained: int
    short_of_budget: int
    scorer_failed: int
    explored: int
    escalated: int
    fell_back: int
    failed: int
    cache_hits: int
    cost_pico_usd: int
    unpriced: int
    compared_cost_pico_usd: int
    single_tier_pico_usd: Mapping[str, int | None]
    would_be: Mapping[str, int]
    would_be_pico_usd: int | None
    shadow_pico_usd: int
    labelled: int = 0
    observed_good: float | None = None
    expected_good: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The report as a JSON-ready dict."""
        names = type(self).__dataclass_fields__
        values = {name: getattr(self, name) for name in names}
        return {
            name: dict(value) if isinstance(value, Mapping) else value
            for name, value in values.items()
        }

    def __str__(self) -> str:
        """The report as text."""
        if not self.calls:
            return _NOTHING
        return f"{text_table([_HEAD, *self._rows()])}\n\n{self._summary()}"

    def _repr_html_(self) -> str:
        """The report as a notebook shows it: no script, no picture, everything escaped."""
        if not self.calls:
            return f"<p>{_NOTHING}</p>"
        strongest = list(self.single_tier_pico_usd.values())[-1]
        bar = html_bar(self.compared_cost_pico_usd / strongest) if strongest else ""
        return f"<div>{html_table(_HEAD, list(self._rows()))}{bar}<p>{self._summary()}</p></div>"

    def _rows(self) -> Iterable[tuple[str, ...]]:
        for name, count in self.by_tier.items():
            alone = self.single_tier_pico_usd.get(name)
            yield (
                name,
                str(count),
                f"{count / self.calls:.1%}",
                money(alone),
                f"{self.compared_cost_pico_usd / alone:.1%}" if alone else "",
            )

    def _summary(self) -> str:
        counted = {
            "forced": self.forced,
            "sticky": self.sticky,
            "constrained": self.constrained,
            "short of budget": self.short_of_budget,
            "scored in a failed scorer's place": self.scorer_failed,
            "explored": self.explored,
            "escalated": self.escalated,
            "fell back": self.fell_back,
            "more runs": self.attempts,
            "failed": self.failed,
            "from the cache": self.cache_hits,
            "without a price": self.unpriced,
        }
        said = ", ".join(f"{count} {name}" for name, count in counted.items() if count)
        calls = "1 call" if self.calls == 1 else f"{self.calls} calls"
        summed = f"{calls}, {money(self.cost_pico_usd)}{': ' + said if said else ''}."
        return summed + self._shadow() + self._good()

    def _good(self) -> str:
        parts = []
        if self.expected_good is not None:
            parts.append(f"{self.expected_good:.1%} expected by calibration")
        if self.observed_good is not None:
            parts.append(f"{self.observed_good:.1%} observed over {self.labelled} labels")
        return f" Good answers: {', '.join(parts)}." if parts else ""

    def _shadow(self) -> str:
        if not self.would_be:
            return ""
        mix = ", ".join(f"{count} {name}" for name, count in self.would_be.items() if count)
        return (
            f" In shadow mode: {mix} by the policy, for {money(self.would_be_pico_usd)} in place "
            f"of {money(self.shadow_pico_usd)}."
        )


_NOTHING = "No routed calls."
_HEAD = ("tier", "calls", "share", "all calls here", "routed costs")


def report(
    records: Iterable[UsageRecord] | HasRecords,
    tiers: Sequence[Tier],
    *,
    calibration: Calibration | None = None,
    labels: Mapping[str, Any] | None = None,
    scale: Scale | None = None,
) -> RoutingReport:
    """Sum up routed calls.

    Args:
        records: Usage records, or a ledger that has them.
        tiers: The router's tiers, from the cheapest to the strongest.
        calibration: What the router has learned, if it is calibrated.
        labels: How good answers were, by run id.
        scale: What the worst and the best answer get, where labels are not from 0 to 1.

    Raises:
        ConfigurationError: `records` is neither, or a label is none.
    """
    runs = [record for record in records_of(records) if record.route is not None]
    requests = requests_of(runs)
    routed = [request.answer for request in requests]
    priced = [request for request in requests if _is_priced(request.answer)]
    compared = [request.answer for request in priced]
    routes = [record.route for record in routed if record.route is not None]
    reasons = Counter(signal for route in routes for signal in route.notes)
    acted = Counter(signal for route in routes if route.shadow is None for signal in route.notes)
    mix = Counter(route.tier for route in routes)
    would_be = Counter(route.shadow for route in routes if route.shadow is not None)
    shadowed = [record for record in compared if record.route and record.route.shadow]
    return RoutingReport(
        calls=len(routed),
        attempts=len(runs) - len(routed),
        by_tier=_mix(mix, tiers),
        forced=sum(route.forced for route in routes),
        sticky=acted["sticky"],
        constrained=acted["constraint"],
        short_of_budget=acted["budget"],
        scorer_failed=reasons[FAILED],
        explored=acted["explore"],
        escalated=sum(route.escalated_from is not None for route in routes),
        fell_back=sum(route.fallback_from is not None for route in routes),
        failed=sum(record.status == "error" for record in routed),
        cache_hits=sum(record.cache_hit for record in routed),
        cost_pico_usd=_cost(runs),
        unpriced=sum(record.cost_pico_usd is None and record.status != "error" for record in runs),
        compared_cost_pico_usd=sum(_cost(request.runs) for request in priced),
        single_tier_pico_usd={tier.name: _alone(tier.price, compared) for tier in tiers},
        would_be=_mix(would_be, tiers) if would_be else {},
        would_be_pico_usd=_would_be(shadowed, tiers),
        shadow_pico_usd=_cost(shadowed),
        **_good(routed, calibration, by_run(labels or {}), scale),
    )


def _is_priced(record: UsageRecord) -> bool:
    """Whether a model answered, with tokens and a price."""
    has_price = record.usage is not None and record.cost_pico_usd is not None
    return has_price and not record.cache_hit


def _cost(records: Iterable[UsageRecord]) -> int:
    return sum(record.cost_pico_usd or 0 for record in records)


def _good(
    routed: Sequence[UsageRecord],
    calibration: Calibration | None,
    labels: Mapping[str, Any],
    scale: Scale | None,
) -> dict[str, Any]:
    """Answers that were good, and what calibration expects of the same answers."""
    answered = [record for record in routed if record.status != "error"]
    found = [
        (record, label)
        for record in answered
        if (label := read_label(labels.get(record.run_id), f"Run {record.run_id}")) is not None
    ]
    values = on_scale([label for _, label in found], scale)
    judged = [record for record, _ in found] or answered
    expected = [
        calibration.quality(record.route.tier, record.route.score)
        for record in judged
        if calibration is not None
        and record.route is not None
        and is_by_scorer(record.route)
        and record.route.tier in calibration.tiers
    ]
    return {
        "labelled": len(values),
        "observed_good": fmean(values) if values else None,
        "expected_good": fmean(expected) if expected else None,
    }


def _mix(counts: Mapping[str, int], tiers: Sequence[Tier]) -> dict[str, int]:
    """Counts in the router's order, and those of other routers' tiers after them."""
    return {**{tier.name: counts.get(tier.name, 0) for tier in tiers}, **counts}


def _would_be(records: Sequence[UsageRecord], tiers: Sequence[Tier]) -> int | None:
    """What calls in shadow mode would cost with the policy's tiers; None if one has no price."""
    prices = {tier.name: tier.price for tier in tiers}
    total = 0
    for record in records:
        shadow = record.route and record.route.shadow
        cost = _alone(prices.get(shadow or ""), [record])
        if cost is None:
            return None
        total += cost
    return total


def _alone(price: ModelPrice | None, records: Sequence[UsageRecord]) -> int | None:
    """What calls would cost at one price; None if one of them has no cost."""
    if price is None:
        return None
    total = 0
    for record in records:
        cost = price.cost(record.usage or TokenUsage())
        if cost is None and record.usage is not None:
            cost = price.cost(_uncached(record.usage))
        if cost is None:
            return None
        total += cost
    return total


def _uncached(usage: TokenUsage) -> TokenUsage:
    """The same tokens for a model without a prompt cache: it reads them all anew."""
    cached = usage.cache_read + usage.cache_write_5m + usage.cache_write_1h
    return replace(
        usage, input=usage.input + cached, cache_read=0, cache_write_5m=0, cache_write_1h=0
    )
