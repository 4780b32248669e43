"""The planner's choice beside a brute force in exact arithmetic, and what must always hold."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_bedrock_opt.capacity.planning import Load, full_unit_value, plan_throughput
from langchain_bedrock_opt.catalog.model_price import ModelPrice
from langchain_bedrock_opt.catalog.model_units import UnitCapacity, guide_capacity

SONNET = UnitCapacity(input_per_minute=180_000, output_per_minute=36_000)
PRICE = ("3", "15")
CAPACITIES = (
    SONNET,
    UnitCapacity(input_per_minute=400_000, output_per_minute=80_000),
    UnitCapacity(total_per_minute=300_000),
    UnitCapacity(input_per_minute=70_001, total_per_minute=90_007),
    UnitCapacity(output_per_minute=9_973),
)

Trace = Sequence[tuple[int, int]]


class BruteForce:
    """The cost of each number of units, in fractions of a dollar, from the definition."""

    def __init__(
        self,
        trace: Trace,
        capacity: UnitCapacity,
        rates: tuple[int, int],
        *,
        fill: Fraction = Fraction(1),
        growth: Fraction = Fraction(1),
    ) -> None:
        self.minutes: list[tuple[Fraction, Fraction]] = []
        for plain, output in trace:
            loads = (
                (plain, capacity.input_per_minute),
                (output, capacity.output_per_minute),
                (plain + output, capacity.total_per_minute),
            )
            units = max(Fraction(tokens, limit) for tokens, limit in loads if limit) / fill
            cost = Fraction(plain * rates[0] + output * rates[1], 10**6)
            self.minutes.append((units * growth, cost * growth))
        self.peak = ceil(max(units for units, _ in self.minutes))
        self._overflow = [self._left_after(units) for units in range(self.peak + 2)]

    def overflow(self, units: int) -> Fraction:
        """What is left for on-demand, in dollars an hour."""
        return self._overflow[units]

    def _left_after(self, units: int) -> Fraction:
        left = Fraction(0)
        for filled, cost in self.minutes:
            if not units:
                left += cost
            elif filled > units:
                left += cost * (filled - units) / filled
        return left * 60 / len(self.minutes)

    def best(self, price: Fraction) -> int:
        """The cheapest number of units; the smallest, if there are several."""
        return min(
            range(self.peak + 2), key=lambda units: (units * price + self.overflow(units), units)
        )


def random_trace(random: np.random.Generator) -> list[tuple[int, int]]:
    """A few minutes: bursts and lulls, now and then equal minutes or just full units."""
    minutes = int(random.integers(1, 14))
    scale = random.choice([30_000, 150_000, 600_000])
    if random.random() < 0.3:
        grain = int(random.choice([9_000, 36_000]))
        levels = random.integers(0, 9, (minutes, 2)) * (5 * grain, grain)
        return [(int(plain), int(output)) for plain, output in levels]
    plain = random.gamma(1.5, scale, minutes)
    output = plain * random.random(minutes) * 0.5
    return [(int(a), int(b)) for a, b in zip(plain, output, strict=True)]


def near(random: np.random.Generator, force: BruteForce) -> Fraction:
    """A price: any, or just what some unit is worth, or a hair beside that."""
    if random.random() < 0.4:
        return Fraction(int(random.integers(1, 90)))
    unit = int(random.integers(0, force.peak + 1))
    worth = force.overflow(unit) - force.overflow(unit + 1)
    hair = 1 + Fraction(int(random.integers(-1, 2)), 10**18)
    return worth * hair or Fraction(1)


def test_a_thousand_random_traces_are_planned_as_brute_force_would() -> None:
    """On 1,000 traces the choice is that of trying each number in exact arithmetic, ties too."""
    random = np.random.default_rng(20261122)
    bought = ties = 0
    for _ in range(1000):
        trace = random_trace(random)
        capacity = CAPACITIES[random.integers(len(CAPACITIES))]
        headroom = Fraction(int(random.choice([0, 0, 1, 3])), 10)
        rates = (int(random.integers(1, 20)), int(random.integers(1, 80)))
        growth = Fraction(int(random.choice([10, 10, 13, 7])), 10)
        force = BruteForce(trace, capacity, rates, fill=1 - headroom, growth=growth)
        price = near(random, force)

        plan = plan_throughput(trace, capacity, price, rates, headroom=headroom, growth=growth)

        best = force.best(price)
        assert plan.units == best, (trace, capacity, price, rates, headroom, growth)
        exact = float(best * price + force.overflow(best))
        assert float(plan.hourly_cost) == pytest.approx(exact, rel=1e-9, abs=2e-6)
        bought += best > 0
        ties += force.overflow(best) - force.overflow(best + 1) == price

    assert bought > 300
    assert ties > 50


def test_every_row_is_what_brute_force_makes_of_it() -> None:
    """The cost of each number of units is that of the definition, not only the best one's."""
    random = np.random.default_rng(3)
    trace = random_trace(random)
    force = BruteForce(trace, SONNET, (3, 15))

    plan = plan_throughput(trace, SONNET, 20, PRICE)

    assert len(plan.rows) == force.peak + 1
    for row in plan.rows:
        assert float(row.overflow_cost) == pytest.approx(float(force.overflow(row.units)), abs=1e-6)
        assert row.hourly_cost == row.units_cost + row.overflow_cost
        assert row.units_cost == 20 * row.units


