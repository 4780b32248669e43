"""Converse responses as entries, with what is needed to stream them again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from langchain_bedrock_opt.caching.codec import EntryCodec, read_opened
from langchain_bedrock_opt.caching.cuts import Cuts
from langchain_bedrock_opt.errors import CacheStoreError

RESPONSE_TAG: Final = b"BRr2"
"""Begins the entry of a Converse response."""

_KEPT = (
    "output",
    "stopReason",
    "usage",
    "metrics",
    "additionalModelResponseFields",
    "trace",
    "performanceConfig",
    "serviceTier",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResponse:
    """A Converse response out of a cache.

    Attributes:
        response: The response, without `ResponseMetadata` and reports. It is the caller's own.
        meta: What the cache noted about it.
        cuts: Where its stream was cut into deltas (`caching.events`); None if it came whole.
    """

    response: dict[str, Any]
    meta: dict[str, Any]
    cuts: Cuts | None = None


def encode_response(
    codec: EntryCodec,
    key: str,
    response: Mapping[str, Any],
    *,
    meta: Mapping[str, Any],
    cuts: Cuts | None = None,
) -> bytes:
    """A Converse response as the bytes of a cache entry.

    What is kept is on a list: the message, the stop reason, the counters, traces and model
    fields. `ResponseMetadata`, and with it request ids, headers and dates, is not.

    Args:
        codec: Makes the bytes.
        key: The cache key that the entry will have.
        response: A response in boto3's form.
        meta: What the cache notes about it: JSON-like.
        cuts: Where its stream was cut into deltas, if it was streamed.

    Raises:
        CacheStoreError: The response holds something that can't be stored.

    Example:
        >>> codec = EntryCodec()
        >>> data = encode_response(codec, "key", {"stopReason": "end_turn"}, meta={"at": 7.0})
        >>> read_response(codec.open("key", data))
        StoredResponse(response={'stopReason': 'end_turn'}, meta={'at': 7.0}, cuts=None)
    """
    document: dict[str, Any] = {
        "meta": dict(meta),
        "response": {name: response[name] for name in _KEPT if name in response},
    }
    if cuts is not None:
        document["cuts"] = cuts
    return codec.encode(key, RESPONSE_TAG, document)


def read_response(opened: bytes) -> StoredResponse:
    """A response out of an entry that was opened (`EntryCodec.open`).

    Raises:
        CacheStoreError: It is no entry of this kind and version.
    """
    document = read_opened(RESPONSE_TAG, opened)
    match document:
        case {"response": dict(response), "meta": dict(meta)}:
            return StoredResponse(response=response, meta=meta, cuts=document.get("cuts"))
    raise CacheStoreError("a cache entry holds no response")
