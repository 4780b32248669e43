"""The store in DynamoDB: what stands in the table, and what its readers and writers see."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from langchain_bedrock_opt.caching.stores.dynamodb import DynamoDBCacheStore
from langchain_bedrock_opt.caching.stores.dynamodb_items import partition
from langchain_bedrock_opt.errors import CacheStoreError
from tests.dynamodb import FaultyClient, twice

NOW = 1_800_000_000.0
LARGE = os.urandom(900_000)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(faulty_dynamodb: FaultyClient) -> FaultyClient:
    return faulty_dynamodb


@pytest.fixture
def open_store(client: FaultyClient, clock: Clock) -> Callable[..., DynamoDBCacheStore]:
    """Opens a store on moto; its table is there."""
    DynamoDBCacheStore("cache", client=client, clock=clock).create_table()
    client.calls.clear()

    def open_one(**options: Any) -> DynamoDBCacheStore:
        return DynamoDBCacheStore("cache", client=client, clock=clock, **options)

    return open_one


@pytest.fixture
def store(open_store: Callable[..., DynamoDBCacheStore]) -> DynamoDBCacheStore:
    return open_store()


def items(client: FaultyClient) -> list[dict[str, Any]]:
    """Everything in the table, in order."""
    found: list[dict[str, Any]] = client.scan(TableName="cache")["Items"]
    return sorted(found, key=lambda item: (item["pk"]["S"], item["sk"]["S"]))


def parts(client: FaultyClient) -> list[dict[str, Any]]:
    return [item for item in items(client) if item["sk"]["S"].startswith("c#")]


def last_end(item: dict[str, Any]) -> float:
    """When nothing in an item holds any more; far away for a value that does not expire."""
    expires_at = item.get("expires_at", {"N": NOW + 10**9 if "digest" in item else 0})
    return max(float(expires_at["N"]), float(item.get("lease_until", {"N": 0})["N"]))


def test_an_expired_item_that_is_still_there_is_none(
    store: DynamoDBCacheStore, client: FaultyClient, clock: Clock
) -> None:
    """What DynamoDB has not deleted yet is neither served nor in the way of a new value."""
    store.put("key", b"old", 60.5)
    clock.now += 60.5

    assert len(items(client)) == 1
    assert store.get("key") is None
    assert store.get_many(["key"]) == {}
    assert not store.swap("key", b"old", b"new", 60)
    assert store.swap("key", None, b"new", 60)
    assert store.get("key") == b"new"


def test_dynamodb_deletes_after_the_expiry(store: DynamoDBCacheStore, client: FaultyClient) -> None:
    """The time to live is in whole seconds and after the expiry, for the parts of a value too."""
    store.put("short", b"value", 60.5)
    store.put("large", LARGE, 60.5)

    assert {item["ttl"]["N"] for item in items(client)} == {str(int(NOW) + 61 + 86_400)}


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=30,
    deadline=None,
)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["put", "swap", "delete", "lease", "extend", "release", "fenced put"]),
            st.sampled_from([None, 10.0, 5_000.0]),
        ),
        max_size=8,
    )
)
@example(steps=[("put", None), ("lease", 10.0)])
@example(steps=[("lease", 5_000.0), ("put", 10.0)])
def test_nothing_that_holds_is_deleted_by_dynamodb(
    steps: list[tuple[str, float | None]],
    store: DynamoDBCacheStore,
    client: FaultyClient,
    clock: Clock,
) -> None:
    """Whatever the order of writes and leases, an item's time to live is not before their ends."""
    store.clear()
    token = "none"
    for step, seconds in steps:
        clock.now += 100
        if step == "put":
            store.put("key", b"value", seconds)
        elif step == "swap":
            store.swap("key", store.get("key"), b"new", seconds)
        elif step == "delete":
            store.delete("key")
        elif step == "release":
            store.release("key", token)
        elif step == "fenced put":
            store.put("key", b"fenced", seconds, lease=token)
        elif step == "extend":
            store.lease("key", seconds or 60, held=token)
        else:
            token = store.lease("key", seconds or 60) or token
        for item in items(client):
            assert int(item["ttl"]["N"]) >= last_end(item)


