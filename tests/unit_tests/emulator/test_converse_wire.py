"""Converse answers, whole and streamed: in the order and the shapes of the recorded ones."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_bedrock_opt.emulator.http.converse import (
    StreamEvent,
    converse_events,
    converse_output,
    cut_text,
)
from langchain_bedrock_opt.emulator.types import Reply
from langchain_bedrock_opt.errors import EmulatorError

Event = tuple[str, Mapping[str, Any]]
Recordings = Callable[[str], list[dict[str, Any]]]
RecordedStreams = Callable[[str], list[bytes]]
Decode = Callable[[bytes], list[tuple[dict[str, Any], bytes]]]

TOOL_USE = {
    "toolUse": {"toolUseId": "tooluse_1", "name": "weather", "input": {"city": "東京", "days": 3}}
}


def _ours(reply: Reply) -> list[Event]:
    return [(event.event_type, event.payload) for event in converse_events(reply, lambda: 7)]


def _recorded(stream: bytes, decoded: Decode) -> list[Event]:
    events = []
    for headers, payload in decoded(stream):
        members = json.loads(payload)
        del members["p"]
        events.append((headers[":event-type"], members))
    return events


def _kinds(events: Iterable[Event]) -> list[str]:
    """The kinds of events, with runs of equal deltas drawn together."""
    kinds: list[str] = []
    for event_type, payload in events:
        kind = event_type
        for part in ("start", "delta"):
            if part in payload:
                kind += ":" + ",".join(payload[part])
        if "contentBlockIndex" in payload:
            kind += f"#{payload['contentBlockIndex']}"
        if not kinds or kinds[-1] != kind:
            kinds.append(kind)
    return kinds


def _assembled(events: Iterable[Event]) -> list[dict[str, Any]]:
    """The content blocks that a client puts together from a stream."""
    blocks: dict[int, dict[str, Any]] = {}
    for _, payload in events:
        if "contentBlockIndex" not in payload:
            continue
        block = blocks.setdefault(payload["contentBlockIndex"], {})
        if "start" in payload:
            block["toolUse"] = {**payload["start"]["toolUse"], "input": ""}
        _add(block, payload.get("delta", {}))
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"] or "{}")
    return [blocks[index] for index in sorted(blocks)]


def _add(block: dict[str, Any], delta: Mapping[str, Any]) -> None:
    if "toolUse" in delta:
        block["toolUse"]["input"] += delta["toolUse"]["input"]
    elif "citation" in delta:
        block.setdefault("citationsContent", {"citations": [], "content": [{"text": ""}]})
        block["citationsContent"]["citations"].append(delta["citation"])
    elif "text" in delta and "citationsContent" in block:
        block["citationsContent"]["content"][0]["text"] += delta["text"]
    elif "text" in delta:
        block["text"] = block.get("text", "") + delta["text"]
    elif "redactedContent" in delta.get("reasoningContent", {}):
        block["reasoningContent"] = dict(delta["reasoningContent"])
    elif "reasoningContent" in delta:
        said = block.setdefault("reasoningContent", {"reasoningText": {"text": ""}})
        for key, value in delta["reasoningContent"].items():
            said["reasoningText"][key] = said["reasoningText"].get(key, "") + value


def _keeps_the_order(events: list[Event]) -> bool:
    """The rule that every recorded stream keeps."""
    types = [event_type for event_type, _ in events]
    if types[0] != "messageStart" or types[-2:] != ["messageStop", "metadata"]:
        return False
    open_block, next_block = None, 0
    for event_type, payload in events[1:-2]:
        index = payload["contentBlockIndex"]
        if open_block is None:
            starts_a_tool = event_type == "contentBlockStart" and "toolUse" in payload["start"]
            starts_by_delta = (
                event_type == "contentBlockDelta" and "toolUse" not in payload["delta"]
            )
            if index != next_block or not (starts_a_tool or starts_by_delta):
                return False
            open_block, next_block = index, next_block + 1
        elif index != open_block or event_type == "contentBlockStart":
            return False
        elif event_type == "contentBlockStop":
            open_block = None
    return open_block is None


def _reply(events: list[Event]) -> Reply:
    usage = events[-1][1]["usage"]
    return Reply(
        content=tuple(_assembled(events)),
        stop_reason=events[-2][1]["stopReason"],
        input_tokens=usage["inputTokens"],
        output_tokens=usage["outputTokens"],
    )


def test_recorded_streams_keep_the_order_rule(
    recorded_streams: RecordedStreams, decoded: Decode
) -> None:
    """The order that we hold our streams to is kept by every recorded one."""
    streams = recorded_streams("ConverseStream")
    assert len(streams) == 18
    assert all(_keeps_the_order(_recorded(stream, decoded)) for stream in streams)


def test_recorded_answers_are_streamed_in_the_recorded_order(
    recorded_streams: RecordedStreams, decoded: Decode
) -> None:
    """What a recorded stream said is streamed by us in the same kinds of events, in order."""
    for stream in recorded_streams("ConverseStream"):
        theirs = _recorded(stream, decoded)
        ours = _ours(_reply(theirs))
        assert _kinds(ours) == _kinds(theirs)
        assert _assembled(ours) == _assembled(theirs)
        assert ours[-2] == theirs[-2]


def test_recorded_usage_has_no_other_keys(recordings: Recordings) -> None:
    """Recorded usage and ours have the same keys, but for cache details and ours being newer."""
    for exchange in recordings("Converse"):
        theirs = json.loads(exchange["response"]["body"])["usage"]
        ours = converse_output(
            Reply(
                content=(),
                cache_read_tokens=theirs.get("cacheReadInputTokens", 0),
                cache_write_tokens=theirs.get("cacheWriteInputTokens", 0),
            ),
            7,
        )["usage"]
        counters = {key for key, value in theirs.items() if key.startswith("cache") and value}
        assert counters - {"cacheDetails"} <= set(ours)
        assert set(ours) - set(theirs) <= {"serverToolUsage"}


def test_recorded_total_is_ours(recordings: Recordings) -> None:
    """The total counts cached tokens too, as in every recorded answer."""
    for exchange in recordings("Converse"):
        usage = json.loads(exchange["response"]["body"])["usage"]
        reply = Reply(
            content=(),
            input_tokens=usage["inputTokens"],
            output_tokens=usage["outputTokens"],
            cache_read_tokens=usage.get("cacheReadInputTokens", 0),
            cache_write_tokens=usage.get("cacheWriteInputTokens", 0),
        )
        assert converse_output(reply, 7)["usage"]["totalTokens"] == usage["totalTokens"]


def test_answer_has_the_recorded_keys(recordings: Recordings) -> None:
    """A whole answer has the keys, the types and the order of the recorded ones."""
    reply = Reply(content=({"text": "Hi"},), extra={"serviceTier": {"type": "flex"}})
    ours = converse_output(reply, 7)
    assert list(ours) == ["metrics", "output", "stopReason", "usage", "serviceTier"]
    for exchange in recordings("Converse"):
        assert list(json.loads(exchange["response"]["body"])) in (list(ours)[:4], list(ours))


def test_latency_is_an_integer() -> None:
    """A latency that was measured as a float leaves as an integer, which SDKs insist on."""
    latency = converse_output(Reply(content=()), 7.9)["metrics"]["latencyMs"]  # type: ignore[arg-type] # the mistake this is about
    assert (latency, type(latency)) == (7, int)


def test_tool_without_arguments_streams_one_empty_fragment() -> None:
    """A tool call without arguments has a single, empty fragment of input."""
    block = {"toolUse": {"toolUseId": "tooluse_1", "name": "now", "input": {}}}
    events = _ours(Reply(content=(block,), stop_reason="tool_use"))
    assert [p["delta"] for t, p in events if t == "contentBlockDelta"] == [
        {"toolUse": {"input": ""}}
    ]


def test_tool_input_is_streamed_in_fragments_of_json() -> None:
    """A tool's input starts with an empty fragment and adds up to its JSON, unescaped."""
    events = _ours(Reply(content=(TOOL_USE,)))
    assert events[1][1]["start"] == {"toolUse": {"toolUseId": "tooluse_1", "name": "weather"}}
    fragments = [p["delta"]["toolUse"]["input"] for t, p in events if t == "contentBlockDelta"]
    assert fragments[0] == ""
    assert len(fragments) > 2
    assert "".join(fragments) == '{"city": "東京", "days": 3}'


