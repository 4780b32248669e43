"""Single flight across processes: of many that ask the same at once, one asks the model.

Who finds no answer takes the lease on its key. The others look, ever less often, whether the
answer has come, and one of them takes over when the lease has ended without one. A lease lasts
some seconds and is made longer while its holder works, so that the death of a holder costs the
others seconds and not minutes. An answer is written only under a lease that still holds.

A lease knows nothing of threads: two caches on one store wait for each other even in one thread. A
thread that has paused a stream of one cache, and asks the other the same, waits out its time. One
cache object for a store avoids that: it reads the paused stream on (`flight`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Condition, Thread
from typing import Any, Final, Generic, TypeVar
from weakref import WeakKeyDictionary

from langchain_bedrock_opt.caching.stores.base import CacheStore
from langchain_bedrock_opt.forks import when_forked

LEASE_SECONDS: Final = 15.0
"""Seconds that a lease lasts without being made longer."""

MOST_RENEWED: Final = 3600.0
"""Seconds after which a lease is made longer no more: its claim has been forgotten, not ended."""

FIRST_LOOK, LOOK_FACTOR, LATEST_LOOK = 0.02, 1.5, 0.5
"""Seconds until a waiting process looks for the answer, and how they grow."""

Found = TypeVar("Found")


class Claim(Generic[Found]):
    """One process's right to find an answer. It ends with the answer, or with `release`.

    Attributes:
        found: The answer, if another process had it; then there is no lease.
        lease: The lease's token; None if one goes without: after waiting for too long, or because
            the store failed.
    """

    def __init__(
        self, store: CacheStore, key: str, lease: str | None = None, found: Found | None = None
    ) -> None:
        self._store = store
        self.key = key
        self.lease = lease
        self.found = found

    def renew(self, seconds: float) -> None:
        """Make the lease last longer; without effect if it has been lost or has ended."""
        lease = self.lease
        if lease is not None:
            self._store.lease(self.key, seconds, held=lease)

    def release(self) -> None:
        """End the lease; somebody else may take it. Releasing again does nothing."""
        lease, self.lease = self.lease, None
        if lease is not None:
            self._store.release(self.key, lease)


class Leases:
    """The claims that this process makes on keys of a store.

    Args:
        store: The store.
        timeout: The longest, in seconds, that one waits for another process's answer.
        failed: Told of the store's errors, which fail no call.
        seconds: How long a lease lasts without being made longer.
        clock: Seconds, on which the time-out passes, and the time for which a lease is renewed.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        store: CacheStore,
        *,
        timeout: float,
        failed: Callable[[str, Exception], None],
        seconds: float = LEASE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._timeout = timeout
        self._failed = failed
        self._seconds = seconds
        self._clock = clock
        self._sleep = sleep
        self._keeper = _Keeper(seconds, failed, clock)

    def claim(self, key: str, read: Callable[[bytes], Found | None]) -> Claim[Found]:
        """Take the lease on a key, or wait for the answer of the process that holds it.

        Args:
            key: What is asked.
            read: What an entry's bytes hold; None if that can't be served.
        """
        deadline, pause = self._clock() + self._timeout, FIRST_LOOK
        try:
            while True:
                claim = self.try_claim(key)
                # The answer may have come since it was looked for, whoever has the lease now.
                found = self._look(key, read)
                if found is not None:
                    if claim is not None:
                        claim.release()
                    return Claim(self._store, key, found=found)
                if claim is not None:
                    return claim
                if self._clock() >= deadline:
                    return Claim(self._store, key)
                self._sleep(pause)
                pause = min(pause * LOOK_FACTOR, LATEST_LOOK)
        except Exception as error:  # noqa: BLE001 - whatever a store raises, the call goes on
            self._failed("taking a lease", error)
            return Claim(self._store, key)

    def try_claim(self, key: str) -> Claim[Any] | None:
        """The lease on a key if nobody has it; no waiting.

        Raises:
            CacheStoreError: The store failed.
        """
        lease = self._store.lease(key, self._seconds)
        if lease is None:
            return None
        claim: Claim[Any] = Claim(self._store, key, lease)
        self._keeper.keep(claim)
        return claim

    def end(self, claim: Claim[Any]) -> None:
        """Release a claim; a store that fails does not keep its holder back."""
        try:
            claim.release()
        except Exception as error:  # noqa: BLE001 - the lease ends by itself in some seconds
            self._failed("ending a lease", error)

    def _look(self, key: str, read: Callable[[bytes], Found | None]) -> Found | None:
        data = self._store.get(key)
        return None if data is None else read(data)


class _Keeper:
    """Makes leases last longer while their claims exist, in a thread that ends when none does."""

    def __init__(
        self,
        seconds: float,
        failed: Callable[[str, Exception], None],
        clock: Callable[[], float],
    ) -> None:
        self._seconds = seconds
        self._failed = failed
        self._clock = clock
        self.after_fork()
        when_forked(self)

    def after_fork(self) -> None:
        """Begin anew: the claims are the parent's, and its thread is not here."""
        # Until when each is renewed. Weak, so that the claim of a stream that its reader forgot is
        # not kept for ever.
        self._claims: WeakKeyDictionary[Claim[Any], float] = WeakKeyDictionary()
        self._changed = Condition()
        self._thread: Thread | None = None

    def keep(self, claim: Claim[Any]) -> None:
        """Renew this claim's lease until it ends, or has lasted for too long."""
        try:
            with self._changed:
                self._claims[claim] = self._clock() + MOST_RENEWED
                if self._thread is None:
                    thread = Thread(target=self._run, name="bedrock-opt-leases", daemon=True)
                    thread.start()
                    self._thread = thread
        except RuntimeError as error:  # the system has no more threads
            self._failed("renewing a lease", error)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait(self._seconds / 3)
                now = self._clock()
                claims = [
                    claim
                    for claim, until in self._claims.items()
                    if claim.lease is not None and now < until
                ]
                if not claims:
                    self._thread = None
                    return
            while claims:
                self._renew(claims.pop())

    def _renew(self, claim: Claim[Any]) -> None:
        try:
            claim.renew(self._seconds)
        except Exception as error:  # noqa: BLE001 - it may go well the next time
            self._failed("renewing a lease", error)
