"""The windows of a budget: hours, days and months in UTC, or one without an end."""

from __future__ import annotations

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
        ends_at: When the next one begins, in UTC; None if it has no end.
    """

    label: str
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
        return Window(label="all", ends_at=None)
    if per not in _WINDOWS:
        raise ConfigurationError(f"per={per!r}: give 'hour', 'day', 'month', or None for one sum.")
    form, end_after = _WINDOWS[per]
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return Window(label=moment.strftime(form), ends_at=end_after(moment, midnight))


def _next_month(_moment: datetime, midnight: datetime) -> datetime:
    # The 1st and 32 days is always in the next month.
    return (midnight.replace(day=1) + timedelta(days=32)).replace(day=1)


_WINDOWS: Final[dict[str, tuple[str, Callable[[datetime, datetime], datetime]]]] = {
    "hour": (
        "%Y-%m-%dT%H",
        lambda moment, midnight: midnight + timedelta(hours=moment.hour + 1),
    ),
    "day": ("%Y-%m-%d", lambda _moment, midnight: midnight + timedelta(days=1)),
    "month": ("%Y-%m", _next_month),
}
