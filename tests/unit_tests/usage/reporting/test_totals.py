"""Adding usage records up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_bedrock_opt.catalog.price_book import PriceBook
from langchain_bedrock_opt.catalog.prices import ModelPrice, price_of
from langchain_bedrock_opt.contracts import RouteDecision, TokenUsage, UsageRecord
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.usage.reporting.counterfactual import counterfactual_cost
from langchain_bedrock_opt.usage.reporting.totals import UsageTotals, total, totals_by

HAIKU = "anthropic.claude-3-haiku-20240307-v1:0"
Make = Callable[..., UsageRecord]


def test_nothing_adds_up_to_nothing() -> None:
    """No records give zero calls, zero cost and no latency."""
    assert total([]) == UsageTotals()


def test_every_kind_of_call_is_counted(record: Make) -> None:
    """Calls, errors, hits, unpriced and unmetered calls each have their count."""
    usage = TokenUsage(input=10, output=1)
    totals = total(
        [
            record(usage=usage, cost_pico_usd=2 * 10**12),
            record(usage=usage),
            record(usage=TokenUsage(), cost_pico_usd=0, cache_hit=True, saved=usage,
                   saved_pico_usd=10**12),
            record(status="error"),
            record(status="aborted", unmetered=True),
        ]
    )  # fmt: skip
    assert (totals.calls, totals.errors, totals.cache_hits) == (5, 1, 1)
    assert (totals.unpriced_calls, totals.unmetered_calls) == (1, 1)
    assert (totals.usage, totals.saved) == (usage + usage, usage)
    assert (totals.cost_usd, totals.saved_usd) == (Decimal(2), Decimal(1))


def test_latency_is_of_finished_calls(record: Make) -> None:
    """Percentiles are latencies that occurred, among calls that finished."""
    records = [record(latency_ms=float(latency)) for latency in range(1, 101)]
    records.append(record(latency_ms=10_000.0, status="error"))
    totals = total(records)
    assert (totals.latency_p50_ms, totals.latency_p95_ms) == (50.0, 95.0)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 10**15), st.integers(0, 10**6))),
    st.randoms(use_true_random=False),
)
def test_parts_add_up_to_the_whole_in_any_order(
    calls: list[tuple[str, int, int]], random: object
) -> None:
    """Totals by model add up to the total, exactly, in whichever order calls came."""
    records = [
        UsageRecord(
            run_id="r",
            started_at=datetime(2026, 11, 22, tzinfo=timezone.utc),
            model_id=model,
            status="ok",
            usage=TokenUsage(input=tokens),
            cost_pico_usd=cost,
        )
        for model, cost, tokens in calls
    ]
    whole = total(records)
    random.shuffle(records)  # type: ignore[attr-defined] # hypothesis' Random has no public type
    parts = totals_by(records, "model").values()
    assert total(records) == whole
    assert sum(part.cost_pico_usd for part in parts) == whole.cost_pico_usd
    assert sum((part.usage for part in parts), start=TokenUsage()) == whole.usage


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        ("model", {"m": 3}),
        ("tier", {"simple": 1, "(none)": 2}),
        ("service_tier", {"(none)": 2, "flex": 1}),
        ("status", {"ok": 2, "error": 1}),
        ("tag", {"team:a": 1, "night": 2, "(none)": 1}),
        ("tag:team", {"a": 1, "(none)": 2}),
        ("metadata:tenant", {"7": 2, "(none)": 1}),
    ],
)
def test_records_are_grouped(record: Make, by: str, groups: dict[str, int]) -> None:
    """Records add up by model, tier, status, tag and metadata; those without it stand apart."""
    route = RouteDecision(tier="simple", model_id="m", score=0.0)
    records = [
        record(model_id="m", route=route, tags=("team:a", "night"), metadata={"tenant": 7}),
        record(model_id="m", service_tier="flex", tags=("night",), metadata={"tenant": "7"}),
        record(model_id="m", status="error"),
    ]
    assert {group: part.calls for group, part in totals_by(records, by).items()} == groups


@pytest.mark.parametrize("by", ["", "colour", "tag:", "metadata:", "route:simple"])
def test_unknown_grouping_names_the_known_ones(by: str) -> None:
    """A grouping that does not exist is refused with those that do."""
    with pytest.raises(ConfigurationError, match="'model', 'tier'"):
        totals_by([], by)


def test_same_work_on_one_model_without_cache(record: Make) -> None:
    """Spent and saved tokens alike are priced on the other model, cached input as plain input."""
    price = price_of(HAIKU)
    assert price is not None
    records = [
        record(usage=TokenUsage(input=10, output=2, cache_read=5, cache_write_1h=3)),
        record(usage=TokenUsage(), cache_hit=True, saved=TokenUsage(input=100, output=20)),
        record(status="error"),
    ]
    assert counterfactual_cost(records, HAIKU) == 118 * price.input + 22 * price.output


def test_work_on_a_model_without_price_has_no_cost(record: Make) -> None:
    """A model without a price gives None, not zero."""
    assert counterfactual_cost([record(usage=TokenUsage(input=1))], "acme.frontier-v9") is None


def test_what_each_way_of_saving_brought(record: Make) -> None:
    """List and uncached sums are over priced calls; what is not known there saves nothing."""
    usage = TokenUsage(input=10)
    totals = total(
        [
            record(usage=usage, cost_pico_usd=5, list_pico_usd=10, uncached_pico_usd=30),
            record(usage=usage, cost_pico_usd=7),
            record(usage=usage, list_pico_usd=10, uncached_pico_usd=30),
            record(usage=usage, cost_pico_usd=0, list_pico_usd=99, uncached_pico_usd=99,
                   price_tier="provisioned"),
        ]
    )  # fmt: skip
    assert (totals.cost_pico_usd, totals.list_pico_usd, totals.uncached_pico_usd) == (12, 17, 37)
    assert (totals.unpriced_calls, totals.provisioned_calls) == (1, 1)


def test_troubles_and_estimates_are_counted(record: Make) -> None:
    """Retries, throttles and escalations are added up; estimates stay out of usage and cost."""
    again = RouteDecision(tier="complex", model_id="m", score=0.0, escalated_from="simple")
    totals = total(
        [
            record(retries=2, throttles=1, route=again, ttft_ms=30.0, cache_hit=True),
            record(
                status="aborted", unmetered=True, estimate=TokenUsage(output=8), estimate_pico_usd=9
            ),
            record(status="error", retries=3, throttles=4),
            record(ttft_ms=10.0),
        ]
    )
    assert (totals.retries, totals.throttles, totals.escalations) == (5, 5, 1)
    assert (totals.estimate, totals.estimate_pico_usd) == (TokenUsage(output=8), 9)
    assert (totals.usage, totals.cost_pico_usd) == (TokenUsage(), 0)
    assert (totals.ttft_p50_ms, totals.ttft_p95_ms) == (10.0, 30.0)
    assert (totals.hit_rate, totals.error_rate) == (0.25, 0.25)
    assert (UsageTotals().hit_rate, UsageTotals().error_rate) == (0.0, 0.0)


def test_several_properties_group_together(record: Make) -> None:
    """A list of properties groups by all of them at once, each tag with each."""
    records = [
        record(model_id="m", path=("agent", "plan"), tags=("a", "b")),
        record(model_id="m", region="us-east-1", tags=("a",)),
    ]
    groups = {key: each.calls for key, each in totals_by(records, ["node", "tag"]).items()}
    assert groups == {("plan", "a"): 1, ("plan", "b"): 1, ("(none)", "a"): 1}


def test_routes_tell_stand_ins(record: Make) -> None:
    """A tier that answered in another's place is told from one that was chosen."""
    plain = RouteDecision(tier="complex", model_id="m", score=0.0)
    records = [
        record(route=plain),
        record(route=replace(plain, escalated_from="simple")),
        record(route=replace(plain, fallback_from="medium")),
    ]
    assert list(totals_by(records, "route")) == [
        "complex", "complex (escalated from simple)", "complex (for medium)"
    ]  # fmt: skip


def test_prices_of_ones_own_are_taken(record: Make) -> None:
    """A price book that knows a model gives it a cost elsewhere too."""

    class Agreed(PriceBook):
        def price_of(self, model_id: str, **where: object) -> ModelPrice:
            return ModelPrice(input=3, output=5, source="contract", checked="2026-11-22")

    records = [record(usage=TokenUsage(input=10, output=2, cache_read=5))]
    assert counterfactual_cost(records, "acme.frontier-v9", prices=Agreed()) == 15 * 3 + 2 * 5
