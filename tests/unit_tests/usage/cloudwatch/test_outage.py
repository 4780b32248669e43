"""Hours without CloudWatch, on a clock that is told to pass: nothing lost, nothing unbounded."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from langchain_bedrock_opt.contracts import UsageRecord
from langchain_bedrock_opt.usage.cloudwatch.sink import CloudWatchMetricsSink

Make = Callable[..., UsageRecord]
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)


class Switched:
    """A CloudWatch client that can be out, or silent: it takes requests and does not answer."""

    def __init__(self) -> None:
        self.is_out = self.is_silent = False
        self.calls_by_minute: Counter[datetime] = Counter()
        self.requests = self.connections_closed = 0

    def put_metric_data(self, *, Namespace: str, MetricData: list[dict[str, Any]]) -> None:  # noqa: N803 - boto3's names
        self.requests += 1
        if self.is_out:
            raise ConnectionRefusedError
        if self.is_silent:
            raise TimeoutError
        for datum in MetricData:
            if datum["MetricName"] == "Calls" and len(datum["Dimensions"]) == 1:
                self.calls_by_minute[datum["Timestamp"]] += datum["StatisticValues"]["SampleCount"]

    def close(self) -> None:
        self.connections_closed += 1


@pytest.fixture
def cloudwatch() -> Switched:
    return Switched()


@pytest.fixture
def new_sink(cloudwatch: Switched, clock: Any) -> Callable[..., CloudWatchMetricsSink]:
    def build(**settings: Any) -> CloudWatchMetricsSink:
        return CloudWatchMetricsSink(
            client=cloudwatch,
            service="search",
            flush_interval=None,
            clock=clock,
            monotonic=clock,
            sleep=clock.advance,
            rng=random.Random(1),
            **settings,
        )

    return build


def pass_minutes(
    minutes: int, sink: CloudWatchMetricsSink, record: Make, clock: Any, models: int = 1
) -> None:
    """A call to each model in each minute, and a flush at its end."""
    for _ in range(minutes):
        at = datetime.fromtimestamp(clock.now, timezone.utc)
        for model in range(models):
            sink.add(record(started_at=at, model_id=f"acme.model-{model}", latency_ms=model + 0.5))
        clock.advance(60)
        sink.flush(timeout=0)


def test_two_hours_without_cloudwatch_lose_nothing(
    cloudwatch: Switched, new_sink: Any, record: Make, clock: Any
) -> None:
    """After an outage each minute has the calls it had, and none was sent twice."""
    sink = new_sink()
    pass_minutes(3, sink, record, clock, models=5)
    cloudwatch.is_out = True
    pass_minutes(120, sink, record, clock, models=5)
    cloudwatch.is_out = False
    sink.flush(timeout=120)
    assert sink.unsent_requests == 0
    pass_minutes(3, sink, record, clock, models=5)
    assert cloudwatch.calls_by_minute == {
        NOON + timedelta(minutes=minute): 5 for minute in range(126)
    }
    assert (sink.dropped_metrics, sink.ambiguous_flushes) == (0, 0)


def test_a_long_outage_drops_the_oldest(
    cloudwatch: Switched, new_sink: Any, record: Make, clock: Any
) -> None:
    """What does not fit any more is the oldest; it is counted, and the newest is kept."""
    sink = new_sink(max_bytes=20_000)
    cloudwatch.is_out = True
    pass_minutes(200, sink, record, clock)
    cloudwatch.is_out = False
    sink.flush(timeout=120)
    kept = sorted(cloudwatch.calls_by_minute)
    assert 10 < len(kept) < 200
    assert kept[-1] == NOON + timedelta(minutes=199)
    assert kept == [kept[0] + timedelta(minutes=minute) for minute in range(len(kept))]
    assert sink.dropped_metrics > 0


def test_what_waited_for_too_long_is_not_sent(
    cloudwatch: Switched, new_sink: Any, record: Make, clock: Any
) -> None:
    """After two weeks CloudWatch would refuse it; what is younger is sent all the same."""
    sink = new_sink()
    cloudwatch.is_out = True
    pass_minutes(1, sink, record, clock)
    clock.advance(14 * 86_400)
    pass_minutes(1, sink, record, clock)
    cloudwatch.is_out = False
    sink.flush(timeout=120)
    assert list(cloudwatch.calls_by_minute) == [NOON + timedelta(days=14, minutes=1)]
    assert sink.dropped_metrics > 0


def test_a_silent_cloudwatch_costs_one_request(
    cloudwatch: Switched, new_sink: Any, record: Make, clock: Any
) -> None:
    """After a request without an answer only probes are risked, until one is answered."""
    sink = new_sink()
    cloudwatch.is_silent = True
    pass_minutes(60, sink, record, clock)
    cloudwatch.is_silent = False
    sink.flush(timeout=120)
    assert sink.unsent_requests == 0
    assert sum(cloudwatch.calls_by_minute.values()) == 59
    assert sink.ambiguous_flushes > 10


def test_a_flush_that_is_asked_for_does_not_wait(
    cloudwatch: Switched, new_sink: Any, record: Make, clock: Any
) -> None:
    """However long it would be until the next attempt, an explicit flush tries at once."""
    sink = new_sink()
    cloudwatch.is_out = True
    pass_minutes(20, sink, record, clock)
    cloudwatch.is_out = False
    sink.flush(timeout=0)
    assert sink.unsent_requests == 0
    assert sum(cloudwatch.calls_by_minute.values()) == 20


def test_requests_are_rare_in_an_outage(
    cloudwatch: Switched, new_sink: Any, record: Make, clock: Any
) -> None:
    """A CloudWatch that is out is asked about once a minute, not once for all that waits."""
    sink = new_sink()
    cloudwatch.is_out = True
    pass_minutes(60, sink, record, clock)
    assert 30 < cloudwatch.requests <= 60
    assert sink.flush_errors == cloudwatch.requests


def test_connections_are_not_kept_between_flushes(
    cloudwatch: Switched, new_sink: Any, record: Make, clock: Any
) -> None:
    """A minute later the other side may have closed them, and a request would be lost."""
    pass_minutes(2, new_sink(), record, clock)
    assert cloudwatch.connections_closed == 2


def test_a_sink_that_nobody_flushes_is_bounded(new_sink: Any, record: Make) -> None:
    """Without a thread and without flushes, memory ends at the bound, and the oldest goes."""
    sink = new_sink(max_bytes=5_000)
    for minute in range(6_500):
        sink.add(record(started_at=NOON - timedelta(minutes=minute)))
    assert sink.dropped_metrics > 0
    assert len(sink._sender.table) <= 6_000
