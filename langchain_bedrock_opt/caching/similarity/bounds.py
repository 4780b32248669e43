"""How many errors there can be, given how many were seen: exact binomial bounds."""

from __future__ import annotations

from math import exp, lgamma, log, log1p
from typing import Final

_STEPS: Final = 300
_PRECISE: Final = 1e-12
_TINY: Final = 1e-300


def upper_bound(errors: float, trials: float, confidence: float) -> float:
    """The Clopper-Pearson upper bound on an error rate.

    Args:
        errors: The errors seen; a fraction where trials are weighted.
        trials: How often it was tried.
        confidence: How sure the bound has to be, such as 0.9.

    Returns:
        A rate that the true one exceeds with a probability of at most 1 - `confidence`.

    Example:
        >>> round(upper_bound(0, 100, 0.9), 4), round(upper_bound(2, 100, 0.9), 4)
        (0.0228, 0.0523)
    """
    if errors >= trials:
        return 1.0
    low, high = 0.0, 1.0
    while high - low > 1e-6:  # noqa: PLR2004 - far below what matters
        middle = (low + high) / 2
        if at_most(errors, trials, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def at_most(errors: float, trials: float, rate: float) -> float:
    """The probability of so few errors: the binomial distribution function.

    Args:
        errors: The errors seen; may be a fraction.
        trials: How often it was tried; may be a fraction.
        rate: The true error rate.

    Example:
        >>> round(at_most(1, 3, 0.5), 6)
        0.5
    """
    if errors < 0:
        return 0.0
    if errors >= trials:
        return 1.0
    return _beta_share(trials - errors, errors + 1, 1 - rate)


def _beta_share(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function, by its continued fraction (Lentz's method)."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    if x > (a + 1) / (a + b + 2):  # the other tail converges faster
        return 1.0 - _beta_share(b, a, 1 - x)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) / a
    c, d = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    fraction = d
    for step in range(1, _STEPS):
        for term in (
            step * (b - step) * x / ((a + 2 * step - 1) * (a + 2 * step)),
            -(a + step) * (a + b + step) * x / ((a + 2 * step) * (a + 2 * step + 1)),
        ):
            d = 1 / _away_from_zero(1 + term * d)
            c = _away_from_zero(1 + term / c)
            fraction *= c * d
        if abs(c * d - 1) < _PRECISE:
            break
    return front * fraction


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
