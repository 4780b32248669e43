"""A store behind a circuit breaker."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_bedrock_opt.caching.guard import GuardedStore, StoreLeftAloneError
from langchain_bedrock_opt.caching.stores.base import CacheStore
from langchain_bedrock_opt.caching.stores.memory import InMemoryCacheStore
from langchain_bedrock_opt.errors import CacheStoreError


class Flaky(InMemoryCacheStore):
    """A store that is down when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.is_down = False
        self.writes_fail = False
        self.asked = 0

    def get(self, key: str) -> bytes | None:
        self.asked += 1
        if self.is_down:
            raise CacheStoreError("down")
        return super().get(key)

    def put(self, key: str, value: bytes, ttl: float | None, *, lease: str | None = None) -> bool:
        if self.writes_fail:
            raise CacheStoreError("full")
        return super().put(key, value, ttl, lease=lease)


@pytest.fixture
def flaky() -> Flaky:
    return Flaky()


@pytest.fixture
def guarded(flaky: Flaky, clock: Any) -> GuardedStore:
    return GuardedStore(flaky, failures=3, pause=10, clock=clock)


def fail(store: GuardedStore, times: int) -> None:
    for _ in range(times):
        with pytest.raises(CacheStoreError, match="down"):
            store.get("key")


def test_it_is_a_store(guarded: GuardedStore) -> None:
    """Whatever a store can do goes through it."""
    assert isinstance(guarded, CacheStore)
    lease = guarded.lease("key", 5)
    assert lease
    assert guarded.put("key", b"1", None, lease=lease)
    assert guarded.swap("key", b"1", b"2", None)
    assert guarded.get_many(["key", "other"]) == {"key": b"2"}
    guarded.delete("key")
    assert guarded.get("key") is None


def test_a_store_that_keeps_failing_is_left_alone(flaky: Flaky, guarded: GuardedStore) -> None:
    """After so many failures in a row nobody waits for the store any more."""
    flaky.is_down = True
    fail(guarded, 3)

    with pytest.raises(StoreLeftAloneError, match="left alone for 10 s"):
        guarded.get("key")

    assert flaky.asked == 3
    assert guarded.is_left_alone


def test_failures_between_successes_are_no_row(flaky: Flaky, guarded: GuardedStore) -> None:
    """A store that fails now and then is asked all the same."""
    for _ in range(5):
        flaky.is_down = True
        fail(guarded, 2)
        flaky.is_down = False
        assert guarded.get("key") is None

    assert flaky.asked == 15


def test_one_caller_tries_again(flaky: Flaky, guarded: GuardedStore, clock: Any) -> None:
    """After the pause one caller asks; if that fails, the others wait another pause."""
    flaky.is_down = True
    fail(guarded, 3)
    clock.now += 10

    fail(guarded, 1)

    with pytest.raises(StoreLeftAloneError):
        guarded.get("key")
    assert flaky.asked == 4


def test_a_store_that_is_back_is_asked_by_all(
    flaky: Flaky, guarded: GuardedStore, clock: Any
) -> None:
    """Once one call went well, the store is as good as before."""
    flaky.is_down = True
    fail(guarded, 3)
    flaky.is_down = False
    clock.now += 10

    assert [guarded.get("key") for _ in range(3)] == [None] * 3
    assert not guarded.is_left_alone


def test_reads_do_not_hide_that_writes_fail(guarded: GuardedStore, flaky: Flaky) -> None:
    """A store that can't be written is left alone by writers only, however well it reads."""
    flaky.writes_fail = True
    for _ in range(3):
        with pytest.raises(CacheStoreError, match="full"):
            guarded.put("key", b"value", None)
        assert guarded.get("key") is None

    with pytest.raises(StoreLeftAloneError, match="failed to write 3 times"):
        guarded.lease("key", 5)
    assert guarded.get("key") is None
    assert guarded.is_left_alone


def test_clearing_is_never_passed_over(flaky: Flaky, guarded: GuardedStore) -> None:
    """Entries that should be gone are deleted even while the store is left alone."""
    guarded.put("key", b"value", None)
    flaky.is_down = True
    fail(guarded, 3)

    guarded.clear()

    assert len(flaky) == 0
