"""Judging another policy by the log: estimates that are right on average, and honest errors."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import numpy as np
import pytest

from langchain_bedrock_opt.contracts import (
    REPORT_KEY,
    Reason,
    RouteDecision,
    TokenUsage,
    UsageRecord,
)
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing import (
    ChatBedrockRouter,
    ComplexityScore,
    PolicyEstimate,
    RoutingPolicy,
    ThresholdBandit,
    Tier,
)
from langchain_bedrock_opt.routing.learning.off_policy import judge
from langchain_bedrock_opt.routing.learning.turns import Turn
from langchain_bedrock_opt.usage import BedrockUsageCallbackHandler, UsageLedger

NAMES = ["simple", "moderate", "complex"]
TIERS = [Tier(name=name, model_id=f"model-{name}") for name in NAMES]
STRENGTH = {"simple": 0.2, "moderate": 0.5, "complex": 0.8}
DOLLARS = {"simple": 0.01, "moderate": 0.05, "complex": 0.2}
PICO = 10**12

LOGGING = RoutingPolicy([0.35, 0.65], explore=0.4, rng=random.Random(7))
OTHER = RoutingPolicy([0.5, 0.8])

Log = tuple[list[UsageRecord], dict[str, float]]


def chance(tier: str, score: float) -> float:
    """How probably a tier's answer is good in this world: less so above its strength."""
    return 0.95 - 0.9 * max(score - STRENGTH[tier], 0.0)


def record(run_id: str, **values: Any) -> UsageRecord:
    route = RouteDecision(
        **{"tier": "moderate", "model_id": "m", "score": 0.5, "alternatives": ("simple",), **values}
    )
    return UsageRecord(
        run_id=run_id,
        started_at=datetime(2026, 1, 1, tzinfo=timezone.utc),
        model_id=f"model-{route.tier}",
        status="ok",
        cost_pico_usd=round(DOLLARS.get(route.tier, 0) * PICO),
        route=route,
    )


def simulated(calls: int, seed: int, policy: RoutingPolicy = LOGGING) -> Log:
    """A log of calls in this world, with a label for each."""
    rng = random.Random(seed)
    records, labels = [], {}
    for number in range(calls):
        score = rng.random()
        choice = policy.choose(score, TIERS, turn=Turn(key=rng.randbytes(8)))
        records.append(
            record(
                str(number),
                tier=choice.tier.name,
                score=score,
                alternatives=tuple(tier.name for tier in choice.alternatives),
                reasons=choice.reasons,
                propensity=choice.propensity,
            )
        )
        labels[str(number)] = float(rng.random() < chance(choice.tier.name, score))
    return records, labels


def truth(policy: RoutingPolicy, price_weight: float = 0.0) -> float:
    """The mean reward of a policy in this world, by its probabilities on a fine grid."""
    scores = [(step + 0.5) / 2000 for step in range(2000)]
    return float(
        np.mean(
            [
                sum(
                    probability * (chance(tier, score) - price_weight * DOLLARS[tier])
                    for tier, probability in policy.probabilities(score, TIERS).items()
                )
                for score in scores
            ]
        )
    )


def judged(log: Log, policy: RoutingPolicy = OTHER, **options: Any) -> PolicyEstimate:
    records, labels = log
    options = {"resamples": 200, "rng": np.random.default_rng(7), **options}
    return judge(records, policy, tiers=TIERS, labels=labels, **options)


# --- Estimates ---


@pytest.mark.parametrize("price_weight", [0.0, 2.0])
@pytest.mark.parametrize(
    "policy", [OTHER, RoutingPolicy([0.35, 0.65], explore=0.1), RoutingPolicy([0.2, 0.55])]
)
def test_estimates_are_right_on_average(policy: RoutingPolicy, price_weight: float) -> None:
    """Over 64 logs the mean of IPS is the policy's true reward, and that of SNIPS near it."""
    found = [
        judged(simulated(300, seed), policy, price_weight=price_weight, resamples=1)
        for seed in range(64)
    ]

    ips, snips = ([getattr(each, name).value for each in found] for name in ("ips", "snips"))
    expected = truth(policy, price_weight)
    assert np.mean(ips) == pytest.approx(expected, abs=3 * np.std(ips) / 8)
    assert np.mean(snips) == pytest.approx(expected, abs=0.01)
    assert np.std(snips) < np.std(ips)


