"""The middleware in real agents: where runs go, and what other middleware sees of it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    ModelFallbackMiddleware,
    ModelRetryMiddleware,
)
from langchain_aws.middleware import BedrockPromptCachingMiddleware
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel, FakeListChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, convert_to_messages
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from langchain_bedrock_opt import BedrockEmulator, BedrockRoutingMiddleware, ChatBedrockOptimized
from langchain_bedrock_opt.contracts import REPORT_KEY, ROUTE_METADATA_KEY, RouteDecision
from langchain_bedrock_opt.emulator import ScriptedResponder
from langchain_bedrock_opt.errors import ConfigurationError, MissingExtraError, UnknownTierError
from langchain_bedrock_opt.routing import ComplexityScore, RoutingPolicy
from langchain_bedrock_opt.routing.tiers import model_id_of

MakeMiddleware = Callable[..., BedrockRoutingMiddleware]

EASY = "an easy question"
HARD = "a hard question"


class ByWord:
    """Finds a request hard if its last human turn says so."""

    def score(self, messages: Any, tools: Any = None) -> ComplexityScore:
        turns = [each for each in convert_to_messages(messages) if isinstance(each, HumanMessage)]
        return ComplexityScore(value=0.9 if turns and "hard" in turns[-1].content else 0.1)


class Runs(BaseCallbackHandler):
    """Keeps what callbacks are told of chat model runs."""

    def __init__(self) -> None:
        self.metadata: list[dict[str, Any]] = []

    def on_chat_model_start(
        self, serialized: dict[str, Any], messages: list[list[BaseMessage]], **kwargs: Any
    ) -> None:
        self.metadata.append(kwargs["metadata"])


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@pytest.fixture
def make(bedrock: Any, tiers: dict[str, str]) -> MakeMiddleware:
    """Makes middleware over the client in memory that knows hard from easy by the word."""
    return partial(
        BedrockRoutingMiddleware,
        tiers=tiers,
        scorer=ByWord(),
        client=bedrock,
        bedrock_client=bedrock,
    )


@pytest.fixture
def routing(make: MakeMiddleware) -> BedrockRoutingMiddleware:
    return make()


@pytest.fixture
def own_model(bedrock: Any) -> BaseChatModel:
    """An agent's default model, which is none of the tiers."""
    model = "us.amazon.nova-micro-v1:0"
    return ChatBedrockOptimized(model=model, client=bedrock, bedrock_client=bedrock)


def ask(*texts: str) -> Any:
    return {"messages": [HumanMessage(text) for text in texts]}


def routes_of(state: Any) -> list[str]:
    """The tier of each answer in an agent's state."""
    answers = [message for message in state["messages"] if isinstance(message, AIMessage)]
    return [answer.response_metadata[REPORT_KEY]["route"]["tier"] for answer in answers]


# --- Where a run goes ---


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(("text", "tier"), [(EASY, "simple"), (HARD, "complex")])
async def test_a_run_keeps_its_tier_through_a_tool_loop(
    routing: BedrockRoutingMiddleware,
    bedrock: Any,
    own_model: BaseChatModel,
    text: str,
    tier: str,
    *,
    is_async: bool,
) -> None:
    """Three tool calls and the answer come from one tier, in place of the agent's own model."""
    bedrock.tool_rounds = 3
    agent: Any = create_agent(own_model, [add], middleware=[routing])

    state = await agent.ainvoke(ask(text)) if is_async else agent.invoke(ask(text))

    assert bedrock.models == [model_id_of(routing.models[tier])] * 4
    assert routes_of(state) == [tier] * 4


