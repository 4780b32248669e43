"""From what a LangChain callback sees to tokens, model id and status: pure functions.

langchain-aws counts `input_tokens` with the tokens read from and written to the prompt cache in
it (see `meaning`); Bedrock bills the three apart, so they are taken apart here, once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any, Final

from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult

from langchain_bedrock_opt.aws.attempts import THROTTLE_CODES
from langchain_bedrock_opt.catalog.prices import price_tier_of
from langchain_bedrock_opt.contracts import (
    REPORT_KEY,
    ROUTE_METADATA_KEY,
    CallStatus,
    RouteDecision,
    TokenUsage,
    UsageRecord,
)
from langchain_bedrock_opt.errors import BedrockServiceError
from langchain_bedrock_opt.usage.recording.drafts import (
    RecordDraft,
    TokensDraft,
    sealed_record,
    sealed_tokens,
)
from langchain_bedrock_opt.usage.recording.meaning import input_includes_cache, release_of
from langchain_bedrock_opt.usage.recording.pricing import NO_TOKENS, RateCard, Resolved
from langchain_bedrock_opt.usage.recording.runs import Run

UNKNOWN_MODEL: Final = "unknown"
"""Model id of a run that says nowhere which model it called."""

LANGCHAIN_CACHE: Final = "langchain"
"""`cache_tier` of a hit of LangChain's own cache."""

DEFAULT_TIER: Final = "default"
BATCH: Final = "batch"
LATENCY_OPTIMIZED: Final = "latency-optimized"
PROVISIONED: Final = "provisioned"

_LANGCHAINS_TAGS: Final = ("seq:step:", "map:key:", "graph:step:", "langsmith:")
"""How tags begin that LangChain gives runs itself; the path says more."""

_NOTHING: Final[Mapping[str, Any]] = {}


@dataclass(slots=True, kw_only=True, eq=False)
class Outcome:
    """What an answer says about itself. See `UsageRecord` for what is not said here.

    Attributes:
        usage: Tokens that were spent; None if the answer does not say.
        saved: Tokens that a response cache saved.
        cache_tier: Which response cache answered, if one did.
        cache_status: What our response cache did.
        model_id: The model that answered, if the answer names it with its scope.
        price_tier: The tier to look a price up by.
        route: The router's decision, if it came with the answer.
    """

    usage: TokenUsage | None = None
    saved: TokenUsage = NO_TOKENS
    cache_hit: bool = False
    cache_tier: str | None = None
    cache_status: str | None = None
    model_id: str | None = None
    resolved_id: str | None = None
    region: str | None = None
    stop_reason: str | None = None
    service_tier: str | None = None
    performance: str | None = None
    price_tier: str = DEFAULT_TIER
    model_latency_ms: float | None = None
    waited_ms: float = 0.0
    retries: int = 0
    throttles: int = 0
    route: RouteDecision | None = None


