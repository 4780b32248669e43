"""From what a LangChain callback sees to tokens, model id and status: pure functions.

langchain-aws counts `input_tokens` with the tokens read from and written to the prompt cache in
it; Bedrock bills the three apart, so they are taken apart here, once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final

from langchain_core.messages import BaseMessage

from langchain_bedrock_opt.catalog.prices import price_of
from langchain_bedrock_opt.contracts import (
    REPORT_KEY,
    ROUTE_METADATA_KEY,
    CallStatus,
    RouteDecision,
    TokenUsage,
    UsageRecord,
)
from langchain_bedrock_opt.errors import BedrockServiceError
from langchain_bedrock_opt.usage.recording.runs import Run

UNKNOWN_MODEL: Final = "unknown"
"""Model id of a run that says nowhere which model it called."""

LATENCY_OPTIMIZED: Final = "latency-optimized"
"""Price tier of a call that latency-optimized inference served; it has a price of its own."""

_NO_TOKENS: Final = TokenUsage()
_NOTHING: Final[Mapping[str, Any]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an answer says about itself.

    Attributes:
        usage: Tokens that were spent; None if the answer does not say.
        saved: Tokens that a response cache saved.
        cache_hit: True if a response cache answered, ours or LangChain's.
        model_id: The model that answered, if the answer names it with its scope.
        service_tier: The service tier that served the call, from the response.
        price_tier: The tier to look a price up by.
        route: The router's decision, if it came with the answer.
    """

    usage: TokenUsage | None = None
    saved: TokenUsage = _NO_TOKENS
    cache_hit: bool = False
    model_id: str | None = None
    service_tier: str | None = None
    price_tier: str = "default"
    route: RouteDecision | None = None


def token_usage(usage_metadata: Mapping[str, Any]) -> TokenUsage:
    """Split LangChain's `usage_metadata` into the kinds that Bedrock bills.

    `input_tokens` includes cached tokens in every langchain-aws that this package runs with. A
    message from elsewhere (an older release, a stored one) may count them apart: that shows when
    `input_tokens` is smaller than the cached tokens, and is then taken at its word.

    Args:
        usage_metadata: As on an `AIMessage` or a merged `AIMessageChunk`.

    Example:
        >>> usage = token_usage(
        ...     {
        ...         "input_tokens": 7520,
        ...         "output_tokens": 5,
        ...         "input_token_details": {"cache_read": 7000, "cache_creation": 502},
        ...     }
        ... )
        >>> usage.input, usage.cache_read, usage.cache_write_5m
        (18, 7000, 502)
    """
    details = usage_metadata.get("input_token_details") or {}
    output_details = usage_metadata.get("output_token_details") or {}
    read = _count(details, "cache_read")
    write_1h = _count(details, "ephemeral_1h_input_tokens")
    write_5m = _count(details, "ephemeral_5m_input_tokens")
    # With a breakdown by time to live, langchain-aws sets the sum to 0; where a sum stands beside
    # a breakdown all the same, it contains it. Writes without one are Bedrock's default, 5 minutes.
    write_5m += max(0, _count(details, "cache_creation") - write_5m - write_1h)
    total_input = _count(usage_metadata, "input_tokens")
    cached = read + write_5m + write_1h
    return TokenUsage(
        input=total_input - cached if total_input >= cached else total_input,
        output=_count(usage_metadata, "output_tokens"),
        cache_read=read,
        cache_write_5m=write_5m,
        cache_write_1h=write_1h,
        reasoning=_count(output_details, "reasoning"),
    )


def _count(counts: Mapping[str, Any], name: str) -> int:
    return int(counts.get(name) or 0)


def read_message(message: BaseMessage) -> Outcome:
    """Read what an answer says about itself.

    A hit of our cache is told by the call report; one of LangChain's own by the `total_cost` of
    0 that langchain-core writes into the usage of a cached message. Neither spent a token.

    Args:
        message: The `AIMessage`, or the merged `AIMessageChunk` of a stream, finished or not.
    """
    metadata = message.response_metadata
    report = _mapping(metadata, REPORT_KEY)
    cache = _mapping(report, "cache")
    service_tier = _mapping(metadata, "serviceTier").get("type")
    usage_metadata: Mapping[str, Any] | None = getattr(message, "usage_metadata", None)
    usage = None if usage_metadata is None else token_usage(usage_metadata)
    saved = _NO_TOKENS
    cache_hit = False
    if cache.get("status") == "hit":
        cache_hit = True
        saved = TokenUsage.from_dict(_mapping(cache, "saved"))
    elif usage_metadata is not None and usage_metadata.get("total_cost", 1) == 0:
        cache_hit = True
        saved = usage or _NO_TOKENS
    # The latency-optimized price is not the default one, so the call is not priced as default.
    optimized = _mapping(metadata, "performanceConfig").get("latency") == "optimized"
    return Outcome(
        usage=_NO_TOKENS if cache_hit else usage,
        saved=saved,
        cache_hit=cache_hit,
        model_id=_routed_model_id(metadata) or report.get("model_id"),
        service_tier=service_tier,
        price_tier=LATENCY_OPTIMIZED if optimized else service_tier or "default",
        route=read_route(report.get("route")),
    )


