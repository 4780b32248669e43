"""Usage as CloudWatch metrics: what is added up, what is sent and what is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import boto3
import pytest
from moto import mock_aws

from langchain_bedrock_opt.contracts import TokenUsage, UsageRecord, UsageSink
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.usage.cloudwatch.limits import check_request
from langchain_bedrock_opt.usage.cloudwatch.sink import CloudWatchMetricsSink

Make = Callable[..., UsageRecord]
HAIKU = "anthropic.claude-3-haiku-20240307-v1:0"
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)


def statistics_of(datum: dict[str, Any]) -> dict[str, float]:
    """What CloudWatch makes of one metric of a request."""
    if "StatisticValues" in datum:
        return dict(datum["StatisticValues"])
    values = datum.get("Values", [datum.get("Value")])
    counts = datum.get("Counts", [1.0])
    return {
        "SampleCount": sum(counts),
        "Sum": sum(value * count for value, count in zip(values, counts, strict=True)),
        "Minimum": min(values),
        "Maximum": max(values),
    }


class StrictCloudWatch:
    """A CloudWatch client that refuses what AWS refuses, and fails when told to."""

    def __init__(self) -> None:
        self.requests: list[list[dict[str, Any]]] = []
        self.failures = 0

    def put_metric_data(self, *, Namespace: str, MetricData: list[dict[str, Any]]) -> None:  # noqa: N803 - boto3's names
        check_request(Namespace, MetricData, now=NOON)
        if self.failures:
            self.failures -= 1
            raise ConnectionError("no network")
        self.requests.append(MetricData)

    def series(self) -> dict[tuple[str, tuple[str, ...]], dict[str, float]]:
        """What all requests add up to, by metric and dimension values."""
        merged: dict[tuple[str, tuple[str, ...]], dict[str, float]] = {}
        for datum in (datum for request in self.requests for datum in request):
            key = (datum["MetricName"], tuple(each["Value"] for each in datum["Dimensions"]))
            statistics = statistics_of(datum)
            into = merged.setdefault(key, dict.fromkeys(statistics, 0.0))
            into["Sum"] += statistics["Sum"]
            into["SampleCount"] += statistics["SampleCount"]
            into["Maximum"] = max(into["Maximum"], statistics["Maximum"])
        return merged


@pytest.fixture
def cloudwatch() -> StrictCloudWatch:
    return StrictCloudWatch()


@pytest.fixture
def sink(cloudwatch: StrictCloudWatch, clock: Any) -> CloudWatchMetricsSink:
    return CloudWatchMetricsSink(
        client=cloudwatch,
        service="search",
        flush_interval=None,
        clock=clock,
        monotonic=clock,
        sleep=clock.advance,
    )


def test_calls_add_up_by_model_and_over_the_service(
    sink: CloudWatchMetricsSink, cloudwatch: StrictCloudWatch, record: Make
) -> None:
    """Calls, errors, hits, cost and latency are sent by model and over all models, exact."""
    usage = TokenUsage(input=10, output=2)
    sink.add(record(usage=usage, cost_pico_usd=1_500_000, latency_ms=250.0, ttft_ms=125.0))
    sink.add(record(usage=usage, model_id="acme.frontier-v9", latency_ms=750.0))
    sink.add(record(usage=TokenUsage(), cache_hit=True, cost_pico_usd=0, saved_pico_usd=10**7))
    sink.add(record(status="error", error="ThrottlingException", latency_ms=9999.0))
    sink.flush()
    series = cloudwatch.series()
    assert len(cloudwatch.requests) == 1
    assert {name: stats["Sum"] for (name, values), stats in series.items() if len(values) == 1} == {
        "Calls": 4.0,
        "CacheHits": 1.0,
        "UnpricedCalls": 1.0,
        "EstimatedCost": 1.5,
        "CacheSavings": 10.0,
        "ClientLatency": 1000.0,
        "ClientTimeToFirstToken": 125.0,
        "InputTokens": 20.0,
        "OutputTokens": 4.0,
        "Errors": 1.0,
    }
    assert series["Calls", ("search", HAIKU)]["Sum"] == 3.0
    assert series["Errors", ("search", "Throttled")]["Sum"] == 1.0
    assert series["ClientLatency", ("search",)]["SampleCount"] == 3.0
    assert ("InputTokens", ("search", HAIKU)) not in series


def test_calls_keep_their_minute(
    sink: CloudWatchMetricsSink, cloudwatch: StrictCloudWatch, record: Make, clock: Any
) -> None:
    """Calls are sent under the minute in which they started, however late the flush is."""
    for seconds in (0, 59.9, 60):
        sink.add(record(started_at=NOON + timedelta(seconds=seconds)))
    clock.advance(3600)
    sink.flush()
    minutes = {
        datum["Timestamp"]: datum["StatisticValues"]["SampleCount"]
        for datum in cloudwatch.requests[0]
        if datum["MetricName"] == "Calls" and len(datum["Dimensions"]) == 1
    }
    assert minutes == {NOON: 2.0, NOON + timedelta(minutes=1): 1.0}


def test_nothing_is_sent_twice(
    sink: CloudWatchMetricsSink, cloudwatch: StrictCloudWatch, record: Make
) -> None:
    """A second flush sends only what came since the first, and nothing if nothing came."""
    sink.add(record())
    sink.flush()
    sink.flush()
    sink.add(record())
    sink.flush()
    assert len(cloudwatch.requests) == 2
    assert cloudwatch.series()["Calls", ("search",)]["Sum"] == 2.0


def test_failed_flush_keeps_everything(
    sink: CloudWatchMetricsSink,
    cloudwatch: StrictCloudWatch,
    record: Make,
    clock: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What could not be sent is sent later, once; the outage is logged once and counted."""
    cloudwatch.failures = 2
    for _ in range(3):
        sink.add(record(latency_ms=100.0))
        sink.flush(timeout=0)
        assert bool(sink.unsent_requests) is not bool(cloudwatch.requests)
        clock.advance(60)
    sink.flush()
    assert (sink.flush_errors, len(caplog.messages)) == (2, 1)
    series = cloudwatch.series()
    assert series["ClientLatency", ("search",)] == {
        "SampleCount": 3.0,
        "Sum": 300.0,
        "Minimum": 0.0,
        "Maximum": 100.0,
    }
    assert series["FlushErrors", ("search",)]["Sum"] == 2.0


