"""Runs that a budget refused, for the handlers that had let them start."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final
from uuid import UUID


class Refusals:
    """Tells the handlers that heard a run start that another one has refused it.

    LangChain asks its handlers one after the other, or in async code several at once, and where
    one raises, the others never hear of the run again: what a budget holds for it would stay
    reserved.

    Args:
        max_refused: How many refused runs are remembered, for handlers that are asked at the same
            moment and answer later.
    """

    def __init__(self, *, max_refused: int = 1000) -> None:
        self._max_refused = max_refused
        self._holders: dict[UUID, list[Callable[[UUID], None]]] = {}
        self._refused: dict[UUID, None] = {}
        self._lock = threading.Lock()

    def joined(self, run_id: UUID, release: Callable[[UUID], None]) -> None:
        """A handler has let a run start; `release` undoes what it did for it."""
        with self._lock:
            is_refused = run_id in self._refused
            if not is_refused:
                self._holders.setdefault(run_id, []).append(release)
        if is_refused:
            release(run_id)

    def refused(self, run_id: UUID) -> None:
        """A budget has refused a run."""
        with self._lock:
            holders = self._holders.pop(run_id, [])
            self._refused[run_id] = None
            if len(self._refused) > self._max_refused:
                del self._refused[next(iter(self._refused))]
        for release in holders:
            release(run_id)

    def ended(self, run_id: UUID) -> None:
        """A run that was let through has ended."""
        with self._lock:
            self._holders.pop(run_id, None)


REFUSALS: Final = Refusals()
"""Of all handlers in this process."""
