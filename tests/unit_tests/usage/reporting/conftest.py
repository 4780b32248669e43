"""Records of a small agent's week: routed, cached, batched, escalated, broken off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from langchain_bedrock_opt.catalog.prices import price_of
from langchain_bedrock_opt.contracts import RouteDecision, TokenUsage, UsageRecord
from langchain_bedrock_opt.usage.reporting.counterfactual import as_plain

CHEAP = "us.amazon.nova-lite-v1:0"
DEAR = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
UNKNOWN = "acme.frontier-v9"


def priced(record: UsageRecord) -> UsageRecord:
    """The record with the costs that its tokens have."""
    price = price_of(record.model_id)
    if price is None:
        return record
    usage, estimate = record.usage, record.estimate
    listed = None if usage is None else price.cost(usage)
    return replace(
        record,
        cost_pico_usd=listed if listed is None or record.price_tier != "batch" else listed // 2,
        list_pico_usd=listed,
        uncached_pico_usd=None if usage is None else price.cost(as_plain(usage)),
        saved_pico_usd=price.cost(record.saved),
        estimate_pico_usd=None if estimate is None else price.cost(estimate),
        price_source="shipped",
        price_checked="2026-11-20",
    )


@pytest.fixture
def week(record: Callable[..., UsageRecord]) -> list[UsageRecord]:
    simple = RouteDecision(tier="simple", model_id=CHEAP, score=0.1)
    complex_ = RouteDecision(tier="complex", model_id=DEAR, score=0.9)
    again = replace(complex_, escalated_from="simple", replaces="1")
    usage = TokenUsage(input=1000, output=400)
    cached = TokenUsage(input=100, output=300, cache_read=3000)
    rows = [
        {"model_id": CHEAP, "route": simple, "usage": usage, "tags": ("team:a",)},
        {"model_id": CHEAP, "route": simple, "usage": usage, "tags": ("team:b",)},
        {"model_id": DEAR, "route": again, "usage": usage, "tags": ("team:b",)},
        {"model_id": DEAR, "route": complex_, "usage": cached, "stop_reason": "max_tokens"},
        {"model_id": DEAR, "usage": TokenUsage(), "saved": cached, "cache_hit": True},
        {"model_id": DEAR, "usage": usage, "price_tier": "batch", "path": ("agent", "plan")},
        {
            "model_id": DEAR,
            "status": "aborted",
            "unmetered": True,
            "estimate": usage,
            "ttft_ms": 90.0,
        },
        {"model_id": DEAR, "status": "error", "error": "ThrottlingException", "throttles": 3},
        {"model_id": UNKNOWN, "usage": usage},
    ]
    return [
        priced(
            record(
                run_id=str(number),
                started_at=record().started_at + timedelta(days=number),
                latency_ms=100.0 * (number + 1),
                **row,
            )
        )
        for number, row in enumerate(rows)
    ]
