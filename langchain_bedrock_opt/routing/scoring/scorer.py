"""How hard is a prompt? A number from 0 to 1, and the reasons for it.

The score adds up what each signal says, among them the learned weights of the wording, puts the
sum on one scale for all languages and squeezes it into 0 to 1. It knows no model and no price:
what a score means for a choice of models is the policy's business.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, runtime_checkable

from langchain_core.language_models import LanguageModelInput

from langchain_bedrock_opt.contracts import Reason
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing.scoring.ngrams import HashedNgramScorer
from langchain_bedrock_opt.routing.scoring.reading import read_conversation
from langchain_bedrock_opt.routing.scoring.signals import Signals, extract_signals

_PER_DOUBLING: Final = 0.6
_WORD_SCALE: Final = 16
"""Words from which on the length counts by its doublings."""

_BACKGROUND_PER_DOUBLING: Final = 0.12
_BACKGROUND_SCALE: Final = 500
_TOOLS_PER_DOUBLING: Final = 0.15

# What each sighting adds, and how many sightings count at most. The kinds of work are set by hand,
# by what they mean. Numbers, negations, commas, brackets and symbols are what pointed the same way
# in every set of known outcomes when that set was left out; their weights are rounded.
_COUNTED: Final = (
    ("easy_task", "easy", -0.7, 2, "asks for look-up, translation or summary"),
    ("open_task", "open", 0.5, 3, "asks for an explanation, a text or a solution"),
    ("hard_task", "hard", 1.3, 4, "asks for analysis, comparison, design, proof or planning"),
    ("constraints", "constraints", 0.25, 5, "demands on the answer"),
    ("multi_step", "steps", 0.15, 5, "words that tie steps together"),
    ("numbers", "numbers", 0.1, 12, "numbers"),
    ("several", "several", 0.3, 3, "asks for more than one thing"),
    ("negations", "negations", 0.6, 3, "kinds of negation"),
    ("commas", "commas", 0.1, 8, "commas"),
    ("brackets", "brackets", 0.18, 6, "brackets"),
    ("code", "code", 0.2, 5, "lines or marks of code"),
    ("maths", "maths", 0.2, 6, "marks of formulas"),
    ("images", "images", 0.3, 3, "images"),
    ("documents", "documents", 0.4, 3, "documents"),
)
_PER_PERCENT_OF_SYMBOLS: Final = 0.05
_MOST_SYMBOLS: Final = 25.0
_PER_WORDING: Final = (1.5, 7.0)
_WORDING_CENTER: Final = (-0.3, -1.0)
"""What a unit of the n-gram score adds, and the n-gram score of a usual prompt: in scripts with
spaces, and in those without. The weights of the latter are learned from fewer prompts and are as
much smaller."""

_WORDING_PER_NUMBER: Final = 0.34
# Among word problems the numbers tell more than the wording: each takes a third off its say.

_MOST_WORDING: Final = 2.5
"""No wording outweighs two words for hard work."""

_SPACELESS_ENOUGH: Final = 0.3
"""From this share of characters on a prompt is wholly of a script without spaces."""

_PER_EXTRA_ASK: Final = 0.4
_MOST_EXTRA_ASKS: Final = 5
_PER_CALL_WORD: Final = 1.0
_MOST_CALL_WORDS: Final = 3
_PER_CALL_VALUE: Final = 0.15
_MOST_CALL_VALUES: Final = 8
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
    """Scores prompts by what is in them. No network, microseconds.

    English and Japanese have word lists of equal extent; other languages are scored by length,
    questions, numbers, code, mathematics and the rest of the request. What is asked counts up to
    the last human turn, so the score stands still while a tool loop runs.

    Args:
        weights: Learned weights of the wording: those that come with the package, one's own
            (see `HashedNgramScorer.fit`), or None to go by the signals alone.

    Raises:
        ConfigurationError: `weights` is none of these.

    Example:
        >>> scorer = ComplexityScorer()
        >>> easy = scorer.score("日本の首都は?")
        >>> hard = scorer.score("Compare B-trees and LSM trees, then design a storage engine.")
        >>> easy.value < hard.value
        True
        >>> hard.reasons[0].signal
        'hard_task'
    """

    def __init__(self, weights: Literal["shipped"] | HashedNgramScorer | None = "shipped") -> None:
        if not (weights is None or weights == "shipped" or isinstance(weights, HashedNgramScorer)):
            raise ConfigurationError(
                f"weights={weights!r}: give a HashedNgramScorer, 'shipped', or None for none."
            )
        self._weights = weights

    def __repr__(self) -> str:
        """As it was made."""
        return f"ComplexityScorer(weights={self._weights!r})"

    def score(
        self, messages: LanguageModelInput, tools: Sequence[Any] | None = None
    ) -> ComplexityScore:
        """Score a request.

        Args:
            messages: A text, a prompt value, or messages in any form LangChain knows.
            tools: The tools that are bound, in any form.

        Returns:
            The score with its reasons.

        Raises:
            TypeError: `messages` is nothing a chat model could be given.
        """
        conversation = read_conversation(messages)
        signals = extract_signals(conversation, tools)
        found = list(_contributions(signals))
        scale = _UNTRAINED
        if (weights := self.weights) is not None:
            scale = _TRAINED
            found += self._wording(conversation.ask, signals, weights)
        return _put_on_scale(found, scale, signals)

    @property
    def weights(self) -> HashedNgramScorer | None:
        """The learned weights of the wording; None if the signals stand alone."""
        weights = self._weights
        if weights is None or isinstance(weights, HashedNgramScorer):
            return weights
        return HashedNgramScorer.load()

    def _wording(
        self, ask: str, signals: Signals, scorer: HashedNgramScorer
    ) -> Iterator[_Contribution]:
        if ask:
            usual, weight = _between(_WORDING_CENTER, signals), _between(_PER_WORDING, signals)
            amount = weight * (scorer.score(ask) - usual)
            if signals.steps and signals.code + signals.maths <= 1:
                amount *= max(0.0, 1 - _WORDING_PER_NUMBER * signals.numbers)
            amount = _MOST_WORDING * math.tanh(amount / _MOST_WORDING)
            yield "wording", amount, "what the wording's n-grams say, by learned weights"


_Contribution = tuple[str, float, str]
_Line = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    """The line that makes log-odds of the sum of contributions, `start + slope * sum`.

    One for scripts with spaces and one for those without: a score means as much in either.
    """

    start: _Line
    slope: _Line


# By quantiles of a day's traffic and of translated problems: where English and Japanese each have
# under half and all but a fifth of their prompts, the scores are 0.29 and 0.52. With the wording,
# whose weight is set by script already, one line does for both.
_UNTRAINED: Final = _Scale(start=(-1.346, -1.937), slope=(0.291, 0.560))
_TRAINED: Final = _Scale(start=(-1.35, -1.35), slope=(0.28, 0.28))


def _between(line: _Line, signals: Signals) -> float:
    """From the value for scripts with spaces to that for scripts without."""
    share = min(1.0, signals.spaceless / _SPACELESS_ENOUGH)
    return line[0] + share * (line[1] - line[0])


def _put_on_scale(found: list[_Contribution], scale: _Scale, signals: Signals) -> ComplexityScore:
    slope = _between(scale.slope, signals)
    if shift := _between(scale.start, signals) - scale.start[0]:
        found.append(("script", shift / slope, "where usual prompts of its script stand"))
    log_odds = slope * sum([amount for _, amount, _ in found])
    empty = _logistic(scale.start[0])
    value = _logistic(scale.start[0] + log_odds)
    # Each signal's share of the way from the empty prompt's score to this one.
    share = slope * (value - empty) / log_odds if log_odds else 0.0
    found.sort(key=_strength, reverse=True)
    reasons = [Reason(signal, round(amount * share, 4), detail) for signal, amount, detail in found]
    return ComplexityScore(value=value, reasons=tuple(reasons))


def _logistic(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))


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
    if signals.symbols:
        amount = _PER_PERCENT_OF_SYMBOLS * min(signals.symbols, _MOST_SYMBOLS)
        yield "symbols", amount, f"{signals.symbols:.0f} % punctuation and symbols"
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
        yield from _tool_contributions(signals)
        yield "tools", _TOOLS_PER_DOUBLING * math.log2(1 + signals.tools), f"{signals.tools} tools"


def _tool_contributions(signals: Signals) -> Iterator[_Contribution]:
    """Small models make one call where several are wanted, and forget values."""
    values = max(0, signals.numbers + signals.commas - 1)
    calls = _PER_CALL_WORD * min(signals.several, _MOST_CALL_WORDS)
    calls += _PER_CALL_VALUE * min(values, _MOST_CALL_VALUES)
    if calls:
        yield "calls", calls, "words and values that ask for several calls"
