"""What the scorers that ask a network have in common: when they ask, what they keep, who stands in.

A subclass says how it asks about a text, and what score an answer makes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final, Generic, TypeVar

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.runnables import RunnableConfig

from langchain_bedrock_opt.contracts import Reason
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing.scoring.asking import AsyncScorer, StandIn
from langchain_bedrock_opt.routing.scoring.memo import Memo
from langchain_bedrock_opt.routing.scoring.reading import read_conversation
from langchain_bedrock_opt.routing.scoring.scorer import ComplexityScore, ComplexityScorer, Scorer

DEFAULT_CACHE_SIZE: Final = 10_000

_AnswerT = TypeVar("_AnswerT")


class RemoteScorer(ABC, Generic[_AnswerT]):
    """A scorer that asks a network about the question of a request, each question once.

    Asked is about the text of the last human turn, head and tail, as `ComplexityScorer` reads it.
    Another scorer scores what has no such text, what is outside of `only_between`, and whatever
    can't be asked: then the reasons have the signal `scorer_failed`, with the exception's class.

    Args:
        cache_size: How many answers are kept, the last used longest.
        only_between: Ask only where the other scorer's score is in this band, ends included.
        otherwise: The other scorer; `ComplexityScorer()` by default.
        blend: The other scorer's share of each score, from 0 to 1.

    Raises:
        ConfigurationError: `cache_size` is below 1, the band is none, `blend` is out of range, or
            `otherwise` is no scorer that answers at once.
    """

    def __init__(
        self,
        *,
        cache_size: int,
        only_between: tuple[float, float] | None,
        otherwise: Scorer | None,
        blend: float = 0.0,
    ) -> None:
        self._memo: Memo[_AnswerT] = Memo(cache_size)
        self._band = None if only_between is None else _checked_band(only_between)
        self._otherwise = ComplexityScorer() if otherwise is None else otherwise
        if not isinstance(self._otherwise, Scorer) or isinstance(self._otherwise, AsyncScorer):
            raise ConfigurationError(
                f"otherwise={otherwise!r}: give a scorer that asks no network, such as "
                "ComplexityScorer()."
            )
        self._blend = checked_fraction("blend", blend)
        self._stand_in = StandIn(type(self).__name__, self._otherwise)

    @property
    def otherwise(self) -> Scorer:
        """The other scorer; where a tier is named, it alone scores."""
        return self._otherwise

    @property
    def failures(self) -> int:
        """How many requests another scorer has scored because this one could not."""
        return self._stand_in.failures

    def score(
        self, messages: LanguageModelInput, tools: Sequence[Any] | None = None
    ) -> ComplexityScore:
        """Score a request, waiting for the network if its question is new.

        Args:
            messages: What a chat model's `invoke` takes.
            tools: The tools that are bound; only the other scorer looks at them.

        Raises:
            TypeError: `messages` is nothing a chat model could be given.
        """
        ask = read_conversation(messages).ask
        other = self._other(ask, messages, tools)
        if other is not None and not self._is_open(ask, other):
            return other
        try:
            answer = self._memo.get(ask, lambda: self._ask(ask))
            return self._blended(self._score_of(answer), other)
        except Exception as error:  # noqa: BLE001 - whatever it was, the call goes on
            failure = error
        return self._stand_in.score(failure, messages, tools)

    async def ascore(
        self, messages: LanguageModelInput, tools: Sequence[Any] | None = None
    ) -> ComplexityScore:
        """As `score`, without keeping the event loop waiting."""
        ask = read_conversation(messages).ask
        other = self._other(ask, messages, tools)
        if other is not None and not self._is_open(ask, other):
            return other
        try:
            answer = await self._memo.aget(ask, lambda: self._aask(ask))
            return self._blended(self._score_of(answer), other)
        except Exception as error:  # noqa: BLE001 - whatever it was, the call goes on
            failure = error
        return self._stand_in.score(failure, messages, tools)

    @property
    @abstractmethod
    def reader(self) -> BaseChatModel | Embeddings:
        """What the questions are sent to, which has to be where the data may go."""

    @abstractmethod
    def _ask(self, text: str) -> _AnswerT:
        """Ask about a text."""

    @abstractmethod
    async def _aask(self, text: str) -> _AnswerT:
        """As `_ask`, asynchronously."""

    @abstractmethod
    def _score_of(self, answer: _AnswerT) -> ComplexityScore:
        """The score that an answer makes."""

    def _other(
        self, ask: str, messages: LanguageModelInput, tools: Sequence[Any] | None
    ) -> ComplexityScore | None:
        """The other scorer's score, where anything depends on it."""
        if self._band is None and not self._blend and ask.strip():
            return None
        return self._otherwise.score(messages, tools)

    def _is_open(self, ask: str, other: ComplexityScore) -> bool:
        """Whether the other scorer's score leaves something to ask."""
        low, high = self._band or (0.0, 1.0)
        return bool(ask.strip()) and low <= other.value <= high

    def _blended(self, score: ComplexityScore, other: ComplexityScore | None) -> ComplexityScore:
        """A score with the other scorer's share in it."""
        share = self._blend
        if not share or other is None:
            return score
        own = [each._replace(weight=round((1 - share) * each.weight, 4)) for each in score.reasons]
        detail = f"{share:.0%} of another scorer's {other.value:.2f}"
        said = Reason(signal="blend", weight=round(share * other.value, 4), detail=detail)
        value = (1 - share) * score.value + share * other.value
        return ComplexityScore(value=value, reasons=(*own, said))


def own_run(tag: str) -> RunnableConfig:
    """The config of a scorer's call to a model: a run of its own, outside of the answer's.

    Nothing is inherited from a chain around it: its text does not reach the chain's streams, and
    its tokens are counted by the callbacks of the scorer's model. A kept answer serves many
    requests, so its cost is none of theirs.

    Args:
        tag: The run's tag.
    """
    config = RunnableConfig(callbacks=[], tags=[tag], metadata={}, configurable={})
    config["run_name"] = tag
    return config


def checked_fraction(name: str, value: object) -> float:
    """A number from 0 to 1.

    Args:
        name: What it is called in the error.
        value: The number.

    Raises:
        ConfigurationError: It is none.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1:
        return value
    raise ConfigurationError(f"{name}={value!r}: give a number from 0 to 1.")


def _checked_band(band: tuple[float, float]) -> tuple[float, float]:
    try:
        low, high = band
        if 0 <= low < high <= 1:
            return low, high
    except (TypeError, ValueError):
        pass
    raise ConfigurationError(
        f"only_between={band!r}: give two scores from 0 to 1, the lower one first."
    )
