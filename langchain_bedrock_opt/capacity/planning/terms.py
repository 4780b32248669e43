"""What a unit can do and what units and tokens cost, as exact numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import lcm
from numbers import Integral, Rational
from operator import mul
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from langchain_bedrock_opt.capacity.planning.load import Load
from langchain_bedrock_opt.catalog.model_price import (
    KINDS,
    PICO_PER_TOKEN,
    PICO_PER_USD,
    ModelPrice,
)
from langchain_bedrock_opt.catalog.model_units import UnitCapacity
from langchain_bedrock_opt.errors import ConfigurationError

Number: TypeAlias = "str | int | float | Decimal | Fraction"
"""A number; a float is taken as it is written: 0.1 is a tenth."""

TokenPrice: TypeAlias = "ModelPrice | tuple[Number, Number]"
"""A row of the price book, or US dollars a million tokens of input and of output."""

_MINUTES_AN_HOUR: Final = 60
_MOST: Final = 10**6
"""Of what a user gives: with more, amounts of money would have more digits than decimals keep."""

_MICRO_USD: Final = Decimal("0.000001")


def exact(number: Any, what: str) -> Fraction:
    """A number as it was written, exact.

    Args:
        number: See `Number`.
        what: Its name, for the message.

    Raises:
        ConfigurationError: It is no number.

    Example:
        >>> exact(0.1, "growth"), exact("64.80", "price")
        (Fraction(1, 10), Fraction(324, 5))
    """
    if isinstance(number, float):
        number = str(number)
    elif isinstance(number, Integral):  # also numpy's
        number = int(number)
    try:
        if isinstance(number, str | Decimal | Rational):
            return Fraction(number)
    except (ValueError, ZeroDivisionError, OverflowError):
        pass
    raise ConfigurationError(f"{what}={number!r} is no number.")


def at_least(number: Any, least: int, what: str, *, above: bool = False) -> Fraction:
    """A number that is not below a bound, nor at it where it must be above, nor a typing error.

    Raises:
        ConfigurationError: It is no number, too small, or above a million.
    """
    value = exact(number, what)
    if value < least or (above and value == least):
        relation = "above" if above else "at least"
        raise ConfigurationError(f"{what}={number!r} must be {relation} {least}.")
    if value > _MOST:
        raise ConfigurationError(f"{what}={number!r} must be at most {_MOST:,}.")
    return value


def token_rates(price: TokenPrice | None, load: Load) -> tuple[Fraction, ...]:
    """What a token of each kind costs on demand, in pico-USD.

    Args:
        price: See `TokenPrice`; None, as `price_of` gives for an unknown model, is refused.
        load: What is to be priced: each kind in it needs a price.

    Raises:
        ConfigurationError: There is no price, or a kind of the load has none.
    """
    if isinstance(price, ModelPrice):
        rates = [getattr(price, kind) for kind in KINDS]
    else:
        try:
            plain, output = price  # type: ignore[misc] # None is refused just here
        except (TypeError, ValueError):
            raise ConfigurationError(
                f"on_demand_price={price!r} is no price: pass price_of(model_id), or US dollars a "
                "million tokens of input and output, such as ('3', '15')."
            ) from None
        rates = [
            at_least(amount, 0, f"the on-demand price of {kind}") * PICO_PER_TOKEN
            for kind, amount in (("input", plain), ("output", output))
        ]
        rates += [None] * (len(KINDS) - 2)
    for kind, rate, tokens in zip(KINDS, rates, load.tokens.sum(axis=0), strict=True):
        if rate is None and tokens:
            raise ConfigurationError(
                f"The load has {tokens:,} {kind} tokens and on_demand_price has no price for "
                "them: pass a ModelPrice, such as price_of(model_id), that has one."
            )
    if not rates[0] and not rates[1]:
        raise ConfigurationError(
            "on_demand_price is 0 a token: pass the price of the on-demand model, not of a "
            "provisioned one."
        )
    return tuple(Fraction(rate or 0) for rate in rates)


def full_unit_value(capacity: UnitCapacity, on_demand_price: TokenPrice) -> Decimal | None:
    """What an hour of one full unit would cost on demand, in US dollars.

    Full is full in both directions, as it hardly ever is: it is the most that a unit can be worth
    an hour. A unit that costs more never pays off.

    Args:
        capacity: What a unit can take.
        on_demand_price: A row of the price book, or US dollars a million tokens of input and of
            output.

    Returns:
        None if a kind of tokens has no limit.

    Raises:
        ConfigurationError: There is no price.

    Example:
        >>> sonnet = UnitCapacity(input_per_minute=180_000, output_per_minute=36_000)
        >>> full_unit_value(sonnet, ("3", "15"))
        Decimal('64.80')
    """
    rates = token_rates(on_demand_price, Load([0], [0]))
    limits = (capacity.input_per_minute, capacity.output_per_minute)
    left = capacity.total_per_minute
    value = Fraction(0)
    for rate, limit in sorted(zip(rates, limits, strict=False), key=lambda kind: -kind[0]):
        tokens = min((bound for bound in (limit, left) if bound is not None), default=None)
        if tokens is None:
            return None
        value += rate * tokens
        left = None if left is None else left - tokens
    return dollars(value * _MINUTES_AN_HOUR / PICO_PER_USD)


def dollars(amount: Decimal | Fraction | float) -> Decimal:
    """An amount of US dollars, rounded to a millionth and shown with cents at least.

    Example:
        >>> dollars(Fraction(1, 3)), dollars(12.0)
        (Decimal('0.333333'), Decimal('12.00'))
    """
    if isinstance(amount, Fraction):
        value = Decimal(amount.numerator) / Decimal(amount.denominator)
    else:
        value = Decimal(amount)
    value = value.quantize(_MICRO_USD)
    cents = value.quantize(Decimal("0.01"))
    return cents if cents == value else value.normalize()


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What there is to weigh: a load, what a unit takes of it, and what it costs on demand.

    Attributes:
        load: The load.
        capacity: What a unit can take.
        rates: Pico-USD a token on demand, by kind.
        cache_read_weight: How much of a unit's input a token from the prompt cache takes.
        fill: The share of a unit that may be filled.
        growth: By how much the load is multiplied.
    """

    load: Load
    capacity: UnitCapacity
    rates: tuple[Fraction, ...]
    cache_read_weight: Fraction
    fill: Fraction
    growth: Fraction

    def costs(self) -> NDArray[np.float64]:
        """What each minute costs on demand, in pico-USD."""
        rates = [float(rate * self.growth) for rate in self.rates]
        costs: NDArray[np.float64] = self.load.tokens @ np.asarray(rates)
        return costs

    def units(self) -> NDArray[np.float64]:
        """How many units each minute fills, to the share that may be filled."""
        bounds = [
            self.load.tokens @ np.asarray([float(weight) for weight in weights])
            for weights in self._weights()
        ]
        units: NDArray[np.float64] = np.max(bounds, axis=0)
        return units

    def exactly(self, minutes: Iterable[Sequence[int]]) -> Iterator[tuple[Fraction, Fraction]]:
        """What each minute costs on demand, in pico-USD, and how many units it fills.

        Args:
            minutes: The tokens of a minute, by kind.
        """
        # In whole numbers over one denominator: fractions of each token would take ten times as
        # long.
        rates, scale = _over_one_denominator([rate * self.growth for rate in self.rates])
        limits = [_over_one_denominator(weights) for weights in self._weights()]
        for tokens in minutes:
            cost = Fraction(sum(map(mul, rates, tokens)), scale)
            yield cost, max(Fraction(sum(map(mul, shares, tokens)), by) for shares, by in limits)

    def _weights(self) -> list[list[Fraction]]:
        """For each limit of a unit, the share of it that a token of each kind takes."""
        read, capacity = self.cache_read_weight, self.capacity
        limits = (
            ((1, 0, read, 1, 1), capacity.input_per_minute),
            ((0, 1, 0, 0, 0), capacity.output_per_minute),
            ((1, 1, read, 1, 1), capacity.total_per_minute),
        )
        return [
            [weight * self.growth / (limit * self.fill) for weight in weights]
            for weights, limit in limits
            if limit is not None
        ]


def _over_one_denominator(numbers: Sequence[Fraction]) -> tuple[list[int], int]:
    common = lcm(*(number.denominator for number in numbers))
    return [int(number * common) for number in numbers], common
