"""Binary event streams: the frames in which Bedrock sends an answer piece by piece.

A frame is a prelude (length of the frame, length of its headers, CRC32 of both), the headers,
the payload, and a CRC32 of it all; numbers are big-endian. Header order, sorted keys and padding
follow recordings of the real service. No recording of an in-stream exception has been published:
its form follows botocore's parser and is unverified against AWS.
"""

from __future__ import annotations

import string
import struct
from collections.abc import Mapping
from functools import cache
from typing import Any, Final
from zlib import crc32

from langchain_bedrock_opt.emulator.http.jsontext import compact_json

CONTENT_TYPE: Final = "application/vnd.amazon.eventstream"
"""The media type of an event stream."""

_JSON: Final = "application/json"
_STRING_HEADER: Final = 7
_CRC_BYTES: Final = 4
_PRELUDE_BYTES: Final = 12

# Every recorded ConverseStream event carries a prefix of this as `p`, 2 to 61 characters long,
# so that the size of an encrypted packet does not betray the length of a token.
_PADDING: Final = string.ascii_letters + string.digits
_SHORTEST_PADDING: Final = 2
_PADDING_LENGTHS: Final = 60
_PADDING_STEP: Final = 37  # prime to the number of lengths, so that all of them come up


def encode_frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Encode one frame with any text headers.

    Args:
        headers: Header values by name, in the order in which they are written.
        payload: The payload, as it is.

    Example:
        >>> len(encode_frame({":message-type": "event"}, b"{}"))
        40
    """
    return _frame(_header_block(headers), payload)


def encode_event(event_type: str, payload: Mapping[str, Any]) -> bytes:
    """Encode one event.

    Args:
        event_type: Its name in the service model, such as `contentBlockDelta` or `chunk`.
        payload: Its members, not wrapped in the event's name. Bytes become base64.

    Example:
        >>> encode_event("messageStart", padded({"role": "assistant"}, 0))[-33:-4]
        b'{"p":"ab","role":"assistant"}'
    """
    return _frame(_event_headers(event_type), compact_json(payload, sort_keys=True))


def encode_exception(code: str, message: str) -> bytes:
    """Encode an error in the middle of a stream; nothing may follow it.

    Args:
        code: `throttlingException` and the like. The HTTP spelling, `ThrottlingException`, is
            put into the in-stream one.
        message: The error's text.

    Example:
        >>> b"throttlingException" in encode_exception("ThrottlingException", "Too many requests")
        True
    """
    in_stream_code = code[:1].lower() + code[1:]
    return _frame(_exception_headers(in_stream_code), compact_json({"message": message}))


def encode_chunk(data: bytes, ordinal: int) -> bytes:
    """Encode one chunk of `InvokeModelWithResponseStream`.

    Args:
        data: The model's own bytes, JSON for most models.
        ordinal: The chunk's place in its stream, for its padding.

    Example:
        >>> b'"bytes":"e30="' in encode_chunk(b"{}", 0)
        True
    """
    return encode_event("chunk", padded({"bytes": data}, ordinal))


def padded(payload: Mapping[str, Any], ordinal: int) -> dict[str, Any]:
    """Add the padding `p` that events of Bedrock carry.

    Args:
        payload: An event's members.
        ordinal: The event's place in its stream, from 0. It alone determines the length, so the
            same answer is always the same bytes.

    Returns:
        A new dict with `p`, 2 to 61 characters.

    Example:
        >>> padded({"contentBlockIndex": 0}, 0)
        {'contentBlockIndex': 0, 'p': 'ab'}
    """
    length = _SHORTEST_PADDING + ordinal * _PADDING_STEP % _PADDING_LENGTHS
    return {**payload, "p": _PADDING[:length]}


def _frame(header_block: bytes, payload: bytes) -> bytes:
    length = _PRELUDE_BYTES + len(header_block) + len(payload) + _CRC_BYTES
    lengths = struct.pack("!II", length, len(header_block))
    message = b"".join((lengths, struct.pack("!I", crc32(lengths)), header_block, payload))
    return message + struct.pack("!I", crc32(message))


def _header_block(headers: Mapping[str, str]) -> bytes:
    parts = []
    for name, value in headers.items():
        encoded_name, encoded_value = name.encode(), value.encode()
        parts.append(struct.pack("!B", len(encoded_name)) + encoded_name)
        parts.append(struct.pack("!BH", _STRING_HEADER, len(encoded_value)) + encoded_value)
    return b"".join(parts)


@cache
def _event_headers(event_type: str) -> bytes:
    return _header_block(
        {":event-type": event_type, ":content-type": _JSON, ":message-type": "event"}
    )


@cache
def _exception_headers(in_stream_code: str) -> bytes:
    return _header_block(
        {":exception-type": in_stream_code, ":content-type": _JSON, ":message-type": "exception"}
    )
