"""Calibration as a user meets it: labels in, a better router or a clear no out."""

from __future__ import annotations

import csv
import gzip
import threading
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.runnables import ConfigurableField

from langchain_bedrock_opt.errors import CalibrationError, ConfigurationError
from langchain_bedrock_opt.routing import (
    Calibration,
    ChatBedrockRouter,
    ComplexityScore,
    ComplexityScorer,
    Example,
    LearnedScorer,
    RoutingPolicy,
    Stickiness,
)
from langchain_bedrock_opt.routing.learning.worth import apgr

MakeRouter = Callable[..., ChatBedrockRouter]
Labelled = Callable[..., list[dict[str, Any]]]
NAMES = ("simple", "moderate", "complex")


# --- What is accepted ---


def test_labels_that_follow_a_rule_make_a_better_router(
    make_router: MakeRouter, tiers: dict[str, str], labelled: Labelled
) -> None:
    """Prompts like those that the cheapest tier failed go up, and the others stay."""
    router = make_router({name: tiers[name] for name in ("simple", "complex")})

    found = router.calibrate(labelled(), quality=0.9)

    assert found.apgr is not None
    assert found.apgr_before is not None
    assert found.apgr > found.apgr_before + 0.15
    assert found.difference_interval is not None
    assert found.difference_interval[0] > 0
    assert router.decide("Tell the new zorble of number 7 hello.").tier == "simple"
    assert router.decide("Tell the new quimpet of number 7 hello.").tier == "complex"


def test_what_is_foretold_comes_true(router: ChatBedrockRouter, labelled: Labelled) -> None:
    """Of prompts that were not learned from, as many are good as the calibration says."""
    found = router.calibrate(labelled(400), quality=0.9)

    fresh = labelled(300, seed=7)
    expected = [found.quality("simple", router.decide(row["prompt"]).score) for row in fresh]
    assert np.mean(expected) == pytest.approx(np.mean([row["label"] for row in fresh]), abs=0.08)
    assert found.brier < 0.15
    assert found.calibration_error < 0.1
    assert sum(each.prompts for each in found.reliability) == 400


@pytest.mark.parametrize(
    "target", [{"quality": 0.85}, {"cost_share": 0.5}, {"shares": (0.5, 0.3, 0.2)}]
)
def test_the_target_is_met_on_the_sample(
    router: ChatBedrockRouter, labelled: Labelled, target: dict[str, Any]
) -> None:
    """Thresholds give the share, the cost or the quality that was asked for."""
    found = router.calibrate(labelled(), **target)

    starts = list(found.thresholds.values())
    places = np.searchsorted(starts, found.sample.scores, side="right")
    tiers = [NAMES[place] for place in places]
    assert found.target == target
    if "shares" in target:
        got = [tiers.count(name) / len(tiers) for name in NAMES]
        assert got == pytest.approx(target["shares"], abs=0.02)
    elif "quality" in target:
        rows = zip(tiers, found.sample.scores, strict=True)
        quality = np.mean([found.quality(tier, score) for tier, score in rows])
        assert target["quality"] <= quality < target["quality"] + 0.05
    else:
        prices = {tier.name: tier.price for tier in router._decider.tiers}
        costs = {
            name: price.input * 20 + price.output * 300 for name, price in prices.items() if price
        }
        cost = sum(costs[tier] for tier in tiers) / (costs["complex"] * len(tiers))
        assert cost == pytest.approx(target["cost_share"], abs=0.03)


def test_without_a_target_the_shares_stay(router: ChatBedrockRouter, labelled: Labelled) -> None:
    """A router with default thresholds keeps the shares that they gave on these prompts."""
    prompts = [row["prompt"] for row in labelled()]
    before = [router.decide(prompt).tier for prompt in prompts]

    found = router.calibrate(labelled())

    assert found.target["shares"] == tuple(before.count(name) / len(before) for name in NAMES)


def test_without_a_target_the_policys_own_holds(
    make_router: MakeRouter, labelled: Labelled
) -> None:
    """The target that the policy was made with is asked for, and again the next time."""
    router = make_router(policy=RoutingPolicy(cost_share=0.6))

    assert router.calibrate(labelled()).target == {"cost_share": 0.6}
    assert router.calibrate(labelled()).target == {"cost_share": 0.6}


def test_labels_of_every_tier_are_used(router: ChatBedrockRouter, labelled: Labelled) -> None:
    """With outcomes by tier each tier has a curve of its own, and the gain is measured."""
    rows = [
        Example(row["prompt"], outcomes={"simple": row["label"], "moderate": 1, "complex": "good"})
        for row in labelled()
    ]

    found = router.calibrate(rows, quality=0.9)

    assert set(found.curves) == set(NAMES)
    assert found.labels == 600
    assert found.quality("moderate", 0.9) == 1.0


def test_a_tier_without_labels_is_taken_to_be_between_its_neighbours(
    calibration: Calibration,
) -> None:
    """The strongest is taken to be always good, and the middle half way up to it."""
    low = calibration.quality("simple", 1.0)

    assert calibration.quality("complex", 1.0) == 1.0
    assert calibration.quality("moderate", 1.0) == pytest.approx((low + 1) / 2)


