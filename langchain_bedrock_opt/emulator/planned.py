"""Faults that are planned, and how often each has come."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class TimedFault(Protocol):
    """A fault that comes so many times, or always if that is None."""

    @property
    def times(self) -> int | None: ...  # noqa: D102 - the class says it


FaultT = TypeVar("FaultT", bound=TimedFault)


class PlannedFaults(Generic[FaultT]):
    """Faults in the order of their planning. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned: list[FaultT] = []
        self._used: Counter[int] = Counter()

    def add(self, fault: FaultT) -> None:
        """Plan one more fault; of several that are due, the one planned first comes."""
        with self._lock:
            self._planned.append(fault)

    def clear(self) -> None:
        """Forget all faults. What met one before keeps it."""
        with self._lock:
            self._planned.clear()
            self._used.clear()

    def _first(self, is_about: Callable[[FaultT], bool]) -> FaultT | None:
        """The first fault that is about something and not used up, which is then used once more.

        The caller holds the lock.

        Args:
            is_about: Whether a fault is about it.
        """
        for place, fault in enumerate(self._planned):
            is_left = fault.times is None or self._used[place] < fault.times
            if is_left and is_about(fault):
                self._used[place] += 1
                return fault
        return None
