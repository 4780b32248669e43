"""Answers as bytes, and back: versioned, checked, and never executed.

An entry is a four-byte tag that names its kind and version, a BLAKE2b checksum of sixteen bytes,
and JSON in which `bytes` are tagged base64. Nothing is unpickled and no class is named by the
data. What does not look exactly like that is refused with a `CacheStoreError`, and the cache
takes it for a miss.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from langchain_bedrock_opt.errors import CacheStoreError

RESPONSE_TAG: Final = b"BRr1"
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
_CHECKSUM_SIZE = 16
_BYTES = "\u0000bytes"
# As it stands in the JSON. Inside a longer string its quotes would be escaped, so that this
# text is a key of the document wherever it is found.
_BYTES_KEY = rb'"\u0000bytes":'


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResponse:
    """A Converse response out of a cache.

    Attributes:
        response: The response, without `ResponseMetadata` and reports. It is the caller's own.
        stored_at: When it was stored, in seconds since the epoch.
    """

    response: dict[str, Any]
    stored_at: float


def encode_response(response: Mapping[str, Any], *, stored_at: float) -> bytes:
    """A Converse response as the bytes of a cache entry.

    What is kept is on a list: the message, the stop reason, the counters, traces and model
    fields. `ResponseMetadata`, and with it request ids, headers and dates, is not.

    Args:
        response: A response in boto3's form.
        stored_at: The time now, in seconds since the epoch.

    Raises:
        CacheStoreError: The response holds something that can't be stored.

    Example:
        >>> data = encode_response({"stopReason": "end_turn"}, stored_at=7.0)
        >>> decode_response(data)
        StoredResponse(response={'stopReason': 'end_turn'}, stored_at=7.0)
    """
    kept = {name: response[name] for name in _KEPT if name in response}
    return encode_document(RESPONSE_TAG, {"at": stored_at, "response": kept})


def decode_response(data: bytes) -> StoredResponse:
    """A response out of the bytes of a cache entry.

    Raises:
        CacheStoreError: The bytes are broken, or no entry of this kind and version.
    """
    document = decode_document(RESPONSE_TAG, data)
    try:
        response, stored_at = document["response"], float(document["at"])
        if not isinstance(response, dict):
            raise TypeError(type(response).__name__)  # noqa: TRY301 - one message for all
    except (KeyError, TypeError, ValueError) as error:
        raise CacheStoreError("a cache entry holds no response") from error
    return StoredResponse(response=response, stored_at=stored_at)


def encode_document(tag: bytes, document: Any) -> bytes:
    """JSON-like data, `bytes` included, as a checked entry.

    Args:
        tag: Four bytes that name the kind and the version.
        document: Dicts with text keys, lists, texts, numbers, booleans, None and bytes.

    Raises:
        CacheStoreError: The document holds something else.
    """
    try:
        body = _ENCODER.encode(document).encode("utf-8", "surrogatepass")
    except (TypeError, ValueError, RecursionError) as error:
        raise CacheStoreError(f"an answer can't be stored as JSON: {error}") from error
    if _BYTES_KEY in body and _holds_bytes_key(document):
        raise CacheStoreError(f"an answer with the key {_BYTES!r} can't be stored")
    return tag + _checksum(tag, body) + body


def decode_document(tag: bytes, data: bytes) -> Any:
    """What `encode_document` made into bytes.

    Args:
        tag: The kind and version that is expected.
        data: The entry.

    Raises:
        CacheStoreError: The bytes are broken, or of another kind or version.
    """
    start = len(tag) + _CHECKSUM_SIZE
    checksum, body = data[len(tag) : start], data[start:]
    if data[: len(tag)] != tag or checksum != _checksum(tag, body):
        raise CacheStoreError("a cache entry is broken, or of another version")
    decoder = _TAGGED_DECODER if _BYTES_KEY in body else _PLAIN_DECODER
    try:
        return decoder.decode(body.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise CacheStoreError("a cache entry is no JSON") from error


def _checksum(tag: bytes, body: bytes) -> bytes:
    return blake2b(body, digest_size=_CHECKSUM_SIZE, person=tag).digest()


def _tag_bytes(value: object) -> dict[str, str]:
    if isinstance(value, (bytes, bytearray)):
        return {_BYTES: b64encode(value).decode("ascii")}
    raise TypeError(f"it holds a {type(value).__name__}")


def _untag_bytes(value: dict[str, Any]) -> Any:
    return b64decode(value[_BYTES]) if _BYTES in value else value


def _holds_bytes_key(document: Any) -> bool:
    """Whether a dict of the document has our own tag for a key, so that it would be misread."""
    if isinstance(document, Mapping):
        return _BYTES in document or any(map(_holds_bytes_key, document.values()))
    return isinstance(document, (list, tuple)) and any(map(_holds_bytes_key, document))


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_tag_bytes)
_PLAIN_DECODER = json.JSONDecoder()
_TAGGED_DECODER = json.JSONDecoder(object_hook=_untag_bytes)