def test_what_was_logged_says_nothing_of_another_policy() -> None:
    """The plain mean of the log misses the other policy's reward, which the estimate finds."""
    cautious = RoutingPolicy([0.1, 0.4])

    found = judged(simulated(4000, seed=1), cautious)

    expected = truth(cautious)
    assert abs(found.logged.value - expected) > 0.05
    assert found.snips.low < expected < found.snips.high
    assert found.snips.value == pytest.approx(expected, abs=0.03)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Of 60 intervals of 95 %, all but a few hold the true reward."""
    expected = truth(OTHER)

    found = [judged(simulated(300, seed)).snips for seed in range(60)]

    held = sum(each.low <= expected <= each.high for each in found)
    assert held >= 51


def test_the_log_judges_itself_by_its_mean() -> None:
    """The policy that logged has weights of 1: its estimate is the mean of the log."""
    found = judged(simulated(500, seed=3), LOGGING)

    assert found.ips.value == pytest.approx(found.logged.value)
    assert found.matched == 1.0
    assert found.effective_calls == pytest.approx(500)


def test_a_bandits_log_can_be_used() -> None:
    """Arms that disagree are exploration enough."""
    bandit = ThresholdBandit(max_shift=0.2, arms=3, floor=0.3, price_weight=0)
    policy = RoutingPolicy([0.35, 0.65], bandit=bandit, rng=random.Random(7))

    found = judged(simulated(4000, 1, policy), RoutingPolicy([0.45, 0.75]))

    assert found.snips.value == pytest.approx(truth(RoutingPolicy([0.45, 0.75])), abs=0.03)


def test_an_escalated_answer_stands_for_the_tier_that_was_asked() -> None:
    """The label of what followed is the outcome of asking the first tier."""
    moved: dict[str, Any] = {"tier": "complex", "propensity": 0.5, "score": 0.1}
    records = [
        record("a", escalated_from="simple", **moved),
        record("b", fallback_from="simple", **moved),
        record("c", tier="complex", propensity=0.5, score=0.1, alternatives=("simple",)),
    ]

    found = judge(
        records,
        RoutingPolicy([0.3, 0.6]),
        tiers=TIERS,
        labels={"a": 1.0, "b": 0.5, "c": 0.0},
        rng=np.random.default_rng(7),
    )

    assert found.snips.value == 0.75
    assert found.matched == pytest.approx(2 / 3)


def test_what_the_score_did_not_decide_is_left_out() -> None:
    """Forced, sticky and shadowed calls, and those of other routers, are counted and not judged."""
    records, labels = simulated(100, seed=1)
    others: list[dict[str, Any]] = [
        {"forced": True},
        {"shadow": "simple"},
        {"tier": "elsewhere"},
        {"escalated_from": "simple", "fallback_from": "moderate"},
        *(
            {"reasons": (Reason(signal=signal, weight=0.0),)}
            for signal in ("sticky", "conversation", "budget", "break_even", "default", "refused")
        ),
    ]
    records += [record(f"x{number}", **values) for number, values in enumerate(others)]
    labels |= {f"x{number}": 0.0 for number in range(len(others))}
    unlabelled = record("nobody knows")
    unrouted = replace(record("x"), route=None)

    found = judged(([*records, unlabelled, unrouted], {**labels, "x": 1.0}))

    assert (found.calls, found.left_out) == (100, len(others))


# --- Doors and words ---


class ByLength:
    """Finds a longer prompt harder."""

    def score(self, messages: Any, tools: Any = None) -> ComplexityScore:
        text = messages if isinstance(messages, str) else messages[-1].content
        return ComplexityScore(value=min(len(text) / 100, 1.0))


def test_a_router_judges_by_its_ledger(
    make_router: Callable[..., ChatBedrockRouter], tmp_path: Any
) -> None:
    """From calls through a ledger to an estimate, with labels by run id; shown as text and HTML."""
    ledger = UsageLedger(tmp_path / "usage.jsonl")
    router = make_router(
        scorer=ByLength(),
        policy=RoutingPolicy([0.35, 0.65], explore=0.4, rng=random.Random(7)),
        callbacks=[BedrockUsageCallbackHandler(sinks=[ledger])],
    )
    for number in range(120):
        router.invoke(f"{number}".ljust(number % 100, "?"))
    labels = {
        each.run_id: float(each.route is not None and each.route.tier == "complex")
        for each in ledger.records()
    }

    strong, weak = (
        router.off_policy(ledger, RoutingPolicy(thresholds), labels=labels, price_weight=0.1)
        for thresholds in ([0.3, 0.5], [0.4, 0.9])
    )

    assert strong.snips.value > weak.snips.value
    assert "120 labelled calls, 0 more left out" in str(strong)
    assert "policy, SNIPS" in strong._repr_html_()
    assert json.loads(json.dumps(strong.as_dict()))["calls"] == 120


def test_a_target_must_know_the_scorer(make_router: Callable[..., ChatBedrockRouter]) -> None:
    """A target without a sample is judged by scores of one's own no more than it routes by them."""
    with pytest.raises(ConfigurationError, match="needs a sample of prompts"):
        make_router(scorer=ByLength()).off_policy([], RoutingPolicy(cost_share=0.5), labels={})


def test_a_policy_out_of_reach_is_warned_of() -> None:
    """A policy that jumps two tiers does what was never tried, and the mean weight shows it."""
    found = judged(simulated(2000, seed=1), RoutingPolicy([0.0, 0.0]))

    assert found.mean_weight < 0.9
    assert "Warning: the mean weight is 0." in str(found)


