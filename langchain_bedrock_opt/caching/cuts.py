"""Where a stream was cut: noted while it passes by, and used to cut its answer the same way again.

The notes hold no text that the response has already, save the JSON of tool calls, whose spacing
the response does not keep. They are a list of *runs*: an index of a content block, and the steps
taken in it one after the other. A step is

* a number: so many characters of the block's text;
* a text: a piece of the JSON of a tool call's input;
* `["start"]`, `["stop"]`: the block's first and last event;
* `["text", n]`, `["signature", n]`: so many characters of reasoning, or of its signature;
* `["redactedContent", n]`: so many bytes of redacted reasoning;
* `["citation"]`: the next citation;
* `["toolResult", n]`: the next so many parts of a tool's result.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from langchain_bedrock_opt.aws.layers import Event
from langchain_bedrock_opt.errors import CacheStoreError

Cuts: TypeAlias = list[Any]
"""The runs of a stream: plain data, to be stored."""


class CutRecorder:
    """Takes the cuts of a stream down.

    Attributes:
        cuts: The runs so far.

    Example:
        >>> recorder = CutRecorder()
        >>> for text in ("He", "llo"):
        ...     recorder.delta(0, {"text": text})
        >>> recorder.cuts
        [[0, 2, 3]]
    """

    def __init__(self) -> None:
        self.cuts: Cuts = []

    def start(self, index: int) -> None:
        """A block begins."""
        self._run(index).append(["start"])

    def stop(self, index: int) -> None:
        """A block ends."""
        self._run(index).append(["stop"])

    def delta(self, index: int, delta: Mapping[str, Any]) -> None:
        """A piece of a block.

        Raises:
            ValueError: It can't be described.
        """
        self._run(index).append(_step(delta))

    def _run(self, index: int) -> list[Any]:
        if not self.cuts or self.cuts[-1][0] != index:
            self.cuts.append([index])
        run: list[Any] = self.cuts[-1]
        return run


def _step(delta: Mapping[str, Any]) -> Any:
    ((kind, value),) = delta.items()
    if kind == "text":
        return len(value)
    if kind == "toolUse":
        ((_, piece),) = value.items()
        return piece
    if kind == "reasoningContent":
        ((part, content),) = value.items()
        return [part, len(content)]
    if kind == "toolResult":
        return [kind, len(value)]
    return [kind]


def cut_events(content: list[dict[str, Any]], cuts: Cuts) -> list[Event]:
    """The events of a message's content, cut as they were.

    Args:
        content: The content blocks of the message.
        cuts: The runs of its stream.

    Returns:
        The events of the blocks, as they came.

    Raises:
        CacheStoreError: The cuts are not those of this message.
    """
    try:
        indices = sorted({run[0] for run in cuts})
        blocks = {
            index: _Block(index, block) for index, block in zip(indices, content, strict=True)
        }
        events = [blocks[run[0]].event(step) for run in cuts for step in run[1:]]
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise CacheStoreError("a stored stream does not fit its answer") from error
    if not all(block.is_used_up for block in blocks.values()):
        raise CacheStoreError("a stored stream leaves out a part of its answer")
    return events


class _Block:
    """A content block on its way into pieces."""

    def __init__(self, index: int, block: Mapping[str, Any]) -> None:
        self._index = index
        self._start, self._whole = _start_and_whole(block)
        self._taken = dict.fromkeys(self._whole, 0)

    @property
    def is_used_up(self) -> bool:
        """Whether nothing is left to be taken."""
        return all(len(whole) == self._taken[part] for part, whole in self._whole.items())

    def event(self, step: Any) -> Event:
        """The event of a step."""
        position = {"contentBlockIndex": self._index}
        if step == ["start"]:
            return {"contentBlockStart": {"start": dict(self._start), **position}}
        if step == ["stop"]:
            return {"contentBlockStop": position}
        return {"contentBlockDelta": {"delta": self._delta(step), **position}}

    def _delta(self, step: Any) -> dict[str, Any]:
        if isinstance(step, int):
            return {"text": self._take("said", step)}
        if isinstance(step, str):
            return {"toolUse": {"input": step}}
        part, *size = step
        if part == "citation":
            return {"citation": self._take(part, 1)[0]}
        piece = self._take(part, *size)
        return {part: piece} if part == "toolResult" else {"reasoningContent": {part: piece}}

    def _take(self, part: str, size: int) -> Any:
        start = self._taken[part]
        self._taken[part] = end = start + size
        return self._whole[part][start:end]


def _start_and_whole(block: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a block starts with, and what its deltas are taken from, by their kind."""
    ((kind, body),) = block.items()
    if kind == "text":
        return {}, {"said": body}  # not "text", which is a part of reasoning
    if kind == "toolUse":  # its deltas bring their own text
        return {kind: {name: value for name, value in body.items() if name != "input"}}, {}
    if kind == "toolResult":
        start = {name: value for name, value in body.items() if name != "content"}
        return {kind: start}, {kind: body["content"]}
    if kind == "citationsContent":
        text = "".join(part["text"] for part in body["content"])
        return {}, {"said": text, "citation": body["citations"]}
    if "redactedContent" in body:
        return {}, {"redactedContent": body["redactedContent"]}
    return {}, dict(body["reasoningText"])
