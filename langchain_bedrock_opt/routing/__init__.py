"""The choice of a model for each prompt.

Lives here: how hard a request is (`scoring`), which tier takes it (`policy` with `targets`,
`limits` and `effort`; `tiers`, `stickiness`, `decider`), whether others may read it (`readers`),
who answers if that fails (`recovery`), what is learned from labels and feedback (`learning`), what
only watches (`shadow`), and the doors: the chat model that sends a prompt there (`chat_model` over
`deciding` and `forwarding`, with `opening`, `watching`, `results`, `tools`, `structured` and
`channel`), the agents' `middleware`, and `route`, which only decides; `explain` and `report` tell
people of it. Does not live here: facts and prices of models (`catalog`), caching, and anything that
calls Bedrock itself.
Start at `chat_model.ChatBedrockRouter`. Tests: `tests/unit_tests/routing`, and for faults and
crowds `tests/integration_tests/routing`.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from langchain_bedrock_opt.contracts import Reason, RouteDecision
from langchain_bedrock_opt.errors import CalibrationError
from langchain_bedrock_opt.routing.chat_model import ChatBedrockRouter
from langchain_bedrock_opt.routing.explain import Explanation
from langchain_bedrock_opt.routing.learning.bandit import ThresholdBandit
from langchain_bedrock_opt.routing.learning.calibration import Calibration
from langchain_bedrock_opt.routing.learning.examples import Example
from langchain_bedrock_opt.routing.learning.learned import LearnedScorer
from langchain_bedrock_opt.routing.learning.off_policy import Estimate, PolicyEstimate
from langchain_bedrock_opt.routing.policy import Needs, RoutingPolicy, Tier
from langchain_bedrock_opt.routing.recovery.break_even import BreakEven
from langchain_bedrock_opt.routing.recovery.checks import (
    Check,
    Cut,
    Doubt,
    Empty,
    FailedSchema,
    MalformedToolCall,
    Validator,
)
from langchain_bedrock_opt.routing.recovery.escalation import (
    Agreement,
    Escalation,
    EscalationHistory,
    EscalationStats,
)
from langchain_bedrock_opt.routing.recovery.refusals import Refusal
from langchain_bedrock_opt.routing.report import RoutingReport
from langchain_bedrock_opt.routing.route import route
from langchain_bedrock_opt.routing.scoring.asking import AsyncScorer
from langchain_bedrock_opt.routing.scoring.embedding import EmbeddingScorer
from langchain_bedrock_opt.routing.scoring.judge import JudgeScorer
from langchain_bedrock_opt.routing.scoring.neighbours import LabelledVectors
from langchain_bedrock_opt.routing.scoring.prompt_router import PromptRouterScorer
from langchain_bedrock_opt.routing.scoring.scorer import ComplexityScore, ComplexityScorer, Scorer
from langchain_bedrock_opt.routing.stickiness import Stickiness
from langchain_bedrock_opt.routing.targets import CalibrationCurve, ScoreSample

if TYPE_CHECKING:
    from langchain_bedrock_opt.routing.middleware import BedrockRoutingMiddleware

__all__ = [
    "Agreement",
    "AsyncScorer",
    "BreakEven",
    "Calibration",
    "CalibrationCurve",
    "CalibrationError",
    "ChatBedrockRouter",
    "Check",
    "ComplexityScore",
    "ComplexityScorer",
    "Cut",
    "Doubt",
    "EmbeddingScorer",
    "Empty",
    "Escalation",
    "EscalationHistory",
    "EscalationStats",
    "Estimate",
    "Example",
    "Explanation",
    "FailedSchema",
    "JudgeScorer",
    "LabelledVectors",
    "LearnedScorer",
    "MalformedToolCall",
    "Needs",
    "PolicyEstimate",
    "PromptRouterScorer",
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

if find_spec("langchain") is not None:
    # `import *` asks for all of these. Asked for by its name, it says which extra it needs.
    __all__ += ["BedrockRoutingMiddleware"]


def __getattr__(name: str) -> Any:
    """Import the agent middleware when it is first used: it needs the extra `agents`."""
    if name != "BedrockRoutingMiddleware":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.middleware").BedrockRoutingMiddleware
