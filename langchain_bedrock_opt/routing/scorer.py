"""How hard is a prompt? A number from 0 to 1, and the reasons for it.

The score adds up what each signal says, in log-odds, and squeezes the sum into 0 to 1. It knows
no model and no price: what a score means for a choice of models is the policy's business.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, runtime_checkable

from langchain_core.language_models import LanguageModelInput

from langchain_bedrock_opt.contracts import Reason
from langchain_bedrock_opt.routing.reading import read_conversation
from langchain_bedrock_opt.routing.signals import Signals, extract_signals

_BIAS: Final = -2.2
"""Log-odds of an empty prompt."""

_PER_DOUBLING: Final = 0.6
_WORD_SCALE: Final = 16
"""Words from which on the length counts by its doublings."""

_BACKGROUND_PER_DOUBLING: Final = 0.12
_BACKGROUND_SCALE: Final = 500
_TOOLS_PER_DOUBLING: Final = 0.15

# Log-odds for each sighting, and how many sightings count at most. Set by hand, by what the
# kinds of work mean, and then checked against the mix of tiers of a day's traffic and the parity
# of translations; they are not fitted to outcomes.
_COUNTED: Final = (
    ("easy_task", "easy", -0.45, 2, "asks for look-up, translation or summary"),
    ("open_task", "open", 0.35, 3, "asks for an explanation, a text or a solution"),
    ("hard_task", "hard", 0.7, 4, "asks for analysis, comparison, design, proof or planning"),
    ("constraints", "constraints", 0.15, 5, "demands on the answer"),
    ("multi_step", "steps", 0.1, 5, "words that tie steps together"),
    ("numbers", "numbers", 0.04, 8, "numbers"),
    ("code", "code", 0.2, 5, "lines or marks of code"),
    ("maths", "maths", 0.2, 6, "marks of formulas"),
    ("images", "images", 0.3, 3, "images"),
    ("documents", "documents", 0.4, 3, "documents"),
)
_PER_EXTRA_ASK: Final = 0.25
_MOST_EXTRA_ASKS: Final = 5
_PER_EXTRA_TURN: Final = 0.08
_MOST_EXTRA_TURNS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ComplexityScore:
    """How hard a prompt is.

    Attributes:
        value: From 0 (a greeting) to 1.
        reasons: The signals behind it, strongest first. Their weights add up to the distance of
            `value` from the score of an empty prompt. They hold no prompt text.
    """

    value: float
    reasons: tuple[Reason, ...] = ()


@runtime_checkable
class Scorer(Protocol):
    """Anything that can stand in for `ComplexityScorer`."""

    def score(
        self, messages: LanguageModelInput, tools: Sequence[Any] | None = None
    ) -> ComplexityScore:
        """Score a request: what `invoke` takes, and the tools that are bound."""


class ComplexityScorer:
    """Scores prompts by what is in them. No network, no training, microseconds.

    English and Japanese have word lists of equal extent; other languages are scored by length,
    questions, numbers, code, mathematics and the rest of the request. What is asked counts up to
    the last human turn, so the score stands still while a tool loop runs.

    Example:
        >>> scorer = ComplexityScorer()
        >>> easy = scorer.score("日本の首都は?")
        >>> hard = scorer.score("Compare B-trees and LSM trees, then design a storage engine.")
        >>> easy.value < hard.value
        True
        >>> hard.reasons[0].signal
        'hard_task'
    """

    def score(
        self, messages: LanguageModelInput, tools: Sequence[Any] | None = None
    ) -> ComplexityScore:
        """Score a request.

        Args:
            messages: A text, a prompt value, or messages in any form LangChain knows.
            tools: The tools that are bound, in any form; only their number counts.

        Returns:
            The score with its reasons.

        Raises:
            TypeError: `messages` is nothing a chat model could be given.
        """
        signals = extract_signals(read_conversation(messages), tools)
        found = list(_contributions(signals))
        log_odds = sum(amount for _, amount, _ in found)
        value = _logistic(_BIAS + log_odds)
        # Each signal's share of the way from the empty prompt's score to this one.
        scale = (value - _EMPTY) / log_odds if log_odds else 0.0
        found.sort(key=_strength, reverse=True)
        return ComplexityScore(
            value=value,
            reasons=tuple(
                Reason(signal=signal, weight=round(amount * scale, 4), detail=detail)
                for signal, amount, detail in found
            ),
        )


def _logistic(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))


_EMPTY: Final = _logistic(_BIAS)

_Contribution = tuple[str, float, str]


def _strength(contribution: _Contribution) -> float:
    return abs(contribution[1])


def _contributions(signals: Signals) -> Iterator[_Contribution]:
    """Name, log-odds and a few words for each signal that was seen."""
    if signals.words:
        amount = _PER_DOUBLING * math.log2(1 + signals.words / _WORD_SCALE)
        yield "length", amount, f"about {signals.words:.0f} words"
    for name, attribute, weight, most, what in _COUNTED:
        if count := getattr(signals, attribute):
            yield name, weight * min(count, most), f"{what}: {count}"
    yield from _request_contributions(signals)


def _request_contributions(signals: Signals) -> Iterator[_Contribution]:
    if signals.asks > 1:
        extra = min(signals.asks - 1, _MOST_EXTRA_ASKS)
        yield "asks", _PER_EXTRA_ASK * extra, f"{signals.asks} questions or items"
    if signals.background_tokens:
        doublings = math.log2(1 + signals.background_tokens / _BACKGROUND_SCALE)
        detail = f"about {signals.background_tokens} tokens before the question"
        yield "context", _BACKGROUND_PER_DOUBLING * doublings, detail
    if signals.human_turns > 1:
        extra = min(signals.human_turns - 1, _MOST_EXTRA_TURNS)
        yield "conversation", _PER_EXTRA_TURN * extra, f"{signals.human_turns} human turns"
    if signals.tools:
        yield "tools", _TOOLS_PER_DOUBLING * math.log2(1 + signals.tools), f"{signals.tools} tools"
