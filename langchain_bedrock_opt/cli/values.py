"""Values of the command line, checked: what `argparse` calls types."""

from __future__ import annotations

import argparse
import math
from datetime import datetime, timezone
from decimal import Decimal, InvalidOperation
from typing import Final

MAX_PORT: Final = 65_535


def cap(text: str) -> Decimal | None:
    """`0.5` → half a dollar; `none` → no cap."""
    if text.lower() == "none":
        return None
    try:
        amount = Decimal(text.removeprefix("$"))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is neither an amount in US dollars nor `none`")
    return amount


def amount(text: str) -> Decimal:
    """An amount in US dollars, above 0."""
    given = cap(text)
    if not given:
        raise argparse.ArgumentTypeError(f"{text!r} is not an amount in US dollars above 0")
    return given


def moment(text: str) -> datetime:
    """A date or a time in ISO 8601; in UTC unless it says otherwise."""
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no date or time: write 2026-11-22 or 2026-11-22T18:00"
        ) from None
    return given if given.tzinfo else given.replace(tzinfo=timezone.utc)


def positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def speed(text: str) -> float:
    """A number above 0."""
    given = _number(text)
    if not 0 < given < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0; 10 is ten times life")
    return given


def lifetime(text: str) -> float:
    """A time in seconds, above 0."""
    given = _number(text)
    if not 0 < given < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return given


def seconds(text: str) -> float:
    """A time in seconds; 0 for none."""
    given = _number(text)
    if not 0 <= given < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return given


def number(text: str) -> float:
    """A number of 0 or more."""
    given = _number(text)
    if not 0 <= given < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 0 or more")
    return given


def pair(text: str) -> tuple[str, str]:
    """A name and a value, `team=search`."""
    name, sign, value = text.partition("=")
    if not name or not sign:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form KEY=VALUE")
    return name, value


def port(text: str) -> int:
    """A TCP port; 0 for any that is free."""
    if not text.isascii() or not text.isdigit() or int(text) > MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to {MAX_PORT}")
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