def test_a_value_above_the_limit_of_an_item(
    store: DynamoDBCacheStore, client: FaultyClient
) -> None:
    """A value of 900 KB stands in items that DynamoDB takes, and is read in two requests."""
    store.put("key", LARGE, 60)

    sizes = [len(item["payload"]["B"]) for item in parts(client)]
    assert len(sizes) == 3
    assert max(sizes) < 400 * 1024 - 4096
    client.calls.clear()
    assert store.get("key") == LARGE
    assert [name for name, _ in client.calls] == ["get_item", "batch_get_item"]
    assert store.get_many(["key", "none"]) == {"key": LARGE}


def test_no_part_is_left_behind(store: DynamoDBCacheStore, client: FaultyClient) -> None:
    """The parts of a value go when it is replaced, swapped, deleted, or not written after all."""
    store.put("key", LARGE, None)
    store.put("key", LARGE[::-1], None)
    assert len(parts(client)) == 3
    assert store.swap("key", LARGE[::-1], b"short", None)
    assert parts(client) == []

    assert not store.swap("key", b"other", LARGE, None)
    assert not store.put("key", LARGE, None, lease="lost")
    assert parts(client) == []

    store.put("key", LARGE, None)
    store.delete("key")
    assert items(client) == []


def test_deleting_under_a_lease_leaves_nothing_but_the_lease(
    store: DynamoDBCacheStore, client: FaultyClient
) -> None:
    """A large value that is deleted while somebody holds the lease is gone, all of it."""
    store.put("key", LARGE, None)
    token = store.lease("key", 60)

    store.delete("key")

    [left] = items(client)
    assert set(left) == {"pk", "sk", "ttl", "lease_token", "lease_until"}
    assert store.put("key", b"value", 60, lease=token)


def test_a_part_that_is_missing_makes_a_miss(
    store: DynamoDBCacheStore, client: FaultyClient
) -> None:
    """A value of which a part has gone is not there, as after an eviction."""
    store.put("key", LARGE, 60)
    lost = parts(client)[1]
    client.delete_item(TableName="cache", Key={name: lost[name] for name in ("pk", "sk")})

    assert store.get("key") is None
    assert store.get_many(["key"]) == {}


@pytest.mark.parametrize("change", [{"payload": {"B": b"foreign"}}, {"payload": {"S": "text"}}])
def test_a_part_that_was_changed_is_an_error(
    change: dict[str, Any], store: DynamoDBCacheStore, client: FaultyClient
) -> None:
    """Bytes that are not those that were written are never served."""
    store.put("key", LARGE, 60)
    client.put_item(TableName="cache", Item={**parts(client)[1], **change})

    with pytest.raises(CacheStoreError, match="not what was written"):
        store.get("key")


def test_an_item_of_somebody_else_is_an_error(
    store: DynamoDBCacheStore, client: FaultyClient
) -> None:
    """An item in another form is not served, and the message says what to do."""
    store.put("key", b"value", 60)
    client.put_item(TableName="cache", Item={**items(client)[0], "payload": {"S": "text"}})

    with pytest.raises(CacheStoreError, match="a table or a prefix of its own"):
        store.get("key")


def test_a_writer_that_dies_before_the_head(
    store: DynamoDBCacheStore, client: FaultyClient
) -> None:
    """The old value stays whole, and the new parts are left to the time to live."""
    store.put("key", b"old", None)
    client.plan("update_item", KeyboardInterrupt())

    with pytest.raises(KeyboardInterrupt):
        store.put("key", LARGE, 60)

    assert store.get("key") == b"old"
    assert {item["ttl"]["N"] for item in parts(client)} == {str(int(NOW) + 60 + 86_400)}
    store.clear()
    assert items(client) == []


