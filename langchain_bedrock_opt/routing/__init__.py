"""The choice of a model for each prompt.

Lives here: what is in a request (`reading`, `lexicon`, `signals`), how hard it is (`scorer`),
which tier takes it (`policy`, `tiers`, `decider`), the chat model that sends it there
(`chat_model`, with `forwarding`, `opening`, `results`, `tools`, `structured` and `channel`), and
who answers if that one fails (`attempts`, with `checks`, `refusals`, `escalation`, `break_even`,
`fallback`, `translation` and `recovery`). Does not live here: facts and prices of models
(`catalog`), caching, and anything that calls Bedrock itself.
Start at `chat_model.ChatBedrockRouter`. Tests: `tests/unit_tests/routing`.
"""

from __future__ import annotations

from langchain_bedrock_opt.contracts import Reason, RouteDecision
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
from langchain_bedrock_opt.routing.policy import Needs, RoutingPolicy, Tier
from langchain_bedrock_opt.routing.refusals import Refusal
from langchain_bedrock_opt.routing.scorer import ComplexityScore, ComplexityScorer, Scorer

__all__ = [
    "Agreement",
    "BreakEven",
    "ChatBedrockRouter",
    "Check",
    "ComplexityScore",
    "ComplexityScorer",
    "Cut",
    "Doubt",
    "Empty",
    "Escalation",
    "EscalationStats",
    "FailedSchema",
    "MalformedToolCall",
    "Needs",
    "Reason",
    "Refusal",
    "RouteDecision",
    "RoutingPolicy",
    "Scorer",
    "Tier",
    "Validator",
]
