"""What is left of a conversation if only some of its turns are kept."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from langchain_core.messages import BaseMessage

from langchain_bedrock_opt.prompting.limiting.contents import with_note
from langchain_bedrock_opt.prompting.limiting.text import Keep
from langchain_bedrock_opt.prompting.limiting.turns import turns_of
from langchain_bedrock_opt.prompting.messages import text_of

_BLOCK: Final = 500  # about the characters that an image or a tool call is worth


class Conversation:
    """A conversation and the order in which its turns are kept beside the last one.

    Args:
        messages: All of them.
        keep: Which turns come first: the latest, the first, or both in turn.
        head_share: With both ends, the share of the characters that the first turns get.

    Attributes:
        choices: How many turns there are beside the last one.
        sizes: About how many characters are kept with 0, 1, 2, … of them.
    """

    def __init__(self, messages: Sequence[BaseMessage], keep: Keep, head_share: float) -> None:
        self._messages = messages
        self._fixed, turns = turns_of(messages)
        self._turns = turns or [[]]
        sizes = [sum(_size(messages[index]) for index in turn) for turn in self._turns]
        self._order = _order(sizes[:-1], keep, head_share)
        self.choices = len(self._order)
        self.sizes = list(accumulate((sizes[turn] for turn in self._order), initial=0))

    def kept(self, choices: int, note: str) -> list[BaseMessage]:
        """The messages that stay if so many turns are kept beside the last one.

        Args:
            choices: How many.
            note: What stands where turns were left out, before the next message.
        """
        turns = {*self._order[:choices], len(self._turns) - 1}
        indices = {*self._fixed, *(index for turn in turns for index in self._turns[turn])}
        messages = {index: self._messages[index] for index in sorted(indices)}
        if note:
            for turn in turns:
                if turn and turn - 1 not in turns:
                    first = self._turns[turn][0]
                    messages[first] = with_note(messages[first], note)
        return list(messages.values())

    def last_turn_noted(self, messages: Sequence[BaseMessage], note: str) -> list[BaseMessage]:
        """What stays of the last turn and no other, shortened before, with a note."""
        noted = list(messages)
        if note and self.choices:
            place = bisect_left(self._fixed, self._turns[-1][0])
            noted[place] = with_note(noted[place], note)
        return noted


def _order(sizes: Sequence[int], keep: Keep, head_share: float) -> list[int]:
    """The turns in the order in which they are kept."""
    if keep != "ends":
        forward = list(range(len(sizes)))
        return forward if keep == "head" else forward[::-1]
    order: list[int] = []
    first, last, head, tail = 0, len(sizes) - 1, 0, 0
    while first <= last:
        if head * (1 - head_share) < tail * head_share:
            order.append(first)
            head, first = head + sizes[first], first + 1
        else:
            order.append(last)
            tail, last = tail + sizes[last], last - 1
    return order


def _size(message: BaseMessage) -> int:
    if isinstance(message.content, str):
        return len(message.content) + _BLOCK // 10
    return sum(len(text_of(block) or " " * _BLOCK) for block in message.content)