def test_a_value_that_is_replaced_while_it_is_read(
    store: DynamoDBCacheStore,
    open_store: Callable[..., DynamoDBCacheStore],
    client: FaultyClient,
) -> None:
    """A reader whose parts have just been replaced gets the new value."""
    store.put("key", LARGE, 60)
    other = open_store()

    def replaced_before(request: dict[str, Any], method: Callable[..., Any]) -> Any:
        other.put("key", LARGE[::-1], 60)
        return method(**request)

    client.plan("batch_get_item", replaced_before)

    assert store.get("key") == LARGE[::-1]


def test_a_replica_that_is_behind(
    open_store: Callable[..., DynamoDBCacheStore], client: FaultyClient
) -> None:
    """Cheap reads are asked for as such; parts that one does not see are read consistently."""
    store = open_store(consistent_reads=False)
    store.put("key", LARGE, 60)
    client.plan("batch_get_item", lambda request, method: {"Responses": {"cache": []}})

    assert store.get("key") == LARGE
    assert [r["ConsistentRead"] for r in client.requests("get_item")] == [False, True]
    reads = client.requests("batch_get_item")
    assert [r["RequestItems"]["cache"]["ConsistentRead"] for r in reads] == [False, True]


def test_reads_are_consistent_unless_asked_otherwise(
    store: DynamoDBCacheStore, client: FaultyClient
) -> None:
    """By default a reader sees every write that was acknowledged."""
    store.get("key")
    store.get_many(["key"])

    assert client.requests("get_item")[0]["ConsistentRead"] is True
    [read] = client.requests("batch_get_item")
    assert read["RequestItems"]["cache"]["ConsistentRead"] is True


def test_writing_costs_one_request(store: DynamoDBCacheStore, client: FaultyClient) -> None:
    """Each operation on an entry of usual size is one request, with a lease or without."""
    store.put("key", b"value", 60)
    token = store.lease("key", 60)
    store.put("key", b"new", 60, lease=token)
    store.swap("key", b"new", b"newer", 60)
    store.release("key", "token")

    assert [name for name, _ in client.calls] == ["update_item"] * 5


def test_a_request_that_is_sent_twice_counts_once(
    store: DynamoDBCacheStore, client: FaultyClient
) -> None:
    """Where an answer was lost and botocore repeats the request, it finds its own work."""
    client.plan("update_item", twice, twice, twice)

    token = store.lease("key", 60)
    assert token is not None
    assert store.put("key", b"value", 60, lease=token)
    assert store.swap("key", b"value", LARGE, 60)
    assert store.get("key") == LARGE


def test_clearing_leaves_other_caches_alone(
    open_store: Callable[..., DynamoDBCacheStore],
) -> None:
    """A store clears what is under its own prefix, not what begins alike."""
    prefixes = ["team", "team2", "tea", "te"]
    stores = {prefix: open_store(prefix=prefix) for prefix in prefixes}
    for prefix, store in stores.items():
        store.put("key", prefix.encode(), 60)

    stores["team"].clear()

    left = {prefix: store.get("key") for prefix, store in stores.items()}
    assert left == {"team": None, "team2": b"team2", "tea": b"tea", "te": b"te"}


@given(first=st.text(), second=st.text())
def test_keys_have_partitions_of_their_own(first: str, second: str) -> None:
    """Two keys never share a partition, and every partition is one that DynamoDB takes."""
    for one, other in [(first, second), (f"#{first}", first), (first * 500, second * 500)]:
        assert (partition("p", one) == partition("p", other)) is (one == other)
        assert len(partition("p" * 255, one).encode()) <= 2048
    digested = partition("p", first * 500 + "x" * 1001)
    assert partition("p", digested.removeprefix("p#")) != digested


@pytest.mark.parametrize("key", ["x" * 5000, "#", "", "\ud800", "日本語" * 900, "\x00"])
def test_keys_that_dynamodb_would_not_take(key: str, store: DynamoDBCacheStore) -> None:
    """Keys that are too long or no text are kept all the same."""
    store.put(key, b"value", 60)

    assert store.get(key) == b"value"
    assert store.get_many([key, "another"]) == {key: b"value"}
