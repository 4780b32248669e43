"""Calls of one DynamoDB table: its client, what was left undone, and errors in one clear line."""

from __future__ import annotations

import os
import random as random_module
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from langchain_bedrock_opt.aws.errors import BOTOCORE_ERRORS, BotocoreError
from langchain_bedrock_opt.caching.stores.dynamodb_items import Item
from langchain_bedrock_opt.errors import CacheStoreError, ConfigurationError

CONDITION_FAILED: Final = "ConditionalCheckFailedException"
NO_TABLE: Final = "ResourceNotFoundException"

# A cache must not hold up a call: one quick retry, and the call goes to the model.
_TIMEOUT = 2.0
_MAX_RETRIES = 1
_CONNECTIONS = 64
_MAX_GET = 100
_MAX_WRITE = 25
# Rounds in a row in which DynamoDB did nothing of a batch, with up to 50, 100, 200 and 400 ms
# between them; after a round in which it did something, up to 25 ms.
_IDLE_ROUNDS = 5
_PAUSE = 0.025
_THROTTLED = frozenset(
    {"ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"}
)
_DENIED = frozenset({"AccessDeniedException", "UnrecognizedClientException"})


class DynamoDBCalls:
    """Makes the calls of one table; whatever goes wrong is a `CacheStoreError`.

    Args:
        table: Its name or ARN.
        needs: The primary key that it should have, in words.
        missing: What to do where there is no such table, in words.
        make: Makes the table where there is none; None leaves that to the user.
        client: A boto3 DynamoDB client; None makes one at the first call.
        region_name: The region of that client.
        endpoint_url: Its endpoint.
        sleep: Waits for so many seconds.
        random: Numbers from 0 to 1, by which waits differ.
    """

    def __init__(
        self,
        table: str,
        *,
        needs: str,
        missing: str,
        make: Callable[[DynamoDBCalls], None] | None = None,
        client: Any,
        region_name: str | None,
        endpoint_url: str | None,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        self.table = table
        self.sleep = sleep
        self._needs = needs
        self._missing = missing
        self._make = make
        self._given = client
        self._region_name = region_name
        self._endpoint_url = endpoint_url
        self._random = random
        self._made: tuple[int, Any] | None = None

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        """Call an operation on the table.

        Args:
            operation: As boto3 names it.
            **request: Its arguments, without the table.

        Raises:
            CacheStoreError: It failed.
        """
        # It is None only for an error that was asked to be an answer.
        return self._send(operation, {"TableName": self.table, **request}) or {}

    def call_unless(self, code: str, operation: str, **request: Any) -> dict[str, Any] | None:
        """Call an operation of which one error is an answer.

        Args:
            code: DynamoDB's code of that error.
            operation: As boto3 names it.
            **request: Its arguments, without the table.

        Returns:
            The response; None for that error.

        Raises:
            CacheStoreError: It failed in any other way.
        """
        return self._send(operation, {"TableName": self.table, **request}, unless=code)

    def get_items(self, keys: Sequence[Item], *, consistent: bool) -> list[Item]:
        """Read items, 100 in a request.

        Args:
            keys: Their primary keys, each once.
            consistent: Whether to see every write that was acknowledged.

        Returns:
            Those that are there, in any order.

        Raises:
            CacheStoreError: Not all of them could be read.
        """
        found: list[Item] = []
        for some in _groups(keys, _MAX_GET):
            wanted = {self.table: {"Keys": some, "ConsistentRead": consistent}}
            for response in self._batch("batch_get_item", wanted, "UnprocessedKeys"):
                for items in response["Responses"].values():
                    found += items
        return found

    def put_items(self, items: Sequence[Item]) -> None:
        """Write whole items, 25 in a request.

        Raises:
            CacheStoreError: Not all of them could be written.
        """
        self._write([{"PutRequest": {"Item": item}} for item in items])

    def delete_items(self, keys: Sequence[Item]) -> None:
        """Delete items, 25 in a request; those that are not there are no error.

        Raises:
            CacheStoreError: Not all of them could be deleted.
        """
        self._write([{"DeleteRequest": {"Key": key}} for key in keys])

    def scan(self, **request: Any) -> Iterator[list[Item]]:
        """Read the table from end to end, page by page.

        Raises:
            CacheStoreError: It could not be read.
        """
        start: dict[str, Any] = {}
        while True:
            page = self.call("scan", **request, **start)
            yield page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def close(self) -> None:
        """Let go of the client, unless it is the user's own; its connections close with it."""
        self._made = None

    def _write(self, requests: Sequence[Mapping[str, Any]]) -> None:
        for some in _groups(requests, _MAX_WRITE):
            self._batch("batch_write_item", {self.table: some}, "UnprocessedItems")

    def _batch(self, operation: str, wanted: dict[str, Any], left: str) -> list[dict[str, Any]]:
        """Repeat a batch for what DynamoDB left undone, as long as it does anything."""
        responses = []
        idle = 0
        while True:
            response = self._send(operation, {"RequestItems": wanted}) or {}
            responses.append(response)
            remaining = response.get(left)
            if not remaining:
                return responses
            idle = idle + 1 if _size(remaining) >= _size(wanted) else 0
            if idle == _IDLE_ROUNDS:
                raise CacheStoreError(
                    f"DynamoDB left {_size(remaining)} items of a {operation} on table "
                    f"{self.table!r} undone {idle} times: give it on-demand billing, or more "
                    "capacity"
                )
            # Between half and all of the pause, so that many clients don't come back at once.
            self.sleep(_PAUSE * 2**idle * (1 + self._random()) / 2)
            wanted = remaining

    def _send(
        self, operation: str, request: dict[str, Any], *, unless: str | None = None
    ) -> dict[str, Any] | None:
        make = self._make
        while True:
            try:
                response: dict[str, Any] = getattr(self._client(), operation)(**request)
            except BOTOCORE_ERRORS as error:
                code = error_code(error)
                if code == unless:
                    return None
                if code != NO_TABLE or make is None:
                    raise self._store_error(error) from error
            else:
                return response
            make(self)
            make = None  # once: then the table is there, or something else is wrong

    def _client(self) -> Any:
        """The user's client, or this process's: a fork must not share its parent's sockets."""
        if self._given is not None:
            return self._given
        made = self._made
        if made is None or made[0] != os.getpid():
            made = self._made = (os.getpid(), self._new_client())
        return made[1]

    def _new_client(self) -> Any:
        from langchain_bedrock_opt.aws.clients import client_config, service_client

        try:
            return service_client(
                "dynamodb",
                region_name=self._region_name,
                endpoint_url=self._endpoint_url,
                config=client_config(
                    max_concurrency=_CONNECTIONS, timeout=_TIMEOUT, max_retries=_MAX_RETRIES
                ),
            )
        except ConfigurationError as error:
            raise CacheStoreError(str(error)) from error

    def _store_error(self, error: BotocoreError) -> CacheStoreError:
        """What went wrong, and what to do, in one line."""
        code = error_code(error)
        action = getattr(error, "operation_name", "")
        table = f"DynamoDB table {self.table!r}"
        said = " ".join(str(error).split())
        if code == NO_TABLE:
            region = getattr(getattr(self._client(), "meta", None), "region_name", "its region")
            return CacheStoreError(f"there is no {table} in {region}: {self._missing}")
        if code in _DENIED:
            return CacheStoreError(
                f"dynamodb:{action} is not allowed on {table}: allow it in the IAM policy, and "
                f"check the credentials ({said})"
            )
        if code in _THROTTLED:
            return CacheStoreError(
                f"{table} is throttled: give it on-demand billing, or more capacity ({said})"
            )
        if code == "ValidationException" and (found := self._other_key()):
            return CacheStoreError(
                f"{table} has the primary key {found}, and needs {self._needs}: give the cache "
                "a table of its own"
            )
        return CacheStoreError(f"{table} failed: {type(error).__name__}: {said}")

    def _other_key(self) -> str:
        """The table's primary key in words; empty if it is what it should be, or not known."""
        try:
            described = self._client().describe_table(TableName=self.table)["Table"]
        except BOTOCORE_ERRORS:
            return ""
        found = key_in_words(described)
        return "" if found == self._needs else found


def error_code(error: BotocoreError) -> str:
    """DynamoDB's code of an error; empty where it gave no answer."""
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def key_in_words(definition: Mapping[str, Any]) -> str:
    """A table's primary key.

    Args:
        definition: What CreateTable takes, or the `Table` that DescribeTable gives.

    Example:
        >>> key_in_words(
        ...     {
        ...         "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        ...         "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "N"}],
        ...     }
        ... )
        'id (N, HASH)'
    """
    types = {
        attribute["AttributeName"]: attribute["AttributeType"]
        for attribute in definition["AttributeDefinitions"]
    }
    return ", ".join(
        f"{key['AttributeName']} ({types.get(key['AttributeName'])}, {key['KeyType']})"
        for key in definition["KeySchema"]
    )


def _groups(values: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [values[start : start + size] for start in range(0, len(values), size)]


def _size(batch: Mapping[str, Any]) -> int:
    """How many keys or writes are in a batch of a single table."""
    return sum(
        len(items["Keys"]) if isinstance(items, Mapping) else len(items) for items in batch.values()
    )
