"""Entries in the memory of this process."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock
from uuid import uuid4

from langchain_bedrock_opt.errors import ConfigurationError


class InMemoryCacheStore:
    """Keeps entries in memory, and drops the one that was unused for longest when it is full.

    Args:
        max_entries: How many entries it holds at most.
        max_bytes: How many bytes its values may have together; None for no limit but that of
            `max_entries`. A value that is longer than this alone is not kept.
        clock: Seconds, on which entries and leases expire.

    Raises:
        ConfigurationError: `max_entries` or `max_bytes` is less than 1.

    Example:
        >>> store = InMemoryCacheStore(max_entries=1)
        >>> store.put("a", b"first", ttl=60)
        True
        >>> store.put("b", b"second", ttl=60)
        True
        >>> store.get("a"), store.get("b")
        (None, b'second')
    """

    def __init__(
        self,
        *,
        max_entries: int = 10_000,
        max_bytes: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if max_entries < 1:
            raise ConfigurationError(f"max_entries={max_entries!r}: must be 1 or more")
        if max_bytes is not None and max_bytes < 1:
            raise ConfigurationError(f"max_bytes={max_bytes!r}: must be 1 or more, or None")
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._clock = clock
        self._lock = Lock()
        self._entries: OrderedDict[str, tuple[bytes, float | None]] = OrderedDict()
        self._bytes = 0
        self._leases: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def get(self, key: str) -> bytes | None:
        """The bytes under a key, or None."""
        with self._lock:
            return self._get(key)

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The bytes under each of several keys, of those that are there."""
        with self._lock:
            return {key: value for key in keys if (value := self._get(key)) is not None}

    def put(self, key: str, value: bytes, ttl: float | None, *, lease: str | None = None) -> bool:
        """Keep bytes under a key for `ttl` seconds, if the lease on it still holds."""
        with self._lock:
            if lease is not None:
                if not self._holds(key, lease):
                    return False
                del self._leases[key]
            self._put(key, value, ttl)
            return True

    def swap(self, key: str, old: bytes | None, new: bytes, ttl: float | None) -> bool:
        """Keep bytes under a key for `ttl` seconds, if `old` is what is there."""
        with self._lock:
            if self._get(key) != old:
                return False
            self._put(key, new, ttl)
            return True

    def delete(self, key: str) -> None:
        """Forget a key."""
        with self._lock:
            self._drop(key)

    def lease(self, key: str, seconds: float, *, held: str | None = None) -> str | None:
        """Take the lease on a key, or extend one's own."""
        with self._lock:
            if held is None:
                self._drop_old_leases()
                if key in self._leases and self._leases[key][1] > self._clock():
                    return None
            elif not self._holds(key, held):
                return None
            token = held or uuid4().hex
            self._leases[key] = (token, self._clock() + seconds)
            self._leases.move_to_end(key)
            return token

    def release(self, key: str, lease: str) -> None:
        """End a lease that is still held."""
        with self._lock:
            if self._holds(key, lease):
                del self._leases[key]

    def clear(self) -> None:
        """Forget all entries and leases."""
        with self._lock:
            self._entries.clear()
            self._leases.clear()
            self._bytes = 0

    def close(self) -> None:
        """Nothing is open; the entries stay."""

    def __len__(self) -> int:
        """How many entries are held, expired ones included."""
        return len(self._entries)

    def _get(self, key: str) -> bytes | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        value, expires_at = entry
        if expires_at is not None and expires_at <= self._clock():
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return value

    def _put(self, key: str, value: bytes, ttl: float | None) -> None:
        self._drop(key)
        if self._max_bytes is not None and len(value) > self._max_bytes:
            return  # making room for it would empty the store
        self._entries[key] = (value, None if ttl is None else self._clock() + ttl)
        self._bytes += len(value)
        while self._is_too_full():
            _, (dropped, _) = self._entries.popitem(last=False)
            self._bytes -= len(dropped)

    def _is_too_full(self) -> bool:
        if self._max_bytes is not None and self._bytes > self._max_bytes:
            return True
        return len(self._entries) > self._max_entries

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= len(entry[0])

    def _holds(self, key: str, token: str) -> bool:
        holder, expires_at = self._leases.get(key, (None, 0.0))
        return holder == token and expires_at > self._clock()

    def _drop_old_leases(self) -> None:
        """Drop leases that nobody ended, from the oldest to the first that still holds."""
        now = self._clock()
        while self._leases and next(iter(self._leases.values()))[1] <= now:
            self._leases.popitem(last=False)
