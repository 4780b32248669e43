"""What it costs to read a job's output in the order of its inputs: CPU a record, and memory.

Beside it: read the whole output, `json.loads` each line, sort. Each run is a process of its own,
over an S3 that another process serves. What LangChain makes of an answer is not in it.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.harness import Result, compare
from langchain_bedrock_opt import BedrockEmulator
from langchain_bedrock_opt.aws.clients import service_client
from langchain_bedrock_opt.batching.jobs.collecting import Collector
from langchain_bedrock_opt.batching.jobs.folder import S3Folder
from langchain_bedrock_opt.batching.parts import record_id

BUCKET = "benchmark"
FEW = 20_000
MANY = 200_000
FILES = 8
ROUNDS = 5
TEXT = "Kyoto was the capital of Japan for more than a thousand years. 京都は千年の都。 "


def run() -> Result:
    """Compare both at 20,000 records, and measure the memory of ours at 200,000."""
    with BedrockEmulator() as emulator:
        s3 = emulator.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        for count in (FEW, MANY):
            write_output(S3Folder(s3, f"s3://{BUCKET}/{count}/"), count)

        def measured(way: str, count: int, what: str) -> float:
            return in_a_process(emulator, way, count, what)

        times = compare(
            lambda: measured("collector", FEW, "cpu"),
            lambda: measured("sort", FEW, "cpu"),
            rounds=ROUNDS,
        )
        # Looking at the memory takes time: a run of its own.
        memory = measured("collector", MANY, "memory")
        memory_of_sort = measured("sort", FEW, "memory")
    return Result(
        benchmark="batch_collect",
        figures={
            "ordered collect, CPU µs a record": times.ours,
            "ordered collect / read all and sort, CPU ratio": times.ratio,
            f"ordered collect of {MANY:,} records, extra peak memory MB": memory,
        },
        baselines={
            "read all and sort, CPU µs a record": times.baseline,
            f"read all and sort of {FEW:,} records, extra peak memory MB": memory_of_sort,
        },
        goals={
            "ordered collect, CPU µs a record": ("<=", 25),
            f"ordered collect of {MANY:,} records, extra peak memory MB": ("<=", 20),
        },
    )


def write_output(folder: S3Folder, count: int) -> None:
    """The output of a job: lines of some 2.4 kB, in no order, in several files."""
    places = list(range(count))
    random.Random(0).shuffle(places)
    for number in range(FILES):
        with folder.upload(f"{number:05d}.jsonl.out") as upload:
            for place in places[number::FILES]:
                upload.write(line_of(place))


def line_of(place: int) -> bytes:
    """One line, as Bedrock writes it."""
    content = [{"text": f"{place}: {TEXT * 15}"}]
    answer = [{"text": f"{place}: {TEXT * 7}"}]
    document = {
        "recordId": record_id(place),
        "modelInput": {
            "messages": [{"role": "user", "content": content}],
            "inferenceConfig": {"maxTokens": 500},
        },
        "modelOutput": {
            "output": {"message": {"role": "assistant", "content": answer}},
            "stopReason": "end_turn",
            "usage": {"inputTokens": 412, "outputTokens": 203, "totalTokens": 615},
            "metrics": {"latencyMs": 900},
        },
    }
    return json.dumps(document, ensure_ascii=False).encode()


def in_a_process(emulator: BedrockEmulator, way: str, count: int, what: str) -> float:
    """Run one way in a new process; what it took."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.batch_collect", way, str(count), what],
        env={**os.environ, **emulator.environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def with_the_collector(folder: S3Folder, count: int) -> Iterator[Any]:
    """Ours: in order, over a temporary file."""
    for answer in Collector(folder, range(count)):
        yield answer.place, answer.output


def with_a_sort(folder: S3Folder, count: int) -> Iterator[Any]:
    """What comes to mind first: all lines in memory."""
    lines = []
    for found in list(folder.list())[:FILES]:
        body = folder.get_bytes(found.name) or b""
        lines += [json.loads(line) for line in body.splitlines()]
    lines.sort(key=lambda line: line["recordId"])
    assert len(lines) == count
    for line in lines:
        yield int(line["recordId"]), line["modelOutput"]


WAYS: dict[str, Callable[[S3Folder, int], Iterator[Any]]] = {
    "collector": with_the_collector,
    "sort": with_a_sort,
}


def main(way: str, count: int, what: str) -> None:
    """Run one way and print what it took: `cpu` in µs a record, or `memory` in MB."""
    folder = S3Folder(service_client("s3"), f"s3://{BUCKET}/{count}/")
    next(iter(folder.list()))  # connects, and loads what botocore needs
    if what == "memory":
        with peak_memory() as peak:
            check_order(WAYS[way](folder, count), count)
        print(peak[0] / 1024**2)
    else:
        start = time.process_time()
        check_order(WAYS[way](folder, count), count)
        print((time.process_time() - start) / count * 1e6)


def check_order(answers: Iterator[Any], count: int) -> None:
    """All of them, in order."""
    expected = 0
    for place, output in answers:
        assert place == expected
        assert output
        expected += 1
    assert expected == count


@contextmanager
def peak_memory() -> Iterator[list[int]]:
    """Bytes of resident memory beyond those at the start, at most, looked at every 5 ms."""
    start = resident()
    peak = [0]
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.005):
            peak[0] = max(peak[0], resident() - start)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def resident() -> int:
    """Resident memory in bytes."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
