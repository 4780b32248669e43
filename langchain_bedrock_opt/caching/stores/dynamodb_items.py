"""How an entry is laid out in a DynamoDB table, and the conditions under which it is written.

The items of one key share the partition `prefix#key`:

| sort key           | attributes                                                                |
|--------------------|---------------------------------------------------------------------------|
| `v`, the head      | `generation`, `digest`, `parts`, `payload`, `expires_at`, `ttl`,          |
|                    | `lease_token`, `lease_until`                                              |
| `c#generation#n`  | `payload`, `ttl`: a part of a value that is too large for one item        |

Each write has a `generation` of its own. The parts of a large value are written under it before
the head is, so that a reader follows the old head or the new one to whole bytes. A head without
`digest` holds no value, only a lease.

`expires_at` is exact and decides what is served. `ttl` is when DynamoDB may remove the item, in
whole seconds: a day later, because the lease in it may outlive the value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, TypeAlias

from langchain_bedrock_opt.errors import CacheStoreError

Item: TypeAlias = dict[str, dict[str, Any]]
"""An item, or a part of one, as DynamoDB's low-level interface writes it."""

PARTITION_KEY: Final = "pk"
SORT_KEY: Final = "sk"
TTL_ATTRIBUTE: Final = "ttl"

MAX_PART: Final = 350 * 1024
"""Bytes of a value in one item. DynamoDB takes 400 KB, names and keys included."""

KEPT: Final = 86_400
"""Seconds that an item stays after what is in it has expired, so the longest lease that is sure."""

LIVE: Final = "attribute_exists(digest) AND (attribute_not_exists(expires_at) OR expires_at > :now)"
"""Condition: there is a value, and it has not expired."""

FREE: Final = "(attribute_not_exists(lease_until) OR lease_until <= :now)"
"""Condition: nobody holds the lease."""

HELD: Final = "(lease_token = :held AND lease_until > :now)"
"""Condition: the lease with the token `:held` still holds."""

FORGET: Final = "REMOVE digest, generation, parts, payload, expires_at"
"""Update: the value goes, the lease stays."""

_HEAD = "v"
# Year 9999: an item with no `ttl` at all could not be told from one that only a lease has made.
_NEVER = 253_402_300_799
# DynamoDB takes partition keys of 2,048 bytes; the prefix has at most 255.
_MAX_KEY = 1_000
_PERSON = b"bedrock-opt ddb"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What the first item of an entry says.

    Attributes:
        generation: The write that it comes from.
        digest: Of the whole value.
        parts: In how many further items the value is; 0 if it is in this one.
        payload: The value, where it is in this item.
    """

    generation: str
    digest: bytes
    parts: int
    payload: bytes


def partition(prefix: str, key: str) -> str:
    """The partition of a key.

    A key that DynamoDB would not take, or that looks like one of these, stands there by its digest.

    Args:
        prefix: The store's prefix, without `#`.
        key: Any text.

    Example:
        >>> partition("cache", "v1:abc")
        'cache#v1:abc'
        >>> len(partition("cache", "long" * 1000))
        71
    """
    data = key.encode("utf-8", "surrogatepass")
    is_text = data.decode("utf-8", "ignore") == key
    if is_text and len(data) <= _MAX_KEY and not key.startswith("#"):
        return f"{prefix}#{key}"
    return f"{prefix}##{blake2b(data, digest_size=32, person=_PERSON).hexdigest()}"


def head_key(pk: str) -> Item:
    """The primary key of a partition's head."""
    return {PARTITION_KEY: {"S": pk}, SORT_KEY: {"S": _HEAD}}


def part_keys(pk: str, generation: str, parts: int) -> list[Item]:
    """The primary keys of a large value's parts, in their order."""
    return [
        {PARTITION_KEY: {"S": pk}, SORT_KEY: {"S": f"c#{generation}#{number:05d}"}}
        for number in range(parts)
    ]


def digest_of(value: bytes) -> bytes:
    """A digest by which values are compared and parts are checked."""
    return blake2b(value, digest_size=32, person=_PERSON).digest()


