"""Answers in a DynamoDB table of the common example, read for as long as a migration takes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from langchain_bedrock_opt.caching.canonical import NO_EFFECT
from langchain_bedrock_opt.caching.stores.dynamodb_calls import DynamoDBCalls
from langchain_bedrock_opt.caching.stores.dynamodb_table import check_table_name
from langchain_bedrock_opt.errors import CacheStoreError

_KEY = "cache_key"
_IN_KEY = frozenset({"modelId", "messages"})


class GuideTable:
    """Reads the answers that the `BedrockCache` of the common example has stored.

    That example keeps `cache_key`, `response` and `ttl`. Its key is the SHA-256 of the model id
    and the messages in JSON, and its answer is the text alone. So it is asked only about requests
    that hold nothing else which could change an answer: no system prompt, no tools, no guardrail
    and no inference parameter, `maxTokens` included, since the example sent none of them. Cache
    points, request metadata and service tiers do not count. A key is exact: the same model id,
    and the same text to the last space.

    What the example did not store can't be had: an answer that was cut or stopped by a guardrail
    looks like any other. The table is never written. A look-up costs half a read unit.

    Args:
        table: The table's name or ARN.
        client: A boto3 DynamoDB client; None makes one at the first use.
        region_name: The region of that client; boto3's chain if None.
        endpoint_url: Its endpoint, such as an emulator's.
        clock: Seconds since the epoch, on which answers expire.

    Raises:
        ConfigurationError: DynamoDB would not take `table`.

    Example:
        >>> class Client:
        ...     def get_item(self, **request):
        ...         return {"Item": {"response": {"S": "Kyoto."}, "ttl": {"N": "9999999999"}}}
        >>> request = {
        ...     "modelId": "anthropic.claude-3-haiku-20240307-v1:0",
        ...     "messages": [{"role": "user", "content": [{"text": "The old capital?"}]}],
        ... }
        >>> GuideTable("llm-cache", client=Client()).read(request)
        'Kyoto.'
    """

    def __init__(
        self,
        table: str,
        *,
        client: Any = None,
        region_name: str | None = None,
        endpoint_url: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_table_name(table)
        self._table = table
        self._clock = clock
        self._calls = DynamoDBCalls(
            table,
            needs=f"{_KEY} (S, HASH)",
            missing="check its name and region",
            client=client,
            region_name=region_name,
            endpoint_url=endpoint_url,
        )

    def read(self, request: Mapping[str, Any]) -> str | None:
        """The text of the answer to a Converse request.

        Args:
            request: What boto3's `converse` would get.

        Returns:
            The text; None if there is none, if it has expired, or if the request holds something
            that the table's key does not.

        Raises:
            CacheStoreError: The table could not be read, or is another one.
        """
        found = self.entry(request)
        return None if found is None else found[0]

    def entry(self, request: Mapping[str, Any]) -> tuple[str, float | None] | None:
        """The text of the answer to a Converse request, and how many seconds it has left.

        Args:
            request: What boto3's `converse` would get.

        Returns:
            As `read`, with None for a time without an end.

        Raises:
            CacheStoreError: The table could not be read, or is another one.
        """
        key = _guide_key(request)
        if key is None:
            return None
        item = self._calls.call("get_item", Key={_KEY: {"S": key}}).get("Item")
        if item is None:
            return None
        try:
            # Without a time an answer stays, as it does for DynamoDB.
            left = float(item["ttl"]["N"]) - self._clock() if "ttl" in item else None
            text: str = item["response"]["S"]
        except (KeyError, ValueError) as error:
            raise CacheStoreError(
                f"an item of DynamoDB table {self._table!r} has no text in `response` or no time "
                "in `ttl`: it is not a table of the example's cache"
            ) from error
        return None if not text or (left is not None and left <= 0) else (text, left)

    def close(self) -> None:
        """Let go of the connections, unless the client is the user's own."""
        self._calls.close()

    def __repr__(self) -> str:
        """The reader with its table."""
        return f"GuideTable({self._table!r})"


def _guide_key(request: Mapping[str, Any]) -> str | None:
    """The key under which the example would have stored an answer; None if it could not have."""
    if any(value and name not in _IN_KEY | NO_EFFECT for name, value in request.items()):
        return None
    try:
        document = {"model": request["modelId"], "messages": _written(request["messages"])}
        # To the letter as in the example: another spelling would be another key.
        content = json.dumps(document, sort_keys=True)
    except (KeyError, TypeError):  # images, for one: their bytes are no JSON
        return None
    return sha256(content.encode()).hexdigest()


def _written(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The messages as the example's user wrote them: without cache points."""
    return [
        {**message, "content": [block for block in message["content"] if "cachePoint" not in block]}
        for message in messages
    ]
