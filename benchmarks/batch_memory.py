"""Memory of a run: submitting and collecting 200,000 records, beside what the process has.

The service is another process, so only the run's own memory counts. `python -m
benchmarks.batch_memory 1000000` measures a million records.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

from benchmarks.harness import Result
from langchain_bedrock_opt import BedrockEmulator
from langchain_bedrock_opt.aws.clients import service_client
from langchain_bedrock_opt.batching.parts import (
    BatchSettings,
    Entry,
    JobKind,
    Outcome,
    Record,
    Services,
)
from langchain_bedrock_opt.batching.run.batch_run import BatchRun, submit

RECORDS = 200_000
KIND = JobKind("us.amazon.nova-lite-v1:0", "Converse")
URI = "s3://batch-memory/benchmark/"
ROLE = "arn:aws:iam::111122223333:role/bedrock-batch"
WORDS = "The quick brown fox jumps over the lazy dog. " * 8


class Texts:
    """One stage: a text for each input."""

    fingerprint = "texts"
    stages = 1

    def entries(self, stage: int, items: Iterable[tuple[int, Any]]) -> Iterator[Entry]:  # noqa: ARG002 - as `Program` has it
        """A Converse record of some 450 bytes for each number."""
        for place, number in items:
            content = [{"text": f"{number}: {WORDS}"}]
            body = orjson.dumps({"messages": [{"role": "user", "content": content}]})
            yield Record(place, KIND, body)

    def result(self, stage: int, outcome: Outcome) -> Any:  # noqa: ARG002 - as `Program` has it
        """The answer's tokens."""
        return orjson.loads(outcome.output or b"{}")["usage"]


def run(records: int = RECORDS) -> Result:
    """Submit and collect in a process of its own, against a service in this one."""
    with BedrockEmulator() as emulator:
        emulator.client("s3").create_bucket(Bucket="batch-memory")
        environment = {**os.environ, **emulator.environment}
        found = {}
        for phase in ("submit", "collect"):
            command = [sys.executable, "-m", "benchmarks.batch_memory", phase, str(records)]
            out = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
            found[phase] = json.loads(out.stdout)
    size = f"{records:,} records"
    goals = (40.0, 20.0) if records <= RECORDS else (64.0, 64.0)
    figures = {
        f"submit, {size}: extra peak MB": found["submit"]["megabytes"],
        f"collect, {size}: extra peak MB": found["collect"]["megabytes"],
        "submit, CPU µs a record": found["submit"]["cpu"] / records * 1e6,
        "collect, CPU µs a record": found["collect"]["cpu"] / records * 1e6,
    }
    return Result(
        benchmark="batch_memory",
        figures=figures,
        goals={name: ("<=", goal) for name, goal in zip(figures, goals, strict=False)},
    )


def phase(name: str, records: int) -> dict[str, float]:
    """What one phase takes beyond what the process had before."""
    services = Services(bedrock=service_client("bedrock"), s3=service_client("s3"))
    settings = BatchSettings(s3_uri=URI, role_arn=ROLE)
    # Clients and parsers are loaded before the clock starts.
    list(submit(Texts(), [], settings, services, run_id=f"warm-{name}").results())
    before, cpu = _reset_peak(), time.process_time()
    if name == "submit":
        submit(Texts(), range(records), settings, services, run_id="memory")
    else:
        uri = f"{URI}runs/memory/"
        again = BatchRun.attach(uri, program=Texts(), services=services).wait()
        before, cpu = _reset_peak(), time.process_time()
        assert sum(result.error is None for result in again.results()) == records
    return {"megabytes": _peak() - before, "cpu": time.process_time() - cpu}


def _reset_peak() -> float:
    """Forget the peak so far, which imports have made; what there is now, in MB. Linux only."""
    # `getrusage` would not do: its peak is inherited from the process that started this one.
    Path("/proc/self/clear_refs").write_text("5", "ascii")
    return _memory("VmRSS")


def _peak() -> float:
    return _memory("VmHWM")


def _memory(name: str) -> float:
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return int(kilobytes) / 1024


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(phase(sys.argv[1], int(sys.argv[2]))))
    else:
        print(run(*map(int, sys.argv[1:])).as_table())
