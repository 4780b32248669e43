"""What every store of cache entries can do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable


class StoreSize(NamedTuple):
    """How much a store holds, of all its caches, expired entries that are still there among it.

    Attributes:
        entries: Entries, and what stands beside them: epochs, leases, and what the similarity
            tier keeps.
        bytes: What they weigh; None if the store does not say.
    """

    entries: int
    bytes: int | None = None


@runtime_checkable
class CacheStore(Protocol):
    """Bytes under text keys, each for a limited time, and leases on keys.

    A store is used by many threads at once and may be shared by processes. Its answers are exact:
    `get` gives the bytes that were put last and have not expired, been deleted or evicted, and
    nothing else. Whatever goes wrong is raised as `CacheStoreError`; going on without the store is
    the cache's business. Opening connections or files waits for the first use.

    A lease is the right to find the answer for a key while others wait. It has a length of time,
    after which somebody else may take it, and a token. `put` with a token that is no longer the
    holder's writes nothing: that keeps a holder who was away for too long from replacing what came
    after it (a fencing token). Leases live beside entries: taking one changes no entry, and
    writing, deleting or expiring entries ends no lease but the one that `put` was given. Only
    `clear` ends all.

    A store that drops entries when it is full should drop those under `epoch:` and `sim:l:` last:
    without an epoch its entries are invalid, and labels took long to gather.
    """

    def get(self, key: str) -> bytes | None:
        """The bytes under a key, or None if there are none or they have expired.

        Raises:
            CacheStoreError: The store could not be read.
        """

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The bytes under each of several keys, in as few round trips as the store can.

        Args:
            keys: The keys; one that is named twice is read once.

        Returns:
            What was found; keys without bytes are left out.

        Raises:
            CacheStoreError: The store could not be read, or not all of it.
        """

    def put(self, key: str, value: bytes, ttl: float | None, *, lease: str | None = None) -> bool:
        """Keep bytes under a key, in place of those that were there.

        Args:
            key: The key.
            value: The bytes.
            ttl: For how many seconds; None for as long as there is room.
            lease: The token of a lease on this key. The bytes are written only if it still holds,
                in one step with that check, and the lease ends with it.

        Returns:
            Whether they were written: always, unless a lease was given that has been lost.

        Raises:
            CacheStoreError: They could not be written.
        """

    def swap(self, key: str, old: bytes | None, new: bytes, ttl: float | None) -> bool:
        """Replace bytes only if they are still what they were: compare and set, in one step.

        Args:
            key: The key.
            old: The bytes that have to be there; None if there have to be none, or expired ones.
            new: The bytes to put.
            ttl: For how many seconds; None for as long as there is room.

        Returns:
            Whether they were replaced.

        Raises:
            CacheStoreError: They could not be compared or written.
        """

    def delete(self, key: str) -> None:
        """Forget a key; nothing happens if it is not there.

        Raises:
            CacheStoreError: The store could not be written.
        """

    def lease(self, key: str, seconds: float, *, held: str | None = None) -> str | None:
        """Take the lease on a key, or make one's own last longer.

        Args:
            key: The key.
            seconds: For how long, from now.
            held: The token of one's own lease, to extend it.

        Returns:
            The token of the lease; None if somebody else holds it, or, with `held`, if that one
            is lost.

        Raises:
            CacheStoreError: The store could not be written.
        """

    def release(self, key: str, lease: str) -> None:
        """End a lease; nothing happens if it is no longer held.

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
