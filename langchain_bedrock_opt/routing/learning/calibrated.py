"""How a router starts calibrated: whose scorer and whose thresholds hold."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from langchain_core.language_models import BaseChatModel

from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing.learning.calibration import Calibration
from langchain_bedrock_opt.routing.learning.learned import LearnedScorer
from langchain_bedrock_opt.routing.policy import RoutingPolicy
from langchain_bedrock_opt.routing.scoring.scorer import ComplexityScorer, Scorer
from langchain_bedrock_opt.routing.targets import Quality
from langchain_bedrock_opt.routing.tiers import model_id_of

logger = logging.getLogger(__name__)

CalibrationSource = Calibration | str | os.PathLike[str]
"""A calibration, or the path it was saved to."""

_PROBES: Final = (
    "Hello!",
    "日本の首都は?",
    "Prove that there are infinitely many primes, then compare three proofs.",
)
_SAME: Final = 1e-6


def probe_of(scorer: Scorer) -> tuple[float, ...]:
    """What a scorer without a network gives some fixed texts.

    That is `ComplexityScorer` and `LearnedScorer`; for any other it is nothing, so that a change of
    its settings or its examples goes unnoticed.

    Args:
        scorer: Scores prompts.
    """
    if not isinstance(scorer, (ComplexityScorer, LearnedScorer)):
        return ()
    return tuple(scorer.score(text).value for text in _PROBES)


def settle(
    tiers: Mapping[str, str | BaseChatModel],
    scorer: Scorer | None,
    policy: RoutingPolicy | None,
    calibration: CalibrationSource | None,
) -> tuple[Scorer, RoutingPolicy, Calibration | None]:
    """The scorer, policy and calibration that hold for a router's arguments.

    A policy with thresholds or a target of its own stands above the calibration's thresholds; its
    target asks the calibration's sample if it has none. A policy whose quality rests on a
    calibration brings that calibration with it.

    Args:
        tiers: Model ids or chat models by tier name, from the cheapest to the strongest.
        scorer: The scorer that was given, if any.
        policy: The policy that was given, if any.
        calibration: The calibration that was given, or its path, if any.

    Raises:
        ConfigurationError: The scorer or the policy is none, or the calibration can't be read, is
            for other tiers, or for another scorer.
    """
    policy = RoutingPolicy() if policy is None else policy
    _check(scorer, policy)
    found = _found(calibration, policy)
    if found is None:
        return scorer or ComplexityScorer(), policy, None
    if tuple(tiers) != tuple(found.models):
        raise ConfigurationError(
            f"The calibration is for the tiers {', '.join(found.models)}, the router has "
            f"{', '.join(tiers)}: calibrate this router, or give it those tiers."
        )
    for name, tier in tiers.items():
        model_id = tier if isinstance(tier, str) else model_id_of(tier)
        if model_id != found.models[name]:
            _warn(name, model_id, found.models[name])
    scorer = _scorer(found, scorer)
    if policy.target is None and policy.thresholds is None:
        policy = policy.with_thresholds(found.thresholds)
    elif policy.target is not None and policy.sample is None:
        policy = policy.with_sample(found.sample)
    return scorer, policy, found


@cache
def _warn(name: str, model_id: str, before: str) -> None:
    """Say once what may be as meant, when a tier gets a new model, and is easily forgotten."""
    logger.warning(
        "Tier <%s> is <%s>, and was <%s> when it was calibrated: calibrate again, its answers may "
        "be better or worse.",
        name,
        model_id,
        before,
    )


def _check(scorer: Any, policy: Any) -> None:
    if not isinstance(policy, RoutingPolicy):
        raise ConfigurationError(
            f"policy={policy!r}: give a RoutingPolicy, such as RoutingPolicy(cost_share=0.5)."
        )
    # A class has the method too, but nobody to call it on.
    if scorer is not None and (isinstance(scorer, type) or not isinstance(scorer, Scorer)):
        raise ConfigurationError(
            f"scorer={scorer!r}: give an object with score(messages, tools), such as "
            "ComplexityScorer()."
        )


def _found(source: CalibrationSource | None, policy: RoutingPolicy) -> Calibration | None:
    curve = policy.target.curve if isinstance(policy.target, Quality) else None
    brought = curve if isinstance(curve, Calibration) else None
    if source is None:
        return brought
    if isinstance(source, (str, os.PathLike)):
        source = Calibration.load(Path(source))
    if not isinstance(source, Calibration):
        raise ConfigurationError(
            f"calibration is {type(source).__name__}: give a Calibration or the path of one."
        )
    if brought is None or brought is source:
        return source
    if brought.as_dict() != source.as_dict():
        raise ConfigurationError(
            "The policy's quality rests on another calibration than the router's: give one of them."
        )
    return brought


def _scorer(calibration: Calibration, scorer: Scorer | None) -> Scorer:
    """The scorer that the calibration is for."""
    learned = calibration.scorer
    if learned is not None and scorer is not None and scorer is not learned:
        raise ConfigurationError(
            f"scorer is {type(scorer).__name__}, and the calibration brings its own: leave out "
            "scorer= or calibration=."
        )
    found = learned or scorer or ComplexityScorer()
    if type(found).__name__ != calibration.scored_by:
        raise ConfigurationError(
            f"The calibration is for scores by {calibration.scored_by}, the router's scorer is "
            f"{type(found).__name__}: give scorer= the one it was made with, or calibrate again."
        )
    probe = probe_of(found)
    if len(probe) != len(calibration.probe) or any(
        abs(now - then) > _SAME for now, then in zip(probe, calibration.probe, strict=True)
    ):
        raise ConfigurationError(
            f"{calibration.scored_by} scores otherwise than when this calibration was made, by "
            "another version of this package or with other weights: calibrate again."
        )
    return found