def test_the_decision_is_in_each_runs_metadata(
    routing: BedrockRoutingMiddleware, bedrock: Any, tiers: dict[str, str]
) -> None:
    """Callbacks see the decision and the tier's model at the start of each model run."""
    bedrock.tool_rounds = 1
    runs = Runs()
    agent: Any = create_agent(routing.models["simple"], [add], middleware=[routing])

    agent.invoke(ask(HARD), {"callbacks": [runs]})

    assert [each["ls_model_name"] for each in runs.metadata] == [tiers["complex"]] * 2
    decisions = [RouteDecision.from_dict(each[ROUTE_METADATA_KEY]) for each in runs.metadata]
    assert [decision.tier for decision in decisions] == ["complex"] * 2
    assert decisions[0] == decisions[1]


def test_the_route_is_in_no_schema_and_no_answer(routing: BedrockRoutingMiddleware) -> None:
    """The run's route is the middleware's own affair: callers can't give it and don't get it."""
    agent: Any = create_agent(routing.models["simple"], [add], middleware=[routing])

    state = agent.invoke(ask(EASY))

    assert set(agent.get_input_jsonschema()["properties"]) == {"messages"}
    assert "bedrock_opt_route" not in agent.get_output_jsonschema()["properties"]
    assert set(state) == {"messages"}


def test_each_run_of_a_thread_is_decided_anew(
    make: MakeMiddleware, bedrock: Any, tiers: dict[str, str]
) -> None:
    """A checkpointed thread's next run has its own decision, and none goes back to the last."""
    routing = make(sticky=False)
    agent: Any = create_agent(
        routing.models["simple"], [add], middleware=[routing], checkpointer=InMemorySaver()
    )
    config: Any = {"configurable": {"thread_id": "t"}}

    for text in (EASY, HARD, EASY):
        agent.invoke(ask(text), config)

    assert bedrock.models == [tiers["simple"], tiers["complex"], tiers["simple"]]


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_conversation_stays_up_across_runs(
    routing: BedrockRoutingMiddleware, bedrock: Any, tiers: dict[str, str], *, is_async: bool
) -> None:
    """While the prompt cache is warm a thread that went up does not come down."""
    agent: Any = create_agent(
        routing.models["simple"], [add], middleware=[routing], checkpointer=InMemorySaver()
    )
    config: Any = {"configurable": {"thread_id": "t"}}

    for text in (HARD, EASY):
        _ = await agent.ainvoke(ask(text), config) if is_async else agent.invoke(ask(text), config)

    assert bedrock.models == [tiers["complex"], tiers["complex"]]


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_thread_is_known_by_its_id(
    make: MakeMiddleware, bedrock: Any, tiers: dict[str, str], *, is_async: bool
) -> None:
    """A thread whose earlier turns were trimmed away is still the one that went up."""
    routing = make()
    agent: Any = create_agent(routing.models["simple"], [add], middleware=[routing])
    config: Any = {"configurable": {"thread_id": 7}}
    trimmed: Any = {"messages": [AIMessage("So it is."), HumanMessage(EASY)]}

    for state in (ask(HARD), trimmed):
        _ = await agent.ainvoke(state, config) if is_async else agent.invoke(state, config)

    assert bedrock.models == [tiers["complex"], tiers["complex"]]


def test_a_run_that_asks_nothing_moves_no_thread(
    make: MakeMiddleware, bedrock: Any, tiers: dict[str, str]
) -> None:
    """A tool loop on the default tier does not keep the thread's next question there."""
    bedrock.tool_rounds = 1
    routing = make(default="complex")
    agent: Any = create_agent(routing.models["simple"], [add], middleware=[routing])
    config: Any = {"configurable": {"thread_id": 7}}

    agent.invoke({"messages": [AIMessage("I begin.")]}, config)
    bedrock.tool_rounds = 0
    agent.invoke({"messages": [AIMessage("I began."), HumanMessage(EASY)]}, config)

    assert bedrock.models == [tiers["complex"], tiers["complex"], tiers["simple"]]


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_config_can_name_the_tier(
    routing: BedrockRoutingMiddleware, bedrock: Any, tiers: dict[str, str], *, is_async: bool
) -> None:
    """`force` in the config sends a run to a tier, and an unknown one is refused."""
    agent: Any = create_agent(routing.models["simple"], [add], middleware=[routing])

    async def run(tier: str) -> None:
        config: Any = {"configurable": {"force": tier}}
        _ = await agent.ainvoke(ask(EASY), config) if is_async else agent.invoke(ask(EASY), config)

    await run("moderate")

    assert bedrock.models == [tiers["moderate"]]
    with pytest.raises(UnknownTierError, match="'huge'"):
        await run("huge")


