"""The savings as a waterfall: what calls would have cost, and which step saved how much."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from langchain_bedrock_opt.catalog.price_book import PriceBook, default_prices
from langchain_bedrock_opt.contracts import UsageRecord
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.usage.reporting.counterfactual import (
    as_plain,
    counterfactual_cost,
    price_there,
)
from langchain_bedrock_opt.usage.reporting.totals import (
    is_provisioned,
    is_unpriced,
    list_pico_usd,
    uncached_pico_usd,
)

STEPS: Final = ("routing", "response cache", "prompt cache", "batch", "service tier")
"""What saves, in the order of the waterfall."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waterfall:
    """From what calls would have cost to what they cost: `without - sum(saved) == actual`.

    Money is in 10⁻¹² US dollars, exact.

    Attributes:
        without_pico_usd: What the calls would have cost with none of the steps.
        saved_pico_usd: What each step saved, by its name in the order of `STEPS`; negative where
            it cost more, such as the `priority` tier or cache writes that nobody read.
        actual_pico_usd: What they cost.
        baseline: The model that would have answered in place of the routed ones; None if no call
            was routed or no such model has a price.
        replaced_pico_usd: What answers cost that were not good enough, so that a stronger tier
            was asked too. Already taken from what `routing` saved.
        left_out_calls: Calls that are not in here, since they have no price or run on capacity
            that is paid by the hour.
        uncompared_calls: Routed calls that count as not routed, since the baseline has no price
            for them, such as in their region or for a prompt as long as theirs.
    """

    without_pico_usd: int
    saved_pico_usd: dict[str, int]
    actual_pico_usd: int
    baseline: str | None = None
    replaced_pico_usd: int = 0
    left_out_calls: int = 0
    uncompared_calls: int = 0

    @property
    def total_saved_pico_usd(self) -> int:
        """What all steps together saved."""
        return self.without_pico_usd - self.actual_pico_usd


def waterfall(
    records: Sequence[UsageRecord], *, baseline: str | None = None, prices: PriceBook | None = None
) -> Waterfall:
    """Split up what was saved.

    A routed call is compared with the same tokens on the baseline model, at its price in the
    call's region. This is an estimate: another model splits a text into another number of tokens.
    A call that was not routed would have gone to its own model.

    Args:
        records: Any records.
        baseline: The model that routed calls would have gone to without a router; by default the
            one among the routes on which they would have cost the most.
        prices: Where prices come from; by default the process's own book.

    Raises:
        ConfigurationError: The baseline has no price.

    Example:
        >>> waterfall([]).total_saved_pico_usd
        0
    """
    prices = prices or default_prices()
    counted = [record for record in records if _is_counted(record)]
    replaced = _replaced(records)
    answers = [record for record in counted if record.route and not replaced(record)]
    baseline = _checked(baseline, answers, prices) or _dearest(answers, prices)
    saved = dict.fromkeys(STEPS, 0)
    actual = lost = uncompared = 0
    for record in counted:
        cost, listed = record.cost_pico_usd or 0, list_pico_usd(record) or 0
        uncached, hit = uncached_pico_usd(record) or 0, record.saved_pico_usd or 0
        actual += cost
        saved["batch" if record.price_tier == "batch" else "service tier"] += listed - cost
        saved["prompt cache"] += uncached - listed
        saved["response cache"] += hit
        if record.route is not None and baseline is not None:
            if replaced(record):
                # Without a router nobody would have asked the tier whose answer was no good.
                saved["routing"] -= uncached + hit
                lost += cost
            elif (elsewhere := _on(baseline, record, prices)) is None:
                uncompared += 1
            elif record.route.model_id != baseline:
                saved["routing"] += elsewhere - uncached - hit
    return Waterfall(
        without_pico_usd=actual + sum(saved.values()),
        saved_pico_usd=saved,
        actual_pico_usd=actual,
        baseline=baseline,
        replaced_pico_usd=lost,
        left_out_calls=sum(is_unpriced(record) or is_provisioned(record) for record in records),
        uncompared_calls=uncompared,
    )


def _is_counted(record: UsageRecord) -> bool:
    return record.cost_pico_usd is not None and not is_provisioned(record)


def _replaced(records: Iterable[UsageRecord]) -> Callable[[UsageRecord], bool]:
    """The test for runs that others stand in for."""
    by_name = {
        record.route.replaces: record.run_id
        for record in records
        # Where the other one failed, the first answer was given after all.
        if record.route is not None and record.route.replaces and record.status != "error"
    }

    def is_replaced(record: UsageRecord) -> bool:
        # With structured output the run around the model's is named.
        for name in (record.run_id, record.parent_run_id):
            if name is not None and by_name.get(name, record.run_id) != record.run_id:
                return True
        return False

    return is_replaced


def _checked(baseline: str | None, answers: Sequence[UsageRecord], prices: PriceBook) -> str | None:
    if (
        baseline is not None
        and prices.price_of(baseline) is None
        and all(price_there(baseline, record, prices) is None for record in answers)
    ):
        raise ConfigurationError(
            f"baseline={baseline!r} has no price: name a model that has one, or give "
            "prices=PriceBook(…) that knows it."
        )
    return baseline


def _dearest(answers: Sequence[UsageRecord], prices: PriceBook) -> str | None:
    """The model among the routes on which these calls would have cost the most."""
    models = dict.fromkeys(record.route.model_id for record in answers if record.route)
    costs = {model: counterfactual_cost(answers, model, prices=prices) for model in models}
    known = {model: cost for model, cost in costs.items() if cost is not None}
    return max(known, key=known.__getitem__, default=None)


def _on(model_id: str, record: UsageRecord, prices: PriceBook) -> int | None:
    """What a call would have cost on another model: without a prompt cache, if it was made.

    What a hit saved is compared as it would have been paid, prompt cache included.
    """
    price = price_there(model_id, record, prices)
    if price is None:
        return None
    spent = 0 if record.usage is None else price.cost(as_plain(record.usage))
    saved = price.cost(record.saved)
    if saved is None:
        saved = price.cost(as_plain(record.saved))
    return None if spent is None or saved is None else spent + saved
