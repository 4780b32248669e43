"""From a router's `escalate` and `fallback` arguments to what plans its attempts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel

from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing.policy import RoutingPolicy
from langchain_bedrock_opt.routing.readers import check_reader
from langchain_bedrock_opt.routing.recovery.attempts import Attempts
from langchain_bedrock_opt.routing.recovery.escalation import (
    Escalation,
    EscalationHistory,
    Escalator,
)
from langchain_bedrock_opt.routing.recovery.fallback import Fallback, FallbackOrder
from langchain_bedrock_opt.routing.tiers import build_models, model_id_of


def make_attempts(
    models: Mapping[str, BaseChatModel],
    escalate: bool | Escalation | None,  # noqa: FBT001 - the router's argument, as it came
    fallback: Fallback,
    params: Mapping[str, Any],
    *,
    policy: RoutingPolicy,
    history: EscalationHistory,
) -> Attempts | None:
    """What plans a router's attempts; None if there is one for each request.

    Args:
        models: The tiers' chat models, from the cheapest to the strongest.
        escalate: The router's argument.
        fallback: The router's argument.
        params: Constructor arguments for an agreement model that is given as an id.
        policy: Says where data may go.
        history: What escalation counts, and learns by.

    Raises:
        ConfigurationError: An argument is not what it can be, or data may not go to the agreement
            model.
    """
    names = list(models)
    order = FallbackOrder(fallback, names)
    escalator = _escalator(models, escalate, params, policy, history)
    if escalator is None and not order.is_on:
        return None
    ids = {name: model_id_of(model) for name, model in models.items()}
    return Attempts(ids, order, escalator)


def _escalator(
    models: Mapping[str, BaseChatModel],
    escalate: bool | Escalation | None,  # noqa: FBT001 - the router's argument, as it came
    params: Mapping[str, Any],
    policy: RoutingPolicy,
    history: EscalationHistory,
) -> Escalator | None:
    if escalate is None or escalate is False:
        return None
    escalation = Escalation() if escalate is True else escalate
    if not isinstance(escalation, Escalation):
        raise ConfigurationError(f"escalate={escalate!r}: give True, None or an Escalation(…).")
    if escalation.agreement is None:
        return Escalator(escalation, history)
    model = _check_model(escalation.agreement.model, models, params)
    check_reader(policy.residency, "Agreement model", model)
    return Escalator(escalation, history, check_model=model, check_id=model_id_of(model))


def _check_model(
    named: str | BaseChatModel, models: Mapping[str, BaseChatModel], params: Mapping[str, Any]
) -> BaseChatModel:
    if isinstance(named, str) and named in models:
        return models[named]
    own = params if isinstance(named, str) else {}
    return build_models({"agreement": named}, own)["agreement"]
