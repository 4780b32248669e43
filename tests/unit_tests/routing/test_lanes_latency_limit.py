"""`RoutingPolicy(max_ttft_ms=, latency=)`: tiers that were measured to be slow are passed over."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_bedrock_opt import BedrockEmulator, ChatBedrockRouter, UsageLedger
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing import Needs, RoutingPolicy, Tier

TIERS = [
    Tier(name="simple", model_id="small"),
    Tier(name="moderate", model_id="medium"),
    Tier(name="complex", model_id="large"),
]
LITE, PRO = "us.amazon.nova-lite-v1:0", "us.amazon.nova-pro-v1:0"


def policy(latency: dict[str, float], **options: Any) -> RoutingPolicy:
    return RoutingPolicy([0.3, 0.6], max_ttft_ms=800, latency=latency, **options)


@pytest.mark.parametrize(
    ("latency", "score", "tier"),
    [
        ({}, 0.4, "moderate"),
        ({"medium": 800.0}, 0.4, "moderate"),
        ({"medium": 801.0}, 0.4, "complex"),
        ({"large": 2000.0}, 0.9, "moderate"),
        ({"medium": 900.0, "large": 2000.0}, 0.9, "simple"),
        ({"small": 900.0, "medium": 900.0, "large": 900.0}, 0.9, "complex"),
    ],
)
def test_a_slow_tier_is_passed_over_unless_all_are(
    latency: dict[str, float], score: float, tier: str
) -> None:
    """The next stronger quick one answers, else the next weaker; where all are slow, the score."""
    assert policy(latency).choose(score, TIERS).tier.name == tier


def test_the_reason_says_how_slow_it_is_and_it_stays_a_stand_in() -> None:
    """A slow tier may still answer where the quick one can't be reached."""
    choice = policy({"medium": 1900.0}).choose(0.4, TIERS)

    (reason,) = choice.reasons
    assert (reason.signal, reason.detail) == (
        "constraint",
        "moderate lacks a first token within 800 ms (it took 1900 ms)",
    )
    assert {tier.name for tier in choice.alternatives} == {"simple", "moderate"}


def test_what_a_request_needs_comes_before_how_quick_a_tier_is() -> None:
    """The only tier that can serve a request answers, however slow it is."""
    tiers = [Tier(name="simple", model_id="small", tools=False), TIERS[2]]

    choice = RoutingPolicy([0.5], max_ttft_ms=800, latency={"large": 5000.0}).choose(
        0.1, tiers, Needs(tools=True)
    )

    assert choice.tier.name == "complex"


@pytest.mark.parametrize(
    ("slow", "needs", "tier"),
    [
        ({"large"}, Needs(at_least="complex"), "complex"),
        ({"medium", "large"}, Needs(at_least="moderate"), "moderate"),
        ({"medium"}, Needs(at_least="moderate"), "complex"),
        # Nobody from its tier up can read images: then the limit holds below.
        ({"small"}, Needs(at_least="complex", images=True), "moderate"),
    ],
)
def test_a_conversation_stays_with_its_tier_though_it_is_slow(
    slow: set[str], needs: Needs, tier: str
) -> None:
    """The limit chooses among the tiers from the conversation's up, if one is quick."""
    tiers = [*TIERS[:2], Tier(name="complex", model_id="large", images=False)]

    choice = policy(dict.fromkeys(slow, 5000.0)).choose(0.0, tiers, needs)

    assert choice.tier.name == tier


@pytest.mark.parametrize(
    ("latency", "needs", "said"),
    [
        ({"small": 900.0, "medium": 900.0, "large": 900.0}, Needs(), "no tier"),
        ({"large": 900.0}, Needs(at_least="complex"), "no tier from complex up"),
        ({"medium": 900.0, "large": 900.0}, Needs(), None),
        ({}, Needs(), None),
    ],
)
def test_a_limit_that_is_set_aside_is_told(
    latency: dict[str, float], needs: Needs, said: str | None
) -> None:
    """Where no tier is quick enough and one answers all the same, a reason says so."""
    reasons = policy(latency).choose(0.1, TIERS, needs).reasons

    found = [(each.weight, each.detail) for each in reasons if each.signal == "latency"]
    detail = f"max_ttft_ms is set aside: {said} that can answer gives a first token within 800 ms"
    assert found == ([] if said is None else [(0.0, detail)])


