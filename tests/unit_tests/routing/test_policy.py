"""The policy: from a score and what a request needs to a tier."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_bedrock_opt.errors import ConfigurationError, UnknownTierError
from langchain_bedrock_opt.routing import Needs, RoutingPolicy, Tier

NAMES = ["simple", "moderate", "complex"]
TIERS = [Tier(name=name, model_id=f"model-{name}") for name in NAMES]


def chosen(score: float, tiers: list[Tier], needs: Needs | None = None, **policy: Any) -> str:
    return RoutingPolicy(**policy).choose(score, tiers, needs).tier.name


@pytest.mark.parametrize("thresholds", [[0.3, 0.6], (0.3, 0.6), {"moderate": 0.3, "complex": 0.6}])
def test_a_tier_begins_at_its_threshold(thresholds: Any) -> None:
    """A score takes the highest tier whose threshold it reaches, the threshold itself included."""
    scores = (0.0, 0.29, 0.3, 0.59, 0.6, 1.0)

    tiers = [chosen(score, TIERS, thresholds=thresholds) for score in scores]

    assert tiers == ["simple", "simple", "moderate", "moderate", "complex", "complex"]


@given(st.integers(1, 8), st.floats(0, 1), st.floats(0, 1))
def test_the_default_fits_any_number_of_tiers(count: int, low: float, high: float) -> None:
    """With any number of tiers every score has one, and a higher score never a weaker one."""
    tiers = [Tier(name=str(index), model_id=str(index)) for index in range(count)]
    low, high = min(low, high), max(low, high)

    assert int(chosen(low, tiers)) <= int(chosen(high, tiers))
    assert chosen(0.0, tiers) == "0"
    assert chosen(1.0, tiers) == str(count - 1)


@pytest.mark.parametrize("need", ["images", "documents", "tools", "json_schema"])
def test_a_tier_that_lacks_something_is_passed_over_upwards(need: str) -> None:
    """A tier that is known to lack what the request needs hands it to the next stronger one."""
    lacks: dict[str, Any] = {need: False}
    needed: dict[str, Any] = {need: True}
    lacking = replace(TIERS[0], **lacks)

    assert chosen(0.0, [lacking, *TIERS[1:]], Needs(**needed)) == "moderate"
    assert chosen(0.0, [lacking, *TIERS[1:]], Needs()) == "simple"


def test_a_context_that_does_not_fit_goes_up() -> None:
    """A request goes to the first tier whose context window holds it with room for error."""
    small = replace(TIERS[0], context_window=1000)
    large = replace(TIERS[1], context_window=100_000)

    assert chosen(0.0, [small, large], Needs(tokens=900)) == "simple"
    assert chosen(0.0, [small, large], Needs(tokens=950)) == "moderate"


def test_above_the_strongest_the_next_weaker_one_answers() -> None:
    """Where no stronger tier can serve a request, the strongest of the weaker ones does."""
    blind = replace(TIERS[2], images=False)

    assert chosen(1.0, [*TIERS[:2], blind], Needs(images=True)) == "moderate"


def test_the_alternatives_are_the_tiers_that_could_have_answered() -> None:
    """A choice names the other tiers that can serve the request, in their order."""
    blind = replace(TIERS[0], images=False)

    choice = RoutingPolicy([0.3, 0.6]).choose(0.9, [blind, *TIERS[1:]], Needs(images=True))

    assert [tier.name for tier in choice.alternatives] == ["moderate"]


def test_a_request_nobody_can_serve_is_refused_in_one_line() -> None:
    """If no tier can serve a request, the error says what each of them lacks."""
    tiers = [
        Tier(name="text", model_id="a", images=False),
        Tier(name="short", model_id="b", context_window=1000),
    ]

    with pytest.raises(ConfigurationError) as caught:
        RoutingPolicy().choose(0.5, tiers, Needs(images=True, tokens=5000))

    assert "'text' lacks images" in str(caught.value)
    assert "'short' lacks a context of about 5000 tokens (it has 1000)" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        ([0.6, 0.3], "don't ascend"),
        ([0.3, 1.5], "1.5 is not a number from 0 to 1"),
        ({"moderate": "half"}, "'half' is not a number"),
        ([float("nan"), 0.5], "nan is not a number"),
        ([True, True], "True is not a number"),
    ],
)
def test_bad_thresholds_are_refused_at_once(thresholds: Any, message: str) -> None:
    """A threshold that is no number from 0 to 1, or out of order, fails at construction."""
    with pytest.raises(ConfigurationError, match=message):
        RoutingPolicy(thresholds)


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        ([0.5], "1 thresholds for the tiers simple, moderate, complex: give 2"),
        ({"moderate": 0.5}, "No threshold for tier complex"),
        ({"moderate": 0.6, "complex": 0.3}, "don't ascend"),
    ],
)
def test_thresholds_must_fit_the_tiers(thresholds: Any, message: str) -> None:
    """Thresholds that don't match the tiers are refused with what is missing."""
    with pytest.raises(ConfigurationError, match=message):
        RoutingPolicy(thresholds).thresholds_for(NAMES)


def test_a_threshold_for_a_tier_that_is_not_there_is_refused() -> None:
    """A mistyped tier name lists the tiers there are."""
    with pytest.raises(UnknownTierError, match="'complx': tiers are simple, moderate, complex"):
        RoutingPolicy({"moderate": 0.3, "complx": 0.6}).thresholds_for(NAMES)
