"""Shadow mode: one tier answers everything, and the decisions tell what would have been done."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone
from functools import partial
from typing import Any

import pytest
from botocore.config import Config
from langchain.agents import create_agent
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage, convert_to_messages
from langchain_core.runnables import ConfigurableField
from langchain_core.tools import tool
from pydantic import BaseModel

from langchain_bedrock_opt.catalog.prices import price_of
from langchain_bedrock_opt.contracts import (
    REPORT_KEY,
    Reason,
    RouteDecision,
    TokenUsage,
    UsageRecord,
)
from langchain_bedrock_opt.emulator import BedrockEmulator, ScriptedResponder
from langchain_bedrock_opt.emulator.faults import Fault
from langchain_bedrock_opt.errors import ConfigurationError, ThrottledError, UnknownTierError
from langchain_bedrock_opt.routing import (
    BedrockRoutingMiddleware,
    ChatBedrockRouter,
    ComplexityScore,
    RoutingPolicy,
    ThresholdBandit,
)
from langchain_bedrock_opt.routing.report import report
from langchain_bedrock_opt.usage import BedrockUsageCallbackHandler, UsageLedger

MakeRouter = Callable[..., ChatBedrockRouter]

EASY = "an easy question"
HARD = "a hard question"


class ByWord:
    """Finds a request hard if its last human turn says so."""

    def score(self, messages: Any, tools: Any = None) -> ComplexityScore:
        if isinstance(messages, str):
            messages = [("human", messages)]
        turns = [each for each in convert_to_messages(messages) if isinstance(each, HumanMessage)]
        return ComplexityScore(value=0.9 if turns and "hard" in turns[-1].content else 0.1)


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@pytest.fixture
def make(make_router: MakeRouter) -> MakeRouter:
    """Makes routers that know hard from easy by the word; the strongest tier answers."""
    return partial(make_router, scorer=ByWord(), shadow="complex")


def route_of(message: Any) -> dict[str, Any]:
    route: dict[str, Any] = message.response_metadata[REPORT_KEY]["route"]
    return route


# --- Who answers ---


@pytest.mark.parametrize("shadow", ["complex", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"])
def test_one_tier_answers_and_the_route_tells_the_other(
    make: MakeRouter, bedrock: Any, tiers: dict[str, str], shadow: str
) -> None:
    """Each call goes to the shadow's tier, by name or id; the decision says where it belonged."""
    router = make(shadow=shadow)

    routes = [route_of(router.invoke(prompt)) for prompt in (EASY, HARD)]

    assert bedrock.models == [tiers["complex"]] * 2
    assert [(each["tier"], each["shadow"]) for each in routes] == [
        ("complex", "simple"),
        ("complex", "complex"),
    ]
    assert routes[0]["score"] == 0.1
    assert routes[0]["alternatives"] == ["simple", "moderate"]
    assert not any(route["forced"] for route in routes)


async def test_every_way_to_call_is_in_shadow_mode(
    make: MakeRouter, bedrock: Any, tiers: dict[str, str]
) -> None:
    """Streams, batches, structured output and tools go to the shadow's tier, too."""

    class Sum(BaseModel):
        """A sum."""

        a: int
        b: int

    router = make()
    list(router.stream(EASY))
    await router.ainvoke(EASY)
    router.batch([EASY])
    router.generate([[HumanMessage(EASY)]])
    router.bind_tools([add]).invoke(EASY)
    bedrock.tool_rounds = 1
    router.with_structured_output(Sum).invoke(EASY)
    router.with_structured_output(Sum, strict=True).invoke(EASY)

    assert bedrock.models == [tiers["complex"]] * 7


def test_the_callers_wish_stands_above_the_shadow(
    make: MakeRouter, bedrock: Any, tiers: dict[str, str]
) -> None:
    """`force` names the tier as ever, and such a call is not in shadow mode."""
    route = route_of(make().invoke(EASY, force="moderate"))

    assert bedrock.models == [tiers["moderate"]]
    assert route["forced"]
    assert "shadow" not in route
    with pytest.raises(UnknownTierError, match="'huge'"):
        make().invoke(EASY, force="huge")


def test_the_shadow_is_sent_what_it_may_not_be_able_to_do(make_router: MakeRouter) -> None:
    """Abilities don't rule the shadow's tier out; the record tells what they would have done."""
    small = FakeListChatModel(responses=["small"], profile={"max_input_tokens": 100})
    large = FakeListChatModel(responses=["large"])
    router = ChatBedrockRouter(
        tiers={"small": small, "large": large}, scorer=ByWord(), shadow="small"
    )

    answer = router.invoke("easy " * 1000)

    assert answer.content == "small"
    assert route_of(answer)["shadow"] == "large"
    assert [each["signal"] for each in route_of(answer)["reasons"]] == ["constraint"]


