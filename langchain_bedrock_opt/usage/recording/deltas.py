"""Which chunks of a stream show something of its answer: the first one ends the wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.outputs import ChatGenerationChunk, GenerationChunk


def is_delta(token: Any, chunk: GenerationChunk | ChatGenerationChunk | None) -> bool:
    """Whether a chunk carries text, reasoning or a part of a tool call.

    `messageStart`, empty deltas, signatures, block ends and metadata reach the callback as chunks
    too.

    Args:
        token: What LangChain tells as the new token: a text, or a content.
        chunk: The chunk that it is of, where LangChain tells it.

    Example:
        >>> is_delta("", None), is_delta("Hi", None)
        (False, True)
    """
    if isinstance(token, str) and token:
        return True
    message = getattr(chunk, "message", None)
    if message is None:
        return False
    if getattr(message, "tool_call_chunks", None):
        return True
    # A list of blocks; a content that is a plain text was the token itself.
    return any(isinstance(block, dict) and _says_something(block) for block in message.content)


def _says_something(block: Mapping[str, Any]) -> bool:
    """Whether a content block of a chunk has text or reasoning in it."""
    if block.get("text") or block.get("reasoning"):  # the latter in LangChain's format of version 1
        return True
    reasoning = block.get("reasoning_content")
    return isinstance(reasoning, dict) and bool(
        reasoning.get("text") or reasoning.get("redacted_content")
    )
