"""Budgets counted in this process."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from langchain_bedrock_opt.forks import when_forked
from langchain_bedrock_opt.usage.budget.stores.base import Grant, Level

_EMPTY: Final = Level()


@dataclass(slots=True)
class _Entry:
    """One budget. What is spent and what is reserved are apart, so that each step is one sum."""

    forget_at: float
    spent: int = 0
    reserved: int = 0
    held: dict[str, int] = field(default_factory=dict)

    @property
    def level(self) -> Level:
        spent, reserved = self.spent, self.reserved
        return Level(spent + reserved, reserved)


class InMemoryBudgetStore:
    """Counts budgets in memory: threads share them, processes do not.

    A forked process keeps what was spent so far, and counts alone from there on; what calls under
    way hold is its parent's.

    Args:
        clock: Seconds on a clock that never goes back.

    Example:
        >>> store = InMemoryBudgetStore()
        >>> store.reserve("day", "call-1", 60, limit=100, ttl=None).granted
        True
        >>> store.reserve("day", "call-2", 60, limit=100, ttl=None).granted
        False
        >>> store.settle("day", "call-1", 60, 25)
        Level(committed=25, reserved=0)
    """

    is_blocking = False

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._forget_next_at = math.inf
        # The garbage collector may close an abandoned stream at any call in here, which settles in
        # the middle: so the same thread may enter again, and no sum is read before a call and
        # written after it.
        self._lock = threading.RLock()
        when_forked(self)

    def reserve(
        self, key: str, reservation: str, amount: int, *, limit: int | None, ttl: float | None
    ) -> Grant:
        """Reserve an amount if what is committed stays within the limit with it."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                entry = self._add(key, ttl)
            if reservation in entry.held:
                return Grant(granted=True, level=entry.level)
            if limit is not None and entry.spent + entry.reserved + amount > limit:
                return Grant(granted=False, level=entry.level)
            entry.held[reservation] = amount
            entry.reserved += amount
            return Grant(granted=True, level=entry.level)

    def settle(self, key: str, reservation: str, reserved: int, amount: int) -> Level | None:
        """Put what a call cost in the place of what was reserved for it, once."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or entry.held.pop(reservation, None) is None:
                return None
            entry.reserved -= reserved
            entry.spent += amount
            return entry.level

    def level(self, key: str) -> Level:
        """How full a budget is; empty if it is not known."""
        with self._lock:
            entry = self._entries.get(key)
            return _EMPTY if entry is None else entry.level

    def after_fork(self) -> None:
        """In a forked process: leave the parent's calls to the parent, which settles them."""
        self._lock = threading.RLock()  # the parent's may be held by a thread that is not here
        for entry in self._entries.values():
            entry.reserved = 0
            entry.held = {}

    def _add(self, key: str, ttl: float | None) -> _Entry:
        """A new budget; those whose time is over go, so that old windows don't pile up."""
        now = self._clock()
        if now >= self._forget_next_at:
            self._entries = {
                name: entry for name, entry in self._entries.items() if entry.forget_at > now
            }
            self._forget_next_at = min(
                (entry.forget_at for entry in self._entries.values()), default=math.inf
            )
        entry = self._entries[key] = _Entry(forget_at=math.inf if ttl is None else now + ttl)
        self._forget_next_at = min(self._forget_next_at, entry.forget_at)
        return entry
