"""What a forked process must not take over: its parent's threads, locks and unsent records."""

from __future__ import annotations

import os
import threading
from typing import Final, Protocol
from weakref import WeakSet


class Forked(Protocol):
    """Something that begins anew in a forked process."""

    def after_fork(self) -> None:
        """Make locks anew, which a thread that is not here may hold, and forget what it did."""


_watching: Final[WeakSet[Forked]] = WeakSet()
_lock: Final = threading.Lock()
_is_registered = False


def when_forked(part: Forked) -> None:
    """Have a part begin anew in each forked process, for as long as it exists.

    Args:
        part: The part. It is held weakly.
    """
    global _is_registered  # noqa: PLW0603 - once a process, and not at import
    with _lock:
        _watching.add(part)
        if not _is_registered and hasattr(os, "register_at_fork"):
            # Held across the fork, so that no thread is changing the set in that moment.
            os.register_at_fork(
                before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_begin_anew
            )
            _is_registered = True


def _begin_anew() -> None:
    _lock.release()
    for part in list(_watching):
        part.after_fork()
