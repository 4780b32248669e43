"""Time that passes only while everybody sleeps: hours of waiting threads, in no time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(eq=False)
class _Sleeper:
    until: float
    event: threading.Event | None
    is_awake: bool = False


class VirtualTime:
    """A clock for threads whose every wait goes through it.

    When all of them sleep, those whose event is set wake first; if there is none, the time jumps
    to the one that wakes next.

    Example:
        >>> time = VirtualTime()
        >>> time.run([lambda: time.sleep(3600)] * 2)
        >>> time.clock()
        3600.0
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._changed = threading.Condition()
        self._sleepers: list[_Sleeper] = []
        self._running = 0

    def clock(self) -> float:
        """The time, in seconds."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""
        self.wait(None, seconds)

    def wait(self, event: threading.Event | None, seconds: float) -> None:
        """Wait for so many seconds, or until the event is set."""
        with self._changed:
            sleeper = _Sleeper(self._now + seconds, event)
            self._sleepers.append(sleeper)
            self._rest()
            while not sleeper.is_awake:
                self._changed.wait()

    def run(self, works: Sequence[Callable[[], object]]) -> None:
        """Do each work in a thread of its own, and wait until all are done.

        Raises:
            BaseException: The first that a work raised.
        """
        errors: list[BaseException] = []

        def one(work: Callable[[], object]) -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
                errors.append(error)
            finally:
                with self._changed:
                    self._rest()

        self._running += len(works)
        threads = [threading.Thread(target=one, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]

    def _rest(self) -> None:
        """One less is running; if that was the last, wake who is next."""
        self._running -= 1
        if self._running or not self._sleepers:
            return
        due = [each for each in self._sleepers if each.event and each.event.is_set()]
        if not due:
            due = [min(self._sleepers, key=lambda each: each.until)]
            self._now = max(self._now, due[0].until)
        for sleeper in due:
            self._sleepers.remove(sleeper)
            sleeper.is_awake = True
        self._running += len(due)
        self._changed.notify_all()
