"""Epochs: invalidating many entries by one write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from langchain_bedrock_opt.caching.epochs import Epochs, epoch_name
from langchain_bedrock_opt.caching.stores.memory import InMemoryCacheStore


@pytest.fixture
def store() -> InMemoryCacheStore:
    return InMemoryCacheStore()


def test_epochs_hold_until_they_are_renewed(store: InMemoryCacheStore) -> None:
    """A stamp is good until one of its epochs is renewed."""
    epochs = Epochs(store)
    stamps = epochs.stamps(["a", "b"])
    other = epochs.stamps(["a"])

    epochs.renew(["b"])

    assert not epochs.hold(stamps)
    assert epochs.hold(other)
    assert epochs.hold(epochs.stamps(["a", "b"]))


def test_another_process_goes_by_it_in_time(store: InMemoryCacheStore, clock: Any) -> None:
    """Epochs that were read are believed for a second, and then read again."""
    here, there = Epochs(store), Epochs(store, max_age=1, clock=clock)
    stamps = there.stamps(["a"])
    here.renew(["a"])

    assert there.hold(stamps)
    clock.now += 1
    assert not there.hold(stamps)


def test_processes_agree_on_a_first_epoch(store: InMemoryCacheStore) -> None:
    """Who comes first draws the epoch, and the others take it over."""
    assert Epochs(store).stamps(["a"]) == Epochs(store).stamps(["a"])


def test_a_lost_epoch_makes_its_entries_invalid(store: InMemoryCacheStore, clock: Any) -> None:
    """What nobody can vouch for is not served: a store that forgets epochs fails closed."""
    epochs = Epochs(store, max_age=1, clock=clock)
    stamps = epochs.stamps(["a"])
    store.clear()
    clock.now += 1

    assert not epochs.hold(stamps)


def test_a_read_that_was_overtaken_is_not_believed(clock: Any) -> None:
    """What a slow read brings does not undo the renewal that came while it was on its way."""

    class Slow(InMemoryCacheStore):
        on_read = staticmethod(lambda: None)

        def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
            found = super().get_many(keys)
            self.on_read()
            return found

    store = Slow()
    epochs = Epochs(store, max_age=1, clock=clock)
    stamps = epochs.stamps(["a"])
    clock.now += 1

    def renew() -> None:
        store.on_read = lambda: None
        epochs.renew(["a"])

    store.on_read = renew
    epochs.hold(stamps)

    assert not epochs.hold(stamps)


def test_an_epoch_is_not_read_at_each_call(clock: Any) -> None:
    """Within the second a stamp costs no trip to the store."""
    trips: list[object] = []

    class Counting(InMemoryCacheStore):
        def get_many(self, keys: object) -> dict[str, bytes]:
            trips.append(keys)
            return super().get_many(keys)  # type: ignore[arg-type]

    epochs = Epochs(Counting(), max_age=1, clock=clock)
    for _ in range(10):
        epochs.stamps(["a", "b"])

    assert len(trips) == 1


def test_names_are_apart_and_say_nothing() -> None:
    """Kinds, namespaces and names are apart, and none can be read in its name."""
    names = {
        epoch_name("tag", "default", "prices"),
        epoch_name("tenant", "default", "prices"),
        epoch_name("tag", "defaultprices"),
        epoch_name("tag", "other", "prices"),
    }

    assert len(names) == 4
    assert not any("prices" in name for name in names)
