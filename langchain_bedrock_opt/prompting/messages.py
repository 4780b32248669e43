"""Texts inside LangChain's messages: read, and changed without changing anything else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias, TypeVar

from langchain_core.messages import BaseMessage

Content: TypeAlias = "str | list[str | dict[Any, Any]]"
"""What `BaseMessage.content` holds."""

M = TypeVar("M", bound=BaseMessage)


def text_of(block: Any) -> str | None:
    """The text of a content block, in LangChain's form or in Converse's; None if it is no text.

    Example:
        >>> text_of({"type": "text", "text": "Hello"}), text_of({"text": "Hello"}), text_of("Hello")
        ('Hello', 'Hello', 'Hello')
        >>> text_of({"type": "image", "url": "https://example.com/a.png"}) is None
        True
    """
    if isinstance(block, str):
        return block
    if isinstance(block, dict) and block.get("type", "text") == "text":
        text = block.get("text")
        return text if isinstance(text, str) else None
    return None


def texts_of(content: Content) -> Iterator[str]:
    """The texts of a message's content, in order; what is no text is passed over.

    Example:
        >>> list(texts_of([{"type": "text", "text": "What is it?"}, {"type": "image", "url": "…"}]))
        ['What is it?']
    """
    for block in [content] if isinstance(content, str) else content:
        text = text_of(block)
        if text is not None:
            yield text


def with_text(block: Any, text: str) -> Any:
    """A text block that says something else; its other keys stay, such as a cache control.

    Example:
        >>> with_text({"type": "text", "text": "a ", "cache_control": {"type": "ephemeral"}}, "a")
        {'type': 'text', 'text': 'a', 'cache_control': {'type': 'ephemeral'}}
    """
    return text if isinstance(block, str) else {**block, "text": text}


def map_texts(blocks: Sequence[Any], change: Callable[[str], str]) -> list[Any]:
    """Blocks with each text changed; all others, and those that stay the same, are the same ones.

    Example:
        >>> map_texts([{"text": "a"}, {"cachePoint": {"type": "default"}}], str.upper)
        [{'text': 'A'}, {'cachePoint': {'type': 'default'}}]
    """
    changed = []
    for block in blocks:
        old = text_of(block)
        new = old if old is None else change(old)
        changed.append(block if new is None or new == old else with_text(block, new))
    return changed


def with_content(message: M, content: Content) -> M:
    """The same message with other content: id, name and metadata stay.

    Example:
        >>> from langchain_core.messages import HumanMessage
        >>> with_content(HumanMessage("a  b", id="1"), "a b")
        HumanMessage(content='a b', additional_kwargs={}, response_metadata={}, id='1')
    """
    return message.model_copy(update={"content": content})
