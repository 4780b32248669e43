"""The router as a chat model: where calls go, and what callers and callbacks see of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_aws import ChatBedrockConverse
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from langchain_bedrock_opt.contracts import REPORT_KEY, ROUTE_METADATA_KEY, RouteDecision
from langchain_bedrock_opt.errors import ConfigurationError, UnknownTierError
from langchain_bedrock_opt.routing import (
    ChatBedrockRouter,
    ComplexityScore,
    RoutingPolicy,
)

EASY = "日本の首都は?"
HARD = (
    "Compare event sourcing with change data capture for a payment system. Analyze the "
    "trade-offs, then design a migration plan in four steps and justify each of them."
)

MakeRouter = Callable[..., ChatBedrockRouter]


class Runs(BaseCallbackHandler):
    """Keeps what callbacks are told of chat model runs."""

    def __init__(self) -> None:
        self.started: list[dict[str, Any]] = []
        self.ended = 0
        self.failed = 0

    def on_chat_model_start(
        self, serialized: dict[str, Any], messages: list[list[BaseMessage]], **kwargs: Any
    ) -> None:
        self.started.append(kwargs)

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        self.ended += 1

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        self.failed += 1

    @property
    def routes(self) -> list[str]:
        return [run["metadata"][ROUTE_METADATA_KEY]["tier"] for run in self.started]


def route_of(message: BaseMessage) -> RouteDecision:
    return RouteDecision.from_dict(message.response_metadata[REPORT_KEY]["route"])


# --- Where a prompt goes ---


def test_a_prompt_goes_to_the_tier_it_needs(
    router: ChatBedrockRouter, bedrock: Any, tiers: dict[str, str]
) -> None:
    """An easy prompt calls the cheap model, a hard one the strong model, and each says so."""
    easy, hard = router.invoke(EASY), router.invoke(HARD)

    assert bedrock.models == [tiers["simple"], tiers["complex"]]
    assert easy.response_metadata["model_name"] == tiers["simple"]
    assert hard.response_metadata["model_name"] == tiers["complex"]
    assert hard.content == f"from {tiers['complex']}"


def test_the_answer_carries_the_decision(router: ChatBedrockRouter, tiers: dict[str, str]) -> None:
    """Tier, model id, score, reasons and alternatives are in the message, beside the report."""
    message = router.invoke(EASY)

    assert route_of(message) == router.decide(EASY)
    assert route_of(message).alternatives == ("moderate", "complex")
    assert message.response_metadata[REPORT_KEY]["model_id"] == tiers["simple"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(), tools=st.sampled_from([None, [{}]]))
def test_every_prompt_has_a_decision(
    router: ChatBedrockRouter, text: str, tools: list[Any] | None
) -> None:
    """Whatever the text, one of the tiers takes it."""
    decision = router.decide(text, tools=tools)

    assert decision.tier in router.models
    assert RouteDecision.from_dict(decision.as_dict()) == decision


def test_images_go_to_a_tier_that_takes_them(make_router: MakeRouter) -> None:
    """A model that is known not to take images is passed over for a picture."""
    blind = FakeListChatModel(responses=["?"], profile={"image_inputs": False})
    router = make_router({"blind": blind, "seeing": "us.amazon.nova-lite-v1:0"})
    picture = {"type": "image", "base64": "aGk=", "mime_type": "image/png"}

    assert router.decide("Hi").tier == "blind"
    assert router.decide([HumanMessage(["Hi", picture])]).tier == "seeing"


def test_a_long_tool_result_goes_where_it_fits(make_router: MakeRouter) -> None:
    """A context that outgrows the cheap tier within a tool loop moves on to one that holds it."""
    small = FakeListChatModel(responses=["?"], profile={"max_input_tokens": 1000})
    router = make_router({"small": small, "large": "us.amazon.nova-lite-v1:0"})
    call = AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": "1"}])

    loop = [HumanMessage("Hi"), call, ToolMessage("漢字" * 2000, tool_call_id="1")]

    assert router.decide(loop[:1]).tier == "small"
    assert router.decide(loop).tier == "large"


def test_thresholds_and_scorer_are_the_users_to_choose(make_router: MakeRouter) -> None:
    """A router takes any number of tiers, thresholds and a scorer of one's own."""

    class ByLength:
        def score(self, messages: Any, tools: Any = None) -> ComplexityScore:
            return ComplexityScore(value=min(len(str(messages)) / 10, 1.0))

    names = ["a", "b", "c", "d"]
    router = make_router(
        dict.fromkeys(names, "us.amazon.nova-lite-v1:0"),
        scorer=ByLength(),
        policy=RoutingPolicy([0.2, 0.4, 0.8]),
    )

    assert [router.decide("x" * length).tier for length in (1, 3, 5, 9)] == names


