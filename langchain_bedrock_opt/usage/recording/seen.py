"""`SeenRuns`: which runs a sink has counted, so that two handlers count one run once."""

from __future__ import annotations

from langchain_bedrock_opt.errors import ConfigurationError


class SeenRuns:
    """Remembers the runs that came last, by their id. Thread-safe.

    LangChain calls each handler once a run, but two handlers may share a sink: one in a model's
    constructor and one around a `with` block, say. A sink asks here before it counts.

    Args:
        capacity: How many of the last runs are remembered at least; twice as many at most. Two
            handlers tell of a run within microseconds, so it need not be large.

    Raises:
        ConfigurationError: `capacity` is not positive.

    Example:
        >>> seen = SeenRuns()
        >>> seen.is_new("run-1"), seen.is_new("run-1")
        (True, False)
    """

    __slots__ = ("_capacity", "_old", "_young")

    def __init__(self, capacity: int = 10_000) -> None:
        if capacity <= 0:
            raise ConfigurationError(f"capacity={capacity!r} must be positive.")
        self._capacity = capacity
        # Two generations: the old one is dropped as a whole, which costs nothing a run.
        self._young: dict[str, object] = {}
        self._old: dict[str, object] = {}

    def __len__(self) -> int:
        """How many runs are remembered."""
        return len(self._young) + len(self._old)

    def is_new(self, run_id: str) -> bool:
        """Whether this run is told for the first time. Of many callers, one hears True.

        Args:
            run_id: `UsageRecord.run_id`.
        """
        # No lock, which a fork or a record out of the garbage collector could meet held: a dict
        # sets a default in one step.
        young, mine = self._young, object()
        if run_id in self._old or young.setdefault(run_id, mine) is not mine:
            return False
        if len(young) >= self._capacity and self._young is young:
            self._young, self._old = {}, young
        return True
