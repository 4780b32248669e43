"""Sums and distributions of whole numbers, exact in any order."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

PERCENTILE_ERROR: Final = 0.01
"""How far a percentile of a `Distribution` may be from the true one, relative to it."""

# One bucket is as wide as the error allows: all its values stand for each other.
_BUCKETS_PER_UNIT: Final = 1 / math.log1p(PERCENTILE_ERROR)
# Below this, neighbouring whole numbers are further apart than a bucket is wide.
_EXACT_BELOW: Final = 100


@dataclass(slots=True)
class Aggregate:
    """A statistic set of whole numbers.

    Attributes:
        count: How many values.
        total: Their sum.
        minimum: The smallest; 0 while there is none.
        maximum: The greatest; 0 while there is none.

    Example:
        >>> parts = Aggregate(), Aggregate()
        >>> parts[0].add(3), parts[1].add(5), parts[0].merge(parts[1])
        (None, None, None)
        >>> parts[0]
        Aggregate(count=2, total=8, minimum=3, maximum=5)
    """

    count: int = 0
    total: int = 0
    minimum: int = 0
    maximum: int = 0

    def add(self, value: int) -> None:
        """Take one more value."""
        if self.count:
            if value < self.minimum:
                self.minimum = value
            elif value > self.maximum:
                self.maximum = value
        else:
            self.minimum = self.maximum = value
        self.count += 1
        self.total += value

    def merge(self, other: Aggregate) -> None:
        """Take all values of another aggregate."""
        if not other.count:
            return
        if not self.count or other.minimum < self.minimum:
            self.minimum = other.minimum
        if not self.count or other.maximum > self.maximum:
            self.maximum = other.maximum
        self.count += other.count
        self.total += other.total


@dataclass(slots=True)
class Distribution(Aggregate):
    """Whole numbers from 0 up in logarithmic buckets, for percentiles.

    Count, sum, minimum and maximum are exact; a percentile is at most `PERCENTILE_ERROR` off.

    Attributes:
        buckets: Count and sum of the values in each bucket.

    Example:
        >>> latencies = Distribution()
        >>> for value in (70, 1000, 1003, 1006, 90_000):
        ...     latencies.add(value)
        >>> list(latencies.values())
        [(70, 1), (1003, 3), (90000, 1)]
    """

    buckets: dict[int, list[int]] = field(default_factory=dict)

    def add(self, value: int) -> None:
        """Take one more value; one below 0 (a clock that was set back) counts as 0."""
        value = max(value, 0)
        Aggregate.add(self, value)
        bucket = value if value < _EXACT_BELOW else int(math.log(value) * _BUCKETS_PER_UNIT)
        entry = self.buckets.get(bucket)
        if entry is None:
            self.buckets[bucket] = [1, value]
        else:
            entry[0] += 1
            entry[1] += value

    def merge(self, other: Aggregate) -> None:
        """Take all values of another distribution."""
        Aggregate.merge(self, other)
        if not isinstance(other, Distribution):
            raise TypeError("values without buckets can't be merged into a distribution")
        for bucket, (count, total) in other.buckets.items():
            entry = self.buckets.setdefault(bucket, [0, 0])
            entry[0] += count
            entry[1] += total

    def values(self) -> Iterator[tuple[int, int]]:
        """Values and how often each stands, in ascending order, with the exact sum and extremes.

        The smallest and the greatest value stand for themselves. Any other bucket is its mean;
        where that is no whole number, some are the one below it and the rest the one above, so
        that nothing is lost to rounding.
        """
        if not self.count:
            return
        low, high = self.minimum, self.maximum
        counts: dict[int, int] = {low: 1}
        if self.count > 1:
            counts[high] = counts.get(high, 0) + 1
        ordered = sorted(self.buckets)
        for bucket in ordered:
            count, total = self.buckets[bucket]
            if bucket == ordered[0]:
                count, total = count - 1, total - low
            if bucket == ordered[-1] and self.count > 1:
                count, total = count - 1, total - high
            if count:
                mean, above = divmod(total, count)
                counts[mean] = counts.get(mean, 0) + count - above
                if above:
                    counts[mean + 1] = counts.get(mean + 1, 0) + above
        yield from sorted((value, count) for value, count in counts.items() if count)
