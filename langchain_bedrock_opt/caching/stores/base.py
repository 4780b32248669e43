"""What every store of cache entries can do."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class CacheStore(Protocol):
    """Bytes under text keys, each for a limited time.

    A store is used by many threads at once and may be shared by processes. Its answers are exact:
    `get` gives the bytes that were put last and have not expired, been deleted or evicted, and
    nothing else. Whatever goes wrong is raised as `CacheStoreError`; going on without the store is
    the cache's business. Opening connections or files waits for the first use.
    """

    def get(self, key: str) -> bytes | None:
        """The bytes under a key, or None if there are none or they have expired.

        Raises:
            CacheStoreError: The store could not be read.
        """

    def put(self, key: str, value: bytes, ttl: float | None) -> None:
        """Keep bytes under a key, in place of those that were there.

        Args:
            key: The key.
            value: The bytes.
            ttl: For how many seconds; None for as long as there is room.

        Raises:
            CacheStoreError: They could not be written.
        """

    def delete(self, key: str) -> None:
        """Forget a key; nothing happens if it is not there.

        Raises:
            CacheStoreError: The store could not be written.
        """

    def clear(self) -> None:
        """Forget everything in this store.

        Raises:
            CacheStoreError: The store could not be written.
        """

    def close(self) -> None:
        """Give back files and connections. The next use opens them again."""
