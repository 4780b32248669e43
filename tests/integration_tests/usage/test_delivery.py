"""Counts arrive once, whatever happens to the process or to CloudWatch."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from uuid import uuid4

import pytest

from langchain_bedrock_opt.contracts import UsageRecord
from langchain_bedrock_opt.usage.cloudwatch.sink import CloudWatchMetricsSink
from tests.cloudwatch_server import CloudWatchServer, serve
from tests.extras import needs_fork

ROOT = Path(__file__).resolve().parents[3]
CALLS = "Calls/Service"

# What each process begins with: 5 calls in a sink that nobody closes.
_START = """
import os, signal, sys, time
from datetime import datetime, timezone
from uuid import uuid4
from langchain_bedrock_opt.contracts import UsageRecord
from langchain_bedrock_opt.usage.cloudwatch.sink import CloudWatchMetricsSink

def add(sink, calls):
    at = datetime.now(timezone.utc)
    for _ in range(calls):
        sink.add(UsageRecord(run_id=str(uuid4()), started_at=at, model_id="m", status="ok"))

def new(**settings):
    return CloudWatchMetricsSink(
        service="s", region_name="us-east-1", endpoint_url=sys.argv[1], **settings
    )
"""


@pytest.fixture
def cloudwatch() -> Iterator[CloudWatchServer]:
    with serve() as server:
        yield server


def start(code: str, cloudwatch: CloudWatchServer) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", _START + code, cloudwatch.url]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def run(code: str, cloudwatch: CloudWatchServer) -> int:
    process = start(code, cloudwatch)
    process.communicate(timeout=60)
    return process.returncode


def sink_of(cloudwatch: CloudWatchServer, **settings: object) -> CloudWatchMetricsSink:
    return CloudWatchMetricsSink(
        service="s",
        region_name="us-east-1",
        endpoint_url=cloudwatch.url,
        **settings,  # type: ignore[arg-type] # a test's own
    )


def call() -> UsageRecord:
    at = datetime.now(timezone.utc)
    return UsageRecord(
        run_id=str(uuid4()), started_at=at, model_id="m", status="ok", latency_ms=12.5
    )


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ("sink = new(); add(sink, 5)", 0),
        ("add(new(), 5)", 0),
        ("sink = new(); add(sink, 5); raise RuntimeError", 1),
        ("sink = new(); add(sink, 5); sys.exit(3)", 3),
        ("sink = new(); add(sink, 5); sink.close(); add(sink, 5); sink.close()", 0),
    ],
    ids=["end", "forgotten sink", "exception", "exit", "used after close"],
)
def test_a_process_that_ends_leaves_nothing(
    ending: str, status: int, cloudwatch: CloudWatchServer
) -> None:
    """A process that ends by itself, in whichever way, sends all its counts once."""
    assert run(ending, cloudwatch) == status
    assert cloudwatch.sums[CALLS] == ending.count("add(") * 5


@needs_fork
def test_a_fork_starts_empty(cloudwatch: CloudWatchServer) -> None:
    """A child sends only its own counts, and the parent its own: none twice, none lost."""
    code = """
sink = new(); add(sink, 5)
child = os.fork()
add(sink, 7 if child == 0 else 11)
if child:
    os.waitpid(child, 0)
"""
    assert run(code, cloudwatch) == 0
    assert cloudwatch.sums[CALLS] == 23


@needs_fork
def test_multiprocessing_loses_nothing(cloudwatch: CloudWatchServer) -> None:
    """Processes that `multiprocessing` forks, which end without exit hooks, send theirs too."""
    code = """
import multiprocessing
sink = new(); add(sink, 5)
context = multiprocessing.get_context("fork")
children = [context.Process(target=add, args=(sink, 7)) for _ in range(2)]
for child in children: child.start()
for child in children: child.join()
"""
    assert run(code, cloudwatch) == 0
    assert cloudwatch.sums[CALLS] == 19


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGTERM on Windows")
def test_sigterm_with_the_hook_loses_nothing(cloudwatch: CloudWatchServer) -> None:
    """A process that is asked to end sends its counts, and then ends as it would have."""
    process = start(
        "sink = new(flush_on_sigterm=True); add(sink, 5); print(flush=True); time.sleep(60)",
        cloudwatch,
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM
    assert cloudwatch.sums[CALLS] == 5


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGTERM on Windows")
def test_the_hook_calls_the_handler_that_was_there(cloudwatch: CloudWatchServer) -> None:
    """A handler that the program had set runs after the flush."""
    code = """
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
sink = new(flush_on_sigterm=True); add(sink, 5)
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(60)
"""
    assert run(code, cloudwatch) == 7
    assert cloudwatch.sums[CALLS] == 5


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_sigkill_loses_what_came_after_the_last_flush(cloudwatch: CloudWatchServer) -> None:
    """Of 12 calls a killed process loses the 7 since the last flush, and none before it."""
    code = """
sink = new(flush_interval=3600); add(sink, 2); sink.flush()
add(sink, 3); sink.flush()
add(sink, 7)
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert run(code, cloudwatch) == -signal.SIGKILL
    assert cloudwatch.sums[CALLS] == 5


