"""Memory of a run of a prompt and a model: submitting and collecting 200,000 inputs.

Inputs come from a generator, and results go nowhere. The service is another process, and so are
both phases, so that only the run's own memory counts. `python -m benchmarks.batch_memory 1000000`
measures a million.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from benchmarks.batch_chain import BUCKET, chain, inputs
from benchmarks.harness import Result
from benchmarks.processes import PeakMemory, in_a_process
from benchmarks.quick_jobs import quick_emulator
from langchain_bedrock_opt.batching import BatchChain, BatchRun, as_batch

RECORDS = 200_000
WARM = 200


def run(records: int = RECORDS) -> Result:
    """Submit and collect, each in a process of its own."""
    with quick_emulator(BUCKET) as emulator:
        sent = in_a_process(emulator, "batch_memory", "submit", records)
        read = in_a_process(emulator, "batch_memory", "collect", records, sent["uri"])
    size = f"{records:,} records"
    goals = (40.0, 20.0) if records <= RECORDS else (64.0, 64.0)
    figures = {
        f"submit, {size}: extra peak MB": sent["megabytes"],
        f"collect, {size}: extra peak MB": read["megabytes"],
        "submit, CPU µs a record": sent["cpu"] / records * 1e6,
        "collect to AIMessages, CPU µs a record": read["cpu"] / records * 1e6,
    }
    return Result(
        benchmark="batch_memory",
        figures=figures,
        goals={name: ("<=", goal) for name, goal in zip(figures, goals, strict=False)},
    )


def main(phase: str, records: int, uri: str = "") -> dict[str, object]:
    """One phase: what it takes beyond what the process had after a small run."""
    user_chain = chain()
    batch: BatchChain[Any, Any] = as_batch(user_chain)
    # Clients and parsers are loaded, and their code too.
    assert all(result.error is None for result in batch.submit(inputs(WARM)).results())
    peak, cpu = PeakMemory(), time.process_time()
    if phase == "submit":
        uri = batch.submit(inputs(records)).uri
    else:
        results = BatchRun.attach(uri, chain=user_chain).results()
        assert sum(result.error is None for result in results) == records
    return {"megabytes": peak.megabytes, "cpu": time.process_time() - cpu, "uri": uri}


if __name__ == "__main__":
    if sys.argv[1:2] in (["submit"], ["collect"]):
        print(json.dumps(main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])))
    else:
        print(run(*map(int, sys.argv[1:])).as_table())