def test_a_short_budget_comes_before_how_quick_a_tier_is() -> None:
    """Where money is short, the cheapest tier answers though it is slow."""
    choice = policy({"small": 5000.0}, headroom=lambda: 0.0).choose(0.1, TIERS)

    assert (choice.tier.name, choice.reasons[0].signal) == ("simple", "budget")


@settings(max_examples=50, deadline=None)
@given(
    st.floats(0, 1),
    st.dictionaries(st.sampled_from(["small", "medium", "large"]), st.floats(1, 2000)),
    st.floats(0, 0.5),
)
def test_no_slow_tier_has_a_chance_while_a_quick_one_is_there(
    score: float, latency: dict[str, float], explore: float
) -> None:
    """What may be drawn, and how likely, goes by the same limit as the choice."""
    limited = policy(latency, explore=explore)
    quick = {tier.name for tier in TIERS if latency.get(tier.model_id, 0) <= 800}

    chances = limited.probabilities(score, TIERS)

    assert set(chances) <= (quick or {tier.name for tier in TIERS})
    assert limited.choose(score, TIERS).tier.name in chances
    assert sum(chances.values()) == pytest.approx(1)


def test_an_explanation_tells_that_the_limit_was_set_aside() -> None:
    """`explain` and the decisions of calls say that no tier meets the limit."""
    router = ChatBedrockRouter(
        tiers={"simple": LITE, "complex": PRO},
        client=BedrockEmulator().client(),
        policy=RoutingPolicy([0.5], max_ttft_ms=500, latency={PRO: 900.0, LITE: 800.0}),
    )

    explained = router.explain("Hi")
    answered = router.invoke("Hi").response_metadata["bedrock_opt"]["route"]["reasons"]

    assert "gives a first token within 500 ms" in str(explained)
    assert explained.decision.notes["latency"].detail in {each["detail"] for each in answered}


def test_an_empty_ledger_limits_nothing_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """A policy from a ledger that is still empty works; one line says what it waits for."""
    limited = policy(UsageLedger().latency().ttft_ms())
    for _ in range(2):
        assert limited.choose(0.4, TIERS).tier.name == "moderate"

    (line,) = caplog.messages
    assert "max_ttft_ms=<800> limits nothing" in line
    assert "min_calls" in line
    caplog.clear()
    policy({"small": 100.0})
    assert caplog.messages == []


def test_a_router_goes_by_the_model_ids_of_its_tiers() -> None:
    """Tiers are known by the ids that a ledger has; one that is forced answers all the same."""
    router = ChatBedrockRouter(
        tiers={"simple": LITE, "complex": PRO},
        client=BedrockEmulator().client(),
        policy=RoutingPolicy([0.0], max_ttft_ms=500, latency={PRO: 900.0, LITE: 300.0}),
    )

    free, forced = router.invoke("Hi"), router.invoke("Hi", force="complex")

    tiers = [answer.response_metadata["bedrock_opt"]["route"]["tier"] for answer in (free, forced)]
    assert tiers == ["simple", "complex"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_ttft_ms": 800}, "go together"),
        ({"latency": {"small": 1.0}}, "go together"),
        ({"max_ttft_ms": 800, "latency": [("small", 1.0)]}, "by model id"),
        ({"max_ttft_ms": 0, "latency": {}}, "max_ttft_ms=0 is not a number above 0"),
        ({"max_ttft_ms": "800", "latency": {}}, "max_ttft_ms='800' is not a number above 0"),
        ({"max_ttft_ms": math.nan, "latency": {}}, "max_ttft_ms=nan is not a number"),
        ({"max_ttft_ms": 800, "latency": {"small": None}}, "latency of 'small' is None"),
        ({"max_ttft_ms": 800, "latency": {"small": math.nan}}, "latency of 'small' is nan"),
    ],
)
def test_mistakes_are_told_at_construction(options: dict[str, Any], says: str) -> None:
    """One without the other, or what is none, is refused with the fix."""
    with pytest.raises(ConfigurationError, match=says):
        RoutingPolicy([0.5], **options)
    assert "max_ttft_ms=800" in repr(policy({}))
