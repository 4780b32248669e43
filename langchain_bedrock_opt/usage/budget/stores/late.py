"""Settlements that a store did not take: they are repeated until it does."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from langchain_bedrock_opt.usage.budget.stores.base import BudgetStore, Grant, Level

logger = logging.getLogger(__name__)

_AT_ONCE: Final = 32
"""How many settlements one call repeats at most, since it waits for them."""


class LateSettlements:
    """Settles what a store did not take when it was asked first; settling twice counts once.

    Until then the amount stays reserved, so it counts against the limit. A process that ends
    before leaves it so.

    Args:
        store: The store.
        pause: Seconds for which nothing is repeated after a failure.
        max_waiting: How many wait at most. What comes on top of them stays reserved.
        clock: Seconds on a clock that never goes back.
    """

    def __init__(
        self,
        store: BudgetStore,
        *,
        pause: float = 30.0,
        max_waiting: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._pause = pause
        self._max_waiting = max_waiting
        self._clock = clock
        self._again_at = 0.0
        self._waiting: deque[tuple[str, str, int, int]] = deque()
        self._lost = 0

    def __len__(self) -> int:
        """How many are not settled: those that wait, and those that were too many to."""
        return len(self._waiting) + self._lost

    def add(self, key: str, reservation: str, reserved: int, amount: int) -> None:
        """Settle this later; see `BudgetStore.settle`."""
        if len(self._waiting) < self._max_waiting:
            self._waiting.append((key, reservation, reserved, amount))
        else:
            self._lost += 1

    def repeat(self) -> None:
        """Settle some of what waits, unless that failed a moment ago."""
        if not self._waiting or self._clock() < self._again_at:
            return
        for _ in range(_AT_ONCE):
            try:
                late = self._waiting.popleft()
            except IndexError:
                return
            try:
                self._store.settle(*late)
            except Exception:  # the call that repeats goes on; this stays counted
                logger.debug("A settlement failed again", exc_info=True)
                # At the end, so that one that always fails does not keep the others waiting.
                self._waiting.append(late)
                self._again_at = self._clock() + self._pause
                return

    def after_fork(self) -> None:
        """In a forked process: leave the parent's settlements to the parent."""
        self._waiting = deque()
        self._lost = 0


class RequiredStore:
    """A store without which no call is made: its failures are raised, save what can be repeated.

    Args:
        store: The store.
        clock: Seconds on a clock that never goes back.
    """

    def __init__(self, store: BudgetStore, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.is_blocking = store.is_blocking
        self._store = store
        self._late = LateSettlements(store, clock=clock)

    @property
    def unsettled(self) -> int:
        """Settlements that the store has not taken yet."""
        return len(self._late)

    def reserve(
        self, key: str, reservation: str, amount: int, *, limit: int | None, ttl: float | None
    ) -> Grant:
        """Reserve in the store."""
        self._late.repeat()
        return self._store.reserve(key, reservation, amount, limit=limit, ttl=ttl)

    def settle(self, key: str, reservation: str, reserved: int, amount: int) -> Level | None:
        """Settle in the store; where it fails, it is raised and repeated later."""
        try:
            level = self._store.settle(key, reservation, reserved, amount)
        except Exception:
            self._late.add(key, reservation, reserved, amount)
            raise
        self._late.repeat()
        return level

    def level(self, key: str) -> Level:
        """How full a budget is, by the store."""
        self._late.repeat()
        return self._store.level(key)

    def after_fork(self) -> None:
        """In a forked process: leave the parent's settlements to the parent."""
        self._late.after_fork()