# --- Naming a tier ---


@pytest.mark.parametrize("by", ["force", "model", "model id", "config", "bind"])
def test_a_call_can_name_its_tier(
    router: ChatBedrockRouter, bedrock: Any, tiers: dict[str, str], by: str
) -> None:
    """`force=`, `model=` and the config's `force` send a prompt to a tier, by name or model id."""
    calls: dict[str, Callable[[], BaseMessage]] = {
        "force": lambda: router.invoke(EASY, force="complex"),
        "model": lambda: router.invoke(EASY, model="complex"),
        "model id": lambda: router.invoke(EASY, model=tiers["complex"]),
        "config": lambda: router.invoke(EASY, {"configurable": {"force": "complex"}}),
        "bind": lambda: router.bind(model="complex").invoke(EASY),
    }

    message = calls[by]()

    assert bedrock.models == [tiers["complex"]]
    assert route_of(message).forced
    assert route_of(message).alternatives == ()
    assert not route_of(router.invoke(EASY)).forced


def test_a_chain_names_the_tier_through_its_config(
    router: ChatBedrockRouter, bedrock: Any, tiers: dict[str, str]
) -> None:
    """The tier named in a chain's config reaches a router inside of it."""
    chain = ChatPromptTemplate.from_messages([("human", "{q}")]) | router | StrOutputParser()

    chain.invoke({"q": EASY}, {"configurable": {"force": "moderate"}})

    assert bedrock.models == [tiers["moderate"]]


def test_an_unknown_tier_lists_those_there_are(router: ChatBedrockRouter, bedrock: Any) -> None:
    """A tier or model that the router does not have is refused before anything is called."""
    for arguments in ({"force": "huge"}, {"model": "gpt-9"}):
        with pytest.raises(UnknownTierError) as caught:
            router.invoke(EASY, **arguments)  # type: ignore[arg-type]
        assert "'simple' (us.amazon.nova-lite-v1:0)" in str(caught.value)
        assert "\n" not in str(caught.value)
    assert bedrock.requests == []


# --- What callbacks see ---


def test_a_call_is_one_run_and_counted_once(
    router: ChatBedrockRouter, tiers: dict[str, str]
) -> None:
    """In a chain there is one run, of the tier's model, and its tokens count once."""
    runs, usage = Runs(), UsageMetadataCallbackHandler()
    chain = ChatPromptTemplate.from_messages([("human", "{q}")]) | router

    chain.invoke({"q": HARD}, {"callbacks": [runs, usage]})

    (started,) = runs.started
    assert runs.ended == 1
    assert started["metadata"]["ls_model_name"] == tiers["complex"]
    assert usage.usage_metadata[tiers["complex"]]["total_tokens"] == 15
    assert list(usage.usage_metadata) == [tiers["complex"]]