@pytest.mark.parametrize(("default", "tier"), [(None, "simple"), ("moderate", "moderate")])
def test_a_run_without_a_human_message_has_a_default(
    make: MakeMiddleware, bedrock: Any, tiers: dict[str, str], default: str | None, tier: str
) -> None:
    """An agent that is started on its own messages goes to the default tier."""
    routing = make(default=default)
    agent: Any = create_agent(routing.models["simple"], [], middleware=[routing])

    state = agent.invoke({"messages": [AIMessage("I was hard at it.")]})

    assert bedrock.models == [tiers[tier]]
    route = state["messages"][-1].response_metadata[REPORT_KEY]["route"]
    assert [reason["signal"] for reason in route["reasons"]] == ["default"]


def test_tools_and_forms_rule_tiers_out(make: MakeMiddleware, bedrock: Any) -> None:
    """A tier that can't call tools is passed over for an agent that has some."""

    class Sum(BaseModel):
        """A sum."""

        a: int
        b: int

    talker = FakeListChatModel(responses=["?"])
    routing = make(tiers={"talker": talker, "doer": "us.amazon.nova-lite-v1:0"})

    plain: Any = create_agent(talker, [], middleware=[routing]).invoke(ask(EASY))
    armed: Any = create_agent(talker, [add], middleware=[routing]).invoke(ask(EASY))
    bedrock.tool_rounds = 1
    formed: Any = create_agent(talker, [], middleware=[routing], response_format=Sum).invoke(
        ask(EASY)
    )

    assert (routes_of(plain), routes_of(armed)) == (["talker"], ["doer"])
    assert routes_of(formed) == ["doer"]
    assert formed["structured_response"] == Sum(a=1, b=2)


def test_effort_reaches_the_tier(make: MakeMiddleware, bedrock: Any) -> None:
    """A policy with effort asks the tier's model for it in each call of a run."""
    routing = make(
        tiers={"only": "us.anthropic.claude-opus-4-6-v1"}, policy=RoutingPolicy(effort=True)
    )
    bedrock.tool_rounds = 1
    agent: Any = create_agent(routing.models["only"], [add], middleware=[routing])

    agent.invoke(ask(HARD))

    fields = [request["additionalModelRequestFields"] for request in bedrock.requests]
    assert [each["output_config"] for each in fields] == [{"effort": "high"}] * 2


# --- Beside other middleware ---


@pytest.mark.parametrize("is_outside", [True, False])
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_fallback_has_its_way(
    routing: BedrockRoutingMiddleware, bedrock: Any, *, is_outside: bool, is_async: bool
) -> None:
    """What fallback middleware puts in a failed tier's place is called, on either side of it."""
    bedrock.error = RuntimeError("down")
    fallback = ModelFallbackMiddleware(FakeListChatModel(responses=["rescued"]))
    middleware: list[AgentMiddleware] = [fallback, routing] if is_outside else [routing, fallback]
    agent: Any = create_agent(routing.models["simple"], [], middleware=middleware)

    state = await agent.ainvoke(ask(HARD)) if is_async else agent.invoke(ask(HARD))

    assert state["messages"][-1].content == "rescued"
    assert len(bedrock.models) == 1


