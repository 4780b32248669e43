"""From what a model says to a Converse answer, whole or as a stream of events.

Order and shapes are those of recorded streams: text and reasoning blocks start with a delta,
only a `toolUse` starts with `contentBlockStart`; a tool's input begins with an empty fragment;
`messageStop` and `metadata` end it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from langchain_bedrock_opt.emulator.types import Reply
from langchain_bedrock_opt.errors import EmulatorError

# Top-level keys of a Converse answer that a stream carries in `messageStop`; all others
# (`trace`, `serviceTier`, …) travel in `metadata`.
_IN_MESSAGE_STOP: Final = frozenset({"additionalModelResponseFields"})

# What must not be cut off from the character before it: combining marks, variation selectors,
# skin tones, the tags of flags. Not the whole of Unicode's rules, but the common cases.
_MARK: Final = (
    "[\u0300-\u036f\u0591-\u05bd\u064b-\u065f\u0900-\u0903\u093a-\u094f\u0e31\u0e34-\u0e3a"
    "\u0e47-\u0e4e\u20d0-\u20ff\u3099\u309a\ufe00-\ufe0f\uff9e\uff9f\U0001f3fb-\U0001f3ff"
    "\U000e0020-\U000e007f]"
)
_FLAG: Final = "[\U0001f1e6-\U0001f1ff]{2}"
_CHARACTER: Final = rf"(?:{_FLAG}|\S){_MARK}*(?:\u200d\S{_MARK}*)*"
# A word with the blanks before it, as models' tokens are; long words and text without blanks,
# such as Japanese, every few characters.
_PIECE: Final = re.compile(rf"\s*(?:{_CHARACTER}){{1,8}}|\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEvent:
    """One event of a ConverseStream answer.

    Attributes:
        event_type: Its name in the service model, such as `contentBlockDelta`.
        payload: Its members, without padding.
        tokens: How many of the answer's output tokens it stands for. Over a whole stream they
            add up to the reply's `output_tokens`.
    """

    event_type: str
    payload: Mapping[str, Any]
    tokens: int = 0


def converse_output(reply: Reply, latency_ms: int) -> dict[str, Any]:
    """The output of a Converse call.

    Args:
        reply: What the model said.
        latency_ms: How long the call took; an integer, or SDKs fail to parse the answer.

    Example:
        >>> output = converse_output(Reply(content=({"text": "Hi"},), output_tokens=1), 5)
        >>> output["output"]["message"]
        {'content': [{'text': 'Hi'}], 'role': 'assistant'}
    """
    return {
        "metrics": {"latencyMs": int(latency_ms)},
        "output": {"message": {"content": list(reply.content), "role": "assistant"}},
        "stopReason": reply.stop_reason,
        "usage": _usage(reply),
        **reply.extra,
    }


def converse_events(reply: Reply, latency_ms: Callable[[], int]) -> Iterator[StreamEvent]:
    """The events of a ConverseStream call, one at a time, so that they can be paced.

    Args:
        reply: What the model said.
        latency_ms: Asked when all else is sent, since only then the latency is known.

    Raises:
        EmulatorError: The reply has a block that can't be streamed.

    Example:
        >>> events = converse_events(Reply(content=({"text": "Hi"},)), lambda: 5)
        >>> [event.event_type for event in events]
        ['messageStart', 'contentBlockDelta', 'contentBlockStop', 'messageStop', 'metadata']
    """
    blocks = [(block, list(_deltas(block))) for block in reply.content]
    share = _token_shares(reply.output_tokens, [size for _, deltas in blocks for _, size in deltas])
    yield StreamEvent(event_type="messageStart", payload={"role": "assistant"})
    for index, (block, deltas) in enumerate(blocks):
        if "toolUse" in block:
            start = {key: value for key, value in block["toolUse"].items() if key != "input"}
            yield _block_event("contentBlockStart", index, start={"toolUse": start})
        for delta, _ in deltas:
            yield _block_event("contentBlockDelta", index, tokens=next(share), delta=delta)
        yield _block_event("contentBlockStop", index)
    stop = {key: value for key, value in reply.extra.items() if key in _IN_MESSAGE_STOP}
    rest = {key: value for key, value in reply.extra.items() if key not in _IN_MESSAGE_STOP}
    yield StreamEvent(event_type="messageStop", payload={"stopReason": reply.stop_reason, **stop})
    metrics = {"latencyMs": int(latency_ms())}
    payload = {"usage": _usage(reply), "metrics": metrics, **rest}
    yield StreamEvent(event_type="metadata", payload=payload)


def cut_text(text: str) -> list[str]:
    """Cut a text into pieces the size of tokens, about.

    Args:
        text: Any text.

    Returns:
        Pieces that add up to the text; one empty piece for an empty text, as Bedrock sends it.

    Example:
        >>> cut_text("Photosynthesis is the process")
        ['Photosyn', 'thesis', ' is', ' the', ' process']
    """
    return _PIECE.findall(text) or [""]


def _block_event(event_type: str, index: int, tokens: int = 0, **members: Any) -> StreamEvent:
    payload = {"contentBlockIndex": index, **members}
    return StreamEvent(event_type=event_type, payload=payload, tokens=tokens)


def _deltas(block: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], int]]:
    """The deltas of one block, each with its weight: how many characters it stands for."""
    if "text" in block:
        yield from (({"text": piece}, len(piece)) for piece in cut_text(block["text"]))
    elif "toolUse" in block:
        for piece in _input_fragments(block["toolUse"].get("input")):
            yield {"toolUse": {"input": piece}}, len(piece)
    elif "reasoningContent" in block:
        for part, size in _reasoning_parts(block["reasoningContent"]):
            yield {"reasoningContent": part}, size
    elif "citationsContent" in block:
        cited = block["citationsContent"]
        yield from (({"citation": citation}, 0) for citation in cited.get("citations", ()))
        for content in cited.get("content", ()):
            yield from (({"text": piece}, len(piece)) for piece in cut_text(content["text"]))
    else:
        raise EmulatorError(
            f"A content block with {', '.join(block)} can't be streamed; the emulator streams "
            "text, toolUse, reasoningContent and citationsContent."
        )


def _input_fragments(tool_input: Any) -> list[str]:
    """A tool's input as fragments of JSON, the first of them empty, as Claude's recordings are."""
    if not tool_input:
        return [""]
    return ["", *cut_text(json.dumps(tool_input, ensure_ascii=False))]


def _reasoning_parts(reasoning: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], int]]:
    if "redactedContent" in reasoning:
        yield {"redactedContent": reasoning["redactedContent"]}, 0
        return
    said = reasoning["reasoningText"]
    yield from (({"text": piece}, len(piece)) for piece in cut_text(said["text"]))
    if "signature" in said:
        yield {"signature": said["signature"]}, 0


def _token_shares(tokens: int, weights: Sequence[int]) -> Iterator[int]:
    """Spread tokens over pieces by their weights; the shares add up to the tokens."""
    counted = [max(1, weight) for weight in weights]
    total, done = sum(counted), 0
    for weight in counted:
        yield tokens * (done + weight) // total - tokens * done // total
        done += weight


def _usage(reply: Reply) -> dict[str, Any]:
    read, written = reply.cache_read_tokens, reply.cache_write_tokens
    usage: dict[str, Any] = {
        "inputTokens": reply.input_tokens,
        "outputTokens": reply.output_tokens,
        # In every dated recording since October 2025; botocore's model does not know it.
        "serverToolUsage": {},
        "totalTokens": reply.input_tokens + reply.output_tokens + read + written,
    }
    if read or written:
        # Both spellings are on the wire; SDKs read the second.
        for count, spellings in (
            (read, ("cacheReadInputTokenCount", "cacheReadInputTokens")),
            (written, ("cacheWriteInputTokenCount", "cacheWriteInputTokens")),
        ):
            usage.update(dict.fromkeys(spellings, count))
    return dict(sorted(usage.items()))
