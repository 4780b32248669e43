"""Entries as bytes."""

from __future__ import annotations

import struct
from collections import OrderedDict
from datetime import datetime, timezone
from enum import Enum, IntEnum
from typing import Any

import msgpack
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from langchain_bedrock_opt.caching.codec import EntryCodec
from langchain_bedrock_opt.caching.encryption import AesGcmCipher
from langchain_bedrock_opt.caching.packing import MAX_SIZE, decompress, unpack
from langchain_bedrock_opt.errors import CacheStoreError, ConfigurationError

TAG = b"TST1"
OLD, NEW = b"the old secret, long", "the new secret, ひみつ"
TEXT = st.text(st.characters(codec=None))
INTEGERS = st.integers() | st.integers(2**62, 2**70) | st.integers(-(2**70), -(2**62))
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | INTEGERS | st.floats(allow_nan=False) | TEXT | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)
CODECS = {
    "no secret": EntryCodec(),
    "secret": EntryCodec(secret=NEW),
    "encrypted": EntryCodec(secret=NEW, encryption=AesGcmCipher(bytes(range(32)))),
}
codecs = pytest.mark.parametrize("codec", CODECS.values(), ids=list(CODECS))


@codecs
@given(document=DOCUMENTS, key=TEXT)
def test_a_document_comes_back_equal(codec: EntryCodec, document: Any, key: str) -> None:
    """Any plain data, lone surrogates, bytes and integers of any size included, survive."""
    assert codec.decode(key, TAG, codec.encode(key, TAG, document)) == document


@codecs
def test_long_documents_come_back_equal(codec: EntryCodec) -> None:
    """A long answer, which is compressed, comes back as it was, and takes less room."""
    document = {"text": "What was said, said again. " * 500, "vector": list(range(3000))}
    entry = codec.encode("key", TAG, document)

    assert codec.decode("key", TAG, entry) == document
    assert len(entry) < len(msgpack.packb(document)) / 2


