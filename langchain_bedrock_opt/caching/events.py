"""A Converse response as the events of a stream, and the events of a stream as a response.

A cache keeps one entry for both ways of asking, so an answer that came by `converse` can be
streamed and one that was streamed can be returned whole. Both directions keep text, tool calls
(server-side ones and their results too), reasoning with its signature or redacted, citations,
usage, stop reason and model fields. An answer that was streamed is streamed again as it
came, event for event (`cuts`): the same pieces, the spacing of a tool call's JSON, the same starts
and stops. Not kept is Bedrock's padding (`p`), which boto3 hides. An answer that came whole is cut
anew. Images and other media are not streamed from a cache.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from langchain_bedrock_opt.aws.layers import Event, Response
from langchain_bedrock_opt.caching.cuts import CutRecorder, Cuts, cut_events
from langchain_bedrock_opt.errors import CacheStoreError

DELTA_CHARACTERS: Final = 48
"""The longest text of a replayed delta: about what Bedrock's own carry."""

_TEXT_OR_JSON = {"text", "json"}
"""What a streamed tool result can be made of."""

_METADATA = ("usage", "metrics", "trace", "performanceConfig", "serviceTier")


def replayed_events(response: Response, cuts: Cuts | None = None) -> list[Event]:
    """The events of a stream that would have given this response.

    Args:
        response: A Converse response. It is not changed.
        cuts: Where its own stream was cut, if it came as one.

    Returns:
        The events in Bedrock's order, from `messageStart` to `metadata`.

    Raises:
        CacheStoreError: The message holds a block that ConverseStream has no events for, or the
            cuts are not its own.

    Example:
        >>> message = {"role": "assistant", "content": [{"text": "Hi"}]}
        >>> events = replayed_events(
        ...     {"output": {"message": message}, "stopReason": "end_turn", "usage": {}}
        ... )
        >>> [name for event in events for name in event]
        ['messageStart', 'contentBlockDelta', 'contentBlockStop', 'messageStop', 'metadata']
    """
    message = response["output"]["message"]
    content = message["content"]
    blocks = _fresh_events(content) if cuts is None else cut_events(content, cuts)
    stop = {"stopReason": response["stopReason"]}
    if "additionalModelResponseFields" in response:
        stop["additionalModelResponseFields"] = response["additionalModelResponseFields"]
    metadata = {name: response[name] for name in _METADATA if name in response}
    return [
        {"messageStart": {"role": message["role"]}},
        *blocks,
        {"messageStop": stop},
        {"metadata": metadata},
    ]


def _fresh_events(content: Sequence[Mapping[str, Any]]) -> list[Event]:
    """The events of blocks that came whole."""
    events: list[Event] = []
    for index, block in enumerate(content):
        start, deltas = _parts(block)
        position = {"contentBlockIndex": index}
        if start is not None:
            events.append({"contentBlockStart": {"start": start, **position}})
        events += [{"contentBlockDelta": {"delta": delta, **position}} for delta in deltas]
        events.append({"contentBlockStop": dict(position)})
    return events


class StreamAssembler:
    """Puts a response together while the events of its stream pass by.

    It never raises on an event: a stream that it does not understand goes on, and only
    `response` says that it can't be kept.

    Example:
        >>> assembler = StreamAssembler()
        >>> for event in [
        ...     {"messageStart": {"role": "assistant"}},
        ...     {"contentBlockDelta": {"delta": {"text": "Hi"}, "contentBlockIndex": 0}},
        ...     {"messageStop": {"stopReason": "end_turn"}},
        ...     {"metadata": {"usage": {"inputTokens": 1}}},
        ... ]:
        ...     assembler.add(event)
        >>> assembler.complete
        True
        >>> assembler.response()["output"]["message"]["content"]
        [{'text': 'Hi'}]
    """

    def __init__(self) -> None:
        self._role = "assistant"
        self._blocks: dict[int, _Block] = {}
        self._stop: dict[str, Any] | None = None
        self._metadata: dict[str, Any] | None = None
        self._unknown: str | None = None
        self._recorder: CutRecorder | None = CutRecorder()

    def add(self, event: Event) -> None:
        """Take one event. What is needed of it is copied, so the consumer may change it."""
        try:
            for name, body in event.items():
                self._take(name, body)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            self._unknown = f"{sorted(event)}: {type(error).__name__}"
        else:
            self._note(event)

    @property
    def complete(self) -> bool:
        """Whether the stream has come to its end: `messageStop` and `metadata` were seen."""
        return self._stop is not None and self._metadata is not None

    def response(self) -> Response:
        """The response that `converse` would have given, without `ResponseMetadata`.

        Raises:
            CacheStoreError: The stream is not complete, or an event was not understood.
        """
        if self._stop is None or self._metadata is None or self._unknown:
            raise CacheStoreError(f"a stream can't be kept: {self._unknown or 'not complete'}")
        try:
            content = [block.content() for _, block in sorted(self._blocks.items())]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CacheStoreError(f"a stream can't be kept: {type(error).__name__}") from error
        message = {"role": self._role, "content": content}
        return {"output": {"message": message}, **self._stop, **self._metadata}

    @property
    def cuts(self) -> Cuts | None:
        """Where the stream was cut; None if it was cut in a way that can't be described."""
        if self._recorder is None:
            return None
        # A block that ends without ever having said anything is in no response.
        indices = {run[0] for run in self._recorder.cuts}
        return self._recorder.cuts if indices == self._blocks.keys() else None

    def _note(self, event: Event) -> None:
        """Take down where the event cuts the message."""
        if self._recorder is None:
            return
        try:
            for name, body in event.items():
                if name == "contentBlockDelta":
                    self._recorder.delta(body["contentBlockIndex"], body["delta"])
                elif name == "contentBlockStart":
                    self._recorder.start(body["contentBlockIndex"])
                elif name == "contentBlockStop":
                    self._recorder.stop(body["contentBlockIndex"])
        except (AttributeError, KeyError, TypeError, ValueError):
            self._recorder = None

    def _take(self, name: str, body: Mapping[str, Any]) -> None:
        if name == "contentBlockDelta":
            self._block(body).add(body["delta"])
        elif name == "contentBlockStart":
            self._block(body).start = dict(body["start"])
        elif name == "messageStart":
            self._role = body["role"]
        elif name == "messageStop":
            self._stop = dict(body)
        elif name == "metadata":
            self._metadata = dict(body)
        elif name != "contentBlockStop":
            raise ValueError(name)

    def _block(self, body: Mapping[str, Any]) -> _Block:
        return self._blocks.setdefault(body["contentBlockIndex"], _Block())


