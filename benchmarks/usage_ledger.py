"""What a usage ledger costs: adding a record, and totals of many, SQLite beside JSON lines."""

from __future__ import annotations

import json
import os
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

from benchmarks.harness import Result, compare
from langchain_bedrock_opt.contracts import TokenUsage, UsageRecord
from langchain_bedrock_opt.usage import UsageLedger
from langchain_bedrock_opt.usage.ledger.serialization import record_to_dict

RECORDS = int(os.environ.get("BENCH_RECORDS", "100000"))
ADDED = 2000
ROUNDS = 9
START = datetime(2026, 11, 1, tzinfo=timezone.utc)


def record(number: int) -> UsageRecord:
    """A record as an agent's call leaves it."""
    return UsageRecord(
        run_id=f"{number:032x}",
        started_at=START + timedelta(seconds=number),
        model_id=f"us.anthropic.claude-haiku-4-5-2025100{number % 5}-v1:0",
        status="ok",
        usage=TokenUsage(input=1200, output=300, cache_read=number % 3000),
        cost_pico_usd=3_000_000_000 + number,
        latency_ms=500.0 + number % 977,
        ttft_ms=100.0 + number % 97,
        path=("agent", "plan"),
        tags=("team:search",),
    )


def run() -> Result:
    """Compare what the calling thread waits for, and how fast and lean totals are."""
    with tempfile.TemporaryDirectory() as folder:
        adding = {suffix: _adding(Path(folder) / f"add.{suffix}") for suffix in ("db", "jsonl")}
        database, lines = UsageLedger(Path(folder) / "u.db"), UsageLedger(Path(folder) / "u.jsonl")
        for number in range(RECORDS):
            one = record(number)
            database.add(one)
            lines.add(one)
            if number % 20_000 == 0:
                database.flush()
        assert database.totals() == lines.totals()
        by_model = compare(lambda: _timed(database), lambda: _timed(lines), rounds=3)
        memory = _peak(lambda: database.totals(by="model")), _peak(lines.records)
        lost = database.lost_records
    return Result(
        benchmark="usage_ledger",
        figures={
            "add to SQLite / json.dumps, wall ratio": adding["db"][1],
            "add to SQLite, µs": adding["db"][0],
            "add to JSON lines / json.dumps, wall ratio": adding["jsonl"][1],
            "add to JSON lines, µs": adding["jsonl"][0],
            f"totals by model of {RECORDS:,}, SQLite / JSON lines": by_model.ratio,
            f"totals by model of {RECORDS:,}, SQLite, s": by_model.ours,
            "its peak of memory, MB": memory[0],
            "records lost": lost,
        },
        baselines={
            "json.dumps of the record, µs": adding["db"][2],
            f"totals by model of {RECORDS:,}, JSON lines, s": by_model.baseline,
            "peak of memory of all records, MB": memory[1],
        },
        goals={
            "add to SQLite / json.dumps, wall ratio": ("<=", 1),
            f"totals by model of {RECORDS:,}, SQLite / JSON lines": ("<=", 0.3),
            "records lost": ("<=", 0),
        },
    )


def _adding(path: Path) -> tuple[float, float, float]:
    """Microseconds that an `add` takes, its ratio to `json.dumps`, and what that takes."""
    ledger, numbers = UsageLedger(path), iter(range(10**9))

    def add() -> float:
        records = [record(next(numbers)) for _ in range(ADDED)]
        start = time.perf_counter()
        for each in records:
            ledger.add(each)
        took = time.perf_counter() - start
        ledger.flush()
        return took / ADDED * 1e6

    def dump() -> float:
        values = [record_to_dict(record(number)) for number in range(ADDED)]
        start = time.perf_counter()
        for each in values:
            json.dumps(each)
        return (time.perf_counter() - start) / ADDED * 1e6

    add(), dump()
    found = compare(add, dump, rounds=ROUNDS)
    return found.ours, found.ratio, found.baseline


def _timed(ledger: UsageLedger) -> float:
    start = time.perf_counter()
    ledger.totals(by="model")
    return time.perf_counter() - start


def _peak(work: Callable[[], object]) -> float:
    tracemalloc.start()
    work()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 1e6
