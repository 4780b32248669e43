"""Threads for blocking AWS calls that are awaited: many when many are needed, none afterwards.

The standard library's pool keeps each thread it ever started until the pool is shut down; after a
burst of 500 calls a notebook or a server would hold 500 idle threads. These threads end when
they have had nothing to do for a while.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any, Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

LINGER_SECONDS: Final = 2.0
"""How long an idle thread waits for more work."""


class IdleThreadPool(Executor):
    """A thread pool whose idle threads end.

    Args:
        max_workers: Threads at once.
        linger: Seconds an idle thread waits for work before it ends.
        on_idle: Called by the last thread as it ends, when the pool is idle: the place to close
            idle connections.
        name: The prefix of the threads' names.

    Raises:
        ValueError: `max_workers` is less than 1.

    Example:
        >>> with IdleThreadPool(2) as pool:
        ...     pool.submit(pow, 2, 10).result()
        1024
    """

    def __init__(
        self,
        max_workers: int,
        *,
        linger: float = LINGER_SECONDS,
        on_idle: Callable[[], object] | None = None,
        name: str = "bedrock-opt",
    ) -> None:
        if max_workers < 1:
            raise ValueError(f"max_workers must be at least 1, not {max_workers}")
        self._max_workers = max_workers
        self._linger = linger
        self._on_idle = on_idle
        self._name = name
        self._work: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._wakeup = threading.Condition()
        self._threads: set[threading.Thread] = set()
        self._idle = 0
        self._started = 0
        self._is_shut_down = False
        self._process = os.getpid()

    @property
    def is_idle(self) -> bool:
        """Whether there is no thread, and so no work."""
        return not self._threads

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have `fn` called in one of the threads.

        Returns:
            Its future.

        Raises:
            RuntimeError: The pool is shut down.
        """
        future: Future[T] = Future()
        if self._process != os.getpid():
            self._start_anew()
        with self._wakeup:
            if self._is_shut_down:
                raise RuntimeError("the thread pool is shut down")
            self._work.append((future, partial(fn, *args, **kwargs)))
            if self._idle >= len(self._work):
                self._wakeup.notify()
            elif len(self._threads) < self._max_workers:
                self._start_thread()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - Executor's signature
        """Take no more work and let the threads end.

        Args:
            wait: Whether to return only when they have ended.
            cancel_futures: Whether to cancel work that has not begun.
        """
        with self._wakeup:
            self._is_shut_down = True
            if cancel_futures:
                for future, _ in self._work:
                    future.cancel()
            threads = tuple(self._threads)
            self._wakeup.notify_all()
        if wait:
            for thread in threads:
                if thread is not threading.current_thread():
                    thread.join()

    def _start_anew(self) -> None:
        """After a fork: the parent's threads and what they had to do are not in this process."""
        self._process = os.getpid()
        self._wakeup = threading.Condition()
        self._work, self._threads, self._idle = deque(), set(), 0

    def _start_thread(self) -> None:
        self._started += 1
        # Daemons: an interpreter that ends does not wait for an idle thread to have lingered.
        thread = threading.Thread(
            target=self._run, name=f"{self._name}-{self._started}", daemon=True
        )
        self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError:  # the system has no more threads
            self._threads.discard(thread)
            if not self._threads:  # nobody will ever do it
                self._work.pop()
                raise

    def _run(self) -> None:
        while (work := self._next()) is not None:
            future, call = work
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except BaseException as error:  # noqa: BLE001 - it belongs to the caller
                    future.set_exception(error)
            # A waiting thread would otherwise keep its last result alive.
            del work, future, call

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        """The next piece of work, or None when this thread shall end."""
        with self._wakeup:
            while not self._work:
                self._idle += 1
                woken = not self._is_shut_down and self._wakeup.wait(self._linger)
                self._idle -= 1
                if not self._work and (not woken or self._is_shut_down):
                    self._threads.discard(threading.current_thread())
                    is_last = not self._threads
                    break
            else:
                return self._work.popleft()
        if is_last and self._on_idle is not None:
            self._on_idle()
        return None
