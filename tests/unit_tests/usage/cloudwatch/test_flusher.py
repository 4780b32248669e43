"""When a sink's thread flushes: hours on a clock that passes whenever the thread waits."""

from __future__ import annotations

import random
import threading

import pytest

from langchain_bedrock_opt.usage.cloudwatch.flusher import Commands, Flush, Flusher

HOUR = 3600.0


class Hours:
    """A clock for the thread's waits; after some hours they are real ones."""

    def __init__(self, hours: int) -> None:
        self.now = 0.0
        self.is_over = threading.Event()
        self._end = hours * HOUR

    def __call__(self) -> float:
        return self.now

    def wait(self, commands: Commands, seconds: float) -> Flush | None:
        if self.now + seconds >= self._end:
            self.is_over.set()
            return commands.get()
        self.now += seconds
        return None


class Worker:
    """Notes when it was to flush; each flush takes some seconds."""

    def __init__(self, clock: Hours, takes: float) -> None:
        self.clock = clock
        self.takes = takes
        self.flushes: list[float] = []

    def flush_now(self, timeout: float) -> None:
        raise AssertionError(f"nobody asked for a flush of {timeout} s")

    def flush_due(self) -> None:
        self.flushes.append(self.clock.now)
        self.clock.now += self.takes

    def retry(self) -> float | None:
        return None

    def forget(self) -> None:
        """No fork here."""


@pytest.mark.parametrize("takes", [0.0, 5.0, 45.0])
def test_it_flushes_once_a_minute(takes: float) -> None:
    """In each minute of a day there is one flush, however long it takes: none drifts away."""
    clock = Hours(24)
    worker = Worker(clock, takes)
    flusher = Flusher(worker, 60.0, random.Random(4), monotonic=clock, wait=clock.wait)
    flusher.start()
    assert clock.is_over.wait(60)
    flushes = list(worker.flushes)
    flusher.retire()
    assert [int(at // 60) for at in flushes] == list(range(1, 24 * 60))
    assert max(at % 60 for at in flushes) <= 12
    assert len({at % 60 for at in flushes}) > 1000


def test_a_flush_that_outlasts_its_minute_skips_the_next() -> None:
    """What was missed is not made up for: the next flush is on the clock again."""
    clock = Hours(1)
    worker = Worker(clock, 90.0)
    flusher = Flusher(worker, 60.0, random.Random(4), monotonic=clock, wait=clock.wait)
    flusher.start()
    assert clock.is_over.wait(60)
    flushes = list(worker.flushes)
    flusher.retire()
    assert [int(at // 60) for at in flushes] == [*range(1, 59, 2), 59]
