"""Usage as log lines in CloudWatch's embedded metric format."""

from __future__ import annotations

import io
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from langchain_bedrock_opt.contracts import TokenUsage, UsageRecord, UsageSink
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.usage.cloudwatch.emf import CloudWatchEMFSink
from langchain_bedrock_opt.usage.cloudwatch.metrics import Metric, MetricSet
from tests.extras import needs_fork

Make = Callable[..., UsageRecord]


def written(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def check_line(line: dict[str, Any]) -> None:
    """What the embedded metric format asks of a line."""
    names = set()
    for directive in line["_aws"]["CloudWatchMetrics"]:
        for dimensions in directive["Dimensions"]:
            assert len(dimensions) <= 30
            assert all(isinstance(line[name], str) for name in dimensions)
        names |= {metric["Name"] for metric in directive["Metrics"]}
        assert all(metric["Name"] in line for metric in directive["Metrics"])
    assert 1 <= len(names) <= 100


def test_a_record_is_one_line(record: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """Metrics and dimensions are there, and run id, tags and tenant as properties only."""
    sink = CloudWatchEMFSink(service="search")
    sink.add(
        record(
            usage=TokenUsage(input=10, output=2),
            cost_pico_usd=1_500_000,
            latency_ms=250.0,
            tags=("team:a",),
            metadata={"tenant": "東京"},
        )
    )
    (text,) = capsys.readouterr().out.splitlines()
    line = json.loads(text)
    check_line(line)
    assert line["_aws"]["Timestamp"] == 1_795_348_800_000
    assert (line["EstimatedCost"], line["ClientLatency"], line["InputTokens"]) == (1.5, 250.0, 10.0)
    assert (line["run_id"], line["tags"], line["metadata"]) == (
        "run-0",
        ["team:a"],
        {"tenant": "東京"},
    )
    assert {
        name
        for directive in line["_aws"]["CloudWatchMetrics"]
        for dimensions in directive["Dimensions"]
        for name in dimensions
    } == {"Service", "Model"}
    assert isinstance(sink, UsageSink)


def test_added_up_there_is_one_line_for_each_series(record: Make) -> None:
    """With `aggregate` nothing is written before the flush; sums and values are whole then."""
    stream = io.StringIO()
    sink = CloudWatchEMFSink(service="search", stream=stream, aggregate=True)
    for latency in range(1, 301):
        sink.add(record(usage=TokenUsage(input=10), cost_pico_usd=10**6, latency_ms=latency * 10.0))
    assert not stream.getvalue()
    sink.flush()
    lines = written(stream)
    for line in lines:
        check_line(line)
    costs = [line["EstimatedCost"] for line in lines if "EstimatedCost" in line]
    assert costs == [{"Min": 1.0, "Max": 1.0, "Count": 300, "Sum": 300.0}] * 2
    latencies = [line["ClientLatency"] for line in lines if "Model" in line]
    assert all(len(each["Values"]) <= 100 for each in latencies)
    assert sum(sum(each["Counts"]) for each in latencies) == 300
    sink.flush()
    assert len(written(stream)) == len(lines)


def test_lines_of_threads_do_not_mix(record: Make) -> None:
    """Each line is whole, and there are as many as records."""
    stream = io.StringIO()
    sink = CloudWatchEMFSink(stream=stream)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: sink.add(record()), range(400)))
    sink.flush()
    assert len(written(stream)) == 400


def test_folded_dimensions_stand_in_a_line_of_their_own(record: Make) -> None:
    """Where one metric's model is folded and another's is not, a line would contradict itself."""
    metrics = MetricSet(
        metrics=tuple(
            Metric(name=name, unit="Count", value=lambda _: 1, dimensions=dimensions)
            for name, dimensions in (
                ("Wide", (("Model",),)),
                ("Wider", (("Model",),)),
                ("Narrow", (("Model", "Status"),)),
            )
        ),
        health=False,
    )
    stream = io.StringIO()
    sink = CloudWatchEMFSink(stream=stream, metrics=metrics, max_series=4)
    sink.add(record(model_id="m"))
    lines = written(stream)
    assert [(line["Model"], "Narrow" in line) for line in lines] == [
        ("__other__", False),
        ("m", True),
    ]


