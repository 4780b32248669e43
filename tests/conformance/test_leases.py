"""What holds for the leases of every cache store."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from langchain_bedrock_opt.caching.stores.base import CacheStore

Race: TypeAlias = Callable[[Callable[[int], Any]], list[Any]]


def test_one_holder_at_a_time(store: CacheStore) -> None:
    """A lease that is held is not given again, and each key has its own."""
    first = store.lease("key", 60)

    assert isinstance(first, str)
    assert first
    assert store.lease("key", 60) is None
    assert store.lease("another key", 60) not in {None, first}


def test_one_of_many_threads_gets_the_lease(store: CacheStore, race: Race) -> None:
    """Of threads that ask at the same moment, one gets the lease."""
    for key in ["a", "b", "c", "d", "e"]:
        tokens = race(partial(lambda key, _: store.lease(key, 60), key))

        assert len([token for token in tokens if token is not None]) == 1


def test_a_released_lease_is_free(store: CacheStore) -> None:
    """After a release the next one gets a lease of its own; only the holder can release."""
    first = store.lease("key", 60)
    assert first is not None

    store.release("key", "another token")
    assert store.lease("key", 60) is None
    store.release("key", first)
    second = store.lease("key", 60)
    store.release("key", first)

    assert second not in {None, first}
    assert store.lease("key", 60) is None


def test_releasing_nothing_is_no_error(store: CacheStore) -> None:
    """A lease that was never taken may be released."""
    store.release("never taken", "token")


def test_a_lease_ends_by_itself(store: CacheStore, pass_time: Callable[[float], None]) -> None:
    """When its time is over somebody else gets the lease, and it can't be extended any more."""
    first = store.lease("key", 30)
    pass_time(60)

    assert store.lease("key", 30, held=first) is None
    second = store.lease("key", 30)

    assert second not in {None, first}
    assert store.lease("key", 30, held=first) is None


def test_an_extended_lease_lasts_longer(
    store: CacheStore, pass_time: Callable[[float], None]
) -> None:
    """Its holder makes a lease last, counted from then, under the same token."""
    token = store.lease("key", 60)
    pass_time(40)
    assert store.lease("key", 60, held=token) == token
    pass_time(40)

    assert store.lease("key", 60) is None
    pass_time(40)
    assert store.lease("key", 60) is not None


def test_only_the_holder_extends(store: CacheStore) -> None:
    """A token that is not the holder's extends nothing and takes nothing."""
    assert store.lease("key", 60, held="token") is None
    held = store.lease("key", 60)

    assert store.lease("key", 60, held="token") is None
    assert store.lease("key", 60, held=held) == held


def test_the_holder_writes_and_the_lease_ends(store: CacheStore) -> None:
    """Bytes put under a lease are there, and the lease is free again."""
    token = store.lease("key", 60)

    assert store.put("key", b"value", 60, lease=token) is True
    assert store.get("key") == b"value"
    assert store.lease("key", 60) is not None


def test_a_lost_lease_writes_nothing(store: CacheStore, pass_time: Callable[[float], None]) -> None:
    """Who was away for too long neither replaces what came after nor ends another one's lease."""
    late = store.lease("key", 30)
    pass_time(60)
    new = store.lease("key", 90)

    assert store.put("key", b"late", 60, lease=late) is False
    assert store.get("key") is None
    assert store.put("key", b"new", 600, lease=new) is True
    assert store.put("key", b"late", 60, lease=late) is False
    assert store.get("key") == b"new"


def test_a_lease_that_ran_out_writes_nothing(
    store: CacheStore, pass_time: Callable[[float], None]
) -> None:
    """A lease that is over writes nothing even if nobody took it since."""
    token = store.lease("key", 30)
    pass_time(60)

    assert store.put("key", b"late", 600, lease=token) is False
    assert store.get("key") is None


def test_a_token_is_of_one_key(store: CacheStore) -> None:
    """The lease on a key gives no right to another one."""
    token = store.lease("key", 60)

    assert store.put("another key", b"value", 60, lease=token) is False
    assert store.get("another key") is None
    assert store.put("key", b"value", 60, lease=token) is True


def test_leases_leave_entries_alone(store: CacheStore, pass_time: Callable[[float], None]) -> None:
    """Taking, extending, releasing and losing a lease changes no entry, and shows as none."""
    store.put("key", b"value", 600)
    token = store.lease("key", 30)
    store.lease("key", 30, held=token)
    assert token is not None
    store.release("key", token)
    store.lease("key", 30)
    pass_time(60)

    assert store.get("key") == b"value"
    assert store.lease("new", 60) is not None
    assert store.get("new") is None
    assert store.swap("new", None, b"value", 60)


def test_entries_leave_leases_alone(store: CacheStore, pass_time: Callable[[float], None]) -> None:
    """Writing, swapping, deleting and expiring entries ends no lease."""
    token = store.lease("key", 600)
    store.put("key", b"value", 30)
    store.swap("key", b"value", b"new", 30)
    store.delete("key")
    store.put("key", b"short", 30)
    pass_time(60)
    assert store.get("key") is None

    assert store.lease("key", 60) is None
    assert store.put("key", b"value", 60, lease=token) is True


def test_clearing_ends_leases(store: CacheStore) -> None:
    """An answer that was on its way when the store was cleared is not written any more."""
    token = store.lease("key", 60)
    store.clear()

    assert store.put("key", b"old news", 60, lease=token) is False
    assert store.lease("key", 60) is not None


def test_many_leases(store: CacheStore, pass_time: Callable[[float], None]) -> None:
    """Leases that nobody ends are free again when their times are over, whatever their order."""
    for index in range(40):
        assert store.lease(f"key{index}", 30 + 60 * (index % 2)) is not None
    pass_time(60)

    taken = [store.lease(f"key{index}", 30) is not None for index in range(40)]

    assert taken == [index % 2 == 0 for index in range(40)]
