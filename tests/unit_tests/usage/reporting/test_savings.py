"""The savings, step by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from langchain_bedrock_opt.catalog.price_book import PriceBook
from langchain_bedrock_opt.catalog.prices import price_of
from langchain_bedrock_opt.contracts import RouteDecision, TokenUsage, UsageRecord
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.usage.reporting.counterfactual import as_plain, counterfactual_cost
from langchain_bedrock_opt.usage.reporting.savings import STEPS, waterfall
from langchain_bedrock_opt.usage.reporting.totals import total, uncached_pico_usd

HAIKU = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
CHEAP = "us.amazon.nova-lite-v1:0"
DEAR = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
USAGE = TokenUsage(input=1000, output=400)
Make = Callable[..., UsageRecord]


def cost(model: str, usage: TokenUsage = USAGE) -> int:
    price = price_of(model)
    assert price is not None
    found = price.cost(usage)
    assert found is not None
    return found


def route(model: str, **values: str) -> RouteDecision:
    return RouteDecision(tier=model, model_id=model, score=0.5, **values)  # type: ignore[arg-type] # only texts


@pytest.fixture
def spent(record: Make) -> Make:
    """A routed record with the cost that its tokens have."""

    def build(run_id: str, model: str, **values: object) -> UsageRecord:
        price = cost(model)
        defaults = {"usage": USAGE, "cost_pico_usd": price, "list_pico_usd": price,
                    "uncached_pico_usd": price, "route": route(model)}  # fmt: skip
        return record(run_id=run_id, model_id=model, **{**defaults, **values})

    return build


def worth(record: UsageRecord, records: list[UsageRecord], baseline: str | None) -> int:
    """What one call would have cost without any of the steps."""
    if record.cost_pico_usd is None or record.price_tier == "provisioned":
        return 0
    own = (uncached_pico_usd(record) or 0) + (record.saved_pico_usd or 0)
    if record.route is None or baseline is None:
        return own
    others = [other for other in records if other.route and other.status != "error"]
    if any(other.route and other.route.replaces == record.run_id for other in others):
        return 0  # nobody would have asked
    if record.route.model_id == baseline:
        return own
    spent = 0 if record.usage is None else cost(baseline, as_plain(record.usage))
    return spent + cost(baseline, record.saved)


COUNTS = st.integers(0, 10**5)
TOKENS = st.builds(TokenUsage, input=COUNTS, output=COUNTS, cache_read=COUNTS)
PICO = st.none() | st.integers(0, 10**15)
ROUTES = st.builds(
    RouteDecision,
    tier=st.just("t"),
    model_id=st.sampled_from([CHEAP, HAIKU, DEAR, "acme.frontier-v9"]),
    score=st.just(0.5),
    escalated_from=st.none() | st.just("t"),
    replaces=st.none() | st.sampled_from("0123"),
)


@given(
    st.lists(
        st.tuples(
            st.none() | TOKENS, TOKENS, PICO, PICO, PICO, PICO, st.none() | ROUTES,
            st.sampled_from(["default", "batch", "flex", "provisioned"]),
        ),
        max_size=8,
    ),
    st.sampled_from([None, HAIKU, DEAR]),
)  # fmt: skip
def test_steps_add_up(calls: list[tuple[object, ...]], baseline: str | None) -> None:
    """What each call would have cost, less what each step saved, is what it cost, exactly."""
    at = datetime(2026, 11, 22, tzinfo=timezone.utc)
    names = ("usage", "saved", "cost_pico_usd", "list_pico_usd", "uncached_pico_usd",
             "saved_pico_usd", "route", "price_tier")  # fmt: skip
    records = [
        UsageRecord(
            run_id=str(number), started_at=at, model_id=CHEAP, status="ok",
            **dict(zip(names, call, strict=True)),  # type: ignore[arg-type] # in their order
        )
        for number, call in enumerate(calls)
    ]  # fmt: skip
    # No run stands in for itself.
    assume(all(each.route is None or each.route.replaces != each.run_id for each in records))
    found = waterfall(records, baseline=baseline)
    assert found.without_pico_usd == sum(worth(each, records, found.baseline) for each in records)
    assert tuple(found.saved_pico_usd) == STEPS
    assert found.without_pico_usd - sum(found.saved_pico_usd.values()) == found.actual_pico_usd
    assert found.actual_pico_usd == total(records).cost_pico_usd - sum(
        record.cost_pico_usd or 0 for record in records if record.price_tier == "provisioned"
    )


def test_routing_saves_against_the_dearest_route(spent: Make) -> None:
    """Without a baseline, calls are compared with the dearest model among their routes."""
    found = waterfall([spent("a", CHEAP), spent("b", HAIKU), spent("c", DEAR)])
    assert found.baseline == DEAR
    assert found.without_pico_usd == 3 * cost(DEAR)
    assert found.saved_pico_usd["routing"] == 2 * cost(DEAR) - cost(CHEAP) - cost(HAIKU)
    assert sum(found.saved_pico_usd.values()) == found.saved_pico_usd["routing"]


def test_baseline_can_be_named(spent: Make) -> None:
    """A baseline that no route goes to shows what a router saves against it, or costs."""
    records = [spent("a", CHEAP), spent("b", DEAR)]
    found = waterfall(records, baseline=HAIKU)
    assert found.without_pico_usd == counterfactual_cost(records, HAIKU) == 2 * cost(HAIKU)


def test_baseline_is_priced_in_the_region_of_each_call(record: Make) -> None:
    """A call in Ireland is compared with what the baseline costs in Ireland."""
    book = PriceBook(file=None)
    model, baseline = "amazon.nova-lite-v1:0", "amazon.nova-pro-v1:0"
    records = [
        record(region=region, usage=USAGE, cost_pico_usd=1, model_id=model, route=route(model))
        for region in ("eu-west-1", "us-east-1")
    ]
    prices = [book.price_of(baseline, region=each.region) for each in records]
    costs = [price and price.cost(USAGE) for price in prices]
    assert costs[0] != costs[1]
    expected = sum(each or 0 for each in costs)
    assert waterfall(records, baseline=baseline, prices=book).without_pico_usd == expected
    assert counterfactual_cost(records, baseline, prices=book) == expected


def test_baseline_needs_a_price() -> None:
    """A baseline without a price is refused, with what to do."""
    with pytest.raises(ConfigurationError, match=r"acme.frontier-v9.*give prices=PriceBook"):
        waterfall([], baseline="acme.frontier-v9")


@pytest.mark.parametrize("parent", [None, "around"])
def test_escalations_cost_extra(spent: Make, parent: str | None) -> None:
    """An answer that was no good takes its cost from what routing saved, also by its parent."""
    first = spent("first", CHEAP, parent_run_id=parent)
    second = spent(
        "second", DEAR, route=route(DEAR, escalated_from=CHEAP, replaces=parent or "first")
    )
    found = waterfall([first, second])
    assert found.without_pico_usd == cost(DEAR)
    assert found.saved_pico_usd["routing"] == -cost(CHEAP) == -found.replaced_pico_usd


def test_answer_given_after_all_is_compared(spent: Make) -> None:
    """Where an escalation fails, the first answer is the one that counts."""
    failed = route(DEAR, escalated_from=CHEAP, replaces="first")
    second = spent("second", DEAR, route=failed, status="error", usage=None, cost_pico_usd=None)
    found = waterfall([spent("first", CHEAP), second], baseline=DEAR)
    assert found.saved_pico_usd["routing"] == cost(DEAR) - cost(CHEAP)
    assert found.replaced_pico_usd == 0


def test_each_way_of_saving_has_its_step(record: Make) -> None:
    """Hits, the prompt cache, batch jobs and service tiers are told apart."""
    usage = TokenUsage(input=10)
    common = {"usage": usage, "list_pico_usd": 100, "uncached_pico_usd": 130}
    found = waterfall(
        [
            record(run_id="batch", cost_pico_usd=50, price_tier="batch", **common),
            record(run_id="priority", cost_pico_usd=175, price_tier="priority", **common),
            record(run_id="hit", usage=TokenUsage(), cache_hit=True, saved=usage,
                   cost_pico_usd=0, saved_pico_usd=90),
        ]
    )  # fmt: skip
    assert found.saved_pico_usd == {
        "routing": 0, "response cache": 90, "prompt cache": 60, "batch": 50, "service tier": -75
    }  # fmt: skip
    assert (found.without_pico_usd, found.actual_pico_usd, found.baseline) == (350, 225, None)


def test_calls_without_a_price_a_token_are_counted(spent: Make) -> None:
    """Unpriced calls and calls on capacity paid by the hour are left out, and counted."""
    unpriced = spent("a", CHEAP, cost_pico_usd=None)
    hourly = spent("b", CHEAP, cost_pico_usd=0, price_tier="provisioned")
    found = waterfall([unpriced, hourly])
    assert (found.without_pico_usd, found.left_out_calls) == (0, 2)


def test_hit_is_compared_as_it_would_have_been_paid(spent: Make) -> None:
    """What a hit saved is priced on the baseline with the prompt cache that it would have had."""
    saved = TokenUsage(input=100, cache_read=900)
    hit = replace(
        spent("hit", HAIKU), usage=TokenUsage(), cache_hit=True, saved=saved, cost_pico_usd=0,
        list_pico_usd=0, uncached_pico_usd=0, saved_pico_usd=cost(HAIKU, saved),
    )  # fmt: skip
    found = waterfall([hit], baseline=DEAR)
    assert found.saved_pico_usd["response cache"] == cost(HAIKU, saved)
    assert found.without_pico_usd == cost(DEAR, saved)