class _Block:
    """The deltas of one content block."""

    def __init__(self) -> None:
        self.start: dict[str, Any] | None = None
        self._deltas: dict[str, list[Any]] = {}

    def add(self, delta: Mapping[str, Any]) -> None:
        for kind, value in delta.items():
            if kind == "reasoningContent":
                for part, content in value.items():
                    self._deltas.setdefault(f"reasoning.{part}", []).append(content)
            elif kind in {"text", "toolUse", "toolResult", "citation"}:
                self._deltas.setdefault(kind, []).append(value)
            else:
                raise ValueError(kind)

    def content(self) -> dict[str, Any]:
        """The block as `converse` gives it."""
        kinds = {kind.partition(".")[0] for kind in self._deltas}
        if self.start is not None:
            self._allow(kinds, set(self.start))
            return _started_block(self.start, self._deltas)
        if "reasoning" in kinds:
            self._allow(kinds, {"reasoning"})
            return _reasoning(self._deltas)
        self._allow(kinds, {"text", "citation"})
        if "citation" in kinds:
            return {"citationsContent": _citations(self._deltas)}
        return {"text": "".join(self._deltas["text"])}

    @staticmethod
    def _allow(kinds: set[str], allowed: set[str]) -> None:
        if not kinds <= allowed:
            raise ValueError(f"a block is made of {sorted(kinds)}")


def _started_block(start: Mapping[str, Any], deltas: Mapping[str, list[Any]]) -> dict[str, Any]:
    """A block that opens with a `contentBlockStart`: a tool's call or a tool's result."""
    if "toolUse" in start:
        arguments = "".join(delta["input"] for delta in deltas.get("toolUse", ()))
        return {"toolUse": {**start["toolUse"], "input": json.loads(arguments or "{}")}}
    if "toolResult" in start:
        content = [part for delta in deltas.get("toolResult", ()) for part in delta]
        return {"toolResult": {**start["toolResult"], "content": content}}
    raise ValueError(f"a block starts with {sorted(start)}")


def _citations(deltas: Mapping[str, list[Any]]) -> dict[str, Any]:
    text = "".join(deltas.get("text", ()))
    return {"content": [{"text": text}], "citations": list(deltas["citation"])}


def _reasoning(deltas: Mapping[str, list[Any]]) -> dict[str, Any]:
    if "reasoning.redactedContent" in deltas:
        redacted = b"".join(deltas["reasoning.redactedContent"])
        return {"reasoningContent": {"redactedContent": redacted}}
    text = {
        part: "".join(deltas[f"reasoning.{part}"])
        for part in ("text", "signature")
        if f"reasoning.{part}" in deltas
    }
    return {"reasoningContent": {"reasoningText": text}}


def _parts(block: Mapping[str, Any]) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """What a block starts with, if it does, and its deltas."""
    if "text" in block:
        return None, [{"text": piece} for piece in _pieces(block["text"])]
    if "toolUse" in block:
        call = dict(block["toolUse"])
        arguments = json.dumps(call.pop("input"), ensure_ascii=False)
        return {"toolUse": call}, [{"toolUse": {"input": arguments}}]
    if "reasoningContent" in block:
        return None, _reasoning_deltas(block["reasoningContent"])
    if "citationsContent" in block:
        cited = block["citationsContent"]
        texts = "".join(part.get("text", "") for part in cited.get("content", ()))
        deltas: list[dict[str, Any]] = [{"text": piece} for piece in _pieces(texts)]
        return None, deltas + [{"citation": one} for one in cited.get("citations", ())]
    if "toolResult" in block and all(_TEXT_OR_JSON & part.keys() for part in _results(block)):
        start = {name: value for name, value in block["toolResult"].items() if name != "content"}
        return {"toolResult": start}, [{"toolResult": [part]} for part in _results(block)]
    raise CacheStoreError(f"a block of {sorted(block)} can't be streamed")


def _results(block: Mapping[str, Any]) -> list[dict[str, Any]]:
    return block["toolResult"].get("content") or []


def _reasoning_deltas(reasoning: Mapping[str, Any]) -> list[dict[str, Any]]:
    if "redactedContent" in reasoning:
        return [{"reasoningContent": {"redactedContent": reasoning["redactedContent"]}}]
    said = reasoning["reasoningText"]
    parts = [{"text": piece} for piece in _pieces(said["text"])] if "text" in said else []
    if "signature" in said:
        parts.append({"signature": said["signature"]})
    return [{"reasoningContent": part} for part in parts]


def _pieces(text: str) -> Iterator[str]:
    """The text in pieces that end between words where there are any; at least one piece."""
    start = 0
    while len(text) - start > DELTA_CHARACTERS:
        end = text.rfind(" ", start, start + DELTA_CHARACTERS) + 1 or start + DELTA_CHARACTERS
        yield text[start:end]
        start = end
    yield text[start:]
