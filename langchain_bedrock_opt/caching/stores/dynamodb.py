"""Entries in a DynamoDB table, shared by everything that may use it."""

from __future__ import annotations

import random as random_module
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from langchain_bedrock_opt.caching.stores.base import StoreSize
from langchain_bedrock_opt.caching.stores.dynamodb_calls import (
    CONDITION_FAILED,
    DynamoDBCalls,
    key_in_words,
)
from langchain_bedrock_opt.caching.stores.dynamodb_items import (
    FORGET,
    FREE,
    HELD,
    LIVE,
    PARTITION_KEY,
    SORT_KEY,
    TTL_ATTRIBUTE,
    Head,
    Item,
    digest_of,
    head_key,
    join_parts,
    number,
    part_items,
    part_keys,
    partition,
    parts_of,
    read_head,
    removal_time,
    value_update,
)
from langchain_bedrock_opt.caching.stores.dynamodb_table import (
    check_table_name,
    iam_policy,
    make_table,
    table_definition,
)
from langchain_bedrock_opt.errors import CacheStoreError, ConfigurationError

_MAX_PREFIX = 255


class DynamoDBCacheStore:
    """Keeps entries in a DynamoDB table, for every process and machine that may use it.

    The table has to be there, as `table_definition` describes it, or is made on request. It may
    hold several caches, each under a prefix of its own. Nothing is evicted: give entries a time.

    An entry that has expired is not served from that moment, though DynamoDB deletes it only
    days later. A value of more than 350 KB is spread over several items; a reader sees the old
    value or the new one, never a half. Expiry and leases go by the clocks of the machines, which
    should agree within a second; a lease of up to a day is kept for certain.

    What things cost, in request units, for an entry of `s` KB up to 350 KB with all that stands
    beside it in its item (some 0.25 KB). On-demand, a million read units cost about $0.125 and a
    million write units about $0.625 in us-east-1:

    | operation           | units                                                      |
    |---------------------|------------------------------------------------------------|
    | `get`, `get_many`   | reads: `s` / 4 per key, rounded up, 1 for none; half of it |
    |                     | without `consistent_reads`                                 |
    | `put`, `swap`       | writes: `s` rounded up, of the larger of old and new; also |
    |                     | where a condition fails                                    |
    | `lease`, `release`  | writes: 1, or as `put` where an entry is there             |
    | `delete`            | writes: as `put`, twice while somebody holds the lease     |
    | `clear`             | reads: the whole table's KB / 8; writes: as `delete`       |

    A larger value costs as much for each of its parts, and deleting the old parts costs the same
    again.

    Args:
        table: The table's name or ARN.
        client: A boto3 DynamoDB client. None makes one at the first use, which gives up a request
            after two tries of two seconds, so that a slow cache does not hold up a call.
        region_name: The region of that client; boto3's chain if None.
        endpoint_url: Its endpoint, such as an emulator's.
        prefix: Begins the keys of this cache; any text without `#`, up to 255 bytes.
        create_table: Whether the first call that finds no table makes it, and waits for it.
        consistent_reads: Whether a reader sees every write that was acknowledged. Without it
            reads cost half, and for some moments a deleted entry may still be served and a new
            one not be found yet.
        clock: Seconds since the epoch, on which entries and leases expire.
        sleep: Waits for so many seconds, before what was left undone is asked for again.
        random: Numbers from 0 to 1, by which such waits differ.

    Raises:
        ConfigurationError: DynamoDB would not take `table` or `prefix`.

    Example:
        >>> from moto import mock_aws
        >>> with mock_aws():
        ...     store = DynamoDBCacheStore("answers", region_name="us-east-1", create_table=True)
        ...     _ = store.put("key", b"value", ttl=60)
        ...     print(store.get("key"))
        b'value'
    """

    def __init__(
        self,
        table: str,
        *,
        client: Any = None,
        region_name: str | None = None,
        endpoint_url: str | None = None,
        prefix: str = "bedrock-opt",
        create_table: bool = False,
        consistent_reads: bool = True,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        check_table_name(table)
        if "#" in prefix or not 0 < len(prefix.encode("utf-8", "replace")) <= _MAX_PREFIX:
            raise ConfigurationError(
                f"prefix={prefix!r}: must be 1 to {_MAX_PREFIX} bytes long, without '#'"
            )
        self._table = table
        self._prefix = prefix
        self._consistent = consistent_reads
        self._clock = clock
        self._calls = DynamoDBCalls(
            table,
            needs=key_in_words(table_definition(table)),
            missing="create it with create_table=True, or from table_definition() in a template",
            make=make_table if create_table else None,
            client=client,
            region_name=region_name,
            endpoint_url=endpoint_url,
            sleep=sleep,
            random=random,
        )

    def get(self, key: str) -> bytes | None:
        """The bytes under a key, or None."""
        pk = partition(self._prefix, key)
        return self._whole(pk, self._head(pk, consistent=self._consistent))

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The bytes under each of several keys, 100 in a round trip."""
        wanted = {partition(self._prefix, key): key for key in keys}
        items = self._calls.get_items([head_key(pk) for pk in wanted], consistent=self._consistent)
        found = {}
        for item in items:
            pk = item[PARTITION_KEY]["S"]
            value = self._whole(pk, read_head(item, self._clock()))
            if value is not None:
                found[wanted[pk]] = value
        return found

    def put(self, key: str, value: bytes, ttl: float | None, *, lease: str | None = None) -> bool:
        """Keep bytes under a key for `ttl` seconds; with a lease, only if it still holds."""
        pk = partition(self._prefix, key)
        if lease is None:
            return self._write(pk, value, ttl)
        return self._write(pk, value, ttl, only_if=HELD, held={":held": {"S": lease}})

    def swap(self, key: str, old: bytes | None, new: bytes, ttl: float | None) -> bool:
        """Replace bytes only if they are still what they were."""
        pk = partition(self._prefix, key)
        if old is None:
            return self._write(pk, new, ttl, only_if=f"NOT ({LIVE})")
        same = {":old": {"B": digest_of(old)}}
        return self._write(pk, new, ttl, only_if=f"({LIVE} AND digest = :old)", held=same)

    def delete(self, key: str) -> None:
        """Forget a key."""
        pk = partition(self._prefix, key)
        deleted = self._calls.call_unless(
            CONDITION_FAILED,
            "delete_item",
            Key=head_key(pk),
            ConditionExpression=FREE,
            ExpressionAttributeValues={":now": number(self._clock())},
            ReturnValues="ALL_OLD",
        )
        if deleted is None:  # somebody's lease is in the item, and stays
            deleted = self._calls.call(
                "update_item",
                Key=head_key(pk),
                UpdateExpression=f"SET #ttl = :ttl {FORGET}",
                ExpressionAttributeNames={"#ttl": TTL_ATTRIBUTE},
                ExpressionAttributeValues={":ttl": removal_time(self._clock())},
                ReturnValues="ALL_OLD",
            )
        self._delete_parts(pk, deleted.get("Attributes", {}))

    def lease(self, key: str, seconds: float, *, held: str | None = None) -> str | None:
        """Take the lease on a key, or make one's own last longer."""
        now = self._clock()
        token = held or secrets.token_hex(16)
        # A request that botocore repeats, because its answer was lost, finds its own token.
        taken = self._calls.call_unless(
            CONDITION_FAILED,
            "update_item",
            Key=head_key(partition(self._prefix, key)),
            UpdateExpression="SET lease_token = :held, lease_until = :until, "
            "#ttl = if_not_exists(#ttl, :ttl)",
            ConditionExpression=HELD if held else f"{FREE} OR lease_token = :held",
            ExpressionAttributeNames={"#ttl": TTL_ATTRIBUTE},
            ExpressionAttributeValues={
                ":held": {"S": token},
                ":now": number(now),
                ":until": number(now + seconds),
                ":ttl": removal_time(now + seconds),
            },
        )
        return None if taken is None else token

    def release(self, key: str, lease: str) -> None:
        """End a lease."""
        self._calls.call_unless(
            CONDITION_FAILED,
            "update_item",
            Key=head_key(partition(self._prefix, key)),
            UpdateExpression="REMOVE lease_token, lease_until",
            ConditionExpression="lease_token = :held",
            ExpressionAttributeValues={":held": {"S": lease}},
        )

    def clear(self) -> None:
        """Forget everything under this store's prefix, leases too; reads the whole table."""
        pages = self._calls.scan(
            ProjectionExpression=f"{PARTITION_KEY}, {SORT_KEY}",
            FilterExpression=f"begins_with({PARTITION_KEY}, :prefix)",
            ExpressionAttributeValues={":prefix": {"S": f"{self._prefix}#"}},
        )
        for keys in pages:
            self._calls.delete_items(keys)

    def size(self) -> StoreSize:
        """How much the whole table holds, as DynamoDB counts it about every six hours.

        Needs `dynamodb:DescribeTable`.

        Raises:
            CacheStoreError: The table could not be asked about.
        """
        table = self._calls.call("describe_table")["Table"]
        return StoreSize(int(table["ItemCount"]), int(table["TableSizeBytes"]))

    def close(self) -> None:
        """Let go of the connections, unless the client is the user's own."""
        self._calls.close()

    def create_table(self) -> None:
        """Make the table, on-demand and with its time to live on, and wait until it is active.

        A table that is there is checked and not changed: what does not remove expired entries is
        logged.

        Raises:
            CacheStoreError: It can't be made, or is there with another primary key.
        """
        make_table(self._calls)

    def table_definition(self) -> dict[str, Any]:
        """The table as CloudFormation's properties, from which CDK and Terraform can be fed."""
        return table_definition(self._table)

    def iam_policy(self, *, create_table: bool = False) -> dict[str, Any]:
        """The least that an IAM policy has to allow, and on request what making the table takes."""
        return iam_policy(self._table, create_table=create_table)

    def __repr__(self) -> str:
        """The store with its table and prefix."""
        return f"DynamoDBCacheStore({self._table!r}, prefix={self._prefix!r})"

    def _head(self, pk: str, *, consistent: bool) -> Head | None:
        response = self._calls.call("get_item", Key=head_key(pk), ConsistentRead=consistent)
        return read_head(response.get("Item"), self._clock())

    def _whole(self, pk: str, head: Head | None) -> bytes | None:
        """The value that a head begins.

        Where a part is missing, somebody has replaced or deleted the value in between, or a
        replica is behind: the head is read again. If that says the same, the value is lost, as an
        evicted one is.
        """
        consistent = self._consistent
        while head is not None and head.parts:
            keys = part_keys(pk, head.generation, head.parts)
            items = self._calls.get_items(keys, consistent=consistent)
            if len(items) == head.parts:
                return join_parts(head, items)
            again = self._head(pk, consistent=True)
            if consistent and again == head:
                return None
            head, consistent = again, True
        return None if head is None else head.payload

    def _write(
        self,
        pk: str,
        value: bytes,
        ttl: float | None,
        *,
        only_if: str = "",
        held: Mapping[str, Any] | None = None,
    ) -> bool:
        """Write a value: its parts, if it is large, and then the head, under a condition."""
        generation = secrets.token_hex(8)
        expires_at = None if ttl is None else self._clock() + ttl
        parts = parts_of(value)
        if parts:
            self._calls.put_items(part_items(pk, generation, parts, expires_at))
        request = value_update(
            value, generation, len(parts), expires_at, ends_lease=only_if == HELD
        )
        if only_if:
            # As with a lease, a repeated request finds what it has written itself.
            request["ConditionExpression"] = f"{only_if} OR generation = :generation"
            request["ExpressionAttributeValues"].update(
                {":now": number(self._clock()), **(held or {})}
            )
        own: Item = {"generation": {"S": generation}, "parts": {"N": str(len(parts))}}
        written = self._calls.call_unless(
            CONDITION_FAILED,
            "update_item",
            Key=head_key(pk),
            ReturnValues="ALL_OLD",
            **request,
        )
        before = own if written is None else written.get("Attributes", {})
        if written is None or before.get("generation") != own["generation"]:
            # What can't be deleted now goes with its `ttl`. The answer is known all the same.
            with suppress(CacheStoreError):
                self._delete_parts(pk, before)
        return written is not None

    def _delete_parts(self, pk: str, head: Item) -> None:
        """Delete the parts of a value that is no longer there."""
        if "parts" in head and "generation" in head:
            keys = part_keys(pk, head["generation"]["S"], int(head["parts"]["N"]))
            self._calls.delete_items(keys)
