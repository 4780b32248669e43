"""Entries that only the holder of a key can read: AES-GCM with a key of the user's own."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, Final

from langchain_bedrock_opt.errors import CacheStoreError, ConfigurationError, MissingExtraError

KEY_SIZES: Final = (16, 24, 32)
"""The bytes that an AES key may have: 128, 192 or 256 bits."""

_NAME_SIZE = 4
_NONCE_SIZE = 12
_TAG_SIZE = 16


class AesGcmCipher:
    """Encrypts entries with AES-GCM. Needs the extra `encryption`.

    Each entry has a random nonce of 96 bits, which makes one key good for 2³² entries, some four
    thousand million (NIST SP 800-38D, 8.3). Replace it before: put a new key in front.

    Args:
        key: 16, 24 or 32 random bytes (`secrets.token_bytes(32)`). Of several the first encrypts
            and all decrypt, so that a key can be replaced while its entries still live.
        random: Random bytes, as many as it is told.

    Raises:
        ConfigurationError: There is no key, or one of another length.
        MissingExtraError: The extra is not installed.

    Example:
        >>> cipher = AesGcmCipher(bytes(range(32)))
        >>> cipher.decrypt(cipher.encrypt(b"Hi", b"a key"), b"a key")
        b'Hi'
    """

    def __init__(
        self, key: bytes | Sequence[bytes], *, random: Callable[[int], bytes] = os.urandom
    ) -> None:
        keys = [key] if isinstance(key, (bytes, bytearray)) else list(key)
        sizes = [len(one) for one in keys]
        if not keys or not set(sizes) <= set(KEY_SIZES):
            raise ConfigurationError(
                f"key=…: keys of {sizes} bytes, each must have 16, 24 or 32, such as "
                "secrets.token_bytes(32)"
            )
        self._ciphers = {_name_of(one): aes_gcm(one) for one in keys}
        self._first = _name_of(keys[0])
        self._random = random

    def encrypt(self, data: bytes, bound_to: bytes) -> bytes:
        """The data, encrypted and bound to something that `decrypt` must be told again."""
        return self._first + seal(self._ciphers[self._first], data, bound_to, self._random)

    def decrypt(self, data: bytes, bound_to: bytes) -> bytes:
        """The data that were encrypted.

        Raises:
            CacheStoreError: They were changed, bound to something else, or need another key.
        """
        cipher = self._ciphers.get(data[:_NAME_SIZE])
        if cipher is None:
            raise CacheStoreError("a cache entry is encrypted with another key")
        return unseal(cipher, data[_NAME_SIZE:], bound_to)


def aes_gcm(key: bytes) -> Any:
    """AES-GCM with a key, from the package `cryptography`.

    Raises:
        MissingExtraError: The extra `encryption` is not installed.
    """
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as error:
        raise MissingExtraError("encrypted cache entries", "encryption") from error
    return AESGCM(key)


def seal(cipher: Any, data: bytes, bound_to: bytes, random: Callable[[int], bytes]) -> bytes:
    """A random nonce, and the data encrypted with it."""
    nonce = random(_NONCE_SIZE)
    encrypted: bytes = cipher.encrypt(nonce, data, bound_to)
    return nonce + encrypted


def unseal(cipher: Any, data: bytes, bound_to: bytes) -> bytes:
    """What `seal` was given.

    Raises:
        CacheStoreError: The data were changed, or bound to something else.
    """
    from cryptography.exceptions import InvalidTag

    if len(data) < _NONCE_SIZE + _TAG_SIZE:
        raise CacheStoreError("an encrypted cache entry is cut")
    try:
        plain: bytes = cipher.decrypt(data[:_NONCE_SIZE], data[_NONCE_SIZE:], bound_to)
    except InvalidTag as error:
        raise CacheStoreError("an encrypted cache entry is broken, or not for this key") from error
    return plain


def _name_of(key: bytes) -> bytes:
    """Four bytes by which an entry says which key it needs, and which say nothing of the key."""
    return blake2b(key=key, digest_size=_NAME_SIZE, person=b"bedrock-opt aes").digest()