async def test_every_way_to_call_is_one_run(router: ChatBedrockRouter) -> None:
    """Sync, async, streamed and batched calls each open one run that names its tier."""
    runs = Runs()
    config: Any = {"callbacks": [runs]}

    router.invoke(EASY, config)
    await router.ainvoke(EASY, config)
    list(router.stream(HARD, config))
    _ = [chunk async for chunk in router.astream(HARD, config)]
    router.batch([EASY, HARD], {"callbacks": [runs], "max_concurrency": 1})
    await router.abatch([HARD], config)

    expected = ["simple", "simple", "complex", "complex", "simple", "complex", "complex"]
    assert runs.routes == expected
    assert runs.ended == len(expected)


def test_a_run_that_fails_still_says_where_it_went(router: ChatBedrockRouter, bedrock: Any) -> None:
    """The decision is in the run's metadata before the model is called."""
    runs = Runs()
    bedrock.error = RuntimeError("down")

    with pytest.raises(RuntimeError, match="down"):
        router.invoke(EASY, {"callbacks": [runs]})

    assert runs.routes == ["simple"]
    assert runs.failed == 1


def test_the_callers_config_is_left_alone(router: ChatBedrockRouter) -> None:
    """Metadata and tags of the caller reach the run, and the caller's dicts stay as they were."""
    runs = Runs()
    run_id = uuid4()
    config: Any = {
        "callbacks": [runs],
        "metadata": {"who": "me"},
        "tags": ["t"],
        "run_id": run_id,
        "run_name": "n",
    }

    router.invoke(EASY, config)

    assert config["metadata"] == {"who": "me"}
    assert runs.started[0]["metadata"]["who"] == "me"
    assert runs.started[0]["tags"] == ["t"]
    assert runs.started[0]["run_id"] == run_id
    assert runs.started[0]["name"] == "n"


def test_the_routers_own_callbacks_hold_for_every_tier(bedrock: Any) -> None:
    """Callbacks, tags and metadata given to a router reach tiers that were models before it."""
    runs = Runs()
    model = ChatBedrockConverse(
        model="us.amazon.nova-lite-v1:0", client=bedrock, bedrock_client=bedrock
    )
    router = ChatBedrockRouter(
        tiers={"only": model}, callbacks=[runs], tags=["team"], metadata={"env": "test"}
    )

    router.invoke(EASY, {"callbacks": [runs], "tags": ["call"]})
    router.generate([[HumanMessage(EASY)]])

    assert len(runs.started) == 2
    assert runs.started[0]["tags"] == ["team", "call"]
    assert all(run["metadata"]["env"] == "test" for run in runs.started)


# --- Streams ---


def test_a_stream_carries_the_decision_once(
    router: ChatBedrockRouter, tiers: dict[str, str]
) -> None:
    """The first chunk has the decision, and the sum of the chunks has it whole."""
    chunks = list(router.stream(HARD))

    total = chunks[0]
    for chunk in chunks[1:]:
        assert "route" not in chunk.response_metadata.get(REPORT_KEY, {})
        total = total + chunk
    assert route_of(chunks[0]) == route_of(total) == router.decide(HARD)
    assert total.response_metadata[REPORT_KEY]["model_id"] == tiers["complex"]
    assert total.usage_metadata is not None
    assert total.usage_metadata["total_tokens"] == 15


