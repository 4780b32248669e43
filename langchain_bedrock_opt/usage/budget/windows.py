"""The windows of a budget: hours, days and months in UTC, or one without an end."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final, Literal

from langchain_bedrock_opt.errors import ConfigurationError

Per = Literal["hour", "day", "month"]
"""How long a window is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One window.

    Attributes:
        label: Its name, the same in every process: `2026-11-23`.
        begins: When it begins, in seconds since the epoch.
        ends: When the next one begins, likewise.
        ends_at: The same in UTC; None if it has no end.
    """

    label: str
    begins: float
    ends: float
    ends_at: datetime | None


def window_at(per: Per | None, seconds: float) -> Window:
    """The window that a moment is in.

    Args:
        per: How long windows are; None for one without an end.
        seconds: The moment, in seconds since the epoch.

    Raises:
        ConfigurationError: There are no such windows.

    Example:
        >>> window_at("month", 1_795_392_000).label
        '2026-11'
        >>> window_at("day", 1_795_392_000).ends_at.isoformat()
        '2026-11-24T00:00:00+00:00'
        >>> window_at(None, 0).label
        'all'
    """
    if per is None:
        return Window(label="all", begins=-math.inf, ends=math.inf, ends_at=None)
    if per not in _WINDOWS:
        raise ConfigurationError(f"per={per!r}: give 'hour', 'day', 'month', or None for one sum.")
    form, begins_and_ends = _WINDOWS[per]
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    begins_at, ends_at = begins_and_ends(moment.replace(minute=0, second=0, microsecond=0))
    return Window(
        label=moment.strftime(form),
        begins=begins_at.timestamp(),
        ends=ends_at.timestamp(),
        ends_at=ends_at,
    )


def _hour(hour: datetime) -> tuple[datetime, datetime]:
    return hour, hour + timedelta(hours=1)


def _day(hour: datetime) -> tuple[datetime, datetime]:
    midnight = hour.replace(hour=0)
    return midnight, midnight + timedelta(days=1)


def _month(hour: datetime) -> tuple[datetime, datetime]:
    first = hour.replace(day=1, hour=0)
    # The 1st and 32 days is always in the next month.
    return first, (first + timedelta(days=32)).replace(day=1)


_WINDOWS: Final[dict[str, tuple[str, Callable[[datetime], tuple[datetime, datetime]]]]] = {
    "hour": ("%Y-%m-%dT%H", _hour),
    "day": ("%Y-%m-%d", _day),
    "month": ("%Y-%m", _month),
}