def test_many_models_are_cut_into_requests(
    cloudwatch: StrictCloudWatch, record: Make, clock: Any
) -> None:
    """More metrics than one request takes go in several, and a failed one is sent again alone."""
    sink = CloudWatchMetricsSink(
        client=cloudwatch, max_series=2000, flush_interval=None, clock=clock, sleep=clock.advance
    )
    for minute in range(8):
        for index in range(100):
            at = NOON - timedelta(minutes=minute)
            sink.add(record(model_id=f"acme.model-{index}", started_at=at, unmetered=True))
    cloudwatch.failures = 1
    sink.flush()
    assert sink.unsent_requests == 0
    calls = [stats for (name, values), stats in cloudwatch.series().items() if name == "Calls"]
    assert [len(request) for request in cloudwatch.requests] == [1000, 1000, 424]
    assert sum(stats["Sum"] for stats in calls) == 1600.0


def test_what_cloudwatch_refuses_is_dropped_and_counted(
    sink: CloudWatchMetricsSink, cloudwatch: StrictCloudWatch, record: Make, clock: Any
) -> None:
    """A data point that is too old to be taken does not hold up the others."""
    sink.add(record(started_at=NOON - timedelta(days=15)))
    sink.add(record())
    sink.flush()
    assert sink.dropped_metrics > 0
    assert cloudwatch.series()["Calls", ("search",)]["Sum"] == 1.0
    assert sink.flush_errors == 0


def test_names_in_japanese_are_written_in_ascii(
    cloudwatch: StrictCloudWatch, record: Make, clock: Any
) -> None:
    """A value that CloudWatch can't take is percent-encoded, so nothing is left out."""
    sink = CloudWatchMetricsSink(
        client=cloudwatch,
        dimensions=[("metadata:tenant", "tag:team")],
        flush_interval=None,
        clock=clock,
    )
    sink.add(record(metadata={"tenant": "東京"}, tags=("team:検索",)))
    sink.add(record())
    sink.flush()
    values = {values for name, values in cloudwatch.series() if name == "Calls"}
    assert {tuple(map(unquote, each)) for each in values} == {("東京", "検索"), ("(none)",) * 2}


