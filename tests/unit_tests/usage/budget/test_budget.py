"""A budget stops calls before they are made, on every way into a model, and settles costs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import fields
from decimal import Decimal
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel

from langchain_bedrock_opt import (
    BedrockEmulator,
    BedrockSemanticCache,
    BedrockUsageCallbackHandler,
    ChatBedrockOptimized,
    ChatBedrockRouter,
    RoutingPolicy,
)
from langchain_bedrock_opt.catalog.price_book import PriceBook
from langchain_bedrock_opt.catalog.prices import ModelPrice, price_of
from langchain_bedrock_opt.contracts import TokenUsage
from langchain_bedrock_opt.emulator import Fault
from langchain_bedrock_opt.errors import BudgetExceededError, ConfigurationError, ThrottledError
from langchain_bedrock_opt.usage.budget import Budget, InMemoryBudgetStore
from tests.unit_tests.usage.budget.conftest import MODEL, WORST, spend_all
from tests.unit_tests.usage.conftest import FakeClock

Model = Callable[..., ChatBedrockOptimized]
Use = Callable[[Any, Any], Any]


class RemoteStore(InMemoryBudgetStore):
    """A store that a budget takes for a server's, which it asks in a thread."""

    is_blocking = True


class Capital(BaseModel):
    """A capital."""

    name: str


def agent(model: Any, config: Any) -> Any:
    create_agent = pytest.importorskip("langchain.agents").create_agent
    return create_agent(model, tools=[]).invoke({"messages": [("user", "2+2?")]}, config)


async def consume(model: Any, config: Any) -> list[Any]:
    return [chunk async for chunk in model.astream("2+2?", config)]


