"""The marginal-unit rule: buy one more unit while it saves more than it costs.

A minute that fills `x` units and costs `c` on demand is worth `c/x` to each unit that it fills,
and less to the one that it fills in part. So what the k-th unit saves never rises with k, the
cost of n units is convex in n, and the first unit that does not pay ends the search.

All terms of a sum are at or above zero, so floats are wrong by a known, tiny share at most. A
unit whose saving lies that near its price is weighed again in whole numbers: the choice is that
of exact arithmetic, also where a unit pays for itself to the cent. That takes a moment for a week
of minutes, and half a minute for a year in which no two are alike.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from langchain_bedrock_opt.capacity.planning.terms import Terms

_ROUNDING: Final = 2.0**-50
"""Of a float that a few operations have led to, as a share: eight times the machine's own."""


@dataclass(frozen=True, slots=True)
class Shares:
    """How a sum over minutes falls to the units, the first to be filled first.

    Attributes:
        by_unit: What falls to the first unit, the second, ….
        beyond: What is left for on-demand after them all.
    """

    by_unit: NDArray[np.float64]
    beyond: float

    def left_after(self) -> NDArray[np.float64]:
        """What is left for on-demand with no unit, with one, ….

        Summed up from the small end: a difference to the whole would be rounding alone.
        """
        rising = np.cumsum(np.append(self.beyond, self.by_unit[::-1]))
        left: NDArray[np.float64] = rising[::-1]
        return left


def shares(amounts: NDArray[np.float64], units: NDArray[np.float64], most: int) -> Shares:
    """Split amounts over the units that their minutes fill.

    Args:
        amounts: An amount a minute, such as its cost on demand.
        units: How many units each minute fills.
        most: The number of units to look at, at least 1.
    """
    whole = np.minimum(units, most).astype(np.int64)
    each = np.divide(amounts, units, out=np.zeros_like(amounts), where=units > 0)
    # What fills no part of a unit, such as prompts where only answers are limited, is the first's.
    rest = np.where(units > 0, each * (units - whole), amounts)
    full = cast("NDArray[np.float64]", np.bincount(whole, each, most + 1))
    partly = cast("NDArray[np.float64]", np.bincount(whole, rest, most + 1))
    filled: NDArray[np.float64] = np.cumsum(full[::-1])[::-1]
    return Shares(filled[1:] + partly[:-1], float(partly[-1]))


def units_that_pay(terms: Terms, values: Shares, price: Fraction) -> int:
    """How many units save more than they cost.

    Args:
        terms: What there is to weigh.
        values: What falls to each unit of the load's cost on demand, in pico-USD.
        price: What one unit costs over the whole load, in pico-USD.
    """
    doubt = (terms.load.minutes + 16) * _ROUNDING * float(values.by_unit.sum() + values.beyond)
    difference = values.by_unit - float(price)
    sure = int(np.count_nonzero(difference > doubt))
    possible = int(np.count_nonzero(difference >= -doubt))
    if possible == sure:
        return sure
    rows = _Rows.of(terms)
    return bisect_left(
        range(possible), True, lo=sure, key=lambda unit: not rows.saves_more(unit + 1, price)
    )


@dataclass(frozen=True, slots=True)
class _Rows:
    """Minutes that are equal, once: how often, what one costs and how many units it fills."""

    rows: list[tuple[int, Fraction, Fraction]]

    @classmethod
    def of(cls, terms: Terms) -> _Rows:
        tokens, counts = np.unique(terms.load.tokens, axis=0, return_counts=True)
        exact = terms.exactly(tokens.tolist())
        return cls([(n, *minute) for n, minute in zip(counts.tolist(), exact, strict=True)])

    def saves_more(self, unit: int, price: Fraction) -> bool:
        """Whether a unit saves more than a price: exact."""
        sums: dict[int, int] = defaultdict(int)
        for times, cost, units in self.rows:
            if units >= unit:
                saved = times * cost / units
            elif units > unit - 1:
                saved = times * cost * (units - (unit - 1)) / units
            elif unit == 1:  # it fills no part of a unit
                saved = times * cost
            else:
                continue
            sums[saved.denominator] += saved.numerator
        numerator, denominator = _added(sums)
        return numerator * price.denominator > price.numerator * denominator


def _added(sums: dict[int, int]) -> tuple[int, int]:
    """The sum of fractions, not reduced: one by one it would take time quadratic in their number.

    Args:
        sums: Numerators by their denominator.
    """
    parts = [(numerator, denominator) for denominator, numerator in sums.items()]
    while len(parts) > 1:
        paired = [
            (a * d + c * b, b * d) for (a, b), (c, d) in zip(parts[::2], parts[1::2], strict=False)
        ]
        parts = paired + parts[2 * len(paired) :]
    return parts[0] if parts else (0, 1)
