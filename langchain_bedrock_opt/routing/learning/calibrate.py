"""From labels to a calibrated router: what `ChatBedrockRouter.calibrate` does.

Where weights are learned, every score that a figure or a curve rests on is out of fold: given by
weights that were learned from the other four fifths of the prompts. The same question is always in
one fold. Where the scorer is kept, scores are taken as they are: if it has seen these prompts, as
an `EmbeddingScorer` fitted on the same rows has, the figures flatter it.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from langchain_bedrock_opt.errors import CalibrationError, ConfigurationError
from langchain_bedrock_opt.routing.learning.calibrated import probe_of
from langchain_bedrock_opt.routing.learning.calibration import Calibration
from langchain_bedrock_opt.routing.learning.examples import Case, Cases
from langchain_bedrock_opt.routing.learning.isotonic import FallingCurve
from langchain_bedrock_opt.routing.learning.learned import LearnedScorer, fold_of
from langchain_bedrock_opt.routing.learning.reliability import (
    brier,
    calibration_error,
    foretell,
    reliability,
)
from langchain_bedrock_opt.routing.learning.worth import apgr, apgr_interval, difference_interval
from langchain_bedrock_opt.routing.policy import RoutingPolicy
from langchain_bedrock_opt.routing.records import Tier
from langchain_bedrock_opt.routing.scoring.asking import score_all
from langchain_bedrock_opt.routing.scoring.reading import read_conversation
from langchain_bedrock_opt.routing.scoring.scorer import ComplexityScorer, Scorer
from langchain_bedrock_opt.routing.targets import CostShare, Quality, ScoreSample, Shares

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

logger = logging.getLogger(__name__)

FEWEST: Final = 100
"""Labelled prompts without which nothing can be told."""

_FEWEST_FOR_CURVE: Final = 20
"""Labels of a tier below which it has no curve of its own."""

_STRAYS: Final = 5
"""Labels or calls so few that they show nothing of a range of scores."""

_BLIND: Final = 0.02
"""The share of the calls that may go where their tier has no labels: what a target is met to."""

_COIN: Final = 0.5

_SURE: Final = 2 / 1.96
"""From half of a 95 % interval to two standard deviations: learned weights must be better than a
coin by that much, too. Of weights learned from drawn labels, every other set is better than the
shipped ones by chance; this lets through none of 40 with real prompts, and nine of 80 with prompts
that differ in two words. Three deviations would turn away 160 real labels that do help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """How a router decides now.

    Attributes:
        tiers: From the cheapest to the strongest.
        scorer: Scores prompts.
        thresholds: Where each tier begins, the first at 0.
        policy: As it was given, or as an earlier calibration has left it.
        calibration: The earlier one, if there was one.
    """

    tiers: tuple[Tier, ...]
    scorer: Scorer
    thresholds: tuple[float, ...]
    policy: RoutingPolicy
    calibration: Calibration | None

    @property
    def target(self) -> Mapping[str, Any] | None:
        """What the policy, or the earlier calibration, was asked for; None if nothing."""
        target, earlier = self.policy.target, self.calibration
        if isinstance(target, Quality):
            return {"quality": target.quality}
        if isinstance(target, CostShare):
            return {"cost_share": target.share}
        if isinstance(target, Shares):
            return {"shares": target.shares}
        is_its_own = earlier is not None and self.policy.thresholds == dict(earlier.thresholds)
        return earlier.target if earlier is not None and is_its_own else None


