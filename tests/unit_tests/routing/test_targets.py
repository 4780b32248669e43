"""Targets: from a share of the cost, the quality or the prompts to thresholds."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_bedrock_opt.catalog.prices import ModelPrice
from langchain_bedrock_opt.contracts import Reason
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing import (
    ChatBedrockRouter,
    ComplexityScore,
    RoutingPolicy,
    ScoreSample,
    Tier,
)

NAMES = ["simple", "moderate", "complex"]


def price(usd: float) -> ModelPrice:
    """A price in dollars a million tokens, five times as much for the output."""
    pico = round(usd * 1_000_000)
    return ModelPrice(input=pico, output=5 * pico, source="test", checked="2026-01-01")


TIERS = [
    Tier(name=name, model_id=name, price=price(usd))
    for name, usd in zip(NAMES, (0.1, 1.0, 5.0), strict=True)
]
SAMPLE = ScoreSample(
    scores=tuple(index / 1000 for index in range(1000)), tokens=tuple(range(100, 1100))
)


def shares_of(policy: RoutingPolicy, sample: ScoreSample = SAMPLE) -> list[float]:
    """The share of a sample that each tier gets."""
    fitted = policy.fitted_to(TIERS)
    chosen = [fitted.choose(score, TIERS).tier.name for score in sample.scores]
    return [chosen.count(name) / len(chosen) for name in NAMES]


def cost_of(policy: RoutingPolicy) -> float:
    """What the sample costs, as a share of the strongest tier alone."""
    fitted = policy.fitted_to(TIERS)
    paid = strongest = 0
    for score, tokens in zip(SAMPLE.scores, SAMPLE.tokens, strict=True):
        tier = fitted.choose(score, TIERS).tier
        paid += tier.cost(input_tokens=tokens, output_tokens=300) or 0
        strongest += TIERS[-1].cost(input_tokens=tokens, output_tokens=300) or 0
    return paid / strongest


# --- Shares ---


@given(st.lists(st.integers(0, 20), min_size=3, max_size=3).filter(any))
def test_the_tiers_get_the_shares_they_were_promised(weights: list[int]) -> None:
    """Of a sample without ties each tier gets its share, to a prompt."""
    shares = [weight / sum(weights) for weight in weights]

    got = shares_of(RoutingPolicy(shares=shares, sample=SAMPLE))

    assert got == pytest.approx(shares, abs=0.002)


def test_shares_come_from_ones_own_prompts_and_scorer() -> None:
    """`from_shares` scores a sample of prompts with the router's scorer."""

    class ByLength:
        def score(self, messages: Any, tools: Any = None) -> ComplexityScore:
            return ComplexityScore(value=len(messages) / 10)

    policy = RoutingPolicy.from_shares(
        (0.5, 0.3, 0.2), ["x" * n for n in range(10)], ByLength(), effort=True
    )

    assert policy.thresholds_for(NAMES) == pytest.approx((0.0, 0.45, 0.75))
    assert policy.effort


def test_the_sample_at_hand_is_like_the_demos_day() -> None:
    """Without a sample of one's own, shares are those of the shipped prompts, within a tenth."""
    lines = (files("langchain_bedrock_opt.demo") / "prompts.jsonl").read_text("utf-8").splitlines()
    real = ScoreSample.of([json.loads(line)["prompt"] for line in lines])
    assumed = ScoreSample.of_a_day()

    for score in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8):
        share = bisect_right(real.scores, score) / len(real.scores)
        share_assumed = bisect_right(assumed.scores, score) / len(assumed.scores)
        assert share_assumed == pytest.approx(share, abs=0.1)


# --- Cost ---


@pytest.mark.parametrize("share", [0.02, 0.1, 0.4, 0.9, 1.0])
def test_the_cost_stays_within_its_share_and_uses_it(share: float) -> None:
    """The sample costs no more than the share of the strongest tier alone, and not much less."""
    policy = RoutingPolicy(cost_share=share, sample=SAMPLE)

    assert share - 0.02 <= cost_of(policy) <= share + 1e-9


@given(st.floats(0.02, 1), st.floats(0.02, 1))
def test_more_money_never_means_a_weaker_tier(one: float, other: float) -> None:
    """Thresholds fall as the share of the cost rises."""
    less, more = sorted((one, other))

    low = RoutingPolicy(cost_share=less, sample=SAMPLE).fitted_to(TIERS).thresholds_for(NAMES)
    high = RoutingPolicy(cost_share=more, sample=SAMPLE).fitted_to(TIERS).thresholds_for(NAMES)

    assert all(a >= b for a, b in zip(low, high, strict=True))


def test_a_cost_below_the_cheapest_tier_is_refused_with_what_is_possible() -> None:
    """A share that not even the first tier alone keeps to is refused, with the least there is."""
    with pytest.raises(ConfigurationError, match=r"'simple' alone costs 0\.02 of tier 'complex'"):
        RoutingPolicy(cost_share=0.01).fitted_to(TIERS)


def test_a_cost_without_prices_is_refused() -> None:
    """`cost_share` names the tier whose price nobody knows."""
    tiers = [*TIERS[:2], Tier(name="complex", model_id="acme.frontier-v9")]

    with pytest.raises(ConfigurationError, match=r"'complex' \(acme.frontier-v9\)"):
        RoutingPolicy(cost_share=0.4).fitted_to(tiers)


