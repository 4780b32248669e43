"""Feedback on answers: from what a user holds in hand to the decision behind it, and its cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from langchain_core.messages import BaseMessage

from langchain_bedrock_opt.contracts import REPORT_KEY, RouteDecision
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing.records import Tier
from langchain_bedrock_opt.routing.targets import TYPICAL_OUTPUT_TOKENS

_TYPICAL_INPUT_TOKENS: Final = 200


def decision_of(answer: BaseMessage | RouteDecision | Mapping[str, Any]) -> RouteDecision:
    """The decision behind an answer.

    Args:
        answer: A router's message, its decision, or the decision as a dict.

    Raises:
        ConfigurationError: It is none of these, or a message without a decision.

    Example:
        >>> decision_of({"tier": "simple", "model_id": "m", "score": 0.1}).tier
        'simple'
    """
    if isinstance(answer, RouteDecision):
        return answer
    route: Any = answer
    if isinstance(answer, BaseMessage):
        route = answer.response_metadata.get(REPORT_KEY, {}).get("route")
        if route is None:
            raise ConfigurationError(
                "This message says nothing of a route: give one that a router answered, or the "
                "decision itself."
            )
    try:
        return RouteDecision.from_dict(route)
    except (KeyError, TypeError) as error:
        raise ConfigurationError(
            f"Feedback on {type(answer).__name__}: give a router's message, a RouteDecision or its "
            "dict. A run id alone does not tell how the run was routed."
        ) from error


def cost_shares(tiers: Sequence[Tier], price_weight: float) -> dict[str, float]:
    """What a typical call costs with each tier, as a share of the dearest one.

    Args:
        tiers: The tiers.
        price_weight: What the shares will be weighed with; if by nothing, no price is needed.

    Raises:
        ConfigurationError: A price is needed and not known.
    """
    if not price_weight:
        return {tier.name: 0.0 for tier in tiers}
    costs = {
        tier.name: tier.cost(
            input_tokens=_TYPICAL_INPUT_TOKENS, output_tokens=TYPICAL_OUTPUT_TOKENS
        )
        for tier in tiers
    }
    known = {name: cost for name, cost in costs.items() if cost is not None}
    if missing := [name for name in costs if name not in known]:
        raise ConfigurationError(
            f"The bandit weighs prices, and none is known for tier {', '.join(missing)}: give it "
            "price_weight=0."
        )
    dearest = max(known.values()) or 1
    return {name: cost / dearest for name, cost in known.items()}
