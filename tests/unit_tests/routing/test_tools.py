"""Tools, structured output and agents over a router."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.runnables import RunnableBinding
from langchain_core.tools import tool
from pydantic import BaseModel

from langchain_bedrock_opt.contracts import REPORT_KEY
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing import ChatBedrockRouter

EASY = "1たす2は?"
HARD = (
    "Compare event sourcing with change data capture for a payment system. Analyze the "
    "trade-offs, then design a migration plan in four steps and justify each of them."
)

MakeRouter = Callable[..., ChatBedrockRouter]


class Sum(BaseModel):
    """A sum."""

    a: int
    b: int


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def test_bound_tools_reach_the_chosen_tier(
    router: ChatBedrockRouter, bedrock: Any, tiers: dict[str, str]
) -> None:
    """The chosen tier calls the tool, with the tool choice in its own form."""
    bedrock.tool_rounds = 1
    bound = router.bind_tools([add], tool_choice="any")

    message = bound.invoke(EASY)

    assert isinstance(bound, RunnableBinding)
    assert [call["name"] for call in message.tool_calls] == ["add"]
    (request,) = bedrock.requests
    assert request["modelId"] == tiers["simple"]
    assert request["toolConfig"]["toolChoice"] == {"any": {}}
    assert request["toolConfig"]["tools"][0]["toolSpec"]["name"] == "add"


def test_bound_tools_can_be_read(router: ChatBedrockRouter) -> None:
    """Whoever looks at the binding sees a plain list of tools in OpenAI's form."""
    bound: Any = router.bind_tools([add])

    assert [entry["function"]["name"] for entry in bound.kwargs["tools"]] == ["add"]


