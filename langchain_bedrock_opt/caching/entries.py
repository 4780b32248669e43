"""Reading and writing entries on a store that may fail, and counting what happens.

Both doors of the cache go through here, so that this is the one place that decides what a broken
store means (a line in the log, one more error in the statistics, and a call that goes on) and
which entries may still be served.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final, Generic, Literal, Protocol, TypeAlias, TypeVar

from langchain_bedrock_opt.caching.codec import EntryCodec
from langchain_bedrock_opt.caching.epochs import Epochs
from langchain_bedrock_opt.caching.guard import GuardedStore, StoreLeftAloneError
from langchain_bedrock_opt.caching.stats import CacheStats
from langchain_bedrock_opt.caching.stores.base import CacheStore
from langchain_bedrock_opt.contracts import CacheReport, TokenUsage
from langchain_bedrock_opt.errors import ConfigurationError

logger = logging.getLogger(__name__)

LOG_INTERVAL: Final = 60.0
"""Seconds in which at most one store error is logged."""


class Entry(Protocol):
    """An answer out of a store, with what was noted beside it."""

    @property
    def meta(self) -> Mapping[str, Any]:
        """`at`, when it was stored; `fresh`, until when it is fresh; `stamps`, its epochs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a caller wants of an entry.

    Attributes:
        stamps: The epochs that it must carry: those of the call's tags.
        max_age: How old it may be, in seconds.
    """

    stamps: frozenset[str] = frozenset()
    max_age: float | None = None


ANY: Final = Wanted()

AnyEntry = TypeVar("AnyEntry", bound=Entry)
Lookup: TypeAlias = Literal["hit", "miss", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long entries live, in seconds.

    Attributes:
        ttl: How long one is fresh; None for as long as the store has room.
        jitter: The share of `ttl` by which that may be shortened at random.
        stale: How much longer one may be served while a new answer is fetched.
        local: How long the process keeps one without asking the store.

    Raises:
        ConfigurationError: One is out of its range.
    """

    ttl: float | None
    jitter: float
    stale: float
    local: float

    def __post_init__(self) -> None:
        """Check the values."""
        if self.ttl is not None and self.ttl <= 0:
            raise ConfigurationError(f"ttl={self.ttl!r}: must be above 0, or None to keep entries")
        if not 0 <= self.jitter < 1:
            raise ConfigurationError(f"ttl_jitter={self.jitter!r}: must be from 0 up to 1")
        if self.stale < 0:
            raise ConfigurationError(f"stale_while_revalidate={self.stale!r}: must be 0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept(Generic[AnyEntry]):
    """An entry that may be served.

    Attributes:
        entry: The entry. It is the caller's own.
        opened: What can be read again, by another caller of this process.
        tier: Where it came from.
        age: Seconds since it was stored.
        is_stale: Whether it is past its time, so that a new answer should be fetched.
    """

    entry: AnyEntry
    opened: bytes
    tier: str
    age: float
    is_stale: bool

    def report(self, saved: TokenUsage, *, hit_id: str) -> CacheReport:
        """What is said of a hit on it."""
        report: CacheReport = {
            "status": "hit",
            "tier": self.tier,
            "age_seconds": self.age,
            "saved": saved.as_dict(),
            "hit_id": hit_id,
        }
        if self.is_stale:
            report["is_stale"] = True
        return report


class Entries:
    """A store that never fails a call, with the counters of the cache.

    Args:
        store: Where the entries are.
        codec: Makes them bytes.
        epochs: Which of them are still valid.
        local: The process's own copies of the last ones; None if it keeps none.
        lifetimes: How long entries live.
        clock: Seconds since the epoch.
        random: Numbers from 0 to 1.
    """

    def __init__(
        self,
        store: GuardedStore,
        *,
        codec: EntryCodec,
        epochs: Epochs,
        local: CacheStore | None,
        lifetimes: Lifetimes,
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self.store = store
        self.codec = codec
        self.epochs = epochs
        self.clock = clock
        self._local = local
        self._lifetimes = lifetimes
        self._random = random
        self._lock = Lock()
        self._counts: Counter[str] = Counter()
        self._hits_by_tier: Counter[str] = Counter()
        self._saved: dict[str, TokenUsage] = {}
        self._spent_renewing = TokenUsage()
        self._next_log = 0.0
        self._forgotten = 0  # how often something was, so that no reader brings it back

    def load(
        self,
        key: str,
        read: Callable[[bytes], AnyEntry],
        *,
        wanted: Wanted = ANY,
        flight: bytes | None = None,
    ) -> tuple[Kept[AnyEntry] | None, Lookup]:
        """Read an entry that may be served.

        Args:
            key: Its key.
            read: Makes an entry of opened bytes, or raises if they are none.
            wanted: What the caller wants of it.
            flight: The opened bytes that an equal call under way has brought, if there was one.

        Returns:
            The entry or None, and how the look-up went. One that has expired, or was made
            invalid, is a miss.
        """
        forgotten = self._forgotten
        try:
            opened, tier = (flight, "flight") if flight is not None else self._opened(key)
            if opened is None:
                return None, "miss"
            kept = self._valid(opened, read, wanted, tier)
        except Exception as error:  # noqa: BLE001 - whatever a store raises, the call goes on
            self.failed("reading", error)
            return None, "error"
        if kept is None:
            return None, "miss"
        if tier == "exact" and self._local is not None and not kept.is_stale:
            with self._lock:
                if forgotten == self._forgotten:  # or this may be what was forgotten since
                    self._local.put(key, opened, self._local_time(kept))
        return kept, "hit"

    def read(
        self, key: str, data: bytes, read: Callable[[bytes], AnyEntry], wanted: Wanted = ANY
    ) -> Kept[AnyEntry] | None:
        """What the bytes of an entry in the store hold, if it may be served.

        Raises:
            CacheStoreError: The bytes are broken, or the store failed.
        """
        return self._valid(self.codec.open(key, data), read, wanted, "exact")

    def _valid(
        self, opened: bytes, read: Callable[[bytes], AnyEntry], wanted: Wanted, tier: str
    ) -> Kept[AnyEntry] | None:
        entry = read(opened)
        meta, now = entry.meta, self.clock()
        stamps = meta.get("stamps", {})
        if not (wanted.stamps <= stamps.keys() and self.epochs.hold(stamps)):
            return None
        age = max(0.0, now - float(meta["at"]))
        if wanted.max_age is not None and age >= wanted.max_age:
            return None
        fresh = meta.get("fresh")
        return Kept(
            entry=entry,
            opened=opened,
            tier=tier,
            age=age,
            is_stale=fresh is not None and now >= fresh,
        )

    def stamps(self, names: Iterable[str]) -> dict[str, str] | None:
        """The epochs that an answer asked for now will carry; None if the store failed."""
        try:
            return self.epochs.stamps(names)
        except Exception as error:  # noqa: BLE001 - the call goes on, without the cache
            self.failed("reading epochs", error)
            return None

    def save(
        self,
        key: str,
        encode: Callable[[EntryCodec, str, Mapping[str, Any]], bytes | None],
        *,
        stamps: Mapping[str, str] | None,
        model: str = "",
        ttl: float | None = None,
        lease: str | None = None,
    ) -> bytes | None:
        """Encode an entry and write it.

        Args:
            key: Its key.
            encode: Makes the bytes, of the codec, the key and what is to be noted beside the
                answer; None if the answer is not worth keeping.
            stamps: The epochs that held when the question was asked. None if the store could not
                say: then nothing is written, as nobody could make it invalid.
            model: The model id that answered.
            ttl: Seconds that it is fresh, if not as set up.
            lease: The lease under which the answer was found.

        Returns:
            The bytes, even if the store failed to take them; None if there are none.
        """
        data = None
        try:
            meta, lifetime = self._meta(stamps or {}, model, ttl)
            data = encode(self.codec, key, meta)
            if data is None or stamps is None:
                return data
            written = self.store.put(key, data, lifetime, lease=lease)
            self._forget_copy(key)  # of the answer that was there before
        except Exception as error:  # noqa: BLE001 - the answer is paid for and must get through
            self.failed("writing", error)
        else:
            self.count(stores=int(written))
        return data

    def opened(self, key: str, data: bytes) -> bytes | None:
        """What others in this process can read of an entry; None if it can't be opened."""
        try:
            return self.codec.open(key, data)
        except Exception as error:  # noqa: BLE001 - the answer is paid for and must get through
            self.failed("opening an entry", error)
            return None

    def forget(self, key: str) -> None:
        """Delete an entry.

        Raises:
            CacheStoreError: The store failed, and it is still there.
        """
        self.store.delete(key)
        self._forget_copy(key)

    def clear(self) -> None:
        """Delete all entries of the store.

        Raises:
            CacheStoreError: The store failed, and they are still there.
        """
        self.store.clear()
        self.forget_local()

    def forget_local(self) -> None:
        """Forget what the process keeps of the store."""
        self.epochs.forget()
        with self._lock:
            self._forgotten += 1
            if self._local is not None:
                self._local.clear()

    def _forget_copy(self, key: str) -> None:
        if self._local is not None:
            with self._lock:
                self._forgotten += 1
                self._local.delete(key)

    def failed(self, doing: str, error: Exception) -> None:
        """Count an error, and log it unless one was logged within the last minute."""
        now = self.clock()
        with self._lock:
            self._counts["errors"] += 1
            due = now >= self._next_log and not isinstance(error, StoreLeftAloneError)
            if due:
                self._next_log = now + LOG_INTERVAL
        if due:
            logger.warning(
                "the response cache failed while %s (%s errors so far), calls go on: %s: %s",
                doing,
                self._counts["errors"],
                type(error).__name__,
                error,
            )

    def count(self, **counts: int) -> None:
        """Add to the counters, by their names in `CacheStats`."""
        with self._lock:
            for name, count in counts.items():
                self._counts[name] += count

    def count_hit(self, kept: Kept[Any], saved: TokenUsage, model: str) -> None:
        """Count a hit and the tokens that it saved."""
        with self._lock:
            self._counts["hits"] += 1
            self._counts["stale"] += kept.is_stale
            self._hits_by_tier[kept.tier] += 1
            before = self._saved.get(model)
            self._saved[model] = saved if before is None else before + saved

    def count_renewal(self, spent: TokenUsage) -> None:
        """Count an answer that was fetched in the background, and the tokens that it has spent."""
        with self._lock:
            self._counts["renewals"] += 1
            self._spent_renewing += spent

    def stats(self) -> CacheStats:
        """The counters as they are now."""
        with self._lock:
            return CacheStats(
                **self._counts,
                spent_renewing=self._spent_renewing,
                hits_by_tier=dict(self._hits_by_tier),
                saved_by_model=dict(self._saved),
            )

    def lifetime(self, ttl: float | None = None) -> float | None:
        """The longest time that an entry is in the store, in seconds."""
        ttl = self._lifetimes.ttl if ttl is None else ttl
        return None if ttl is None else ttl + self._lifetimes.stale

    def _opened(self, key: str) -> tuple[bytes | None, str]:
        """What can be read of an entry, and the tier that had it."""
        if self._local is not None:
            opened = self._local.get(key)
            if opened is not None:
                return opened, "local"
        data = self.store.get(key)
        return None if data is None else self.codec.open(key, data), "exact"

    def _meta(
        self, stamps: Mapping[str, str], model: str, ttl: float | None
    ) -> tuple[dict[str, Any], float | None]:
        """What is noted beside an answer, and how long it will be in the store."""
        now = self.clock()
        meta: dict[str, Any] = {"at": now, "stamps": stamps, "model": model}
        ttl = self._lifetimes.ttl if ttl is None else ttl
        if ttl is None:
            return meta, None
        # Only ever shortened: nothing is fresh for longer than the user allowed.
        ttl *= 1 - self._lifetimes.jitter * self._random()
        meta["until"] = now + ttl + self._lifetimes.stale
        if self._lifetimes.stale:
            meta["fresh"] = now + ttl
        return meta, ttl + self._lifetimes.stale

    def _local_time(self, kept: Kept[Any]) -> float:
        """For how long the process may keep its copy: never past the entry's own time."""
        until = kept.entry.meta.get("until")
        left = self._lifetimes.local
        return left if until is None else max(0.0, min(left, until - self.clock()))
