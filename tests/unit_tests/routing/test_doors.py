"""The router's other doors: `route`, `explain`, `report`, and LangChain's configuration."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone
from html.parser import HTMLParser
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.load import dumps
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField, RunnablePassthrough

from langchain_bedrock_opt import BedrockUsageCallbackHandler, UsageLedger, UsageRecord
from langchain_bedrock_opt.catalog.prices import price_of
from langchain_bedrock_opt.contracts import REPORT_KEY, Reason, RouteDecision, TokenUsage
from langchain_bedrock_opt.errors import ConfigurationError, UnknownTierError
from langchain_bedrock_opt.routing import (
    BreakEven,
    ChatBedrockRouter,
    Escalation,
    RoutingPolicy,
    route,
)

MakeRouter = Callable[..., ChatBedrockRouter]

EASY = "日本の首都は?"
HARD = (
    "Compare event sourcing with change data capture for a payment system. Analyze the "
    "trade-offs, then design a migration plan in four steps and justify each of them."
)


class Tags(HTMLParser):
    """The tags of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


# --- Deciding only ---


async def test_route_decides_as_the_router_does(
    router: ChatBedrockRouter, tiers: dict[str, str], bedrock: Any
) -> None:
    """The runnable gives the router's decisions, in a chain and async, and calls nobody."""
    decide = route(tiers)
    chain = ChatPromptTemplate.from_messages([("human", "{q}")]) | decide

    assert decide.invoke(HARD) == router.decide(HARD)
    assert chain.invoke({"q": EASY}).tier == "simple"
    assert (await chain.ainvoke({"q": HARD})).tier == "complex"
    assert [decision.tier for decision in decide.batch([EASY, HARD])] == ["simple", "complex"]
    assert bedrock.requests == []


def test_route_needs_no_account(tiers: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With model ids as tiers neither credentials nor a region are asked for."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    assigned = RunnablePassthrough.assign(tier=(lambda x: x["q"]) | route(tiers)).invoke(
        {"q": EASY}
    )

    assert assigned["tier"].model_id == tiers["simple"]


def test_route_takes_a_named_tier_and_a_policy(tiers: dict[str, str]) -> None:
    """`force` in the config and the policy's limits hold for the decision alone, too."""
    decide = route(tiers, policy=RoutingPolicy(scopes=["us"]))

    forced = decide.invoke(EASY, {"configurable": {"force": "complex"}})

    assert (forced.tier, forced.forced) == ("complex", True)
    with pytest.raises(UnknownTierError, match="'huge'"):
        decide.invoke(EASY, {"configurable": {"force": "huge"}})
    with pytest.raises(ConfigurationError, match="lacks a place where data may go"):
        route(tiers, policy=RoutingPolicy(scopes=["jp"]))
    with pytest.raises(ConfigurationError, match="give a dict of tier names"):
        route({})


# --- Explaining ---


def test_an_explanation_says_tier_score_reasons_and_costs(
    router: ChatBedrockRouter, tiers: dict[str, str], bedrock: Any
) -> None:
    """It has the decision, the thresholds, each tier's estimated cost, and calls no model."""
    found = router.explain(HARD, output_tokens=1000)

    assert found.decision == router.decide(HARD)
    starts = [view.begins_at for view in found.tiers]
    assert starts[0] == 0.0
    assert starts == sorted(starts)
    for view, model_id in zip(found.tiers, tiers.values(), strict=True):
        price = price_of(model_id)
        assert price is not None
        usage = TokenUsage(input=found.input_tokens, output=1000)
        assert view.cost_pico_usd == price.cost(usage)
    assert json.loads(json.dumps(found.as_dict()))["decision"]["tier"] == "complex"
    assert bedrock.requests == []


def test_an_explanation_reads_as_text(router: ChatBedrockRouter) -> None:
    """As text it has a line for each tier and each reason, with signed weights, and no prompt."""
    text = str(router.explain(HARD))

    assert text.startswith("complex (us.anthropic.claude-sonnet-4-5-20250929-v1:0): score ")
    assert "→ complex" in text
    assert "+0." in text
    assert "hard_task" in text
    assert "payment" not in text


