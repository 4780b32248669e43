"""How many series there may be: each costs as much on the AWS bill as a million calls' metrics."""

from __future__ import annotations

from typing import Final

from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.usage.cloudwatch.dimensions import OTHER

MAX_SERIES: Final = 2000
"""The most series that one process may be allowed."""

_CANDIDATES: Final = 5  # counted values for each one that gets a name


class TopValues:
    """Which values of a dimension get a name of their own: the most frequent ones.

    The first `size` values get one. Others are counted beside them in a bounded table (the
    space-saving algorithm): one that is for sure more frequent than the rarest with a name takes
    its place.

    Args:
        size: How many have a name at once.

    Example:
        >>> top = TopValues(1)
        >>> [top.name_of(tenant) for tenant in ("a", "b", "b", "b")]
        ['a', '__other__', 'b', 'b']
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._named: dict[str, int] = {}
        # Count, and how much of it may be another value's whose place was taken.
        self._counted: dict[str, tuple[int, int]] = {}

    def name_of(self, value: str) -> str:
        """Count a value once more; the value itself if it has a name, else `__other__`."""
        count = self._named.get(value)
        if count is not None or len(self._named) < self._size:
            self._named[value] = (count or 0) + 1
            return value
        count, error = self._count(value)
        rarest = min(self._named, key=self._named.__getitem__)
        if count - error <= self._named[rarest]:
            return OTHER
        del self._counted[value]
        self._counted[rarest] = (self._named.pop(rarest), 0)
        self._named[value] = count
        return value

    def _count(self, value: str) -> tuple[int, int]:
        count, error = self._counted.get(value, (0, 0))
        if not count and len(self._counted) >= self._size * _CANDIDATES:
            rarest = min(self._counted, key=self._counted.__getitem__)
            count = error = self._counted.pop(rarest)[0]
        self._counted[value] = (count + 1, error)
        return count + 1, error


class SeriesCap:
    """Gives each combination of dimension values its series while there are any left.

    Args:
        limit: The most series. A combination takes as many as it may have metrics.

    Raises:
        ConfigurationError: The limit is not from 1 to `MAX_SERIES`.
    """

    def __init__(self, limit: int) -> None:
        if not 1 <= limit <= MAX_SERIES:
            raise ConfigurationError(
                f"max_series={limit!r} must be from 1 to {MAX_SERIES}: each series is a custom "
                "metric on the AWS bill."
            )
        self.limit = limit
        self.used = 0

    def take(self, series: int) -> bool:
        """Whether there were so many series left; they are taken then."""
        if self.used + series > self.limit:
            return False
        self.used += series
        return True