def calibrate(
    examples: Cases,
    present: Present,
    *,
    targets: Mapping[str, Any],
    refit: bool | None,
    seed: int,
) -> Calibration:
    """Learn from labelled prompts.

    Args:
        examples: The prompts, or the scores of usage records.
        present: How the router decides now.
        targets: What is asked for, such as `{"quality": 0.95}`. One at most is not None; without
            one it is what the router has now.
        refit: Learn weights too, in place of whatever scorer there is. None does so where the
            scorer is one whose weights these are, `ComplexityScorer` or `LearnedScorer`, and keeps
            others. Usage records hold no prompts, so with them it is kept in any case.
        seed: Of the folds and of the confidence intervals' draws.

    Raises:
        CalibrationError: There are too few labels, they are all equal, what was learned is not
            better than what there was, or usage records say nothing of a tier where it would be
            asked.
        ConfigurationError: The target can't be reached, or the scorer failed for some prompts.
    """
    target = _one_of(targets)
    if refit is None:
        refit = isinstance(present.scorer, (ComplexityScorer, LearnedScorer))
    _check(examples.cases, present.tiers)
    work = _Work(examples, present, refit=refit and examples.have_prompts, seed=seed)
    calibration = work.calibration(target)
    if work.refit:
        _check_better(calibration)
    return calibration