def token_usage(usage_metadata: Mapping[str, Any], *, inclusive: bool = True) -> TokenUsage:
    """Split LangChain's `usage_metadata` into the kinds that Bedrock bills.

    Args:
        usage_metadata: As on an `AIMessage` or a merged `AIMessageChunk`.
        inclusive: Whether `input_tokens` includes cached tokens; see `meaning`. It can't if there
            are fewer, whoever says so.

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
    details = usage_metadata.get("input_token_details") or _NOTHING
    output_details = usage_metadata.get("output_token_details") or _NOTHING
    read = details.get("cache_read") or 0
    write_1h = details.get("ephemeral_1h_input_tokens") or 0
    write_5m = details.get("ephemeral_5m_input_tokens") or 0
    # With a breakdown by time to live, langchain-aws sets the sum to 0; where a sum stands beside
    # a breakdown all the same, it contains it. Writes without one are Bedrock's default, 5 minutes.
    write_5m += max(0, (details.get("cache_creation") or 0) - write_5m - write_1h)
    total_input = usage_metadata.get("input_tokens") or 0
    cached = read + write_5m + write_1h
    return sealed_tokens(
        TokensDraft(
            input=total_input - cached if inclusive and total_input >= cached else total_input,
            output=usage_metadata.get("output_tokens") or 0,
            cache_read=read,
            cache_write_5m=write_5m,
            cache_write_1h=write_1h,
            reasoning=output_details.get("reasoning") or 0,
        )
    )


def outcome_of(response: LLMResult | None, event: Mapping[str, Any] = _NOTHING) -> Outcome:
    """What the first answer of a result says; nothing if there is none.

    Args:
        response: What LangChain tells of an answer, if it does.
        event: What it told when the run started.
    """
    if response is None or not response.generations or not response.generations[0]:
        return Outcome()
    generation = response.generations[0][0]
    if isinstance(generation, ChatGeneration):
        return read_message(generation.message, release=release_of(event.get("metadata") or {}))
    # A text model's answer has its tokens beside it.
    counts = _mapping(response.llm_output or _NOTHING, "usage")
    if "prompt_tokens" not in counts:
        return Outcome()
    usage = TokenUsage(
        input=counts["prompt_tokens"] or 0, output=counts.get("completion_tokens") or 0
    )
    return Outcome(usage=usage)


def read_message(message: BaseMessage, *, release: str | None = None) -> Outcome:
    """Read what an answer says about itself.

    A hit of LangChain's own cache is told by the `total_cost` of 0 that langchain-core writes
    into the usage of a cached message; one of our cache by the call report. Neither spent a token.

    Args:
        message: The `AIMessage`, or the merged `AIMessageChunk` of a stream, finished or not.
        release: The langchain-aws that made it; None takes the installed one.
    """
    metadata = message.response_metadata
    counts: Mapping[str, Any] | None = getattr(message, "usage_metadata", None)
    usage = None
    if counts is not None:
        inclusive = input_includes_cache(metadata.get("model_provider"), release)
        usage = token_usage(counts, inclusive=inclusive)
    # What is absent in most answers is not looked into: this is the way of every call.
    outcome = Outcome(
        usage=usage, stop_reason=metadata.get("stopReason") or metadata.get("stop_reason")
    )
    if "serviceTier" in metadata or "performanceConfig" in metadata:
        _read_tier(outcome, metadata)
    if counts is not None and counts.get("total_cost", 1) == 0:
        _note_hit(outcome, LANGCHAIN_CACHE, usage)
    else:  # a cached answer still says how its call went
        outcome.model_latency_ms = _latency(_mapping(metadata, "metrics").get("latencyMs"))
        attempts = _mapping(metadata, "ResponseMetadata").get("RetryAttempts")
        outcome.retries = attempts or 0
    if REPORT_KEY in metadata:
        _read_report(outcome, _mapping(metadata, REPORT_KEY))
    if "trace" in metadata:
        outcome.model_id = _routed_model_id(metadata) or outcome.model_id
    return outcome


def _read_tier(outcome: Outcome, metadata: Mapping[str, Any]) -> None:
    """By what an answer was served, and is billed."""
    outcome.service_tier = _mapping(metadata, "serviceTier").get("type")
    outcome.performance = _mapping(metadata, "performanceConfig").get("latency")
    outcome.price_tier = price_tier_of(metadata)


def _read_report(outcome: Outcome, report: Mapping[str, Any]) -> None:
    """Add what this package says of a call."""
    outcome.model_id = report.get("model_id")
    outcome.resolved_id = report.get("resolved_id")
    outcome.region = report.get("region")
    outcome.route = read_route(report.get("route"))
    if report.get("batch"):
        outcome.price_tier = BATCH
    if "cache" in report:
        cache = _mapping(report, "cache")
        # What LangChain's own cache answers says how it was for the first call.
        if not outcome.cache_hit or cache.get("status") == "hit":
            outcome.cache_status = cache.get("status")
        if cache.get("status") == "hit":
            # LangChain may have stored an answer that was a hit of ours: its usage is zero.
            saved = TokenUsage.from_dict(_mapping(cache, "saved"))
            _note_hit(outcome, cache.get("tier") or outcome.cache_tier, saved)
    if not outcome.cache_hit:
        outcome.retries = report.get("retries") or outcome.retries
        outcome.throttles = report.get("throttles", 0)
        if "lane" in report:
            outcome.waited_ms = 1000 * _mapping(report, "lane").get("waited_seconds", 0.0)


def _note_hit(outcome: Outcome, tier: str | None, saved: TokenUsage | None) -> None:
    """Note a response cache's hit: what the answer names was saved, and nothing spent."""
    outcome.cache_hit = True
    outcome.cache_tier = tier
    outcome.saved, outcome.usage = saved or NO_TOKENS, NO_TOKENS
    outcome.model_latency_ms, outcome.retries = None, 0


