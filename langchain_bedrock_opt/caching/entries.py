"""Reading and writing entries on a store that may fail, and counting what happens.

Both doors of the cache go through here, so that this is the one place that decides what a broken
store means: a line in the log, one more error in the statistics, and a call that goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Final, Literal, TypeAlias, TypeVar

from langchain_bedrock_opt.caching.stores.base import CacheStore
from langchain_bedrock_opt.contracts import TokenUsage

logger = logging.getLogger(__name__)

LOG_INTERVAL: Final = 60.0
"""Seconds in which at most one store error is logged."""

Entry = TypeVar("Entry")
Lookup: TypeAlias = Literal["hit", "miss", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """What a cache has done since it was made.

    Attributes:
        hits: Calls that it answered.
        misses: Calls that it was asked about and could not answer.
        stores: Answers that it kept.
        errors: Times a store failed or an entry was broken; the calls went on.
        bypassed: Calls that did not ask it: inside `bypass()` or `refresh()`, or sampled.
        saved: Tokens that the hits did not spend.
    """

    hits: int = 0
    misses: int = 0
    stores: int = 0
    errors: int = 0
    bypassed: int = 0
    saved: TokenUsage = field(default_factory=TokenUsage)

    @property
    def hit_rate(self) -> float:
        """The share of hits among the calls that asked; 0.0 if none did.

        Example:
            >>> CacheStats(hits=3, misses=1).hit_rate
            0.75
        """
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0


class Entries:
    """A store that never fails a call, with the counters of the cache.

    Args:
        store: Where the entries are.
        ttl: Seconds that an entry lives; None for as long as the store has room.
        ttl_jitter: The share of `ttl` by which an entry's life may be shortened at random.
        clock: Seconds since the epoch.
        random: Numbers from 0 to 1.
    """

    def __init__(
        self,
        store: CacheStore,
        *,
        ttl: float | None,
        ttl_jitter: float,
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self.store = store
        self.clock = clock
        self._ttl = ttl
        self._ttl_jitter = ttl_jitter
        self._random = random
        self._lock = Lock()
        self._stats = CacheStats()
        self._next_log = 0.0

    def load(
        self, key: str, decode: Callable[[bytes], Entry], *, data: bytes | None = None
    ) -> tuple[Entry | None, Lookup]:
        """Read and decode an entry.

        Args:
            key: Its key.
            decode: Makes an entry of bytes, or raises if they are broken.
            data: Its bytes, where they are at hand already and the store need not be asked.

        Returns:
            The entry or None, and how the look-up went. An expired entry is a miss.
        """
        try:
            data = data or self.store.get(key)
            return (None, "miss") if data is None else (decode(data), "hit")
        except Exception as error:  # noqa: BLE001 - whatever a store raises, the call goes on
            self.failed("reading", error)
            return None, "error"

    def save(self, key: str, encode: Callable[[], bytes | None]) -> bytes | None:
        """Encode an entry and write it.

        Args:
            key: Its key.
            encode: Makes the bytes; None if the answer is not worth keeping.

        Returns:
            The bytes, even if the store failed to take them; None if there are none.
        """
        data = None
        try:
            data = encode()
            if data is None:
                return None
            self.store.put(key, data, self._lifetime())
        except Exception as error:  # noqa: BLE001 - the answer is paid for and must get through
            self.failed("writing", error)
        else:
            self.count(stores=1)
        return data

    def failed(self, doing: str, error: Exception) -> None:
        """Count an error, and log it unless one was logged within the last minute."""
        now = self.clock()
        with self._lock:
            self._stats = replace(self._stats, errors=self._stats.errors + 1)
            due = now >= self._next_log
            if due:
                self._next_log = now + LOG_INTERVAL
        if due:
            logger.warning(
                "the response cache failed while %s (%s errors so far), calls go on: %s: %s",
                doing,
                self._stats.errors,
                type(error).__name__,
                error,
            )

    def count(self, *, hits: int = 0, misses: int = 0, stores: int = 0, bypassed: int = 0) -> None:
        """Add to the counters."""
        with self._lock:
            now = self._stats
            self._stats = replace(
                now,
                hits=now.hits + hits,
                misses=now.misses + misses,
                stores=now.stores + stores,
                bypassed=now.bypassed + bypassed,
            )

    def count_hit(self, saved: TokenUsage) -> None:
        """Count a hit and the tokens that it saved."""
        with self._lock:
            now = self._stats
            self._stats = replace(now, hits=now.hits + 1, saved=now.saved + saved)

    def stats(self) -> CacheStats:
        """The counters as they are now."""
        return self._stats

    def _lifetime(self) -> float | None:
        # Only ever shortened: nothing is served for longer than the user allowed.
        return None if self._ttl is None else self._ttl * (1 - self._ttl_jitter * self._random())
