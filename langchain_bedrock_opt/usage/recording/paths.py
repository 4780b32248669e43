"""Which runs are around a model's run: the chain's node that spent the tokens."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Place:
    """One run of a chain, with the runs around it.

    Attributes:
        name: The run's name.
        around: The run that it is part of; None for the outermost.
    """

    name: str
    around: Place | None = None

    def path(self) -> tuple[str, ...]:
        """The names from the outermost run to this one.

        Example:
            >>> Place("model", Place("agent")).path()
            ('agent', 'model')
        """
        names: list[str] = []
        place: Place | None = self
        while place is not None:
            names.append(place.name)
            place = place.around
        return tuple(reversed(names))


class PlaceTable:
    """The open runs of chains and tools, by id, bounded in number and in age.

    Two generations: when the young one is full or old enough, it becomes the old one, and what
    is left of the old one is dropped as a whole. A model's run below a dropped run has a shorter
    path; nothing else depends on it.

    Args:
        ttl: Seconds after which a generation ends: no run is remembered for twice as long.
        max_runs: How many open runs a generation holds.
    """

    def __init__(self, *, ttl: float, max_runs: int) -> None:
        self._ttl = ttl
        self._max_runs = max_runs
        self._young: dict[UUID, Place] = {}
        self._old: dict[UUID, Place] = {}
        self._young_since: float | None = None

    def __len__(self) -> int:
        """How many runs are remembered."""
        return len(self._young) + len(self._old)

    def enter(self, run_id: UUID, parent_run_id: UUID | None, name: str, now: float) -> None:
        """Remember that a run has started.

        Args:
            run_id: The run.
            parent_run_id: The run that it is part of, if any.
            name: Its name.
            now: Seconds on a clock that never goes back.
        """
        # No lock: a dict does each of these steps as a whole, and a run that is lost between two
        # generations costs a path its beginning.
        young = self._young
        young[run_id] = Place(name, self.find(parent_run_id))
        if self._young_since is None:
            self._young_since = now
            return
        is_full = len(young) > self._max_runs or now - self._young_since > self._ttl
        if is_full and self._young is young:  # else another thread has just done it
            self._old, self._young, self._young_since = young, {}, now

    def find(self, run_id: UUID | None) -> Place | None:
        """Where a run stands; None if it is not known."""
        if run_id is None:
            return None
        return self._young.get(run_id) or self._old.get(run_id)

    def leave(self, run_id: UUID) -> None:
        """Forget a run that has ended."""
        if self._young.pop(run_id, None) is None:
            self._old.pop(run_id, None)
