"""From what a user wants, such as 40 % of the cost, to the scores at which the tiers begin.

Each target asks a sample of prompts. Where the user gives none, the one at hand is a mixed day
of Japanese and English traffic. One's own prompts are better.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import comb
from typing import Final, Protocol, runtime_checkable

from langchain_core.language_models import LanguageModelInput

from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing.records import Tier
from langchain_bedrock_opt.routing.scoring.asking import score_all
from langchain_bedrock_opt.routing.scoring.reading import read_conversation
from langchain_bedrock_opt.routing.scoring.scorer import ComplexityScorer, Scorer

LOWEST_DEFAULT: Final = 0.29
HIGHEST_DEFAULT: Final = 0.52
# On a day's mixed traffic these two leave some two fifths of the prompts in the lowest of three
# tiers and as many in the middle one, in English and in Japanese.

_DAY: Final = (
    (0.0, 0.1),
    (0.1, 0.15),
    (0.38, 0.2),
    (0.5, 0.27),
    (0.62, 0.4),
    (0.75, 0.6),
    (0.85, 0.76),
    (0.95, 0.88),
    (1.0, 1.0),
)
"""Shares of the demo's day of prompts, and the scores of `ComplexityScorer` that they are below;
straight lines between them. Whoever changes the scorer measures it anew: a test says so."""

_DAY_PROMPTS: Final = 200
_DAY_TOKENS: Final = 200

TYPICAL_OUTPUT_TOKENS: Final = 300
"""What an answer is taken to have where nobody can know: about a page."""

_STEPS: Final = 400
"""How finely the mixes of tiers are searched."""


@runtime_checkable
class CalibrationCurve(Protocol):
    """What calibration has learned: how good each tier is, by the score of a prompt."""

    def quality(self, tier: str, score: float) -> float:
        """The probability, from 0 to 1, that a tier's answer to such a prompt is good enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreSample:
    """The scores of a sample of prompts, by which shares and costs are foretold.

    Attributes:
        scores: From 0 to 1, ascending.
        tokens: The tokens of each request, in the same order.
    """

    scores: tuple[float, ...]
    tokens: tuple[int, ...]

    @classmethod
    def of(cls, prompts: Iterable[LanguageModelInput], scorer: Scorer | None = None) -> ScoreSample:
        """Score a sample of prompts: some hundreds of one's own traffic.

        Args:
            prompts: What `invoke` takes, each.
            scorer: The router's scorer; `ComplexityScorer` by default.

        Raises:
            ConfigurationError: There is no prompt, `prompts` is a single text, or the scorer failed
                for some of them.

        Example:
            >>> len(ScoreSample.of(["Hi", "日本の首都は?"]).scores)
            2
        """
        if isinstance(prompts, str):
            raise ConfigurationError("prompts is one text: give a list of them.")
        scorer = scorer or ComplexityScorer()
        prompts = list(prompts)
        scores = score_all(((prompt, None) for prompt in prompts), scorer)
        tokens = [read_conversation(prompt).total.tokens() for prompt in prompts]
        rows = sorted(zip(scores, tokens, strict=True))
        if not rows:
            raise ConfigurationError("The sample holds no prompt: give some hundreds.")
        return cls(
            scores=tuple(score for score, _ in rows), tokens=tuple(count for _, count in rows)
        )

    @classmethod
    def of_a_day(cls) -> ScoreSample:
        """A mixed day of traffic: the demo's prompts, roughly."""
        shares = [(index + 0.5) / _DAY_PROMPTS for index in range(_DAY_PROMPTS)]
        return cls(scores=tuple(map(_score_of_share, shares)), tokens=(_DAY_TOKENS,) * _DAY_PROMPTS)

    def thresholds(self, shares: Sequence[float]) -> tuple[float, ...]:
        """Where each tier but the first begins, so that the tiers get these shares of the sample.

        Args:
            shares: Of each tier, from the cheapest; they add up to 1.
        """
        return tuple(self._quantile(share) for share in list(accumulate(shares))[:-1])

    def _quantile(self, share: float) -> float:
        """A score with this share of the sample below it."""
        below = round(share * len(self.scores))
        if below <= 0:
            return 0.0
        if below >= len(self.scores):
            # Nobody in the sample is to come here; a harder prompt than all of them may.
            return min(1.0, self.scores[-1] + 1e-9)
        lower, upper = self.scores[below - 1], self.scores[below]
        return (lower + upper) / 2


def _score_of_share(share: float) -> float:
    index = max(1, bisect_left([knot for knot, _ in _DAY], share))
    (left, low), (right, high) = _DAY[index - 1], _DAY[index]
    return low + (high - low) * (share - left) / (right - left)


