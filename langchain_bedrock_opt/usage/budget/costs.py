"""The most that a call can cost, and what it did cost: pure functions."""

from __future__ import annotations

import sys
from typing import Final

from langchain_core.outputs import ChatGeneration, LLMResult

from langchain_bedrock_opt.catalog.price_book import PriceBook
from langchain_bedrock_opt.catalog.prices import ModelPrice
from langchain_bedrock_opt.contracts import TokenUsage
from langchain_bedrock_opt.errors import (
    AccessDeniedError,
    BedrockServiceError,
    ConfigurationError,
    InvalidRequestError,
    RequestTooLargeOrOverQuotaError,
    ServiceUnavailableError,
    ThrottledError,
)
from langchain_bedrock_opt.usage.budget.reading import Request
from langchain_bedrock_opt.usage.recording.records import Outcome, read_message

_REFUSALS: Final = (
    AccessDeniedError,
    InvalidRequestError,
    RequestTooLargeOrOverQuotaError,
    ServiceUnavailableError,
    ThrottledError,
)
"""Errors of calls that no model has worked on. A timeout and a model's own error are not here:
those may be billed. Unverified against AWS."""


def worst_case(request: Request, prices: PriceBook) -> int | None:
    """The most that a call can cost, in pico-USD; None if nobody knows.

    The prompt is taken at the dearest price it may get, as plain input or as a write to the
    prompt cache: a layer may add a cache point that a callback does not see.

    Args:
        request: The call.
        prices: Where prices come from.
    """
    tokens, output = request.input_tokens, request.output_tokens
    price = _price(request, prices, request.tier)
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
    request: Request, response: LLMResult | None, error: BaseException | None, prices: PriceBook
) -> int | None:
    """What a call that has ended cost, in pico-USD; None if nobody said, or it has no price.

    Args:
        request: The call.
        response: Its answer, or what came of it before it failed.
        error: Why it failed or was broken off; None if it finished.
        prices: Where prices come from.
    """
    outcome = _outcome(response)
    if outcome.cache_hit:
        return 0
    if outcome.usage is None:
        return 0 if error is not None and _was_refused(error) else None
    price = _price(request, prices, outcome.price_tier, outcome.model_id)
    return None if price is None else price.cost(outcome.usage)


def _price(
    request: Request, prices: PriceBook, tier: str, answered_by: str | None = None
) -> ModelPrice | None:
    for model_id in (answered_by, *request.model_ids):
        if model_id is not None:
            price = prices.price_of(model_id, tier=tier, region=request.region, tags=request.tags)
            if price is not None:
                return price
    return None


def _outcome(response: LLMResult | None) -> Outcome:
    """What the first answer of a result says; nothing if there is none."""
    if response is not None and response.generations and response.generations[0]:
        generation = response.generations[0][0]
        if isinstance(generation, ChatGeneration):
            return read_message(generation.message)
    return Outcome()


def _was_refused(error: BaseException) -> bool:
    """Whether a call failed before a model worked on it, so that it costs nothing."""
    if isinstance(error, ConfigurationError):
        return True  # ours, before anything is sent
    if not isinstance(error, BedrockServiceError):
        known = _as_service_error(error)
        if known is None:
            return False
        error = known
    # An error with a code and without an HTTP status came inside a stream, which had begun.
    had_begun = bool(error.code) and error.status_code is None
    return isinstance(error, _REFUSALS) and not had_begun


def _as_service_error(error: BaseException) -> BedrockServiceError | None:
    """An error of a chat model that is not this package's, as ours; None if it is not AWS's."""
    if "botocore" not in sys.modules:
        return None  # nobody has called AWS, and importing it takes a moment
    from langchain_bedrock_opt.aws.errors import BOTOCORE_ERRORS, service_error

    return service_error(error, None) if isinstance(error, BOTOCORE_ERRORS) else None