async def test_a_stream_that_is_broken_off_ends_its_run(router: ChatBedrockRouter) -> None:
    """A consumer that stops early closes the tier's stream, and its run is over."""
    runs = Runs()
    config: Any = {"callbacks": [runs]}

    stream = router.stream(HARD, config)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    async_stream = router.astream(HARD, config)
    await anext(async_stream)
    await async_stream.aclose()  # type: ignore[attr-defined]

    assert (len(runs.started), runs.failed) == (2, 2)


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.filterwarnings("ignore:astream_events version='v1' is deprecated")
async def test_events_are_the_tiers_own(router: ChatBedrockRouter, version: Any) -> None:
    """`astream_events` gives the events that the tier itself gives, in the same order."""
    tier = router.models["complex"]

    async def events(model: Any) -> list[tuple[str, str, Any]]:
        found = model.astream_events(HARD, version=version)
        return [
            (event["event"], event["name"], getattr(event["data"].get("chunk"), "content", None))
            async for event in found
        ]

    ours = await events(router)
    assert ours == await events(tier)
    assert ours[0][0] == "on_chat_model_start"


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
async def test_v3_events_are_the_tiers_own(
    router: ChatBedrockRouter, tiers: dict[str, str]
) -> None:
    """Version 3 events are the tier's, its text and message too, and the run names the tier."""
    runs = Runs()
    tier = router.models["complex"]

    ours = router.stream_events(HARD, {"callbacks": [runs]}, version="v3")
    theirs = tier.stream_events(HARD, version="v3")
    async_ours = await router.astream_events(HARD, {"callbacks": [runs]}, version="v3")

    assert [event["event"] for event in ours] == [event["event"] for event in theirs]
    assert str(ours.text) == str(theirs.text)
    assert ours.output.response_metadata["model_name"] == tiers["complex"]
    assert await async_ours.text == str(ours.text)
    assert runs.routes == ["complex", "complex"]


# --- Several conversations ---


@pytest.mark.parametrize("is_async", [False, True])
async def test_several_conversations_keep_their_order(
    router: ChatBedrockRouter, tiers: dict[str, str], *, is_async: bool
) -> None:
    """`generate` routes each conversation by itself and returns answers and runs in order."""
    runs, run_id = Runs(), uuid4()
    conversations: list[list[BaseMessage]] = [[HumanMessage(text)] for text in (HARD, EASY, HARD)]

    if is_async:
        result = await router.agenerate(conversations, callbacks=[runs], run_id=run_id)
    else:
        result = router.generate(conversations, callbacks=[runs], run_id=run_id)

    texts = [candidates[0].text for candidates in result.generations]
    assert texts == [f"from {tiers[name]}" for name in ("complex", "simple", "complex")]
    assert sorted(runs.routes) == ["complex", "complex", "simple"]
    assert result.run is not None
    ids: list[UUID] = [run.run_id for run in result.run]
    assert ids[0] == run_id
    assert len(set(ids)) == 3


async def test_one_failure_does_not_lose_the_others_runs(
    router: ChatBedrockRouter, bedrock: Any
) -> None:
    """When one of several conversations fails, all runs end before the error is raised."""
    runs = Runs()
    bedrock.error = RuntimeError("down")

    with pytest.raises(RuntimeError, match="down"):
        await router.agenerate([[HumanMessage(EASY)], [HumanMessage(HARD)]], callbacks=[runs])

    assert runs.failed == 2


def test_no_conversations_give_an_empty_result(router: ChatBedrockRouter) -> None:
    """`generate` of nothing calls nothing and returns nothing."""
    assert router.generate([]).generations == []


# --- Construction ---


@pytest.mark.parametrize(
    ("tiers", "message"),
    [
        ({}, "give a dict of tier names and model ids"),
        (["us.amazon.nova-lite-v1:0"], "give a dict of tier names and model ids"),
        ({"simple": 7}, "Tier 'simple' is int: give a model id or a chat model"),
        ({"simple": "nova lite"}, "Tier 'simple': 'nova lite' is not a Bedrock model id"),
        ({1: "us.amazon.nova-lite-v1:0"}, "Tier name 1 is not a text"),
    ],
)
def test_bad_tiers_are_refused_in_one_line(tiers: Any, message: str) -> None:
    """A tier that is neither id nor model fails at construction with the value and the fix."""
    with pytest.raises(ConfigurationError) as caught:
        ChatBedrockRouter(tiers=tiers, region_name="us-east-1")

    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_parameters_without_a_tier_for_them_are_refused() -> None:
    """A parameter that no tier takes is an error, not a silence."""
    with pytest.raises(ConfigurationError, match="temperature: parameters go to tiers given as"):
        ChatBedrockRouter(tiers={"a": FakeListChatModel(responses=["x"])}, temperature=0)


