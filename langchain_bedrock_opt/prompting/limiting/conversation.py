"""What is left of a conversation if only some of its turns, or of its last rounds, are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from langchain_core.messages import BaseMessage

from langchain_bedrock_opt.prompting.limiting.contents import with_note, with_note_behind
from langchain_bedrock_opt.prompting.limiting.text import Keep
from langchain_bedrock_opt.prompting.limiting.turns import rounds_of, turns_of
from langchain_bedrock_opt.prompting.messages import text_of

_BLOCK: Final = 500  # about the characters that an image or a tool call is worth


class Conversation:
    """A conversation and the order in which its pieces are kept.

    What the user said last and the last answer with its results are always kept. Beside them come
    the earlier rounds of the same turn, the latest first: an agent's, which may be many. Then come
    the other turns.

    Args:
        messages: All of them.
        keep: Which turns come first: the latest, the first, or both in turn.
        head_share: With both ends, the share of the characters that the first turns get.

    Attributes:
        last_turn: The indices of the last turn's messages.
        rounds: How many pieces are earlier rounds of the last turn: they are chosen first.
        choices: How many pieces there are beside what is always kept.
    """

    def __init__(self, messages: Sequence[BaseMessage], keep: Keep, head_share: float) -> None:
        self._messages = messages
        fixed, turns = turns_of(messages)
        self._turns = turns or [[]]
        self.last_turn = self._turns[-1]
        self._opening, *rounds = rounds_of(messages, self.last_turn)
        if not self._opening:  # a conversation without its beginning
            rounds = [self.last_turn]
        sizes = [sum(_size(messages[index]) for index in turn) for turn in self._turns[:-1]]
        self._order = _order(sizes, keep, head_share)
        self._kept = {*fixed, *self._opening, *(rounds.pop() if rounds else ())}
        self._rounds = rounds[::-1]
        self.rounds = len(rounds)
        self.choices = self.rounds + len(self._order)

    def kept(
        self, choices: int, note: str, messages: Sequence[BaseMessage] = ()
    ) -> list[BaseMessage]:
        """The messages that stay if so many pieces are kept.

        Args:
            choices: How many.
            note: What stands where messages were left out: before the next message of the user,
                or behind the last one.
            messages: All messages, with others in the place of some; the default is as they are.
        """
        turns = {*self._order[: max(0, choices - self.rounds)], self._last}
        pieces = [*self._rounds[:choices], *(self._turns[turn] for turn in turns - {self._last})]
        indices = sorted(self._kept.union(*pieces))
        kept = {index: (messages or self._messages)[index] for index in indices}
        if note:
            for turn in turns:
                if turn and turn - 1 not in turns:
                    first = self._turns[turn][0]
                    kept[first] = with_note(kept[first], note)
            if choices < self.rounds:
                behind = self._opening[-1]
                kept[behind] = with_note_behind(kept[behind], note)
        return list(kept.values())

    @property
    def _last(self) -> int:
        return len(self._turns) - 1


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
