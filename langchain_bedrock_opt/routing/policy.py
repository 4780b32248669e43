"""From a score to a tier: thresholds, after what the request can't do without.

A policy knows the tiers only by their facts, and calls no model.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, Final

from langchain_core.language_models import LanguageModelInput
from typing_extensions import Self

from langchain_bedrock_opt.contracts import Reason
from langchain_bedrock_opt.errors import ConfigurationError, UnknownTierError
from langchain_bedrock_opt.routing.effort import effort_at
from langchain_bedrock_opt.routing.learning.bandit import ThresholdBandit, reason_of
from langchain_bedrock_opt.routing.learning.calibration import Calibration
from langchain_bedrock_opt.routing.learning.exploration import Dice, Ladder, Pick, RandomBits
from langchain_bedrock_opt.routing.learning.turns import Turn, Turns
from langchain_bedrock_opt.routing.limits import (
    Headroom,
    checked_headroom,
    lacks,
    latency_limit,
    left_of,
    residency,
)
from langchain_bedrock_opt.routing.records import Choice, Needs, Tier
from langchain_bedrock_opt.routing.scoring.scorer import Scorer
from langchain_bedrock_opt.routing.targets import (
    HIGHEST_DEFAULT,
    LOWEST_DEFAULT,
    CalibrationCurve,
    CostShare,
    Quality,
    ScoreSample,
    Shares,
    Target,
)

__all__ = ["Choice", "Needs", "RoutingPolicy", "Tier"]

DEFAULT_FLOOR: Final = 0.1
"""What must be left of a budget for more than the cheapest tier."""


class RoutingPolicy:
    """Chooses the tier for a score: the highest whose threshold the score reaches.

    The thresholds are given as numbers, or worked out from a target: a share of the cost, a
    share of the quality, or the tiers' shares of the prompts. What a tier can't serve (context
    window, images, documents, tools, JSON schema) or may not (data residency) rules it out
    first; then the next stronger tier takes its prompts, or, above the strongest, the next weaker
    one that can.

    Args:
        thresholds: Where each tier but the first begins: a mapping from tier names to scores, or
            the scores in the tiers' order. None spreads them by the default.
        cost_share: What all calls may cost, as a share of what the strongest tier alone would.
            A forecast: answers are taken to have some 300 tokens, and the sample to be like your
            traffic.
        quality: How good the answers must be, as a share of the strongest tier's. Needs a
            `calibration`.
        shares: What share of the prompts each tier takes, from the cheapest; they add up to 1.
        calibration: How good each tier is by the score of a prompt: a `Calibration` or its file,
            whose sample is asked then if there is none, or anything with `quality(tier, score)`.
        sample: The scores of a sample of your prompts, which the three targets ask. Without one
            they take a mixed day of traffic, scored by the `ComplexityScorer`.
        scopes: The only scopes that data may go to: `in-region`, `jp`, `eu`, … A tier of another
            or an unknown scope never answers, not even if it is forced. What else prompts are sent
            to, such as a judge, has to be in one of them, too; a scorer of your own is not asked
            where it sends them.
        regions: The only regions that may be called. With them, cross-region profiles are allowed
            only by `scopes`, as they answer elsewhere too.
        headroom: What is left of a budget, from 1 to 0: a function, or an object with
            `headroom()`.
        headroom_floor: Below this, only the cheapest tier that can serve a request answers.
        max_ttft_ms: Milliseconds that the first token may take; needs `latency`. Tiers that were
            measured to take longer are passed over, unless no other can serve a request. No
            conversation goes below its tier for it.
        latency: The measured milliseconds by model id, such as `ledger.latency().ttft_ms()`. A
            model that is not in it is taken to be quick enough.
        effort: In the upper half of a tier's band, ask it for more reasoning effort, where its
            model has levels of it and is not set up with one.
        explore: The probability, up to 0.5, with which a request goes one tier up or down, so
            that another policy can be judged by the log; off by default. Never below the tier its
            conversation is with, nor where the conversation, the budget or the caller decides.
            Within a tool loop the tier holds.
        bandit: Moves all thresholds a little up or down, and learns from feedback which way
            pays; off by default.
        rng: Where the key of all draws comes from, such as `random.Random(7)`. The same prompt
            has the same draw for as long as the policy lives. Processes that share a tool loop
            need the same seed.

    Raises:
        ConfigurationError: A threshold or target is not between 0 and 1, thresholds don't ascend,
            more than one of the four is given, `quality` comes without a calibration, or
            `explore` or `bandit` is not what it can be.

    Example:
        >>> tiers = [Tier(name="simple", model_id="a"), Tier(name="complex", model_id="b")]
        >>> RoutingPolicy([0.5]).choose(0.7, tiers).tier.name
        'complex'
        >>> RoutingPolicy({"complex": 0.9}).choose(0.7, tiers).tier.name
        'simple'
        >>> RoutingPolicy(shares=[0.9, 0.1]).choose(0.5, tiers).tier.name
        'simple'
    """

    def __init__(
        self,
        thresholds: Mapping[str, float] | Sequence[float] | None = None,
        *,
        cost_share: float | None = None,
        quality: float | None = None,
        shares: Sequence[float] | None = None,
        calibration: CalibrationCurve | str | os.PathLike[str] | None = None,
        sample: ScoreSample | None = None,
        scopes: Collection[str] | None = None,
        regions: Collection[str] | None = None,
        headroom: Headroom | None = None,
        headroom_floor: float = DEFAULT_FLOOR,
        max_ttft_ms: float | None = None,
        latency: Mapping[str, float] | None = None,
        effort: bool = False,
        explore: float = 0.0,
        bandit: ThresholdBandit | None = None,
        rng: RandomBits | None = None,
    ) -> None:
        given = {
            "thresholds": thresholds,
            "cost_share": cost_share,
            "quality": quality,
            "shares": shares,
        }
        named = [f"{name}={value!r}" for name, value in given.items() if value is not None]
        if len(named) > 1:
            raise ConfigurationError(f"{' and '.join(named)}: give one of them.")
        self.thresholds = thresholds
        if isinstance(calibration, (str, os.PathLike)):
            calibration = Calibration.load(calibration)
        self.target = _target(cost_share, quality, shares, calibration)
        if sample is None and quality is not None and isinstance(calibration, Calibration):
            # It knows how the prompts scored that its curves are of.
            sample = calibration.sample
        self.sample = sample
        self.residency = residency(scopes, regions)
        self.headroom = None if headroom is None else checked_headroom(headroom)
        self.headroom_floor = headroom_floor
        self.latency_limit = latency_limit(max_ttft_ms, latency)
        self.effort = effort
        self.explore = explore
        self.bandit = _checked(bandit)
        self._dice = Dice(explore, bandit, rng)
        # Kept here: `configurable_fields` makes a router anew for each call, its policy stays.
        self.turns = Turns() if self._dice.is_on else None
        if isinstance(thresholds, Mapping):
            _check_range(tuple(thresholds.values()))
        elif thresholds is not None:
            _check_ascending(thresholds)
        _check_range((headroom_floor,), "headroom_floor")

    @classmethod
    def from_shares(
        cls,
        shares: Sequence[float],
        prompts: Iterable[LanguageModelInput],
        scorer: Scorer | None = None,
        **options: Any,
    ) -> Self:
        """A policy whose tiers get certain shares of such prompts.

        Args:
            shares: Of each tier, from the cheapest; they add up to 1.
            prompts: A sample of one's own traffic, some hundreds.
            scorer: The router's scorer; `ComplexityScorer` by default.
            **options: More arguments of the policy.

        Example:
            >>> prompts = ["Hi", "Thanks!", "日本の首都は?", "Compare A and B, then decide."]
            >>> policy = RoutingPolicy.from_shares([0.75, 0.25], prompts)
            >>> 0 < policy.thresholds_for(["simple", "complex"])[1] < 1
            True
        """
        return cls(shares=shares, sample=ScoreSample.of(prompts, scorer), **options)

    def __repr__(self) -> str:
        """As it was made, save for budgets, which are named by their kind."""
        said = [f"thresholds={self.thresholds!r}"] if self.target is None else [repr(self.target)]
        if self.residency is not None:
            said.append(f"scopes={self.residency.scopes!r}, regions={self.residency.regions!r}")
        if self.headroom is not None:
            said.append(f"headroom={type(self.headroom).__name__}, floor={self.headroom_floor}")
        if self.latency_limit is not None:
            said.append(f"max_ttft_ms={self.latency_limit.max_ttft_ms}")
        if self.effort:
            said.append("effort=True")
        if self.explore:
            said.append(f"explore={self.explore}")
        if self.bandit is not None:
            said.append(f"bandit={self.bandit!r}")
        return f"RoutingPolicy({', '.join(said)})"

    def fitted_to(self, tiers: Sequence[Tier]) -> Self:
        """The same policy with a threshold in numbers for each of these tiers.

        Args:
            tiers: The tiers, from the cheapest to the strongest.

        Raises:
            ConfigurationError: The thresholds don't fit, the target can't be reached with these
                tiers, or a price is missing.
        """
        fitted = copy(self)
        if self.target is None:
            names = [tier.name for tier in tiers]
            fitted.thresholds = self.thresholds_for(names)[1:]
        else:
            sample = self.sample or ScoreSample.of_a_day()
            fitted.thresholds = self.target.thresholds(tiers, sample)
            fitted.target = None
        return fitted

    def with_thresholds(self, thresholds: Mapping[str, float]) -> Self:
        """The same policy with these thresholds in place of its own, or of its target.

        Args:
            thresholds: Where each tier but the first begins.

        Raises:
            ConfigurationError: A threshold is not between 0 and 1.

        Example:
            >>> RoutingPolicy(cost_share=0.4).with_thresholds({"complex": 0.7})
            RoutingPolicy(thresholds={'complex': 0.7})
        """
        _check_range(tuple(thresholds.values()))
        own = copy(self)
        own.thresholds, own.target, own.sample = dict(thresholds), None, None
        return own

    def with_sample(self, sample: ScoreSample) -> Self:
        """The same policy with a sample for its target to ask.

        Args:
            sample: The scores of prompts.
        """
        own = copy(self)
        own.sample = sample
        return own

    def thresholds_for(self, names: Sequence[str]) -> tuple[float, ...]:
        """The score at which each tier begins, the first at 0.

        Args:
            names: The tiers' names, from the cheapest to the strongest.

        Raises:
            UnknownTierError: A threshold is for a tier that is not there.
            ConfigurationError: There is not one threshold for each tier but the first, they don't
                ascend with the tiers, or a target needs to know more of the tiers than names.

        Example:
            >>> RoutingPolicy([0.4]).thresholds_for(["simple", "complex"])
            (0.0, 0.4)
        """
        if self.target is not None:
            tiers = [Tier(name=name, model_id=name) for name in names]
            return self.fitted_to(tiers).thresholds_for(names)
        if self.thresholds is None:
            return (0.0, *_default_thresholds(len(names) - 1))
        if isinstance(self.thresholds, Mapping):
            return _by_name(self.thresholds, names)
        if len(self.thresholds) != len(names) - 1:
            raise ConfigurationError(
                f"{len(self.thresholds)} thresholds for the tiers {', '.join(names)}: give "
                f"{len(names) - 1}, one for each tier but the first."
            )
        return (0.0, *self.thresholds)

    def refusals(self, tier: Tier, needs: Needs | None = None) -> list[str]:
        """Why a tier can't or may not take a request; empty if it may.

        Args:
            tier: The tier.
            needs: What the request can't do without.
        """
        refusals = lacks(tier, needs or Needs())
        if self.residency is not None and not self.residency.allows(tier):
            refusals.append(self.residency.refusal(tier))
        return refusals

    def _with_latency(
        self, refusals: Sequence[Sequence[str]], tiers: Sequence[Tier], at_least: int = 0
    ) -> tuple[Sequence[Sequence[str]], tuple[Reason, ...]]:
        """Why each of the tiers is passed over; of a slow one only where another is left."""
        limit = self.latency_limit
        return (refusals, ()) if limit is None else limit.added_to(refusals, tiers, at_least)

    def choose(
        self,
        score: float,
        tiers: Sequence[Tier],
        needs: Needs | None = None,
        *,
        turn: Turn | None = None,
    ) -> Choice:
        """Choose a tier.

        Args:
            score: The prompt's complexity, from 0 to 1.
            tiers: The tiers, from the cheapest to the strongest.
            needs: What the request can't do without.
            turn: What a draw rests on; None draws nothing, and leaves the thresholds as they are.

        Raises:
            ConfigurationError: No tier can serve the request, or the thresholds don't fit the
                tiers.
        """
        if self.target is not None:
            return self.fitted_to(tiers).choose(score, tiers, needs, turn=turn)
        needs = needs or Needs()
        starts = self.thresholds_for([tier.name for tier in tiers])
        refusals: Sequence[Sequence[str]] = [self.refusals(tier, needs) for tier in tiers]
        serving = [tier for tier, refused in zip(tiers, refusals, strict=True) if not refused]
        if not serving:
            raise ConfigurationError(_refusal(tiers, refusals))
        at_least = 0 if needs.at_least is None else _index(tiers, needs.at_least)
        refusals, set_aside = self._with_latency(refusals, tiers, at_least)
        able = [index for index, refused in enumerate(refusals) if not refused]
        ladder = Ladder(starts, able, at_least)
        pick = ladder.pick(score) if turn is None else self._dice.pick(ladder, score, turn)
        held = None if turn is None else turn.held
        # Where another tier was possible, the budget must be asked for the odds to be right.
        is_cheapest = tiers[pick.tier] == serving[0]
        is_settled = held is None and is_cheapest and pick.propensity == 1
        shortage = None if is_settled else self._shortage()
        if shortage is not None:
            return Choice(tier=serving[0], reasons=(shortage,))
        if held is not None and held.tier in serving:
            others = tuple(tier for tier in serving if tier != held.tier)
            return replace(held, alternatives=others)
        effort = None
        if self.effort:
            start, end = (*starts, 1.0)[pick.tier : pick.tier + 2]
            effort = effort_at(pick.score, start, end, tiers[pick.tier].efforts)
        return Choice(
            tier=tiers[pick.tier],
            alternatives=tuple(tier for tier in serving if tier != tiers[pick.tier]),
            reasons=_reasons(tiers, refusals, pick, bound=at_least if turn else 0) + set_aside,
            effort=effort,
            propensity=pick.propensity,
        )

    def probabilities(
        self, score: float, tiers: Sequence[Tier], able: Collection[str] | None = None
    ) -> dict[str, float]:
        """The probability with which each tier takes a prompt, conversation and budget aside.

        Args:
            score: The prompt's complexity, from 0 to 1.
            tiers: The tiers, from the cheapest to the strongest.
            able: Names of the tiers that can serve it; None for all that data may go to.

        Returns:
            By name, for the tiers with a chance; empty if no tier may take it.

        Example:
            >>> tiers = [Tier(name="simple", model_id="a"), Tier(name="complex", model_id="b")]
            >>> RoutingPolicy([0.5], explore=0.1).probabilities(0.7, tiers)
            {'simple': 0.1, 'complex': 0.9}
        """
        starts = self.fitted_to(tiers).thresholds_for([tier.name for tier in tiers])
        asked = [tier for tier in tiers if able is None or tier.name in able]
        refusals, _ = self._with_latency([self.refusals(tier) for tier in asked], asked)
        able = {tier.name for tier, refused in zip(asked, refusals, strict=True) if not refused}
        indices = [index for index, tier in enumerate(tiers) if tier.name in able]
        if not indices:
            return {}
        found = self._dice.probabilities(Ladder(starts, indices), score)
        return {tiers[index].name: probability for index, probability in found.items()}

    def _shortage(self) -> Reason | None:
        """The reason why the budget pays for the cheapest tier only, if it does."""
        if self.headroom is None:
            return None
        left = left_of(self.headroom)
        if not left < self.headroom_floor:
            return None
        detail = f"{left:.0%} of the budget is left, less than {self.headroom_floor:.0%}"
        return Reason(signal="budget", weight=0.0, detail=detail)


def _reasons(
    tiers: Sequence[Tier], refusals: Sequence[Sequence[str]], pick: Pick, *, bound: int
) -> tuple[Reason, ...]:
    """What but the score had a say; `bound` is the tier that a draw could not go below."""
    reasons = []
    if pick.wanted > pick.by_score:
        detail = f"the conversation is with {tiers[pick.wanted].name}"
        reasons.append(Reason(signal="sticky", weight=0.0, detail=detail))
    elif bound:
        detail = f"nothing below {tiers[bound].name} was drawn"
        reasons.append(Reason(signal="conversation", weight=0.0, detail=detail))
    if refusals[pick.wanted]:
        detail = f"{tiers[pick.wanted].name} lacks {', '.join(refusals[pick.wanted])}"
        reasons.append(Reason(signal="constraint", weight=0.0, detail=detail))
    if pick.shift is not None:
        reasons.append(reason_of(pick.shift))
    if pick.tier != pick.greedy:
        detail = f"tried in place of {tiers[pick.greedy].name}"
        reasons.append(Reason(signal="explore", weight=0.0, detail=detail))
    return tuple(reasons)


def _checked(bandit: ThresholdBandit | None) -> ThresholdBandit | None:
    if bandit is None or isinstance(bandit, ThresholdBandit):
        return bandit
    raise ConfigurationError(f"bandit={bandit!r}: give a ThresholdBandit, or None for none.")


def _target(
    cost_share: float | None,
    quality: float | None,
    shares: Sequence[float] | None,
    calibration: CalibrationCurve | None,
) -> Target | None:
    if cost_share is not None:
        return CostShare(share=cost_share)
    if shares is not None:
        return Shares(shares=tuple(shares))
    if quality is None:
        return None
    if not isinstance(calibration, CalibrationCurve):
        raise ConfigurationError(
            f"quality={quality!r} needs to know how good the tiers are on your prompts: calibrate "
            "first and give calibration=, an object with quality(tier, score). Without labels, "
            "give cost_share or shares."
        )
    return Quality(quality=quality, curve=calibration)


def _index(tiers: Sequence[Tier], name: str) -> int:
    return next((index for index, tier in enumerate(tiers) if tier.name == name), 0)


def _check_range(values: Sequence[float], name: str = "Threshold") -> None:
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
            raise ConfigurationError(f"{name} {value!r} is not a number from 0 to 1.")


def _check_ascending(values: Sequence[float]) -> None:
    _check_range(values)
    if list(values) != sorted(values):
        raise ConfigurationError(f"Thresholds {list(values)} don't ascend.")


def _default_thresholds(count: int) -> tuple[float, ...]:
    """Evenly from the lowest default to the highest; a single one between them."""
    if count == 1:
        return ((LOWEST_DEFAULT + HIGHEST_DEFAULT) / 2,)
    step = (HIGHEST_DEFAULT - LOWEST_DEFAULT) / max(count - 1, 1)
    return tuple(LOWEST_DEFAULT + step * index for index in range(count))


def _by_name(thresholds: Mapping[str, float], names: Sequence[str]) -> tuple[float, ...]:
    for name in thresholds:
        if name not in names:
            raise UnknownTierError(f"Threshold for {name!r}: tiers are {', '.join(names)}.")
    missing = [name for name in names[1:] if name not in thresholds]
    if missing:
        raise ConfigurationError(f"No threshold for tier {', '.join(missing)}.")
    values = [thresholds[name] for name in names[1:]]
    _check_ascending(values)
    return (0.0, *values)


def _refusal(tiers: Sequence[Tier], refusals: Sequence[Sequence[str]]) -> str:
    said = "; ".join(
        f"{tier.name!r} lacks {', '.join(refused)}"
        for tier, refused in zip(tiers, refusals, strict=True)
    )
    return f"No tier can take this request: {said}. Add a tier that can, or send less."
