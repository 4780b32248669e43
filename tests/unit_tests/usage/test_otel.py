"""Usage as OpenTelemetry metrics, read back from the SDK."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from langchain_bedrock_opt.contracts import TokenUsage, UsageRecord, UsageSink
from langchain_bedrock_opt.errors import MissingExtraError
from langchain_bedrock_opt.usage.otel import DURATION_BUCKETS, OpenTelemetrySink

Make = Callable[..., UsageRecord]


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def sink(reader: InMemoryMetricReader) -> OpenTelemetrySink:
    return OpenTelemetrySink(MeterProvider([reader], shutdown_on_exit=False).get_meter("test"))


def points(reader: InMemoryMetricReader) -> dict[str, Any]:
    """The one data point of each metric."""
    data = reader.get_metrics_data()
    assert data is not None
    return {
        metric.name: metric.data.data_points[0]
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def test_a_call_has_the_names_of_the_conventions(
    sink: OpenTelemetrySink, reader: InMemoryMetricReader, record: Make
) -> None:
    """Tokens with cached ones among the input, durations in seconds, the provider and model."""
    usage = TokenUsage(input=10, output=5, cache_read=90, cache_write_1h=7, reasoning=3)
    sink.add(record(model_id="us.m", usage=usage, latency_ms=1500.0, ttft_ms=200.0))
    found = points(reader)
    prefix = "gen_ai.client.inference.usage."
    assert {
        name.removeprefix(prefix): point.value
        for name, point in found.items()
        if name.startswith(prefix)
    } == {
        "input_tokens": 107,
        "output_tokens": 5,
        "cache_read.input_tokens": 90,
        "cache_write.input_tokens": 7,
        "reasoning.output_tokens": 3,
    }
    duration = found["gen_ai.client.operation.duration"]
    assert (duration.sum, duration.explicit_bounds) == (1.5, DURATION_BUCKETS)
    assert found["gen_ai.client.operation.time_to_first_chunk"].sum == 0.2
    assert found["gen_ai.client.inference.operation.input_tokens"].sum == 107
    assert dict(duration.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "aws.bedrock",
        "gen_ai.request.model": "us.m",
    }


def test_money_is_exact(
    sink: OpenTelemetrySink, reader: InMemoryMetricReader, record: Make
) -> None:
    """Cost and savings are whole pico-dollars; a hit costs nothing and counts as a hit."""
    for cost in (10**15, 1, 2):
        sink.add(record(usage=TokenUsage(input=1), cost_pico_usd=cost))
    sink.add(record(usage=TokenUsage(), cache_hit=True, cost_pico_usd=0, saved_pico_usd=7))
    found = points(reader)
    assert found["langchain_bedrock_opt.cost"].value == 10**15 + 3
    assert found["langchain_bedrock_opt.cache.savings"].value == 7
    assert found["langchain_bedrock_opt.cache.hits"].value == 1


def test_failures_and_what_is_not_known_are_counted(
    sink: OpenTelemetrySink, reader: InMemoryMetricReader, record: Make
) -> None:
    """A failed call has its error type and no tokens; an unpriced one no cost."""
    sink.add(record(status="error", error="ThrottlingException", throttles=2, retries=1))
    found = points(reader)
    assert found["gen_ai.client.inference.usage.input_tokens"].value == 0
    attributes = found["gen_ai.client.operation.duration"].attributes
    assert attributes["error.type"] == "ThrottlingException"
    assert found["langchain_bedrock_opt.throttles"].value == 2
    assert found["langchain_bedrock_opt.retries"].value == 1

    sink.add(record(usage=TokenUsage(input=1), region="us-east-1", resolved_id="m"))
    sink.add(record(status="aborted", unmetered=True))
    found = points(reader)
    assert found["langchain_bedrock_opt.calls.unpriced"].value == 1
    assert found["langchain_bedrock_opt.calls.unmetered"].value == 1
    assert "langchain_bedrock_opt.cost" not in found


def test_without_a_meter_it_takes_the_global_one(record: Make) -> None:
    """The global provider's meter is taken, and a sink is a sink."""
    sink = OpenTelemetrySink()
    sink.add(record())
    sink.flush()
    assert isinstance(sink, UsageSink)


def test_without_the_extra_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without OpenTelemetry installed the error names the extra."""
    monkeypatch.setitem(sys.modules, "opentelemetry.metrics", None)
    with pytest.raises(MissingExtraError, match=r"langchain-bedrock-opt\[otel\]"):
        OpenTelemetrySink()
