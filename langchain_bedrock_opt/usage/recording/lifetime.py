"""What handlers do when the process forks, and when it ends."""

from __future__ import annotations

import atexit
import os
from typing import Final, Protocol
from weakref import WeakSet


class _Forkable(Protocol):
    def forget_parent(self) -> None: ...


class _Ending(Protocol):
    def end_process(self) -> None: ...


_alive: Final[WeakSet[_Forkable]] = WeakSet()
_ending: Final[WeakSet[_Ending]] = WeakSet()
_is_watching = False


def watch_forks(holder: _Forkable) -> None:
    """Have a forked process start without its parent's runs and locks.

    Args:
        holder: Its `forget_parent` is called in the child, for as long as it is alive.
    """
    global _is_watching  # noqa: PLW0603 - done once, when there is first something to forget
    _alive.add(holder)
    if not _is_watching and hasattr(os, "register_at_fork"):
        _is_watching = True
        os.register_at_fork(after_in_child=_forget_parents)


def when_process_ends(holder: _Ending) -> None:
    """Have somebody hand on what they still hold when the process ends.

    Args:
        holder: Its `end_process` is called then, if it is alive.
    """
    if not _ending:
        atexit.unregister(_end)
        atexit.register(_end)
    _ending.add(holder)


def _forget_parents() -> None:
    for holder in list(_alive):
        holder.forget_parent()


def _end() -> None:
    for holder in list(_ending):
        holder.end_process()
