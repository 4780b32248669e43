"""Work that nobody waits for: fetching a new answer for a stale one, asking a judge."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import Context
from threading import Lock, Thread

from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.forks import when_forked


class Background:
    """Runs jobs in threads that end with the process, a few at once; what is too much is dropped.

    Args:
        most: How many jobs run at once.
        failed: Told of the errors of jobs.

    Raises:
        ConfigurationError: `most` is less than 1.
    """

    def __init__(self, *, failed: Callable[[str, Exception], None], most: int = 4) -> None:
        if most < 1:
            raise ConfigurationError(f"most={most!r}: must be 1 or more")
        self._most = most
        self._failed = failed
        self.after_fork()
        when_forked(self)

    def after_fork(self) -> None:
        """Begin anew in a forked process, where its parent's threads are not."""
        self._lock = Lock()
        self._running: dict[str, Thread] = {}

    def run(self, name: str, doing: str, job: Callable[[], None]) -> bool:
        """Start a job, unless one of this name is running or too many are.

        A system that has no thread left starts none; that is told as an error of the job.

        Args:
            name: What the job is about.
            doing: The same in words, for the log.
            job: The job. It runs in a context of its own: it belongs to no caller's run.

        Returns:
            Whether it was started.
        """

        def work() -> None:
            try:
                Context().run(job)
            except Exception as error:  # noqa: BLE001 - nobody waits for it
                self._failed(doing, error)
            finally:
                with self._lock:
                    self._running.pop(name, None)

        with self._lock:
            if name in self._running or len(self._running) >= self._most:
                return False
            thread = Thread(target=work, name="bedrock-opt-cache", daemon=True)
            # Before it starts, since a quick job takes itself out again.
            self._running[name] = thread
            try:
                thread.start()
            except RuntimeError as error:  # the system has no more threads
                del self._running[name]
                not_started = error
            else:
                return True
        self._failed(doing, not_started)
        return False

    def join(self, timeout: float) -> bool:
        """Wait until all jobs are done, for at most `timeout` seconds; returns whether they are."""
        deadline = time.monotonic() + timeout
        with self._lock:
            threads = list(self._running.values())
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)
