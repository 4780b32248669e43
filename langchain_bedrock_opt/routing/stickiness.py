"""Which tier a conversation is with, for as long as its prompt cache is warm.

A tier that is left takes the provider's prompt cache with it: the next tier reads the whole
conversation anew, at the full price. So a conversation may go up, but does not come down while
the cache lives.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import HumanMessage, SystemMessage

from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing.scoring.reading import messages_of

CACHE_SECONDS: Final = 300.0
"""How long Bedrock keeps a prompt's prefix by default; each use starts the time anew.

Source: Amazon Bedrock user guide, "Prompt caching"."""

_END_CHARS: Final = 500
"""Characters at each end of a text by which it is known again, with its length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in a conversation a request stands.

    Attributes:
        before: The conversation as it was at its last request; None if this is the first.
        now: The conversation as it is with this request.
    """

    before: Hashable | None
    now: Hashable


class Stickiness:
    """Remembers the tiers of conversations.

    A conversation is known again by its system prompt and its human turns so far, or by the
    `thread_id` of the config and the system prompt: a graph has one thread for all of its nodes,
    and each node a cache of its own. A request with nothing before it stands for itself, however
    often its words are said and in whichever thread: so the parts of a job that is spread out
    don't pull each other up.

    Safe to use from several threads. Only hashes are kept, no text.

    Args:
        ttl_seconds: How long a conversation that is silent stays with its tier.
        max_conversations: How many are remembered; the one longest silent goes first.
        clock: Seconds that only go forward.

    Raises:
        ConfigurationError: The time or the number is not above zero.

    Example:
        >>> sticky = Stickiness()
        >>> first = place_of([("human", "Prove it.")])
        >>> sticky.remember(first, "complex")
        >>> sticky.tier_of(
        ...     place_of([("human", "Prove it."), ("ai", "Done."), ("human", "Thanks!")])
        ... )
        'complex'
    """

    def __init__(
        self,
        *,
        ttl_seconds: float = CACHE_SECONDS,
        max_conversations: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if ttl_seconds <= 0 or max_conversations < 1:
            raise ConfigurationError(
                f"ttl_seconds={ttl_seconds}, max_conversations={max_conversations}: both must be "
                "above zero. To switch stickiness off, give sticky=False."
            )
        self._ttl = ttl_seconds
        self._max = max_conversations
        self._clock = clock
        self._lock = threading.Lock()
        self._tiers: OrderedDict[Hashable, tuple[str, float]] = OrderedDict()

    def tier_of(self, place: Place) -> str | None:
        """The tier that a request's conversation is with, if its prompt cache is still warm."""
        if place.before is None:
            return None
        with self._lock:
            found = self._tiers.get(place.before)
        if found is None or self._clock() - found[1] > self._ttl:
            return None
        return found[0]

    def remember(self, place: Place, tier: str) -> None:
        """Keep the tier that a request was sent to."""
        with self._lock:
            self._tiers[place.now] = tier, self._clock()
            self._tiers.move_to_end(place.now)
            if len(self._tiers) > self._max:
                self._tiers.popitem(last=False)

    def __repr__(self) -> str:
        """Its settings."""
        return f"Stickiness(ttl_seconds={self._ttl}, max_conversations={self._max})"


def as_stickiness(sticky: bool | Stickiness) -> Stickiness | None:  # noqa: FBT001 - a user's value
    """What a `sticky=` argument stands for.

    Args:
        sticky: True for the default, False for none, or one with settings of its own.

    Raises:
        ConfigurationError: It is none of these.
    """
    if isinstance(sticky, Stickiness):
        return sticky
    if not isinstance(sticky, bool):
        raise ConfigurationError(f"sticky={sticky!r}: give True, False or a Stickiness.")
    return Stickiness() if sticky else None


def place_of(model_input: LanguageModelInput, thread_id: object = None) -> Place:
    """Where in its conversation a request stands.

    Args:
        model_input: What `invoke` takes.
        thread_id: The conversation's id, if it has one.
    """
    if isinstance(model_input, str):
        # Most requests are one text, and a message takes longer to make than all of this.
        key: Hashable = ((), (mark_of(model_input),)) if thread_id is None else (str(thread_id), ())
        return Place(before=None, now=hash(key))
    messages = messages_of(model_input)
    system = tuple(mark_of(each.content) for each in messages if isinstance(each, SystemMessage))
    spoken = [each for each in messages if not isinstance(each, SystemMessage)]
    if thread_id is not None:
        thread = hash((str(thread_id), system))
        return Place(before=thread if len(spoken) > 1 else None, now=thread)
    marks = tuple(mark_of(each.content) for each in spoken if isinstance(each, HumanMessage))
    now = hash((system, marks))
    if spoken and not isinstance(spoken[-1], HumanMessage):  # within a tool loop
        return Place(before=now, now=now)
    return Place(before=hash((system, marks[:-1])) if len(marks) > 1 else None, now=now)


def mark_of(content: Any) -> Hashable:
    """What a message's content is known again by, in a time that does not grow with its length.

    Args:
        content: A text, or a list of blocks.
    """
    if isinstance(content, str):
        return len(content), content[:_END_CHARS], content[-_END_CHARS:]
    if isinstance(content, list):
        return tuple(map(mark_of, content))
    if isinstance(content, dict):
        return mark_of(content["text"]) if "text" in content else tuple(content)
    return None
