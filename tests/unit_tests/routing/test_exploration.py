"""Exploration: a known part of the requests goes one tier up or down, and says so."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from botocore.config import Config
from hypothesis import given
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.runnables import ConfigurableField
from langchain_core.tools import tool

from langchain_bedrock_opt.contracts import REPORT_KEY, RouteDecision
from langchain_bedrock_opt.emulator import BedrockEmulator
from langchain_bedrock_opt.emulator.faults import Fault
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing import (
    BedrockRoutingMiddleware,
    ChatBedrockRouter,
    ComplexityScore,
    Needs,
    RoutingPolicy,
    ThresholdBandit,
    Tier,
)
from langchain_bedrock_opt.routing.learning.exploration import Dice, Ladder
from langchain_bedrock_opt.routing.learning.turns import Turn, turn_of
from langchain_bedrock_opt.usage import BedrockUsageCallbackHandler, UsageLedger

MakeRouter = Callable[..., ChatBedrockRouter]

NAMES = ["simple", "moderate", "complex"]
TIERS = [Tier(name=name, model_id=f"model-{name}") for name in NAMES]
MIDDLE = 0.4


class Always:
    """Finds every request as hard as it was told."""

    def __init__(self, value: float = MIDDLE) -> None:
        self.value = value

    def score(self, messages: Any, tools: Any = None) -> ComplexityScore:
        return ComplexityScore(value=self.value)


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def exploring(explore: float = 0.2, **options: Any) -> RoutingPolicy:
    return RoutingPolicy([0.3, 0.6], explore=explore, rng=random.Random(7), **options)


def turns(count: int) -> list[Turn]:
    return [Turn(key=str(number).encode()) for number in range(count)]


@pytest.fixture
def make(make_router: MakeRouter) -> MakeRouter:
    """Makes routers that find every request middling, and often explore."""
    return partial(make_router, scorer=Always(), policy=exploring(0.5))


def explored_prompt(router: ChatBedrockRouter, tier: str) -> str:
    """A prompt that is explored to a tier."""
    prompts = (f"question {number}" for number in range(100))
    return next(prompt for prompt in prompts if router.decide(prompt).tier == tier)


# --- Which tiers, and how often ---


def test_a_known_part_of_requests_goes_to_the_neighbours() -> None:
    """One in five goes up or down, half each, and the propensities are exactly these shares."""
    policy = exploring(0.2)

    choices = [policy.choose(MIDDLE, TIERS, turn=turn) for turn in turns(10_000)]

    counts = Counter(choice.tier.name for choice in choices)
    assert counts["simple"] == pytest.approx(1000, abs=120)
    assert counts["complex"] == pytest.approx(1000, abs=120)
    assert {(choice.tier.name, choice.propensity) for choice in choices} == {
        ("simple", 0.1),
        ("moderate", 0.8),
        ("complex", 0.1),
    }


LADDERS = st.builds(
    Ladder,
    starts=st.just((0.0, 0.3, 0.6)),
    able=st.sets(st.integers(0, 2), min_size=1).map(sorted),
    at_least=st.integers(0, 2),
)
BANDITS = st.builds(ThresholdBandit, max_shift=st.floats(0.01, 0.5), arms=st.just(3))


@given(LADDERS, st.floats(0, 1), st.floats(0, 0.5), st.none() | BANDITS, st.binary(max_size=8))
def test_a_draw_is_as_probable_as_it_says(
    ladder: Ladder, score: float, explore: float, bandit: ThresholdBandit | None, key: bytes
) -> None:
    """Whatever is able, sticky or shifted, the tiers' chances add up to 1, and a draw has its."""
    dice = Dice(explore, bandit, random.Random(7))

    chances = dice.probabilities(ladder, score)
    pick = dice.pick(ladder, score, Turn(key=key))

    assert sum(chances.values()) == pytest.approx(1)
    assert set(chances) <= set(ladder.able)
    assert pick.propensity == chances[pick.tier] > 0
    if len(chances) == 1:
        assert pick.propensity == 1.0
    if max(ladder.able) >= ladder.at_least:
        assert pick.tier >= ladder.at_least


def test_only_the_next_tiers_are_tried() -> None:
    """From the lowest tier a request goes one up, never two, and from the top one down."""
    policy = exploring(0.5)

    low = {policy.choose(0.1, TIERS, turn=turn).tier.name for turn in turns(200)}
    high = {policy.choose(0.9, TIERS, turn=turn).tier.name for turn in turns(200)}

    assert low == {"simple", "moderate"}
    assert high == {"moderate", "complex"}


