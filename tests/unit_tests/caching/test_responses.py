"""Converse responses as entries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from langchain_bedrock_opt.caching.codec import EntryCodec
from langchain_bedrock_opt.caching.responses import (
    RESPONSE_TAG,
    encode_response,
    read_response,
)
from langchain_bedrock_opt.errors import CacheStoreError

CODEC = EntryCodec()


def test_ids_and_reports_are_not_kept(make_response: Callable[..., dict[str, Any]]) -> None:
    """Of a response only what is on the list is stored: no request id, no report, no newcomer."""
    response = {**make_response({"text": "Hi"}), "bedrock_opt": {"a": 1}, "surprise": 1}

    kept = read_response(
        CODEC.open("key", encode_response(CODEC, "key", response, meta={"at": 5.0}))
    )

    assert set(kept.response) == {"output", "stopReason", "usage", "metrics"}
    assert kept.meta == {"at": 5.0}
    assert kept.cuts is None


def test_cuts_are_kept(make_response: Callable[..., dict[str, Any]]) -> None:
    """Where a stream was cut is stored beside its answer."""
    response = make_response({"text": "Hi"})
    data = encode_response(CODEC, "key", response, meta={}, cuts=[[0, 2, ["stop"]]])

    assert read_response(CODEC.open("key", data)).cuts == [[0, 2, ["stop"]]]


@pytest.mark.parametrize(
    "document", [[], {}, {"meta": 1, "response": {}}, {"meta": {}, "response": 1}]
)
def test_an_entry_without_a_response_is_refused(document: Any) -> None:
    """A sound entry that holds something else is not read as a response."""
    with pytest.raises(CacheStoreError):
        read_response(CODEC.open("key", CODEC.encode("key", RESPONSE_TAG, document)))