class Target(Protocol):
    """What a user wants of a policy."""

    def thresholds(self, tiers: Sequence[Tier], sample: ScoreSample) -> tuple[float, ...]:
        """Where each tier but the first begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Each tier is to get this share of the prompts."""

    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check that they are shares of one whole."""
        for share in self.shares:
            _check_fraction("shares", share)
        if abs(sum(self.shares) - 1) > 1e-6:  # noqa: PLR2004 - what rounding leaves
            raise ConfigurationError(
                f"shares={self.shares} add up to {sum(self.shares):g}, not to 1."
            )

    def thresholds(self, tiers: Sequence[Tier], sample: ScoreSample) -> tuple[float, ...]:
        """Quantiles of the sample."""
        if len(self.shares) != len(tiers):
            names = ", ".join(tier.name for tier in tiers)
            raise ConfigurationError(
                f"{len(self.shares)} shares for the tiers {names}: give {len(tiers)}."
            )
        return sample.thresholds(self.shares)


@dataclass(frozen=True, slots=True, kw_only=True)
class CostShare:
    """All calls together are to cost this share of what they would with the strongest tier."""

    share: float

    def __post_init__(self) -> None:
        """Check that it is a share."""
        _check_fraction("cost_share", self.share)

    def thresholds(self, tiers: Sequence[Tier], sample: ScoreSample) -> tuple[float, ...]:
        """The most of the stronger tiers that the share pays for."""
        costs = [self._costs(tier, sample) for tier in tiers]
        all_strongest = sum(costs[-1])
        least = sum(costs[0]) / all_strongest if all_strongest else 0.0
        if least > self.share:
            raise ConfigurationError(
                f"cost_share={self.share}: tier {tiers[0].name!r} alone costs {least:.2f} of tier "
                f"{tiers[-1].name!r} alone. Give {least:.2f} or more, or a cheaper first tier."
            )

        def is_met(thresholds: tuple[float, ...]) -> bool:
            return _mixed(costs, thresholds, sample) <= self.share * all_strongest

        # The last one that is met, from the weakest mix to the strongest.
        return _search(reversed(range(_STEPS + 1)), len(tiers), sample, is_met)

    @staticmethod
    def _costs(tier: Tier, sample: ScoreSample) -> list[float]:
        if tier.price is None:
            raise ConfigurationError(
                f"cost_share needs prices, and none is known for tier {tier.name!r} "
                f"({tier.model_id}): give shares or thresholds instead."
            )
        price = tier.price
        out = TYPICAL_OUTPUT_TOKENS * price.output
        return [float(tokens * price.input + out) for tokens in sample.tokens]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """The answers are to be this good, as a share of what the strongest tier's would be."""

    quality: float
    # Not shown: where it has no `repr` of its own, its address would be part of cache keys.
    curve: CalibrationCurve = field(repr=False)

    def __post_init__(self) -> None:
        """Check that it is a share."""
        _check_fraction("quality", self.quality)

    def thresholds(self, tiers: Sequence[Tier], sample: ScoreSample) -> tuple[float, ...]:
        """The least of the stronger tiers that comes up to the quality."""
        good = [[self.curve.quality(tier.name, score) for score in sample.scores] for tier in tiers]
        wanted = self.quality * sum(good[-1])

        def is_met(thresholds: tuple[float, ...]) -> bool:
            return _mixed(good, thresholds, sample) >= wanted

        return _search(range(_STEPS + 1), len(tiers), sample, is_met)


def _search(
    steps: Iterable[int],
    count: int,
    sample: ScoreSample,
    is_met: Callable[[tuple[float, ...]], bool],
) -> tuple[float, ...]:
    """The first of the mixes that meets a target.

    The mixes lie on a line from "all to the cheapest" to "all to the strongest". In between the
    shares are binomial, so that with any number of tiers each step moves prompts upwards only.
    """
    thresholds: tuple[float, ...] = ()
    for step in steps:
        up, top = step / _STEPS, count - 1
        shares = [comb(top, tier) * up**tier * (1 - up) ** (top - tier) for tier in range(count)]
        thresholds = sample.thresholds(shares)
        if is_met(thresholds):
            break
    return thresholds


def _mixed(
    by_tier: Sequence[Sequence[float]], thresholds: Sequence[float], sample: ScoreSample
) -> float:
    """The sum over the sample, each prompt in the tier the thresholds give it."""
    cuts = [0, *(bisect_left(sample.scores, start) for start in thresholds), len(sample.scores)]
    return sum(
        sum(values[start:end]) for values, start, end in zip(by_tier, cuts, cuts[1:], strict=False)
    )


def _check_fraction(name: str, value: object) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= 1:  # type: ignore[operator] # a number
        raise ConfigurationError(f"{name}: {value!r} is not a number from 0 to 1.")
