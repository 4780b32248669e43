"""JSON the way Bedrock writes it: compact, UTF-8 unescaped, blobs in base64, times in ISO 8601."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import datetime, timezone
from typing import Any, NoReturn


def compact_json(value: Any, *, sort_keys: bool = False) -> bytes:
    """Write a value as compact JSON.

    Args:
        value: What JSON knows, and bytes and aware datetimes besides.
        sort_keys: Sort the keys at every depth, as Bedrock does in event streams.

    Returns:
        UTF-8. A lone surrogate, which UTF-8 can't carry, becomes a question mark.

    Example:
        >>> compact_json({"text": "東京", "blob": b"abc"}).decode()
        '{"text":"東京","blob":"YWJj"}'
    """
    encoder = _SORTING if sort_keys else _KEEPING
    return encoder.encode(value).encode("utf-8", "replace")


def parse_json(text: bytes) -> Any:
    """Read JSON as strictly as a service does: no `NaN`, no other encoding than UTF-8.

    Args:
        text: A whole JSON document.

    Raises:
        ValueError: It is not JSON, or its numbers or its depth are beyond reason.

    Example:
        >>> parse_json(b'{"maxTokens": 5}')
        {'maxTokens': 5}
    """
    try:
        return _DECODER.decode(text.decode("utf-8"))
    except RecursionError:
        raise ValueError("the document is nested too deeply") from None


def _plain(value: Any) -> str:
    if isinstance(value, (bytes, bytearray)):
        return b64encode(value).decode("ascii")
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
    raise TypeError(f"{type(value).__name__} has no place in an answer of Bedrock")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


# Made once: `json.dumps` and `json.loads` would build a new coder for each call.
_KEEPING = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain
)
_SORTING = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain, sort_keys=True
)
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
