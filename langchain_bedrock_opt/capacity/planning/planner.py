"""`plan_throughput`: from tokens a minute to the number of units that cost the least."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from langchain_bedrock_opt.capacity.planning.load import AnyLoad, as_load
from langchain_bedrock_opt.capacity.planning.marginal import Shares, shares, units_that_pay
from langchain_bedrock_opt.capacity.planning.plan import (
    BreakEven,
    Commitment,
    PlanOption,
    PlanRow,
    ThroughputPlan,
)
from langchain_bedrock_opt.capacity.planning.terms import (
    Number,
    Terms,
    TokenPrice,
    at_least,
    dollars,
    token_rates,
)
from langchain_bedrock_opt.catalog.model_price import PICO_PER_USD, ModelPrice
from langchain_bedrock_opt.catalog.model_units import UnitCapacity
from langchain_bedrock_opt.errors import ConfigurationError

_COMMITMENTS: Final[tuple[Commitment | None, ...]] = (None, "OneMonth", "SixMonths")
_MINUTES_AN_HOUR: Final = 60
_CACHE_READS: Final = 2  # the column of a load's tokens
_TOUCHING: Final = 1 + 1e-12
"""A minute that fills its units to the edge is not over it, however its float was rounded."""


def plan_throughput(
    load: AnyLoad,
    unit_capacity: UnitCapacity,
    unit_price: Number | Mapping[Commitment | None, Number],
    on_demand_price: TokenPrice | None,
    *,
    headroom: Number = 0,
    growth: Number = 1,
    cache_read_weight: Number = 1,
    min_commitment_days: float = 14,
    max_units: int = 1000,
) -> ThroughputPlan:
    """Find the number of model units that costs the least, with the rest on demand.

    A unit is bought if what it takes off on-demand costs more than the unit does: each minute
    fills the first unit, then the second, and so on, and what fits into none overflows to
    on-demand (as the package's overflow lane sends it, see below). Sizing for a high percentile
    instead buys units that stand idle most of the time; `plan.sized_for(95)` says what that would
    cost.

    Nobody but AWS's account manager knows an account's capacities and unit prices, so both are
    inputs; `catalog.model_units.guide_capacity` has examples.

    A minute here fills its units to the edge. `Overflow` does not know when there is room again,
    and tries every `probe_after` seconds: up to so many seconds after each minute that was over
    its units, 5 by default, go on-demand as well. When AWS's own minutes begin is unverified.

    Args:
        load: Usage records, such as `ledger.records()`; pairs of input and output tokens, one a
            minute; or a `Load`. See `minute_load` for records of several models.
        unit_capacity: What one unit can take in a minute.
        unit_price: US dollars an hour of one unit; or such prices by commitment, None,
            "OneMonth" or "SixMonths".
        on_demand_price: The model's row of the price book, such as `price_of(model_id)`, or US
            dollars a million tokens of input and of output.
        headroom: The share of each unit to keep free, such as 0.2, for what happens within a
            minute. 0 fills units to the edge, which suits calls that overflow when throttled.
        growth: By how much to multiply the load, such as 1.5.
        cache_read_weight: How much of a unit's input a token read from the prompt cache takes,
            from 0 to 1. What AWS counts is unverified; 1 is the careful side.
        min_commitment_days: The least days of load that a commitment may rest on.
        max_units: The most units to look at.

    Returns:
        The plan. Where the next unit would save just what it costs, it is not bought.

    Raises:
        ConfigurationError: The load is empty, of several models or not of numbers from 0 up; a
            price or a kind of tokens has no price; or another argument is out of its range.

    Example:
        Half a day at a quarter of a unit and half a day at one and a half:

        >>> sonnet = UnitCapacity(input_per_minute=180_000, output_per_minute=36_000)
        >>> load = [(45_000, 9_000)] * 720 + [(270_000, 54_000)] * 720
        >>> plan = plan_throughput(load, sonnet, "35", ("3", "15"))
        >>> plan.units, plan.hourly_cost, plan.on_demand_hourly
        (1, Decimal('51.20'), Decimal('56.70'))
        >>> plan.sized_for(95).hourly_cost
        Decimal('70.00')
    """
    if not isinstance(max_units, int) or max_units < 1:
        raise ConfigurationError(f"max_units={max_units!r} must be a whole number from 1 up.")
    load = as_load(load)
    terms = Terms(
        load=load,
        capacity=_capacity(unit_capacity),
        rates=token_rates(on_demand_price, load),
        cache_read_weight=_weight(cache_read_weight),
        fill=_fill(headroom),
        growth=at_least(growth, 0, "growth", above=True),
    )
    weighed = _Weighed(terms, max_units)
    peak = weighed.units.max()
    options = [
        weighed.option(
            commitment, price, is_allowed=not commitment or load.days >= min_commitment_days
        )
        for commitment, price in _unit_prices(unit_price).items()
    ]
    # The lower price is never the dearer plan; `min` takes the shorter commitment of equal ones.
    allowed = [option for option in options if option.is_allowed] or options
    best = min(allowed, key=lambda option: option.price)
    units = best.units if best.is_allowed else 0
    rows = weighed.rows(best.price)
    return ThroughputPlan(
        units=units,
        commitment=best.commitment if units else None,
        unit_price=dollars(best.price),
        hourly_cost=rows[units].hourly_cost,
        on_demand_hourly=rows[0].hourly_cost,
        rows=rows,
        options=tuple(option.shown() for option in options),
        break_even=weighed.break_even(best.price),
        capacity=unit_capacity,
        headroom=float(1 - terms.fill),
        growth=float(terms.growth),
        minutes=load.minutes,
        start=load.start,
        notes=tuple(_notes(terms, options, on_demand_price, is_bounded=units == max_units < peak)),
        minute_units=weighed.units,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Option:
    """A `PlanOption` whose price is exact."""

    commitment: Commitment | None
    price: Fraction
    units: int
    hourly_cost: Decimal
    is_allowed: bool

    def shown(self) -> PlanOption:
        return PlanOption(
            commitment=self.commitment,
            unit_price=dollars(self.price),
            units=self.units,
            hourly_cost=self.hourly_cost,
            is_allowed=self.is_allowed,
        )


class _Weighed:
    """A load, split over the units that would take it."""

    def __init__(self, terms: Terms, max_units: int) -> None:
        self._terms = terms
        self._hours = Fraction(terms.load.minutes, _MINUTES_AN_HOUR)
        self._costs = terms.costs()
        self.units = terms.units()
        """How many units each minute fills."""
        self._most = min(max(1, ceil(self.units.max())), max_units)
        self._values = self._split(self._costs)
        self._over = self._values.left_after()
        self._tokens = terms.load.tokens.sum(axis=1)

    def option(
        self, commitment: Commitment | None, price: Fraction, *, is_allowed: bool
    ) -> _Option:
        """The best number of units at a price."""
        whole = price * PICO_PER_USD * self._hours
        units = units_that_pay(self._terms, self._values, whole)
        return _Option(
            commitment=commitment,
            price=price,
            units=units,
            hourly_cost=self._cost(price, units),
            is_allowed=is_allowed,
        )

    def rows(self, price: Fraction) -> tuple[PlanRow, ...]:
        """What each number of units comes to at a price."""
        tokens_over = self._split(self._tokens.astype(np.float64)).left_after()
        in_use = np.cumsum(self._split(self.units).by_unit) * float(self._terms.fill)
        minutes, tokens = self._terms.load.minutes, tokens_over[0]
        ordered = np.sort(self.units)

        def row(units: int) -> PlanRow:
            fitting = np.searchsorted(ordered, units * _TOUCHING, side="right")
            if not units:
                fitting = np.count_nonzero(self._tokens == 0)
            return PlanRow(
                units=units,
                hourly_cost=self._cost(price, units),
                units_cost=dollars(price * units),
                overflow_cost=self._hourly(self._over[units]),
                overflow_share=float(tokens_over[units] / tokens) if tokens else 0.0,
                overflow_minutes=1 - int(fitting) / minutes,
                utilisation=float(in_use[units - 1]) / (units * minutes) if units else None,
                unit_value=self._hourly(self._values.by_unit[units - 1]) if units else None,
            )

        return tuple(map(row, range(self._most + 1)))

    def break_even(self, price: Fraction) -> BreakEven:
        """Where a unit begins to pay at a price."""
        filled = float(self.units.sum()) * float(self._terms.fill)
        value = None
        if filled:
            value = float(self._costs.sum()) / filled * _MINUTES_AN_HOUR / PICO_PER_USD
        return BreakEven(
            unit_value=None if value is None else dollars(value),
            utilisation=float(price) / value if value else None,
            unit_price=self._hourly(self._values.by_unit[0]),
        )

    def _cost(self, price: Fraction, units: int) -> Decimal:
        return dollars(dollars(price * units) + self._hourly(self._over[units]))

    def _split(self, amounts: NDArray[np.float64]) -> Shares:
        return shares(amounts, self.units, self._most)

    def _hourly(self, pico_usd: Any) -> Decimal:
        """An amount of the whole load, in US dollars an hour."""
        return dollars(float(pico_usd) / PICO_PER_USD / float(self._hours))


def _unit_prices(
    given: Number | Mapping[Commitment | None, Number],
) -> dict[Commitment | None, Fraction]:
    """Prices by commitment, the shortest first."""
    prices: Mapping[Commitment | None, Number]
    prices = given if isinstance(given, Mapping) else {None: given}
    unknown = [each for each in prices if each not in _COMMITMENTS]
    if unknown or not prices:
        raise ConfigurationError(
            f"unit_price={given!r}: give US dollars an hour, or such prices by None, 'OneMonth' "
            "or 'SixMonths'."
        )
    return {
        each: at_least(prices[each], 0, "unit_price", above=True)
        for each in _COMMITMENTS
        if each in prices
    }


def _capacity(given: UnitCapacity) -> UnitCapacity:
    if not isinstance(given, UnitCapacity):
        raise ConfigurationError(
            f"unit_capacity={given!r} is no UnitCapacity: pass what your account's units can "
            "take, or guide_capacity(model_id) as an example."
        )
    return given


def _fill(headroom: Number) -> Fraction:
    """The share of a unit that may be filled."""
    free = at_least(headroom, 0, "headroom")
    if free >= 1:
        raise ConfigurationError(f"headroom={headroom!r} must be below 1: it is a share.")
    return 1 - free


def _weight(given: Number) -> Fraction:
    weight = at_least(given, 0, "cache_read_weight")
    if weight > 1:
        raise ConfigurationError(f"cache_read_weight={given!r} must be from 0 to 1.")
    return weight


def _notes(
    terms: Terms, options: Sequence[_Option], price: TokenPrice | None, *, is_bounded: bool
) -> Iterator[str]:
    """What to know before buying."""
    refused = [str(option.commitment) for option in options if not option.is_allowed]
    if refused:
        yield (
            f"{terms.load.days:,.1f} days of load are too few to commit on, so "
            f"{' and '.join(refused)} did not count: min_commitment_days says how many it takes."
        )
    if is_bounded:
        yield "More units may pay: max_units says how many are looked at."
    if isinstance(price, ModelPrice) and price.steps:
        yield (
            f"On demand, prompts above {price.steps[0].above:,} tokens cost more than was reckoned "
            "here: units may be worth more."
        )
    if terms.load.tokens[:, _CACHE_READS].any():
        yield (
            f"A token read from the prompt cache was taken as {float(terms.cache_read_weight):g} "
            "of a token to a unit; how AWS counts it is unverified."
        )
