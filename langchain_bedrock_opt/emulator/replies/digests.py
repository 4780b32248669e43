"""Chance without chance: draws, ids and keys that depend on their input alone.

An emulator that answers the same request differently each time can't be tested against, so what
looks random in an answer is drawn from a digest of the request.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any


def digest(*parts: Any) -> bytes:
    """A 16-byte digest of JSON-like values; bytes may stand in them.

    Example:
        >>> digest({"a": 1, "b": b"x"}) == digest({"b": b"x", "a": 1})
        True
        >>> digest("ab", "c") == digest("a", "bc")
        False
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=_plain)
    return blake2b(text.encode(), digest_size=16).digest()


def _plain(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": blake2b(value, digest_size=16).hexdigest()}
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)


def dice(*parts: Any) -> random.Random:
    """A generator of random numbers that are always the same for the same parts.

    Example:
        >>> dice("model", 0).random() == dice("model", 0).random()
        True
    """
    return random.Random(digest(*parts))  # noqa: S311 - repeatable draws, no secrets


def token(*parts: Any) -> str:
    """22 characters, as they stand in the service's ids, that name the parts.

    Example:
        >>> len(token("anything"))
        22
    """
    return base64.urlsafe_b64encode(digest(*parts)).decode().rstrip("=")