class _Work:
    """One calibration under way."""

    def __init__(self, examples: Cases, present: Present, *, refit: bool, seed: int) -> None:
        import numpy as np

        self.refit = refit
        self._examples = examples
        self._cases = examples.cases
        self._present = present
        self._tiers = present.tiers
        self._seed = seed
        self._folds = [fold_of(f"{seed} {case.key}") for case in self._cases]
        # What was learned before may have been learned from these prompts.
        learned_before = refit and isinstance(present.scorer, LearnedScorer)
        self._kept = ComplexityScorer() if learned_before else present.scorer
        rival = _rival(self._kept, self._cases) if refit else self._kept
        # A scorer may ask a network: each prompt is scored once.
        self._before = self._now if rival is present.scorer else _scores(self._cases, rival)
        self._known, self._gains = _gains(self._cases, self._tiers)
        self._scores = self._out_of_fold() if refit else np.array(self._before)

    @cached_property
    def _now(self) -> Floats:
        """The score of each prompt by the scorer that the router has."""
        return _scores(self._cases, self._present.scorer)

    def calibration(self, target: Mapping[str, Any] | None) -> Calibration:
        """What was found, whether it is any good or not."""
        scorer = self._learn(self._known) if self.refit else self._kept
        cheapest = self._tiers[0].name
        scores, labels, folds = self._of_tier(cheapest)
        predicted = foretell(scores, labels, folds)
        bins = reliability(predicted, labels)
        found = Calibration(
            models={tier.name: tier.model_id for tier in self._tiers},
            scored_by=type(scorer).__name__,
            scorer=scorer if isinstance(scorer, LearnedScorer) else None,
            probe=probe_of(scorer),
            curves=self._curves(),
            sample=self._sample(),
            target=target or self._present.target or {"shares": self._shares()},
            thresholds={},
            labels=self._examples.labels,
            prompts=len(self._cases),
            left_out=self._examples.left_out,
            **self._worth(),
            reliability=bins,
            brier=brier(predicted, labels),
            calibration_error=calibration_error(bins),
        )
        found = replace(found, thresholds=_thresholds(found, self._tiers))
        if not self._examples.have_prompts:
            self._check_labelled(found)
        return found

    def _check_labelled(self, found: Calibration) -> None:
        """Refuse to send prompts to a tier at scores at which nobody has seen its answers.

        Prompts are labelled for any tier at any score; calls, only for the tier that they went to.
        Above its threshold the tier below has no labels unless something was explored, and its
        curve goes on flat there, whatever its answers would be.
        """
        starts = [0.0, *found.thresholds.values()]
        for name, above, start, end in zip(
            found.tiers, found.tiers[1:], starts, starts[1:], strict=False
        ):
            if name not in found.curves:
                continue
            highest = sorted(self._of_tier(name)[0])[-_STRAYS]
            blind = sum(max(start, highest) < score < end for score in found.sample.scores)
            if blind > max(_STRAYS, _BLIND * len(found.sample.scores)):
                raise CalibrationError(
                    f"The threshold of {above!r} would be {end:.3f}, and {name!r} has all but no "
                    f"labels above {highest:.3f}, so nothing is known of its answers there: "
                    "explore first, RoutingPolicy(explore=0.05), or label prompts.",
                    found,
                )

    def _learn(self, places: Sequence[int]) -> LearnedScorer:
        gains = [float(self._gains[place]) for place in places]
        if len(set(gains)) < 2:  # noqa: PLR2004 - what differs takes two
            raise CalibrationError(
                "All but a few of the labels say the same, so no weights can be learned from "
                "them: add prompts that the other kind of label has, or give refit=False."
            )
        prompts = [self._cases[place].prompt or "" for place in places]
        return LearnedScorer.fit(prompts, gains)

    def _out_of_fold(self) -> Floats:
        """The score of each prompt by weights that have not seen its fold."""
        import numpy as np

        if len(self._known) < FEWEST:
            raise CalibrationError(
                f"{len(self._known)} prompts have a label of the cheapest tier, "
                f"{self._tiers[0].name!r}: weights need {FEWEST}. Label more, or give refit=False."
            )
        found = np.empty(len(self._cases))
        for fold in sorted(set(self._folds)):
            scorer = self._learn([place for place in self._known if self._folds[place] != fold])
            for place, case in enumerate(self._cases):
                if self._folds[place] == fold:
                    found[place] = scorer.score(case.prompt or "", case.tools).value
        return found

    def _of_tier(self, name: str) -> tuple[list[float], list[float], list[int]]:
        """The scores, labels and folds of the prompts that a tier has labels of."""
        places = [place for place, case in enumerate(self._cases) if name in case.outcomes]
        return (
            [float(self._scores[place]) for place in places],
            [self._cases[place].outcomes[name] for place in places],
            [self._folds[place] for place in places],
        )

    def _curves(self) -> dict[str, FallingCurve]:
        by_tier = {tier.name: self._of_tier(tier.name) for tier in self._tiers}
        return {
            name: FallingCurve.fit(scores, labels)
            for name, (scores, labels, _) in by_tier.items()
            if len(labels) >= _FEWEST_FOR_CURVE
        }

    def _sample(self) -> ScoreSample:
        tokens = [case.tokens for case in self._cases]
        rows = sorted(zip(self._scores.tolist(), tokens, strict=True))
        return ScoreSample(
            scores=tuple(score for score, _ in rows), tokens=tuple(count for _, count in rows)
        )

    def _shares(self) -> tuple[float, ...]:
        """What share of the prompts each tier has now."""
        scores = sorted(self._now.tolist())
        starts = self._present.thresholds
        cuts = [*(bisect_left(scores, start) for start in starts), len(scores)]
        cuts[0] = 0
        shares = tuple((end - start) / len(scores) for start, end in pairwise(cuts))
        if max(shares) == 1:
            logger.warning(
                "Calibrated to send all prompts to tier <%s>, as now: say what you want, such as "
                "quality=0.95.",
                self._tiers[shares.index(1)].name,
            )
        return shares

    def _worth(self) -> dict[str, Any]:
        """APGR and its like; nothing where nothing is known of what the strongest tier gains."""
        gains = self._gains[self._known]
        if gains.sum() <= 0:
            if self.refit:
                raise CalibrationError(
                    f"On these prompts the answers of {self._tiers[-1].name!r} are no better than "
                    f"those of {self._tiers[0].name!r}: there is nothing to gain by routing."
                )
            names = ("apgr", "apgr_interval", "apgr_before", "difference_interval")
            return dict.fromkeys(names)
        scores, before = self._scores[self._known], self._before[self._known]
        difference = difference_interval(scores, before, gains, seed=self._seed)
        return {
            "apgr": apgr(scores, gains),
            "apgr_interval": apgr_interval(scores, gains, seed=self._seed),
            "apgr_before": apgr(before, gains),
            "difference_interval": difference if self.refit else None,
        }


def _one_of(targets: Mapping[str, Any]) -> dict[str, Any] | None:
    given = {name: value for name, value in targets.items() if value is not None}
    if len(given) > 1:
        said = " and ".join(f"{name}={value!r}" for name, value in given.items())
        raise ConfigurationError(f"{said}: give one of them.")
    if "shares" in given:
        given["shares"] = tuple(given["shares"])
    return given or None


