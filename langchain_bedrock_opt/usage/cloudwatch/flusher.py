"""The background thread of a sink: starts late, survives forks, and leaves nothing at exit."""

from __future__ import annotations

import atexit
import logging
import queue
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeAlias

from langchain_bedrock_opt.forks import when_forked

logger = logging.getLogger(__name__)

EXIT_DEADLINE: Final = 3.0
"""Seconds that all sinks together may take at the end of the process."""

_JITTER: Final = 0.2
_ATTEMPT: Final = 10.0  # the longest that one request may take
_SENDING: Final = 0.8  # of the time that is waited for a flush: the last attempt needs an answer


class Worker(Protocol):
    """What a flusher does its work with."""

    def flush_now(self, timeout: float) -> None:
        """Send all there is, at once, and try again for so many seconds."""

    def flush_due(self) -> None:
        """Send all there is, unless it is too early after an error."""

    def retry(self) -> float | None:
        """Send what waits, if it is time; seconds until the next attempt, None if none waits."""

    def forget(self) -> None:
        """Start empty: this is a fork, and what was held is the parent's."""


@dataclass(slots=True)
class Flush:
    """Tells the thread to flush.

    Attributes:
        timeout: Seconds that it is waited for.
        done: Set when it has flushed.
    """

    timeout: float
    done: threading.Event = field(default_factory=threading.Event)


Commands: TypeAlias = "queue.SimpleQueue[Flush | None]"
"""What the thread is told; None is only to look up."""


def next_command(commands: Commands, seconds: float) -> Flush | None:
    """The next command; None also if there is none for so many seconds."""
    try:
        return commands.get(timeout=seconds)
    except queue.Empty:
        return None


class Flusher:
    """Flushes a worker once an interval, in a daemon thread that starts with the first record.

    Each flush comes up to a fifth of the interval later than the one on the clock, so that the
    processes of one deployment don't flush together. The thread holds the worker, not the sink:
    a sink that is dropped is flushed once more, and its thread ends when all has been sent.

    Args:
        worker: Does the work.
        interval: Seconds between two flushes; None has no thread.
        rng: Where jitter comes from.
        monotonic: Seconds on a clock that never goes back.
        wait: Waits so many seconds for the next command.
    """

    def __init__(
        self,
        worker: Worker,
        interval: float | None,
        rng: random.Random,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wait: Callable[[Commands, float], Flush | None] = next_command,
    ) -> None:
        self._worker = worker
        self._interval = interval
        self._rng = rng
        self._monotonic = monotonic
        self._wait = wait
        self._reset()
        when_forked(self)

    def _reset(self) -> None:
        # A queue whose `put` may be called anywhere, even in a signal handler or a finalizer.
        self._commands: Commands = queue.SimpleQueue()
        self._state_lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._is_retired = False

    def start(self) -> None:
        """Start the thread, if there is to be one and it is not there yet."""
        if self._interval is None or (self._thread is not None and not self._is_retired):
            return
        with self._state_lock:
            self._is_retired = False
            if self._thread is not None:
                return
            # Set before it runs: a record may arrive while it starts, in this very thread.
            self._thread = threading.Thread(target=self._run, name="bedrock-opt-usage", daemon=True)
            _running.add(self)
            _watch_exit()
            try:
                self._thread.start()
            except RuntimeError:  # the interpreter is about to exit: `flush` sends all the same
                self._stop()

    def _stop(self) -> None:
        self._thread = None
        _running.discard(self)

    def flush(self, timeout: float) -> None:
        """Flush, and wait for it.

        Args:
            timeout: Seconds to wait and, after an error, to try again; 0 waits for one attempt.
        """
        if self._thread is None:
            self._worker.flush_now(timeout)
        else:
            self.request(timeout).wait(timeout or _ATTEMPT)

    def request(self, timeout: float) -> threading.Event:
        """Have the thread flush, without waiting; the event is set when it has."""
        command = Flush(timeout)
        self._commands.put(command)
        return command.done

    def retire(self) -> None:
        """Have the thread send what there is, and end when all has been sent."""
        self._is_retired = True
        self._commands.put(None)

    def _run(self) -> None:
        interval = self._interval or 0.0
        started = self._monotonic()
        ticks, due = 1, interval * (1 + self._rng.uniform(0, _JITTER))
        retry_in: float | None = None
        while True:
            wait = max(0.0, started + due - self._monotonic())
            command = self._wait(self._commands, wait if retry_in is None else min(wait, retry_in))
            if command is not None:
                self._guarded(self._worker.flush_now, command.timeout * _SENDING)
                command.done.set()
            elif self._is_retired or self._monotonic() >= started + due:
                self._guarded(self._worker.flush_due)
                ticks = max(ticks + 1, int((self._monotonic() - started) / interval) + 1)
                due = interval * (ticks + self._rng.uniform(0, _JITTER))
            retry_in = self._guarded(self._worker.retry)
            if self._is_retired and retry_in is None and self._has_ended():
                return

    def _has_ended(self) -> bool:
        """Whether the thread may end: nobody wants anything of it any more."""
        with self._state_lock:
            if self._is_retired and self._commands.empty():
                self._stop()
        return self._thread is None

    def _guarded(self, work: Callable[..., Any], *args: Any) -> Any:
        try:
            return work(*args)
        except Exception:
            # The thread must outlive whatever went wrong, or all later records would be lost.
            logger.warning("Usage metrics could not be flushed", exc_info=True)
            return None

    def after_fork(self) -> None:
        """In a child: no thread, no records, and locks that nobody holds."""
        _running.discard(self)
        self._reset()
        self._worker.forget()


# Those with a thread are kept until it has sent all: a dropped sink's records are sent at exit.
_running: set[Flusher] = set()


def _watch_exit() -> None:
    """Look after the exit: anew with each thread, for `multiprocessing` clears a child's hooks."""
    atexit.unregister(flush_all)
    atexit.register(flush_all, EXIT_DEADLINE)
    # Imported here: a program that sends nothing needs nothing of it.
    from multiprocessing import parent_process
    from multiprocessing.util import Finalize

    if parent_process() is not None:
        # Such a process may end without exit hooks, but not without finalizers.
        Finalize(None, flush_all, (EXIT_DEADLINE,), exitpriority=0)


def flush_all(timeout: float) -> None:
    """Flush every sink that has a thread, all at once, and wait.

    Args:
        timeout: Seconds for all of them together.
    """
    deadline = time.monotonic() + timeout
    for done in [flusher.request(timeout) for flusher in tuple(_running)]:
        done.wait(max(0.0, deadline - time.monotonic()))