def test_a_tier_that_is_ruled_out_is_never_tried() -> None:
    """Exploration passes over tiers that lack something, to the next that is able."""
    policy = exploring(0.5)
    blind = replace(TIERS[1], images=False)

    found = {
        policy.choose(0.1, [TIERS[0], blind, TIERS[2]], Needs(images=True), turn=turn).tier.name
        for turn in turns(200)
    }

    assert found == {"simple", "complex"}


def test_a_place_where_data_may_not_go_is_never_tried(make_router: MakeRouter) -> None:
    """A tier that residency rules out gets no request by exploration."""
    haiku = "anthropic.claude-haiku-4-5-20251001-v1:0"
    router = make_router(
        {"japan": f"jp.{haiku}", "world": f"global.{haiku}"},
        policy=RoutingPolicy(scopes=["jp"], explore=0.5),
        scorer=Always(),
    )

    decisions = [router.decide(f"question {number}") for number in range(100)]

    assert {(each.tier, each.propensity) for each in decisions} == {("japan", 1.0)}


def test_a_short_budget_is_not_explored() -> None:
    """Where the budget leaves one tier, that tier has a propensity of 1."""
    policy = exploring(0.5, headroom=lambda: 0.0)

    choices = {
        (choice.tier.name, choice.propensity)
        for choice in (policy.choose(MIDDLE, TIERS, turn=turn) for turn in turns(100))
    }

    assert choices == {("simple", 1.0)}


def test_an_explored_decision_says_so(make: MakeRouter) -> None:
    """The reason has no weight and names the tier that was meant; others have no such reason."""
    router = make()

    tried = router.decide(explored_prompt(router, "complex"))
    usual = router.decide(explored_prompt(router, "moderate"))

    assert [(each.signal, each.weight, each.detail) for each in tried.reasons] == [
        ("explore", 0.0, "tried in place of moderate")
    ]
    assert tried.alternatives == ("simple", "moderate")
    assert usual.reasons == ()


def test_nothing_is_explored_by_default(make_router: MakeRouter) -> None:
    """A policy without `explore` sends the same score to the same tier, with certainty."""
    router = make_router(scorer=Always())

    decisions = [router.decide(f"question {number}") for number in range(100)]

    assert {(each.tier, each.propensity) for each in decisions} == {("moderate", 1.0)}


@pytest.mark.parametrize("explore", [-0.1, 0.6, 1, float("nan"), True, "5%", None])
def test_a_bad_probability_is_refused(explore: Any) -> None:
    """`explore` is a number up to a half, and the error names an example."""
    with pytest.raises(ConfigurationError, match=r"from 0 \(off\) to 0.5, such as 0.05"):
        RoutingPolicy(explore=explore)


# --- What it leaves alone ---


def test_a_forced_call_is_not_explored(make: MakeRouter) -> None:
    """A tier that the caller names answers each time, and its propensity is 1."""
    router = make()

    decisions = [router.decide(f"question {number}", force="simple") for number in range(50)]

    assert {(each.tier, each.propensity) for each in decisions} == {("simple", 1.0)}


def test_a_conversation_is_never_explored_downwards(make: MakeRouter) -> None:
    """A turn does not go below the tier its conversation is with, and says what bound it."""
    router = make()
    found = []
    for number in range(100):
        first = [SystemMessage(str(number)), HumanMessage("Hi")]
        second = [*first, AIMessage("Hello"), HumanMessage(f"More on {number}?")]
        before = router.invoke(first).response_metadata[REPORT_KEY]["route"]["tier"]
        found.append((before, router.decide(second)))

    assert {before for before, _ in found} == {"moderate"}  # one prompt, one draw
    assert {each.tier: each.propensity for _, each in found} == {"moderate": 0.5, "complex": 0.5}
    assert {each.reasons[0].signal for _, each in found} == {"conversation"}


def test_what_stickiness_holds_up_is_not_explored(make: MakeRouter) -> None:
    """A turn that only its conversation keeps up stays in its tier, and is not tried above it."""
    router = make(scorer=Always(0.1))
    found = []
    for number in range(50):
        first = [HumanMessage(f"Prove {number}.")]
        router.invoke(first, force="moderate")
        found.append(router.decide([*first, AIMessage("Done."), HumanMessage("Ta")]))

    assert {(each.tier, each.propensity) for each in found} == {("moderate", 1.0)}
    assert {each.reasons[0].signal for each in found} == {"sticky"}


# --- The draw ---


def test_the_same_prompt_has_the_same_draw(make: MakeRouter, bedrock: Any) -> None:
    """A preview tells where the call goes, and a repeated prompt can hit a response cache."""
    router = make()
    prompts: list[Any] = [f"question {number}" for number in range(20)]

    previews = [router.decide(prompt).model_id for prompt in prompts]
    router.batch(prompts, {"max_concurrency": 1})
    router.batch([[HumanMessage(prompt)] for prompt in prompts], {"max_concurrency": 1})

    assert bedrock.models == [*previews, *previews]
    assert len(set(previews)) == 3


