"""Telling a cache, around a call, not to look or not to keep."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, TypeAlias

Mode: TypeAlias = Literal["bypass", "refresh"]
"""`bypass`: neither look nor keep. `refresh`: do not look, but keep the new answer."""

# Which cache (by its id, while the block that holds it is open) is in which mode. One variable
# for all caches: a ContextVar of each cache's own would never be freed.
_modes: ContextVar[tuple[tuple[int, Mode], ...]] = ContextVar("bedrock_opt_cache", default=())


@contextmanager
def cache_mode(cache: object, mode: Mode) -> Iterator[None]:
    """Put a cache into a mode for the calls made inside the block, and only for these."""
    token = _modes.set((*_modes.get(), (id(cache), mode)))
    try:
        yield
    finally:
        _modes.reset(token)


def current_mode(cache: object) -> Mode | None:
    """The mode that the innermost block around this call gave a cache, if there is one."""
    return dict(_modes.get()).get(id(cache))
