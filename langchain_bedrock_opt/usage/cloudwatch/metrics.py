"""Which CloudWatch metrics come out of a usage record: two ready sets, as data.

Values are whole numbers in a small unit (pico-dollars, microseconds), divided only when they are
sent. So a sum does not depend on the order in which it was added up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from langchain_bedrock_opt.contracts import TokenUsage, UsageRecord
from langchain_bedrock_opt.usage.reporting.totals import is_unpriced
from langchain_bedrock_opt.usage.waiting import latency_of, ttft_of

SERVICE_ONLY: Final = (("Service",),)
"""Dimension sets of a metric that is sent over all models."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric.

    Attributes:
        name: Its name in CloudWatch.
        unit: Its CloudWatch unit.
        value: Its value for a record, in the small unit; None if the record has none, which adds
            nothing to the metric, not even a 0.
        per_unit: How many of the small unit are one of what CloudWatch gets.
        percentiles: Whether it is sent so that CloudWatch can tell its percentiles. Its values
            must not be negative then. Other metrics have sum, count, average and extremes.
        dimensions: Dimension sets of its own; None takes the sink's.

    Example:
        >>> reasoning = Metric(
        ...     name="ReasoningTokens",
        ...     unit="Count",
        ...     value=lambda record: record.usage.reasoning if record.usage else None,
        ... )
    """

    name: str
    unit: str
    value: Callable[[UsageRecord], int | None]
    per_unit: int = 1
    percentiles: bool = False
    dimensions: tuple[tuple[str, ...], ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSet:
    """Metrics that are sent together.

    Attributes:
        metrics: The metrics.
        dimensions: The dimension sets, unless the sink or a metric has its own.
        health: Whether the sink adds metrics about itself: `TelemetryDropped`,
            `TelemetryFolded`, `FlushErrors` and `FlushAmbiguous`.
        model_dimension: What the dimension of the model id is called.
    """

    metrics: tuple[Metric, ...]
    dimensions: tuple[tuple[str, ...], ...] = (("Service", "Model"), ("Service",))
    health: bool = True
    model_dimension: str = "Model"


def _calls(_: UsageRecord) -> int:
    return 1


def _errors(record: UsageRecord) -> int | None:
    return 1 if record.status == "error" else None


def _hits(record: UsageRecord) -> int | None:
    return 1 if record.cache_hit else None


def _misses(record: UsageRecord) -> int | None:
    return 1 if record.cache_status == "miss" else None


def _savings(record: UsageRecord) -> int | None:
    return record.saved_pico_usd if record.cache_hit else None


def _unpriced(record: UsageRecord) -> int | None:
    return 1 if is_unpriced(record) else None


def _unmetered(record: UsageRecord) -> int | None:
    return 1 if record.unmetered else None


def _latency(record: UsageRecord) -> int | None:
    latency = latency_of(record)
    return None if latency is None else round(latency * 1000)


def _first_token(record: UsageRecord) -> int | None:
    ttft = ttft_of(record)
    return None if ttft is None else round(ttft * 1000)


def _read_ratio(record: UsageRecord) -> int | None:
    """Thousandths of a percent of the prompt that came from the prompt cache, if it was used."""
    usage = record.usage
    if usage is None:
        return None
    cached = usage.cache_read + usage.cache_write_5m + usage.cache_write_1h
    return usage.cache_read * 100_000 // (usage.input + cached) if cached else None


def _routed(record: UsageRecord) -> int | None:
    return 1 if record.route is not None else None


def _escalated(record: UsageRecord) -> int | None:
    return 1 if record.route is not None and record.route.escalated_from is not None else None


def _tokens(kind: Callable[[TokenUsage], int]) -> Callable[[UsageRecord], int | None]:
    return lambda record: (kind(record.usage) or None) if record.usage is not None else None


HEALTH_METRICS: Final = ("TelemetryDropped", "TelemetryFolded", "FlushErrors", "FlushAmbiguous")
"""What a sink says about itself: see the attributes of `CloudWatchMetricsSink`."""

_MICRO_USD: Final = 10**6
_MICROSECONDS: Final = 1000

DEFAULT_METRICS: Final = MetricSet(
    metrics=(
        Metric(name="Calls", unit="Count", value=_calls),
        Metric(name="Errors", unit="Count", value=_errors),
        Metric(name="Errors", unit="Count", value=_errors, dimensions=(("Service", "ErrorType"),)),
        Metric(name="Throttles", unit="Count", value=lambda record: record.throttles or None),
        Metric(name="Retries", unit="Count", value=lambda record: record.retries or None),
        Metric(name="CacheHits", unit="Count", value=_hits),
        Metric(name="CacheMisses", unit="Count", value=_misses),
        Metric(name="UnpricedCalls", unit="Count", value=_unpriced),
        Metric(name="UnmeteredCalls", unit="Count", value=_unmetered),
        # Micro-dollars: CloudWatch has no unit for money, and a call costs few of them.
        Metric(
            name="EstimatedCost",
            unit="None",
            value=lambda record: record.cost_pico_usd,
            per_unit=_MICRO_USD,
        ),
        Metric(name="CacheSavings", unit="None", value=_savings, per_unit=_MICRO_USD),
        Metric(
            name="ClientLatency",
            unit="Milliseconds",
            value=_latency,
            per_unit=_MICROSECONDS,
            percentiles=True,
        ),
        Metric(
            name="ClientTimeToFirstToken",
            unit="Milliseconds",
            value=_first_token,
            per_unit=_MICROSECONDS,
            percentiles=True,
        ),
        Metric(name="PromptCacheReadRatio", unit="Percent", value=_read_ratio, per_unit=1000),
        Metric(
            name="RouteDecisions", unit="Count", value=_routed, dimensions=(("Service", "Route"),)
        ),
        Metric(name="RouteEscalations", unit="Count", value=_escalated, dimensions=SERVICE_ONLY),
        # AWS/Bedrock publishes tokens by model for free, so these are not repeated by model.
        *(
            Metric(name=name, unit="Count", value=_tokens(kind), dimensions=SERVICE_ONLY)
            for name, kind in (
                ("InputTokens", lambda usage: usage.input),
                ("OutputTokens", lambda usage: usage.output),
                ("CacheReadTokens", lambda usage: usage.cache_read),
                ("CacheWriteTokens", lambda usage: usage.cache_write_5m + usage.cache_write_1h),
            )
        ),
    ),
)
"""The package's own metrics: what `AWS/Bedrock` does not publish for free.

By service and model and over the service; a metric without values sends nothing, so divide
`Errors` and `CacheHits` by `Calls` for a rate.
"""


def _inference_latency(record: UsageRecord) -> int | None:
    return None if record.cache_hit else _latency(record)


def _tokens_processed(record: UsageRecord) -> int | None:
    if record.usage is None or record.cache_hit:
        return None
    return record.usage.input + record.usage.output


GUIDE_METRICS: Final = MetricSet(
    metrics=(
        Metric(
            name="InferenceLatency",
            unit="Milliseconds",
            value=_inference_latency,
            per_unit=_MICROSECONDS,
            percentiles=True,
        ),
        Metric(name="TokensProcessed", unit="Count", value=_tokens_processed),
    ),
    dimensions=(("Model",),),
    health=False,
    model_dimension="ModelId",
)
"""The two metrics of the common `put_metric_data` example, by `ModelId`."""
