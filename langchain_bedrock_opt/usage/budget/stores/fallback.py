"""A shared store that may fail: then this process counts alone."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from langchain_bedrock_opt.usage.budget.stores.base import BudgetStore, Grant, Level
from langchain_bedrock_opt.usage.budget.stores.late import LateSettlements
from langchain_bedrock_opt.usage.budget.stores.memory import InMemoryBudgetStore

logger = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")


class FallbackStore:
    """A store whose failures don't stop calls: meanwhile this process counts for itself.

    Each process may then spend up to the limit once more. After a failure the store is left
    alone for a while, so that an outage costs a time limit or two and not one a call. What was
    reserved in the store is settled there when it is back; until then it stays reserved.

    Args:
        store: The shared store.
        pause: Seconds for which it is left alone after a failure.
        clock: Seconds on a clock that never goes back.

    Attributes:
        errors: How often the store failed.
    """

    def __init__(
        self,
        store: BudgetStore,
        *,
        pause: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.is_blocking = store.is_blocking
        self.errors = 0
        self._store = store
        self._local = InMemoryBudgetStore(clock=clock)
        self._pause = pause
        self._clock = clock
        self._back_at = 0.0
        self._late = LateSettlements(store, pause=pause, clock=clock)
        # The garbage collector may settle a call of the same thread in the middle.
        self._lock = threading.RLock()

    @property
    def unsettled(self) -> int:
        """Settlements that the store has not taken yet."""
        return len(self._late)

    def reserve(
        self, key: str, reservation: str, amount: int, *, limit: int | None, ttl: float | None
    ) -> Grant:
        """Reserve in the store, or here if it fails."""
        grant = self._ask(
            lambda: self._store.reserve(key, reservation, amount, limit=limit, ttl=ttl)
        )
        if grant is None:
            grant = self._local.reserve(key, reservation, amount, limit=limit, ttl=ttl)
        return grant

    def settle(self, key: str, reservation: str, reserved: int, amount: int) -> Level | None:
        """Settle where it was reserved."""
        # A store that failed to answer may have reserved all the same, so it is asked in any case.
        answer = self._ask(lambda: (self._store.settle(key, reservation, reserved, amount),))
        if answer is None:
            self._late.add(key, reservation, reserved, amount)
        shared = None if answer is None else answer[0]
        local = self._local.settle(key, reservation, reserved, amount)
        return shared if local is None else local

    def level(self, key: str) -> Level:
        """How full a budget is, by the store if it answers."""
        level = self._ask(lambda: self._store.level(key))
        return self._local.level(key) if level is None else level

    def after_fork(self) -> None:
        """In a forked process: leave the parent's settlements to the parent."""
        self._lock = threading.RLock()
        self._late.after_fork()

    def _ask(self, question: Callable[[], _Answer]) -> _Answer | None:
        """The store's answer; None if it fails or is left alone."""
        if self._clock() < self._back_at:
            return None
        self._late.repeat()
        try:
            return question()
        except Exception as error:  # whatever a store raises, the call goes on
            with self._lock:
                self.errors += 1
                is_first = self.errors == 1
                self._back_at = self._clock() + self._pause
            if is_first:
                logger.warning(
                    "Budget store=<%s> failed: this process counts alone until it is back; later "
                    "failures are only counted",
                    type(self._store).__name__,
                    exc_info=error,
                )
            return None
