"""Runs under way, and what each of them holds."""

from __future__ import annotations

import threading
from dataclasses import dataclass
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