def test_the_kept_weights_get_curves_and_thresholds(
    router: ChatBedrockRouter, labelled: Labelled
) -> None:
    """`refit=False` leaves the scorer alone, also where nothing better could be learned."""
    scorer = router.scorer

    found = router.calibrate(labelled(is_random=True), shares=(0.5, 0.25, 0.25), refit=False)

    assert found.scorer is None
    assert found.difference_interval is None
    assert router.scorer is scorer
    assert router.policy.thresholds == found.thresholds


def test_the_same_labels_give_the_same_calibration(
    make_router: MakeRouter, labelled: Labelled
) -> None:
    """Nothing in it hangs on chance, on the order of calls or on the process."""
    one = make_router().calibrate(labelled(), quality=0.9)
    other = make_router().calibrate(labelled(), quality=0.9)

    assert one.as_dict() == other.as_dict()


# --- What is refused ---


def test_99_prompts_are_too_few(router: ChatBedrockRouter, labelled: Labelled) -> None:
    """Below 100 prompts with a label nothing is learned."""
    with pytest.raises(CalibrationError, match="99 prompts have a label, and 100 are needed"):
        router.calibrate(labelled(99))


def test_a_prompt_counts_once_however_often_it_comes(
    router: ChatBedrockRouter, labelled: Labelled
) -> None:
    """Twice the same 60 prompts are 60."""
    with pytest.raises(CalibrationError, match="60 prompts have a label"):
        router.calibrate(labelled(60) * 2)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_drawn_labels_are_refused_with_both_figures(
    router: ChatBedrockRouter, labelled: Labelled, seed: int
) -> None:
    """Where there is nothing to learn the router stays as it is, and the error says why."""
    before = router.scorer, router.policy, router._decider

    with pytest.raises(CalibrationError, match=r"APGR is 0\.\d+ .* refit=False") as raised:
        router.calibrate(labelled(300, seed=seed, is_random=True))

    assert isinstance(raised.value.calibration, Calibration)
    assert (router.scorer, router.policy, router._decider) == before
    assert router.calibration is None


def test_equal_labels_are_refused(router: ChatBedrockRouter, labelled: Labelled) -> None:
    """Labels that are all good say nothing of which prompts are hard."""
    with pytest.raises(CalibrationError, match="All labels are equal"):
        router.calibrate([{**row, "label": 1} for row in labelled()])


def test_a_single_bad_answer_is_too_little(router: ChatBedrockRouter, labelled: Labelled) -> None:
    """Where all bad answers are in one part of the data, the others have nothing to learn from."""
    rows = [{**row, "label": number > 0} for number, row in enumerate(labelled())]

    with pytest.raises(CalibrationError, match="All but a few of the labels say the same"):
        router.calibrate(rows)


def test_a_strongest_tier_that_gains_nothing_is_refused(
    router: ChatBedrockRouter, labelled: Labelled
) -> None:
    """Where the cheapest tier is better on the whole there is nothing to route."""
    rows = [
        {"prompt": row["prompt"], "simple": row["label"], "complex": number % 5 == 0}
        for number, row in enumerate(labelled())
    ]

    with pytest.raises(CalibrationError, match="nothing to gain by routing"):
        router.calibrate(rows)


def test_the_cheapest_tier_needs_labels(router: ChatBedrockRouter, labelled: Labelled) -> None:
    """From labels of the strongest tier alone nobody can tell when the cheapest is enough."""
    rows = [{**row, "tier": "complex"} for row in labelled()]

    with pytest.raises(CalibrationError, match="0 prompts have a label of the cheapest tier"):
        router.calibrate(rows)


def test_one_tier_can_not_be_calibrated(make_router: MakeRouter, labelled: Labelled) -> None:
    """With one tier there is nothing to choose."""
    with pytest.raises(ConfigurationError, match="one tier: there is nothing to calibrate"):
        make_router({"only": "us.amazon.nova-lite-v1:0"}).calibrate(labelled())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"quality": 0.9, "cost_share": 0.5}, "quality=0.9 and cost_share=0.5: give one"),
        ({"quality": 95}, "quality: 95 is not a number from 0 to 1"),
        ({"shares": (0.5, 0.5)}, "2 shares for the tiers simple, moderate, complex"),
        ({"cost_share": 0.001}, "'simple' alone costs"),
    ],
)
def test_bad_targets_leave_the_router_alone(
    router: ChatBedrockRouter, labelled: Labelled, arguments: dict[str, Any], message: str
) -> None:
    """A target that can't be is refused with its value, and nothing is changed."""
    before = router._decider

    with pytest.raises(ConfigurationError, match=message):
        router.calibrate(labelled(), **arguments)

    assert router._decider is before


# --- The switch ---


def test_what_the_policy_and_the_router_had_is_kept(
    make_router: MakeRouter, labelled: Labelled
) -> None:
    """Only scorer and thresholds change: residency, effort and conversations stay."""
    sticky = Stickiness()
    policy = RoutingPolicy(scopes=["us", "in-region"], effort=True, headroom_floor=0.3)
    router = make_router(policy=policy, sticky=sticky)

    found = router.calibrate(labelled(), quality=0.9)

    assert router.policy.residency == policy.residency
    assert router.policy.effort
    assert router.policy.headroom_floor == 0.3
    assert router.policy.thresholds == found.thresholds
    assert router.sticky is sticky
    assert router.calibration is found


