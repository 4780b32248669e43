"""Which stale answers may be fetched anew: one call at a time, and not again at once in vain."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Final

REST: Final = 60.0
"""Seconds without a new attempt: while one is under way, or after one that brought nothing."""

_MOST: Final = 4096


class Renewals:
    """The renewals of one cache in this process.

    Args:
        clock: Seconds since the epoch.

    Example:
        >>> renewals = Renewals(clock=lambda: 0.0)
        >>> renewals.may_begin("key"), renewals.may_begin("key")
        (True, False)
        >>> renewals.ended("key", kept=True)
        >>> renewals.may_begin("key")
        True
    """

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = Lock()
        self._resting: OrderedDict[str, float] = OrderedDict()

    def may_begin(self, key: str) -> bool:
        """Whether this caller may fetch a new answer; if so, nobody else may for a while."""
        now = self._clock()
        with self._lock:
            if self._resting.get(key, 0.0) > now:
                return False
            self._resting[key] = now + REST
            self._resting.move_to_end(key)
            while len(self._resting) > _MOST:
                self._resting.popitem(last=False)
            return True

    def ended(self, key: str, *, kept: bool) -> None:
        """Say that a renewal is over; one whose answer was not kept is not repeated soon."""
        with self._lock:
            if kept:
                self._resting.pop(key, None)
            elif key in self._resting:
                self._resting[key] = self._clock() + REST
