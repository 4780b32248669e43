"""Entries as bytes, and back: versioned, sealed, bound to their key, and never executed.

An entry is a tag of four bytes that names its kind and version, a byte of flags, four bytes that
name the secret, a code of sixteen bytes over all of it *and* the entry's cache key, and a body:
msgpack (`packing`), compressed with zstd if that pays, encrypted if the user asked for it. What
does not look exactly like that is refused with a `CacheStoreError`, and the cache takes it for a
miss. Bytes that were copied under another key, another tenant's for example, are refused too.

The code is HMAC-SHA256, cut to 128 bits (RFC 2104).
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from hashlib import blake2b
from struct import Struct
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

from langchain_bedrock_opt.caching.packing import compress, decompress, pack, unpack
from langchain_bedrock_opt.errors import CacheStoreError, ConfigurationError

Secret: TypeAlias = bytes | str
"""What entries are signed with; a text counts as its UTF-8 bytes."""

SMALLEST_SECRET: Final = 16
"""The fewest bytes that a secret may have."""

_HEADER = Struct("<4sB4s")  # the tag, the flags, the secret's name
_CODE_SIZE = 16
_START = _HEADER.size + _CODE_SIZE
_COMPRESSED, _ENCRYPTED = 1, 2
_PERSON = b"bedrock-opt seal"
_KEY_LENGTH = Struct("<I")
_NO_SECRET = b"langchain-bedrock-opt, entries without a secret"


@runtime_checkable
class EntryCipher(Protocol):
    """Encrypts the bodies of entries: `AesGcmCipher`, `KmsCipher` or the user's own.

    It is used by many threads at once.
    """

    def encrypt(self, data: bytes, bound_to: bytes) -> bytes:
        """The data, so that only the holder of the key can read them.

        Args:
            data: What is to be kept secret.
            bound_to: Not secret and not kept: `decrypt` must be told the same.

        Raises:
            CacheStoreError: There is no key just now.
        """

    def decrypt(self, data: bytes, bound_to: bytes) -> bytes:
        """What `encrypt` was given.

        Raises:
            CacheStoreError: The data were changed, or are bound to something else, or the key is
                not at hand.
        """


class EntryCodec:
    """Makes bytes of entries, and entries of bytes.

    Args:
        secret: Signs entries, so that nobody else can make one: at least 16 bytes, at best random
            ones (`secrets.token_bytes(32)`). Of several the first signs and all are accepted,
            which is how a secret is replaced: put the new one in front, and drop the old one when
            its entries have expired. **Without a secret the key is a fixed one that anybody can
            read here: that finds accidents, and stops no forger who can write to the store.**
        encryption: Encrypts entries too. Plain ones are refused then.

    Raises:
        ConfigurationError: There is no secret in the sequence, one is too short, or `encryption`
            is no cipher.

    Example:
        >>> codec = EntryCodec(secret=b"0123456789abcdef")
        >>> data = codec.encode("key", b"DEM1", {"text": "Hi"})
        >>> codec.decode("key", b"DEM1", data)
        {'text': 'Hi'}
        >>> codec.decode("another key", b"DEM1", data)
        Traceback (most recent call last):
            ...
        langchain_bedrock_opt.errors.CacheStoreError: a cache entry is broken, or not for this key
    """

    def __init__(
        self,
        *,
        secret: Secret | Sequence[Secret] | None = None,
        encryption: EntryCipher | None = None,
    ) -> None:
        if encryption is not None and not isinstance(encryption, EntryCipher):
            raise ConfigurationError(
                f"encryption={encryption!r}: pass AesGcmCipher(key) or KmsCipher(key_id)"
            )
        keys = [_signing_key(one) for one in _secrets(secret)]
        self._signs = keys[0]
        self._signer = _name_of(keys[0])
        self._accepted = {_name_of(key): key for key in keys}
        self._cipher = encryption

    @property
    def signing_key(self) -> bytes:
        """What entries are signed with, for what is kept beside them; derived from the secret."""
        return self._signs

    def encode(self, key: str, tag: bytes, document: Any) -> bytes:
        """A document as the bytes of an entry.

        Args:
            key: The cache key that the entry will have.
            tag: Four bytes that name the kind and the version.
            document: Dicts, lists, texts, numbers, booleans, None and bytes. A tuple comes back
                as a list.

        Raises:
            CacheStoreError: The document holds something else or is over 16 MiB, or there is no
                key to encrypt it with.
        """
        body = pack(document)
        flags = 0
        shorter = compress(body)
        if shorter is not None:
            body, flags = shorter, _COMPRESSED
        header = _HEADER.pack(tag, flags | (_ENCRYPTED if self._cipher else 0), self._signer)
        bound_to = _bound_to(header, key)
        if self._cipher is not None:
            body = self._cipher.encrypt(body, bound_to)
        return b"".join((header, _code(self._signs, bound_to, body), body))

    def decode(self, key: str, tag: bytes, data: bytes) -> Any:
        """What `encode` made into bytes.

        Args:
            key: The cache key under which the bytes were found.
            tag: The kind and version that is expected.
            data: The bytes.

        Raises:
            CacheStoreError: As `open`; or the entry is of another kind or version.
        """
        return read_opened(tag, self.open(key, data))

    def open(self, key: str, data: bytes) -> bytes:
        """An entry without its seal, for `read_opened`; it is not to leave this process.

        Args:
            key: The cache key under which the bytes were found.
            data: The bytes.

        Raises:
            CacheStoreError: The bytes are broken, forged, of another key, signed with an unknown
                secret, not encrypted although they should be, or would unpack to over 16 MiB.
        """
        header, code, body = data[: _HEADER.size], data[_HEADER.size : _START], data[_START:]
        if len(data) < _START:
            raise CacheStoreError("a cache entry is too short to be one")
        tag, flags, signer = _HEADER.unpack(header)
        signing_key = self._accepted.get(signer)
        if signing_key is None:
            raise CacheStoreError("a cache entry is signed with another secret")
        bound_to = _bound_to(header, key)
        if not hmac.compare_digest(code, _code(signing_key, bound_to, body)):
            raise CacheStoreError("a cache entry is broken, or not for this key")
        body = self._decrypted(body, bound_to, is_encrypted=bool(flags & _ENCRYPTED))
        return header[: len(tag)] + (decompress(body) if flags & _COMPRESSED else body)

    def _decrypted(self, body: bytes, bound_to: bytes, *, is_encrypted: bool) -> bytes:
        if self._cipher is None:
            if is_encrypted:
                raise CacheStoreError("a cache entry is encrypted: pass the cipher as encryption=")
            return body
        if not is_encrypted:
            raise CacheStoreError("a cache entry is not encrypted, as all are meant to be")
        return self._cipher.decrypt(body, bound_to)


def read_opened(tag: bytes, opened: bytes) -> Any:
    """The document of an entry that was opened.

    Args:
        tag: The kind and version that is expected.
        opened: From `EntryCodec.open`. Each call gives a document of the caller's own.

    Raises:
        CacheStoreError: It is of another kind or version.
    """
    if opened[: len(tag)] != tag:
        raise CacheStoreError("a cache entry is of another kind or version")
    return unpack(memoryview(opened)[len(tag) :])


def _secrets(secret: Secret | Sequence[Secret] | None) -> list[bytes]:
    if secret is None:
        return [_NO_SECRET]
    several = [secret] if isinstance(secret, (bytes, str)) else list(secret)
    found = [one.encode() if isinstance(one, str) else bytes(one) for one in several]
    if not found or min(map(len, found)) < SMALLEST_SECRET:
        raise ConfigurationError(
            f"secret=…: {len(found)} given, each must have {SMALLEST_SECRET} bytes or more, such "
            "as secrets.token_bytes(32)"
        )
    return found


def _signing_key(secret: bytes) -> bytes:
    """A key for this purpose alone, so that the secret may have others."""
    return blake2b(secret, digest_size=32, person=_PERSON).digest()


def _name_of(signing_key: bytes) -> bytes:
    """Four bytes by which an entry says which key signed it, and which say nothing of the key."""
    return blake2b(key=signing_key, digest_size=4, person=b"bedrock-opt name").digest()


def _bound_to(header: bytes, key: str) -> bytes:
    name = key.encode("utf-8", "surrogatepass")
    # With its length, so that no part of the key can pass for a part of the body.
    return b"".join((header, _KEY_LENGTH.pack(len(name)), name))


def _code(signing_key: bytes, bound_to: bytes, body: bytes) -> bytes:
    return hmac.digest(signing_key, bound_to + body, "sha256")[:_CODE_SIZE]