def test_structured_output_made_before_goes_by_the_new_rules(
    router: ChatBedrockRouter, labelled: Labelled
) -> None:
    """A chain that was built before the calibration takes part in it."""
    schema = {"title": "Answer", "type": "object", "properties": {"x": {"type": "string"}}}
    chain: Any = router.with_structured_output(schema, method="json_schema")
    decide = chain.steps[0] if hasattr(chain, "steps") else chain

    router.calibrate(labelled(), quality=0.9)

    assert decide._decider() is router._decider


def test_calls_in_other_threads_see_the_old_router_or_the_new_one(
    router: ChatBedrockRouter, labelled: Labelled
) -> None:
    """While a router is calibrated every decision is one that the old or the new would make."""
    prompt = "Tell the new quimpet of number 7 hello."
    seen, stop = set(), threading.Event()

    def ask() -> None:
        while not stop.wait(0.001):
            decision = router.decide(prompt)
            seen.add((decision.tier, decision.score))

    old = router.decide(prompt)
    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    router.calibrate(labelled(120), quality=0.9)
    new = router.decide(prompt)
    stop.set()
    for thread in threads:
        thread.join()

    assert seen <= {(old.tier, old.score), (new.tier, new.score)}


def test_a_reconfigured_router_stays_calibrated(
    make_router: MakeRouter, calibration: Calibration
) -> None:
    """`configurable_fields` makes a router anew, with the calibration it had."""
    router = make_router(calibration=calibration)
    configurable = router.configurable_fields(escalate=ConfigurableField(id="escalate"))
    prompt = "Tell the new quimpet of number 7 hello."

    message = configurable.invoke(prompt, {"configurable": {"escalate": True}})

    route = message.response_metadata["bedrock_opt"]["route"]
    assert route["score"] == router.decide(prompt).score
    assert route["tier"] == router.decide(prompt).tier


# --- A scorer of one's own, and real outcomes ---


class ByLength:
    """Scores prompts by their length."""

    def score(self, messages: Any, tools: Any = None) -> ComplexityScore:
        return ComplexityScore(value=min(1.0, len(messages) / 100))


def test_a_scorer_of_ones_own_is_calibrated_too(
    make_router: MakeRouter, labelled: Labelled, tmp_path: Path
) -> None:
    """Its curve and thresholds can be saved, and hold for a router with the same scorer only."""
    make_router(scorer=ByLength()).calibrate(labelled(), refit=False).save(tmp_path / "own.json")

    again = make_router(scorer=ByLength(), calibration=tmp_path / "own.json")

    assert again.calibration.scored_by == "ByLength"
    with pytest.raises(ConfigurationError, match="for scores by ByLength"):
        make_router(calibration=tmp_path / "own.json")


def test_a_calibrated_router_is_measured_against_the_shipped_weights(
    make_router: MakeRouter, labelled: Labelled
) -> None:
    """A second calibration is not compared with weights that may have seen the same prompts."""
    router = make_router()
    first = router.calibrate(labelled(), quality=0.9)

    second = router.calibrate(labelled(), quality=0.9)

    assert second.apgr_before == first.apgr_before
    assert isinstance(router.scorer, LearnedScorer)


def test_real_outcomes_make_a_better_score_for_prompts_it_has_not_seen(
    make_router: MakeRouter, shared_data: Path
) -> None:
    """Calibrated on half of Claude's known outcomes, the other half is scored better.

    Better than by the signals alone: the shipped weights have seen both halves.
    """
    path = shared_data / "routing" / "zeroeval_claude.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    cheap, strong = "claude-3-haiku-20240307", "claude-3-5-sonnet-20241022"
    examples = [{"question": row["question"], "a": row[cheap], "b": row[strong]} for row in rows]
    is_held = [blake2b(row["question"].encode()).digest()[0] % 2 == 0 for row in examples]
    tiers = {"a": f"anthropic.{cheap}-v1:0", "b": f"anthropic.{strong}-v2:0"}
    router = make_router(tiers)

    router.calibrate([row for row, held in zip(examples, is_held, strict=True) if not held])

    held = [row for row, held in zip(examples, is_held, strict=True) if held]
    gains = np.array([float(row["b"]) - float(row["a"]) for row in held])
    signals = ComplexityScorer(weights=None)
    after = np.array([router.scorer.score(row["question"]).value for row in held])
    before = np.array([signals.score(row["question"]).value for row in held])
    assert apgr(after, gains) > apgr(before, gains)


def test_one_is_told_where_the_shares_to_keep_are_all_or_nothing(
    router: ChatBedrockRouter, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a target, prompts that all go to one tier now go on doing so, which is said."""
    rows = [{"prompt": f"Hi {n}", "label": n % 3 > 0} for n in range(200)]

    router.calibrate(rows, refit=False)

    assert "say what you want, such as quality=0.95" in caplog.text
