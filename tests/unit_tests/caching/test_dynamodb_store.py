"""The store in DynamoDB: what stands in the table, and what a caller sees when calls go wrong."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langchain_bedrock_opt.caching.stores.dynamodb import DynamoDBCacheStore
from langchain_bedrock_opt.caching.stores.dynamodb_items import partition
from langchain_bedrock_opt.errors import CacheStoreError, ConfigurationError
from tests.dynamodb import FaultyClient, error, twice

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
def client(moto_dynamodb: Any) -> FaultyClient:
    return FaultyClient(moto_dynamodb)


@pytest.fixture
def naps() -> list[float]:
    """The seconds that the store has waited."""
    return []


@pytest.fixture
def open_store(
    client: FaultyClient, clock: Clock, naps: list[float]
) -> Callable[..., DynamoDBCacheStore]:
    """Opens a store on moto; its table is there."""
    DynamoDBCacheStore("cache", client=client, clock=clock).create_table()
    client.calls.clear()

    def open_one(**options: Any) -> DynamoDBCacheStore:
        return DynamoDBCacheStore(
            "cache", client=client, clock=clock, sleep=naps.append, random=lambda: 1.0, **options
        )

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
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None
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
            for end in ("expires_at", "lease_until"):
                assert float(item.get(end, {"N": 0})["N"]) <= int(item["ttl"]["N"])


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


@pytest.mark.parametrize("key", ["x" * 5000, "#", "", "\ud800", "日本語" * 900, "\x00"])
def test_keys_that_dynamodb_would_not_take(key: str, store: DynamoDBCacheStore) -> None:
    """Keys that are too long or no text are kept all the same."""
    store.put(key, b"value", 60)

    assert store.get(key) == b"value"
    assert store.get_many([key, "another"]) == {key: b"value"}


def some_unprocessed(request: dict[str, Any], method: Callable[..., Any]) -> Any:
    """A BatchGetItem that reads all keys but the last."""
    wanted = request["RequestItems"]["cache"]
    *done, left = wanted["Keys"]
    response = method(RequestItems={"cache": {**wanted, "Keys": done}})
    return {**response, "UnprocessedKeys": {"cache": {**wanted, "Keys": [left]}}}


def none_unprocessed(request: dict[str, Any], method: Callable[..., Any]) -> Any:
    """A BatchGetItem that reads nothing."""
    return {"Responses": {}, "UnprocessedKeys": request["RequestItems"]}


def none_written(request: dict[str, Any], method: Callable[..., Any]) -> Any:
    """A BatchWriteItem that writes nothing."""
    return {"UnprocessedItems": request["RequestItems"]}


def test_unprocessed_keys_are_asked_for_again(
    store: DynamoDBCacheStore, client: FaultyClient, naps: list[float]
) -> None:
    """What a batch leaves out is read by further ones, after waits that grow while it is idle."""
    keys = [f"key{index}" for index in range(5)]
    for key in keys:
        store.put(key, key.encode(), 60)
    client.plan("batch_get_item", some_unprocessed, *[none_unprocessed] * 3)

    assert store.get_many(keys) == {key: key.encode() for key in keys}
    assert naps == [0.025, 0.05, 0.1, 0.2]


def test_keys_that_stay_unprocessed_are_an_error(
    store: DynamoDBCacheStore, client: FaultyClient, naps: list[float]
) -> None:
    """A table that is at its limit for long ends in an error, never in half an answer."""
    client.plan("batch_get_item", *[none_unprocessed] * 5)

    with pytest.raises(CacheStoreError, match=r"left 2 items of a batch_get_item .* capacity"):
        store.get_many(["a", "b"])

    assert len(naps) == 4
    assert sum(naps) < 1


def test_unprocessed_items_are_written_again(
    store: DynamoDBCacheStore, client: FaultyClient
) -> None:
    """Parts that a batch leaves out are written by the next one; else there is no new head."""
    client.plan("batch_write_item", none_written)
    store.put("key", LARGE, 60)
    assert store.get("key") == LARGE

    client.plan("batch_write_item", *[none_written] * 5)
    with pytest.raises(CacheStoreError, match="batch_write_item"):
        store.put("key", LARGE[::-1], 60)
    assert store.get("key") == LARGE

    client.plan("batch_write_item", none_written)
    store.clear()
    assert items(client) == []


def test_parts_that_cannot_be_deleted_do_not_fail_a_write(
    store: DynamoDBCacheStore, client: FaultyClient
) -> None:
    """A value that is written is written, even if its forerunner's parts have to wait."""
    store.put("key", LARGE, 60)
    client.plan("batch_write_item", error("ThrottlingException", "BatchWriteItem"))

    assert store.put("key", b"short", 60) is True
    assert store.get("key") == b"short"


