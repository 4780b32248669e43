"""Asking a scorer that may have to wait, and may fail: no call breaks by it.

`ComplexityScorer` does neither. A scorer that asks a network does both.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol, runtime_checkable
from weakref import finalize

from langchain_core.language_models import LanguageModelInput

from langchain_bedrock_opt.contracts import Reason, RouteDecision
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing.records import REFUSED, UNASKED
from langchain_bedrock_opt.routing.scoring.scorer import ComplexityScore, ComplexityScorer, Scorer

logger = logging.getLogger(__name__)

FAILED: Final = "scorer_failed"
"""The signal of a score that another scorer gave, because the one that was asked failed."""

NOT_ASKED: Final = "scorer_not_asked"
"""The signal of a score that says nothing of the decision, because a tier was named."""

_NOT_BY_SCORER: Final = frozenset({FAILED, NOT_ASKED, UNASKED, REFUSED})
"""Signals of decisions whose score may be another one than the scorer's."""


@runtime_checkable
class AsyncScorer(Scorer, Protocol):
    """A scorer that waits for something, such as a network.

    The router's asynchronous methods await `ascore`; its synchronous ones call `score`. A scorer
    without `ascore` is called in the event loop, so it must not take long.

    Where the tier is named, it is not asked: then its `otherwise` scores if it has one, which
    must be a scorer that answers at once, and `ComplexityScorer` if not.
    """

    async def ascore(
        self, messages: LanguageModelInput, tools: Sequence[Any] | None = None
    ) -> ComplexityScore:
        """As `score`, without keeping the event loop waiting."""


class StandIn:
    """Scores where another scorer has failed, says so, counts it, and logs it once.

    Args:
        name: The name of the scorer that may fail.
        scorer: Who scores then.
    """

    def __init__(self, name: str, scorer: Scorer) -> None:
        self._name = name
        self._scorer = scorer
        self._lock = threading.Lock()
        self.failures = 0

    def score(
        self, failure: Exception, messages: LanguageModelInput, tools: Sequence[Any] | None
    ) -> ComplexityScore:
        """The score, with the failure among its reasons.

        Args:
            failure: What the other scorer raised.
            messages: The request.
            tools: The tools that are bound.

        Raises:
            TypeError: The request is nothing a chat model could be given; that is no failure of
                the scorer.
        """
        score = self._scorer.score(messages, tools)
        with self._lock:
            self.failures += 1
            is_first = self.failures == 1
        if is_first:
            # Others' messages may repeat the prompt; those of our own settings do not.
            kind = type(failure).__name__
            told = f"{kind}: {failure}" if isinstance(failure, ConfigurationError) else kind
            logger.warning(
                "Scorer <%s> failed, another one scores in its place (said once): %s",
                self._name,
                told,
            )
        return with_note(score, FAILED, type(failure).__name__)


def with_note(score: ComplexityScore, signal: str, detail: str) -> ComplexityScore:
    """A score with one more reason, which weighs nothing."""
    note = Reason(signal=signal, weight=0.0, detail=detail)
    return replace(score, reasons=(*score.reasons, note))


def is_by_scorer(route: RouteDecision) -> bool:
    """Whether a decision's score was given by the router's scorer, so that it can be learned from.

    Args:
        route: The decision.
    """
    return _NOT_BY_SCORER.isdisjoint(route.notes)


def score_all(
    requests: Iterable[tuple[LanguageModelInput, Sequence[Any] | None]], scorer: Scorer
) -> list[float]:
    """The scores of prompts that something is to be learned from.

    Args:
        requests: What `invoke` takes, each, with the tools that are bound.
        scorer: Scores them.

    Raises:
        ConfigurationError: It failed for some of them, so another scorer stood in for it.
    """
    scores = [scorer.score(prompt, tools) for prompt, tools in requests]
    failed = sum(any(reason.signal == FAILED for reason in each.reasons) for each in scores)
    if failed:
        raise ConfigurationError(
            f"The scorer {type(scorer).__name__} failed for {failed} of {len(scores)} prompts, and "
            "nothing can be learned from another one's scores: the log says why it failed."
        )
    return [score.value for score in scores]


# By the id of the scorer: a scorer may be equal to another one, or have no hash. Routers that
# `configurable_fields` makes anew for each call share it, and it goes with its scorer.
_stand_ins: dict[int, StandIn] = {}
_stand_ins_lock = threading.Lock()


def _stand_in_of(scorer: Scorer) -> StandIn:
    """What stands in for a scorer, the same one in every router that has the scorer."""
    with _stand_ins_lock:
        found = _stand_ins.get(id(scorer))
        if found is not None:
            return found
        found = StandIn(type(scorer).__name__, ComplexityScorer())
        try:
            finalize(scorer, _stand_ins.pop, id(scorer), None).atexit = False
        except TypeError:  # nobody is told when it goes, such as one with `__slots__`
            return found
        _stand_ins[id(scorer)] = found
        return found


def _otherwise_of(scorer: Scorer) -> Scorer:
    """Who scores at once in place of a scorer that has to wait."""
    own = getattr(scorer, "otherwise", None)
    if isinstance(own, Scorer) and not isinstance(own, AsyncScorer):
        return own
    return ComplexityScorer()


class Scoring:
    """Asks the scorer of a router, and another one where it fails or need not be asked.

    Args:
        scorer: The router's scorer.
    """

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._waiting = scorer if isinstance(scorer, AsyncScorer) else None
        self._otherwise = _otherwise_of(scorer)
        self._stand_in = _stand_in_of(scorer)

    def score(
        self,
        messages: LanguageModelInput,
        tools: Sequence[Any] | None,
        *,
        is_forced: bool,
    ) -> ComplexityScore:
        """Score a request.

        Args:
            messages: What a chat model's `invoke` takes.
            tools: The tools that are bound.
            is_forced: The tier is named already, so that nothing is to be waited or paid for.

        Raises:
            TypeError: `messages` is nothing a chat model could be given.
        """
        try:
            if is_forced and self._waiting is not None:
                return self._unasked(messages, tools)
            return _checked(self._scorer.score(messages, tools))
        except Exception as error:  # noqa: BLE001 - whatever it was, the call goes on
            failure = error
        return self._stand_in.score(failure, messages, tools)

    async def ascore(
        self,
        messages: LanguageModelInput,
        tools: Sequence[Any] | None,
        *,
        is_forced: bool,
    ) -> ComplexityScore | None:
        """As `score`; None where nothing has to be waited for, and `score` does."""
        if is_forced or self._waiting is None:
            return None
        try:
            return _checked(await self._waiting.ascore(messages, tools))
        except Exception as error:  # noqa: BLE001 - whatever it was, the call goes on
            failure = error
        return self._stand_in.score(failure, messages, tools)

    def _unasked(
        self, messages: LanguageModelInput, tools: Sequence[Any] | None
    ) -> ComplexityScore:
        detail = f"the tier was named, so {type(self._scorer).__name__} was not asked"
        return with_note(_checked(self._otherwise.score(messages, tools)), NOT_ASKED, detail)


def _checked(score: ComplexityScore) -> ComplexityScore:
    if not 0 <= score.value <= 1:
        raise ValueError(f"a score of {score.value}, not from 0 to 1")
    return score
