"""Single flight: of many threads that ask the same at once, one asks the model.

asyncio calls arrive here as threads too, since boto3 is synchronous. That makes streams delicate:
whoever reads a stream may need a thread of the very pool whose threads are all waiting for it to
end. So those who wait for a stream read it on themselves (`Flight.drive`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Condition, Lock, get_ident
from types import TracebackType
from typing import TypeAlias
from weakref import WeakValueDictionary

from typing_extensions import Self

Drive: TypeAlias = Callable[[float], None]
"""Brings a flight nearer to its landing, until a deadline on the monotonic clock at the most."""


class Flight:
    """One thread's way to an answer, for which others may be waiting.

    It has to land once, whatever happens. As a context manager it lands as failed if an exception
    ends the block.

    Args:
        value: An answer that another flight brought; this one has landed then.
        is_alone: Whether nobody waits for this one: it follows another that had nothing to share,
            and so do all the others that had waited.

    Attributes:
        value: The answer; None until there is one that can be shared.
        failed: Whether one of those who wait should lead in this one's place.
        landed: Whether it is over.
    """

    def __init__(self, value: bytes | None = None, *, is_alone: bool = False) -> None:
        self.value = value
        self.is_alone = is_alone
        self.failed = False
        self.landed = value is not None
        self._leader = get_ident()
        self._drive: Drive | None = None
        self._then: Callable[[], None] | None = None
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
            then, self._then = self._then, None
            self._changed.notify_all()
        if then is not None:
            then()

    def after_landing(self, then: Callable[[], None]) -> None:
        """Have something done when this flight lands, however it does."""
        self._then = then

    def driven_by(self, drive: Drive) -> None:
        """Say how those who wait can help."""
        with self._changed:
            if not self.landed:
                self._drive = drive
                self._changed.notify_all()

    def holds_up_its_leader(self) -> bool:
        """Whether waiting here would be waiting for oneself: no other thread brings it further."""
        return self._leader == get_ident() and self._drive is None and not self.landed

    def wait(self, deadline: float) -> bool:
        """Wait for the landing, and help with it if possible.

        Args:
            deadline: On the monotonic clock.

        Returns:
            Whether it has landed.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self.landed or self._drive, timeout=max(0.0, deadline - time.monotonic())
            )
            drive = self._drive
        if drive is not None:
            drive(deadline)
        return self.landed

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
        timeout: The longest, in seconds, that a thread waits for another one's answer.

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

    def enter(self, key: str) -> Flight:
        """Lead, or wait for the one who leads.

        Args:
            key: What is asked.

        Returns:
            A flight. Its `value` is another one's answer if that came in time. Otherwise this
            thread has to find the answer, and to land the flight.
        """
        deadline = time.monotonic() + self._timeout
        while True:
            flight, leads = self._lead_or_join(key)
            if leads:
                return flight
            if flight.holds_up_its_leader():  # the same cache twice in one chain of layers
                return Flight(is_alone=True)
            if not flight.wait(deadline):
                self._forget(key, flight)  # or it would hold up those who come later
                return Flight(is_alone=True)
            if not flight.failed:
                return Flight(flight.value, is_alone=flight.value is None)

    def _lead_or_join(self, key: str) -> tuple[Flight, bool]:
        with self._lock:
            under_way = self._flights.get(key)
            if under_way is not None and not under_way.landed:
                return under_way, False
            flight = self._flights[key] = Flight()
            return flight, True

    def _forget(self, key: str, flight: Flight) -> None:
        with self._lock:
            if self._flights.get(key) is flight:
                del self._flights[key]