def _latency(value: object) -> float | None:
    """`metrics.latencyMs`: a number, which langchain-aws puts into a list unless it streams."""
    if isinstance(value, list):
        value = value[0] if value else None
    return float(value) if isinstance(value, (int, float)) else None


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
    if values is None or not isinstance(values, Mapping):  # None is quicker told
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
    kind = type(error)
    if not code and kind.__name__ == BedrockServiceError.__name__ and len(kind.__bases__) > 1:
        kind = kind.__bases__[0]  # ours says less than botocore's own class
    return str(code or kind.__name__)


def called_model(run: Run, outcome: Outcome, error: BaseException | None) -> str:
    """The model id or ARN that a run called.

    Args:
        run: What was known at its start.
        outcome: What its answer says.
        error: Why it failed, if it did.
    """
    if outcome.model_id:
        return outcome.model_id
    if isinstance(error, BedrockServiceError) and error.model_id:
        return error.model_id
    return model_at_start(run)


def model_at_start(run: Run) -> str:
    """The model id or ARN that a run was started with, as far as its start says."""
    event = run.event
    return model_id_at_start(run.serialized, event.get("invocation_params"), event.get("metadata"))


def record_of(
    run: Run,
    *,
    ended: float,
    outcome: Outcome,
    model_id: str,
    rates: RateCard,
    resolved: Resolved | None = None,
    error: BaseException | None = None,
    metadata_keys: Sequence[str] = (),
) -> UsageRecord:
    """The record of a run that has ended, priced.

    Args:
        run: What was known at its start.
        ended: When it ended, on the clock of `run.started`.
        outcome: What its answer says.
        model_id: The model that it called.
        rates: What calls cost.
        resolved: What the model's ARN stands for, if it had to be asked.
        error: Why it failed or was broken off; None if it finished.
        metadata_keys: Keys of the run's metadata to keep.
    """
    event, status = run.event, status_of(error)
    metadata: Mapping[str, Any] = event.get("metadata") or _NOTHING
    resolved_id, price_tier, region = _terms(run, model_id, outcome, rates, resolved)
    region = (
        region
        or (error.region if isinstance(error, BedrockServiceError) else None)
        or _mapping(metadata, "ls_invocation_params").get("region_name")
    )
    tags = tuple([tag for tag in event.get("tags") or () if not tag.startswith(_LANGCHAINS_TAGS)])
    rate = rates.rate(model_id, resolved_id=resolved_id, tier=price_tier, region=region, tags=tags)
    price, charge = rate.price, rate.charge(outcome.usage, outcome.saved)
    first_delta, parent = run.first_delta, event.get("parent_run_id")
    retries, throttles = (outcome.retries, outcome.throttles) if error is None else _attempts(error)
    draft = RecordDraft(
        run_id=str(run.run_id),
        parent_run_id=None if parent is None else str(parent),
        started_at=datetime.fromtimestamp(run.started_at, timezone.utc),
        model_id=model_id,
        resolved_id=resolved_id,
        region=region,
        status=status,
        stop_reason=outcome.stop_reason,
        usage=outcome.usage,
        saved=outcome.saved,
        cache_hit=outcome.cache_hit,
        cache_tier=outcome.cache_tier,
        cache_status=outcome.cache_status,
        cost_pico_usd=charge.cost,
        list_pico_usd=charge.list_price,
        uncached_pico_usd=charge.uncached,
        saved_pico_usd=charge.saved,
        price_tier=price_tier,
        price_source=None if price is None else price.layer,
        price_checked=None if price is None else price.checked,
        service_tier=outcome.service_tier,
        performance=outcome.performance,
        latency_ms=(ended - run.started) * 1000,
        model_latency_ms=outcome.model_latency_ms,
        ttft_ms=None if first_delta is None else (first_delta - run.started) * 1000,
        waited_ms=outcome.waited_ms,
        retries=retries,
        throttles=throttles,
        error=error_code(error) if error is not None and status == "error" else None,
        route=read_route(metadata.get(ROUTE_METADATA_KEY)) or outcome.route,
        path=_path(run),
        tags=tags,
        metadata={key: metadata[key] for key in metadata_keys if key in metadata},
    )
    return sealed_record(draft)


