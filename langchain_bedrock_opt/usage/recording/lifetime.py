"""What handlers do when the process ends."""

from __future__ import annotations

import atexit
from typing import Final, Protocol
from weakref import WeakSet


class _Ending(Protocol):
    def end_process(self) -> None: ...


_ending: Final[WeakSet[_Ending]] = WeakSet()


def when_process_ends(holder: _Ending) -> None:
    """Have somebody hand on what they still hold when the process ends.

    Args:
        holder: Its `end_process` is called then, if it is alive.
    """
    if not _ending:
        atexit.unregister(_end)
        atexit.register(_end)
    _ending.add(holder)


def _end() -> None:
    for holder in list(_ending):
        holder.end_process()
