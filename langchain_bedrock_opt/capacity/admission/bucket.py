"""`MinuteBucket`: how much of a limit a minute may be taken now. It waits for nobody itself."""

from __future__ import annotations

from typing import Final

MINUTE: Final = 60.0

_HAIR: Final = 1e-6
"""What the rounding of times may come to, in tokens: nobody waits for it."""


class MinuteBucket:
    """A bucket that fills evenly and holds a few seconds' worth, beside the sum of a minute.

    The bucket spreads what is sent, since nobody says how Bedrock's minutes lie; the sum keeps
    any minute, wherever it begins, within the limit, also the first one after a lull. It is
    kept by the second, so that a busy quota costs no more than an idle one.

    Args:
        limit: What may be taken in a minute.
        share: The share of the limit that the bucket fills at.
        burst_seconds: For how many seconds' worth it has room.
        now: The time, in seconds that only go forward.

    Example:
        >>> bucket = MinuteBucket(6000, share=1.0, burst_seconds=10, now=0.0)
        >>> bucket.wait_for(1000, 0.0)
        0.0
        >>> second = bucket.take(1000, 0.0)
        >>> bucket.wait_for(500, 0.0)  # 100 a second
        5.0
        >>> bucket.give(800, second, 0.0)  # it took 200 only
        >>> bucket.wait_for(500, 0.0)
        0.0
    """

    def __init__(self, limit: int, *, share: float, burst_seconds: float, now: float) -> None:
        self.limit = limit
        self._rate = limit * share / MINUTE
        self._room = self._rate * burst_seconds
        self._level = self._room
        self._filled_at = now  # later than now while it is paused
        self._taken: dict[int, int] = {}  # by second, the oldest first
        self._in_minute = 0

    def wait_for(self, amount: int, now: float) -> float:
        """Seconds until so much may be taken, if nobody takes or gives anything until then.

        Args:
            amount: How much. What is more than fits is let through once all of it is free.
            now: The time.
        """
        self._advance(now)
        missing = min(amount, self._room) - self._level
        paused = self._filled_at - now
        filling = missing / self._rate if missing > _HAIR else 0.0
        return max(paused + filling, self._until_minute_has_room(amount, now))

    def take(self, amount: int, now: float) -> int:
        """Take so much, whether it is there or not.

        Returns:
            The second it is booked under, for `give`.
        """
        self._advance(now)
        self._level -= amount
        second = int(now)
        self._taken[second] = self._taken.get(second, 0) + amount
        self._in_minute += amount
        return second

    def give(self, amount: int, second: int, now: float) -> None:
        """Give back what was taken and not used; below zero, take what was used beyond it.

        Args:
            amount: How much.
            second: What `take` returned.
            now: The time.
        """
        self._advance(now)
        self._level = min(self._room, self._level + amount)
        if second in self._taken:  # else its minute is over
            self._taken[second] -= amount
            self._in_minute -= amount

    def pause(self, seconds: float, now: float) -> None:
        """Empty it, and fill it again only after so many seconds: Bedrock says it is empty."""
        self._advance(now)
        self._level = min(self._level, 0.0)
        self._filled_at = max(self._filled_at, now + seconds)

    def _advance(self, now: float) -> None:
        if now > self._filled_at:
            self._level = min(self._room, self._level + (now - self._filled_at) * self._rate)
            self._filled_at = now
        for second in [each for each in self._taken if _leaves_minute(each) <= now]:
            self._in_minute -= self._taken.pop(second)

    def _until_minute_has_room(self, amount: int, now: float) -> float:
        over = self._in_minute + min(amount, self.limit) - self.limit
        for second, taken in self._taken.items():
            if over <= 0:
                break
            over -= taken
            if over <= 0:
                return _leaves_minute(second) - now
        return 0.0


def _leaves_minute(second: int) -> float:
    """When the last moment of a second is a minute ago."""
    return second + 1 + MINUTE
