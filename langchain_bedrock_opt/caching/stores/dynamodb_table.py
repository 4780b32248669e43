"""The DynamoDB table of the cache: what it looks like, who may use it, and making it."""

from __future__ import annotations

import logging
import re
from typing import Any, Final

from langchain_bedrock_opt.caching.stores.dynamodb_calls import (
    NO_TABLE,
    DynamoDBCalls,
    key_in_words,
)
from langchain_bedrock_opt.caching.stores.dynamodb_items import (
    PARTITION_KEY,
    SORT_KEY,
    TTL_ATTRIBUTE,
)
from langchain_bedrock_opt.catalog import policies
from langchain_bedrock_opt.errors import CacheStoreError, ConfigurationError

logger = logging.getLogger(__name__)

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{3,255}|arn:[^:]+:dynamodb:[^:]+:\d+:table/.+")
# AWS makes a table in some ten seconds.
_LOOKS = 60
_PAUSE = 1.0


def check_table_name(table: str) -> None:
    """Refuse what DynamoDB would not take for a table.

    Raises:
        ConfigurationError: It is neither a name nor an ARN.
    """
    if not _NAME.fullmatch(table):
        raise ConfigurationError(
            f"table={table!r}: must be 3 to 255 of the characters A-Z a-z 0-9 _ . -, or an ARN"
        )


def table_definition(table: str) -> dict[str, Any]:
    """The table, as the properties of CloudFormation's `AWS::DynamoDB::Table`.

    boto3 takes the same, in two calls: `create_table` all but `TimeToLiveSpecification`, and
    `update_time_to_live` that.

    Args:
        table: Its name or ARN.

    Example:
        >>> table_definition("answers")["TimeToLiveSpecification"]
        {'AttributeName': 'ttl', 'Enabled': True}
    """
    return {
        "TableName": table.rpartition("table/")[2],
        "AttributeDefinitions": [
            {"AttributeName": PARTITION_KEY, "AttributeType": "S"},
            {"AttributeName": SORT_KEY, "AttributeType": "S"},
        ],
        "KeySchema": [
            {"AttributeName": PARTITION_KEY, "KeyType": "HASH"},
            {"AttributeName": SORT_KEY, "KeyType": "RANGE"},
        ],
        "BillingMode": "PAY_PER_REQUEST",
        "TimeToLiveSpecification": {"AttributeName": TTL_ATTRIBUTE, "Enabled": True},
    }


def iam_policy(table: str, *, create_table: bool = False) -> dict[str, Any]:
    """The least that an IAM policy has to allow.

    Args:
        table: Its name, for any region and account, or its ARN.
        create_table: Whether the store may make the table as well.
    """
    feature = "cache-dynamodb-create" if create_table else "cache-dynamodb"
    return policies.iam_policy(feature, table=table)


def make_table(calls: DynamoDBCalls) -> None:
    """Make the table and wait until it can be used; one that is there is checked, not changed.

    Raises:
        CacheStoreError: It can't be made, or is there with another primary key.
    """
    definition = table_definition(calls.table)
    ttl = definition.pop("TimeToLiveSpecification")
    name = definition.pop("TableName")
    # Also where another process is making it just now.
    made = calls.call_unless("ResourceInUseException", "create_table", **definition)
    found = _when_active(calls)
    if made is not None:
        calls.call("update_time_to_live", TimeToLiveSpecification=ttl)
        return
    needed = key_in_words(definition)
    if key_in_words(found) != needed:
        raise CacheStoreError(
            f"DynamoDB table {name!r} has the primary key {key_in_words(found)}, and needs "
            f"{needed}: give the cache a table of its own"
        )
    _check_ttl(calls)


def _when_active(calls: DynamoDBCalls) -> dict[str, Any]:
    """The table's description, as soon as it can be used."""
    for _ in range(_LOOKS):
        described = calls.call_unless(NO_TABLE, "describe_table")
        # A table that has just been asked for may not be there for a moment.
        if described is not None and described["Table"]["TableStatus"] in {"ACTIVE", "UPDATING"}:
            found: dict[str, Any] = described["Table"]
            return found
        calls.sleep(_PAUSE)
    raise CacheStoreError(
        f"DynamoDB table {calls.table!r} is not active after {_LOOKS * _PAUSE:.0f} s: look at it "
        "in the AWS console"
    )


def _check_ttl(calls: DynamoDBCalls) -> None:
    """Say where expired entries would stay in the table, and be paid for, for ever."""
    described = calls.call("describe_time_to_live")["TimeToLiveDescription"]
    is_on = described["TimeToLiveStatus"] in {"ENABLED", "ENABLING"}
    if not is_on or described.get("AttributeName") != TTL_ATTRIBUTE:
        logger.warning(
            "DynamoDB table %r does not remove expired entries: turn its time to live on, for "
            "the attribute %r",
            calls.table,
            TTL_ATTRIBUTE,
        )