def test_an_explanation_names_what_ruled_tiers_out(make_router: MakeRouter) -> None:
    """A tier that lacks something says what, and a call that is forced says so."""
    router = make_router({"old": "us.deepseek.r1-v1:0", "new": "us.amazon.nova-lite-v1:0"})

    with_tools = router.explain(EASY, tools=[{}])

    assert with_tools.decision.tier == "new"
    assert "lacks tools" in str(with_tools)
    assert ", forced" in str(router.explain(EASY, force="old"))


def test_a_notebook_shows_it_without_script_and_escaped(make_router: MakeRouter) -> None:
    """The HTML has tables and a bar of plain elements; a tier's name can't smuggle markup in."""
    evil = "<script>alert(1)</script>"
    router = make_router({evil: "us.amazon.nova-lite-v1:0", "b": "us.amazon.nova-pro-v1:0"})

    page = Tags(router.explain(HARD, force=evil)._repr_html_())

    assert set(page.tags) <= {
        *("div", "p", "b", "small", "table", "thead", "tbody", "tr", "th", "td"),
    }
    assert evil in page.text
    assert "no price" not in page.text


def test_an_unknown_price_is_not_zero(make_router: MakeRouter) -> None:
    """A model without a price has "no price", never $0."""
    router = make_router({"a": "acme.frontier-v9"}, provider="acme")

    assert "no price" in str(router.explain(EASY))


# --- Reporting ---


def record(tier: str, **values: Any) -> UsageRecord:
    """A record of a routed call of 1,000 tokens in and 200 out."""
    decision = RouteDecision(
        tier=tier,
        model_id=f"model-{tier}",
        score=0.5,
        reasons=values.pop("reasons", ()),
        forced=values.pop("forced", False),
    )
    return UsageRecord(
        **{
            "run_id": "r",
            "started_at": datetime(2026, 1, 1, tzinfo=timezone.utc),
            "model_id": f"model-{tier}",
            "status": "ok",
            "usage": TokenUsage(input=1000, output=200),
            "cost_pico_usd": 1_000_000,
            "route": decision,
            **values,
        }
    )


def test_a_report_counts_what_routing_did(router: ChatBedrockRouter) -> None:
    """Tiers, forced and sticky calls, failures, hits and calls without a price are counted."""
    unrouted = record("simple", route=None)
    records = [
        unrouted,
        record("simple"),
        record("simple", forced=True),
        record("complex", reasons=(Reason(signal="sticky", weight=0.0),)),
        record("complex", reasons=(Reason(signal="budget", weight=0.0),)),
        record("complex", reasons=(Reason(signal="constraint", weight=0.0),)),
        record("gone", cost_pico_usd=None),
        record("simple", status="error", usage=None, cost_pico_usd=None),
        record("simple", cache_hit=True, usage=TokenUsage(), cost_pico_usd=0),
    ]

    found = router.report(iter(records))

    assert found.calls == 8
    assert found.by_tier == {"simple": 4, "moderate": 0, "complex": 3, "gone": 1}
    assert (found.forced, found.sticky, found.constrained, found.short_of_budget) == (1, 1, 1, 1)
    assert (found.failed, found.cache_hits, found.unpriced) == (1, 1, 1)
    assert found.cost_pico_usd == found.compared_cost_pico_usd == 5_000_000
    assert json.loads(json.dumps(found.as_dict()))["by_tier"]["gone"] == 1


def test_a_report_compares_with_each_tier_alone(
    router: ChatBedrockRouter, tiers: dict[str, str]
) -> None:
    """The same tokens are priced at each tier; cached ones in full where it has no cache."""
    usage = TokenUsage(input=1000, output=200, cache_read=500)

    found = router.report([record("simple", usage=usage), record("simple")])

    for name, model_id in tiers.items():
        price = price_of(model_id)
        assert price is not None
        one, other = price.cost(usage), price.cost(TokenUsage(input=1000, output=200))
        assert one is not None
        assert other is not None
        assert found.single_tier_pico_usd[name] == one + other


def test_a_tier_without_a_cache_reads_everything_anew(make_router: MakeRouter) -> None:
    """Tokens from a prompt cache cost the full price with a model that has none."""
    mistral = "mistral.mistral-large-2402-v1:0"
    router = make_router({"a": mistral})
    price = price_of(mistral)
    assert price is not None
    assert price.cache_read is None

    found = router.report([record("a", usage=TokenUsage(input=10, cache_read=90))])

    assert found.single_tier_pico_usd["a"] == 100 * price.input