WAYS: dict[str, Use] = {
    "invoke": lambda model, config: model.invoke("2+2?", config),
    "ainvoke": lambda model, config: asyncio.run(model.ainvoke("2+2?", config)),
    "stream": lambda model, config: list(model.stream("2+2?", config)),
    "astream": lambda model, config: asyncio.run(consume(model, config)),
    "batch": lambda model, config: model.batch(["2+2?"], config),
    "abatch": lambda model, config: asyncio.run(model.abatch(["2+2?"], config)),
    "chain": lambda model, config: (RunnableLambda(str) | model).invoke("2+2?", config),
    "structured": lambda model, config: model.with_structured_output(Capital).invoke(
        "2+2?", config
    ),
    "agent": agent,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_call_that_does_not_fit_is_not_made(
    way: str, model: Model, emulator: BedrockEmulator
) -> None:
    """Whichever way a model is called, Bedrock is not asked, and nothing stays reserved."""
    budget = Budget(WORST)

    with pytest.raises(BudgetExceededError, match="could cost"):
        WAYS[way](model(), {"callbacks": [budget]})

    assert emulator.journal.count() == 0
    assert budget.counts.refused == 1
    assert budget.reserved_usd == budget.spent_usd == 0


@pytest.mark.parametrize("way", WAYS)
def test_a_call_settles_at_its_cost(way: str, model: Model) -> None:
    """After a call the budget holds what the usage handler says that it cost, and nothing more."""
    budget, usage = Budget(1), BedrockUsageCallbackHandler()

    WAYS[way](model(), {"callbacks": [usage, budget]})

    assert budget.spent_usd == usage.ledger.totals().cost_usd > 0
    assert budget.reserved_usd == 0
    assert budget.counts.uncertain == budget.counts.underestimated == 0


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream"])
def test_a_router_is_stopped_too(way: str, model: Model, emulator: BedrockEmulator) -> None:
    """A refused call of a router goes to no other tier."""
    budget = Budget(WORST)
    router = ChatBedrockRouter(tiers={"simple": model(), "complex": model()})

    with pytest.raises(BudgetExceededError):
        WAYS[way](router, {"callbacks": [budget]})

    assert emulator.journal.count() == 0
    assert budget.counts.refused == 1


def test_a_router_goes_down_a_tier_as_the_limit_comes_near(model: Model) -> None:
    """With the budget as its headroom, a router answers a hard question on a cheaper tier."""
    budget = Budget("0.012")
    router = ChatBedrockRouter(
        tiers={"simple": model(), "complex": model("us.anthropic.claude-sonnet-4-5-20250929-v1:0")},
        policy=RoutingPolicy(headroom=budget),
    )
    hard = "Prove that there are infinitely many primes, and derive a bound on the n-th. " * 5
    before = router.decide(hard).tier

    for _ in range(80):
        if budget.headroom() < 0.1:
            break
        model().invoke("Tell me a story.", {"callbacks": [budget]})

    assert before == "complex"
    assert router.decide(hard).tier == "simple"


def test_a_handler_that_is_given_twice_reserves_once(model: Model) -> None:
    """A budget in the constructor and in the config counts a call once."""
    budget, usage = Budget(1), BedrockUsageCallbackHandler()

    model(callbacks=[budget]).invoke("2+2?", {"callbacks": [budget, usage]})

    assert budget.spent_usd == usage.ledger.totals().cost_usd


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
@pytest.mark.parametrize("store", [InMemoryBudgetStore, RemoteStore])
def test_two_budgets_on_one_call(
    way: str,
    store: type[InMemoryBudgetStore],
    model: Model,
    emulator: BedrockEmulator,
) -> None:
    """Where one budget refuses, the other gives back what it reserved."""
    roomy, full = Budget(1, per="month", store=store()), Budget(WORST, store=store())

    with pytest.raises(BudgetExceededError):
        WAYS[way](model(), {"callbacks": [roomy, full]})

    assert emulator.journal.count() == 0
    assert roomy.reserved_usd == roomy.spent_usd == 0


def test_the_error_says_what_is_left_and_what_to_do(model: Model, clock: FakeClock) -> None:
    """The refusal names the budget, the sums, the next window and the ways out."""
    budget = Budget("0.001", by="tag:team", name="api", clock=clock)

    with pytest.raises(BudgetExceededError) as caught:
        model().invoke("2+2?", {"callbacks": [budget], "tags": ["team:search"]})

    error = caught.value
    assert "Budget 'api' of 'search' has $0.001000 of $0.001 left" in str(error)
    assert "wait until 2026-11-23 00:00 UTC, lower the model's max_tokens" in str(error)
    assert (error.reason, error.budget, error.group) == ("limit", "api", "search")
    assert error.model_id == MODEL
    assert error.needed_usd is not None
    assert error.needed_usd > WORST
    assert error.remaining_usd == Decimal("0.001")


def test_a_limit_of_nothing_refuses_everything(model: Model) -> None:
    """A budget of $0 is used up from the start."""
    budget = Budget(0)

    with pytest.raises(BudgetExceededError):
        model().invoke("2+2?", {"callbacks": [budget]})

    assert budget.headroom() == 0
    assert budget.status().used == 1


def test_warn_lets_calls_through(model: Model, caplog: pytest.LogCaptureFixture) -> None:
    """A budget that only warns stops nothing, and counts and logs what passes the limit."""
    budget = Budget("0.00001", on_exceeded="warn")

    with caplog.at_level(logging.WARNING):
        model().invoke("2+2?", {"callbacks": [budget]})
        model().invoke("2+3?", {"callbacks": [budget]})

    assert budget.counts.exceeded == 2
    assert budget.spent_usd > Decimal("0.00001")
    assert budget.remaining_usd == 0
    assert sum("is at 100 %" in message for message in caplog.messages) == 1


def test_thresholds_are_told_once_a_window(model: Model, clock: FakeClock) -> None:
    """Each threshold is told when what is spent passes it, and anew in the next window."""
    told: list[tuple[str, float]] = []
    budget = Budget(
        "0.0001",
        on_exceeded="warn",
        on_threshold=lambda key, part, _spent: told.append((key, part)),
        clock=clock,
    )
    config: Any = {"callbacks": [budget]}

    for _ in range(3):
        model().invoke("Tell me a story.", config)
    clock.advance(24 * 3600)
    model().invoke("Tell me a story.", config)

    days = ("budget|2026-11-22", "budget|2026-11-23")
    assert told == [(day, part) for day in days for part in (0.5, 0.8, 1.0)]


def test_a_threshold_function_that_fails_does_not_stop_a_call(model: Model) -> None:
    """Whatever `on_threshold` raises, the answer comes."""

    def fail(*_: object) -> None:
        raise RuntimeError("pager is down")

    budget = Budget("0.00001", on_exceeded="warn", on_threshold=fail)

    assert model().invoke("2+2?", {"callbacks": [budget]}).text


def test_a_new_window_is_empty(model: Model, clock: FakeClock) -> None:
    """What was spent today does not count tomorrow."""
    budget = Budget("0.004", clock=clock)
    config: Any = {"callbacks": [budget]}
    spend_all(model(), config)

    clock.advance(24 * 3600)

    assert budget.spent_usd == 0
    model().invoke("Tell me a story.", config)
    assert budget.spent_usd > 0


def test_a_call_settles_in_the_window_it_began_in(
    chat: Callable[..., Any], clock: FakeClock
) -> None:
    """A call that runs into the next hour counts in the hour that it reserved in."""
    clock.advance(3600 - 0.1)  # a call of this client takes a quarter of a second
    seen: list[str] = []
    budget = Budget(
        "0.00001",
        per="hour",
        on_exceeded="warn",
        thresholds=(0.1,),
        on_threshold=lambda key, *_: seen.append(key),
        clock=clock,
    )

    chat(max_tokens=100).invoke("2+2?", {"callbacks": [budget]})

    assert seen == ["budget|2026-11-22T12"]
    assert budget.spent_usd == 0


def test_budgets_by_tag_are_apart(model: Model) -> None:
    """One team's calls leave another team's budget alone, and calls of nobody have one too."""
    budget = Budget(1, by="tag:team")

    model().invoke("2+2?", {"callbacks": [budget], "tags": ["team:a", "beta"]})
    model().invoke("2+2?", {"callbacks": [budget]})

    assert budget.status("a").spent_usd == budget.status("(none)").spent_usd > 0
    assert budget.status("b").spent_usd == 0
    assert 0 < budget.headroom("a") < budget.headroom("b") == 1


def test_a_call_with_two_tags_counts_in_both_or_in_none(model: Model) -> None:
    """Where one of its groups has no room, a call is refused and the other group gets it back."""
    budget = Budget("0.003", by="tag:team")
    config: Any = {"callbacks": [budget], "tags": ["team:b"]}
    spend_all(model(), config)

    config["tags"] = ["team:a", "team:b"]
    with pytest.raises(BudgetExceededError) as caught:
        model().invoke("2+2?", config)

    assert caught.value.group == "b"
    assert budget.status("a").remaining_usd == Decimal("0.003")


def test_budgets_by_metadata(model: Model) -> None:
    """Metadata of the config names the group, also through a chain."""
    budget = Budget(1, by="metadata:tenant")
    chain = RunnableLambda(str) | model()

    chain.invoke("2+2?", {"callbacks": [budget], "metadata": {"tenant": 7}})

    assert budget.status("7").spent_usd > 0


def test_a_group_must_be_named() -> None:
    """A budget by tag has no level of its own, and one for all has no groups."""
    with pytest.raises(ConfigurationError, match="name the group"):
        Budget(1, by="tag:team").headroom()
    with pytest.raises(ConfigurationError, match="leave it out"):
        Budget(1).status("search")


def test_a_hit_of_our_cache_costs_nothing(model: Model) -> None:
    """An answer from the response cache gives back all that was reserved."""
    budget = Budget(1)
    cached = model(cache=BedrockSemanticCache())
    cached.invoke("2+2?", {"callbacks": [budget]})
    spent = budget.spent_usd

    cached.invoke("2+2?", {"callbacks": [budget]})

    assert budget.spent_usd == spent > 0
    assert budget.reserved_usd == 0


def test_a_hit_of_langchains_cache_costs_nothing(chat: Callable[..., Any]) -> None:
    """So does one from a cache of LangChain's own."""
    budget = Budget(1)
    cached = chat(max_tokens=100, cache=InMemoryCache())
    cached.invoke("2+2?", {"callbacks": [budget]})
    spent = budget.spent_usd

    cached.invoke("2+2?", {"callbacks": [budget]})

    assert budget.spent_usd == spent > 0


def test_a_refused_request_costs_nothing(model: Model, emulator: BedrockEmulator) -> None:
    """A throttled call gives back all that it reserved."""
    budget = Budget(1)
    emulator.faults.add(Fault(code="ThrottlingException", times=1))

    with pytest.raises(ThrottledError):
        model().invoke("2+2?", {"callbacks": [budget]})

    assert budget.spent_usd == budget.reserved_usd == 0
    assert budget.counts.uncertain == 0


@pytest.mark.parametrize("code", ["ModelTimeoutException", "ModelErrorException"])
def test_an_error_that_may_be_billed_counts_whole(
    code: str, model: Model, emulator: BedrockEmulator
) -> None:
    """Where the model had begun to work, all that was reserved counts as spent."""
    budget = Budget(1)
    emulator.faults.add(Fault(code=code, times=1))

    with pytest.raises(Exception, match=code):
        model().invoke("2+2?", {"callbacks": [budget]})

    assert budget.spent_usd > WORST
    assert budget.reserved_usd == 0
    assert budget.counts.uncertain == 1


def test_a_stream_that_is_broken_off_counts_whole(model: Model) -> None:
    """Nobody says what a broken-off stream costs, so it costs what was reserved."""
    budget = Budget(1)
    stream: Any = model().stream("Tell me a story.", {"callbacks": [budget]})
    next(stream)
    assert budget.reserved_usd > WORST

    stream.close()

    assert budget.spent_usd > WORST
    assert budget.reserved_usd == 0
    assert budget.counts.uncertain == 1


def test_a_model_without_a_price_is_refused(model: Model, emulator: BedrockEmulator) -> None:
    """Nobody knows what it costs, so a budget can't let it through; the message says how to."""
    budget = Budget(1)

    with pytest.raises(BudgetExceededError, match="No price is known") as caught:
        model("us.anthropic.claude-future-9-v1:0").invoke(
            "2+2?", {"callbacks": [budget]}, max_tokens=10
        )

    assert caught.value.reason == "unpriced"
    assert "unpriced='allow'" in str(caught.value)
    assert emulator.journal.count() == 0


def test_a_model_without_a_price_may_be_allowed(model: Model) -> None:
    """Let through on purpose, such calls are counted, not called free."""
    budget = Budget(1, unpriced="allow")

    model("us.anthropic.claude-future-9-v1:0").invoke("2+2?", {"callbacks": [budget]})

    assert budget.counts.unpriced == budget.counts.uncertain == 1
    assert budget.spent_usd == 0


def test_prices_that_fail_cost_no_answer(model: Model) -> None:
    """Whatever a user's prices raise once a call is paid, its answer comes and it counts whole."""

    class Price(ModelPrice):
        asked = 0

        def cost(self, usage: TokenUsage) -> int | None:
            Price.asked += 1
            if Price.asked > 3:  # the prompt at three prices, before the call
                raise LookupError("no such price")
            return super().cost(usage)

    class Prices(PriceBook):
        def price_of(self, *args: Any, **kwargs: Any) -> ModelPrice | None:
            price = super().price_of(*args, **kwargs)
            assert price is not None
            return Price(**{field.name: getattr(price, field.name) for field in fields(price)})

    budget = Budget(1, prices=Prices())

    assert model().invoke("2+2?", {"callbacks": [budget]}).text
    assert budget.spent_usd > WORST
    assert budget.counts.uncertain == 1


def test_an_estimate_that_was_too_low_is_put_right(chat: Callable[..., Any], bedrock: Any) -> None:
    """A call that costs more than was reserved is counted whole, and counted as such."""
    bedrock.usage = {"inputTokens": 90_000, "outputTokens": 100, "totalTokens": 90_100}
    budget = Budget(1)

    chat(max_tokens=100).invoke("2+2?", {"callbacks": [budget]})

    price = price_of("anthropic.claude-3-haiku-20240307-v1:0")
    assert price is not None
    cost = price.cost(TokenUsage(input=90_000, output=100))
    assert cost is not None
    assert budget.spent_usd == Decimal(cost) / 10**12
    assert budget.counts.underestimated == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"limit_usd": -1}, "limit_usd=-1"),
        ({"limit_usd": "ten"}, "limit_usd='ten'"),
        ({"limit_usd": float("inf")}, "limit_usd=inf"),
        ({"limit_usd": 10**9}, "from 0 to 4000000"),
        ({"per": "week"}, "per='week'"),
        ({"by": "team"}, "by='team'"),
        ({"on_exceeded": "stop"}, "give 'raise' or 'warn'"),
        ({"unpriced": "free"}, "give 'refuse' or 'allow'"),
        ({"on_store_error": "raise"}, "give 'allow' or 'refuse'"),
        ({"margin": 0.9}, "margin=0.9"),
        ({"max_tokens": 0}, "max_tokens=0"),
        ({"thresholds": (80,)}, r"thresholds=\(80,\)"),
    ],
)
def test_mistakes_are_said_at_once(arguments: dict[str, Any], message: str) -> None:
    """A budget that can't work says so when it is made, with the value and the fix."""
    with pytest.raises(ConfigurationError, match=message):
        Budget(**{"limit_usd": 1, **arguments})


def test_the_model_is_one_with_a_price() -> None:
    """The figures of these tests are those of the catalog."""
    price = price_of(MODEL)

    assert price is not None
    assert Decimal(200 * price.output) / 10**12 == WORST
