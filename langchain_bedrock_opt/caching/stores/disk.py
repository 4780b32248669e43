"""Entries in a folder, shared by the processes of one machine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING
from uuid import uuid4

from langchain_bedrock_opt.caching.stores.base import StoreSize
from langchain_bedrock_opt.errors import CacheStoreError, ConfigurationError

if TYPE_CHECKING:
    from langchain_bedrock_opt.caching.stores.bytes_disk import BytesCache

_DATABASE = "cache.db"
"""diskcache's database, by which a folder is known to be a cache's."""


class DiskCacheStore:
    """Keeps entries in a folder, on diskcache, and drops the oldest when it is full.

    Only bytes are stored, nothing is ever unpickled, and only this user may read the folder (its
    mode is 0700). Several threads and processes may use one folder at once; one that is killed
    leaves nothing half-written. Nothing is written before the first use.

    Args:
        path: A folder for this cache alone; made if it does not exist. `~` and variables such as
            `$HOME` are followed.
        size_limit: Bytes on disk, about; beyond them the entries stored first are dropped, and
            last of all what says whether entries are valid.
        timeout: Seconds to wait while another process writes.
        clock: Seconds since the epoch, on which entries and leases expire.

    Raises:
        ConfigurationError: `path` is a file, can't be read, or is a folder in which other things
            are; or `size_limit` is not above 0.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     store = DiskCacheStore(folder)
        ...     stored = store.put("key", b"value", ttl=60)
        ...     print(store.get("key"))
        ...     store.close()
        b'value'
    """

    def __init__(
        self,
        path: str | Path,
        *,
        size_limit: int = 2**30,
        timeout: float = 10.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if size_limit <= 0:
            raise ConfigurationError(f"size_limit={size_limit!r}: must be above 0")
        # diskcache expands variables too, so it must find none left.
        self._path = Path(os.path.expandvars(Path(path).expanduser()))
        _check_folder(self._path)
        self._size_limit = size_limit
        self._timeout = timeout
        self._clock = clock
        self._lock = Lock()
        self._cache: BytesCache | None = None

    def get(self, key: str) -> bytes | None:
        """The bytes under a key, or None."""
        # `try` in each method, since a context manager would take a third of a read's time.
        try:
            return self._opened().read(key, self._clock())
        except _disk_errors() as error:
            raise _failed(error) from error

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The bytes under each of several keys, of those that are there."""
        found = {key: self.get(key) for key in dict.fromkeys(keys)}
        return {key: value for key, value in found.items() if value is not None}

    def put(self, key: str, value: bytes, ttl: float | None, *, lease: str | None = None) -> bool:
        """Keep bytes under a key for `ttl` seconds, if the lease on it still holds."""
        try:
            cache = self._opened()
            if lease is not None:
                return cache.set_leased(key, value, ttl, lease, self._clock())
            cache.write(key, value, ttl)
        except _disk_errors() as error:
            raise _failed(error) from error
        return True

    def swap(self, key: str, old: bytes | None, new: bytes, ttl: float | None) -> bool:
        """Keep bytes under a key for `ttl` seconds, if `old` is what is there."""
        try:
            return self._opened().swap(key, old, new, ttl, self._clock())
        except _disk_errors() as error:
            raise _failed(error) from error

    def delete(self, key: str) -> None:
        """Forget a key."""
        try:
            self._opened().delete(key)
        except _disk_errors() as error:
            raise _failed(error) from error

    def lease(self, key: str, seconds: float, *, held: str | None = None) -> str | None:
        """Take the lease on a key, or extend one's own."""
        token, now = held or uuid4().hex, self._clock()
        try:
            cache = self._opened()
            ask = cache.take_lease if held is None else cache.extend_lease
            return token if ask(key, token, now + seconds, now) else None
        except _disk_errors() as error:
            raise _failed(error) from error

    def release(self, key: str, lease: str) -> None:
        """End a lease that is still held."""
        try:
            self._opened().end_lease(key, lease, self._clock())
        except _disk_errors() as error:
            raise _failed(error) from error

    def clear(self) -> None:
        """Forget all entries and leases in the folder."""
        try:
            self._opened().clear_all()
        except _disk_errors() as error:
            raise _failed(error) from error

    def size(self) -> StoreSize:
        """How much is in the folder.

        Raises:
            CacheStoreError: It could not be read.
        """
        try:
            cache = self._opened()
            return StoreSize(len(cache), cache.volume())
        except _disk_errors() as error:
            raise _failed(error) from error

    def close(self) -> None:
        """Close the database, for all threads; to be called when none is using it."""
        with self._lock:
            if self._cache is not None:
                self._cache.close()
                self._cache = None

    def __repr__(self) -> str:
        """The store with its folder."""
        return f"DiskCacheStore({str(self._path)!r})"

    def _opened(self) -> BytesCache:
        cache = self._cache
        if cache is None:
            with self._lock:
                cache = self._cache
                if cache is None:
                    cache = self._cache = self._open()
        return cache

    def _open(self) -> BytesCache:
        from langchain_bedrock_opt.caching.stores.bytes_disk import BytesCache

        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._path.stat().st_mode & 0o077:
            self._path.chmod(0o700)
        return BytesCache(
            str(self._path),
            timeout=self._timeout,
            size_limit=self._size_limit,
            # The one policy with a limit under which reading an entry writes nothing.
            eviction_policy="least-recently-stored",
            statistics=0,
        )


def _check_folder(path: Path) -> None:
    """Refuse a folder that holds other things, since its mode changes and `clear` empties it."""
    try:
        names = {entry.name for entry in path.iterdir()}
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigurationError(
            f"{str(path)!r} can't be a cache ({error.strerror}): give it a folder of its own"
        ) from error
    if names and _DATABASE not in names:
        raise ConfigurationError(
            f"{str(path)!r} holds other things: give the cache a folder of its own"
        )


def _disk_errors() -> tuple[type[Exception], ...]:
    """What can go wrong on a disk; asked for only when something has."""
    from langchain_bedrock_opt.caching.stores.bytes_disk import DISK_ERRORS

    return DISK_ERRORS


def _failed(error: Exception) -> CacheStoreError:
    return CacheStoreError(f"the cache folder failed: {type(error).__name__}: {error}")