# --- Quality ---


class Curve:
    """The strongest tier is always right, the others until a prompt gets too hard."""

    def quality(self, tier: str, score: float) -> float:
        limit = {"simple": 0.4, "moderate": 0.8, "complex": 1.1}[tier]
        return 1.0 if score < limit else 0.5


def test_quality_is_reached_with_as_little_as_it_takes() -> None:
    """The answers come up to the quality that is asked for, and cost less than for more of it."""
    fair = RoutingPolicy(quality=0.9, calibration=Curve(), sample=SAMPLE)
    best = RoutingPolicy(quality=1.0, calibration=Curve(), sample=SAMPLE)

    def quality(policy: RoutingPolicy) -> float:
        fitted = policy.fitted_to(TIERS)
        tiers = [fitted.choose(score, TIERS).tier.name for score in SAMPLE.scores]
        rows = zip(tiers, SAMPLE.scores, strict=True)
        return sum(Curve().quality(tier, score) for tier, score in rows) / len(tiers)

    assert 0.9 <= quality(fair) < 0.92
    assert quality(best) == 1.0
    assert cost_of(fair) < cost_of(best) <= 1


def test_quality_without_calibration_says_to_calibrate_first() -> None:
    """What nobody has measured can't be promised."""
    with pytest.raises(ConfigurationError, match=r"quality=0\.95 .* calibrate first"):
        RoutingPolicy(quality=0.95)


@pytest.mark.parametrize(
    "policy",
    [
        RoutingPolicy(quality=0.9, calibration=Curve()),
        RoutingPolicy([0.3, 0.6], headroom=lambda: 1.0, scopes=["us"], effort=True),
        RoutingPolicy(cost_share=0.4),
    ],
)
def test_a_policy_reads_the_same_in_every_process(policy: RoutingPolicy) -> None:
    """What is shown of a policy goes into cache keys, so it holds no address."""
    assert " at 0x" not in repr(policy)
    assert repr(policy).startswith("RoutingPolicy(")


# --- Bad input ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cost_share": 40}, "cost_share: 40 is not a number from 0 to 1"),
        ({"cost_share": float("nan")}, "cost_share: nan"),
        ({"cost_share": True}, "cost_share: True"),
        ({"shares": (0.5, 0.4)}, "add up to 0.9, not to 1"),
        ({"shares": (1.5, -0.5)}, "shares: 1.5"),
        ({"quality": 95, "calibration": Curve()}, "quality: 95"),
        ({"quality": 0.9, "calibration": object()}, "calibrate first"),
        ({"cost_share": 0.4, "shares": (0.5, 0.5)}, "give one of them"),
        ({"thresholds": [0.5], "cost_share": 0.4}, "give one of them"),
        ({"headroom_floor": 2}, "headroom_floor 2"),
    ],
)
def test_bad_targets_are_refused_at_once(arguments: dict[str, Any], message: str) -> None:
    """A target that is no fraction, or one of two, fails at construction with its value."""
    with pytest.raises(ConfigurationError, match=message):
        RoutingPolicy(**arguments)


def test_a_scorer_of_ones_own_needs_a_sample_of_ones_own(
    make_router: Callable[..., ChatBedrockRouter],
) -> None:
    """The sample at hand says nothing of how another scorer scores, so it is not used for one."""

    class Half:
        def score(self, messages: Any, tools: Any = None) -> ComplexityScore:
            return ComplexityScore(value=0.5)

    with pytest.raises(ConfigurationError, match="to know how Half scores"):
        make_router(scorer=Half(), policy=RoutingPolicy(cost_share=0.5))

    policy = RoutingPolicy(cost_share=0.5, sample=ScoreSample.of(["Hi"], Half()))
    assert make_router(scorer=Half(), policy=policy).decide("Hi").tier == "moderate"


def test_shares_must_fit_the_tiers() -> None:
    """Two shares for three tiers are refused."""
    with pytest.raises(ConfigurationError, match="2 shares for the tiers simple, moderate"):
        RoutingPolicy(shares=(0.5, 0.5)).thresholds_for(NAMES)


@pytest.mark.parametrize("prompts", [[], "a text"])
def test_a_sample_needs_prompts(prompts: Any) -> None:
    """No prompt, or one text where a list belongs, is refused."""
    with pytest.raises(ConfigurationError):
        ScoreSample.of(prompts)


class OutOfReach:
    """A scorer that could not be asked, so that another one stands in for it."""

    def score(self, messages: Any, tools: Any = None) -> ComplexityScore:
        failed = Reason(signal="scorer_failed", weight=0.0)
        return ComplexityScore(value=0.5, reasons=(failed,) if len(messages) > 2 else ())


def test_a_sample_is_of_the_scorers_own_scores() -> None:
    """Where the scorer failed for some prompts, the sample is refused and says for how many."""
    with pytest.raises(ConfigurationError, match="OutOfReach failed for 2 of 3 prompts"):
        ScoreSample.of(["Hi", "Hello", "Good day"], OutOfReach())
