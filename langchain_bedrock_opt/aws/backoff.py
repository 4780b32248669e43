"""Waits that grow, with jitter."""

from __future__ import annotations

import random as random_module
import time
from collections.abc import Callable


class Backoff:
    """Waits between tries of one thing, each about twice as long as the one before.

    Args:
        first: Seconds of the first wait, at most.
        longest: Seconds of any wait, at most.
        sleep: Waits for so many seconds.
        random: Numbers from 0 to 1, by which waits differ.

    Example:
        >>> backoff = Backoff(first=1, longest=3, sleep=print, random=lambda: 1.0)
        >>> backoff.pause(), backoff.pause(), backoff.pause()
        1.0
        2.0
        3.0
        (None, None, None)
    """

    def __init__(
        self,
        *,
        first: float,
        longest: float,
        sleep: Callable[[float], object] = time.sleep,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        self._first = first
        self._longest = longest
        self._sleep = sleep
        self._random = random
        self._next = first
        self.pauses = 0

    def pause(self) -> None:
        """Wait, and longer the next time."""
        # Between half and all of it, so that many callers don't come back at once.
        self._sleep(self._next * (1 + self._random()) / 2)
        self._next = min(self._next * 2, self._longest)
        self.pauses += 1

    def begin_anew(self) -> None:
        """Something worked: the next wait is the first one again."""
        self._next = self._first
        self.pauses = 0
