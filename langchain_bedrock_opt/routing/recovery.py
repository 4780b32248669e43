"""From a router's `escalate` and `fallback` arguments to what plans its attempts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel

from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing.attempts import Attempts
from langchain_bedrock_opt.routing.escalation import Escalation, Escalator
from langchain_bedrock_opt.routing.fallback import Fallback, FallbackOrder
from langchain_bedrock_opt.routing.tiers import build_models, model_id_of


def make_attempts(
    models: Mapping[str, BaseChatModel],
    escalate: bool | Escalation | None,  # noqa: FBT001 - the router's argument, as it came
    fallback: Fallback,
    params: Mapping[str, Any],
) -> Attempts | None:
    """What plans a router's attempts; None if there is one for each request.

    Args:
        models: The tiers' chat models, from the cheapest to the strongest.
        escalate: The router's argument.
        fallback: The router's argument.
        params: Constructor arguments for an agreement model that is given as an id.

    Raises:
        ConfigurationError: An argument is not what it can be.
    """
    names = list(models)
    order = FallbackOrder(fallback, names)
    escalator = _escalator(models, escalate, params)
    if escalator is None and not order.is_on:
        return None
    ids = {name: model_id_of(model) for name, model in models.items()}
    return Attempts(ids, order, escalator)


def _escalator(
    models: Mapping[str, BaseChatModel],
    escalate: bool | Escalation | None,  # noqa: FBT001 - the router's argument, as it came
    params: Mapping[str, Any],
) -> Escalator | None:
    if escalate is None or escalate is False:
        return None
    policy = Escalation() if escalate is True else escalate
    if not isinstance(policy, Escalation):
        raise ConfigurationError(f"escalate={escalate!r}: give True, None or an Escalation(…).")
    if policy.agreement is None:
        return Escalator(policy)
    name = policy.agreement.model
    if isinstance(name, str) and name in models:
        model = models[name]
    else:
        own = params if isinstance(name, str) else {}
        model = build_models({"agreement": name}, own)["agreement"]
    return Escalator(policy, check_model=model, check_id=model_id_of(model))
