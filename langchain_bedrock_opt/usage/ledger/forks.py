"""Forked children start without what belongs to their parent's threads."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Final, Protocol


class Forgets(Protocol):
    """Something that holds locks, threads or records that are the parent's to write."""

    def forget(self) -> None:
        """Start anew, in a child."""


_known: Final[weakref.WeakSet[Forgets]] = weakref.WeakSet()
_lock: Final = threading.Lock()
_registered = False


def forget_in_children(thing: Forgets) -> None:
    """Call `thing.forget()` in each child that a fork makes, as long as the thing lives.

    Args:
        thing: It is not kept alive.
    """
    global _registered  # noqa: PLW0603 - once a process, and not at import
    with _lock:
        _known.add(thing)
        if not _registered and hasattr(os, "register_at_fork"):
            # Held across the fork, so that no thread is changing the set in that moment.
            os.register_at_fork(
                before=_lock.acquire,
                after_in_parent=_lock.release,
                after_in_child=_forget_all,
            )
            _registered = True


def _forget_all() -> None:
    _lock.release()
    for thing in list(_known):
        thing.forget()
