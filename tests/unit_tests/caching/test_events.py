"""Responses as streams, and streams as responses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_bedrock_opt.caching.events import (
    DELTA_CHARACTERS,
    StreamAssembler,
    replayed_events,
)
from langchain_bedrock_opt.errors import CacheStoreError

BLOCKS: list[dict[str, Any]] = [
    {"text": "A text. " * 30},
    {"text": "改行のない日本語の文章です。" * 20},
    {"text": ""},
    {"toolUse": {"toolUseId": "t", "name": "f", "input": {"city": "京都", "n": [1, None]}}},
    {"toolUse": {"toolUseId": "t", "name": "f", "input": {}}},
    {"toolUse": {"toolUseId": "t", "name": "web", "input": {}, "type": "server_tool_use"}},
    {"toolResult": {"toolUseId": "t", "status": "success", "content": [{"text": "r"}]}},
    {"toolResult": {"toolUseId": "t", "content": [{"json": {"a": 1}}, {"text": "b"}]}},
    {"reasoningContent": {"reasoningText": {"text": "Hmm. " * 30, "signature": "c2ln"}}},
    {"reasoningContent": {"reasoningText": {"text": "Hmm."}}},
    {"reasoningContent": {"reasoningText": {"signature": "c2ln"}}},
    {"reasoningContent": {"redactedContent": b"\x00\xff"}},
    {
        "citationsContent": {
            "content": [{"text": "Said elsewhere."}],
            "citations": [
                {"title": "One", "location": {"documentPage": {"documentIndex": 0}}},
                {"title": "Two", "sourceContent": [{"text": "s"}]},
            ],
        }
    },
]


def assembled(events: list[Any]) -> dict[str, Any]:
    assembler = StreamAssembler()
    for event in events:
        assembler.add(event)
    return assembler.response()


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_survives_both_ways(
    block: dict[str, Any], make_response: Callable[..., dict[str, Any]]
) -> None:
    """Each kind of block is the same after it was streamed and put together again."""
    response = make_response({"text": "First."}, block)
    del response["ResponseMetadata"]
    response |= {"trace": {"promptRouter": {}}, "additionalModelResponseFields": {"a": 1}}

    assert assembled(replayed_events(response)) == response


@given(st.text())
def test_text_is_replayed_in_small_pieces(text: str) -> None:
    """A text is streamed whole, in pieces no longer than Bedrock's own."""
    message = {"role": "assistant", "content": [{"text": text}]}
    events = replayed_events({"output": {"message": message}, "stopReason": "end_turn"})
    deltas = [e["contentBlockDelta"]["delta"]["text"] for e in events if "contentBlockDelta" in e]

    assert "".join(deltas) == text
    assert max(map(len, deltas)) <= DELTA_CHARACTERS


def test_pieces_end_between_words(make_response: Callable[..., dict[str, Any]]) -> None:
    """A text that has words is not cut inside one of them."""
    text = "These are words that are read one after the other as they come in, one by one."
    events = replayed_events(make_response({"text": text}))
    deltas = [e["contentBlockDelta"]["delta"]["text"] for e in events if "contentBlockDelta" in e]

    assert len(deltas) > 1
    assert all(delta.endswith(" ") for delta in deltas[:-1])


def test_a_message_that_has_no_events_is_refused(
    make_response: Callable[..., dict[str, Any]],
) -> None:
    """A block that ConverseStream can't express is refused before anything is streamed."""
    image = {"image": {"format": "png", "source": {"bytes": b"1"}}}
    result = {"toolResult": {"toolUseId": "t", "content": [image]}}

    for block in (image, result):
        with pytest.raises(CacheStoreError):
            replayed_events(make_response({"text": "See:"}, block))


@pytest.mark.parametrize("last", [1, 2])
def test_a_stream_that_was_cut_is_no_response(
    last: int, make_events: Callable[..., list[dict[str, Any]]]
) -> None:
    """Without its last events a stream is not complete and gives no response."""
    with pytest.raises(CacheStoreError):
        assembled(make_events("Hello")[:-last])


@pytest.mark.parametrize(
    "event",
    [
        {"contentBlockDelta": {"delta": {"hologram": "x"}, "contentBlockIndex": 0}},
        {"contentBlockDelta": {"delta": {"text": "x"}}},
        {"contentBlockStart": {"start": {"image": {"format": "png"}}, "contentBlockIndex": 3}},
        {
            "contentBlockStart": {
                "start": {"toolUse": {"toolUseId": "t", "name": "f"}},
                "contentBlockIndex": 3,
            },
            "contentBlockDelta": {"delta": {"toolUse": {"input": "{"}}, "contentBlockIndex": 3},
        },
        {"contentBlockDelta": {"delta": {"toolUse": {}}, "contentBlockIndex": 0}},
        {"contentBlockDelta": {"delta": {"text": None}, "contentBlockIndex": 0}},
        {"throttlingException": {"message": "slow down"}},
        {"eventOfNextYear": {}},
    ],
)
def test_a_stream_that_is_not_understood_is_not_kept(
    event: dict[str, Any], make_events: Callable[..., list[dict[str, Any]]]
) -> None:
    """An unknown or broken event never raises on its way, and its stream gives no response."""
    with pytest.raises(CacheStoreError):
        assembled([event, *make_events("Hello")])
