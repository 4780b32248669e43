"""`Gate`: whether calls may go to a capacity that was full a moment ago."""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum

from langchain_bedrock_opt.forks import when_forked


class Turn(Enum):
    """What a call may do."""

    OPEN = "open"
    """Go through."""
    PROBE = "probe"
    """Go through, alone, to see whether there is room again."""
    SHUT = "shut"
    """Go elsewhere."""


class Gate:
    """Open until a call is refused; then shut for a while, then one call at a time probes.

    Each `enter` that does not give `SHUT` is followed by one of the other three, however the call
    ends. Thread-safe.

    Args:
        shut_for: Seconds for which it stays shut after a refusal.
        clock: Seconds that only go forward.

    Example:
        >>> gate = Gate(60, clock=iter([0, 30, 61]).__next__)
        >>> gate.refused(gate.enter())
        True
        >>> gate.enter(), gate.enter(), gate.enter()
        (<Turn.SHUT: 'shut'>, <Turn.PROBE: 'probe'>, <Turn.SHUT: 'shut'>)
        >>> gate.passed(Turn.PROBE)
        >>> gate.enter()
        <Turn.OPEN: 'open'>
    """

    def __init__(self, shut_for: float, *, clock: Callable[[], float]) -> None:
        self._shut_for = shut_for
        self._clock = clock
        self._shut_until: float | None = None
        self._is_probed = False
        self._lock = threading.Lock()
        when_forked(self)

    @property
    def is_open(self) -> bool:
        """Whether every call may go through."""
        return self._shut_until is None

    def enter(self) -> Turn:
        """What the next call may do."""
        if self._shut_until is None:  # nearly always, and then without the lock
            return Turn.OPEN
        with self._lock:
            if self._shut_until is None:
                return Turn.OPEN
            if self._is_probed or self._clock() < self._shut_until:
                return Turn.SHUT
            self._is_probed = True
            return Turn.PROBE

    def passed(self, turn: Turn) -> None:
        """Say that a call was served. A probe's opens the gate for all."""
        if turn is Turn.PROBE:
            with self._lock:
                self._is_probed = False
                self._shut_until = None

    def refused(self, turn: Turn) -> bool:
        """Say that there was no room for a call, which shuts the gate.

        Returns:
            Whether the gate was open: of all calls that are refused until it opens, one hears True.
        """
        with self._lock:
            was_open = self._shut_until is None
            self._shut_until = self._clock() + self._shut_for
            if turn is Turn.PROBE:
                self._is_probed = False
            return was_open

    def left(self, turn: Turn) -> None:
        """Say that a call ended in a way that tells nothing of the room there is."""
        if turn is Turn.PROBE:
            with self._lock:
                self._is_probed = False

    def after_fork(self) -> None:
        """In a forked process: a lock that nobody holds, and no probe of the parent's."""
        self._lock = threading.Lock()
        self._is_probed = False
