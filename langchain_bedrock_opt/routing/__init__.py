"""The choice of a model for each prompt.

Lives here: what is in a request (`reading`, `lexicon`, `signals`), how hard it is (`scorer`),
which tier takes it (`policy` with `targets`, `limits` and `effort`; `tiers`, `stickiness`,
`decider`), what is drawn at random and learned from it (`exploration` with `turns`, `bandit` with
`feedback`, `off_policy`), what only watches (`shadow`), and the doors: the chat model that sends
it there (`chat_model`, with `forwarding`, `opening`, `results`, `tools`, `structured` and
`channel`), the agents' `middleware`, and `route`, which only decides; `explain` and `report` tell
people of it. Who answers if a tier fails: `attempts`, with `checks`, `refusals`, `escalation`,
`break_even`, `fallback`, `translation` and `recovery`. Does not live here: facts and prices of
models (`catalog`), caching, and anything that calls Bedrock itself.
Start at `chat_model.ChatBedrockRouter`. Tests: `tests/unit_tests/routing`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from langchain_bedrock_opt.contracts import Reason, RouteDecision
from langchain_bedrock_opt.routing.bandit import ThresholdBandit
from langchain_bedrock_opt.routing.break_even import BreakEven
from langchain_bedrock_opt.routing.chat_model import ChatBedrockRouter
from langchain_bedrock_opt.routing.checks import (
    Check,
    Cut,
    Doubt,
    Empty,
    FailedSchema,
    MalformedToolCall,
    Validator,
)
from langchain_bedrock_opt.routing.escalation import Agreement, Escalation, EscalationStats
from langchain_bedrock_opt.routing.explain import Explanation
from langchain_bedrock_opt.routing.off_policy import Estimate, PolicyEstimate
from langchain_bedrock_opt.routing.policy import Needs, RoutingPolicy, Tier
from langchain_bedrock_opt.routing.refusals import Refusal
from langchain_bedrock_opt.routing.report import RoutingReport
from langchain_bedrock_opt.routing.route import route
from langchain_bedrock_opt.routing.scorer import ComplexityScore, ComplexityScorer, Scorer
from langchain_bedrock_opt.routing.stickiness import Stickiness
from langchain_bedrock_opt.routing.targets import CalibrationCurve, ScoreSample

if TYPE_CHECKING:
    from langchain_bedrock_opt.routing.middleware import BedrockRoutingMiddleware

__all__ = [
    "Agreement",
    "BedrockRoutingMiddleware",
    "BreakEven",
    "CalibrationCurve",
    "ChatBedrockRouter",
    "Check",
    "ComplexityScore",
    "ComplexityScorer",
    "Cut",
    "Doubt",
    "Empty",
    "Escalation",
    "EscalationStats",
    "Estimate",
    "Explanation",
    "FailedSchema",
    "MalformedToolCall",
    "Needs",
    "PolicyEstimate",
    "Reason",
    "Refusal",
    "RouteDecision",
    "RoutingPolicy",
    "RoutingReport",
    "ScoreSample",
    "Scorer",
    "Stickiness",
    "ThresholdBandit",
    "Tier",
    "Validator",
    "route",
]


def __getattr__(name: str) -> Any:
    """Import the agent middleware when it is first used: it needs the extra `agents`."""
    if name != "BedrockRoutingMiddleware":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.middleware").BedrockRoutingMiddleware