def test_a_report_reads_a_ledger(make_router: MakeRouter, tmp_path: Any) -> None:
    """What the usage handler wrote into a ledger can be reported, as text and in a notebook."""
    ledger = UsageLedger(tmp_path / "usage.jsonl")
    router = make_router(callbacks=[BedrockUsageCallbackHandler(sinks=[ledger])])
    router.batch([EASY, HARD, HARD], {"max_concurrency": 1})
    router.invoke(EASY, force="moderate")

    found = router.report(ledger)

    assert found.by_tier == {"simple": 1, "moderate": 1, "complex": 2}
    assert found.forced == 1
    strongest = found.single_tier_pico_usd["complex"]
    assert strongest is not None
    assert found.compared_cost_pico_usd < strongest
    assert "4 calls, $0.000" in str(found)
    assert "1 forced" in str(found)
    assert set(Tags(found._repr_html_()).tags) <= {
        *("div", "p", "table", "thead", "tbody", "tr", "th", "td"),
    }


def test_a_report_of_nothing_says_so(router: ChatBedrockRouter) -> None:
    """No routed calls make an empty report, not a division by zero."""
    found = router.report([])

    assert str(found) == "No routed calls."
    assert found._repr_html_() == "<p>No routed calls.</p>"


@pytest.mark.parametrize("records", [None, "usage.jsonl", 7])
def test_a_report_needs_records(router: ChatBedrockRouter, records: Any) -> None:
    """A path or nothing at all, where records belong, is refused."""
    with pytest.raises(ConfigurationError, match=r"give usage records, or a ledger"):
        router.report(records)


# --- LangChain's configuration ---


def test_a_bound_config_names_the_tier(
    router: ChatBedrockRouter, bedrock: Any, tiers: dict[str, str]
) -> None:
    """`with_config(configurable={"force": …})` holds for each call of what it gives."""
    strong = router.with_config(configurable={"force": "complex"})

    strong.invoke(EASY)
    router.invoke(EASY)

    assert bedrock.models == [tiers["complex"], tiers["simple"]]


def test_one_of_several_routers_can_be_chosen_in_a_call(
    make_router: MakeRouter, bedrock: Any, tiers: dict[str, str]
) -> None:
    """`configurable_alternatives` puts whole routers side by side, tools included."""
    frugal = make_router(policy=RoutingPolicy({"moderate": 1.0, "complex": 1.0}))
    either = make_router().configurable_alternatives(
        ConfigurableField(id="mode"), default_key="usual", frugal=frugal
    )

    either.invoke(HARD)
    either.with_config(configurable={"mode": "frugal"}).invoke(HARD)

    assert bedrock.models == [tiers["complex"], tiers["simple"]]


def test_the_tiers_can_be_configured(make_router: MakeRouter, bedrock: Any) -> None:
    """`configurable_fields` replaces the tiers in a call, with the parameters the router had."""
    router = make_router(max_tokens=7).configurable_fields(tiers=ConfigurableField(id="tiers"))

    router.invoke(EASY, {"configurable": {"tiers": {"only": "us.amazon.nova-pro-v1:0"}}})

    assert bedrock.models == ["us.amazon.nova-pro-v1:0"]
    assert bedrock.requests[0]["inferenceConfig"] == {"maxTokens": 7}


def test_configured_routers_count_together(make_router: MakeRouter) -> None:
    """Escalation counts, and the guard learns, across the routers that are made for calls."""
    guard = BreakEven(minimum=3, window=5, prior_trials=0)
    refuse: Any = [lambda answer: False]
    base = make_router(escalate=Escalation(checks=refuse, break_even=guard))
    router = base.configurable_fields(policy=ConfigurableField(id="policy"))
    own: Any = {"configurable": {"policy": RoutingPolicy({"moderate": 0.9, "complex": 0.95})}}

    for _ in range(4):
        router.invoke(EASY, own)
    base.invoke(EASY)

    stats = base.escalation_stats()
    assert (stats.checked, stats.escalated, stats.passed_over) == (5, 5, 2)
    assert stats.failed == {"validator": 5}
    assert [balance.trials for balance in stats.pairs.values()] == [3, 2]


