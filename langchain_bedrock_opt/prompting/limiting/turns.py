"""A conversation in the pieces that may be left out of it, each as a whole.

A turn is a message of the user with all that follows on it. A conversation without some of its
turns is still one that Bedrock takes: it begins with the user, and a tool's result stands behind
its call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_bedrock_opt.prompting.limiting.contents import is_result


class Turns(NamedTuple):
    """The indices of a conversation's messages.

    Attributes:
        fixed: System messages, and orders to a graph's state: they are no part of a turn.
        turns: Those of each turn. What stands before the first of them is a turn, too.
    """

    fixed: list[int]
    turns: list[list[int]]


def turns_of(messages: Sequence[BaseMessage]) -> Turns:
    """Take a conversation apart into turns.

    Example:
        >>> turns_of([SystemMessage("Be brief."), HumanMessage("Hi"), AIMessage("Hello")])
        Turns(fixed=[0], turns=[[1, 2]])
    """
    fixed: list[int] = []
    turns: list[list[int]] = []
    begins = _beginnings(messages)
    for index, message in enumerate(messages):
        if isinstance(message, (SystemMessage, RemoveMessage)):
            fixed.append(index)
        elif index in begins or not turns:
            turns.append([index])
        else:
            turns[-1].append(index)
    return Turns(fixed, turns)


def rounds_of(messages: Sequence[BaseMessage], turn: Sequence[int]) -> list[list[int]]:
    """Take a turn apart into what the user said and each answer with the results of its calls.

    Returns:
        The indices of the opening, which may be empty, and those of each round.

    Example:
        >>> rounds_of(
        ...     [HumanMessage("Hi"), AIMessage("I ask."), ToolMessage("", tool_call_id="1")],
        ...     [0, 1, 2],
        ... )
        [[0], [1, 2]]
    """
    rounds: list[list[int]] = [[]]
    for index in turn:
        if isinstance(messages[index], AIMessage):
            rounds.append([])
        rounds[-1].append(index)
    return rounds


def _beginnings(messages: Sequence[BaseMessage]) -> set[int]:
    """Where a conversation may begin: with the user, if no tool's result is to come."""
    found: set[int] = set()
    # Messages up to the model's next one reach Bedrock as one message, with results among them.
    has_result = False
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if isinstance(message, AIMessage):
            has_result = False
            continue
        has_result = has_result or _has_result(message)
        if isinstance(message, HumanMessage) and not has_result:
            found.add(index)
    return found


def _has_result(message: BaseMessage) -> bool:
    """Whether a message answers a tool call; those of the user may, in blocks of their own."""
    if isinstance(message, ToolMessage):
        return True
    content = message.content
    return isinstance(content, list) and any(map(is_result, content))
