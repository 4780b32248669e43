"""Whose a question is, so that one that is asked again is known again."""

from __future__ import annotations

from collections import Counter
from contextvars import ContextVar
from hashlib import blake2b
from typing import Final


class Source:
    """One input under way: how many of its calls wait, and what it has asked so far."""

    __slots__ = ("_asked", "has_ended", "waiting")

    def __init__(self) -> None:
        self._asked: Counter[bytes] = Counter()
        self.waiting = 0
        self.has_ended = False

    def key(self, digest: bytes) -> bytes:
        """A digest's key: who asks the same again wants another answer.

        It depends on nothing but what this input has asked, so that a run that is gone on with
        finds its answers whatever the order is in which tasks come by.
        """
        before = self._asked[digest]
        self._asked[digest] += 1
        return digest if not before else digest_of(digest, str(before).encode())


SOURCE: Final[ContextVar[Source | None]] = ContextVar("bedrock_opt_source", default=None)
"""The input that a call belongs to; None if nobody said so."""


def digest_of(*parts: bytes) -> bytes:
    """A digest of some texts, 16 bytes long.

    Example:
        >>> digest_of(b"ab", b"c") == digest_of(b"a", b"bc")
        False
    """
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()
