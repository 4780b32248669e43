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


def cut(events: list[Any]) -> tuple[dict[str, Any], Any]:
    """The response of a stream, and its cuts."""
    assembler = StreamAssembler()
    for event in events:
        assembler.add(event)
    return assembler.response(), assembler.cuts


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


def delta(index: int, **delta: Any) -> dict[str, Any]:
    return {"contentBlockDelta": {"delta": delta, "contentBlockIndex": index}}


def start(index: int, **start: Any) -> dict[str, Any]:
    return {"contentBlockStart": {"start": start, "contentBlockIndex": index}}


def stop(index: int) -> dict[str, Any]:
    return {"contentBlockStop": {"contentBlockIndex": index}}


@st.composite
def streams(draw: st.DrawFn) -> list[dict[str, Any]]:
    """The events of a message's blocks, in pieces of any size, with any gaps in their indices."""
    text = st.lists(st.text(), min_size=1, max_size=4)
    blocks: list[list[dict[str, Any]]] = []
    indices = draw(st.lists(st.integers(0, 9), unique=True, min_size=1, max_size=4))
    for index in sorted(indices):
        kind = draw(st.sampled_from(["text", "tool", "reasoning", "redacted", "cited", "result"]))
        events: list[dict[str, Any]]
        if kind == "text":
            events = [delta(index, text=piece) for piece in draw(text)]
        elif kind == "tool":
            pieces = draw(st.sampled_from([[], [""], ['{"a" :', " 1}"], ['{"a":1}'], ["", "{ }"]]))
            call = {"toolUseId": "t", "name": "f"}
            events = [start(index, toolUse=call)]
            events += [delta(index, toolUse={"input": piece}) for piece in pieces]
        elif kind == "reasoning":
            events = [delta(index, reasoningContent={"text": piece}) for piece in draw(text)]
            events.append(delta(index, reasoningContent={"signature": "c2ln"}))
        elif kind == "redacted":
            data = draw(st.lists(st.binary(), min_size=1, max_size=3))
            events = [delta(index, reasoningContent={"redactedContent": piece}) for piece in data]
        elif kind == "cited":
            events = [delta(index, text=piece) for piece in draw(text)]
            events.insert(
                draw(st.integers(0, len(events))), delta(index, citation={"title": "source"})
            )
        else:
            parts = draw(st.lists(st.lists(st.just({"text": "r"}), max_size=2), max_size=2))
            events = [start(index, toolResult={"toolUseId": "t"})]
            events += [delta(index, toolResult=part) for part in parts]
        blocks.append([*events, stop(index)])
    return [event for block in blocks for event in block]


@given(streams())
def test_a_stream_is_replayed_as_it_came(blocks: list[dict[str, Any]]) -> None:
    """A stream that was recorded comes out event for event, wherever it was cut."""
    original = [
        {"messageStart": {"role": "assistant"}},
        *blocks,
        {"messageStop": {"stopReason": "end_turn"}},
        {"metadata": {"usage": {}}},
    ]
    response, cuts = cut(original)

    assert cuts is not None
    assert replayed_events(response, cuts) == original


def test_blocks_may_take_turns(make_events: Callable[..., list[dict[str, Any]]]) -> None:
    """Blocks whose deltas come in turns are replayed in turns."""
    _, *ends = make_events()
    turns = [delta(0, text="a"), delta(1, text="b"), delta(0, text="c"), stop(0), stop(1)]
    original = [{"messageStart": {"role": "assistant"}}, *turns, *ends[-2:]]

    assert replayed_events(*cut(original)) == original


@pytest.mark.parametrize(
    "event",
    [
        delta(0, reasoningContent={"text": "a", "signature": "b"}),
        stop(7),
    ],
)
def test_what_cannot_be_described_is_cut_anew(
    event: dict[str, Any], make_events: Callable[..., list[dict[str, Any]]]
) -> None:
    """A delta of two parts, or a block that said nothing, costs the pieces, not the answer."""
    begin, *_, message_stop, metadata = make_events()
    said = delta(0, reasoningContent={"text": "c"})
    response, cuts = cut([begin, said, event, stop(0), message_stop, metadata])

    assert cuts is None
    assert assembled(replayed_events(response)) == response


@pytest.mark.parametrize(
    "cuts",
    [
        [],
        [[0, 3, ["stop"]]],
        [[0, 5], [1, 2]],
        [[0, ["text", 5]]],
        [[0, ["citation"]]],
        [[0, None]],
        [5],
        {"a": 1},
        [[0, 99]],
    ],
)
def test_cuts_of_another_answer_are_refused(
    cuts: Any, make_response: Callable[..., dict[str, Any]]
) -> None:
    """Cuts that would lose a part of an answer, or add to it, are an error and never a stream."""
    with pytest.raises(CacheStoreError):
        replayed_events(make_response({"text": "Hello"}), cuts)
