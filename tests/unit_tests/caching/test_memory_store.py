"""The store in memory: how much it holds."""

from __future__ import annotations

import pytest

from langchain_bedrock_opt.caching.stores.memory import InMemoryCacheStore
from langchain_bedrock_opt.errors import ConfigurationError


def test_the_entry_unused_for_longest_goes_first() -> None:
    """A full store drops what nobody has read or written for longest."""
    store = InMemoryCacheStore(max_entries=2)
    store.put("a", b"1", None)
    store.put("b", b"2", None)
    store.get("a")
    store.put("c", b"3", None)

    assert store.get_many(["a", "b", "c"]) == {"a": b"1", "c": b"3"}
    assert len(store) == 2


def test_values_have_room_together() -> None:
    """Values never have more bytes together than they may, however they were written or dropped."""
    store = InMemoryCacheStore(max_bytes=100)
    for index in range(20):
        store.put(str(index), bytes(30), None)
    assert len(store) == 3

    store.put("19", bytes(90), None)
    assert store.get_many(["17", "18", "19"]) == {"19": bytes(90)}
    store.swap("19", bytes(90), bytes(10), None)
    store.put("a", bytes(90), None)
    assert store.get_many(["a", "19"]) == {"a": bytes(90), "19": bytes(10)}
    store.delete("a")
    store.put("b", bytes(90), None)
    assert len(store) == 2


def test_a_value_beyond_all_room_empties_nothing() -> None:
    """A value longer than the store may hold is not kept, nor is what it replaces; others are."""
    store = InMemoryCacheStore(max_bytes=100)
    store.put("a", bytes(10), None)
    store.put("b", bytes(10), None)

    store.put("b", bytes(101), None)

    assert store.get_many(["a", "b"]) == {"a": bytes(10)}


def test_there_must_be_room() -> None:
    """A limit that leaves no room is a mistake that is said at once."""
    with pytest.raises(ConfigurationError, match="max_entries=0: must be 1 or more"):
        InMemoryCacheStore(max_entries=0)
    with pytest.raises(ConfigurationError, match="max_bytes=0: must be 1 or more"):
        InMemoryCacheStore(max_bytes=0)
