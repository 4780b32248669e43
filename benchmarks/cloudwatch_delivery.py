"""What reaches CloudWatch: requests a million calls, sizes, errors, and memory in an outage."""

from __future__ import annotations

import json
import math
import random
import threading
import tracemalloc
from collections import Counter
from dataclasses import replace
from datetime import datetime, timezone
from itertools import pairwise
from typing import Any

from benchmarks.harness import Result
from langchain_bedrock_opt.contracts import TokenUsage, UsageRecord
from langchain_bedrock_opt.usage.cloudwatch.flusher import Commands, Flush, Flusher
from langchain_bedrock_opt.usage.cloudwatch.limits import check_request
from langchain_bedrock_opt.usage.cloudwatch.metrics import DEFAULT_METRICS
from langchain_bedrock_opt.usage.cloudwatch.sender import ClientOptions, Sender
from langchain_bedrock_opt.usage.cloudwatch.series import SeriesTable
from langchain_bedrock_opt.usage.cloudwatch.sink import CloudWatchMetricsSink

CALLS = 1_000_000
HOUR = 3600.0
INTERVAL = 60.0
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
        self.times: list[float] = []
        self.calls = 0.0
        self.latencies: Counter[int] = Counter()

    def put_metric_data(self, *, Namespace: str, MetricData: list[dict[str, Any]]) -> None:  # noqa: N803 - boto3's names
        if self.is_out:
            raise ConnectionRefusedError
        check_request(Namespace, MetricData, now=datetime.fromtimestamp(self.clock(), timezone.utc))
        self.requests += 1
        self.times.append(self.clock())
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


class _Hour:
    """A sink's own thread, with its own schedule, on a clock that passes when the thread waits."""

    def __init__(self) -> None:
        self.clock = _Clock()
        self.cloudwatch = _CloudWatch(self.clock)
        self.exact: Counter[int] = Counter()
        self._rng = random.Random(1)
        self._added = 0
        self._is_over = threading.Event()
        self._sender = Sender(
            ClientOptions("Bench", self.cloudwatch, None, None, None),
            SeriesTable(
                DEFAULT_METRICS, service="bench", dimensions=None, max_series=200, top_values=20
            ),
            health=(("Service", "bench"),),
            max_bytes=16_000_000,
            at_least_once=False,
            clock=self.clock,
            monotonic=self.clock,
            sleep=self.clock.sleep,
            rng=self._rng,
        )
        self._flusher = Flusher(
            self._sender, INTERVAL, self._rng, monotonic=self.clock, wait=self._wait
        )

    def pass_(self) -> None:
        self._flusher.start()
        self._is_over.wait()
        self._flusher.retire()

    def _wait(self, commands: Commands, seconds: float) -> Flush | None:
        """Have calls come in evenly while the thread waits; after the hour the waits are real."""
        if self.clock.now >= START + HOUR:
            self._is_over.set()
            return commands.get()
        self.clock.sleep(seconds)
        while self._added < CALLS and (at := START + self._added * HOUR / CALLS) < self.clock.now:
            record = _call(self._rng, at)
            self.exact[round(record.latency_ms * 1000)] += 1
            self._sender.inbox.put(record)
            self._added += 1
        return None


def _hour() -> tuple[dict[str, float], dict[str, tuple[str, float]]]:
    hour = _Hour()
    cloudwatch, exact = hour.cloudwatch, hour.exact
    hour.pass_()
    errors = [
        abs(_percentile(cloudwatch.latencies, percent) / _percentile(exact, percent) - 1) * 100
        for percent in (50, 90, 95, 99, 99.9)
    ]
    made = exact.total()
    figures = {
        "PutMetricData calls, one million calls in an hour": cloudwatch.requests,
        "longest time between two of them, s": max(
            after - before for before, after in pairwise([START, *cloudwatch.times])
        ),
        "largest body, KB": cloudwatch.largest / 1000,
        "largest error of a latency percentile, %": max(errors),
        "calls lost or counted twice": abs(cloudwatch.calls - made),
        "latency lost or counted twice, µs": abs(_total(cloudwatch.latencies) - _total(exact)),
    }
    bounds = (60.0, 1.2 * INTERVAL, 800.0, 1.0, 0.0, 0.0)
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
