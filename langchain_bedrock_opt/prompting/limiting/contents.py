"""The texts in a message's content, and messages with other texts in their place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage


def texts_that_may_be_cut(message: BaseMessage) -> dict[int, str]:
    """The texts of a message by their place in its content; 0 if the content is a text itself.

    An answer of the model with tool calls, reasoning or citations is left as it is: its parts
    refer to each other, and some are signed.

    Example:
        >>> texts_that_may_be_cut(HumanMessage([{"type": "text", "text": "Hi"}, {"image": {}}]))
        {0: 'Hi'}
    """
    if isinstance(message, AIMessage):
        if message.tool_calls or message.invalid_tool_calls or not _is_plain(message.content):
            return {}
    elif not isinstance(message, (HumanMessage, ToolMessage)):
        return {}
    if isinstance(message.content, str):
        return {0: message.content}
    texts = ((place, text_of(block)) for place, block in enumerate(message.content))
    return {place: text for place, text in texts if text is not None}


def text_of(block: Any) -> str | None:
    """The text of a block of text; None if it is another block."""
    if isinstance(block, str):
        return block
    if block.get("type", "text") != "text" or not isinstance(block.get("text"), str):
        return None
    return str(block["text"])


def with_texts(message: BaseMessage, texts: Mapping[int, str]) -> BaseMessage:
    """A copy of a message with other texts at some places of its content.

    Example:
        >>> with_texts(HumanMessage("Hello", id="1"), {0: "Hi"})
        HumanMessage(content='Hi', additional_kwargs={}, response_metadata={}, id='1')
    """
    if isinstance(message.content, str):
        return message.model_copy(update={"content": texts[0]})
    content = [
        block
        if place not in texts
        else texts[place]
        if isinstance(block, str)
        else {**block, "text": texts[place]}
        for place, block in enumerate(message.content)
    ]
    return message.model_copy(update={"content": content})


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
        return message.model_copy(update={"content": f"{note}\n\n{content}"})
    block = {"type": "text", "text": note}
    if content[:1] == [block]:
        return message
    return message.model_copy(update={"content": [block, *content]})


def _is_plain(content: str | list[Any]) -> bool:
    return isinstance(content, str) or all(
        text_of(block) is not None and (isinstance(block, str) or not block.get("citations"))
        for block in content
    )
