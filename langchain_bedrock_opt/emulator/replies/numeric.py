"""Numbers within the bounds of a JSON schema."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import ceil, floor
from typing import Any


def fit_number(schema: Mapping[str, Any], wanted: float | None, *, integer: bool) -> int | float:
    """The number nearest to the wanted one that a schema takes.

    Args:
        schema: Its `minimum`, `maximum`, `exclusive…` and `multipleOf` count.
        wanted: The number that is asked for; None for any.
        integer: Whether it must be whole.

    Example:
        >>> fit_number({"minimum": 1, "maximum": 10}, 25, integer=True)
        10
        >>> fit_number({"multipleOf": 0.25}, 1.3, integer=False)
        1.25
    """
    step = _exact(schema["multipleOf"]) if "multipleOf" in schema else None
    if integer:
        step = _whole_step(step)
    low, open_low = _bound(schema, "minimum", "exclusiveMinimum", max)
    high, open_high = _bound(schema, "maximum", "exclusiveMaximum", min)
    value = Fraction(1) if wanted is None else _exact(wanted)
    if step is not None:
        return _plain(_on_grid(value, step, (low, open_low), (high, open_high)))
    if low is not None and (value < low or (open_low and value == low)):
        value = low if not open_low else ((low + high) / 2 if high is not None else low + 1)
    if high is not None and (value > high or (open_high and value == high)):
        value = high if not open_high else ((low + high) / 2 if low is not None else high - 1)
    return _plain(value)


def _exact(number: float) -> Fraction:
    """The decimal that was written, not the binary fraction beside it."""
    return Fraction(str(number))


def _whole_step(step: Fraction | None) -> Fraction:
    """The step between whole numbers that are also multiples of the given step."""
    return Fraction(step.numerator) if step is not None else Fraction(1)


def _bound(
    schema: Mapping[str, Any], inclusive: str, exclusive: str, tighter: Any
) -> tuple[Fraction | None, bool]:
    """A bound and whether it is itself excluded; draft 4 wrote the latter as a flag."""
    limit, edge = schema.get(inclusive), schema.get(exclusive)
    if isinstance(edge, bool):
        return (None if limit is None else _exact(limit)), edge
    if edge is None:
        return (None if limit is None else _exact(limit)), False
    if limit is None or tighter(limit, edge) == edge:
        return _exact(edge), True
    return _exact(limit), False


def _on_grid(
    value: Fraction,
    step: Fraction,
    low: tuple[Fraction | None, bool],
    high: tuple[Fraction | None, bool],
) -> Fraction:
    n = round(value / step)
    limit, is_open = low
    if limit is not None:
        n = max(n, floor(limit / step) + 1 if is_open else ceil(limit / step))
    limit, is_open = high
    if limit is not None:
        n = min(n, ceil(limit / step) - 1 if is_open else floor(limit / step))
    return n * step


def _plain(value: Fraction) -> int | float:
    return int(value) if value.denominator == 1 else float(value)