def test_a_retry_goes_to_the_same_tier(
    routing: BedrockRoutingMiddleware, bedrock: Any, tiers: dict[str, str]
) -> None:
    """Retry middleware around the routing calls the chosen tier again."""
    bedrock.error = RuntimeError("down")
    retry = ModelRetryMiddleware(max_retries=2, initial_delay=0.0, jitter=False)
    agent: Any = create_agent(routing.models["simple"], [], middleware=[retry, routing])

    agent.invoke(ask(HARD))

    assert bedrock.models == [tiers["complex"]] * 3


def test_a_model_that_another_middleware_chose_later_stays(
    routing: BedrockRoutingMiddleware, bedrock: Any, tiers: dict[str, str], own_model: BaseChatModel
) -> None:
    """In a run that was routed, a call whose model was replaced outside is left alone."""

    class SecondByHand(AgentMiddleware):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            is_first = len(request.messages) == 1
            return handler(request if is_first else request.override(model=own_model))

    bedrock.tool_rounds = 1
    agent: Any = create_agent(routing.models["simple"], [add], middleware=[SecondByHand(), routing])

    agent.invoke(ask(HARD))

    assert bedrock.models == [tiers["complex"], "us.amazon.nova-micro-v1:0"]


def test_one_middleware_serves_several_agents(
    routing: BedrockRoutingMiddleware, bedrock: Any, tiers: dict[str, str], own_model: BaseChatModel
) -> None:
    """Agents with different default models are routed by the same middleware."""
    for model in (routing.models["simple"], own_model):
        agent: Any = create_agent(model, [], middleware=[routing])
        agent.invoke(ask(HARD))

    assert bedrock.models == [tiers["complex"]] * 2


@pytest.mark.parametrize("is_async", [False, True])
async def test_prompt_caching_reaches_the_routed_model(*, is_async: bool) -> None:
    """Cache points of `BedrockPromptCachingMiddleware` are in each request to the chosen tier."""
    steps = [
        [{"toolUse": {"toolUseId": f"t{step}", "name": "add", "input": {"a": 1, "b": step}}}]
        for step in range(3)
    ]
    emulator = BedrockEmulator(responder=ScriptedResponder([*steps, "3"]))
    haiku = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
    routing = BedrockRoutingMiddleware(
        tiers={"simple": "us.amazon.nova-lite-v1:0", "complex": haiku},
        scorer=ByWord(),
        client=emulator.client(),
        bedrock_client=emulator.client("bedrock"),
    )
    agent: Any = create_agent(
        routing.models["simple"],
        [add],
        system_prompt="Be exact.",
        middleware=[routing, BedrockPromptCachingMiddleware(unsupported_model_behavior="raise")],
    )

    state = await agent.ainvoke(ask(HARD)) if is_async else agent.invoke(ask(HARD))

    calls = emulator.journal.calls("Converse")
    assert [call.model_id for call in calls] == [haiku] * 4
    assert all({"cachePoint": {"type": "default"}} in call.params["system"] for call in calls)
    assert state["messages"][-1].content == "3"


# --- Construction ---


def test_bad_tiers_are_refused(make: MakeMiddleware) -> None:
    """Tiers and defaults are checked when the middleware is made."""
    with pytest.raises(ConfigurationError, match="give a model id or a chat model"):
        make(tiers={"simple": 7})
    with pytest.raises(UnknownTierError, match="'huge'"):
        make(default="huge")


def test_without_langchain_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `langchain` is not installed, asking for the middleware names the extra to install."""
    routing = import_module("langchain_bedrock_opt.routing")
    monkeypatch.delitem(sys.modules, "langchain_bedrock_opt.routing.middleware")
    monkeypatch.setitem(sys.modules, "langchain.agents.middleware", None)

    with pytest.raises(MissingExtraError, match=r"langchain-bedrock-opt\[agents\]"):
        _ = routing.BedrockRoutingMiddleware
    with pytest.raises(AttributeError, match="Nonsense"):
        _ = routing.Nonsense