def test_without_service_the_dimension_is_left_out(
    cloudwatch: StrictCloudWatch, record: Make, clock: Any
) -> None:
    """A sink without a service sends metrics by model, and overall without dimensions."""
    with CloudWatchMetricsSink(client=cloudwatch, flush_interval=None, clock=clock) as sink:
        sink.add(record())
    assert {values for name, values in cloudwatch.series() if name == "Calls"} == {(), (HAIKU,)}
    assert isinstance(sink, UsageSink)


def test_guides_metrics(cloudwatch: StrictCloudWatch, record: Make, clock: Any) -> None:
    """The guide's dashboard gets its two metrics by ModelId, for calls that a model answered."""
    with CloudWatchMetricsSink.guide_preset(
        client=cloudwatch, flush_interval=None, clock=clock
    ) as sink:
        sink.add(record(usage=TokenUsage(input=10, output=2, cache_read=99), latency_ms=250.0))
        sink.add(record(usage=TokenUsage(), cache_hit=True, latency_ms=1.0))
        sink.add(record(status="error"))
    data = {datum["MetricName"]: datum for datum in cloudwatch.requests[0]}
    assert sink.namespace == "Custom/Bedrock"
    assert statistics_of(data["InferenceLatency"])["Sum"] == 250.0
    assert data["InferenceLatency"]["Unit"] == "Milliseconds"
    assert data["TokensProcessed"]["StatisticValues"]["Sum"] == 12.0
    assert data["TokensProcessed"]["Dimensions"] == [{"Name": "ModelId", "Value": HAIKU}]
    assert len(data) == 2


@pytest.mark.parametrize(
    "settings",
    [{"namespace": "AWS/Bedrock"}, {"namespace": ""}, {"service": " "}, {"service": "検索"}],
)
def test_names_that_cloudwatch_refuses_are_refused(settings: dict[str, str]) -> None:
    """A namespace or service that CloudWatch would refuse is refused when the sink is made."""
    with pytest.raises(ConfigurationError, match="CloudWatch does not take this"):
        CloudWatchMetricsSink(**settings)  # type: ignore[arg-type] # one setting a case


@pytest.fixture
def moto_cloudwatch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield boto3.Session().client("cloudwatch", region_name="us-east-1")


def test_cloudwatch_reads_back_what_was_sent(
    moto_cloudwatch: Any, record: Make, clock: Any
) -> None:
    """Through boto3's own wire format, CloudWatch has sums, counts and extremes to the digit."""
    sink = CloudWatchMetricsSink(client=moto_cloudwatch, service="search", clock=clock)
    for cost in (250_000, 1_250_000, 3_333_333):
        sink.add(record(usage=TokenUsage(input=1), cost_pico_usd=cost, latency_ms=0.5))
    sink.flush()
    listed = moto_cloudwatch.list_metrics(Namespace="LangChainBedrock")["Metrics"]
    assert {metric["MetricName"] for metric in listed} >= {"Calls", "EstimatedCost"}
    (point,) = moto_cloudwatch.get_metric_statistics(
        Namespace="LangChainBedrock",
        MetricName="EstimatedCost",
        Dimensions=[{"Name": "Service", "Value": "search"}, {"Name": "Model", "Value": HAIKU}],
        StartTime=NOON - timedelta(minutes=1),
        EndTime=NOON + timedelta(minutes=1),
        Period=60,
        Statistics=["Sum", "SampleCount", "Minimum", "Maximum"],
    )["Datapoints"]
    assert (point["Sum"], point["SampleCount"]) == (4.833333, 3.0)
    assert (point["Minimum"], point["Maximum"]) == (0.25, 3.333333)
    assert sink.flush_errors == sink.dropped_metrics == 0


def test_client_is_built_when_it_is_needed(moto_cloudwatch: Any, record: Make, clock: Any) -> None:
    """Without a client the sink builds one in the region it was given."""
    with CloudWatchMetricsSink(region_name="us-east-1", clock=clock) as sink:
        sink.add(record())
    assert sink.flush_errors == 0
    assert moto_cloudwatch.list_metrics(Namespace="LangChainBedrock")["Metrics"]


def test_missing_region_is_said_at_the_flush_and_loses_nothing(
    record: Make,
    clock: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    """Without a region nothing is sent or raised, and the log says what to do."""
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    for variable in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(variable, raising=False)
    sink = CloudWatchMetricsSink(flush_interval=None, clock=clock)
    sink.add(record())
    sink.flush(timeout=0)
    assert (sink.flush_errors, sink.dropped_metrics) == (1, 0)
    assert "AWS_REGION" in caplog.text
