"""Runs that hold a reservation, and what several budgets on one run must know of each other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from langchain_bedrock_opt.usage.budget.reading import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What one run holds.

    Attributes:
        request: The call.
        keys: The budgets in which it holds the amount.
        reservation: The name under which it holds it.
        amount: The amount, in pico-USD.
        is_priced: False if nobody knows what the call can cost; the amount is 0 then.
    """

    request: Request
    keys: tuple[str, ...]
    reservation: str
    amount: int
    is_priced: bool


class OpenRuns:
    """Runs under way, by id, bounded in number.

    A run that is pushed out never settles: what it reserved counts as spent.

    Args:
        max_runs: How many are remembered; beyond it the oldest goes.
    """

    def __init__(self, *, max_runs: int = 100_000) -> None:
        self._max_runs = max_runs
        self._runs: dict[UUID, Held | None] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many are under way."""
        return len(self._runs)

    def enter(self, run_id: UUID) -> bool:
        """Whether a run is heard of for the first time."""
        with self._lock:
            if run_id in self._runs:
                return False
            self._runs[run_id] = None
            if len(self._runs) > self._max_runs:
                del self._runs[next(iter(self._runs))]
            return True

    def hold(self, run_id: UUID, held: Held) -> None:
        """Note what a run holds."""
        with self._lock:
            if run_id in self._runs:
                self._runs[run_id] = held

    def leave(self, run_id: UUID) -> Held | None:
        """What a run holds, once; None if nothing."""
        with self._lock:
            return self._runs.pop(run_id, None)


class Refusals:
    """Tells the budgets that already let a run through that another one has refused it.

    LangChain asks its handlers one after the other, or in async code several at once, and where
    one raises, the others never hear of the run again: what they hold would stay reserved.

    Args:
        max_refused: How many refused runs are remembered, for budgets that are asked at the same
            moment and answer later.
    """

    def __init__(self, *, max_refused: int = 1000) -> None:
        self._max_refused = max_refused
        self._holders: dict[UUID, list[Callable[[UUID], None]]] = {}
        self._refused: dict[UUID, None] = {}
        self._lock = threading.Lock()

    def joined(self, run_id: UUID, release: Callable[[UUID], None]) -> None:
        """A budget has let a run through; `release` gives back what it holds."""
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
"""Of all budgets in this process."""
