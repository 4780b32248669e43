"""Work that nobody waits for: fetching a new answer for a stale one, asking a judge."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import Context
from threading import Lock, Thread

from langchain_bedrock_opt.errors import ConfigurationError


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
        self._lock = Lock()
        self._running: dict[str, Thread] = {}

    def run(self, name: str, doing: str, job: Callable[[], None]) -> bool:
        """Start a job, unless one of this name is running or too many are.

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
            # In a forked process the threads of its parent are not alive.
            self._running = {n: thread for n, thread in self._running.items() if thread.is_alive()}
            if name in self._running or len(self._running) >= self._most:
                return False
            thread = Thread(target=work, name="bedrock-opt-cache", daemon=True)
            thread.start()
            self._running[name] = thread
            return True

    def join(self, timeout: float) -> bool:
        """Wait until all jobs are done, for at most `timeout` seconds; returns whether they are."""
        deadline = time.monotonic() + timeout
        with self._lock:
            threads = list(self._running.values())
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)
