"""Single flight across processes: claims on keys of a store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from langchain_bedrock_opt.caching.leases import MOST_RENEWED, Claim, Leases
from langchain_bedrock_opt.caching.stores.memory import InMemoryCacheStore
from langchain_bedrock_opt.errors import CacheStoreError

Errors = list[tuple[str, Exception]]


@pytest.fixture
def store() -> InMemoryCacheStore:
    return InMemoryCacheStore()


@pytest.fixture
def errors() -> Errors:
    return []


@pytest.fixture
def process(store: InMemoryCacheStore, errors: Errors) -> Callable[..., Leases]:
    """The leases of one process after the other, on one store."""

    def make(**arguments: float) -> Leases:
        arguments = {"timeout": 10, **arguments}
        return Leases(store, failed=lambda *error: errors.append(error), **arguments)  # type: ignore[arg-type]

    return make


def text(data: bytes) -> str | None:
    return data.decode() or None


def test_one_has_the_claim_and_the_other_its_answer(
    store: InMemoryCacheStore, process: Callable[..., Leases]
) -> None:
    """Who comes second waits for the answer of the first."""
    first = process().claim("key", text)
    assert first.lease
    found: list[Claim[str]] = []
    second = threading.Thread(target=lambda: found.append(process().claim("key", text)))
    second.start()

    store.put("key", b"the answer", 60, lease=first.lease)

    second.join(10)
    assert found[0].found == "the answer"
    assert found[0].lease is None


def test_another_takes_over(process: Callable[..., Leases]) -> None:
    """A claim that ends without an answer goes to one of those who wait."""
    first = process().claim("key", text)
    found: list[Claim[str]] = []
    second = threading.Thread(target=lambda: found.append(process().claim("key", text)))
    second.start()

    process().end(first)

    second.join(10)
    assert found[0].lease is not None
    assert found[0].found is None


def test_an_answer_that_came_in_between_is_found(
    store: InMemoryCacheStore, process: Callable[..., Leases]
) -> None:
    """Whoever gets the lease looks once more before asking the model, and gives it back."""
    store.put("key", b"the answer", 60)

    claim = process().claim("key", text)

    assert claim.found == "the answer"
    assert store.lease("key", 1) is not None


def test_an_answer_that_may_not_be_served_is_none(
    store: InMemoryCacheStore, process: Callable[..., Leases]
) -> None:
    """An entry that can't be served keeps nobody from asking."""
    store.put("key", b"", 60)

    claim = process().claim("key", text)

    assert claim.found is None
    assert claim.lease is not None


def test_nobody_waits_for_ever(process: Callable[..., Leases]) -> None:
    """After the time-out one goes without a lease."""
    held = process().claim("key", text)

    claim = process(timeout=0.05).claim("key", text)

    assert claim.lease is None
    assert claim.found is None
    assert held.lease


def test_a_lease_lasts_as_long_as_its_claim(
    store: InMemoryCacheStore, process: Callable[..., Leases]
) -> None:
    """While its holder works a lease is made longer; when the holder is gone it runs out."""
    claim = process(seconds=0.15).claim("key", text)
    time.sleep(0.5)
    assert store.lease("key", 1) is None
    assert claim.lease

    del claim  # as if the process had died

    deadline = time.monotonic() + 10
    while store.lease("key", 1) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_forgotten_claim_is_not_renewed_for_ever(
    store: InMemoryCacheStore, errors: Errors, clock: Any
) -> None:
    """A claim that exists but never ends holds its key for an hour at the most."""
    leases = Leases(
        store, timeout=10, seconds=0.15, clock=clock, failed=lambda *error: errors.append(error)
    )
    claim = leases.claim("key", text)
    clock.now += MOST_RENEWED

    deadline = time.monotonic() + 10
    while store.lease("key", 1) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert claim.lease


def test_the_late_one_writes_nothing(
    store: InMemoryCacheStore, process: Callable[..., Leases]
) -> None:
    """A holder whose lease was taken over can't replace the newer answer."""
    late = store.lease("key", 0.01)
    time.sleep(0.05)
    newer = process().claim("key", text)
    assert newer.lease
    assert store.put("key", b"newer", 60, lease=newer.lease)

    assert not store.put("key", b"late", 60, lease=late)
    assert store.get("key") == b"newer"


class _Broken(InMemoryCacheStore):
    def lease(self, key: str, seconds: float, *, held: str | None = None) -> str | None:
        raise CacheStoreError("down")


def test_a_broken_store_keeps_nobody_waiting(errors: Errors) -> None:
    """Without leases everybody goes, and the error is told."""
    leases = Leases(_Broken(), timeout=10, failed=lambda *error: errors.append(error))

    claim = leases.claim("key", text)

    assert (claim.lease, claim.found) == (None, None)
    assert [doing for doing, _ in errors] == ["taking a lease"]
