"""What a forked process must not take over: waiting for its parent's threads, and their locks."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forked(Protocol):
    """Something that begins anew in a forked process."""

    def after_fork(self) -> None:
        """Make locks anew, which a thread that is not here may hold, and forget what it did."""


_watching: WeakSet[Forked] = WeakSet()


def when_forked(part: Forked) -> None:
    """Have a part of the cache begin anew in each forked process, for as long as it exists.

    Args:
        part: The part. It is held weakly.
    """
    _watching.add(part)


def _begin_anew() -> None:
    for part in list(_watching):
        part.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
