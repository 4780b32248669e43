"""What holds for every cache store.

Leases are in `test_leases`. Which stores there are is in `conftest`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langchain_bedrock_opt.caching.stores.base import CacheStore

Race: TypeAlias = Callable[[Callable[[int], Any]], list[Any]]


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


def test_get_many(store: CacheStore, pass_time: Callable[[float], None]) -> None:
    """Several keys are read at once; what is not there or has expired is left out."""
    for index in range(150):
        store.put(f"key{index}", str(index).encode(), 60)
    store.put("expired", b"value", 30)
    pass_time(45)

    found = store.get_many([*(f"key{index}" for index in range(150)), "key7", "none", "expired"])

    assert found == {f"key{index}": str(index).encode() for index in range(150)}
    assert store.get_many([]) == {}
    assert store.get_many(["none"]) == {}


def test_the_last_value_counts(store: CacheStore) -> None:
    """Putting again replaces the value, long or short, and its time."""
    for value in (b"short", b"x" * 1_000_000, b"short again"):
        store.put("key", value, 60)

        assert store.get("key") == value


def test_expiry(store: CacheStore, pass_time: Callable[[float], None]) -> None:
    """An entry is served until its time is over, and not a moment longer."""
    store.put("short", b"1", 30)
    store.put("long", b"2", 90)
    pass_time(60)

    assert store.get("short") is None
    assert store.get("long") == b"2"


def test_no_expiry(store: CacheStore, pass_time: Callable[[float], None]) -> None:
    """Without a time an entry stays."""
    store.put("key", b"value", None)
    pass_time(10**9)

    assert store.get("key") == b"value"


def test_a_new_value_has_a_new_time(store: CacheStore, pass_time: Callable[[float], None]) -> None:
    """An entry that is put again lives by its new time alone."""
    store.put("key", b"old", 30)
    store.put("key", b"new", 90)
    pass_time(60)

    assert store.get("key") == b"new"


def test_an_expired_entry_can_be_put_again(
    store: CacheStore, pass_time: Callable[[float], None]
) -> None:
    """A key whose entry has expired takes a new one."""
    store.put("key", b"old", 30)
    pass_time(60)
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


def test_swap(store: CacheStore) -> None:
    """Bytes are replaced only if they are what was expected, for as long as it is said."""
    assert store.swap("key", None, b"first", 60)
    assert not store.swap("key", None, b"second", 60)
    assert not store.swap("key", b"other", b"second", 60)
    assert store.get("key") == b"first"
    assert store.swap("key", b"first", b"second", None)
    assert not store.swap("key", b"first", b"third", 60)
    assert store.get("key") == b"second"
    assert not store.swap("none", b"first", b"second", 60)
    assert store.get("none") is None


def test_a_swap_has_its_own_time(store: CacheStore, pass_time: Callable[[float], None]) -> None:
    """What was swapped in lives by its own time, and an expired entry is none."""
    store.put("key", b"old", 30)
    store.swap("key", b"old", b"new", 90)
    store.put("expired", b"old", 30)
    pass_time(60)

    assert store.get("key") == b"new"
    assert not store.swap("expired", b"old", b"new", 90)
    assert store.swap("expired", None, b"new", 90)
    assert store.get("expired") == b"new"


def test_empty_bytes_are_not_nothing(store: CacheStore) -> None:
    """An entry of no bytes is an entry, for comparing too."""
    store.put("key", b"", 60)

    assert store.get_many(["key"]) == {"key": b""}
    assert not store.swap("key", None, b"new", 60)
    assert store.swap("key", b"", b"new", 60)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["put", "swap", "delete", "get"]),
            st.sampled_from(["a", "b"]),
            st.sampled_from([None, b"", b"1", b"2"]),
            st.sampled_from([b"", b"1", b"2"]),
        ),
        max_size=12,
    )
)
def test_it_does_as_a_dict_does(
    steps: list[tuple[str, str, bytes | None, bytes]], store: CacheStore
) -> None:
    """Whatever the order of writes, a store answers as a dict would."""
    store.clear()
    model: dict[str, bytes] = {}
    for step, key, old, new in steps:
        if step == "put":
            assert store.put(key, new, 60) is True
            model[key] = new
        elif step == "swap":
            fits = model.get(key) == old
            assert store.swap(key, old, new, 60) is fits
            if fits:
                model[key] = new
        elif step == "delete":
            store.delete(key)
            model.pop(key, None)
        assert store.get_many(["a", "b"]) == model


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


def test_a_value_that_is_replaced_is_always_there(store: CacheStore, race: Race) -> None:
    """Who reads while others write the same key sees one of the values, never none or a mixture."""
    values = [bytes([number]) * 400_000 for number in range(8)]
    store.put("key", values[0], 60)

    def work(number: int) -> list[bytes | None]:
        if number % 2:
            for value in values:
                store.put("key", value, 60)
            return []
        return [store.get("key") for _ in range(20)]

    seen = race(work)

    assert {value for reader in seen for value in reader} <= set(values)


def test_no_swap_is_lost(store: CacheStore, race: Race) -> None:
    """Threads that each read, add one and swap until it works add up exactly."""

    def add(number: int) -> None:
        for _ in range(5):
            while True:
                old = store.get("sum")
                if store.swap("sum", old, str(int(old or b"0") + 1).encode(), None):
                    break

    race(add)

    assert store.get("sum") == b"40"


def test_one_of_many_swaps_in(store: CacheStore, race: Race) -> None:
    """Of threads that all expect nothing, one writes, and its bytes stay."""
    won = race(lambda number: store.swap("key", None, str(number).encode(), 60))

    assert won.count(True) == 1
    assert store.get("key") == str(won.index(True)).encode()