def test_a_line_that_would_be_too_long_goes_without_its_tags(record: Make) -> None:
    """The metrics of a record are written even if its metadata is too large for a line."""
    stream = io.StringIO()
    sink = CloudWatchEMFSink(stream=stream)
    sink.add(record(metadata={"document": "x" * 300_000}))
    (line,) = written(stream)
    assert "metadata" not in line
    assert (line["run_id"], line["Calls"], sink.shortened_lines) == ("run-0", 1.0, 1)


@pytest.mark.parametrize("score", [math.nan, math.inf, {"self": ...}])
def test_a_line_is_json_whatever_the_metadata(record: Make, score: Any) -> None:
    """Metadata that JSON has no form for goes without; the metrics are written."""
    if isinstance(score, dict):
        score["self"] = score
    stream = io.StringIO()
    sink = CloudWatchEMFSink(stream=stream)
    sink.add(record(metadata={"score": score}))
    (line,) = [json.loads(text, parse_constant=pytest.fail) for text in stream.getvalue().split()]
    assert "metadata" not in line
    assert (line["Calls"], sink.shortened_lines) == (1.0, 1)


# A container's log is a pipe, which Python buffers unless it is told otherwise.
_PROGRAM = """
import os
from datetime import datetime, timezone
from langchain_bedrock_opt.contracts import UsageRecord
from langchain_bedrock_opt.usage.cloudwatch.emf import CloudWatchEMFSink

def add(sink, run_id):
    at = datetime.now(timezone.utc)
    sink.add(UsageRecord(run_id=run_id, started_at=at, model_id="m", status="ok"))
"""


def runs_written(ending: str) -> list[str]:
    """The runs whose lines a process wrote into a pipe."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    process = subprocess.run(
        [sys.executable, "-c", _PROGRAM + ending],
        env=environment, stdout=subprocess.PIPE, text=True, check=False, timeout=60,
    )  # fmt: skip
    return [json.loads(line).get("run_id", "") for line in process.stdout.splitlines()]


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_a_killed_process_leaves_its_lines() -> None:
    """A line is in the log when `add` returns, so nothing can take it back."""
    ending = "sink = CloudWatchEMFSink()\nfor run in 'abc': add(sink, run)\nos.kill(os.getpid(), 9)"
    assert runs_written(ending) == ["a", "b", "c"]


@needs_fork
@pytest.mark.parametrize("aggregate", [False, True])
def test_a_fork_writes_no_line_of_its_parent(aggregate: bool) -> None:  # noqa: FBT001 - a parameter
    """A child writes its own records; those from before the fork are written once."""
    lines = runs_written(
        f"sink = CloudWatchEMFSink(aggregate={aggregate})\n"
        "add(sink, 'before')\n"
        "child = os.fork()\n"
        "if child: os.waitpid(child, 0)\n"
        "else: add(sink, 'child')\n"
        "sink.flush()\n"
    )
    if aggregate:  # for each process one line by model, and one over the service
        assert len(lines) == 4
    else:
        assert lines == ["before", "child"]


def test_a_stream_that_fails_breaks_nothing(record: Make, caplog: pytest.LogCaptureFixture) -> None:
    """Lines that can't be written are counted and logged once; the call goes on."""
    stream = io.StringIO()
    sink = CloudWatchEMFSink(stream=stream)
    stream.close()
    sink.add(record())
    sink.add(record())
    assert (sink.lost_lines, len(caplog.messages)) == (2, 1)


def test_too_many_metrics_for_a_line_are_refused() -> None:
    """A set that no line can hold is refused when the sink is made."""
    metrics = tuple(Metric(name=f"m{n}", unit="Count", value=lambda _: 1) for n in range(101))
    with pytest.raises(ConfigurationError, match="a line takes 100"):
        CloudWatchEMFSink(metrics=MetricSet(metrics=metrics))
