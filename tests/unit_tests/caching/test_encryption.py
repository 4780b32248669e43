"""Entries encrypted with a key of the user's own."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_bedrock_opt.caching.encryption import AesGcmCipher
from langchain_bedrock_opt.errors import CacheStoreError, ConfigurationError, MissingExtraError

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))


@given(st.binary(), st.binary())
def test_data_come_back(data: bytes, bound_to: bytes) -> None:
    """What was encrypted is decrypted, if it is told again what it is bound to."""
    cipher = AesGcmCipher(KEY)

    assert cipher.decrypt(cipher.encrypt(data, bound_to), bound_to) == data


@given(st.binary(), st.data())
def test_a_flipped_bit_is_noticed(data: bytes, draw: st.DataObject) -> None:
    """Encrypted data in which a single bit has changed are refused."""
    cipher = AesGcmCipher(KEY)
    sealed = bytearray(cipher.encrypt(data, b"bound"))
    sealed[draw.draw(st.integers(0, len(sealed) - 1))] ^= 1 << draw.draw(st.integers(0, 7))

    with pytest.raises(CacheStoreError):
        cipher.decrypt(bytes(sealed), b"bound")


def test_data_are_bound() -> None:
    """Data that were bound to one thing are refused for another."""
    cipher = AesGcmCipher(KEY)

    with pytest.raises(CacheStoreError):
        cipher.decrypt(cipher.encrypt(b"data", b"one"), b"another")


@pytest.mark.parametrize("size", [16, 24, 32])
def test_keys_of_all_sizes(size: int) -> None:
    """AES keys of 128, 192 and 256 bits are taken."""
    cipher = AesGcmCipher(bytes(size))

    assert cipher.decrypt(cipher.encrypt(b"data", b""), b"") == b"data"


@pytest.mark.parametrize("key", [b"", b"short", [], [KEY, b"short"], bytes(33)])
def test_other_sizes_are_refused(key: Any) -> None:
    """A key that AES does not take is refused at once, with the sizes it does take."""
    with pytest.raises(ConfigurationError, match="16, 24 or 32"):
        AesGcmCipher(key)


def test_a_key_can_be_replaced() -> None:
    """With the new key in front and the old one behind, the entries of both are read."""
    before, between, after = AesGcmCipher(KEY), AesGcmCipher([OTHER, KEY]), AesGcmCipher(OTHER)

    assert between.decrypt(before.encrypt(b"old", b""), b"") == b"old"
    assert after.decrypt(between.encrypt(b"new", b""), b"") == b"new"
    with pytest.raises(CacheStoreError, match="another key"):
        after.decrypt(before.encrypt(b"old", b""), b"")


def test_nonces_are_fresh() -> None:
    """The same data are encrypted in another way each time."""
    cipher = AesGcmCipher(KEY)

    assert len({cipher.encrypt(b"data", b"") for _ in range(100)}) == 100


def test_without_the_extra_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the package for it is missing, the error names the extra."""
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)

    with pytest.raises(MissingExtraError, match=r"\[encryption\]"):
        AesGcmCipher(KEY)
