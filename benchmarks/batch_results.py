"""What it costs to read the results of a run, in the order of the inputs: CPU a record.

A prompt, a model, 50,000 inputs: from the job's output in S3 to an AIMessage for each input. What
the parser takes of it, which makes the messages, is measured by itself in the same run; all the
rest (reading, ordering, joining, counting, pricing) is this package's. A parser behind the model
is LangChain's `invoke`, whose cost is shown.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import Runnable

from benchmarks.batch_chain import BUCKET, MODEL, chain, inputs, model
from benchmarks.harness import Result
from benchmarks.processes import in_a_process
from benchmarks.quick_jobs import OUTPUT, quick_emulator
from langchain_bedrock_opt.batching import BatchChain, as_batch
from langchain_bedrock_opt.batching.parts import JobKind
from langchain_bedrock_opt.batching.records.reader import Reader

RECORDS = 50_000
ROUNDS = 3
KIND = JobKind(MODEL, "Converse")
JOB = "arn:aws:bedrock:us-east-1:111122223333:model-invocation-job/abcdefabcdef"


def run(records: int = RECORDS, rounds: int = ROUNDS) -> Result:
    """Read a run's results, and the same answers by the parser alone."""
    with quick_emulator(BUCKET) as emulator:
        found = in_a_process(emulator, "batch_results", records, rounds)
    return Result(
        benchmark="batch_results",
        figures={
            "results in order, less the parser, CPU µs a record": found["rest"],
            "results in order, CPU µs a record": found["results"],
            "StrOutputParser in the chain adds, CPU µs a record": found["more"],
        },
        baselines={
            "the parser (answer to AIMessage), CPU µs a record": found["parser"],
            "StrOutputParser().invoke, CPU µs": found["invoke"],
        },
        goals={"results in order, less the parser, CPU µs a record": ("<=", 25)},
    )


def main(records: int, rounds: int) -> dict[str, float]:
    """Medians of what each way took."""
    user_chain = chain()
    reader, parser = Reader(model()), StrOutputParser()
    message = reader.message(KIND, OUTPUT, job_arn=JOB)
    plain = _reading(user_chain, records)
    parsed = _reading(user_chain | parser, records)

    def parse() -> Iterable[object]:
        return (reader.message(KIND, OUTPUT, job_arn=JOB) for _ in range(records))

    def invoke() -> Iterable[object]:
        return (parser.invoke(message) for _ in range(records))

    rows = []
    for _ in range(rounds):
        row = {
            "results": _cpu(plain, records),
            "parser": _cpu(parse, records),
            "parsed": _cpu(parsed, records),
            "invoke": _cpu(invoke, records),
        }
        row["rest"] = row["results"] - row["parser"]
        row["more"] = row["parsed"] - row["results"]
        rows.append(row)
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def _reading(
    user_chain: Runnable[dict[Any, Any], Any], records: int
) -> Callable[[], Iterable[object]]:
    """A run that is over, and how its results are read."""
    batch: BatchChain[Any, Any] = as_batch(user_chain)
    return batch.submit(inputs(records)).wait().results


def _cpu(read: Callable[[], Iterable[object]], records: int) -> float:
    """Microseconds of CPU that each result took."""
    start = time.process_time()
    assert sum(1 for _ in read()) == records
    return (time.process_time() - start) / records * 1e6


if __name__ == "__main__":
    print(json.dumps(main(*map(int, sys.argv[1:]))))