def test_a_configured_escalation_learns_from_call_to_call(make_router: MakeRouter) -> None:
    """Switched on for a call by its config, escalation goes on where the last call left it."""
    base = make_router()
    router = base.configurable_fields(escalate=ConfigurableField(id="escalate"))
    refuse: Any = [lambda answer: False]

    for _ in range(3):
        router.invoke(EASY, {"configurable": {"escalate": Escalation(checks=refuse)}})
    router.invoke(EASY)

    stats = base.escalation_stats()
    assert stats.checked == stats.escalated == 3
    assert [balance.trials for balance in stats.pairs.values()] == [3]


def test_a_dump_holds_no_secret(make_router: MakeRouter) -> None:
    """LangChain's serialization of a router is JSON, and shows neither secrets nor objects."""
    router = make_router(aws_session_token="hush", policy=RoutingPolicy(cost_share=0.5))

    text = dumps(router)

    assert json.loads(text)["type"] == "not_implemented"
    assert "hush" not in text
    assert "Stickiness" not in text


def test_targets_are_part_of_a_routers_identity(make_router: MakeRouter) -> None:
    """Routers that differ in their target or its sample don't look alike to a cache."""
    half, most = (make_router(policy=RoutingPolicy(cost_share=share)) for share in (0.5, 0.9))

    assert half.asdict() != most.asdict()


# --- Strangers ---


TEN_MEGABYTES = {"English": "word " * 2_000_000, "Japanese": "漢" * 3_400_000}


@pytest.mark.parametrize("prompt", TEN_MEGABYTES.values(), ids=TEN_MEGABYTES)
def test_ten_megabytes_are_refused_as_too_long(
    router: ChatBedrockRouter, bedrock: Any, prompt: str
) -> None:
    """A prompt that no tier's window holds is refused in one line, before anything is sent."""
    for door in (router.invoke, router.decide, router.explain):
        with pytest.raises(ConfigurationError, match=r"a context of about \d{7} tokens") as caught:
            door(prompt)
        assert len(str(caught.value)) < 500
    assert bedrock.requests == []


@pytest.mark.parametrize("prompt", TEN_MEGABYTES.values(), ids=TEN_MEGABYTES)
def test_ten_megabytes_can_be_decided_where_they_may_fit(prompt: str) -> None:
    """Where no window is known to be too small, a prompt of any length has its decision."""
    models = {name: FakeListChatModel(responses=["?"]) for name in ("a", "b")}
    router = ChatBedrockRouter(tiers=models)

    assert router.explain(prompt).decision == router.decide(prompt)


@pytest.mark.parametrize("prompt", ["\ud800 lone \udfff", "\x00", "", " \n"])
def test_any_text_has_a_decision_everywhere(router: ChatBedrockRouter, prompt: str) -> None:
    """Lone surrogates, control characters and nothing at all are decided, explained and shown."""
    found = router.explain(prompt)

    assert found.decision == router.decide(prompt)
    assert str(found)
    assert found._repr_html_()


def test_a_conversation_of_strange_texts_is_sticky(router: ChatBedrockRouter) -> None:
    """Lone surrogates and odd blocks in a conversation don't stop it from being remembered."""
    turns: list[Any] = [
        ("human", "\ud800"),
        ("ai", "?"),
        {"role": "user", "content": [{"type": "text", "text": "\udfff"}, {"guardContent": {}}]},
    ]

    first = router.decide(turns)

    assert router.decide(turns).tier == first.tier


@pytest.mark.parametrize("prompt", [None, 7, {"question": "?"}])
def test_what_is_no_prompt_is_refused_by_its_type(
    router: ChatBedrockRouter, bedrock: Any, prompt: Any
) -> None:
    """None, a number or a dict is a clear error at every door, before anything is called."""
    for door in (
        router.invoke,
        router.decide,
        router.explain,
        route({"a": "amazon.nova-lite-v1:0"}).invoke,
    ):
        with pytest.raises((TypeError, ValueError), match=type(prompt).__name__):
            door(prompt)
    assert bedrock.requests == []


def test_the_decision_is_in_the_answer_of_a_forced_run(router: ChatBedrockRouter) -> None:
    """A call that was forced by its bound config says so in its answer."""
    message = router.with_config(configurable={"force": "moderate"}).invoke(EASY)

    assert message.response_metadata[REPORT_KEY]["route"]["forced"]
