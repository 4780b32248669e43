"""The choice of a model for each prompt.

Lives here: what is in a request (`reading`, `lexicon`, `signals`), how hard it is (`scorer`),
which tier takes it (`policy`, `tiers`, `decider`), and the chat model that sends it there
(`chat_model`, with `forwarding`, `results`, `tools`, `structured` and `channel`). Does not live
here: facts and prices of models (`catalog`), caching, and anything that calls Bedrock itself.
Start at `chat_model.ChatBedrockRouter`. Tests: `tests/unit_tests/routing`.
"""

from __future__ import annotations

from langchain_bedrock_opt.contracts import Reason, RouteDecision
from langchain_bedrock_opt.routing.chat_model import ChatBedrockRouter
from langchain_bedrock_opt.routing.policy import Needs, RoutingPolicy, Tier
from langchain_bedrock_opt.routing.scorer import ComplexityScore, ComplexityScorer, Scorer
from langchain_bedrock_opt.routing.stickiness import Stickiness
from langchain_bedrock_opt.routing.targets import CalibrationCurve, ScoreSample

__all__ = [
    "CalibrationCurve",
    "ChatBedrockRouter",
    "ComplexityScore",
    "ComplexityScorer",
    "Needs",
    "Reason",
    "RouteDecision",
    "RoutingPolicy",
    "ScoreSample",
    "Scorer",
    "Stickiness",
    "Tier",
]
