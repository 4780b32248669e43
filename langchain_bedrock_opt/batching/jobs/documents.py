"""JSON objects, read and written whatever a model or a user puts into them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson


def read_document(data: bytes) -> dict[str, Any] | None:
    """A JSON object, read as tolerantly as can be; None if it is none.

    Example:
        >>> read_document(b'{"a": 1}'), read_document(b'{"a": ')
        ({'a': 1}, None)
    """
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError:
        # The standard library's parser takes what a model may write and orjson does not, such as
        # half of an emoji, as an escape.
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            return None
    return document if isinstance(document, dict) else None


def write_document(document: Mapping[str, Any]) -> bytes:
    """A JSON object as one line; what has no place in JSON becomes its text.

    Example:
        >>> write_document({"half": chr(0xD83D)}).decode().isascii()
        True
    """
    try:
        return orjson.dumps(document, default=str, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # UTF-8 has no bytes for half of an emoji; as an escape it is kept
        return json.dumps(document, default=str).encode()
