"""What holds for every budget store: limits are kept, and each amount counts once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random
from uuid import uuid4

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langchain_bedrock_opt.usage.budget.stores.base import BudgetStore, Level
from langchain_bedrock_opt.usage.budget.stores.dynamodb import DynamoDBBudgetStore
from langchain_bedrock_opt.usage.budget.stores.memory import InMemoryBudgetStore
from langchain_bedrock_opt.usage.budget.stores.redis import RedisBudgetStore
from tests.dynamodb import patient_client

BEYOND_DOUBLES = 2**53 + 1
"""An amount that a double can't hold: nine thousand dollars and a trifle."""


def on_moto(request: pytest.FixtureRequest) -> BudgetStore:
    store = DynamoDBBudgetStore("budgets", client=request.getfixturevalue("moto_dynamodb"))
    store.create_table()
    return store


def on_local(request: pytest.FixtureRequest) -> BudgetStore:
    url = request.getfixturevalue("dynamodb_local")
    store = DynamoDBBudgetStore("budgets", client=patient_client(url))
    store.create_table()
    return store


def on_cluster(request: pytest.FixtureRequest) -> BudgetStore:
    client = redis.RedisCluster.from_url(request.getfixturevalue("redis_cluster_url"))
    request.addfinalizer(client.close)
    request.addfinalizer(client.disconnect_connection_pools)
    return RedisBudgetStore(client=client)


STORES: dict[str, Callable[[pytest.FixtureRequest], BudgetStore]] = {
    "memory": lambda request: InMemoryBudgetStore(),
    "dynamodb-moto": on_moto,
    "dynamodb-local": on_local,
    "redis": lambda request: RedisBudgetStore(request.getfixturevalue("redis_url")),
    "redis-cluster": on_cluster,
}


@pytest.fixture(params=STORES)
def budget_store(request: pytest.FixtureRequest) -> Iterator[BudgetStore]:
    """A store of each kind in turn; `key` is empty in it."""
    store = STORES[request.param](request)
    yield store
    if isinstance(store, RedisBudgetStore):
        store.close()


@pytest.fixture
def key() -> str:
    return f"budget|2026-11-23|tag:team={{日本}} {uuid4()}"


def test_is_a_store(budget_store: BudgetStore) -> None:
    """It has the methods of the protocol."""
    assert isinstance(budget_store, BudgetStore)


def test_an_unknown_budget_is_empty(budget_store: BudgetStore, key: str) -> None:
    """Nothing is committed of a budget that was never asked for, and nothing to settle."""
    assert budget_store.level(key) == Level(0, 0)
    assert budget_store.settle(key, "a", 5, 3) is None
    assert budget_store.level(key) == Level(0, 0)


def test_reserve_up_to_the_limit(budget_store: BudgetStore, key: str) -> None:
    """The last amount that fits is taken, one more is not, and neither changes the other."""
    first = budget_store.reserve(key, "a", 60, limit=100, ttl=3600)
    too_much = budget_store.reserve(key, "b", 41, limit=100, ttl=3600)
    exact = budget_store.reserve(key, "c", 40, limit=100, ttl=3600)

    assert first == (True, Level(60, 60))
    assert too_much == (False, Level(60, 60))
    assert exact == (True, Level(100, 100))
    assert budget_store.level(key) == Level(100, 100)


def test_more_than_the_whole_limit(budget_store: BudgetStore, key: str) -> None:
    """An amount above the limit does not even fit into an empty budget."""
    assert budget_store.reserve(key, "a", 101, limit=100, ttl=None) == (False, Level(0, 0))


def test_settle_for_less(budget_store: BudgetStore, key: str) -> None:
    """What a call did not cost is free for others."""
    budget_store.reserve(key, "a", 80, limit=100, ttl=3600)

    settled = budget_store.settle(key, "a", 80, 30)

    assert settled == Level(30, 0)
    assert settled.spent == 30
    assert budget_store.reserve(key, "b", 70, limit=100, ttl=3600) == (True, Level(100, 70))


def test_settle_for_more(budget_store: BudgetStore, key: str) -> None:
    """A call that cost more than was reserved is counted whole."""
    budget_store.reserve(key, "a", 80, limit=100, ttl=3600)

    assert budget_store.settle(key, "a", 80, 120) == Level(120, 0)
    assert budget_store.reserve(key, "b", 1, limit=100, ttl=3600) == (False, Level(120, 0))


