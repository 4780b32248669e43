"""The texts in a message's content, and messages with other texts in their place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from langchain_bedrock_opt.prompting.messages import text_of, with_content, with_text

Place: TypeAlias = tuple[int, ...]
"""Where a text stands in a content: its block's index, and that in a tool's result in the block."""


def texts_that_may_be_cut(message: BaseMessage) -> dict[Place, str]:
    """The texts of a message by their place in its content, those of tools' results, too.

    An answer of the model with tool calls, reasoning or citations is left as it is: its parts
    refer to each other, and some are signed.

    Example:
        >>> texts_that_may_be_cut(HumanMessage([{"type": "text", "text": "Hi"}, {"image": {}}]))
        {(0,): 'Hi'}
    """
    if isinstance(message, AIMessage):
        if message.tool_calls or message.invalid_tool_calls or not _is_plain(message.content):
            return {}
    elif not isinstance(message, (HumanMessage, ToolMessage)):
        return {}
    return dict(_texts(message.content, ()))


def _texts(content: Any, place: Place) -> Iterator[tuple[Place, str]]:
    if isinstance(content, str):
        yield place, content
        return
    for index, block in enumerate(content):
        text = text_of(block)
        yield from _texts(result_content(block) or [] if text is None else text, (*place, index))


def with_texts(message: BaseMessage, texts: Mapping[Place, str]) -> BaseMessage:
    """A copy of a message with other texts at some places of its content.

    Example:
        >>> with_texts(HumanMessage("Hello", id="1"), {(): "Hi"})
        HumanMessage(content='Hi', additional_kwargs={}, response_metadata={}, id='1')
    """
    return with_content(message, _replaced(message.content, texts, ()))


def _replaced(content: Any, texts: Mapping[Place, str], place: Place) -> Any:
    if isinstance(content, str):
        return texts.get(place, content)
    return [_with_texts(block, texts, (*place, index)) for index, block in enumerate(content)]


def _with_texts(block: Any, texts: Mapping[Place, str], place: Place) -> Any:
    if text_of(block) is not None:
        return with_text(block, texts[place]) if place in texts else block
    inner = result_content(block)
    if inner is None:
        return block
    changed = {"content": _replaced(inner, texts, place)}
    if "toolResult" in block:
        return {**block, "toolResult": {**block["toolResult"], **changed}}
    return {**block, **changed}


def is_result(block: Any) -> bool:
    """Whether a block is a tool's result, in Anthropic's or in Converse's form."""
    return isinstance(block, dict) and (block.get("type") == "tool_result" or "toolResult" in block)


def result_content(block: Any) -> str | list[Any] | None:
    """What a tool's result holds; None if the block is none, or holds nothing.

    Example:
        >>> result_content({"type": "tool_result", "tool_use_id": "1", "content": "sunny"})
        'sunny'
    """
    content = block.get("toolResult", block).get("content") if is_result(block) else None
    return content if isinstance(content, (str, list)) else None


def with_note(message: BaseMessage, note: str) -> BaseMessage:
    r"""A copy of a message with a note before its content; itself if it has that already.

    Example:
        >>> with_note(HumanMessage("Hi"), "[…]").content
        '[…]\n\nHi'
    """
    content = message.content
    if isinstance(content, str):
        if content.startswith(note):
            return message
        return with_content(message, f"{note}\n\n{content}")
    block = {"type": "text", "text": note}
    if content[:1] == [block]:
        return message
    return with_content(message, [block, *content])


def with_note_behind(message: BaseMessage, note: str) -> BaseMessage:
    r"""A copy of a message with a note behind its content; itself if it has that already.

    Example:
        >>> with_note_behind(HumanMessage("Hi"), "[…]").content
        'Hi\n\n[…]'
    """
    content = message.content
    if isinstance(content, str):
        if content.endswith(note):
            return message
        return with_content(message, f"{content}\n\n{note}")
    block = {"type": "text", "text": note}
    return message if content[-1:] == [block] else with_content(message, [*content, block])


def _is_plain(content: str | list[Any]) -> bool:
    return isinstance(content, str) or all(
        text_of(block) is not None and (isinstance(block, str) or not block.get("citations"))
        for block in content
    )
