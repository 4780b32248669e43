"""Budgets counted in this process."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from langchain_bedrock_opt.usage.budget.stores.base import Grant, Level

_EMPTY: Final = Level()


@dataclass(slots=True)
class _Entry:
    forget_at: float
    level: Level = _EMPTY
    held: dict[str, int] = field(default_factory=dict)


class InMemoryBudgetStore:
    """Counts budgets in memory: threads share them, processes do not.

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
        self._lock = threading.Lock()

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
            committed, reserved = entry.level
            if limit is not None and committed + amount > limit:
                return Grant(granted=False, level=entry.level)
            entry.held[reservation] = amount
            entry.level = Level(committed + amount, reserved + amount)
            return Grant(granted=True, level=entry.level)

    def settle(self, key: str, reservation: str, reserved: int, amount: int) -> Level | None:
        """Put what a call cost in the place of what was reserved for it, once."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or entry.held.pop(reservation, None) is None:
                return None
            level = entry.level
            entry.level = Level(level.committed + amount - reserved, level.reserved - reserved)
            return entry.level

    def level(self, key: str) -> Level:
        """How full a budget is; empty if it is not known."""
        with self._lock:
            entry = self._entries.get(key)
            return _EMPTY if entry is None else entry.level

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
