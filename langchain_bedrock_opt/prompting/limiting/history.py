"""A list of messages, cut to a budget of tokens."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

from langchain_bedrock_opt.errors import ContextTooLongError
from langchain_bedrock_opt.prompting.limiting.contents import (
    Place,
    texts_that_may_be_cut,
    with_texts,
)
from langchain_bedrock_opt.prompting.limiting.conversation import Conversation
from langchain_bedrock_opt.prompting.limiting.counters import Counters
from langchain_bedrock_opt.prompting.limiting.markers import SAMPLE, marker_for
from langchain_bedrock_opt.prompting.limiting.text import Keep, TextCut

LEAST: Final = 16
"""Tokens below which a text of a message is not cut."""

FAIR: Final = 256
"""Tokens below which a text is not cut while there are rounds of calls to be left out."""

Texts: TypeAlias = Mapping[tuple[int, Place], str]
"""Texts by the index of their message and their place in its content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryCut:
    """How conversations are cut.

    Attributes:
        counters: Count texts and messages.
        keep: Which turns are kept beside the last one: the latest, the first, or both.
        head_share: With both ends, the share that the first turns get.
        marker: What says that something was left out; None for one in the prompt's language.
    """

    counters: Counters
    keep: Keep = "tail"
    head_share: float = 0.5
    marker: str | None = None

    def cut(self, messages: Sequence[BaseMessage], max_tokens: int) -> list[BaseMessage]:
        """The messages in at most `max_tokens`: all of them if they fit.

        Raises:
            ContextTooLongError: What must stay does not fit.
        """
        whole = list(messages)
        total = self.counters.messages(whole)
        if total <= max_tokens:
            return whole
        conversation = Conversation(whole, self.keep, self.head_share)
        note = marker_for(_sample(whole)).messages if self.marker is None else self.marker
        notes = (note, "") if note else ("",)
        for used in notes:
            choices = self._most(conversation, conversation.choices, used, whole, max_tokens)
            if choices >= 0:
                return conversation.kept(choices, used)
        return self._shortened(conversation, whole, notes, max_tokens)

    def _most(
        self,
        conversation: Conversation,
        most: int,
        note: str,
        messages: Sequence[BaseMessage],
        max_tokens: int,
    ) -> int:
        """The most pieces of a conversation that fit; -1 if not even none does."""

        def cost(choices: int) -> int:
            return self.counters.messages(conversation.kept(choices, note, messages))

        return bisect_right(range(most + 1), max_tokens, key=cost) - 1

    def _shortened(
        self,
        conversation: Conversation,
        whole: Sequence[BaseMessage],
        notes: Sequence[str],
        max_tokens: int,
    ) -> list[BaseMessage]:
        """The last turn alone, with its longest texts cut until it fits.

        Rounds are left out before any text is cut to less than `FAIR` tokens.
        """
        texts = {
            (index, place): text
            for index in conversation.last_turn
            for place, text in texts_that_may_be_cut(whole[index]).items()
        }
        sizes = {key: self.counters.part(text) for key, text in texts.items()}
        fair = self._levelled(whole, texts, sizes, FAIR)
        rounds = max(0, self._most(conversation, conversation.rounds, notes[0], fair, max_tokens))
        shortest = kept = conversation.kept(rounds, "")
        stay = {id(message) for message in kept}
        sizes = {key: size for key, size in sizes.items() if id(whole[key[0]]) in stay}
        for note in notes:
            over, step = 0, 0
            while True:
                level = _level(list(sizes.values()), over)
                cut = self._levelled(whole, texts, sizes, level)
                shortest = conversation.kept(rounds, note, cut)
                excess = self.counters.messages(shortest) - max_tokens
                if excess <= 0:
                    return shortest
                if level <= LEAST:
                    break
                over, step = over + max(excess, step), 2 * step + 1
        raise self._too_long(shortest, max_tokens)

    def _levelled(
        self,
        messages: Sequence[BaseMessage],
        texts: Texts,
        sizes: Mapping[tuple[int, Place], int],
        level: int,
    ) -> list[BaseMessage]:
        """The messages with each text cut to so many tokens that has more."""
        # Instructions stand at either end of a prompt, so that its middle goes.
        how = TextCut(count=self.counters.part, keep="ends", marker=self.marker)
        changed: dict[int, dict[Place, str]] = {}
        for (index, place), size in sizes.items():
            if size > level:
                shorter = how.cut(texts[index, place], level)
                if shorter.strip():  # Bedrock refuses a blank text
                    changed.setdefault(index, {})[place] = shorter
        return [
            with_texts(message, changed[index]) if index in changed else message
            for index, message in enumerate(messages)
        ]

    def _too_long(self, messages: Sequence[BaseMessage], max_tokens: int) -> ContextTooLongError:
        needed = self.counters.messages(list(messages))
        system = self.counters.system() + sum(
            self.counters.part(message.text)
            for message in messages
            if isinstance(message, SystemMessage)
        )
        tools = self.counters.tools()
        return ContextTooLongError(
            f"What must stay has {needed} tokens, and max_tokens={max_tokens}: about {system} are "
            f"of the system prompt, {tools} of the tools, {max(0, needed - system - tools)} of the "
            "last turn with its texts cut as far as they may be. Raise max_tokens, or shorten the "
            "largest of these.",
            needed_tokens=needed,
            max_tokens=max_tokens,
        )


def _level(sizes: Sequence[int], over: int) -> int:
    """The tokens that each text may have so that all together lose at least so many.

    Example:
        >>> _level([100, 40, 10], 30), _level([100, 40, 30], 80)
        (70, 30)
    """
    ordered = sorted(sizes, reverse=True)
    for number in range(1, len(ordered) + 1):
        following = ordered[number] if number < len(ordered) else LEAST
        lost = sum(ordered[:number]) - number * following
        if lost >= over:
            return max(LEAST, following + (lost - over) // number)
    return LEAST


def _sample(messages: Sequence[BaseMessage]) -> str:
    """A part of what the user said last, to read the prompt's language from."""
    said = (message.text for message in reversed(messages) if isinstance(message, HumanMessage))
    return " ".join(text[:SAMPLE] for _, text in zip(range(3), said, strict=False))
