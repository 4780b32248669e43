"""The store in DynamoDB: what a caller sees when DynamoDB is busy, away, or set up wrongly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError

from langchain_bedrock_opt.caching.stores.dynamodb import DynamoDBCacheStore
from langchain_bedrock_opt.errors import CacheStoreError, ConfigurationError
from tests.dynamodb import FaultyClient, error

LARGE = bytes(range(250)) * 3600


@pytest.fixture
def client(faulty_dynamodb: FaultyClient) -> FaultyClient:
    return faulty_dynamodb


@pytest.fixture
def naps() -> list[float]:
    """The seconds that the store has waited."""
    return []


@pytest.fixture
def store(client: FaultyClient, naps: list[float]) -> DynamoDBCacheStore:
    """A store on moto; its table is there."""
    store = DynamoDBCacheStore("cache", client=client, sleep=naps.append, random=lambda: 1.0)
    store.create_table()
    client.calls.clear()
    return store


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
    asked = [
        request["RequestItems"]["cache"]["Keys"] for request in client.requests("batch_get_item")
    ]
    assert [len(keys) for keys in asked] == [5, 1, 1, 1, 1]


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
    assert client.scan(TableName="cache")["Items"] == []


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
