"""The table of the DynamoDB store: made on request, checked, and described for others to make."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from langchain_bedrock_opt.caching.stores.dynamodb import DynamoDBCacheStore
from langchain_bedrock_opt.errors import CacheStoreError
from tests.dynamodb import FaultyClient, error

LARGE = bytes(900_000)


@pytest.fixture
def client(faulty_dynamodb: FaultyClient) -> FaultyClient:
    return faulty_dynamodb


def test_the_first_use_makes_the_table(client: FaultyClient) -> None:
    """On request the table is made when a call finds none: on-demand, with time to live."""
    store = DynamoDBCacheStore("cache", client=client, create_table=True)
    assert client.calls == []

    assert store.get_many(["key"]) == {}

    table = client.describe_table(TableName="cache")["Table"]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    ttl = client.describe_time_to_live(TableName="cache")["TimeToLiveDescription"]
    assert ttl == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}
    client.calls.clear()
    store.get("key")
    assert [name for name, _ in client.calls] == ["get_item"]


def test_no_table_is_made_unasked(client: FaultyClient) -> None:
    """Without the request nothing is made."""
    with pytest.raises(CacheStoreError, match="there is no DynamoDB table 'cache'"):
        DynamoDBCacheStore("cache", client=client).put("key", b"value", 60)

    assert client.list_tables()["TableNames"] == []


def test_a_table_that_cannot_be_made_is_an_error(client: FaultyClient) -> None:
    """Without the permission to make it, the message names what is missing."""
    client.plan("create_table", error("AccessDeniedException", "CreateTable"))
    store = DynamoDBCacheStore("cache", client=client, create_table=True)

    with pytest.raises(CacheStoreError, match="dynamodb:CreateTable is not allowed"):
        store.get("key")
    assert store.get("key") is None


def test_two_that_make_the_table_at_once(client: FaultyClient) -> None:
    """Who comes second waits until the first one's table is active, and changes nothing."""
    naps: list[float] = []
    first = DynamoDBCacheStore("cache", client=client)
    second = DynamoDBCacheStore("cache", client=client, create_table=True, sleep=naps.append)
    first.create_table()
    client.calls.clear()

    def creating(request: dict[str, Any], method: Callable[..., Any]) -> Any:
        return {"Table": {"TableStatus": "CREATING"}}

    client.plan("get_item", error("ResourceNotFoundException"))
    client.plan("describe_table", error("ResourceNotFoundException", "DescribeTable"), creating)

    assert second.get("key") is None
    assert naps == [1.0, 1.0]
    assert client.requests("update_time_to_live") == []


def test_a_table_that_never_becomes_active(client: FaultyClient) -> None:
    """Waiting ends after a minute."""
    naps: list[float] = []
    store = DynamoDBCacheStore("cache", client=client, sleep=naps.append)
    client.plan("describe_table", *[error("ResourceNotFoundException", "DescribeTable")] * 60)

    with pytest.raises(CacheStoreError, match="not active after 60 s"):
        store.create_table()

    assert sum(naps) == 60


def test_a_table_of_somebody_else(client: FaultyClient) -> None:
    """A table with another key is refused by its key, when it is checked and when it is used."""
    client.create_table(
        TableName="guide",
        KeySchema=[{"AttributeName": "cache_key", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "cache_key", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    store = DynamoDBCacheStore("guide", client=client)
    message = r"has the primary key cache_key \(S, HASH\), and needs pk \(S, HASH\), sk \(S, RANGE"

    with pytest.raises(CacheStoreError, match=message):
        store.create_table()
    with pytest.raises(CacheStoreError, match=message):
        store.get("key")


def test_another_refusal_keeps_its_words(client: FaultyClient) -> None:
    """Where the key is right, or can't be seen, DynamoDB's own message is passed on."""
    store = DynamoDBCacheStore("cache", client=client, create_table=True)
    store.get("key")
    refusal = error("ValidationException", "GetItem", "something else")

    client.plan("get_item", refusal, refusal)
    with pytest.raises(CacheStoreError, match=r"'cache' failed: ClientError: .*something else"):
        store.get("key")
    client.plan("describe_table", error("AccessDeniedException", "DescribeTable"))
    with pytest.raises(CacheStoreError, match="something else"):
        store.get("key")


def test_a_table_that_keeps_expired_entries_is_logged(
    client: FaultyClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A table without time to live works, is left as it is, and is told about."""
    store = DynamoDBCacheStore("cache", client=client)
    definition = store.table_definition()
    del definition["TimeToLiveSpecification"]
    client.create_table(**definition)

    with caplog.at_level(logging.WARNING):
        store.create_table()

    [record] = caplog.records
    assert "does not remove expired entries" in record.getMessage()
    assert client.requests("update_time_to_live") == []


def test_the_definition_makes_a_table_that_fits(
    client: FaultyClient, caplog: pytest.LogCaptureFixture
) -> None:
    """The table that others make from the definition is the one that the store wants."""
    store = DynamoDBCacheStore("cache", client=client)
    definition = store.table_definition()
    ttl = definition.pop("TimeToLiveSpecification")
    client.create_table(**definition)
    client.update_time_to_live(TableName="cache", TimeToLiveSpecification=ttl)

    store.create_table()
    store.put("key", b"value", 60)

    assert store.get("key") == b"value"
    assert caplog.records == []


@pytest.mark.parametrize("create_table", [False, True])
def test_the_policy_allows_what_is_called_and_nothing_else(
    *, create_table: bool, client: FaultyClient
) -> None:
    """The actions of the IAM policy are exactly the operations that the store uses."""
    store = DynamoDBCacheStore("cache", client=client, create_table=create_table)
    if not create_table:
        DynamoDBCacheStore("cache", client=client).create_table()
        client.calls.clear()
    store.put("key", LARGE, 60)
    store.get("key")
    store.swap("key", None, b"", 60)
    store.release("key", store.lease("key", 60) or "")
    store.delete("key")
    store.clear()
    if create_table:
        store.create_table()

    policy = store.iam_policy(create_table=create_table)
    used = {"".join(part.title() for part in name.split("_")) for name, _ in client.calls}

    [statement] = policy["Statement"]
    assert {action.partition(":")[2] for action in statement["Action"]} == used
    assert statement["Resource"] == "arn:aws:dynamodb:*:*:table/cache"


def test_a_table_by_its_arn() -> None:
    """A table may be named by its ARN, which the policy then names alone."""
    arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/cache"
    store = DynamoDBCacheStore(arn, region_name="eu-west-1")

    assert store.iam_policy()["Statement"][0]["Resource"] == arn
    assert store.table_definition()["TableName"] == "cache"
