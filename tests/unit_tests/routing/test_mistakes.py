"""Arguments that can't be meant are refused when the router is made, not at the first call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing import (
    BedrockRoutingMiddleware,
    ChatBedrockRouter,
    ComplexityScorer,
    route,
)

MakeRouter = Callable[..., ChatBedrockRouter]
TIERS = {"simple": "us.amazon.nova-lite-v1:0", "complex": "us.amazon.nova-pro-v1:0"}


@pytest.mark.parametrize("scorer", ["judge", ComplexityScorer])
def test_what_is_no_scorer_is_refused(make_router: MakeRouter, scorer: Any) -> None:
    """A name, or the class in place of an object, would fail at every single call."""
    with pytest.raises(ConfigurationError, match="give an object with score"):
        make_router(scorer=scorer)
    with pytest.raises(ConfigurationError, match="give an object with score"):
        route(TIERS, scorer=scorer)


@pytest.mark.parametrize("policy", [[0.5], 0.5, "cheap"])
def test_what_is_no_policy_is_refused(make_router: MakeRouter, policy: Any) -> None:
    """Thresholds alone are no policy, and the error shows what one looks like."""
    with pytest.raises(ConfigurationError, match=r"give a RoutingPolicy, such as"):
        make_router(policy=policy)


@pytest.mark.parametrize(
    ("name", "meant"), [("calibrations", "calibration"), ("escalation", "escalate")]
)
def test_a_misspelt_argument_does_not_go_to_bedrock(
    make_router: MakeRouter, name: str, meant: str
) -> None:
    """A name close to one of the router's own is not passed on as a field of the request."""
    with pytest.raises(ConfigurationError, match=f"{name} is no argument of a .*: {meant} is one"):
        make_router(**{name: True})


@pytest.mark.parametrize("name", ["escalate", "fallback"])
def test_the_middleware_does_not_take_what_only_a_router_does(name: str, bedrock: Any) -> None:
    """Agents have middleware of their own for that: it is refused and not sent to Bedrock."""
    options: dict[str, Any] = {name: True}

    with pytest.raises(ConfigurationError, match=f"{name} is one of ChatBedrockRouter"):
        BedrockRoutingMiddleware(tiers=TIERS, client=bedrock, **options)
