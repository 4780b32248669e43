"""The most that a call can cost, and what it did cost: pure functions."""

from __future__ import annotations

from langchain_core.outputs import LLMResult

from langchain_bedrock_opt.catalog.prices import ModelPrice
from langchain_bedrock_opt.contracts import TokenUsage
from langchain_bedrock_opt.usage.billing import was_refused
from langchain_bedrock_opt.usage.budget.reading import Request
from langchain_bedrock_opt.usage.recording.pricing import RateCard, Resolved
from langchain_bedrock_opt.usage.recording.records import (
    DEFAULT_TIER,
    PROVISIONED,
    Outcome,
    outcome_of,
)


def worst_case(request: Request, rates: RateCard) -> int | None:
    """The most that a call can cost, in pico-USD; None if nobody knows.

    The prompt is taken at the dearest price it may get, as plain input or as a write to the
    prompt cache: a layer may add a cache point that a callback does not see.

    Args:
        request: The call.
        rates: What calls cost.
    """
    tokens, output = request.input_tokens, request.output_tokens
    price = _price(request, rates, Outcome(price_tier=request.tier))
    if price is not None and price.layer == "hourly":
        return 0  # however long its prompt and answer are
    if price is None or tokens is None or output is None:
        return None
    worst = price.cost(TokenUsage(input=tokens, output=output))
    if worst is None:
        return None
    if price.cache_write_5m is not None:
        worst = max(worst, price.cost(TokenUsage(cache_write_5m=tokens, output=output)) or 0)
    if price.cache_write_1h is not None:
        worst = max(worst, price.cost(TokenUsage(cache_write_1h=tokens, output=output)) or 0)
    return worst


def actual_cost(
    request: Request, response: LLMResult | None, error: BaseException | None, rates: RateCard
) -> int | None:
    """What a call that has ended cost, in pico-USD; None if nobody said, or it has no price.

    Args:
        request: The call.
        response: Its answer, or what came of it before it failed.
        error: Why it failed or was broken off; None if it finished.
        rates: What calls cost.
    """
    outcome = outcome_of(response)
    if outcome.cache_hit:
        return 0
    if outcome.usage is None:
        return 0 if error is not None and was_refused(error) else None
    if outcome.service_tier is None and outcome.price_tier == DEFAULT_TIER:
        outcome.price_tier = request.tier  # the answer names none
    price = _price(request, rates, outcome)
    return None if price is None else price.cost(outcome.usage)


def _price(request: Request, rates: RateCard, outcome: Outcome) -> ModelPrice | None:
    """The price of a call: of the model that answered, else of what it is known to call."""
    for model_id in (outcome.model_id, *request.model_ids):
        if model_id is not None:
            price = _price_of(model_id, request, rates, outcome)
            if price is not None:
                return price
    return None


def _price_of(
    model_id: str, request: Request, rates: RateCard, outcome: Outcome
) -> ModelPrice | None:
    identity = rates.identity(model_id)
    known = _known(model_id) if identity.hides_model else None
    resolved_id = identity.resolved_id
    if known is not None:
        resolved_id = known.resolved_id
    if model_id == outcome.model_id and outcome.resolved_id is not None:
        resolved_id = outcome.resolved_id
    is_provisioned = identity.provisioned or (known is not None and known.tier == PROVISIONED)
    return rates.rate(
        model_id,
        resolved_id=resolved_id,
        tier=PROVISIONED if is_provisioned else outcome.price_tier,
        region=outcome.region or identity.region or request.region,
        tags=request.tags,
    ).price


def _known(arn: str) -> Resolved | None:
    """What an ARN stands for, if this process has asked before."""
    from langchain_bedrock_opt.aws.resolution import known_resolution

    return known_resolution(arn)
