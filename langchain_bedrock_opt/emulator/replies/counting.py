"""Estimates of the tokens in a Converse request and in an answer.

Bedrock's models each have a tokenizer of their own, so every number here is an estimate: text goes
through `catalog.tokens.estimate_tokens`, the rest by flat rules. On recorded calls of a dozen
model families the median error is about a third. What a test relies on holds exactly: the same
request always counts the same, and a request that grows never counts less.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from langchain_bedrock_opt.catalog.tokens import estimate_tokens
from langchain_bedrock_opt.emulator.types import Reply

IMAGE_TOKENS: Final = 1_500
"""An image, whatever its size: near the most that a Claude model charges for one."""

PAGE_TOKENS: Final = 1_500
"""A page of a PDF."""

MEDIA_TOKENS: Final = 3_000
"""A video or an audio clip."""

MESSAGE_TOKENS: Final = 4
"""What the role and the marks around one message cost."""

TOOLS_TOKENS: Final = 220
"""The instructions a model is given once if there are tools at all."""

TOOL_CALL_TOKENS: Final = 12
"""The marks around one tool call in an answer."""

_TEXT_FORMATS: Final = frozenset({"txt", "md", "csv", "html"})
_PAGE = re.compile(rb"/Type\s*/Page\b")


def input_tokens(request: Mapping[str, Any]) -> int:
    """Estimate the tokens of a request's prompt: tools, system and messages.

    Args:
        request: A Converse request, or the same keys of a CountTokens input.

    Example:
        >>> input_tokens({"messages": [{"role": "user", "content": [{"text": "Hello there"}]}]})
        6
    """
    return sum(tokens for _, tokens in prompt_parts(request))


def prompt_parts(request: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], int]]:
    """The parts of a prompt, in the order the model reads them, each with its tokens.

    The order is that of the prompt cache: tools, then system, then messages. A message's first
    part carries what the message itself costs. Cache points are parts of no tokens.
    """
    tools = request.get("toolConfig", {}).get("tools", ())
    preamble = TOOLS_TOKENS if tools else 0
    for tool in tools:
        yield tool, preamble + block_tokens(tool)
        preamble = 0
    for block in request.get("system") or ():
        yield block, block_tokens(block)
    for message in request.get("messages") or ():
        overhead = MESSAGE_TOKENS
        for block in message.get("content", ()):
            # The role belongs to the part: the same text of the other role is another prefix.
            yield {"role": message.get("role"), **block}, overhead + block_tokens(block)
            overhead = 0


def output_tokens(content: Sequence[Mapping[str, Any]]) -> int:
    """Estimate the tokens of an answer; reasoning counts as output, as it does on the bill.

    Example:
        >>> output_tokens([{"text": "Paris."}])
        2
    """
    return sum(map(block_tokens, content))


def block_tokens(block: Mapping[str, Any]) -> int:
    """Estimate the tokens of one content block, system block or tool."""
    total = 0
    for kind, value in block.items():
        if kind == "text":
            total += estimate_tokens(value)
        elif kind == "image":
            total += IMAGE_TOKENS
        elif kind in ("video", "audio"):
            total += MEDIA_TOKENS
        elif kind == "document":
            total += _document(value)
        elif kind == "toolUse":
            total += TOOL_CALL_TOKENS + estimate_tokens(value.get("name", ""))
            total += _json(value.get("input", {}))
        elif kind == "toolResult":
            total += MESSAGE_TOKENS + sum(map(block_tokens, value.get("content", ())))
        elif kind == "reasoningContent":
            # The signature is the service's own mark; redacted reasoning can't be read at all.
            total += estimate_tokens(value.get("reasoningText", {}).get("text", ""))
        elif kind not in ("cachePoint", "role"):
            total += _json(value)
    return total


def _document(document: Mapping[str, Any]) -> int:
    source = document.get("source", {})
    total = estimate_tokens(document.get("name", ""))
    if "text" in source:
        return total + estimate_tokens(source["text"])
    if "content" in source:
        return total + sum(map(block_tokens, source["content"]))
    data = source.get("bytes", b"")
    if document.get("format") in _TEXT_FORMATS:
        return total + estimate_tokens(data.decode("utf-8", "replace"))
    return total + PAGE_TOKENS * max(1, len(_PAGE.findall(data)))


def _json(value: Any) -> int:
    """What a document costs that the model reads as JSON; bytes in it cost nothing."""
    if isinstance(value, str):
        return estimate_tokens(value)
    return estimate_tokens(json.dumps(value, ensure_ascii=False, default=lambda _: ""))


def counted(
    request: Mapping[str, Any], content: Sequence[Mapping[str, Any]], stop_reason: str | None = None
) -> Reply:
    """A reply with this content, its tokens estimated.

    Args:
        request: The Converse request it answers.
        content: The content blocks of the answer.
        stop_reason: Why the model stopped; None takes `tool_use` if it called a tool, else
            `end_turn`.
    """
    if stop_reason is None:
        stop_reason = "tool_use" if any("toolUse" in block for block in content) else "end_turn"
    return Reply(
        content=tuple(content),
        stop_reason=stop_reason,
        input_tokens=input_tokens(request),
        output_tokens=output_tokens(content),
    )