@pytest.mark.parametrize(
    "ending",
    [
        "",
        pytest.param(
            "os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)",
            marks=pytest.mark.skipif(os.name == "nt", reason="there is no SIGTERM on Windows"),
        ),
    ],
    ids=["exit", "sigterm"],
)
def test_counts_of_an_outage_are_sent_at_exit(ending: str, cloudwatch: CloudWatchServer) -> None:
    """If CloudWatch is back when a process ends, it gets all, though no attempt was due yet."""
    faults = iter(["throttle"] * 8)
    cloudwatch.fault = lambda: next(faults, "ok")
    code = f"""
import random
class Longest(random.Random):
    def uniform(self, low, high):
        return high
sink = new(rng=Longest(), flush_on_sigterm=True); add(sink, 5)
for _ in range(8): sink.flush(timeout=0)  # the next attempt is due in 12.8 seconds
{ending}
"""
    run(code, cloudwatch)
    assert cloudwatch.sums[CALLS] == 5


def test_half_of_the_requests_throttled_loses_nothing(cloudwatch: CloudWatchServer) -> None:
    """With every second request throttled by chance, each count arrives, and once."""
    chance = random.Random(7)
    cloudwatch.fault = lambda: chance.choice(["ok", "throttle"])
    sink = sink_of(cloudwatch, sleep=lambda _: None, monotonic=_Ticks())
    for _ in range(20):
        for _ in range(10):
            sink.add(call())
        sink.flush(timeout=60)
    sink.close(timeout=60)
    assert cloudwatch.sums[CALLS] == 200
    assert sink.flush_errors > 0
    assert cloudwatch.sums["FlushErrors/Service"] <= sink.flush_errors


class _Ticks:
    """A clock that goes on by a second whenever it is read: no wait is long."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.mark.parametrize("taken", [True, False], ids=["taken", "not taken"])
def test_a_request_without_an_answer_is_not_sent_again(
    taken: bool,  # noqa: FBT001 - a parameter
    cloudwatch: CloudWatchServer,
) -> None:
    """It may have arrived, so it is counted as ambiguous and not sent twice."""
    faults = iter(["swallow" if taken else "lose"])
    cloudwatch.fault = lambda: next(faults, "ok")
    sink = sink_of(cloudwatch, flush_interval=None)
    sink.add(call())
    sink.flush()
    sink.add(call())
    sink.flush()
    assert cloudwatch.sums[CALLS] == (2 if taken else 1)
    assert (sink.ambiguous_flushes, sink.flush_errors) == (1, 1)
    assert cloudwatch.sums["FlushAmbiguous/Service"] == 1


def test_at_least_once_sends_again(cloudwatch: CloudWatchServer) -> None:
    """Who would rather count twice than not at all says so."""
    faults = iter(["lose"])
    cloudwatch.fault = lambda: next(faults, "ok")
    sink = sink_of(cloudwatch, flush_interval=None, at_least_once=True)
    sink.add(call())
    sink.flush()
    assert sink.unsent_requests == 0
    assert cloudwatch.sums[CALLS] == 1


def test_what_is_refused_takes_nothing_with_it(cloudwatch: CloudWatchServer) -> None:
    """A metric that CloudWatch refuses is found, dropped and counted; the others arrive."""
    cloudwatch.refused = {"UnmeteredCalls"}
    sink = sink_of(cloudwatch, flush_interval=None)
    sink.add(replace(call(), unmetered=True))
    sink.flush()
    assert sink.unsent_requests == 0
    assert sink.dropped_metrics == 2  # by model, and over the service
    assert (cloudwatch.sums[CALLS], cloudwatch.sums["Calls/Service/Model"]) == (1, 1)


def test_threads_lose_nothing(cloudwatch: CloudWatchServer) -> None:
    """Counts of many threads arrive whole, while they are flushed."""
    sink = sink_of(cloudwatch)
    done = threading.Event()

    def flush() -> None:
        while not done.is_set():
            sink.flush()

    def add_many(_: int) -> None:
        for _ in range(250):
            sink.add(call())

    with ThreadPoolExecutor(9) as pool:
        flushing = pool.submit(flush)
        list(pool.map(add_many, range(8)))
        done.set()
        flushing.result()
    sink.close()
    assert cloudwatch.sums[CALLS] == 2000
    assert cloudwatch.samples["ClientLatency/Service"] == 2000
    assert cloudwatch.sums["ClientLatency/Service"] == 2000 * 12.5


def test_bodies_are_small_enough(cloudwatch: CloudWatchServer) -> None:
    """However many values there are, no request is over 800 KB, and none is lost."""
    chance = random.Random(3)
    sink = sink_of(cloudwatch, flush_interval=None, max_series=2000)
    for index in range(100):
        for _ in range(500):
            record = replace(
                call(), model_id=f"acme.model-{index}", latency_ms=10 ** chance.uniform(0, 6)
            )
            sink.add(record)
    sink.flush(timeout=60)
    assert 500_000 < cloudwatch.largest_body <= 800_000
    assert cloudwatch.samples["ClientLatency/Service/Model"] == 50_000
    assert cloudwatch.samples["ClientLatency/Service"] == 50_000
