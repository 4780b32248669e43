"""Which CloudWatch metrics come out of a usage record: two ready sets, as data.

Values are whole numbers in a small unit (pico-dollars, microseconds), divided only when they are
sent. So a sum does not depend on the order in which it was added up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from langchain_bedrock_opt.contracts import UsageRecord
from langchain_bedrock_opt.usage.reporting.totals import is_unpriced


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric.

    Attributes:
        name: Its name in CloudWatch.
        unit: Its CloudWatch unit.
        value: Its value for a record, in the small unit; None if the record has none.
        per_unit: How many of the small unit are one of what CloudWatch gets.
        by_model: Whether it is sent for each model.
        overall: Whether it is sent over all models.
    """

    name: str
    unit: str
    value: Callable[[UsageRecord], int | None]
    per_unit: int = 1
    by_model: bool = True
    overall: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSet:
    """Metrics that are sent together.

    Attributes:
        model_dimension: Name of the dimension that holds the model id.
        metrics: The metrics.
    """

    model_dimension: str
    metrics: tuple[Metric, ...]


def _latency(record: UsageRecord) -> int | None:
    return round(record.latency_ms * 1000) if record.status == "ok" else None


def _first_token(record: UsageRecord) -> int | None:
    return None if record.ttft_ms is None else round(record.ttft_ms * 1000)


DEFAULT_METRICS: Final = MetricSet(
    model_dimension="Model",
    metrics=(
        Metric(name="Calls", unit="Count", value=lambda record: 1),  # noqa: ARG005 - all count
        # These are 0 or 1 for every call: their sum is a count, their average a rate.
        Metric(name="Errors", unit="Count", value=lambda record: int(record.status == "error")),
        Metric(name="CacheHits", unit="Count", value=lambda record: int(record.cache_hit)),
        Metric(name="UnpricedCalls", unit="Count", value=lambda record: int(is_unpriced(record))),
        # Micro-dollars: CloudWatch has no unit for money, and a call costs few of them.
        Metric(
            name="EstimatedCost",
            unit="None",
            value=lambda record: record.cost_pico_usd,
            per_unit=10**6,
        ),
        Metric(
            name="CacheSavings",
            unit="None",
            value=lambda record: record.saved_pico_usd if record.cache_hit else None,
            per_unit=10**6,
        ),
        Metric(name="ClientLatency", unit="Milliseconds", value=_latency, per_unit=1000),
        Metric(
            name="ClientTimeToFirstToken", unit="Milliseconds", value=_first_token, per_unit=1000
        ),
        # AWS/Bedrock publishes tokens by model for free, so these are not repeated by model.
        Metric(
            name="InputTokens",
            unit="Count",
            value=lambda record: record.usage.input if record.usage else None,
            by_model=False,
        ),
        Metric(
            name="OutputTokens",
            unit="Count",
            value=lambda record: record.usage.output if record.usage else None,
            by_model=False,
        ),
    ),
)
"""The package's own metrics, by service and model and over the whole service."""


def _inference_latency(record: UsageRecord) -> int | None:
    return None if record.cache_hit else _latency(record)


def _tokens_processed(record: UsageRecord) -> int | None:
    if record.usage is None or record.cache_hit:
        return None
    return record.usage.input + record.usage.output


GUIDE_METRICS: Final = MetricSet(
    model_dimension="ModelId",
    metrics=(
        Metric(
            name="InferenceLatency",
            unit="Milliseconds",
            value=_inference_latency,
            per_unit=1000,
            overall=False,
        ),
        Metric(name="TokensProcessed", unit="Count", value=_tokens_processed, overall=False),
    ),
)
"""The two metrics of the common `put_metric_data` example, by `ModelId`."""
