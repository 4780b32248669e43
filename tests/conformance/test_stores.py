"""What holds for every cache store.

A new store adds one entry to `STORES`: a function that opens an empty one on a folder and a clock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langchain_bedrock_opt.caching.stores.base import CacheStore
from langchain_bedrock_opt.caching.stores.disk import DiskCacheStore
from langchain_bedrock_opt.caching.stores.memory import InMemoryCacheStore

Clock = Callable[[], float]

STORES: dict[str, Callable[[Path, Clock], CacheStore]] = {
    "memory": lambda folder, clock: InMemoryCacheStore(clock=clock),
    "disk": lambda folder, clock: DiskCacheStore(folder / "cache", clock=clock),
}


class FakeClock:
    """The time now, and whatever a test adds to it."""

    def __init__(self) -> None:
        self.passed = 0.0

    def __call__(self) -> float:
        return time() + self.passed


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[CacheStore]:
    """An empty store of each kind in turn."""
    store = STORES[request.param](tmp_path, clock)
    yield store
    store.close()


def test_is_a_store(store: CacheStore) -> None:
    """It has the methods of the protocol."""
    assert isinstance(store, CacheStore)


def test_unknown_key(store: CacheStore) -> None:
    """What was never put is not there."""
    assert store.get("key") is None


@pytest.mark.parametrize("length", [0, 1, 50_000, 1_000_000])
def test_put_and_get(length: int, store: CacheStore) -> None:
    """Bytes of any length come back as they were."""
    value = (bytes(range(256)) * 4_000)[:length]

    store.put("key", value, 60)

    assert store.get("key") == value
    assert type(store.get("key")) is bytes


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(key=st.text(st.characters(exclude_categories=["Cs"]), min_size=1), value=st.binary())
def test_any_text_is_a_key(key: str, value: bytes, store: CacheStore) -> None:
    """Keys may be any text; each has its own value."""
    store.put(key, value, 60)
    store.put(f"{key}.", b"another", 60)

    assert store.get(key) == value


def test_the_last_value_counts(store: CacheStore) -> None:
    """Putting again replaces the value, long or short, and its time."""
    for value in (b"short", b"x" * 1_000_000, b"short again"):
        store.put("key", value, 60)

        assert store.get("key") == value


def test_expiry(store: CacheStore, clock: FakeClock) -> None:
    """An entry is served until its time is over, and not a moment longer."""
    store.put("short", b"1", 30)
    store.put("long", b"2", 90)
    clock.passed = 60

    assert store.get("short") is None
    assert store.get("long") == b"2"


def test_no_expiry(store: CacheStore, clock: FakeClock) -> None:
    """Without a time an entry stays."""
    store.put("key", b"value", None)
    clock.passed = 10**9

    assert store.get("key") == b"value"


def test_a_new_value_has_a_new_time(store: CacheStore, clock: FakeClock) -> None:
    """An entry that is put again lives by its new time alone."""
    store.put("key", b"old", 30)
    store.put("key", b"new", 90)
    clock.passed = 60

    assert store.get("key") == b"new"


def test_an_expired_entry_can_be_put_again(store: CacheStore, clock: FakeClock) -> None:
    """A key whose entry has expired takes a new one."""
    store.put("key", b"old", 30)
    clock.passed = 60
    assert store.get("key") is None

    store.put("key", b"new", 90)

    assert store.get("key") == b"new"


def test_delete(store: CacheStore) -> None:
    """A deleted key is gone, others stay, and deleting nothing is no error."""
    store.put("key", b"value", 60)
    store.put("other", b"value", 60)

    store.delete("key")
    store.delete("never put")

    assert store.get("key") is None
    assert store.get("other") == b"value"


def test_clear(store: CacheStore) -> None:
    """After clearing nothing is there, and the store goes on working."""
    for index in range(300):
        store.put(str(index), b"value", None)

    store.clear()

    assert [store.get(str(index)) for index in range(300)] == [None] * 300
    store.put("key", b"value", 60)
    assert store.get("key") == b"value"


def test_a_closed_store_opens_again(store: CacheStore) -> None:
    """A store may be closed more than once, unused or used, and used again."""
    store.close()
    store.put("key", b"value", 60)
    store.close()
    store.close()

    assert store.get("key") == b"value"


def test_many_threads(store: CacheStore) -> None:
    """Threads that write and read at once see whole values of their keys."""
    errors: list[object] = []
    start = threading.Barrier(8)

    def work(name: str) -> None:
        start.wait()
        for index in range(20):
            value = f"{name}{index}".encode() * 200
            store.put(f"{name}{index}", value, 60)
            store.put("shared", value, 60)
            if store.get(f"{name}{index}") != value or not store.get("shared"):
                errors.append(name)

    threads = [threading.Thread(target=work, args=(f"t{number}.",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
