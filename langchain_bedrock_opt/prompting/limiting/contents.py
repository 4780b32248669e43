"""The texts in a message's content, and messages with other texts in their place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from langchain_bedrock_opt.prompting.messages import text_of, with_content, with_text


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


def with_texts(message: BaseMessage, texts: Mapping[int, str]) -> BaseMessage:
    """A copy of a message with other texts at some places of its content.

    Example:
        >>> with_texts(HumanMessage("Hello", id="1"), {0: "Hi"})
        HumanMessage(content='Hi', additional_kwargs={}, response_metadata={}, id='1')
    """
    if isinstance(message.content, str):
        return with_content(message, texts[0])
    blocks = enumerate(message.content)
    return with_content(
        message,
        [with_text(block, texts[place]) if place in texts else block for place, block in blocks],
    )


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


def _is_plain(content: str | list[Any]) -> bool:
    return isinstance(content, str) or all(
        text_of(block) is not None and (isinstance(block, str) or not block.get("citations"))
        for block in content
    )