minutes = st.lists(
    st.tuples(st.integers(0, 900_000), st.integers(0, 200_000)), min_size=1, max_size=15
)


@settings(max_examples=50, deadline=None)
@given(minutes, st.integers(1, 60), st.integers(1, 60))
def test_dearer_units_are_never_bought_more_of(trace: Trace, one: int, other: int) -> None:
    """A higher price of a unit never leads to more units, nor to a cheaper plan."""
    low, high = sorted((one, other))

    cheap, dear = (plan_throughput(trace, SONNET, price, PRICE) for price in (low, high))

    assert cheap.units >= dear.units
    assert cheap.hourly_cost <= dear.hourly_cost <= dear.on_demand_hourly


@settings(max_examples=50, deadline=None)
@given(minutes, st.integers(1, 60))
def test_each_further_unit_saves_no_more_than_the_one_before(trace: Trace, price: int) -> None:
    """What a unit saves and what overflows fall with each unit, so the cost is convex."""
    rows = plan_throughput(trace, SONNET, price, PRICE).rows

    saved = [float(row.unit_value or 0) for row in rows[1:]]
    over = [row.overflow_share for row in rows]
    assert all(a >= b - 2e-6 for a, b in pairwise(saved))
    assert all(a >= b for a, b in pairwise(over))
    assert rows[-1].overflow_cost == 0
    assert all(0 <= (row.utilisation or 0) <= 1 for row in rows)


@settings(max_examples=30, deadline=None)
@given(minutes, st.integers(1, 60))
def test_the_break_even_price_is_where_the_choice_turns(trace: Trace, price: int) -> None:
    """Below the break-even price a unit is bought, above it none is."""
    turn = plan_throughput(trace, SONNET, price, PRICE).break_even.unit_price

    below, above = turn - Decimal("0.00001"), turn + Decimal("0.00001")
    assert plan_throughput(trace, SONNET, above, PRICE).units == 0
    if below > 0:
        assert plan_throughput(trace, SONNET, below, PRICE).units > 0


def test_the_examples_of_the_guide_come_to_their_known_worth() -> None:
    """A full unit of the guide's Sonnet is worth $64.80 an hour on demand, one of Haiku $12."""
    sonnet = guide_capacity("anthropic.claude-3-sonnet-20240229-v1:0")
    haiku = guide_capacity("anthropic.claude-3-haiku-20240307-v1:0")
    titan = guide_capacity("amazon.titan-text-express-v1")
    assert sonnet
    assert haiku
    assert titan

    assert full_unit_value(sonnet, PRICE) == Decimal("64.80")
    assert full_unit_value(haiku, ("0.25", "1.25")) == Decimal("12.00")
    assert full_unit_value(titan, ("0.20", "0.60")) == Decimal("10.80")
    assert full_unit_value(UnitCapacity(output_per_minute=1000), PRICE) is None


def test_a_full_unit_at_its_own_worth_is_not_bought() -> None:
    """Where a unit saves just what it costs none is bought, and a cent less buys it."""
    full = [(180_000, 36_000)] * 10

    assert plan_throughput(full, SONNET, "64.80", PRICE).units == 0
    assert plan_throughput(full, SONNET, "64.79", PRICE).units == 1


def test_what_is_read_from_the_prompt_cache_makes_units_worth_less() -> None:
    """With 70 % of the input read from the cache a full unit displaces $44.39 an hour."""
    price = ModelPrice(
        input=3_000_000, output=15_000_000, cache_read=300_000, source="list", checked=""
    )
    cached = Load([54_000], [36_000], cache_read=[126_000])

    plan = plan_throughput(cached, SONNET, 40, price)
    weightless = plan_throughput(cached, SONNET, 40, price, cache_read_weight=0)

    assert plan.on_demand_hourly == Decimal("44.388")
    assert plan.break_even.unit_value == Decimal("44.388")
    assert plan.minute_units.tolist() == [1.0]
    assert weightless.minute_units.tolist() == [1.0]  # the answers fill it by themselves
    assert any("prompt cache" in note for note in plan.notes)


def test_what_takes_nothing_of_a_unit_is_served_by_the_first() -> None:
    """Prompts cost a unit nothing if only its answers are limited: one unit serves them all."""
    plan = plan_throughput([(1_000_000, 0)], UnitCapacity(output_per_minute=10), 100, PRICE)

    assert plan.units == 1
    assert plan.rows[1].overflow_cost == 0
    assert plan.break_even.unit_value is None


def test_a_long_load_at_the_edge_is_weighed_exactly() -> None:
    """A week of minutes that are worth just a unit's price buys none, at a hair less one."""
    week = np.tile([[60_000, 12_000], [120_000, 24_000], [180_000, 36_000]], (3360, 1))
    worth = Fraction("64.80") * 2 / 3

    assert plan_throughput(week, SONNET, worth, PRICE).units == 0
    assert plan_throughput(week, SONNET, worth * (1 - Fraction(1, 10**15)), PRICE).units == 1