def _path(run: Run) -> tuple[str, ...]:
    """The names of the runs around it, and its own if somebody gave it one."""
    around = () if run.place is None else run.place.path()
    name = run.event.get("name")
    return (*around, name) if name else around


def _terms(
    run: Run, model_id: str, outcome: Outcome, rates: RateCard, resolved: Resolved | None
) -> tuple[str | None, str, str | None]:
    """What a model id stands for, by what it is billed, and the region that is called by it."""
    identity = rates.identity(model_id)
    resolved_id = outcome.resolved_id or identity.resolved_id
    is_provisioned = identity.provisioned
    if resolved is not None:
        resolved_id = resolved_id or resolved.resolved_id
        is_provisioned = is_provisioned or resolved.tier == PROVISIONED
    price_tier = PROVISIONED if is_provisioned else outcome.price_tier
    if price_tier == DEFAULT_TIER and outcome.service_tier is None and not outcome.cache_hit:
        # InvokeModel's answers, and none at all, name no tier: then it is the one asked for.
        price_tier = asked_tier(run.serialized, run.event.get("invocation_params"))
    return resolved_id, price_tier, outcome.region or identity.region


def asked_tier(
    serialized: Mapping[str, Any] | None, invocation_params: Mapping[str, Any] | None
) -> str:
    """The price tier that a call asks for.

    Args:
        serialized: The model as LangChain serializes it for callbacks.
        invocation_params: Parameters of this call.

    Example:
        >>> asked_tier({"kwargs": {"service_tier": "flex"}}, {})
        'flex'
    """
    params, fields = invocation_params or _NOTHING, _mapping(serialized or _NOTHING, "kwargs")
    performance = (
        params.get("performance_config")
        or params.get("performanceConfig")
        or fields.get("performance_config")
    )
    if isinstance(performance, dict) and performance.get("latency") == "optimized":
        return LATENCY_OPTIMIZED
    tier = params.get("service_tier") or params.get("serviceTier") or fields.get("service_tier")
    return tier if isinstance(tier, str) else DEFAULT_TIER


def _attempts(error: BaseException) -> tuple[int, int]:
    """Attempts beyond the first, and throttled ones, of a call that failed.

    A client that is not ours says only how often it tried; the last throttle is the error itself.
    """
    response = getattr(error, "response", None)
    said = _mapping(response, "ResponseMetadata") if isinstance(response, dict) else _NOTHING
    is_throttle = error_code(error).lower() in THROTTLE_CODES
    retries, throttles = said.get("RetryAttempts") or 0, int(is_throttle)
    if isinstance(error, BedrockServiceError):
        return error.retries or retries, error.throttles or throttles
    return retries, throttles


def estimated(record: UsageRecord, usage: TokenUsage, rates: RateCard) -> UsageRecord:
    """The record of an unmetered run, with what it is likely to be billed for.

    Args:
        record: The record without.
        usage: The likely tokens.
        rates: What calls cost.
    """
    rate = rates.rate(
        record.model_id,
        resolved_id=record.resolved_id,
        tier=record.price_tier,
        region=record.region,
        tags=record.tags,
    )
    return replace(
        record, unmetered=True, estimate=usage, estimate_pico_usd=rate.charge(usage).cost
    )
