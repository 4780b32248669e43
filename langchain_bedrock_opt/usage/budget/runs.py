"""Runs under way, and what each of them holds.

Runs that wait for invocation jobs are bounded neither in number nor in age.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.usage.budget.reading import Request

_AT_ONCE: Final = 2
"""How many runs one start gives up at most: more than it adds, so that none pile up, and so few
that a start never waits for a store for long."""


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


@dataclass(slots=True, eq=False)
class OpenRun:
    """A run under way.

    Attributes:
        started: When it started, in seconds since the epoch.
        held: What it holds; None until it has reserved.
    """

    started: float
    held: Held | None = None


class OpenRuns:
    """Runs under way, oldest first, bounded in number and in age.

    It has no lock: the garbage collector may close an abandoned stream at any point, which ends a
    run inside these methods. Each step is one operation of a dict, with keys that are texts,
    since a UUID is hashed in Python.

    Args:
        ttl: Seconds after which a run is given up.
        max_runs: How many are remembered; beyond it the oldest is given up.

    Raises:
        ConfigurationError: `ttl` is not positive.
    """

    def __init__(self, *, ttl: float, max_runs: int = 100_000) -> None:
        if ttl <= 0:
            raise ConfigurationError(f"run_ttl={ttl!r}: give the seconds that a run may take.")
        self._ttl = ttl
        self._max_runs = max_runs
        self._runs: OrderedDict[str, OpenRun] = OrderedDict()
        self._waiting: dict[str, OpenRun] = {}

    def __len__(self) -> int:
        """How many are under way."""
        return len(self._runs) + len(self._waiting)

    def enter(self, run_id: UUID, now: float, *, waits: bool = False) -> OpenRun | None:
        """A run that starts; None if it is under way already.

        Args:
            run_id: Its id.
            now: When it starts.
            waits: Whether it waits for a job, and is never given up.
        """
        run = OpenRun(now)
        runs = self._waiting if waits else self._runs
        return run if runs.setdefault(run_id.hex, run) is run else None

    def leave(self, run_id: UUID) -> Held | None:
        """What a run holds, once; None if nothing."""
        run = self._runs.pop(run_id.hex, None) or self._waiting.pop(run_id.hex, None)
        return None if run is None else run.held

    def give_up(self, now: float) -> list[Held]:
        """What the oldest runs hold that are too old or too many: usually nothing."""
        given_up: list[Held] = []
        for _ in range(_AT_ONCE):
            try:
                key = next(iter(self._runs))
                oldest = self._runs[key]
            except (StopIteration, RuntimeError, KeyError):
                break  # there is none, or another thread took it: the next start looks again
            if len(self._runs) <= self._max_runs and now - oldest.started < self._ttl:
                break
            taken = self._runs.pop(key, None)
            if taken is not None and taken.held is not None:
                given_up.append(taken.held)
        return given_up

    def after_fork(self) -> None:
        """In a forked process: leave the parent's runs to the parent."""
        self._runs = OrderedDict()
        self._waiting = {}