def test_tools_are_converted_once_for_each_tier(
    router: ChatBedrockRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often a binding is called, a tier's `bind_tools` is asked once, when it is chosen."""
    asked = []
    model = type(router.models["simple"])
    original = model.bind_tools

    def bind_tools(self: Any, tools: Any, **kwargs: Any) -> Any:
        asked.append(self.model_id)
        return original(self, tools, **kwargs)

    monkeypatch.setattr(model, "bind_tools", bind_tools)
    bound = router.bind_tools([add])

    assert asked == []
    for _ in range(3):
        bound.invoke(EASY)
    bound.invoke(EASY, force="complex")

    assert asked == [router.models[name].model_id for name in ("simple", "complex")]  # type: ignore[attr-defined]


def test_a_later_tool_choice_holds(router: ChatBedrockRouter, bedrock: Any) -> None:
    """A tool choice bound on top of tools is the one the tier is called with."""
    router.bind_tools([add]).bind(tool_choice="any").invoke(EASY)

    assert bedrock.requests[0]["toolConfig"]["toolChoice"] == {"any": {}}


def test_tiers_without_tools_are_passed_over(
    make_router: MakeRouter, bedrock: Any, tiers: dict[str, str]
) -> None:
    """A model that can't bind tools does not get a prompt that has some."""
    talker = FakeListChatModel(responses=["hello"])
    router = make_router({"talker": talker, "worker": tiers["simple"]})

    assert router.invoke(EASY).content == "hello"
    router.bind_tools([add]).invoke(EASY)
    assert bedrock.models == [tiers["simple"]]


def test_tools_that_no_tier_can_call_are_refused() -> None:
    """With tools and no tier that can call them, the error says so."""
    router = ChatBedrockRouter(tiers={"talker": FakeListChatModel(responses=["hello"])})

    with pytest.raises(ConfigurationError, match="'talker' lacks tools"):
        router.bind_tools([add]).invoke(EASY)


def test_streams_and_generations_take_bound_tools(router: ChatBedrockRouter, bedrock: Any) -> None:
    """Bound tools go with streamed calls and with `generate`, too."""
    bound: Any = router.bind_tools([add])

    list(bound.stream(EASY))
    router.generate([[HumanMessage(EASY)]], **bound.kwargs)

    assert all("toolConfig" in request for request in bedrock.requests)
    assert len(bedrock.requests) == 2


@pytest.mark.parametrize("schema", [Sum, Sum.model_json_schema()])
def test_structured_output_comes_from_the_chosen_tier(
    router: ChatBedrockRouter, bedrock: Any, tiers: dict[str, str], schema: Any
) -> None:
    """A schema's answer comes by a forced tool call of the tier the prompt needs."""
    bedrock.tool_rounds = 1

    answer = router.with_structured_output(schema).invoke(HARD)

    assert answer in (Sum(a=1, b=2), {"a": 1, "b": 2})
    assert bedrock.models == [tiers["complex"]]


def test_the_raw_message_of_a_structured_answer_carries_the_decision(
    router: ChatBedrockRouter, bedrock: Any
) -> None:
    """With `include_raw` the message beside the parsed answer says where it came from."""
    bedrock.tool_rounds = 1

    answer: Any = router.with_structured_output(Sum, include_raw=True).invoke(EASY)

    assert answer["parsed"] == Sum(a=1, b=2)
    assert answer["raw"].response_metadata[REPORT_KEY]["route"]["tier"] == "simple"


async def test_a_native_schema_goes_to_a_tier_that_has_it(
    make_router: MakeRouter, bedrock: Any, tiers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`method="json_schema"` uses the tier's own way, and passes over tiers without one."""
    old = "anthropic.claude-3-haiku-20240307-v1:0"
    router = make_router({"old": old, "new": tiers["moderate"]})
    monkeypatch.setattr(bedrock, "_answer", _json_answer(bedrock))
    structured = router.with_structured_output(Sum, method="json_schema")

    assert structured.invoke(EASY) == Sum(a=1, b=2)
    assert await structured.ainvoke(EASY) == Sum(a=1, b=2)
    assert list(structured.stream(EASY))[-1] == Sum(a=1, b=2)
    assert [part async for part in structured.astream(EASY)][-1] == Sum(a=1, b=2)
    assert router.decide(EASY).tier == "old"
    assert bedrock.models == [tiers["moderate"]] * 4
    assert all("outputConfig" in request for request in bedrock.requests)


def test_a_native_schema_can_name_its_tier_and_keep_the_raw_message(
    router: ChatBedrockRouter, bedrock: Any, tiers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forced tier holds for native schemas, and the raw message carries the decision."""
    monkeypatch.setattr(bedrock, "_answer", _json_answer(bedrock))
    structured = router.with_structured_output(Sum, method="json_schema", include_raw=True)

    answer: Any = structured.invoke(EASY, {"configurable": {"force": "complex"}})

    assert bedrock.models == [tiers["complex"]]
    assert answer["raw"].response_metadata[REPORT_KEY]["route"]["forced"]


def _json_answer(bedrock: Any) -> Callable[[dict[str, Any]], Any]:
    def answer(request: dict[str, Any]) -> Any:
        bedrock.requests.append(request)
        return [{"text": '{"a": 1, "b": 2}'}], "end_turn"

    return answer


@pytest.mark.parametrize("recovery", [{}, {"escalate": True, "fallback": "next"}])
@pytest.mark.parametrize(("prompt", "tier"), [(EASY, "simple"), (HARD, "complex")])
async def test_an_agent_keeps_its_tier_through_a_tool_loop(
    make_router: MakeRouter,
    bedrock: Any,
    tiers: dict[str, str],
    *,
    prompt: str,
    tier: str,
    recovery: dict[str, Any],
) -> None:
    """An agent's three tool calls and its answer all come from one tier, each with its decision."""
    router = make_router(**recovery)
    bedrock.tool_rounds = 3
    agent: Any = create_agent(router, [add])

    state = agent.invoke({"messages": [HumanMessage(prompt)]})
    bedrock.tool_rounds = 1
    await agent.ainvoke({"messages": [HumanMessage(prompt)]})

    assert bedrock.models == [tiers[tier]] * 6
    messages: list[BaseMessage] = state["messages"]
    answers = [message for message in messages if message.type == "ai"]
    routes = [message.response_metadata[REPORT_KEY]["route"]["tier"] for message in answers]
    assert routes == [tier] * 4
