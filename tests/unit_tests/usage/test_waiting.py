"""Runs that wait for jobs are kept for as long as jobs take."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from langchain_bedrock_opt import (
    BedrockEmulator,
    BedrockUsageCallbackHandler,
    ChatBedrockOptimized,
    TokenQuota,
)
from langchain_bedrock_opt.contracts import BATCH_METADATA_KEY, UsageRecord
from langchain_bedrock_opt.errors import BatchRecordError, RecordNotProcessedError
from langchain_bedrock_opt.usage.billing import was_refused
from langchain_bedrock_opt.usage.budget.runs import OpenRuns
from langchain_bedrock_opt.usage.ledger.ledger import UsageLedger
from langchain_bedrock_opt.usage.recording.runs import Run, RunTable
from langchain_bedrock_opt.usage.waiting import latency_of

DAY = 24 * 3600.0


def run_at(started: float, *, waits: bool) -> Run:
    event = {"metadata": {BATCH_METADATA_KEY: True} if waits else {}}
    return Run(uuid4(), started, started, serialized=None, prompt=(), event=event)


def test_a_usage_handler_keeps_runs_that_wait() -> None:
    """Neither days nor thousands of other runs make a table give up a run that waits."""
    table = RunTable(ttl=3600, max_runs=10)
    waiting, plain = run_at(0, waits=True), run_at(0, waits=False)
    table.add(waiting)
    table.add(plain)

    given_up = [run for _ in range(100) for run in table.add(run_at(DAY, waits=False))]

    assert plain in given_up
    assert waiting not in given_up
    assert table.get(waiting.run_id) is waiting
    assert table.pop(waiting.run_id) is waiting
    assert table.pop(waiting.run_id) is None


def test_runs_that_wait_are_among_all_runs() -> None:
    """They count as open, are handed on at the end of the process, and are no child's."""
    table = RunTable(ttl=3600, max_runs=10)
    runs = [run_at(0, waits=True), run_at(0, waits=False)]
    for run in runs:
        table.add(run)

    assert len(table) == 2
    assert {run.run_id for run in table.pop_all()} == {run.run_id for run in runs}
    table.add(run_at(0, waits=True))
    table.forget_parent()
    assert len(table) == 0


def test_a_budget_keeps_runs_that_wait() -> None:
    """What is held for a run that waits is neither given up nor forgotten, and settled once."""
    runs = OpenRuns(ttl=3600, max_runs=1)
    run_id = uuid4()
    assert runs.enter(run_id, 0, waits=True) is not None
    assert runs.enter(run_id, 0, waits=True) is None
    runs.enter(uuid4(), DAY)

    runs.give_up(2 * DAY)

    assert len(runs) == 1
    runs.leave(run_id)
    assert len(runs) == 0


def test_the_wait_for_a_job_is_no_latency(
    record: Callable[..., UsageRecord], tmp_path: Path
) -> None:
    """Percentiles tell how fast models answer, whatever time jobs took beside them."""
    records = [record(latency_ms=100.0), record(latency_ms=9e6, price_tier="batch")]
    ledgers = [UsageLedger(), UsageLedger(tmp_path / "usage.db")]

    for ledger in ledgers:
        for each in records:
            ledger.add(each)

    assert [ledger.totals().latency_p95_ms for ledger in ledgers] == [100.0, 100.0]
    assert [latency_of(each) for each in records] == [100.0, None]


def test_the_wait_for_room_in_a_quota_is_no_latency(
    record: Callable[..., UsageRecord], tmp_path: Path
) -> None:
    """Times tell how fast a model is, not how long our own quota held its calls back."""
    call = record(latency_ms=9000.0, ttft_ms=8300.0, waited_ms=8000.0)
    ledgers = [UsageLedger(), UsageLedger(tmp_path / "usage.db"), UsageLedger(tmp_path / "u.jsonl")]

    for ledger in ledgers:
        ledger.add(call)
        ledger.flush()

    for ledger in ledgers:
        (row,), totals = ledger.latency().rows, ledger.totals()
        assert (row.latency_ms(), row.ttft_ms(), row.seconds) == (1000.0, 300.0, 0.0)
        assert (totals.latency_p95_ms, totals.ttft_p95_ms) == (1000.0, 300.0)
        assert [kept.waited_ms for kept in ledger.records()] == [8000.0]


def test_a_quotas_wait_is_on_the_record() -> None:
    """A call's record says for how long a `TokenQuota` held it back; a router leaves it out."""
    now = 0.0

    def wait(_event: threading.Event, seconds: float) -> None:
        nonlocal now
        now += seconds

    usage = BedrockUsageCallbackHandler()
    client = BedrockEmulator().client()
    model = ChatBedrockOptimized(
        model="us.amazon.nova-lite-v1:0",
        layers=[TokenQuota(None, 1, clock=lambda: now, wait=wait)],
        client=client,
        bedrock_client=client,
        callbacks=[usage],
    )

    model.invoke("1")
    list(model.stream("2"))

    first, second = usage.ledger.records()
    assert first.waited_ms == 0.0
    assert second.waited_ms >= 60_000
    assert usage.ledger.latency().ttft_ms(min_calls=1) == {model.model_id: 0.0}


def test_records_without_an_answer_cost_nothing() -> None:
    """A record that failed or was not processed is free; an answer that can't be read is not."""
    assert was_refused(BatchRecordError("no", error_code="400")) is True
    assert was_refused(RecordNotProcessedError("not yet")) is True
    assert was_refused(BatchRecordError("An answer is not in the format.")) is False
