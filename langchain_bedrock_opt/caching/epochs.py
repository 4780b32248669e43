"""Epochs: a whole namespace, or all that carries a tag, becomes invalid at one stroke.

Each namespace, tenant and tag has an epoch in the store, a random text. An entry carries the
epochs that held when its question was asked, and is served only while all of them still hold. So
invalidating is one write, whatever the number of entries; those then expire in their time. An
epoch that was lost, by eviction say, is drawn anew, which makes its entries invalid: what is not
known to be valid is not served.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from hashlib import blake2b
from secrets import token_hex
from threading import Lock
from typing import Final

from langchain_bedrock_opt.caching.stores.base import CacheStore

MOST_KNOWN: Final = 10_000
"""Epochs that are remembered in the process."""


class Epochs:
    """The epochs of one cache.

    Args:
        store: Where they are kept, beside the entries.
        max_age: Seconds for which an epoch that was read is believed: the longest time for which
            another process serves what this one has made invalid.
        clock: Seconds, on which that time passes.
        draw: A new epoch, different from all that there were.

    Example:
        >>> from langchain_bedrock_opt.caching.stores.memory import InMemoryCacheStore
        >>> epochs = Epochs(InMemoryCacheStore())
        >>> stamps = epochs.stamps(["prices"])
        >>> epochs.hold(stamps)
        True
        >>> epochs.renew(["prices"])
        >>> epochs.hold(stamps)
        False
    """

    def __init__(
        self,
        store: CacheStore,
        *,
        max_age: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], str] = lambda: token_hex(8),
    ) -> None:
        self._store = store
        self._max_age = max_age
        self._clock = clock
        self._draw = draw
        self._lock = Lock()
        self._known: dict[str, tuple[str, float]] = {}
        self._forgotten = 0

    def stamps(self, names: Iterable[str]) -> dict[str, str]:
        """The epochs of these names as they are now: what an entry carries.

        Raises:
            CacheStoreError: The store failed.
        """
        now = self._clock()
        stamps: dict[str, str] = {}
        unknown: list[str] = []
        for name in names:
            epoch, read_at = self._known.get(name, ("", 0.0))
            if epoch and now - read_at < self._max_age:
                stamps[name] = epoch
            else:
                unknown.append(name)
        return {**stamps, **self._read(unknown)} if unknown else stamps

    def hold(self, stamps: Mapping[str, str]) -> bool:
        """Whether all these epochs still hold.

        Raises:
            CacheStoreError: The store failed.
        """
        return self.stamps(stamps) == stamps

    def renew(self, names: Iterable[str]) -> None:
        """Draw new epochs for these names: entries that carry the old ones become invalid.

        Raises:
            CacheStoreError: The store failed, and some of them still hold.
        """
        for name in names:
            try:
                self._store.put(_key(name), self._draw().encode(), None)
            finally:  # a write that failed may have come through
                self.forget()

    def forget(self) -> None:
        """Believe none of those that were read, or are being read: they may be old."""
        with self._lock:
            self._forgotten += 1
            self._known.clear()

    def _read(self, names: list[str]) -> dict[str, str]:
        forgotten = self._forgotten
        found = self._store.get_many([_key(name) for name in names])
        epochs = {
            name: found[_key(name)].decode() if _key(name) in found else self._drawn(name)
            for name in names
        }
        self._learn(epochs, forgotten)
        return epochs

    def _drawn(self, name: str) -> str:
        """The first epoch of a name; another process may be a moment earlier."""
        epoch = self._draw()
        if self._store.swap(_key(name), None, epoch.encode(), None):
            return epoch
        there = self._store.get(_key(name))
        return epoch if there is None else there.decode()

    def _learn(self, epochs: Mapping[str, str], forgotten: int) -> None:
        """Remember what was read, unless it may be old since."""
        now = self._clock()
        with self._lock:
            if forgotten != self._forgotten:
                return
            if len(self._known) > MOST_KNOWN:
                self._known.clear()
            self._known.update({name: (epoch, now) for name, epoch in epochs.items()})


@lru_cache(maxsize=4096)
def epoch_name(kind: str, namespace: str, name: str = "") -> str:
    """What a namespace, a tenant or a tag is called: a digest, which says nothing of the text.

    Args:
        kind: `namespace`, `tenant` or `tag`.
        namespace: The namespace, or the one that it is in.
        name: The tenant or the tag.
    """
    text = f"{kind}\0{namespace}\0{name}".encode("utf-8", "surrogatepass")
    return blake2b(text, digest_size=12, person=b"bedrock-opt ep").hexdigest()


def _key(name: str) -> str:
    return f"epoch:{name}"