def _check(cases: Sequence[Case], tiers: Sequence[Tier]) -> None:
    """Refuse what nothing can be told from."""
    if len(tiers) == 1:
        raise ConfigurationError("The router has one tier: there is nothing to calibrate.")
    if len(cases) < FEWEST:
        raise CalibrationError(
            f"{len(cases)} prompts have a label, and {FEWEST} are needed: label more of your "
            "traffic. A prompt that comes in several rows counts once."
        )
    if len({label for case in cases for label in case.outcomes.values()}) == 1:
        raise CalibrationError(
            "All labels are equal, so they don't tell easy prompts from hard ones: add prompts "
            "whose answers were better or worse."
        )
    cheapest = tiers[0].name
    count = sum(cheapest in case.outcomes for case in cases)
    if count < _FEWEST_FOR_CURVE:
        raise CalibrationError(
            f"{count} prompts have a label of the cheapest tier, {cheapest!r}, and "
            f"{_FEWEST_FOR_CURVE} are needed to tell when its answers are good enough."
        )


def _check_better(calibration: Calibration) -> None:
    """Refuse weights that are not better than those there were, or no better than a coin."""
    after, before = calibration.apgr, calibration.apgr_before
    if after is None or before is None or calibration.apgr_interval is None:
        return
    low, high = calibration.apgr_interval
    surely = after - _SURE * (after - low)
    if after > before and surely > _COIN:
        return
    what = "what there was" if after <= before else "a coin (0.5) beyond doubt"
    raise CalibrationError(
        f"The learned weights are not better than {what}: out of fold their APGR is {after:.3f} "
        f"(95 %: {low:.3f} to {high:.3f}), before it was {before:.3f}. The router is unchanged. "
        "refit=False keeps the weights and fits the curve and the thresholds only.",
        calibration,
    )


def _thresholds(found: Calibration, tiers: Sequence[Tier]) -> dict[str, float]:
    """Where the tiers begin so that the target is met on the sample."""
    curve = found if "quality" in found.target else None
    policy = RoutingPolicy(**found.target, calibration=curve, sample=found.sample)
    starts = policy.fitted_to(tiers).thresholds_for(found.tiers)
    return dict(zip(found.tiers[1:], starts[1:], strict=True))


def _rival(scorer: Scorer, cases: Sequence[Case]) -> Scorer:
    """The scorer to be better than: the present one, or its signals if it has seen the prompts."""
    weights = scorer.weights if isinstance(scorer, ComplexityScorer) else None
    asks = (read_conversation(case.prompt or "").ask for case in cases)
    return ComplexityScorer(weights=None) if weights and weights.knows(asks) else scorer


def _scores(cases: Sequence[Case], scorer: Scorer) -> Floats:
    import numpy as np

    recorded = [case.score for case in cases if case.score is not None]
    if len(recorded) == len(cases):
        return np.array(recorded)
    return np.array(score_all(((case.prompt or "", case.tools) for case in cases), scorer))


def _gains(cases: Sequence[Case], tiers: Sequence[Tier]) -> tuple[list[int], Floats]:
    """What the strongest tier gains over the cheapest, and for which prompts that is known.

    Where too few prompts have labels of both, the strongest is taken to be always good: a mix of
    measured and assumed gains would tell the two kinds of prompts apart, not the hard ones.
    """
    import numpy as np

    cheap, strong = tiers[0].name, tiers[-1].name
    judged = [place for place, case in enumerate(cases) if cheap in case.outcomes]
    both = [place for place in judged if strong in cases[place].outcomes]
    measured = len(both) >= max(FEWEST, len(judged) / 2)
    known = both if measured else judged
    gains = np.zeros(len(cases))
    for place in known:
        outcomes = cases[place].outcomes
        gains[place] = (outcomes[strong] if measured else 1.0) - outcomes[cheap]
    return known, gains