def test_thresholds_are_checked_against_the_tiers(make_router: MakeRouter) -> None:
    """A policy that does not fit the tiers fails when the router is made."""
    with pytest.raises(ConfigurationError, match="1 thresholds for the tiers"):
        make_router(policy=RoutingPolicy([0.5]))


def test_parameters_go_to_the_tiers_made_from_ids(make_router: MakeRouter, bedrock: Any) -> None:
    """Model parameters reach the wire from every tier that was given as an id."""
    ready = FakeListChatModel(responses=["ready"])
    router = make_router({"a": ready, "b": "us.amazon.nova-lite-v1:0"}, max_tokens=7)

    assert router.invoke(EASY).content == "ready"
    router.invoke(EASY, force="b")

    assert bedrock.requests[0]["inferenceConfig"] == {"maxTokens": 7}


def test_the_router_can_be_reconfigured(make_router: MakeRouter, tiers: dict[str, str]) -> None:
    """`configurable_fields` makes a router anew, with the parameters it had."""
    from langchain_core.runnables import ConfigurableField

    router = make_router(max_tokens=7).configurable_fields(
        policy=ConfigurableField(id="routing_policy")
    )

    always_moderate = RoutingPolicy({"moderate": 0.0, "complex": 1.0})
    message = router.invoke(EASY, {"configurable": {"routing_policy": always_moderate}})

    assert message.response_metadata["model_name"] == tiers["moderate"]


def test_identity_holds_every_tiers_settings(make_router: MakeRouter) -> None:
    """Routers that differ in a tier's model or parameters don't look alike, and show no secret."""
    hot = make_router(temperature=0.9, aws_session_token="hush")
    cold = make_router(temperature=0.1)

    assert hot.asdict() != cold.asdict()
    assert hot.asdict()["tiers"]["complex"]["temperature"] == 0.9
    assert "hush" not in str(hot.asdict()) + repr(hot)


def test_the_profile_is_what_all_tiers_can_do() -> None:
    """The profile has the smallest window, and only the abilities that every tier has."""
    first = FakeListChatModel(
        responses=["x"], profile={"max_input_tokens": 100, "tool_calling": True}
    )
    second = FakeListChatModel(
        responses=["x"], profile={"max_input_tokens": 50, "tool_calling": False}
    )

    router = ChatBedrockRouter(tiers={"first": first, "second": second})

    unknown = FakeListChatModel(responses=["x"])

    assert router.profile == {"max_input_tokens": 50, "tool_calling": False}
    assert ChatBedrockRouter(tiers={"first": first, "unknown": unknown}).profile is None


def test_tokens_are_counted_by_the_first_tier() -> None:
    """Counting tokens asks the first tier."""
    counting = FakeListChatModel(responses=["x"], custom_get_token_ids=lambda text: [1] * len(text))
    router = ChatBedrockRouter(tiers={"a": counting})

    assert router.get_num_tokens("four") == 4
    assert router.get_token_ids("ab") == [1, 1]
    assert router.get_num_tokens_from_messages([HumanMessage("hi")]) > 2


def test_a_router_behind_a_router_keeps_its_word(make_router: MakeRouter) -> None:
    """The decision nearest to the model is the one in the answer."""
    inner = make_router()
    outer = ChatBedrockRouter(tiers={"inner": inner})

    assert route_of(outer.invoke(HARD)).tier == "complex"
    assert route_of(next(iter(outer.stream(HARD)))).tier == "complex"


def test_a_system_message_alone_does_not_make_a_prompt_hard(router: ChatBedrockRouter) -> None:
    """What an application always says to the model leaves an easy question easy."""
    rules = SystemMessage("You must compare, analyze and evaluate designs in JSON. " * 5)

    assert router.decide([rules, HumanMessage(EASY)]).tier == "simple"
