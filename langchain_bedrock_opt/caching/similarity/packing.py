"""Small documents in a store: versioned, checked, and bound to the key they lie under."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

from langchain_bedrock_opt.errors import CacheStoreError

_CHECKSUM_SIZE: Final = 16


class Packer:
    """Turns documents into bytes and back, for one cache.

    The checksum covers the key of the store too, so that bytes under another key, or of another
    cache, are refused. It is as hard to forge as the secret is to guess.

    Args:
        secret: What the checksums are keyed with, of any length.

    Example:
        >>> packer = Packer(b"secret")
        >>> packer.unpack("key", b"TEST", packer.pack("key", b"TEST", {"count": 1}))
        {'count': 1}
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = blake2b(secret, digest_size=32).digest()

    def pack(self, key: str, tag: bytes, document: Any) -> bytes:
        """A document as bytes.

        Args:
            key: The key that it will lie under.
            tag: Four bytes that name its kind and version.
            document: Numbers, texts, bytes, None, lists and dicts of them.
        """
        import msgpack

        body: bytes = msgpack.packb(document)
        return tag + self._checksum(key, tag, body) + body

    def unpack(self, key: str, tag: bytes, data: bytes) -> Any:
        """What `pack` made into bytes.

        Raises:
            CacheStoreError: The bytes are broken, or of another key, kind or version.
        """
        import msgpack

        start = len(tag) + _CHECKSUM_SIZE
        body = data[start:]
        if data[:start] != tag + self._checksum(key, tag, body):
            raise CacheStoreError("a document of the similarity tier is broken, or no such one")
        return msgpack.unpackb(body)

    def digest(self, *parts: str) -> str:
        """A keyed digest of texts, as 32 hexadecimal digits.

        Example:
            >>> Packer(b"one").digest("text") == Packer(b"two").digest("text")
            False
        """
        data = b"".join(
            len(part := text.encode("utf-8", "surrogatepass")).to_bytes(8, "big") + part
            for text in parts
        )
        return blake2b(data, key=self._secret, digest_size=16).hexdigest()

    def _checksum(self, key: str, tag: bytes, body: bytes) -> bytes:
        digest = blake2b(key=self._secret, person=tag, digest_size=_CHECKSUM_SIZE)
        place = key.encode("utf-8", "surrogatepass")
        digest.update(len(place).to_bytes(4, "big") + place)
        digest.update(body)
        return digest.digest()
