"""Single flight: of many threads that ask the same at once, one asks the model.

asyncio calls arrive here as threads too, since boto3 is synchronous. That makes streams delicate:
whoever reads a stream may need a thread of the very pool whose threads are all waiting for it to
end. So those who wait have it read on, in a thread that is of no pool (`Flight.driven_by`); none of
them reads itself, since a read can't be broken off when their time is up.

Whoever has waited for the time-out leads a flight of their own, which the others join. So a model
that is slower than the time-out is not asked by all of them at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from threading import Condition, Lock, Thread, get_ident
from types import TracebackType
from typing import TypeAlias
from weakref import ReferenceType, WeakValueDictionary, ref

from typing_extensions import Self

from langchain_bedrock_opt.forks import when_forked

Drive: TypeAlias = Callable[[float], None]
"""Brings a flight nearer to its landing, until a deadline on the monotonic clock at the most."""


class Flight:
    """One thread's way to an answer, for which others may be waiting.

    It has to land once, whatever happens. As a context manager it lands as failed if an exception
    ends the block.

    Args:
        value: An answer that another flight brought.
        is_alone: Whether it has waited enough, and should wait for no other process either: for
            too long, or for a flight that had nothing to share.

    Attributes:
        value: The answer; None until there is one that can be shared.
        failed: Whether one of those who wait should lead in this one's place.
        landed: Whether it is over.
        waiting: How many threads wait for it.
    """

    def __init__(self, value: bytes | None = None, *, is_alone: bool = False) -> None:
        self.value = value
        self.is_alone = is_alone
        self.failed = False
        self.landed = False
        self._leader = get_ident()
        self._drive: Drive | None = None
        self._then: list[Callable[[], None]] = []
        self.after_fork()

    def after_fork(self) -> None:
        """Forget those who wait, and who drives: they are not in a forked process."""
        self.waiting = 0
        self._is_driven = False
        self._changed = Condition()

    def land(self, value: bytes | None = None, *, failed: bool = False) -> None:
        """End the flight and wake those who wait. Landing again does nothing.

        Args:
            value: What they get; None if there is nothing for them, so that each goes by itself.
            failed: Whether one of them should lead instead.
        """
        with self._changed:
            if self.landed:
                return
            self.value, self.failed, self.landed, self._drive = value, failed, True, None
            callbacks, self._then = self._then, []
            self._changed.notify_all()
        for then in callbacks:
            then()

    def after_landing(self, then: Callable[[], None]) -> None:
        """Have something done when this flight lands, however it does; at once if it has."""
        with self._changed:
            if not self.landed:
                self._then.append(then)
                return
        then()

    def driven_by(self, drive: Drive) -> None:
        """Say how it is brought further while somebody waits; done by one thread at a time."""
        with self._changed:
            if not self.landed:
                self._drive = drive
                self._changed.notify_all()

    def holds_up_its_leader(self) -> bool:
        """Whether waiting here would be waiting for oneself: no other thread brings it further."""
        return self._leader == get_ident() and self._drive is None and not self.landed

    def wait(self, deadline: float) -> bool:
        """Wait for the landing, and have it brought nearer if possible.

        Args:
            deadline: On the monotonic clock.

        Returns:
            Whether it has landed.
        """
        with self._changed:
            self.waiting += 1
            try:
                while not self.landed and (left := deadline - time.monotonic()) > 0:
                    if self._drive is not None and not self._is_driven:
                        self._start_driving(self._drive, deadline)
                    self._changed.wait(left)
            finally:
                self.waiting -= 1
            return self.landed

    def _start_driving(self, drive: Drive, deadline: float) -> None:
        def work() -> None:
            try:
                drive(deadline)
            finally:
                with self._changed:  # one who waits for longer starts the next
                    self._is_driven = False
                    self._changed.notify_all()

        try:
            Thread(target=work, name="bedrock-opt-cache-stream", daemon=True).start()
        except RuntimeError:  # the system has no more threads: the leader may get there by itself
            return
        self._is_driven = True

    def __enter__(self) -> Self:
        """The flight itself."""
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Land as failed if there was an exception."""
        if exception_type is not None:
            self.land(failed=True)


class SingleFlight:
    """The flights under way in this process.

    Args:
        timeout: The longest, in seconds, that a thread waits for another one's answer; and once
            more as long for that of the one who leads next, so twice this in all.

    Example:
        >>> flights = SingleFlight(timeout=60.0)
        >>> with flights.enter("key") as flight:  # nobody else is under way: this thread leads
        ...     flight.land(b"the answer")
    """

    def __init__(self, *, timeout: float) -> None:
        self._timeout = timeout
        self._lock = Lock()
        # Weak, so that a stream that its reader forgot takes its flight along.
        self._flights: WeakValueDictionary[str, Flight] = WeakValueDictionary()
        when_forked(self)

    def after_fork(self) -> None:
        """Begin anew in a forked process: those who lead are not in it."""
        for flight in list(self._flights.values()):
            flight.after_fork()
        self._lock = Lock()
        self._flights = WeakValueDictionary()

    def enter(self, key: str) -> Flight:
        """Lead, or wait for the one who leads.

        Args:
            key: What is asked.

        Returns:
            A flight. Its `value` is another one's answer if that came in time. Otherwise this
            thread has to find the answer, and to land the flight.
        """
        deadline, is_late = time.monotonic() + self._timeout, False
        too_slow: Flight | None = None
        while True:
            flight, leads = self._lead_or_join(key, too_slow)
            if leads:
                return flight
            if flight.holds_up_its_leader():  # the same cache twice in one chain of layers
                return Flight(is_alone=True)
            if flight.wait(deadline):
                if not flight.failed:
                    return Flight(flight.value, is_alone=flight.value is None)
            elif is_late:
                self._forget(key, flight)  # or it would hold up those who come later
                return Flight(is_alone=True)
            else:
                too_slow, is_late = flight, True
                deadline = time.monotonic() + self._timeout

    def _lead_or_join(self, key: str, too_slow: Flight | None) -> tuple[Flight, bool]:
        """The flight under way, or a new one in place of none or of one that was too slow."""
        with self._lock:
            under_way = self._flights.get(key)
            if under_way is not None and not under_way.landed and under_way is not too_slow:
                return under_way, False
            flight = self._flights[key] = Flight(is_alone=too_slow is not None)
        if too_slow is not None:  # its answer, if it comes first, is for those who wait here too
            too_slow.after_landing(partial(_pass_on, too_slow, ref(flight)))
        return flight, True

    def _forget(self, key: str, flight: Flight) -> None:
        with self._lock:
            if self._flights.get(key) is flight:
                del self._flights[key]


def _pass_on(landed: Flight, heir: ReferenceType[Flight]) -> None:
    """Land another flight with the answer of this one, if it has one."""
    flight = heir()
    if flight is not None and landed.value is not None:
        flight.land(landed.value)