def test_few_calls_are_warned_of() -> None:
    """Estimates that rest on the worth of a few calls say so."""
    assert "calls only: label more" in str(judged(simulated(20, seed=1)))


def test_a_policy_within_reach_has_no_warning() -> None:
    """Enough calls and a policy that is alike leave nothing to warn of."""
    assert judged(simulated(2000, seed=1)).warnings == ()


def test_a_log_without_exploration_is_refused() -> None:
    """Where every propensity is 1 the error says what to set."""
    log = simulated(50, 1, RoutingPolicy([0.35, 0.65]))

    with pytest.raises(ConfigurationError, match=r"RoutingPolicy\(explore=0.05\) first"):
        judged(log)


def test_a_policy_that_shares_nothing_with_the_log_is_refused() -> None:
    """Where no call went where the policy would send it, there is nothing to estimate from."""
    records = [record(str(number), propensity=0.5) for number in range(3)]
    labels = {str(number): 1.0 for number in range(3)}

    with pytest.raises(ConfigurationError, match="sent none of 3 labelled calls"):
        judged((records, labels), RoutingPolicy([0.9, 0.95]))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"labels": {}}, "None of 0 labelled calls can be judged"),
        ({"labels": [1.0]}, "labels is list: give a dict of labels"),
        ({"labels": {"0": 1.5}}, r"Run 0: label 1.5 is not from 0 to 1"),
        ({"labels": {"0": "splendid"}}, r"Run 0: label"),
        ({"price_weight": -1}, r"price_weight=-1: give a number from 0 on"),
        ({"resamples": 0}, r"resamples=0"),
    ],
)
def test_bad_arguments_are_refused(values: dict[str, Any], message: str) -> None:
    """Labels, weights and numbers of draws that can't be are named, with what to give."""
    records, labels = simulated(10, seed=1)
    arguments = {"labels": labels, **values}

    with pytest.raises(ConfigurationError, match=message):
        judge(records, OTHER, tiers=TIERS, **arguments)


def test_a_cost_that_is_not_known_is_not_zero() -> None:
    """With a price weight, labelled calls without a cost are refused; failed ones cost nothing."""
    records, labels = simulated(50, seed=1)
    unpriced = [replace(each, cost_pico_usd=None) for each in records]
    failed = [replace(each, status="error") for each in unpriced]

    with pytest.raises(ConfigurationError, match=r"No cost is known of .* model-complex"):
        judged((unpriced, labels), price_weight=1.0)
    assert judged((unpriced, labels)).calls == 50
    assert judged((failed, labels), price_weight=1.0).calls == 50


def test_the_router_marks_what_is_judged(make_router: Callable[..., ChatBedrockRouter]) -> None:
    """The propensity that judging rests on is in each answer, too."""
    policy = RoutingPolicy([0.35, 0.65], explore=0.4, rng=random.Random(7))

    answer = make_router(scorer=ByLength(), policy=policy).invoke("?" * 50)

    assert answer.response_metadata[REPORT_KEY]["route"]["propensity"] in (0.6, 0.2)


def test_repeated_prompts_are_not_taken_for_new_ones() -> None:
    """Where 40 prompts make up a log, an estimate's interval is as wide as 40 draws make it."""
    expected, found = truth(OTHER), []
    for seed in range(60):
        asked, given = simulated(40, seed)
        rng = random.Random(seed)
        again = [
            (replace(each, run_id=f"{each.run_id}-{number}"), each)
            for each in asked
            for number in range(20)
        ]
        labels = {
            call.run_id: float(rng.random() < chance(each.route.tier, each.route.score))
            for call, each in again
            if each.route is not None
        }
        assert len(given) == 40
        found.append(judged(([call for call, _ in again], labels)))

    held = sum(each.snips.low <= expected <= each.snips.high for each in found)
    warned = sum("mean weight" in str(each.warnings) for each in found)
    assert held >= 50
    assert warned <= 2
    assert all(each.effective_calls <= 40 for each in found)


def test_a_calibrated_router_judges_a_target_by_its_own_sample(
    make_router: Callable[..., ChatBedrockRouter], labelled: Callable[..., list[dict[str, Any]]]
) -> None:
    """Shares of another policy are of the prompts that the router was calibrated on."""
    router = make_router(scorer=ByLength())
    router.calibrate(labelled(), shares=(0.5, 0.25, 0.25))
    records, labels = simulated(500, seed=1)

    found = router.off_policy(records, RoutingPolicy(shares=[0.4, 0.3, 0.3]), labels=labels)

    assert found.calls == 500


def test_prompts_of_one_score_are_told_apart_by_their_tokens() -> None:
    """A scorer that gives few different scores does not make one prompt of many."""
    calls = [
        replace(
            record(str(number), score=0.5, propensity=0.5),
            usage=TokenUsage(input=10 + number, output=5),
        )
        for number in range(50)
    ]

    found = judged((calls, {each.run_id: 1.0 for each in calls}), RoutingPolicy([0.3, 0.6]))

    assert found.effective_calls == pytest.approx(50)
