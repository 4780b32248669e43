"""Recorded Bedrock exchanges survive the cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langchain_aws import ChatBedrockConverse
from langchain_core.messages import AIMessage, AIMessageChunk

from langchain_bedrock_opt.caching.codec import EntryCodec
from langchain_bedrock_opt.caching.events import StreamAssembler, replayed_events
from langchain_bedrock_opt.caching.responses import (
    StoredResponse,
    encode_response,
    read_response,
)

Record = dict[str, Any]
MakeModel = Callable[..., ChatBedrockConverse]

SERVER_TOOLS = {"Converse-059"}
"""Of a server-side tool's streamed input ChatBedrockConverse makes one more, nameless tool call."""


CODEC = EntryCodec(secret="a secret for tests only")


def stored(response: dict[str, Any], cuts: Any = None) -> StoredResponse:
    """A response, stored and read again."""
    data = encode_response(CODEC, "key", response, meta={}, cuts=cuts)
    return read_response(CODEC.open("key", data))


def assembled(events: list[Any]) -> StoredResponse:
    """The response of a stream, stored and read again."""
    assembler = StreamAssembler()
    for event in events:
        assembler.add(event)
    return stored(assembler.response(), assembler.cuts)


def merged(model: ChatBedrockConverse) -> AIMessageChunk:
    chunks = list(model.stream("Hello"))
    message = chunks[0]
    for chunk in chunks[1:]:
        message += chunk
    assert isinstance(message, AIMessageChunk)
    return message


def test_a_response_comes_back_equal(
    recorded: Record, wire_response: Callable[[Record], dict[str, Any]]
) -> None:
    """A recorded response is the same after storing, but for its request id and headers."""
    original = wire_response(recorded)
    restored = stored(original).response

    del original["ResponseMetadata"]
    assert restored == original


def test_a_response_survives_being_streamed(
    recorded: Record, wire_response: Callable[[Record], dict[str, Any]]
) -> None:
    """A recorded response, replayed as a stream and put together again, is the same."""
    original = wire_response(recorded)
    restored = assembled(replayed_events(original)).response

    del original["ResponseMetadata"]
    assert restored == original


def assert_equal_messages(message: AIMessage, expected: AIMessage) -> None:
    assert message.tool_calls == expected.tool_calls
    assert message.usage_metadata == expected.usage_metadata
    assert message.response_metadata["stopReason"] == expected.response_metadata["stopReason"]


def test_a_stored_response_gives_the_same_message(
    recorded: Record,
    wire_response: Callable[[Record], dict[str, Any]],
    bedrock: Any,
    make_model: MakeModel,
) -> None:
    """ChatBedrockConverse makes the same message of a stored response as of the original."""
    original = wire_response(recorded)
    restored = stored(original).response

    expected = make_model(bedrock(original)).invoke("Hello")
    message = make_model(bedrock(restored)).invoke("Hello")

    assert message.content == expected.content
    assert_equal_messages(message, expected)


def test_a_stored_response_streams_the_same_message(
    recorded: Record,
    wire_response: Callable[[Record], dict[str, Any]],
    bedrock: Any,
    make_model: MakeModel,
) -> None:
    """Streaming a stored response says what invoking it says, tool calls and usage included."""
    original = wire_response(recorded)

    expected = make_model(bedrock(original)).invoke("Hello")
    message = merged(make_model(bedrock(replayed_events(original))))

    if recorded["id"] in SERVER_TOOLS:
        message.tool_calls = [call for call in message.tool_calls if call["name"]]
    assert message.text == expected.text
    assert_equal_messages(message, expected)


def test_a_stored_stream_is_replayed_event_for_event(
    recorded_stream: Record, wire_events: Callable[[Record], list[dict[str, Any]]]
) -> None:
    """A recorded stream comes out of the cache as it went in: the same events, the same pieces."""
    original = wire_events(recorded_stream)
    kept = assembled(original)

    assert replayed_events(kept.response, kept.cuts) == original


def test_a_stored_stream_gives_the_same_message(
    recorded_stream: Record,
    wire_events: Callable[[Record], list[dict[str, Any]]],
    bedrock: Any,
    make_model: MakeModel,
) -> None:
    """ChatBedrockConverse merges a stored stream, cut anew, to the same message."""
    original = wire_events(recorded_stream)
    replay = replayed_events(assembled(original).response)

    expected = merged(make_model(bedrock(original)))
    message = merged(make_model(bedrock(replay)))

    assert message.text == expected.text
    assert_equal_messages(message, expected)