def test_reasoning_streams_text_then_signature() -> None:
    """Reasoning comes as text deltas and then one with its signature; redacted, as one blob."""
    content = (
        {"reasoningContent": {"reasoningText": {"text": "Let me see", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": b"secret"}},
    )
    deltas = [
        payload["delta"]["reasoningContent"]
        for event_type, payload in _ours(Reply(content=content))
        if event_type == "contentBlockDelta"
    ]
    assert deltas == [
        {"text": "Let"},
        {"text": " me"},
        {"text": " see"},
        {"signature": "c2ln"},
        {"redactedContent": b"secret"},
    ]


def test_extra_keys_travel_where_the_model_has_them() -> None:
    """In a stream, extra response fields go into messageStop, all else into metadata."""
    extra = {"additionalModelResponseFields": {"a": 1}, "trace": {"promptRouter": {}}}
    events = _ours(Reply(content=({"text": "Hi"},), extra=extra))
    assert events[-2][1] == {"stopReason": "end_turn", "additionalModelResponseFields": {"a": 1}}
    assert events[-1][1]["trace"] == {"promptRouter": {}}


def test_latency_is_asked_for_last() -> None:
    """The latency of a stream is taken when all other events are out."""
    asked: list[bool] = []
    events = converse_events(Reply(content=({"text": "Hi"},)), lambda: asked.append(True) or 7)  # type: ignore[func-returns-value] # append returns None, so 7 is the value
    for _ in range(4):
        next(events)
    assert not asked
    assert next(events).payload["metrics"] == {"latencyMs": 7}


def test_block_that_cannot_be_streamed_is_named() -> None:
    """A content block of another kind is an error that names it."""
    with pytest.raises(EmulatorError, match="video can't be streamed"):
        next(converse_events(Reply(content=({"video": {}},)), lambda: 7))


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", [""]),
        (" ", [" "]),
        ("a b\n\n", ["a", " b", "\n\n"]),
        ("東京都庁は新宿区にあります。", ["東京都庁は新宿区", "にあります。"]),
        ("が" * 4, ["が" * 4]),
        ("e\u0301" * 9, ["e\u0301" * 8, "e\u0301"]),
        ("か\u3099" * 9, ["か\u3099" * 8, "か\u3099"]),
        ("👩‍👩‍👧‍👦" * 9, ["👩‍👩‍👧‍👦" * 8, "👩‍👩‍👧‍👦"]),
        ("👍🏽" * 9, ["👍🏽" * 8, "👍🏽"]),
        ("🇯🇵" * 9, ["🇯🇵" * 8, "🇯🇵"]),
    ],
)
def test_text_is_cut_between_characters(text: str, pieces: list[str]) -> None:
    """Text is cut at words or every eight characters, never inside what reads as one."""
    assert cut_text(text) == pieces


@given(st.text(st.characters()))
def test_pieces_add_up_to_the_text(text: str) -> None:
    """No text, lone surrogates included, loses or gains a character by being cut."""
    assert "".join(cut_text(text)) == text


_BLOCKS = st.one_of(
    st.builds(lambda text: {"text": text}, st.text(max_size=60)),
    st.builds(
        lambda tool_input: {"toolUse": {"toolUseId": "t", "name": "n", "input": tool_input}},
        st.dictionaries(st.text(), st.integers() | st.text(), max_size=3),
    ),
    st.builds(
        lambda text: {"reasoningContent": {"reasoningText": {"text": text, "signature": "s"}}},
        st.text(max_size=60),
    ),
)


@given(st.lists(_BLOCKS, min_size=1, max_size=4), st.integers(0, 5_000))
def test_any_answer_keeps_the_rules(content: list[dict[str, Any]], tokens: int) -> None:
    """Any streamed answer keeps the recorded order, its content, and its number of tokens."""
    reply = Reply(content=tuple(content), output_tokens=tokens)
    events: list[StreamEvent] = list(converse_events(reply, lambda: 7))
    pairs = [(event.event_type, event.payload) for event in events]
    assert _keeps_the_order(pairs)
    assert _assembled(pairs) == content
    assert sum(event.tokens for event in events) == tokens
    assert all(event.tokens >= 0 for event in events)


def test_recorded_redacted_reasoning_is_bytes_of_base64(
    recorded_streams: RecordedStreams, decoded: Decode
) -> None:
    """Redacted reasoning is base64 on the wire, so that bytes are what a reply holds of it."""
    redacted = [
        payload["delta"]["reasoningContent"]["redactedContent"]
        for stream in recorded_streams("ConverseStream")
        for _, payload in _recorded(stream, decoded)
        if "redactedContent" in payload.get("delta", {}).get("reasoningContent", {})
    ]
    assert len(redacted) == 2
    assert all(b64decode(blob, validate=True) for blob in redacted)