def test_processes_with_one_seed_draw_alike(make_router: MakeRouter) -> None:
    """Routers with the same seed agree on every draw, those with their own keys don't."""
    seeds = (random.Random(1), random.Random(1), random.Random(2), None)
    routers = [
        make_router(scorer=Always(), policy=RoutingPolicy(explore=0.5, rng=rng)) for rng in seeds
    ]

    drawn = [[each.decide(str(number)).tier for number in range(50)] for each in routers]

    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2] != drawn[3] != drawn[0]


def loop_of(prompt: HumanMessage, steps: int) -> list[BaseMessage]:
    """A human turn and the calls and results of its tool loop so far."""
    messages: list[BaseMessage] = [prompt]
    for step in range(steps):
        call = {"name": "add", "args": {}, "id": str(step)}
        messages += [AIMessage("", tool_calls=[call]), ToolMessage("2", tool_call_id=str(step))]
    return messages


@pytest.mark.parametrize("sticky", [True, False])
@pytest.mark.parametrize("thread", [{}, {"thread_id": "t"}])
@pytest.mark.parametrize("identity", [None, "id-of-the-message"])
def test_a_tool_loop_keeps_its_tier_and_propensity(
    make: MakeRouter, *, sticky: bool, thread: dict[str, str], identity: str | None
) -> None:
    """Each step of a loop is decided as its first one, explored upwards, downwards or not."""
    router = make(sticky=sticky).bind_tools([add])
    config: Any = {"configurable": thread}
    seen = set()
    for number in range(20):
        prompt = HumanMessage(f"question {number}", id=identity and f"{identity}-{number}")
        routes = [
            router.invoke(loop_of(prompt, steps), config).response_metadata[REPORT_KEY]["route"]
            for steps in range(4)
        ]
        decisions = {
            (route["tier"], route.get("propensity"), str(route["reasons"])) for route in routes
        }
        assert len(decisions) == 1
        seen |= {route["tier"] for route in routes}

    assert seen == {"simple", "moderate", "complex"}


class BySystem:
    """Finds the work of one agent hard, and that of the others easy."""

    def score(self, messages: Any, tools: Any = None) -> ComplexityScore:
        return ComplexityScore(value=0.95 if messages[0].content == "Prove it." else 0.05)


def test_agents_that_answer_one_turn_don_t_mix_their_loops(make: MakeRouter) -> None:
    """Two agents with system prompts of their own each keep to their own first step."""
    router, prompt = make(scorer=BySystem()).bind_tools([add]), HumanMessage("question", id="1")
    prover, talker = SystemMessage("Prove it."), SystemMessage("Be kind.")
    first = [router.invoke([system, prompt]) for system in (prover, talker)]

    again = [router.invoke([system, *loop_of(prompt, 1)]) for system in (prover, talker)]

    routes = [answer.response_metadata[REPORT_KEY] for answer in first]
    assert [answer.response_metadata[REPORT_KEY] for answer in again] == routes
    assert routes[0] != routes[1]


def test_a_reconfigured_router_keeps_its_loops(make: MakeRouter) -> None:
    """A router made anew for each call, by `configurable_fields`, knows the loops of the others."""
    router = make().configurable_fields(shadow=ConfigurableField(id="shadow"))
    bound = router.with_config(configurable={"shadow": None}).bind(tools=[add])
    for number in range(20):
        loop = loop_of(HumanMessage(f"question {number}"), 1)

        first, again = bound.invoke(loop[:1]), bound.invoke(loop)

        assert again.response_metadata[REPORT_KEY] == first.response_metadata[REPORT_KEY]


def test_a_loop_goes_on_in_another_process_with_the_same_seed(make_router: MakeRouter) -> None:
    """Without a memory of its first step, a loop's tier follows from the seed."""
    for number in range(20):
        first, second = (
            make_router(scorer=Always(), policy=exploring(0.5), sticky=False) for _ in range(2)
        )
        loop = loop_of(HumanMessage(f"question {number}"), 2)

        assert second.decide(loop).tier == first.decide(loop[:1]).tier


def test_a_loop_leaves_a_tier_that_is_no_longer_able() -> None:
    """A loop that outgrows the window of the tier it was explored to goes on where it fits."""
    small = FakeListChatModel(responses=["?"], profile={"max_input_tokens": 1000})
    large = FakeListChatModel(responses=["?"])
    policy = RoutingPolicy([0.3], explore=0.5, rng=random.Random(7))
    router = ChatBedrockRouter(
        tiers={"small": small, "large": large}, scorer=Always(), policy=policy
    )
    loop = [HumanMessage(explored_prompt(router, "small")), AIMessage("I look it up.")]

    tier = router.invoke(loop[:1]).response_metadata[REPORT_KEY]["route"]["tier"]
    grown = router.decide([*loop, ToolMessage("漢字" * 2000, tool_call_id="1")])

    assert tier == "small"
    assert (grown.tier, grown.propensity) == ("large", 1.0)


