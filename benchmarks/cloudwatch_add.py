"""What a record costs in CPU: CloudWatch's sinks beside JSON and AWS's own EMF writers."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from datetime import datetime, timezone
from importlib import import_module
from importlib.util import find_spec
from itertools import cycle
from uuid import uuid4

from benchmarks.harness import Result, compare
from langchain_bedrock_opt.contracts import TokenUsage, UsageRecord
from langchain_bedrock_opt.usage.cloudwatch.emf import CloudWatchEMFSink
from langchain_bedrock_opt.usage.cloudwatch.sink import CloudWatchMetricsSink
from langchain_bedrock_opt.usage.ledger.serialization import record_to_json

MODEL = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
CALLS = 2000
DIFFERENT = 25_000
ROUNDS = 15
ADD = "add of 8 values / the record as JSON, CPU ratio"
EMF = "EMF line / {}, CPU ratio"


def run() -> Result:
    """Compare CPU times of one record each, in turn with the baselines."""
    record = UsageRecord(
        run_id=str(uuid4()),
        started_at=datetime.now(timezone.utc),
        model_id=MODEL,
        status="ok",
        usage=TokenUsage(input=500, output=100, cache_read=1000),
        cost_pico_usd=123_456_789,
        latency_ms=812.3,
        ttft_ms=201.5,
    )
    # Sinks count a run once, and remember 20,000: none comes again while it is remembered.
    records = cycle([replace(record, run_id=str(uuid4())) for _ in range(DIFFERENT)])
    metrics = CloudWatchMetricsSink(service="bench", flush_interval=None)
    sheet = io.StringIO()
    lines = CloudWatchEMFSink(service="bench", stream=sheet)

    def write() -> None:
        lines.add(next(records))
        sheet.seek(0)
        sheet.truncate()

    adding = cpu(lambda: metrics.add(next(records)))
    json = compare(adding, cpu(lambda: record_to_json(next(records))), rounds=ROUNDS)
    figures = {ADD: json.ratio, "add, CPU µs": json.ours}
    baselines = {"the record as JSON, CPU µs": json.baseline}
    goals = {"add, CPU µs": ("<=", 8.0)}
    for name, (module, prepare) in _RIVALS.items():
        if find_spec(module) is None:
            baselines[f"{name} is not installed, not measured"] = 0
            continue
        theirs = prepare()
        emf = compare(cpu(write), cpu(theirs), rounds=ROUNDS)
        figures[EMF.format(name)] = emf.ratio
        baselines[f"{name}, CPU µs"] = emf.baseline
        goals[EMF.format(name)] = ("<=", 1.0)
    figures["EMF line, CPU µs"] = cpu(write)()
    return Result(benchmark="cloudwatch_add", figures=figures, baselines=baselines, goals=goals)


def cpu(call: Callable[[], object]) -> Callable[[], float]:
    """Measures microseconds of CPU of one call."""

    def measure() -> float:
        start = time.process_time()
        for _ in range(CALLS):
            call()
        return (time.process_time() - start) / CALLS * 1e6

    return measure


_VALUES = (
    ("Calls", "Count", 1.0),
    ("EstimatedCost", "None", 123.456789),
    ("ClientLatency", "Milliseconds", 812.3),
    ("ClientTimeToFirstToken", "Milliseconds", 201.5),
    ("PromptCacheReadRatio", "Percent", 66.666),
    ("InputTokens", "Count", 500.0),
    ("OutputTokens", "Count", 100.0),
    ("CacheReadTokens", "Count", 1000.0),
)


def _embedded_metrics() -> Callable[[], None]:
    # By name: no type checker finds what need not be installed.
    new = import_module("aws_embedded_metrics.logger.metrics_context").MetricsContext
    serializer = import_module("aws_embedded_metrics.serializers.log_serializer").LogSerializer

    def write() -> None:
        context = new().empty()
        context.put_dimensions({"Service": "bench", "Model": MODEL})
        for name, unit, value in _VALUES:
            context.put_metric(name, value, unit)
        context.set_property("run_id", "r")
        serializer.serialize(context)

    return write


def _powertools() -> Callable[[], None]:
    new = import_module("aws_lambda_powertools.metrics").EphemeralMetrics
    sheet = io.StringIO()

    def write() -> None:
        metrics = new(namespace="LangChainBedrock", service="bench")
        metrics.add_dimension("Model", MODEL)
        for name, unit, value in _VALUES:
            metrics.add_metric(name, unit, value)
        metrics.add_metadata("run_id", "r")
        with redirect_stdout(sheet):
            metrics.flush_metrics()
        sheet.seek(0)
        sheet.truncate()

    return write


_RIVALS = {
    "aws-embedded-metrics": ("aws_embedded_metrics", _embedded_metrics),
    "Powertools": ("aws_lambda_powertools", _powertools),
}
"""AWS's EMF writers: neither is a dependency of this package."""
