"""Count, sum, minimum and maximum of whole numbers, exact in any order."""

from __future__ import annotations

from dataclasses import dataclass


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
        if not self.count or value < self.minimum:
            self.minimum = value
        if not self.count or value > self.maximum:
            self.maximum = value
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
