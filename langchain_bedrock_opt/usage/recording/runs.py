"""The table of runs that have started and not ended, bounded in number and in age.

Runs that wait for invocation jobs are not bounded: they take as long as jobs do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.usage.recording.paths import Place
from langchain_bedrock_opt.usage.waiting import waits_for_job


@dataclass(slots=True)
class Run:
    """One run that has started. Everything that can wait is read when it ends.

    Attributes:
        run_id: LangChain's run id.
        started_at: When it started, in seconds since the epoch.
        started: The same on the clock that never goes back.
        serialized: The model, as LangChain serializes it for callbacks.
        prompt: The messages or texts that it was given, by reference: they are looked at only if
            nobody says how many tokens they had, and go with the run.
        event: The other keyword arguments of the start event: `metadata`, `tags`, ….
        place: Where in a chain it stands; None outside of one.
        first_delta: When the first text, reasoning or tool delta came; None until then.
        heard: The chunks of a stream so far, by reference, for the same purpose as `prompt`.
    """

    run_id: UUID
    started_at: float
    started: float
    serialized: Mapping[str, Any] | None
    prompt: Sequence[Any]
    event: Mapping[str, Any]
    place: Place | None = None
    first_delta: float | None = None
    heard: list[Any] = field(default_factory=list)


class RunTable:
    """Runs by id, oldest first. A run that never ends is given up, so nothing leaks.

    Args:
        ttl: Seconds after which a run is given up.
        max_runs: How many runs are held; beyond it the oldest is given up.

    Raises:
        ConfigurationError: One of the two is not positive.
    """

    def __init__(self, *, ttl: float, max_runs: int) -> None:
        if ttl <= 0 or max_runs <= 0:
            raise ConfigurationError(
                f"run_ttl={ttl!r} and max_runs={max_runs!r} must be positive: "
                "with less, no run would be remembered until its end."
            )
        self._ttl = ttl
        self._max_runs = max_runs
        # No lock: each step below is one of a dict's own. The garbage collector may close an
        # abandoned stream in the middle of any of them, and its run's end comes here in this very
        # thread. Keys are whole numbers, since hashing a UUID is Python code.
        self._runs: dict[int, Run] = {}
        self._waiting: dict[int, Run] = {}

    def __len__(self) -> int:
        """How many runs are open."""
        return len(self._runs) + len(self._waiting)

    def add(self, run: Run) -> Sequence[Run]:
        """Remember a run.

        Returns:
            The runs that are given up for it, too old or too many: usually none.
        """
        # A start that is told twice is one start.
        if waits_for_job(run.event):
            self._waiting.setdefault(run.run_id.int, run)
            return ()
        self._runs.setdefault(run.run_id.int, run)
        expired = run.started - self._ttl
        try:
            # Runs start in the table's order, so the first is always the oldest.
            oldest = next(iter(self._runs.values()))
        except (StopIteration, RuntimeError):  # another thread changed it: the next start looks
            return ()
        if oldest.started > expired and len(self._runs) <= self._max_runs:
            return ()
        return self._give_up(expired)

    def _give_up(self, expired: float) -> list[Run]:
        """Take out the oldest runs, too old or too many."""
        given_up: list[Run] = []
        for run in self._snapshot(self._runs):
            if run.started > expired and len(self._runs) <= self._max_runs:
                break
            if self.pop(run.run_id) is not None:
                given_up.append(run)
        return given_up

    @staticmethod
    def _snapshot(runs: dict[int, Run]) -> list[Run]:
        while True:
            try:
                return list(runs.values())
            except RuntimeError:  # it changed meanwhile  # noqa: PERF203 - hardly ever
                continue

    def get(self, run_id: UUID) -> Run | None:
        """The run, if it is open."""
        return self._runs.get(run_id.int) or self._waiting.get(run_id.int)

    def pop(self, run_id: UUID) -> Run | None:
        """Take a run out; None if it has ended already. Of many callers one gets it."""
        run = self._runs.pop(run_id.int, None)
        return run if run is not None else self._waiting.pop(run_id.int, None)

    def pop_all(self) -> list[Run]:
        """Take all runs out."""
        left = [*self._snapshot(self._waiting), *self._snapshot(self._runs)]
        return [run for run in left if self.pop(run.run_id) is not None]

    def forget_parent(self) -> None:
        """In a forked process: leave the parent's runs to the parent."""
        self._runs = {}
        self._waiting = {}