def test_what_no_tier_can_serve_is_sent_all_the_same() -> None:
    """A request that the router would refuse goes to the shadow's tier, and says it was refused."""
    small = FakeListChatModel(responses=["done"], profile={"max_input_tokens": 100})
    router = ChatBedrockRouter(tiers={"small": small}, scorer=ByWord(), shadow="small")

    answer = router.invoke("easy " * 1000)

    assert answer.content == "done"
    assert [each["signal"] for each in route_of(answer)["reasons"]] == ["refused"]


def test_data_residency_holds_for_the_shadow(make_router: MakeRouter) -> None:
    """A tier that data may not go to is refused as the shadow, when the router is made."""
    haiku = "anthropic.claude-haiku-4-5-20251001-v1:0"
    tiers = {"japan": f"jp.{haiku}", "world": f"global.{haiku}"}

    with pytest.raises(ConfigurationError, match=r"'world' .* was given as the shadow, and lacks"):
        make_router(tiers, policy=RoutingPolicy(scopes=["jp"]), shadow="world")


@pytest.mark.parametrize(("shadow", "message"), [("huge", "'huge'"), (7, "shadow=7: give a tier")])
def test_a_shadow_is_a_tier(make: MakeRouter, shadow: Any, message: str) -> None:
    """A shadow that names no tier is refused when the router is made."""
    with pytest.raises(ConfigurationError, match=message):
        make(shadow=shadow)


@pytest.mark.parametrize("options", [{"fallback": "next"}, {"escalate": True}])
def test_nobody_stands_in_for_the_shadow(tiers: dict[str, str], options: dict[str, Any]) -> None:
    """An error or an empty answer is the caller's, as it is without a router."""
    emulator = BedrockEmulator(responder=ScriptedResponder([""]))
    client = emulator.client(config=Config(retries={"total_max_attempts": 1}))
    router = ChatBedrockRouter(
        tiers=tiers, shadow="simple", client=client, bedrock_client=client, **options
    )

    assert router.invoke(EASY).content in ("", [])
    assert len(emulator.journal.calls()) == 1

    emulator.faults.add(Fault(code="ThrottlingException", model_id=tiers["simple"], times=None))
    with pytest.raises(ThrottledError):
        router.invoke(EASY)


def test_no_effort_is_made_in_the_shadow(make: MakeRouter, bedrock: Any) -> None:
    """The tier that answers is left as it is set up, whatever effort the policy would ask for."""
    tiers = {"only": "us.anthropic.claude-opus-4-6-v1"}
    for shadow in (None, "only"):
        make(tiers, policy=RoutingPolicy(effort=True), shadow=shadow).invoke(HARD)

    acting, shadowed = bedrock.requests
    assert "additionalModelRequestFields" in acting
    assert "additionalModelRequestFields" not in shadowed


# --- The record is a faithful preview ---


def test_conversations_are_followed_as_they_would_have_gone(
    make: MakeRouter, make_router: MakeRouter
) -> None:
    """With and without the shadow, a conversation's decisions are the same ones."""
    routers = make(shadow="moderate"), make_router(scorer=ByWord())
    found: list[list[str]] = []
    for router in routers:
        messages: list[Any] = []
        tiers = []
        for turn in (EASY, HARD, EASY):
            messages.append(HumanMessage(turn))
            answer = router.invoke(messages)
            messages.append(answer)
            tiers.append(route_of(answer).get("shadow", route_of(answer)["tier"]))
        found.append(tiers)

    assert found[0] == found[1] == ["simple", "complex", "complex"]


def test_an_agent_can_be_watched(bedrock: Any, tiers: dict[str, str]) -> None:
    """The middleware has shadow mode, too: one decision for a run, and stickiness across runs."""
    bedrock.tool_rounds = 1
    routing = BedrockRoutingMiddleware(
        tiers=tiers, scorer=ByWord(), shadow="moderate", client=bedrock, bedrock_client=bedrock
    )
    agent: Any = create_agent(routing.models["simple"], [add], middleware=[routing])

    state = agent.invoke({"messages": [HumanMessage(HARD)]})
    state = agent.invoke({"messages": [*state["messages"], HumanMessage(EASY)]})
    unasked = agent.invoke({"messages": [AIMessage("I begin.")]})

    answers = [each for each in state["messages"] if isinstance(each, AIMessage)]
    assert [route_of(each)["shadow"] for each in answers] == ["complex"] * 3
    assert route_of(unasked["messages"][-1])["shadow"] == "simple"
    assert set(bedrock.models) == {tiers["moderate"]}


