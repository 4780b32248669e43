"""The table of latencies: what models took, by what served them, from any ledger."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from langchain_bedrock_opt import BedrockEmulator, BedrockUsageCallbackHandler, UsageLedger
from langchain_bedrock_opt.chat_model import ChatBedrockOptimized
from langchain_bedrock_opt.contracts import TokenUsage, UsageRecord
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.usage.reporting.latency import LatencyTable

QUICK, SLOW = "us.amazon.nova-lite-v1:0", "us.amazon.nova-pro-v1:0"


@pytest.fixture
def calls(record: Callable[..., UsageRecord]) -> list[UsageRecord]:
    """A hundred streams of a quick model, twenty of a slow one, and what is not measured."""
    usage = TokenUsage(input=10, output=50)
    rows: list[dict[str, Any]] = [
        {"model_id": QUICK, "usage": usage, "latency_ms": 1000.0, "ttft_ms": float(n)}
        for n in range(1, 101)
    ]
    rows += [
        {"model_id": SLOW, "usage": usage, "latency_ms": 2000.0, "ttft_ms": 900.0}
        for _ in range(20)
    ]
    rows += [
        {"model_id": SLOW, "usage": usage, "latency_ms": 4000.0, "service_tier": "flex"},
        {"model_id": SLOW, "usage": usage, "latency_ms": 500.0, "performance": "optimized"},
        {"model_id": SLOW, "usage": usage, "latency_ms": 700.0, "price_tier": "provisioned"},
        {"model_id": QUICK, "latency_ms": 1.0, "ttft_ms": 1.0, "cache_hit": True},
        {"model_id": QUICK, "latency_ms": 9e6, "price_tier": "batch"},
        {"model_id": QUICK, "latency_ms": 9.0, "status": "error", "throttles": 3},
        {"model_id": QUICK, "latency_ms": 9.0, "ttft_ms": 5.0, "status": "aborted"},
    ]
    return [record(run_id=str(number), **row) for number, row in enumerate(rows)]


def ledger_of(calls: list[UsageRecord], path: Path | None = None) -> UsageLedger:
    ledger = UsageLedger(path)
    for call in calls:
        ledger.add(call)
    ledger.flush()
    return ledger


@pytest.fixture
def table(calls: list[UsageRecord]) -> LatencyTable:
    return ledger_of(calls).latency()


def test_rows_are_by_model_and_by_what_served_it(table: LatencyTable) -> None:
    """A served tier, optimized inference and provisioned throughput have rows of their own."""
    assert [
        (row.group, row.service_tier, row.performance, row.capacity, row.calls) for row in table
    ] == [
        (QUICK, "default", "standard", "on_demand", 100),
        (SLOW, "default", "standard", "on_demand", 20),
        (SLOW, "flex", "standard", "on_demand", 1),
        (SLOW, "default", "optimized", "on_demand", 1),
        (SLOW, "default", "standard", "provisioned", 1),
    ]


def test_percentiles_are_exact_and_of_answered_calls_alone(table: LatencyTable) -> None:
    """Cache hits, failures, broken-off streams and jobs are in no percentile."""
    quick = table.rows[0]

    assert (quick.ttft_ms(50), quick.ttft_ms(95), quick.ttft_ms(100)) == (50.0, 95.0, 100.0)
    assert (quick.latency_ms(50), quick.latency_ms(95)) == (1000.0, 1000.0)
    assert quick.tokens_per_second == 50.0
    assert quick.failed == 2
    assert quick.throttled_share == pytest.approx(1 / 102)
    assert table.rows[2].ttft_ms() is None


@pytest.mark.parametrize("name", ["usage.jsonl", "usage.db"])
def test_ledgers_on_disk_say_the_same(
    name: str, calls: list[UsageRecord], table: LatencyTable, tmp_path: Path
) -> None:
    """Memory, JSON Lines and SQLite give one and the same table."""
    assert ledger_of(calls, tmp_path / name).latency() == table


def test_what_is_measured_goes_into_a_policy(table: LatencyTable) -> None:
    """Milliseconds by model id, of models with calls enough, over all that served them."""
    assert table.ttft_ms(percentile=95) == {QUICK: 95.0, SLOW: 900.0}
    assert table.ttft_ms(percentile=50, min_calls=50) == {QUICK: 50.0}
    assert table.latency_ms(percentile=100) == {QUICK: 1000.0, SLOW: 4000.0}


def test_the_fastest_row_needs_calls_enough(table: LatencyTable) -> None:
    """A row of one call is no proof, unless it is asked for."""
    first, best = table.fastest(), table.fastest("latency", percentile=50, min_calls=1)

    assert first is not None
    assert best is not None
    assert (first.group, best.performance) == (QUICK, "optimized")
    assert table.fastest(min_calls=1000) is None


def test_it_can_be_grouped_and_cut_like_totals(calls: list[UsageRecord]) -> None:
    """Any property that totals know may part the rows; a moment may bound the calls."""
    ledger = ledger_of(calls)

    assert {row.group for row in ledger.latency(by=["model", "status"])} >= {(QUICK, "ok")}
    assert len(ledger.latency(until=calls[0].started_at)) == 0
    with pytest.raises(ConfigurationError, match="by='model'"):
        ledger.latency(by="region").ttft_ms()


def test_it_is_shown_as_text_as_html_and_as_a_frame(table: LatencyTable) -> None:
    """The same figures, wherever they are looked at; nothing measured is said so."""
    text, html, frame = str(table), table._repr_html_(), table.frame()

    for cell in (QUICK, "flex", "default optimized", "provisioned", "95 ms", "2.0 s"):
        assert cell in text
        assert cell in html
    assert list(frame["ttft_p95_ms"])[:2] == [95.0, 900.0]
    assert frame.index[0] == QUICK
    empty = UsageLedger().latency()
    assert (str(empty), empty._repr_html_()) == ("No calls.", "<p>No calls.</p>")


@pytest.mark.parametrize(
    "ask",
    [
        lambda table: table.ttft_ms(percentile=0),
        lambda table: table.fastest(percentile=101),
        lambda table: table.fastest("speed"),
    ],
)
def test_mistakes_are_told(table: LatencyTable, ask: Callable[[LatencyTable], object]) -> None:
    """What is no percentile and no measure is refused."""
    with pytest.raises(ConfigurationError, match=r"is none"):
        ask(table)


def test_the_local_bedrock_fills_it() -> None:
    """Streams through a chat model are measured on the run's own clock."""
    now = iter(range(1000))
    usage = BedrockUsageCallbackHandler(perf_clock=lambda: next(now) / 1000)
    model = ChatBedrockOptimized(model=QUICK, client=BedrockEmulator().client(), callbacks=[usage])
    for _ in range(3):
        list(model.stream("Hi"))
    model.invoke("Hi")

    (row,) = usage.ledger.latency()
    assert (row.group, row.calls, row.ttft_ms()) == (QUICK, 4, 1.0)
    assert row.latency_ms(100) == 2.0