@pytest.mark.parametrize("is_middleware", [True, False])
def test_an_agent_keeps_its_tier(
    make: MakeRouter, bedrock: Any, tiers: dict[str, str], *, is_middleware: bool
) -> None:
    """Each run of an agent stays with the tier that was drawn for it, by either door."""
    bedrock.tool_rounds = 2
    router = make()
    routing = BedrockRoutingMiddleware(
        tiers=tiers,
        scorer=Always(),
        policy=exploring(0.5),
        client=bedrock,
        bedrock_client=bedrock,
    )
    agent: Any = (
        create_agent(routing.models["simple"], [add], middleware=[routing])
        if is_middleware
        else create_agent(router, [add])
    )

    for number in range(20):
        agent.invoke({"messages": [HumanMessage(f"question {number}")]})

    runs = [bedrock.models[start : start + 3] for start in range(0, 60, 3)]
    assert all(len(set(run)) == 1 for run in runs)
    assert {run[0] for run in runs} == set(tiers.values())


@pytest.mark.parametrize("text", ["", "\ud800", "漢字", "x" * 10_000])
def test_any_text_can_be_drawn_for(text: str) -> None:
    """Nothing, a lone surrogate or a long text is a turn, the same as text and as message."""
    assert turn_of(text) == turn_of([HumanMessage(text)]) != turn_of([HumanMessage("other")])


def test_a_message_with_an_id_is_known_by_it() -> None:
    """Equal questions of two ids are drawn apart, and a history that is trimmed changes nothing."""
    first, second = (HumanMessage("question", id=each) for each in "ab")
    before = [HumanMessage("Hi"), AIMessage("Hello")]

    assert turn_of([first]).key != turn_of([second]).key
    assert turn_of([*before, first]).key == turn_of([first]).key


@pytest.mark.parametrize("messages", [[], [SystemMessage("Be kind.")], [AIMessage("Hello")]])
def test_a_request_without_a_human_turn_can_be_drawn_for(
    make: MakeRouter, messages: Sequence[BaseMessage]
) -> None:
    """A request that asks nothing is decided all the same."""
    assert make().decide(messages).tier in NAMES


# --- What follows ---


def test_a_stand_in_is_not_explored(tiers: dict[str, str]) -> None:
    """Fallback goes where it was told, and keeps the propensity of the tier that was asked."""
    emulator = BedrockEmulator()
    router = ChatBedrockRouter(
        tiers=tiers,
        scorer=Always(),
        policy=exploring(0.5),
        fallback={"complex": "simple"},
        client=emulator.client(config=Config(retries={"total_max_attempts": 1})),
        bedrock_client=emulator.client("bedrock"),
    )
    emulator.faults.add(Fault(code="ThrottlingException", model_id=tiers["complex"], times=None))

    answer = router.invoke(explored_prompt(router, "complex"))

    route = answer.response_metadata[REPORT_KEY]["route"]
    asked = route["tier"], route["fallback_from"], route["propensity"]
    assert asked == ("simple", "complex", 0.25)


def test_propensities_survive_the_ledger(make: MakeRouter, tmp_path: Any) -> None:
    """What was decided is read back from a ledger with its propensity and its reasons."""
    ledger = UsageLedger(tmp_path / "usage.jsonl")
    router = make(callbacks=[BedrockUsageCallbackHandler(sinks=[ledger])])
    prompt = explored_prompt(router, "simple")

    router.invoke(prompt)

    (record,) = ledger.records()
    assert record.route == router.decide(prompt)
    assert record.route.propensity == 0.25
    assert "1 explored" in str(router.report(ledger))


def test_old_decisions_can_be_read() -> None:
    """A decision that was written before there were propensities was certain, and acted on."""
    old = {"tier": "simple", "model_id": "m", "score": 0.1}

    decision = RouteDecision.from_dict(old)

    assert (decision.propensity, decision.shadow) == (1.0, None)
    assert not {"propensity", "shadow"} & set(decision.as_dict())


def test_a_policy_shows_what_it_explores() -> None:
    """The policy's text, which is part of a router's identity, names exploration and bandit."""
    text = repr(RoutingPolicy(explore=0.05, bandit=ThresholdBandit(arms=3)))

    assert "explore=0.05, bandit=ThresholdBandit(max_shift=0.1, arms=3" in text