THROTTLES = [
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "RequestLimitExceeded",
]


@pytest.mark.parametrize("code", THROTTLES)
def test_throttling_is_an_error_of_the_store(
    code: str, store: DynamoDBCacheStore, client: FaultyClient
) -> None:
    """Each operation says that the table is throttled, and what to change."""
    operations: dict[str, list[Callable[[], Any]]] = {
        "get_item": [lambda: store.get("key")],
        "batch_get_item": [lambda: store.get_many(["key"])],
        "update_item": [
            lambda: store.put("key", b"value", 60),
            lambda: store.swap("key", None, b"value", 60),
            lambda: store.lease("key", 60),
            lambda: store.release("key", "token"),
        ],
        "delete_item": [lambda: store.delete("key")],
        "batch_write_item": [lambda: store.put("key", LARGE, 60)],
        "scan": [store.clear],
    }
    for operation, calls in operations.items():
        for call in calls:
            client.plan(operation, error(code))
            with pytest.raises(CacheStoreError, match=r"'cache' is throttled: .*on-demand"):
                call()


def test_no_answer_in_time_is_an_error_of_the_store(
    store: DynamoDBCacheStore, client: FaultyClient
) -> None:
    """Timeouts are told by their kind."""
    for kind in (ConnectTimeoutError, ReadTimeoutError):
        client.plan("get_item", kind(endpoint_url="https://dynamodb"))
        with pytest.raises(CacheStoreError, match=kind.__name__):
            store.get("key")


def test_what_is_not_allowed_is_said(store: DynamoDBCacheStore, client: FaultyClient) -> None:
    """A missing permission is named as the IAM policy names it."""
    client.plan("update_item", error("AccessDeniedException", "UpdateItem"))

    with pytest.raises(CacheStoreError, match=r"dynamodb:UpdateItem is not allowed on .*'cache'"):
        store.put("key", b"value", 60)


def test_a_table_that_is_not_there(moto_dynamodb: Any) -> None:
    """The message says where it was looked for, and how to get one."""
    store = DynamoDBCacheStore("nowhere", client=moto_dynamodb)

    with pytest.raises(CacheStoreError, match=r"'nowhere' in us-east-1: .*create_table=True"):
        store.get("key")


def test_a_server_that_is_not_there() -> None:
    """Without a server there is one clear line, soon."""
    store = DynamoDBCacheStore("cache", region_name="us-east-1", endpoint_url="http://127.0.0.1:9")

    with pytest.raises(CacheStoreError, match="EndpointConnectionError"):
        store.get("key")


def test_no_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a region learns how to set one at the first use."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(CacheStoreError, match="set AWS_REGION"):
        DynamoDBCacheStore("cache").get("key")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"table": "no table"}, "table='no table': must be 3 to 255"),
        ({"table": ""}, "or an ARN"),
        ({"table": "cache", "prefix": "a#b"}, "prefix='a#b': .*without '#'"),
        ({"table": "cache", "prefix": ""}, "1 to 255 bytes"),
        ({"table": "cache", "prefix": "語" * 100}, "1 to 255 bytes"),
    ],
)
def test_mistakes_are_told_at_construction(options: dict[str, Any], message: str) -> None:
    """A name that DynamoDB would refuse is refused before the first call."""
    with pytest.raises(ConfigurationError, match=message):
        DynamoDBCacheStore(**options)


def test_the_client_is_made_at_the_first_use(moto_dynamodb: Any) -> None:
    """Making a store makes no client, and a closed one makes another."""
    store = DynamoDBCacheStore(f"t{uuid4()}", region_name="eu-west-1", create_table=True)
    assert repr(store).startswith("DynamoDBCacheStore('t")
    store.close()
    store.put("key", b"value", 60)
    store.close()

    assert store.get("key") == b"value"
    assert boto3.Session().client("dynamodb", region_name="eu-west-1").list_tables()["TableNames"]