def _routed_model_id(metadata: Mapping[str, Any]) -> str | None:
    """The model that a Bedrock prompt router chose; the call itself names the router's ARN."""
    chosen: str | None = _mapping(_mapping(metadata, "trace"), "promptRouter").get("invokedModelId")
    return chosen


def _mapping(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The dict under a key; an empty one if there is none."""
    value = values.get(key)
    # Answers are JSON, and asking for a dict is several times as fast as for any mapping.
    return value if isinstance(value, dict) else _NOTHING


def model_id_at_start(
    serialized: Mapping[str, Any] | None,
    invocation_params: Mapping[str, Any] | None,
    metadata: Mapping[str, Any] | None,
) -> str:
    """The model id that a run was started with, for runs whose answer does not name it.

    A `model_id` of the call itself comes first, then the model's own. What LangSmith calls
    `ls_model_name` comes last: where a base model is set, it names that and not the ARN.

    Args:
        serialized: The model as LangChain serializes it for callbacks.
        invocation_params: Parameters of this call.
        metadata: Metadata of the run.

    Example:
        >>> model_id_at_start({"kwargs": {"model_id": "us.amazon.nova-lite-v1:0"}}, {}, {})
        'us.amazon.nova-lite-v1:0'
    """
    params = invocation_params or _NOTHING
    fields = _mapping(serialized or _NOTHING, "kwargs")
    found: str = (
        params.get("model_id")
        or fields.get("model_id")
        or fields.get("model")
        or params.get("model")
        or (metadata or _NOTHING).get("ls_model_name")
        or UNKNOWN_MODEL
    )
    return found


def read_route(values: object) -> RouteDecision | None:
    """A route decision from its dict form; None if there is none, or it can't be read."""
    if not isinstance(values, Mapping):
        return None
    try:
        return RouteDecision.from_dict(values)
    except (KeyError, TypeError, ValueError):
        return None  # another version's form: the call itself still counts


def status_of(error: BaseException | None) -> CallStatus:
    """`ok` without an error, `error` if the run failed, `aborted` if its consumer broke it off.

    Closing a generator, cancelling a task and Ctrl-C are no `Exception`; all failures are.
    """
    if error is None:
        return "ok"
    return "error" if isinstance(error, Exception) else "aborted"


def error_code(error: BaseException) -> str:
    """AWS's error code if the error carries one, else the name of its class.

    Example:
        >>> error_code(TimeoutError())
        'TimeoutError'
    """
    response = getattr(error, "response", None)
    code = _mapping(response, "Error").get("Code") if isinstance(response, Mapping) else None
    return str(code or type(error).__name__)


def record_of(
    run: Run,
    run_id: str,
    *,
    ended: float,
    outcome: Outcome,
    error: BaseException | None = None,
    metadata_keys: Sequence[str] = (),
) -> UsageRecord:
    """The record of a run that has ended, priced.

    Args:
        run: What was known at its start.
        run_id: LangChain's run id.
        ended: When it ended, on the clock of `run.started`.
        outcome: What its answer says.
        error: Why it failed or was broken off; None if it finished.
        metadata_keys: Keys of the run's metadata to keep.
    """
    event, status = run.event, status_of(error)
    metadata: Mapping[str, Any] = event.get("metadata") or _NOTHING
    model_id = (
        outcome.model_id
        or (error.model_id if isinstance(error, BedrockServiceError) else None)
        or model_id_at_start(run.serialized, event.get("invocation_params"), metadata)
    )
    price = price_of(model_id, tier=outcome.price_tier)
    usage, first_delta, parent = outcome.usage, run.first_delta, event.get("parent_run_id")
    return UsageRecord(
        run_id=run_id,
        parent_run_id=None if parent is None else str(parent),
        started_at=datetime.fromtimestamp(run.started_at, timezone.utc),
        model_id=model_id,
        status=status,
        usage=usage,
        saved=outcome.saved,
        cache_hit=outcome.cache_hit,
        cost_pico_usd=price.cost(usage) if price is not None and usage is not None else None,
        saved_pico_usd=price.cost(outcome.saved) if price is not None else None,
        latency_ms=(ended - run.started) * 1000,
        ttft_ms=None if first_delta is None else (first_delta - run.started) * 1000,
        error=error_code(error) if error is not None and status == "error" else None,
        service_tier=outcome.service_tier,
        route=read_route(metadata.get(ROUTE_METADATA_KEY)) or outcome.route,
        tags=tuple(event.get("tags") or ()),
        metadata={key: metadata[key] for key in metadata_keys if key in metadata},
    )
