"""Calibration by a log of calls, and of scorers that are kept: what neither can tell."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import numpy as np
import pytest

from langchain_bedrock_opt import UsageLedger, UsageRecord
from langchain_bedrock_opt.contracts import Reason, RouteDecision
from langchain_bedrock_opt.errors import CalibrationError, ConfigurationError
from langchain_bedrock_opt.routing import (
    Calibration,
    ChatBedrockRouter,
    ComplexityScore,
    ComplexityScorer,
    LearnedScorer,
    RoutingPolicy,
    ThresholdBandit,
)
from langchain_bedrock_opt.routing.learning.bandit import reason_of

MakeRouter = Callable[..., ChatBedrockRouter]
Labelled = Callable[..., list[dict[str, Any]]]


# --- Ledgers ---


def records(count: int) -> list[UsageRecord]:
    """Calls routed by score: the higher, the worse the cheapest tier's answer."""
    at = datetime(2026, 11, 22, tzinfo=timezone.utc)
    return [
        UsageRecord(
            run_id=f"run-{number}",
            started_at=at,
            model_id="m",
            status="ok",
            route=RouteDecision(tier="simple", model_id="m", score=number / count),
        )
        for number in range(count)
    ]


def test_a_ledger_with_labels_gives_curves_and_thresholds(
    make_router: MakeRouter, tiers: dict[str, str]
) -> None:
    """Records hold no prompts, so the scorer stays and the thresholds follow the labels."""
    router = make_router({name: tiers[name] for name in ("simple", "complex")})
    ledger = UsageLedger()
    for record in records(200):
        ledger.add(record)
    labels = {f"run-{number}": "👍" if number < 120 else "👎" for number in range(190)}

    found = router.calibrate(ledger, labels=labels, quality=0.95)

    assert found.scorer is None
    assert isinstance(router.scorer, ComplexityScorer)
    assert (found.prompts, found.left_out) == (190, 10)
    assert found.quality("simple", 0.3) == 1.0
    assert found.quality("simple", 0.9) == 0.0
    assert 0.55 < found.thresholds["complex"] < 0.7


def test_records_need_labels(router: ChatBedrockRouter) -> None:
    """Records alone say nothing of how good an answer was."""
    with pytest.raises(ConfigurationError, match=r"give labels=\{run_id: label\}"):
        router.calibrate(records(100))


def test_the_report_sets_what_was_expected_beside_what_was_observed(
    make_router: MakeRouter, calibration: Calibration
) -> None:
    """A calibrated router's report says how many good answers were to be expected."""
    router = make_router(calibration=calibration)
    calls = records(100)

    unlabelled = router.report(calls)
    labels = {"run-0": 5, "run-1": 3, "run-2": 1}
    judged = router.report(calls, labels=labels, scale=(1, 5))

    assert unlabelled.expected_good == pytest.approx(
        np.mean([calibration.quality("simple", number / 100) for number in range(100)])
    )
    assert unlabelled.observed_good is None
    assert (judged.labelled, judged.observed_good) == (3, 0.5)
    assert judged.expected_good == pytest.approx(calibration.quality("simple", 0.01))
    assert "50.0% observed over 3 labels" in str(judged)
    assert make_router().report(calls).expected_good is None


# --- What a log can't tell ---


def logged(count: int, *, explore: float = 0.0, **values: Any) -> list[UsageRecord]:
    """Calls by a threshold of 0.4, some of which were tried in the other tier."""
    chance = random.Random(7)
    found = []
    for number, each in enumerate(records(count)):
        score = number / count
        is_moved = chance.random() < explore
        tier = "simple" if (score < 0.4) != is_moved else "complex"
        route = RouteDecision(tier=tier, model_id="m", score=score, **values)
        found.append(replace(each, route=route))
    return found


def truly_good(calls: list[UsageRecord]) -> dict[str, bool]:
    """The cheap tier is good up to 0.42 and bad above, the strong one always good."""
    return {
        call.run_id: call.route.tier == "complex" or call.route.score < 0.42
        for call in calls
        if call.route is not None
    }


def test_a_log_without_exploration_moves_no_prompts_where_nobody_has_looked(
    make_router: MakeRouter, tiers: dict[str, str]
) -> None:
    """Above its old threshold the cheap tier has no labels: that it is good there is refused."""
    router = make_router(
        {name: tiers[name] for name in ("simple", "complex")}, policy=RoutingPolicy([0.4])
    )
    calls = logged(1000)
    labels = {**truly_good(calls), "run-3": False}

    with pytest.raises(CalibrationError, match=r"above 0.39\d.*RoutingPolicy\(explore=0.05\)"):
        router.calibrate(calls, labels=labels, quality=0.9)

    assert router.calibration is None
    found = router.calibrate(calls, labels=labels)
    assert found.thresholds["complex"] == pytest.approx(0.4, abs=0.002)


def test_an_explored_log_moves_the_threshold_as_far_as_it_saw(
    make_router: MakeRouter, tiers: dict[str, str]
) -> None:
    """With a few calls tried in the other tier the promised quality is that which comes."""
    router = make_router(
        {name: tiers[name] for name in ("simple", "complex")}, policy=RoutingPolicy([0.4])
    )
    calls = logged(1000, explore=0.1)

    found = router.calibrate(calls, labels=truly_good(calls), quality=0.9)

    # A tenth may be bad, and the bad ones begin at 0.42.
    assert found.thresholds["complex"] == pytest.approx(0.52, abs=0.03)


