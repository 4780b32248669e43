"""Flushes on SIGTERM, which ends a process without its exit hooks. Opt-in."""

from __future__ import annotations

import _thread
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.usage.cloudwatch.flusher import EXIT_DEADLINE, flush_all

_installed: _Hook | None = None


def flush_on_sigterm() -> None:
    """Flush every CloudWatch sink on SIGTERM, then do what was to be done on it before.

    Nothing happens if that has been said already. The flush takes three seconds at most; a second
    SIGTERM does not wait for it.

    Raises:
        ConfigurationError: This is not the main thread, in which alone Python takes signals.
    """
    global _installed  # noqa: PLW0603 - a process has one handler of a signal
    if _installed is not None and signal.getsignal(signal.SIGTERM) == _installed.on_signal:
        return
    if threading.current_thread() is not threading.main_thread():
        raise ConfigurationError(
            "flush_on_sigterm=True must be set in the main thread: Python takes signals nowhere "
            "else. Make the sink there, or flush it in a handler of your own."
        )
    _installed = _Hook(signal.getsignal(signal.SIGTERM))
    signal.signal(signal.SIGTERM, _installed.on_signal)


class _Hook:
    """A handler that runs twice: it has a thread flush, which then sends the signal again.

    The flush waits for other threads, and a handler must not: it interrupts the main thread, which
    may hold what they wait for.
    """

    def __init__(self, before: Callable[[int, FrameType | None], Any] | int | None) -> None:
        self._before = before
        self._is_flushing = False

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Take the signal."""
        if not self._is_flushing:
            self._is_flushing = True
            # `threading.Thread` takes locks when it starts, which this thread may hold just now.
            _thread.start_new_thread(self._flush, (number,))
            return
        self._is_flushing = False
        if callable(self._before):
            self._before(number, frame)
        elif self._before == signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def _flush(self, number: int) -> None:
        flush_all(EXIT_DEADLINE)
        if self._is_flushing:
            os.kill(os.getpid(), number)
