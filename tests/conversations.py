"""A conversation with tools, its parts, and what makes one that Bedrock takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.tools import tool

from langchain_bedrock_opt.catalog.tokens import TokenCounter

COUNT = TokenCounter()
IMAGE = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
}


@tool
def weather(city: str) -> str:
    """Says what the weather is like."""
    return city


def call(identifier: str) -> dict[str, Any]:
    return {"name": "weather", "args": {"city": "京都"}, "id": identifier}


def step(number: int, calls: int, text: str) -> list[BaseMessage]:
    """A step of an agent: calls side by side, signed reasoning, and the tools' results."""
    ids = [f"call_{number}_{index}" for index in range(calls)]
    signed = {
        "type": "reasoning_content",
        "reasoning_content": {"text": "Ask the tool.", "signature": f"signature {number}"},
    }
    return [
        AIMessage(
            [signed, {"type": "text", "text": "I ask."}],
            tool_calls=[call(identifier) for identifier in ids],
        ),
        *(ToolMessage(text or "sunny", tool_call_id=identifier) for identifier in ids),
    ]


def check(messages: Sequence[BaseMessage]) -> None:
    """A conversation begins with the user, and each call has its result before the next answer."""
    said = [message for message in messages if message.type != "system"]
    assert said[0].type == "human"
    waiting: set[Any] = set()
    for message in said:
        if isinstance(message, AIMessage):
            assert not waiting
            waiting = {made["id"] for made in message.tool_calls}
        elif isinstance(message, ToolMessage):
            waiting.remove(message.tool_call_id)
    assert not waiting


HISTORY: list[BaseMessage] = [
    SystemMessage("You are brief.", id="system"),
    HumanMessage("What is the weather like in Kyoto? " * 5, id="first"),
    *step(1, 2, "It is sunny. " * 10),
    AIMessage("It is sunny."),
    HumanMessage("And in Osaka? " * 5, id="second"),
    AIMessage("It rains in Osaka. " * 5),
    HumanMessage("Thank you. " * 5, id="third"),
    AIMessage("You are welcome."),
    HumanMessage("Where shall I go?", id="last"),
]
