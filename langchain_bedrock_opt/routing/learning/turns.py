"""What a random choice rests on: the human turn that is being answered, whatever step it is at.

A tool loop asks the model many times for one human turn. Were each step drawn by itself, an agent
would change its model half-way. So a draw is a function of the turn; and what was chosen for a
turn holds for its loop, even if the odds change meanwhile.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Final

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import HumanMessage, SystemMessage

from langchain_bedrock_opt.routing.records import Choice
from langchain_bedrock_opt.routing.scoring.reading import messages_of
from langchain_bedrock_opt.routing.stickiness import mark_of

_MAX_TURNS: Final = 10_000
"""Turns whose tool loops may be under way at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A human turn that is being answered.

    Attributes:
        key: What it is known by, at each step of its tool loop. A hash, no text.
        loop: What its tool loop is known by: several agents may answer one turn.
        is_looping: Whether its tool loop has begun: something follows the human message.
        held: What was chosen for it at its first step, if that is known.
    """

    key: bytes
    loop: bytes = b""
    is_looping: bool = False
    held: Choice | None = None


def turn_of(model_input: LanguageModelInput, thread_id: object = None) -> Turn:
    """The human turn that a request answers.

    It is known by the id of its message, which LangGraph gives to each one, else by the human
    turns so far; and by the thread. The system prompt tells its loop from that of another agent,
    but has no say in the draw: it may hold the time of day.

    Args:
        model_input: What `invoke` takes.
        thread_id: The conversation's id, if it has one.

    Example:
        >>> turn_of("1+1?").key == turn_of([("human", "1+1?")]).key
        True
        >>> turn_of([("human", "1+1?"), ("ai", "2"), ("human", "Why?")]).is_looping
        False
    """
    if isinstance(model_input, str):
        key = _digest((str(thread_id), (mark_of(model_input),)))
        return Turn(key=key, loop=_digest((key, ())))
    messages = messages_of(model_input)
    asked = [each for each in messages if isinstance(each, HumanMessage)] or messages[-1:]
    is_looping = bool(asked) and messages[-1] is not asked[-1]
    known_by: Hashable = tuple(mark_of(each.content) for each in asked)
    if asked and asked[-1].id is not None:
        known_by = asked[-1].id, mark_of(asked[-1].content)
    key = _digest((str(thread_id), known_by))
    system = tuple(mark_of(each.content) for each in messages if isinstance(each, SystemMessage))
    return Turn(key=key, loop=_digest((key, system)), is_looping=is_looping)


def _digest(key: Hashable) -> bytes:
    # `repr` escapes lone surrogates, which can't be encoded.
    return blake2b(repr(key).encode("utf-8"), digest_size=16).digest()


class Turns:
    """Remembers what was chosen for the turns whose tool loops are under way.

    Safe to use from several threads. Only hashes are kept, no text.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._choices: OrderedDict[bytes, Choice] = OrderedDict()

    def of(self, model_input: LanguageModelInput, thread_id: object = None) -> Turn:
        """As `turn_of`, with the choice that a loop is to keep to.

        Args:
            model_input: What `invoke` takes.
            thread_id: The conversation's id, if it has one.
        """
        turn = turn_of(model_input, thread_id)
        if not turn.is_looping:
            return turn
        with self._lock:
            held = self._choices.get(turn.loop)
        return replace(turn, held=held)

    def keep(self, turn: Turn, choice: Choice) -> None:
        """Keep what was chosen for a turn's request that is sent.

        Args:
            turn: The turn.
            choice: The choice.
        """
        with self._lock:
            self._choices[turn.loop] = choice
            self._choices.move_to_end(turn.loop)
            if len(self._choices) > _MAX_TURNS:
                self._choices.popitem(last=False)
