"""Entries in the memory of this process."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from langchain_bedrock_opt.errors import ConfigurationError


class InMemoryCacheStore:
    """Keeps entries in memory, and drops the one that was unused for longest when it is full.

    Args:
        max_entries: How many entries it holds at most.
        clock: Seconds, on which entries expire.

    Raises:
        ConfigurationError: `max_entries` is less than 1.

    Example:
        >>> store = InMemoryCacheStore(max_entries=1)
        >>> store.put("a", b"first", ttl=60)
        >>> store.put("b", b"second", ttl=60)
        >>> store.get("a"), store.get("b")
        (None, b'second')
    """

    def __init__(
        self, *, max_entries: int = 10_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if max_entries < 1:
            raise ConfigurationError(f"max_entries={max_entries!r}: must be 1 or more")
        self._max_entries = max_entries
        self._clock = clock
        self._lock = Lock()
        self._entries: OrderedDict[str, tuple[bytes, float | None]] = OrderedDict()

    def get(self, key: str) -> bytes | None:
        """The bytes under a key, or None."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            value, expires_at = entry
            if expires_at is not None and expires_at <= self._clock():
                del self._entries[key]
                return None
            self._entries.move_to_end(key)
            return value

    def put(self, key: str, value: bytes, ttl: float | None) -> None:
        """Keep bytes under a key for `ttl` seconds."""
        expires_at = None if ttl is None else self._clock() + ttl
        with self._lock:
            self._entries[key] = (value, expires_at)
            self._entries.move_to_end(key)
            while len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)

    def delete(self, key: str) -> None:
        """Forget a key."""
        with self._lock:
            self._entries.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()

    def close(self) -> None:
        """Nothing is open; the entries stay."""

    def __len__(self) -> int:
        """How many entries are held, expired ones included."""
        return len(self._entries)