def parts_of(value: bytes) -> list[bytes]:
    """A value cut into the payloads of several items; empty if it fits into the head.

    Example:
        >>> parts_of(b"short"), [len(part) for part in parts_of(bytes(360_000))]
        ([], [358400, 1600])
    """
    if len(value) <= MAX_PART:
        return []
    return [value[start : start + MAX_PART] for start in range(0, len(value), MAX_PART)]


def part_items(
    pk: str, generation: str, parts: Sequence[bytes], expires_at: float | None
) -> list[Item]:
    """The items of a large value's parts."""
    ttl = removal_time(expires_at)
    keys = part_keys(pk, generation, len(parts))
    return [
        {**key, "payload": {"B": part}, TTL_ATTRIBUTE: ttl}
        for key, part in zip(keys, parts, strict=True)
    ]


def number(value: float) -> dict[str, str]:
    """A number as DynamoDB writes it, exact to the microsecond where it is a time."""
    return {"N": f"{value:.6f}"}


def removal_time(expires_at: float | None) -> dict[str, str]:
    """The `ttl` of an item whose content expires then; never, if None."""
    return {"N": str(_NEVER if expires_at is None else math.ceil(expires_at) + KEPT)}


def value_update(
    value: bytes, generation: str, parts: int, expires_at: float | None, *, ends_lease: bool
) -> dict[str, Any]:
    """The arguments of an UpdateItem that puts a value into a head and leaves the rest alone.

    Args:
        value: The whole value.
        generation: Of this write.
        parts: In how many further items the value is.
        expires_at: When it expires, in seconds since the epoch; never if None.
        ends_lease: Whether the lease in the item goes.
    """
    assignments: Item = {
        "digest": {"B": digest_of(value)},
        "generation": {"S": generation},
        "parts": {"N": str(parts)},
        "#ttl": removal_time(expires_at),
    }
    if value and not parts:  # DynamoDB Local takes no empty bytes
        assignments["payload"] = {"B": value}
    if expires_at is not None:
        assignments["expires_at"] = number(expires_at)
    removed = [name for name in ("payload", "expires_at") if name not in assignments]
    if ends_lease:
        removed += ["lease_token", "lease_until"]
    expression = "SET " + ", ".join(f"{name} = :{name.strip('#')}" for name in assignments)
    if removed:
        expression += " REMOVE " + ", ".join(removed)
    return {
        "UpdateExpression": expression,
        "ExpressionAttributeNames": {"#ttl": TTL_ATTRIBUTE},
        "ExpressionAttributeValues": {
            f":{name.strip('#')}": value for name, value in assignments.items()
        },
    }


def read_head(item: Mapping[str, Any] | None, now: float) -> Head | None:
    """What a head says.

    Args:
        item: The item; None if there is none.
        now: Seconds since the epoch.

    Returns:
        The head; None if it holds no value, or one that has expired.

    Raises:
        CacheStoreError: The item was not written by this store.
    """
    if item is None or "digest" not in item:
        return None
    try:
        if "expires_at" in item and float(item["expires_at"]["N"]) <= now:
            return None
        head = Head(
            generation=item["generation"]["S"],
            digest=item["digest"]["B"],
            parts=int(item["parts"]["N"]),
            payload=item["payload"]["B"] if "payload" in item else b"",
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CacheStoreError(
            "an item of the DynamoDB table was not written by this store: give the cache a "
            "table or a prefix of its own"
        ) from error
    return head


def join_parts(head: Head, items: Sequence[Item]) -> bytes:
    """A large value, from the items of all of its parts.

    Raises:
        CacheStoreError: They are not what the head was written for.
    """
    in_order = sorted(items, key=lambda item: str(item[SORT_KEY]["S"]))
    value = b"".join(item.get("payload", {}).get("B", b"") for item in in_order)
    if digest_of(value) != head.digest:
        raise CacheStoreError(
            f"the {head.parts} parts of a large entry are not what was written: delete the entry"
        )
    return value