@codecs
@given(document=DOCUMENTS, data=st.data())
def test_a_flipped_bit_is_noticed(codec: EntryCodec, document: Any, data: st.DataObject) -> None:
    """An entry in which a single bit has changed is refused."""
    entry = bytearray(codec.encode("key", TAG, document))
    entry[data.draw(st.integers(0, len(entry) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    with pytest.raises(CacheStoreError):
        codec.decode("key", TAG, bytes(entry))


@codecs
def test_a_cut_entry_is_refused(codec: EntryCodec) -> None:
    """Every beginning of an entry that is not the whole of it is refused."""
    entry = codec.encode("key", TAG, {"text": "Hi"})

    for length in range(len(entry)):
        with pytest.raises(CacheStoreError):
            codec.decode("key", TAG, entry[:length])


@codecs
@given(data=st.binary(max_size=64))
def test_foreign_bytes_are_refused(codec: EntryCodec, data: bytes) -> None:
    """Bytes that this package has not written are an error of the store, never an answer."""
    with pytest.raises(CacheStoreError):
        codec.decode("key", TAG, data)


@codecs
@given(key=TEXT, other=TEXT)
def test_an_entry_is_bound_to_its_key(codec: EntryCodec, key: str, other: str) -> None:
    """Bytes that were copied under another key, as of another tenant, are refused."""
    entry = codec.encode(key, TAG, "mine")

    if key != other:
        with pytest.raises(CacheStoreError):
            codec.decode(other, TAG, entry)


def test_a_key_is_not_part_of_the_body() -> None:
    """What ends a key can't be moved to where the body begins."""
    codec = EntryCodec(secret=NEW)
    entry = codec.encode("key", TAG, "text")
    longer = entry[:25] + b"y" + entry[25:]

    with pytest.raises(CacheStoreError):
        codec.decode("ke", TAG, longer)


@codecs
def test_another_kind_is_refused(codec: EntryCodec) -> None:
    """An entry of another kind or version is not read."""
    with pytest.raises(CacheStoreError):
        codec.decode("key", TAG, codec.encode("key", b"TST2", "text"))


def test_a_secret_keeps_forgers_out() -> None:
    """Entries made with another secret, or with none, are refused where there is one."""
    codec = EntryCodec(secret=NEW)

    for other in (EntryCodec(), EntryCodec(secret=OLD)):
        with pytest.raises(CacheStoreError, match="another secret"):
            codec.decode("key", TAG, other.encode("key", TAG, "forged"))


def test_a_secret_can_be_replaced() -> None:
    """With the new secret in front and the old one behind, both's entries are read."""
    before, after = EntryCodec(secret=OLD), EntryCodec(secret=NEW)
    between = EntryCodec(secret=[NEW, OLD])

    assert between.decode("key", TAG, before.encode("key", TAG, "old")) == "old"
    assert after.decode("key", TAG, between.encode("key", TAG, "new")) == "new"


def test_plain_entries_are_refused_where_all_are_encrypted() -> None:
    """An entry that should be encrypted and is not was not written by this cache."""
    with pytest.raises(CacheStoreError, match="not encrypted"):
        CODECS["encrypted"].decode("key", TAG, CODECS["secret"].encode("key", TAG, "plain"))


def test_encrypted_entries_need_a_cipher() -> None:
    """Whoever has no cipher is told that this is what is missing."""
    with pytest.raises(CacheStoreError, match="encryption="):
        CODECS["secret"].decode("key", TAG, CODECS["encrypted"].encode("key", TAG, "text"))


def test_encrypted_entries_hide_their_text() -> None:
    """No part of an answer is to be seen in an encrypted entry."""
    assert b"the answer" in CODECS["secret"].encode("key", TAG, "the answer")
    assert b"the answer" not in CODECS["encrypted"].encode("key", TAG, "the answer")


@pytest.mark.parametrize("secret", [[], "short", b"fifteen bytes..", [NEW, b"short"]])
def test_short_secrets_are_refused(secret: Any) -> None:
    """A secret that could be guessed is refused at once, and not shown."""
    with pytest.raises(ConfigurationError, match="16 bytes") as raised:
        EntryCodec(secret=secret)
    assert "short" not in str(raised.value)


def test_a_cipher_must_be_one() -> None:
    """A key given in the place of a cipher is refused at once, with what to pass."""
    with pytest.raises(ConfigurationError, match="AesGcmCipher"):
        EntryCodec(encryption=b"0" * 32)  # type: ignore[arg-type]


class _Unit(str, Enum):
    CELSIUS = "C"


class _Number(IntEnum):
    ONE = 1


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ((1, (2, "x")), [1, [2, "x"]]),
        (OrderedDict(a=(1,)), {"a": [1]}),
        ({_Unit.CELSIUS: _Number.ONE}, {"C": 1}),
        (bytearray(b"\x00"), b"\x00"),
        ({1: "a", None: "b", 2.5: "c", b"d": "d"}, {1: "a", None: "b", 2.5: "c", b"d": "d"}),
        (float("inf"), float("inf")),
    ],
)
def test_kinds_of_plain_data_become_plain(value: Any, stored: Any) -> None:
    """Tuples become lists, and kinds of texts, numbers and dicts what they are kinds of."""
    codec = EntryCodec()

    assert codec.decode("key", TAG, codec.encode("key", TAG, value)) == stored


@pytest.mark.parametrize(
    "value",
    [
        object(),
        {1, 2},
        {("a",): 1},
        {("a",): 1, "\ud800": 2},
        {"\ud800": object()},
        datetime(2026, 11, 22, tzinfo=timezone.utc),
        b"0" * (MAX_SIZE + 1),
    ],
)
def test_what_would_not_come_back_is_not_stored(value: Any) -> None:
    """A value that would not come back as it was is refused when it is written."""
    with pytest.raises(CacheStoreError):
        EntryCodec().encode("key", TAG, {"value": value})


def test_data_nested_without_end_are_refused() -> None:
    """A document that contains itself is refused and does not bring the process down."""
    document: list[Any] = []
    document.append(document)

    with pytest.raises(CacheStoreError):
        EntryCodec().encode("key", TAG, document)


def _bomb(*, says_its_size: bool) -> bytes:
    compressor = zstandard.ZstdCompressor(write_content_size=says_its_size)
    return compressor.compress(bytes(MAX_SIZE + 1))


@pytest.mark.parametrize(
    "data", [_bomb(says_its_size=True), _bomb(says_its_size=False), b"no zstd", b""]
)
def test_a_bomb_is_not_unpacked(data: bytes) -> None:
    """A small entry that would grow beyond all bounds is refused before it grows."""
    with pytest.raises(CacheStoreError):
        decompress(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\xdd" + struct.pack(">I", 2**24),  # a list that claims sixteen million items
        b"\x91" * 100_000,  # lists in lists
        b"\x81\x91\x01\x01",  # a list as a key
        b"\xc7\x01\x05\x00",  # an extension that is none of ours
        b"\x01\x01",  # more than one document
        b"",
    ],
)
def test_data_that_are_no_document_are_refused(data: bytes) -> None:
    """Bytes that claim more than they hold, or name kinds unknown here, are refused."""
    with pytest.raises(CacheStoreError):
        unpack(data)
