"""Binary event streams: byte for byte as recorded, and readable by botocore."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from langchain_bedrock_opt.emulator.http.eventstream import (
    encode_chunk,
    encode_event,
    encode_exception,
    encode_frame,
    padded,
)

RecordedStreams = Callable[[str], list[bytes]]

_JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(codec="utf-8")),
    lambda values: (
        st.lists(values) | st.dictionaries(st.text(st.characters(codec="utf-8")), values)
    ),
    max_leaves=8,
)


def _headers(message: Any) -> dict[str, Any]:
    return dict(message.headers)  # botocore's type stubs take them for a number


def _decode(stream: bytes) -> list[tuple[dict[str, Any], bytes]]:
    buffer = EventStreamBuffer()
    buffer.add_data(stream)
    return [(_headers(message), message.payload) for message in buffer]


def test_recorded_frames_are_encoded_byte_for_byte(
    recorded_streams: RecordedStreams,
) -> None:
    """Every frame that AWS was recorded to send comes out of the encoder identically."""
    streams = [
        *recorded_streams("ConverseStream"),
        *recorded_streams("InvokeModelWithResponseStream"),
    ]
    for stream in streams:
        frames = _decode(stream)
        assert b"".join(encode_frame(headers, payload) for headers, payload in frames) == stream
    assert len(streams) == 26


def test_recorded_events_are_encoded_byte_for_byte_from_their_members(
    recorded_streams: RecordedStreams,
) -> None:
    """From an event's type and members alone, the very bytes of AWS's event are made."""
    streams = [
        *recorded_streams("ConverseStream"),
        *recorded_streams("InvokeModelWithResponseStream"),
    ]
    for stream in streams:
        events = [
            (headers[":event-type"], json.loads(payload)) for headers, payload in _decode(stream)
        ]
        assert b"".join(encode_event(name, members) for name, members in events) == stream


def test_recorded_padding_is_a_prefix_of_ours(
    recorded_streams: RecordedStreams,
) -> None:
    """Whatever padding AWS has chosen, ours of that length is the same text."""
    ours = {len(padded({}, n)["p"]): padded({}, n)["p"] for n in range(60)}
    for stream in recorded_streams("ConverseStream"):
        for _, payload in _decode(stream):
            theirs = json.loads(payload)["p"]
            assert ours[len(theirs)] == theirs


def test_padding_takes_every_recorded_length() -> None:
    """Over a stream, padding takes all lengths from 2 to 61 characters, the same each time."""
    lengths = [len(padded({}, ordinal)["p"]) for ordinal in range(60)]
    assert sorted(lengths) == list(range(2, 62))
    assert padded({"role": "assistant"}, 7) == padded({"role": "assistant"}, 7)


@given(
    st.sampled_from(["chunk", "messageStart", "metadata"]), st.dictionaries(st.text(), _JSON_VALUES)
)
def test_botocore_reads_back_any_event(event_type: str, members: dict[str, Any]) -> None:
    """Botocore decodes an event to the type and members it was made from."""
    [(headers, payload)] = _decode(encode_event(event_type, members))
    assert headers[":event-type"] == event_type
    assert headers[":message-type"] == "event"
    assert json.loads(payload) == json.loads(json.dumps(members))


@given(
    st.dictionaries(
        st.text(st.characters(codec="ascii"), min_size=1, max_size=60), st.text(max_size=60)
    ),
    st.binary(max_size=2_000),
)
def test_botocore_reads_back_any_frame(headers: dict[str, str], payload: bytes) -> None:
    """Botocore decodes a frame to the headers, in their order, and the payload it was made from."""
    [(read_headers, read_payload)] = _decode(encode_frame(headers, payload))
    assert list(read_headers.items()) == list(headers.items())
    assert read_payload == payload


def test_header_order_is_the_recorded_one() -> None:
    """An event's headers come in AWS's order: type, content type, message type."""
    [(headers, _)] = _decode(encode_event("metadata", {}))
    assert list(headers) == [":event-type", ":content-type", ":message-type"]


def test_exception_takes_its_in_stream_spelling() -> None:
    """An error inside a stream is an exception message with a lower-case first letter."""
    [(headers, payload)] = _decode(encode_exception("ThrottlingException", "Too many requests"))
    assert headers == {
        ":exception-type": "throttlingException",
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    assert json.loads(payload) == {"message": "Too many requests"}
    assert encode_exception("throttlingException", "x") == encode_exception(
        "ThrottlingException", "x"
    )


def test_chunk_carries_base64_and_padding() -> None:
    """A chunk of InvokeModelWithResponseStream wraps the model's bytes in base64."""
    [(headers, payload)] = _decode(encode_chunk(b'{"generation":"Hi"}', 3))
    assert headers[":event-type"] == "chunk"
    members = json.loads(payload)
    assert members["bytes"] == "eyJnZW5lcmF0aW9uIjoiSGkifQ=="
    assert set(members) == {"bytes", "p"}


def test_text_is_not_escaped() -> None:
    """Japanese text is on the wire as UTF-8, as AWS sends it."""
    [(_, payload)] = _decode(encode_event("contentBlockDelta", {"delta": {"text": "東京"}}))
    assert "東京".encode() in payload