def test_what_was_not_decided_moves_no_conversation(bedrock: Any, tiers: dict[str, str]) -> None:
    """A run that no tier could serve leaves its thread where it was, though it called tools."""
    bedrock.tool_rounds = 1
    routing = BedrockRoutingMiddleware(
        tiers=tiers, scorer=ByWord(), shadow="complex", client=bedrock, bedrock_client=bedrock
    )
    agent: Any = create_agent(routing.models["simple"], [add], middleware=[routing])
    config: Any = {"configurable": {"thread_id": "t"}}
    too_long = HumanMessage(EASY * 1_000_000)

    refused = agent.invoke({"messages": [too_long]}, config)
    trimmed = agent.invoke({"messages": [AIMessage("So it is."), HumanMessage(EASY)]}, config)

    reasons = route_of(refused["messages"][-1])["reasons"]
    assert [each["signal"] for each in reasons] == ["refused"]
    assert route_of(trimmed["messages"][-1])["shadow"] == "simple"


def test_explore_and_bandit_show_in_the_shadow_without_acting(
    make: MakeRouter, bedrock: Any, tiers: dict[str, str]
) -> None:
    """What would be drawn is told; what answers is certain, and no bandit learns from it."""
    bandit = ThresholdBandit(price_weight=0)
    router = make(policy=RoutingPolicy([0.05, 0.15], explore=0.5, bandit=bandit))

    answers = router.batch([f"{EASY} {number}" for number in range(50)])

    routes = [route_of(answer) for answer in answers]
    assert {route["shadow"] for route in routes} == {"simple", "moderate", "complex"}
    assert all("propensity" not in route for route in routes)
    assert not any(router.feedback(answer, 1.0) for answer in answers)
    assert set(bedrock.models) == {tiers["complex"]}


# --- What people see ---


def test_explain_tells_both_tiers(make: MakeRouter) -> None:
    """An explanation names the tier that answers and the one that would."""
    found = make().explain(EASY)

    assert found.decision.shadow == "simple"
    assert "in shadow mode: would be simple" in str(found)
    (row,) = [line for line in str(found).splitlines() if line.startswith("simple")]
    assert row.endswith("would be chosen")


def test_a_report_has_the_mix_and_the_cost_that_would_have_been(
    make: MakeRouter, tiers: dict[str, str], tmp_path: Any
) -> None:
    """The same tokens at the prices of the tiers that would have answered, beside what was paid."""
    ledger = UsageLedger(tmp_path / "usage.jsonl")
    router = make(callbacks=[BedrockUsageCallbackHandler(sinks=[ledger])])
    router.batch([EASY, EASY, HARD], {"max_concurrency": 1})
    router.invoke(EASY, force="complex")
    usage = TokenUsage(input=10, output=5)
    prices = {name: price_of(model_id) for name, model_id in tiers.items()}
    cheap, dear = (
        price.cost(usage) or 0 for price in (prices["simple"], prices["complex"]) if price
    )

    found = router.report(ledger)

    assert found.by_tier == {"simple": 0, "moderate": 0, "complex": 4}
    assert found.would_be == {"simple": 2, "moderate": 0, "complex": 1}
    assert found.shadow_pico_usd == 3 * dear
    assert found.would_be_pico_usd == 2 * cheap + dear
    assert "In shadow mode: 2 simple, 1 complex by the policy, for $0.000" in str(found)
    assert json.loads(json.dumps(found.as_dict()))["would_be"]["simple"] == 2


def test_a_report_without_shadow_mode_does_not_speak_of_it(make: MakeRouter) -> None:
    """Calls that were routed in earnest have no mix that would have been."""
    found = make(shadow=None).report([])

    assert (found.would_be, found.would_be_pico_usd, found.shadow_pico_usd) == ({}, 0, 0)
    assert "shadow" not in str(found)


def test_the_shadow_can_be_configured(make: MakeRouter, bedrock: Any, tiers: Any) -> None:
    """`configurable_fields` puts a router into shadow mode in a call."""
    router = make(shadow=None).configurable_fields(shadow=ConfigurableField(id="shadow"))

    router.invoke(EASY, {"configurable": {"shadow": "moderate"}})
    router.invoke(EASY)

    assert bedrock.models == [tiers["moderate"], tiers["simple"]]


def test_what_did_not_happen_in_shadow_mode_is_not_counted() -> None:
    """The report counts what moved a call, not what would have moved one."""
    signals = ("explore", "sticky", "constraint", "budget")
    reasons = tuple(Reason(signal=signal, weight=0.0) for signal in signals)
    watched = RouteDecision(
        tier="complex", model_id="m", score=0.5, reasons=reasons, shadow="simple"
    )
    acted = RouteDecision(tier="simple", model_id="m", score=0.5, reasons=reasons)
    records = [
        UsageRecord(
            run_id=str(number),
            started_at=datetime(2026, 11, 22, tzinfo=timezone.utc),
            model_id="m",
            status="ok",
            route=route,
        )
        for number, route in enumerate((watched, watched, acted))
    ]

    found = report(records, [])

    assert found.calls == 3
    assert (found.explored, found.sticky, found.constrained, found.short_of_budget) == (1, 1, 1, 1)
