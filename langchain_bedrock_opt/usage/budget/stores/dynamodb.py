"""Budgets in a DynamoDB table, shared by machines."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from math import ceil
from typing import Any, Final

from langchain_bedrock_opt.errors import BudgetStoreError, ConfigurationError
from langchain_bedrock_opt.usage.budget.stores.base import Grant, Level

_KEY: Final = "budget"
_TTL: Final = "ttl"
_TIMEOUT: Final = 2.0
_MAX_RETRIES: Final = 2
_CONNECTIONS: Final = 64
_REFUSED: Final = "ConditionalCheckFailedException"
_NO_TABLE: Final = "ResourceNotFoundException"
_IN_USE: Final = "ResourceInUseException"
_LOOKS: Final = 60  # AWS makes a table in some ten seconds

# Every amount in one item, so that one conditional update decides. A reservation is an attribute
# of its own: an attribute can be made and looked for in the same update, an entry of a map that is
# not there yet can't. Repeated by botocore, such an update finds its own reservation.
_RESERVE: Final = (
    "SET #held = :amount, committed = if_not_exists(committed, :zero) + :amount, "
    "reserved = if_not_exists(reserved, :zero) + :amount"
)
_SETTLE: Final = "SET committed = committed + :change, reserved = reserved - :held REMOVE #held"


class DynamoDBBudgetStore:
    """Counts budgets in a DynamoDB table, one item for each, by conditional updates.

    An update costs a write unit for each KB of the item: one for about fifteen calls under way.
    DynamoDB takes 1,000 units a second on one item and a call makes two updates, so split a
    budget by tag for more than some 300 calls a second (unverified against AWS). Items of old
    windows expire by `ttl`. The IAM policy must allow GetItem and UpdateItem; `create_table` also
    needs CreateTable, DescribeTable, DescribeTimeToLive and UpdateTimeToLive.

    Args:
        table: Its name or ARN. Its primary key is `budget` (S); `create_table` makes it.
        client: A boto3 DynamoDB client of your own.
        region_name: The region; boto3's chain if None.
        endpoint_url: Another endpoint, such as DynamoDB Local's.
        clock: Seconds since the epoch.
        sleep: Waits for so many seconds, while the table is made.

    Raises:
        ConfigurationError: The table has no name.

    Example:
        >>> DynamoDBBudgetStore("budgets", region_name="us-east-1")
        DynamoDBBudgetStore(table='budgets')
    """

    is_blocking = True

    def __init__(
        self,
        table: str,
        *,
        client: Any = None,
        region_name: str | None = None,
        endpoint_url: str | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not table:
            raise ConfigurationError("table='': name a DynamoDB table, such as 'budgets'.")
        self._table = table
        self._given = client
        self._region_name = region_name
        self._endpoint_url = endpoint_url
        self._made: tuple[int, Any] | None = None
        self._clock = clock
        self._sleep = sleep

    def reserve(
        self, key: str, reservation: str, amount: int, *, limit: int | None, ttl: float | None
    ) -> Grant:
        """Reserve an amount if what is committed stays within the limit with it."""
        if limit is not None and amount > limit:
            return Grant(granted=False, level=self.level(key))
        update, condition = _RESERVE, "attribute_not_exists(#held)"
        values, names = {":amount": amount, ":zero": 0}, {"#held": _held(reservation)}
        if limit is not None:
            values[":room"] = limit - amount
            condition += " AND (attribute_not_exists(committed) OR committed <= :room)"
        if ttl is not None:
            values[":ttl"], names["#ttl"] = ceil(self._clock() + ttl), _TTL
            update += ", #ttl = if_not_exists(#ttl, :ttl)"
        item, done = self._update(key, update, condition, values=values, names=names)
        # Refused, the item tells whether an earlier attempt of the same update had got through.
        return Grant(granted=done or names["#held"] in item, level=_level(item))

    def settle(self, key: str, reservation: str, reserved: int, amount: int) -> Level | None:
        """Put what a call cost in the place of what was reserved for it, once."""
        values = {":change": amount - reserved, ":held": reserved}
        condition, names = "attribute_exists(#held)", {"#held": _held(reservation)}
        item, done = self._update(key, _SETTLE, condition, values=values, names=names)
        return _level(item) if done else None

    def level(self, key: str) -> Level:
        """How full a budget is; empty if it is not known."""
        return _level(self._item(key))

    def create_table(self) -> None:
        """Make the table, billed by request, and wait until it can be used; or find it there.

        Raises:
            BudgetStoreError: It can't be made.
        """
        self._call(
            "create_table",
            unless=_IN_USE,
            AttributeDefinitions=[{"AttributeName": _KEY, "AttributeType": "S"}],
            KeySchema=[{"AttributeName": _KEY, "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        self._wait_until_active()
        expiry = self._call("describe_time_to_live")["TimeToLiveDescription"]
        if expiry["TimeToLiveStatus"] == "DISABLED":
            self._call(
                "update_time_to_live",
                TimeToLiveSpecification={"AttributeName": _TTL, "Enabled": True},
            )

    def _wait_until_active(self) -> None:
        for _ in range(_LOOKS):
            # A table that has just been asked for may not be there for a moment.
            table = self._call("describe_table", unless=_NO_TABLE).get("Table", {})
            if table.get("TableStatus") == "ACTIVE":
                return
            self._sleep(1.0)
        raise BudgetStoreError(
            f"DynamoDB table {self._table!r} is not active after {_LOOKS} s: look at it in the "
            "AWS console."
        )

    def __repr__(self) -> str:
        """The store with its table."""
        return f"DynamoDBBudgetStore(table={self._table!r})"

    def _item(self, key: str) -> Mapping[str, Any]:
        answer = self._call("get_item", Key={_KEY: {"S": key}}, ConsistentRead=True)
        item: Mapping[str, Any] = answer.get("Item", {})
        return item

    def _update(
        self,
        key: str,
        update: str,
        condition: str,
        *,
        values: Mapping[str, int],
        names: Mapping[str, str],
    ) -> tuple[Mapping[str, Any], bool]:
        """The item after a conditional update, or as it was if its condition did not hold."""
        answer = self._call(
            "update_item",
            unless=_REFUSED,
            Key={_KEY: {"S": key}},
            UpdateExpression=update,
            ConditionExpression=condition,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues={name: {"N": str(value)} for name, value in values.items()},
            ReturnValues="ALL_NEW",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
        if "Attributes" in answer:
            return answer["Attributes"], True
        # Not every endpoint gives the item with its refusal; DynamoDB Local does not.
        return answer.get("Item") or self._item(key), False

    def _call(self, operation: str, *, unless: str = "", **request: Any) -> dict[str, Any]:
        """Call an operation on the table; the error with the code `unless` is an answer."""
        from langchain_bedrock_opt.aws.errors import BOTOCORE_ERRORS

        try:
            method = getattr(self._client(), operation)
            answer: dict[str, Any] = method(TableName=self._table, **request)
        except BOTOCORE_ERRORS as error:
            response: dict[str, Any] = getattr(error, "response", None) or {}
            code = response.get("Error", {}).get("Code")
            if code and code == unless:
                return response
            said = " ".join(str(error).split())
            hint = "; its create_table() makes it, once" if code == _NO_TABLE else ""
            raise BudgetStoreError(
                f"DynamoDB table {self._table!r} failed: {said}{hint}"
            ) from error
        return answer

    def _client(self) -> Any:
        """The user's client, or this process's: a fork must not share its parent's sockets."""
        if self._given is not None:
            return self._given
        made = self._made
        if made is None or made[0] != os.getpid():
            from langchain_bedrock_opt.aws.clients import client_config, service_client

            config = client_config(
                max_concurrency=_CONNECTIONS, timeout=_TIMEOUT, max_retries=_MAX_RETRIES
            )
            client = service_client(
                "dynamodb",
                region_name=self._region_name,
                endpoint_url=self._endpoint_url,
                config=config,
            )
            made = self._made = (os.getpid(), client)
        return made[1]


def _held(reservation: str) -> str:
    """The attribute that holds a reservation's amount."""
    return f"r:{reservation}"


def _level(item: Mapping[str, Any]) -> Level:
    return Level(*(int(item.get(name, {}).get("N", 0)) for name in ("committed", "reserved")))
