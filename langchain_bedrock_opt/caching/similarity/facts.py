"""What the gate knows of a text, without the text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFacts:
    """What the gate needs of a text, as keyed hashes and counts."""

    def to_bytes(self) -> bytes:
        """The facts as bytes, for `from_bytes`."""
        raise NotImplementedError

    @classmethod
    def from_bytes(cls, data: bytes) -> TextFacts:
        """What `to_bytes` made into bytes.

        Raises:
            CacheStoreError: The bytes are no facts, or of another version.
        """
        raise NotImplementedError


def read_facts(text: str, *, key: bytes) -> TextFacts:
    """What the gate needs of a text.

    Args:
        text: A text in its canonical form (`caching.text`).
        key: A secret of up to 64 bytes for the hashes; facts compare only under equal keys.
    """
    raise NotImplementedError
