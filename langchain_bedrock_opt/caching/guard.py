"""A store behind a circuit breaker: after several failures it is left alone for a while.

A store that is down costs each call its timeout before the model is asked. So after a few
failures in a row nobody asks it; then one caller tries again, and if that goes well all do.

Reads and writes are counted apart: a store whose disk is full or locked, or whose primary is away,
still reads, and those reads must not hide that each write waits out its timeout.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Final, TypeVar

from langchain_bedrock_opt.caching.stores.base import CacheStore
from langchain_bedrock_opt.errors import CacheStoreError

FAILURES: Final = 5
"""Failures in a row, of reads or of writes, after which a store is left alone."""

PAUSE: Final = 15.0
"""Seconds for which it is left alone."""

Result = TypeVar("Result")


class StoreLeftAloneError(CacheStoreError):
    """The store was not asked, because it has just failed several times."""


class GuardedStore:
    """A `CacheStore` that passes everything on to another one, unless that one keeps failing.

    One that fails to write only is still read, and the other way round. Taking, extending and
    ending a lease are writes.

    Args:
        store: The store.
        failures: After how many failures in a row of one kind it is left alone.
        pause: For how many seconds.
        clock: Seconds, on which the pause passes.

    Example:
        >>> from langchain_bedrock_opt.caching.stores.memory import InMemoryCacheStore
        >>> store = GuardedStore(InMemoryCacheStore())
        >>> store.put("key", b"value", ttl=60), store.get("key")
        (True, b'value')
    """

    def __init__(
        self,
        store: CacheStore,
        *,
        failures: int = FAILURES,
        pause: float = PAUSE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store = store
        self._reads = _Breaker("read", failures, pause, clock)
        self._writes = _Breaker("write", failures, pause, clock)

    @property
    def is_left_alone(self) -> bool:
        """Whether the store is being left alone just now, by readers or by writers."""
        return self._reads.is_open or self._writes.is_open

    def get(self, key: str) -> bytes | None:
        """See `CacheStore.get`."""
        return self._reads.ask(self.store.get, key)

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """See `CacheStore.get_many`."""
        return self._reads.ask(self.store.get_many, keys)

    def put(self, key: str, value: bytes, ttl: float | None, *, lease: str | None = None) -> bool:
        """See `CacheStore.put`."""
        return self._writes.ask(self.store.put, key, value, ttl, lease=lease)

    def swap(self, key: str, old: bytes | None, new: bytes, ttl: float | None) -> bool:
        """See `CacheStore.swap`."""
        return self._writes.ask(self.store.swap, key, old, new, ttl)

    def delete(self, key: str) -> None:
        """See `CacheStore.delete`."""
        self._writes.ask(self.store.delete, key)

    def lease(self, key: str, seconds: float, *, held: str | None = None) -> str | None:
        """See `CacheStore.lease`."""
        return self._writes.ask(self.store.lease, key, seconds, held=held)

    def release(self, key: str, lease: str) -> None:
        """See `CacheStore.release`."""
        self._writes.ask(self.store.release, key, lease)

    def clear(self) -> None:
        """See `CacheStore.clear`. The store is asked in any case: this must not be passed over."""
        self.store.clear()

    def close(self) -> None:
        """See `CacheStore.close`."""
        self.store.close()


class _Breaker:
    """Counts the failures of one kind of call, and refuses such calls after several in a row."""

    def __init__(self, kind: str, failures: int, pause: float, clock: Callable[[], float]) -> None:
        self._kind = kind
        self._failures = failures
        self._pause = pause
        self._clock = clock
        self._lock = Lock()
        self._in_a_row = 0
        self._open_until: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether calls are refused just now."""
        until = self._open_until
        return until is not None and self._clock() < until

    def ask(self, method: Callable[..., Result], *args: object, **kwargs: object) -> Result:
        """Call a method of the store, unless it is to be left alone."""
        if self._open_until is not None:
            self._wait_out()
        try:
            result = method(*args, **kwargs)
        except Exception:
            self._failed()
            raise
        if self._in_a_row:
            self._succeeded()
        return result

    def _wait_out(self) -> None:
        """Let one caller through when the pause is over, and nobody before."""
        with self._lock:
            until, now = self._open_until, self._clock()
            if until is None:
                return
            if now < until:
                raise StoreLeftAloneError(
                    f"the store failed to {self._kind} {self._in_a_row} times in a row: it is left "
                    f"alone for {until - now:.0f} s more"
                )
            self._open_until = now + self._pause  # for all others, until this one is back

    def _failed(self) -> None:
        with self._lock:
            self._in_a_row += 1
            if self._in_a_row >= self._failures:
                self._open_until = self._clock() + self._pause

    def _succeeded(self) -> None:
        with self._lock:
            self._in_a_row, self._open_until = 0, None