def test_settle_once(budget_store: BudgetStore, key: str) -> None:
    """Settling again, as a repeated request does, changes nothing."""
    budget_store.reserve(key, "a", 80, limit=100, ttl=3600)
    budget_store.settle(key, "a", 80, 30)

    assert budget_store.settle(key, "a", 80, 30) is None
    assert budget_store.level(key) == Level(30, 0)


def test_reserve_once(budget_store: BudgetStore, key: str) -> None:
    """A reservation that is repeated is granted again and counted once."""
    budget_store.reserve(key, "a", 80, limit=100, ttl=3600)

    assert budget_store.reserve(key, "a", 80, limit=100, ttl=3600) == (True, Level(80, 80))


def test_no_limit(budget_store: BudgetStore, key: str) -> None:
    """Without a limit everything is taken and counted."""
    budget_store.reserve(key, "a", 80, limit=100, ttl=3600)

    assert budget_store.reserve(key, "b", 80, limit=None, ttl=3600) == (True, Level(160, 160))


def test_nothing_to_reserve(budget_store: BudgetStore, key: str) -> None:
    """An amount of nothing is a reservation too, and can cost something after all."""
    assert budget_store.reserve(key, "a", 0, limit=100, ttl=3600) == (True, Level(0, 0))
    assert budget_store.settle(key, "a", 0, 7) == Level(7, 0)


def test_budgets_are_apart(budget_store: BudgetStore, key: str) -> None:
    """A full budget leaves another one alone, also for a reservation of the same name."""
    budget_store.reserve(key, "a", 100, limit=100, ttl=3600)

    assert budget_store.reserve(f"{key}x", "a", 100, limit=100, ttl=3600).granted
    assert budget_store.settle(f"{key}x", "a", 100, 1) == Level(1, 0)
    assert budget_store.level(key) == Level(100, 100)


def test_amounts_beyond_doubles(budget_store: BudgetStore, key: str) -> None:
    """Sums and limits are exact to the last pico-dollar where doubles are not."""
    limit = 2 * BEYOND_DOUBLES + 1
    for name in ("a", "b"):
        assert budget_store.reserve(key, name, BEYOND_DOUBLES, limit=limit, ttl=3600).granted

    assert not budget_store.reserve(key, "c", 2, limit=limit, ttl=3600).granted
    assert budget_store.reserve(key, "d", 1, limit=limit, ttl=3600).granted
    assert budget_store.settle(key, "a", BEYOND_DOUBLES, 3) == Level(
        BEYOND_DOUBLES + 4, BEYOND_DOUBLES + 1
    )


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=25,
    deadline=None,  # some stores are servers
)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from("abcd"), st.integers(0, 50), st.integers(0, 60)), max_size=12
    )
)
def test_any_order_of_steps(
    steps: list[tuple[str, int, int]], budget_store: BudgetStore, key: str
) -> None:
    """After any reservations and settlements the level is what a sheet of paper says."""
    name = f"{key} {uuid4()}"
    held: dict[str, int] = {}
    spent = 0
    for reservation, amount, cost in steps:
        if reservation in held:
            reserved = held.pop(reservation)
            spent += cost
            found = budget_store.settle(name, reservation, reserved, cost)
            assert found == Level(spent + sum(held.values()), sum(held.values()))
        else:
            fits = spent + sum(held.values()) + amount <= 100
            assert budget_store.reserve(name, reservation, amount, limit=100, ttl=60)[0] is fits
            if fits:
                held[reservation] = amount

    assert budget_store.level(name) == Level(spent + sum(held.values()), sum(held.values()))


def test_a_race_never_passes_the_limit(budget_store: BudgetStore, key: str) -> None:
    """Of 64 threads that reserve and settle at once, all that were let in fit together."""
    limit = 1000
    highest: list[int] = []

    def work(number: int) -> int:
        random = Random(number)
        spent = 0
        for step in range(3):
            name, amount = f"{number}-{step}", random.randint(1, 60)
            granted, level = budget_store.reserve(key, name, amount, limit=limit, ttl=3600)
            highest.append(level.committed)
            if granted:
                cost = random.randint(0, amount)
                budget_store.settle(key, name, amount, cost)
                spent += cost
        return spent

    with ThreadPoolExecutor(64) as pool:
        spent = sum(pool.map(work, range(64)))

    assert max(highest) <= limit
    assert budget_store.level(key) == Level(spent, 0)
    assert 0 < spent <= limit
