"""What a report says should be looked at."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from langchain_bedrock_opt import BedrockEmulator, BedrockUsageCallbackHandler, UsageLedger
from langchain_bedrock_opt.capacity.lanes.overflow_model import overflow_model
from langchain_bedrock_opt.contracts import TokenUsage, UsageRecord
from langchain_bedrock_opt.emulator import Quota
from langchain_bedrock_opt.usage.reporting.findings import findings

DEAR = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
BOUGHT = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdefabcdef"
CHEAP = "us.amazon.nova-lite-v1:0"
LONG = TokenUsage(input=5000, output=50)
Make = Callable[..., UsageRecord]


def kinds(records: list[UsageRecord]) -> list[tuple[str, str, int]]:
    return [(found.kind, found.where, found.calls) for found in findings(records)]


def test_nothing_is_found_where_nothing_is_wrong(record: Make) -> None:
    """Ordinary calls give no findings, and neither do none."""
    assert findings([]) == ()
    assert kinds([record(usage=TokenUsage(input=300, output=400), cost_pico_usd=1)] * 20) == []


@pytest.mark.parametrize(
    ("model", "usage", "found"),
    [
        (DEAR, LONG, [("waste", DEAR, 1)]),
        (DEAR, TokenUsage(input=10, cache_read=5000, output=50), [("waste", DEAR, 1)]),
        (DEAR, TokenUsage(input=5000, output=200), []),
        (DEAR, TokenUsage(input=2000, output=50), []),
        (CHEAP, LONG, []),
    ],
)
def test_long_prompts_for_short_answers(
    record: Make, model: str, usage: TokenUsage, found: list[tuple[str, str, int]]
) -> None:
    """Long prompts with short answers on a dear model are waste; on a cheap one they are not."""
    assert kinds([record(model_id=model, usage=usage, cost_pico_usd=7)]) == found


def test_prompts_that_could_be_cached(record: Make) -> None:
    """Many long prompts of one node, none cached, on a model that caches, are told of."""
    calls = [record(model_id=CHEAP, usage=LONG, path=("agent", "plan"))] * 10
    assert kinds(calls) == [("prompt caching", f"{CHEAP} in plan", 10)]
    assert kinds(calls[:9]) == []
    cached = record(model_id=CHEAP, usage=TokenUsage(cache_read=9), path=("agent", "plan"))
    assert kinds([*calls, cached]) == []
    hit = record(model_id=CHEAP, usage=TokenUsage(), saved=LONG, cache_hit=True)
    assert kinds([hit] * 20) == []


def test_answers_that_were_cut(record: Make) -> None:
    """Answers that `max_tokens` cut are counted by model."""
    cut = record(model_id=CHEAP, usage=TokenUsage(output=9), stop_reason="max_tokens")
    assert kinds([cut, cut, record(usage=TokenUsage(output=9))]) == [("truncated", CHEAP, 2)]


def test_models_that_are_throttled(record: Make) -> None:
    """Models of which more than a twentieth of the calls is throttled are told of."""
    calls = [record(model_id=CHEAP)] * 19
    assert kinds([*calls, record(model_id=CHEAP, throttles=1, retries=1)]) == []
    often = record(model_id=CHEAP, throttles=2, retries=2)
    assert kinds([*calls, often]) == [("throttled", CHEAP, 1)]
    failed = record(model_id=CHEAP, throttles=2, retries=1, status="error")
    assert kinds([*calls, failed]) == [("throttled", CHEAP, 1)]


def test_no_token_is_saved_where_the_hours_are_paid(record: Make) -> None:
    """Calls of provisioned throughput are told nothing that would make their tokens cheaper."""
    call = {"resolved_id": DEAR, "usage": LONG, "cost_pico_usd": 0, "price_source": "hourly"}
    bought = [record(model_id=BOUGHT, price_tier="provisioned", **call) for _ in range(20)]
    assert kinds(bought) == []
    assert kinds([*bought, record(model_id=DEAR, usage=LONG, cost_pico_usd=7)]) == [
        ("waste", DEAR, 1)
    ]


def test_throttles_of_provisioned_throughput(record: Make) -> None:
    """A provisioned throughput needs units, and no quota."""
    bought = {"model_id": BOUGHT, "resolved_id": CHEAP, "price_tier": "provisioned"}
    [found] = findings([record(**bought, throttles=2, retries=1, status="error")])

    assert "more model units" in found.text
    assert "quota" not in found.text
    assert "cross-region profile" not in found.text


def test_what_overflowed_is_no_lack_of_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    """A throttle by which a call went on-demand is not the on-demand model's."""
    ledger = UsageLedger()
    with BedrockEmulator(
        provisioned={BOUGHT: "amazon.nova-lite-v1:0"},
        quotas={BOUGHT: Quota(tokens_per_minute=0)},
    ) as aws:
        for name, value in aws.environment.items():
            monkeypatch.setenv(name, value)
        model = overflow_model(BOUGHT, on_demand=CHEAP, base_model="amazon.nova-lite-v1:0")
        model.invoke("Hello", {"callbacks": [BedrockUsageCallbackHandler([ledger])]})

    [called] = ledger.records()
    assert (called.model_id, called.throttles) == (CHEAP, 1)
    assert findings([called]) == ()


def test_who_spends_the_most(record: Make) -> None:
    """A tag or a value of the metadata that spends most of the money is named, with its share."""
    usage = TokenUsage(input=1)
    big = record(usage=usage, cost_pico_usd=90, tags=("team:a", "all"), metadata={"tenant": 7})
    small = record(usage=usage, cost_pico_usd=10, tags=("team:b", "all"))
    found = findings([big, small])
    assert [(each.where, each.text) for each in found] == [
        ("team:a", "90% of the cost"), ("tenant=7", "90% of the cost")
    ]  # fmt: skip


def test_dearest_comes_first(record: Make) -> None:
    """Findings stand in the order of what they cost."""
    cut = record(usage=TokenUsage(output=9), stop_reason="max_tokens", cost_pico_usd=5)
    waste = record(model_id=DEAR, usage=LONG, cost_pico_usd=4)
    assert [found.kind for found in findings([waste, cut])] == ["truncated", "waste"]