@pytest.mark.parametrize("signal", ["scorer_failed", "scorer_not_asked", "default", "refused"])
def test_scores_that_are_not_the_scorers_are_left_out(
    make_router: MakeRouter, tiers: dict[str, str], signal: str
) -> None:
    """Neither curves nor what is expected rest on what another scorer made of a prompt."""
    router = make_router({name: tiers[name] for name in ("simple", "complex")})
    own = records(200)
    labels = {each.run_id: number < 120 for number, each in enumerate(own)}
    reasons = (Reason(signal=signal, weight=0.0),)
    route = RouteDecision(tier="simple", model_id="m", score=0.95, reasons=reasons)
    others = [replace(own[0], run_id=f"other-{number}", route=route) for number in range(50)]
    labels |= {each.run_id: True for each in others}

    found = router.calibrate([*own, *others], labels=labels, quality=0.95)

    assert (found.prompts, found.left_out) == (200, 50)
    assert found.quality("simple", 0.95) == 0.0
    assert router.report(others, labels=labels).expected_good is None


def test_an_escalated_answer_is_a_bad_one_of_the_tier_that_was_asked_first(
    make_router: MakeRouter, tiers: dict[str, str]
) -> None:
    """It says nothing of the stronger tier as a first choice, however good it was."""
    router = make_router({name: tiers[name] for name in ("simple", "complex")})
    calls = records(200)
    labels = dict.fromkeys((each.run_id for each in calls), 5)
    calls[100:] = [
        replace(each, route=replace(each.route, tier="complex", escalated_from="simple"))
        for each in calls[100:]
        if each.route is not None
    ]

    found = router.calibrate(calls, labels=labels, scale=(1, 5), quality=0.9)

    assert set(found.curves) == {"simple"}
    assert found.quality("simple", 0.2) == 1.0
    assert found.quality("simple", 0.8) == 0.0


def test_labels_of_records_go_by_their_run_id(router: ChatBedrockRouter) -> None:
    """A list of labels is refused with what to give."""
    with pytest.raises(ConfigurationError, match="labels is list: give a dict of labels"):
        router.report(records(3), labels=[1.0, 0.0, 1.0])  # type: ignore[arg-type]


# --- Scorers that are kept ---


class Counting:
    """Scores prompts by their length and counts them; fails for some, as a network does."""

    def __init__(self, *, fails: bool = False) -> None:
        self.asked = 0
        self.fails = fails

    def score(self, messages: Any, tools: Any = None) -> ComplexityScore:
        self.asked += 1
        score = ComplexityScore(value=min(1.0, len(messages) / 100))
        failed = Reason(signal="scorer_failed", weight=0.0, detail="TimeoutError")
        is_stood_in_for = self.fails and self.asked % 10 == 0
        return replace(score, reasons=(failed,)) if is_stood_in_for else score


def test_a_scorer_of_ones_own_is_kept_and_asked_once_for_each_prompt(
    make_router: MakeRouter, labelled: Labelled
) -> None:
    """By default nothing throws away a scorer that this package has no weights of."""
    scorer = Counting()
    router = make_router(scorer=scorer)

    found = router.calibrate(labelled())

    assert router.scorer is scorer
    assert found.scored_by == "Counting"
    assert scorer.asked == 200
    assert "with the scores as they are" in str(found)


def test_a_scorer_of_ones_own_is_replaced_where_that_is_asked_for(
    make_router: MakeRouter, labelled: Labelled
) -> None:
    """`refit=True` has learned weights in place of any scorer."""
    router = make_router(scorer=Counting())

    found = router.calibrate(labelled(), quality=0.9, refit=True)

    assert isinstance(router.scorer, LearnedScorer)
    assert "out of fold" in str(found)


def test_a_scorer_that_fails_while_it_calibrates_is_noticed(
    make_router: MakeRouter, labelled: Labelled
) -> None:
    """Another scorer's scores are not taken for its own, and the router stays as it is."""
    router = make_router(scorer=Counting(fails=True))

    with pytest.raises(ConfigurationError, match="Counting failed for 20 of 200 prompts"):
        router.calibrate(labelled())

    assert router.calibration is None


def test_whoever_reads_a_routers_fields_sees_the_old_ones_or_the_new(
    router: ChatBedrockRouter, labelled: Labelled
) -> None:
    """Fields that are being read one by one, as `configurable_fields` does, are of one time."""
    fields = iter(router.__dict__.items())
    seen = {}
    for name, value in fields:
        seen[name] = value
        if name == "scorer":
            break

    router.calibrate(labelled(), quality=0.9)

    seen |= dict(fields)
    assert isinstance(seen["scorer"], ComplexityScorer)
    assert seen["policy"].thresholds is None
    assert seen["calibration"] is None
    assert router.calibration is not None


def test_a_calibration_makes_the_bandit_begin_anew(
    make_router: MakeRouter, labelled: Labelled
) -> None:
    """What was learned of shifts of the old thresholds says nothing of the new ones."""
    bandit = ThresholdBandit(max_shift=0.2, arms=3)
    router = make_router(policy=RoutingPolicy(bandit=bandit))
    decision = RouteDecision(
        tier="simple", model_id="m", score=0.3, reasons=(reason_of(0.2),), propensity=0.5
    )
    assert router.feedback(decision, 1.0)

    with pytest.raises(CalibrationError):
        router.calibrate(labelled(300, seed=1, is_random=True))
    kept = sum(arm["count"] for arm in bandit.stats())
    router.calibrate(labelled(), quality=0.9)

    assert kept == 1
    assert sum(arm["count"] for arm in bandit.stats()) == 0
