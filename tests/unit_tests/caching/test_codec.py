"""Entries as bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_bedrock_opt.caching.codec import (
    RESPONSE_TAG,
    decode_document,
    decode_response,
    encode_document,
    encode_response,
)
from langchain_bedrock_opt.errors import CacheStoreError

TAG = b"TST1"
TEXT = st.text(st.characters(codec=None))
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)


@given(DOCUMENTS)
def test_a_document_comes_back_equal(document: Any) -> None:
    """Any JSON with bytes in it, lone surrogates and empty values included, survives."""
    assert decode_document(TAG, encode_document(TAG, document)) == document


@given(DOCUMENTS, st.data())
def test_a_flipped_bit_is_noticed(document: Any, data: st.DataObject) -> None:
    """An entry in which a single bit has changed is refused."""
    entry = bytearray(encode_document(TAG, document))
    entry[data.draw(st.integers(0, len(entry) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    with pytest.raises(CacheStoreError):
        decode_document(TAG, bytes(entry))


@given(st.binary(max_size=64))
def test_foreign_bytes_are_refused(data: bytes) -> None:
    """Bytes that this package has not written are an error of the store, never an answer."""
    with pytest.raises(CacheStoreError):
        decode_response(data)


def test_a_cut_entry_is_refused() -> None:
    """Every beginning of an entry that is not the whole of it is refused."""
    entry = encode_response({"stopReason": "end_turn"}, stored_at=1.0)

    for length in range(len(entry)):
        with pytest.raises(CacheStoreError):
            decode_response(entry[:length])


def test_another_kind_is_refused() -> None:
    """An entry of another kind or version is not read as a response."""
    with pytest.raises(CacheStoreError):
        decode_response(encode_document(TAG, {"at": 1.0, "response": {}}))


@pytest.mark.parametrize(
    "document", [[], {}, {"at": "x", "response": {}}, {"at": 1, "response": 1}]
)
def test_an_entry_without_a_response_is_refused(document: Any) -> None:
    """A sound entry that holds something else is not read as a response."""
    with pytest.raises(CacheStoreError):
        decode_response(encode_document(RESPONSE_TAG, document))


def test_ids_and_reports_are_not_kept(make_response: Callable[..., dict[str, Any]]) -> None:
    """Of a response only what is on the list is stored: no request id, no report, no newcomer."""
    response = {**make_response({"text": "Hi"}), "bedrock_opt": {"a": 1}, "surprise": 1}

    kept = decode_response(encode_response(response, stored_at=5.0))

    assert set(kept.response) == {"output", "stopReason", "usage", "metrics"}
    assert kept.stored_at == 5.0


@pytest.mark.parametrize("value", [object(), {1, 2}, {"\u0000bytes": "QQ=="}, {("a",): 1}])
def test_what_is_no_json_is_not_stored(value: Any) -> None:
    """A value that would not come back as it was is refused when it is written."""
    with pytest.raises(CacheStoreError):
        encode_document(TAG, {"value": value})


def test_an_entry_is_readable_json() -> None:
    """Behind its tag and checksum an entry is plain JSON, which no class name can hide in."""
    entry = encode_document(TAG, {"text": "日本", "data": b"\x00"})

    assert entry[:4] == TAG
    assert json.loads(entry[20:]) == {"text": "日本", "data": {"\u0000bytes": "AA=="}}
