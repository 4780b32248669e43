"""What reaches CloudWatch: requests a million calls, sizes, errors, and memory in an outage."""

from __future__ import annotations

import json
import math
import random
import tracemalloc
from collections import Counter
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from benchmarks.harness import Result
from langchain_bedrock_opt.contracts import TokenUsage, UsageRecord
from langchain_bedrock_opt.usage.cloudwatch.limits import check_request
from langchain_bedrock_opt.usage.cloudwatch.sink import CloudWatchMetricsSink

CALLS = 1_000_000
MINUTES = 60
MODELS = 5
OUTAGE_HOURS = 24
START = datetime(2026, 11, 22, tzinfo=timezone.utc).timestamp()


class _Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class _CloudWatch:
    """Takes requests within the limits, adds them up, and may be out."""

    def __init__(self, clock: _Clock) -> None:
        self.clock = clock
        self.is_out = False
        self.requests = self.largest = 0
        self.calls = 0.0
        self.latencies: Counter[int] = Counter()

    def put_metric_data(self, *, Namespace: str, MetricData: list[dict[str, Any]]) -> None:  # noqa: N803 - boto3's names
        if self.is_out:
            raise ConnectionRefusedError
        check_request(Namespace, MetricData, now=datetime.fromtimestamp(self.clock(), timezone.utc))
        self.requests += 1
        self.largest = max(self.largest, len(json.dumps(MetricData, default=str)))
        for datum in MetricData:
            if len(datum["Dimensions"]) != 1:
                continue
            if datum["MetricName"] == "Calls":
                self.calls += datum["StatisticValues"]["Sum"]
            elif datum["MetricName"] == "ClientLatency":
                for value, count in zip(datum["Values"], datum["Counts"], strict=True):
                    self.latencies[round(value * 1000)] += int(count)


def run() -> Result:
    """Simulate an hour with a million calls, and a day without CloudWatch."""
    figures, goals = _hour()
    more, more_goals = _outage()
    return Result(
        benchmark="cloudwatch_delivery", figures={**figures, **more}, goals={**goals, **more_goals}
    )


def _sink(cloudwatch: _CloudWatch, clock: _Clock) -> CloudWatchMetricsSink:
    return CloudWatchMetricsSink(
        client=cloudwatch,
        service="bench",
        flush_interval=None,
        clock=clock,
        monotonic=clock,
        sleep=clock.sleep,
        rng=random.Random(0),
    )


def _call(rng: random.Random, at: float) -> UsageRecord:
    return UsageRecord(
        run_id=f"{rng.getrandbits(64):016x}",
        started_at=datetime.fromtimestamp(at, timezone.utc),
        model_id=f"acme.model-{rng.randrange(MODELS)}",
        status="ok",
        usage=TokenUsage(input=500, output=100),
        cost_pico_usd=rng.randrange(10**9),
        latency_ms=rng.lognormvariate(6.5, 0.6),
        ttft_ms=rng.lognormvariate(5, 0.5),
    )


def _hour() -> tuple[dict[str, float], dict[str, tuple[str, float]]]:
    rng, clock = random.Random(1), _Clock()
    cloudwatch = _CloudWatch(clock)
    sink = _sink(cloudwatch, clock)
    exact: Counter[int] = Counter()
    for _ in range(MINUTES):
        for _ in range(CALLS // MINUTES):
            record = _call(rng, clock.now + rng.random() * 60)
            exact[round(record.latency_ms * 1000)] += 1
            sink.add(record)
        clock.sleep(60)
        sink.flush()
    errors = [
        abs(_percentile(cloudwatch.latencies, percent) / _percentile(exact, percent) - 1) * 100
        for percent in (50, 90, 95, 99, 99.9)
    ]
    made = exact.total()
    figures = {
        "PutMetricData calls, one million calls in an hour": cloudwatch.requests,
        "largest body, KB": cloudwatch.largest / 1000,
        "largest error of a latency percentile, %": max(errors),
        "calls lost or counted twice": abs(cloudwatch.calls - made),
        "latency lost or counted twice, µs": abs(_total(cloudwatch.latencies) - _total(exact)),
    }
    bounds = (60.0, 800.0, 1.0, 0.0, 0.0)
    return figures, {name: ("<=", bound) for name, bound in zip(figures, bounds, strict=True)}


def _outage() -> tuple[dict[str, float], dict[str, tuple[str, float]]]:
    rng, clock = random.Random(2), _Clock()
    cloudwatch = _CloudWatch(clock)
    sink = _sink(cloudwatch, clock)
    # A minute like the others first: what is made once is not the outage's.
    _minutes(1, sink, rng, clock)
    cloudwatch.is_out = True
    tracemalloc.start()
    _minutes(2 * 60, sink, rng, clock)
    dropped_after_two = sink.dropped_metrics
    _minutes((OUTAGE_HOURS - 2) * 60, sink, rng, clock)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    dropped = sink.dropped_metrics
    cloudwatch.is_out = False
    sink.flush(timeout=600)
    figures = {
        "memory after 24 hours without CloudWatch, MB": grown / 1e6,
        "metrics dropped in the first 2 hours": dropped_after_two,
        "metrics dropped in 24 hours": dropped,
    }
    return figures, {
        "memory after 24 hours without CloudWatch, MB": ("<=", 20.0),
        "metrics dropped in the first 2 hours": ("<=", 0.0),
    }


def _minutes(minutes: int, sink: CloudWatchMetricsSink, rng: random.Random, clock: _Clock) -> None:
    """Minutes with some calls to as many models as the cap of 200 series lets through."""
    for _ in range(minutes):
        for index in range(60):
            sink.add(replace(_call(rng, clock.now), model_id=f"acme.model-{index % 20}"))
        clock.sleep(60)
        sink.flush(timeout=0)


def _percentile(counts: Counter[int], percent: float) -> int:
    rank = math.ceil(counts.total() * percent / 100)
    for value in sorted(counts):
        rank -= counts[value]
        if rank <= 0:
            return value
    return max(counts)


def _total(counts: Counter[int]) -> int:
    return sum(value * count for value, count in counts.items())
