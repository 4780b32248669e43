"""Scorers that have to wait, or fail: which door asks them how, and that no call breaks."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelFallbackMiddleware
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import ConfigurableField
from langchain_core.tools import tool
from pydantic import BaseModel

from langchain_bedrock_opt import (
    BedrockRoutingMiddleware,
    BedrockUsageCallbackHandler,
    ChatBedrockOptimized,
)
from langchain_bedrock_opt.contracts import REPORT_KEY, ROUTE_METADATA_KEY
from langchain_bedrock_opt.errors import ConfigurationError, ThrottledError
from langchain_bedrock_opt.routing import (
    AsyncScorer,
    ChatBedrockRouter,
    ComplexityScore,
    ComplexityScorer,
    Reason,
    RoutingPolicy,
    Scorer,
    ScoreSample,
    route,
)

MakeRouter = Callable[..., ChatBedrockRouter]


class Waiting:
    """Finds every request hard, after a while; in an event loop it must be awaited."""

    def __init__(self) -> None:
        self.doors: list[str] = []
        self.tools: Any = None

    def score(self, messages: Any, tools: Any = None) -> ComplexityScore:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return self._scored("sync", tools)

    async def ascore(self, messages: Any, tools: Any = None) -> ComplexityScore:
        await asyncio.sleep(0)
        return self._scored("async", tools)

    def _scored(self, door: str, tools: Any) -> ComplexityScore:
        self.doors.append(door)
        self.tools = tools
        reason = Reason(signal="waited", weight=0.9)
        return ComplexityScore(value=0.9, reasons=(reason,))


class Quick:
    """Finds every request hard, at once."""

    def __init__(self) -> None:
        self.doors: list[str] = []

    def score(self, messages: Any, tools: Any = None) -> ComplexityScore:
        self.doors.append("sync")
        reason = Reason(signal="waited", weight=0.9)
        return ComplexityScore(value=0.9, reasons=(reason,))


class Broken:
    """Fails, or gives what is no score."""

    def __init__(self, outcome: Any) -> None:
        self.outcome = outcome

    def score(self, messages: Any, tools: Any = None) -> ComplexityScore:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome  # type: ignore[no-any-return]


class BrokenAwait(Broken):
    async def ascore(self, messages: Any, tools: Any = None) -> ComplexityScore:
        return self.score(messages, tools)


class BrokenUnhashable(Broken):
    """Is equal to all of its kind."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BrokenUnhashable)


class Capital(BaseModel):
    """A capital city."""

    name: str


class Runs(BaseCallbackHandler):
    def __init__(self) -> None:
        self.tiers: list[str] = []

    def on_chat_model_start(self, *_args: Any, **kwargs: Any) -> None:
        self.tiers.append(kwargs["metadata"][ROUTE_METADATA_KEY]["tier"])


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def agenerated(router: ChatBedrockRouter, runs: Any) -> None:
    await router.agenerate([[HumanMessage("Hi")], [HumanMessage("Ho")]], callbacks=[runs])


async def astreamed(router: ChatBedrockRouter, runs: Any) -> None:
    assert [chunk async for chunk in router.astream("Hi", {"callbacks": [runs]})]


async def events_v2(router: ChatBedrockRouter, runs: Any) -> None:
    events = router.astream_events("Hi", {"callbacks": [runs]}, version="v2")
    assert [event async for event in events]


async def events_v3(router: ChatBedrockRouter, runs: Any) -> None:
    stream = await router.astream_events("Hi", {"callbacks": [runs]}, version="v3")
    assert await stream.output


async def structured(router: ChatBedrockRouter, runs: Any) -> None:
    model = router.with_structured_output(Capital, include_raw=True)
    await model.ainvoke("Hi", {"callbacks": [runs]})


async def native(router: ChatBedrockRouter, runs: Any) -> None:
    model = router.with_structured_output(Capital, method="json_schema", include_raw=True)
    await model.ainvoke("Hi", {"callbacks": [runs]})


async def native_streamed(router: ChatBedrockRouter, runs: Any) -> None:
    model = router.with_structured_output(Capital, method="json_schema", include_raw=True)
    assert [part async for part in model.astream("Hi", {"callbacks": [runs]})]


async def batched(router: ChatBedrockRouter, runs: Any) -> None:
    await router.abatch(["Hi", "Ho"], {"callbacks": [runs]})


DOORS = [agenerated, astreamed, events_v2, events_v3, structured, native, native_streamed, batched]


@pytest.mark.parametrize("door", DOORS)
async def test_async_doors_await_the_score(
    make_router: MakeRouter, door: Callable[[ChatBedrockRouter, Any], Awaitable[None]]
) -> None:
    """Each asynchronous way to call the router awaits a scorer that has to wait, once a request."""
    scorer, runs = Waiting(), Runs()

    await door(make_router(scorer=scorer), runs)

    assert set(scorer.doors) == {"async"}
    assert len(scorer.doors) == len(runs.tiers)
    assert set(runs.tiers) == {"complex"}


async def test_events_that_nobody_reads_cost_nothing(make_router: MakeRouter, bedrock: Any) -> None:
    """An iterator of events that is closed unread has neither scored nor called."""
    scorer = Waiting()

    await make_router(scorer=scorer).astream_events("Hi", version="v2").aclose()

    assert scorer.doors == bedrock.requests == []


def test_sync_doors_ask_for_the_score(make_router: MakeRouter, tiers: dict[str, str]) -> None:
    """Without an event loop the same scorer is asked for its score directly."""
    scorer = Waiting()
    router = make_router(scorer=scorer)

    router.invoke("Hi")
    list(router.stream("Hi"))
    assert router.decide("Hi").tier == route(tiers, scorer=scorer).invoke("Hi").tier == "complex"
    assert scorer.doors == ["sync"] * 4


async def test_route_awaits_the_score(tiers: dict[str, str]) -> None:
    """The runnable that only decides awaits it too."""
    scorer = Waiting()

    decision = await route(tiers, scorer=scorer).ainvoke("Hi")

    assert decision.tier == "complex"
    assert decision.reasons[0].signal == "waited"
    assert scorer.doors == ["async"]


@pytest.mark.parametrize("is_async", [False, True])
async def test_an_agents_run_is_scored_once(bedrock: Any, tiers: Any, *, is_async: bool) -> None:
    """The middleware scores a run at its first model call, with the agent's tools, and no more."""
    scorer = Waiting()
    bedrock.tool_rounds = 2
    routing = BedrockRoutingMiddleware(
        tiers=tiers, scorer=scorer, client=bedrock, bedrock_client=bedrock
    )
    agent: Any = create_agent(routing.models["simple"], [add], middleware=[routing])
    ask = {"messages": [("human", "What is 1 + 2?")]}

    state = await agent.ainvoke(ask) if is_async else await asyncio.to_thread(agent.invoke, ask)

    assert scorer.doors == ["async" if is_async else "sync"]
    assert scorer.tools == [add]
    assert bedrock.models == [tiers["complex"]] * 3
    assert state["messages"][-1].response_metadata[REPORT_KEY]["route"]["score"] == 0.9


async def test_a_run_that_asks_nothing_is_not_scored(bedrock: Any, tiers: Any) -> None:
    """Without a human message there is no score to wait for."""
    scorer = Waiting()
    routing = BedrockRoutingMiddleware(
        tiers=tiers, scorer=scorer, client=bedrock, bedrock_client=bedrock
    )
    agent: Any = create_agent(routing.models["simple"], middleware=[routing])

    await agent.ainvoke({"messages": [AIMessage("Hello")]})

    assert scorer.doors == []


async def test_a_model_that_others_put_there_is_not_scored(bedrock: Any, tiers: Any) -> None:
    """A call that comes again with a fallback model is left alone, and its score not awaited."""
    scorer = Waiting()
    down = type(bedrock)()
    down.error = RuntimeError("down")
    routing = BedrockRoutingMiddleware(tiers=tiers, scorer=scorer, client=down, bedrock_client=down)
    spare = ChatBedrockOptimized(model=tiers["moderate"], client=bedrock, bedrock_client=bedrock)
    agent: Any = create_agent(
        routing.models["simple"], middleware=[ModelFallbackMiddleware(spare), routing]
    )

    state = await agent.ainvoke({"messages": [("human", "Hi")]})

    assert state["messages"][-1].text == f"from {tiers['moderate']}"
    assert scorer.doors == ["async"]


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_named_tier_is_not_scored(make_router: MakeRouter, *, is_async: bool) -> None:
    """With a tier named, a scorer that has to wait is not asked, and the reasons say so."""
    scorer = Waiting()
    router = make_router(scorer=scorer)

    answer = (
        await router.ainvoke("Hi", force="simple")
        if is_async
        else await asyncio.to_thread(router.invoke, "Hi", force="simple")
    )

    told = answer.response_metadata[REPORT_KEY]["route"]
    assert scorer.doors == []
    assert told["score"] == ComplexityScorer().score("Hi").value
    assert told["reasons"][-1]["signal"] == "scorer_not_asked"
    assert "Waiting" in told["reasons"][-1]["detail"]


@pytest.mark.parametrize("kind", [Waiting, Quick])
@pytest.mark.parametrize("structured_too", [False, True])
@pytest.mark.parametrize("is_async", [False, True])
async def test_another_tiers_attempt_is_not_scored_again(
    make_router: MakeRouter,
    bedrock: Any,
    monkeypatch: pytest.MonkeyPatch,
    kind: Callable[[], Waiting | Quick],
    *,
    structured_too: bool,
    is_async: bool,
) -> None:
    """A tier that stands in for a throttled one takes the score and the reasons that are known."""
    scorer = kind()
    answer = bedrock._answer
    failed: list[str] = []

    def throttled_once(request: dict[str, Any]) -> Any:
        if not failed:
            failed.append(request["modelId"])
            raise ThrottledError
        return answer(request)

    monkeypatch.setattr(bedrock, "_answer", throttled_once)
    router: Any = make_router(scorer=scorer, fallback="next")
    if structured_too:
        options = {"method": "json_schema", "include_raw": True}
        router = router.with_structured_output(Capital, **options)

    given = await router.ainvoke("Hi") if is_async else await asyncio.to_thread(router.invoke, "Hi")

    told = (given["raw"] if structured_too else given).response_metadata[REPORT_KEY]["route"]
    assert len(failed) == len(scorer.doors) == 1
    assert told["fallback_from"] == "complex"
    assert told["score"] == 0.9
    assert told["reasons"][0]["signal"] == "waited"


class Interrupted:
    """Finds every request half as hard as can be, and is slow enough for `meanwhile` to happen."""

    meanwhile: Callable[[], Any] | None = None

    def score(self, messages: Any, tools: Any = None) -> ComplexityScore:
        return ComplexityScore(value=0.5)

    async def ascore(self, messages: Any, tools: Any = None) -> ComplexityScore:
        if self.meanwhile is not None:
            happen, self.meanwhile = self.meanwhile, None
            happen()
        return self.score(messages, tools)


@pytest.mark.parametrize("structured_too", [False, True])
async def test_a_score_meets_the_thresholds_that_it_was_asked_for(
    make_router: MakeRouter, labelled: Callable[..., Any], *, structured_too: bool
) -> None:
    """A call that waits for its score while the router is calibrated goes by what held before."""
    scorer = Interrupted()
    router = make_router(scorer=scorer, policy=RoutingPolicy([0.1, 0.2]))
    shares = (0.98, 0.01, 0.01)
    scorer.meanwhile = lambda: router.calibrate(labelled(), shares=shares, refit=True)
    model: Any = router
    if structured_too:
        options: dict[str, Any] = {"method": "json_schema", "include_raw": True}
        model = router.with_structured_output(Capital, **options)

    answer = await model.ainvoke("Hi")

    told = (answer["raw"] if structured_too else answer).response_metadata[REPORT_KEY]["route"]
    assert router.calibration.thresholds["moderate"] > 0.5
    assert (told["score"], told["tier"]) == (0.5, "complex")


# --- Failures ---


@pytest.mark.parametrize("kind", [Broken, BrokenAwait])
@pytest.mark.parametrize(
    ("outcome", "named"),
    [
        (ConnectionError("no route to prompt"), "ConnectionError"),
        (ComplexityScore(value=float("nan")), "ValueError"),
        (ComplexityScore(value=1.01), "ValueError"),
        (None, "AttributeError"),
    ],
)
async def test_a_scorer_that_fails_breaks_no_call(
    make_router: MakeRouter,
    caplog: pytest.LogCaptureFixture,
    kind: type[Broken],
    outcome: Any,
    named: str,
) -> None:
    """The shipped scorer scores in its place, the reasons name the error, and it is logged once."""
    router = make_router(scorer=kind(outcome))
    caplog.set_level(logging.WARNING)

    first = await router.ainvoke("日本の首都は?")
    second = await asyncio.to_thread(router.invoke, "日本の首都は?")

    for answer in (first, second):
        told = answer.response_metadata[REPORT_KEY]["route"]
        assert told["score"] == ComplexityScorer().score("日本の首都は?").value
        assert told["reasons"][-1] == {"signal": "scorer_failed", "weight": 0.0, "detail": named}
    said = [record.getMessage() for record in caplog.records if record.name.endswith("asking")]
    assert len(said) == 1
    assert kind.__name__ in said[0]
    assert "prompt" not in said[0]


@pytest.mark.parametrize("kind", [Broken, BrokenUnhashable])
def test_a_scorer_that_fails_is_logged_once_for_all_its_routers(
    make_router: MakeRouter, caplog: pytest.LogCaptureFixture, kind: type[Broken]
) -> None:
    """A router that is made anew for each call does not repeat it; another scorer has its own."""
    caplog.set_level(logging.WARNING)

    for scorer in (kind(ConnectionError("down")), kind(ConnectionError("down"))):
        router = make_router(scorer=scorer).configurable_fields(
            fallback=ConfigurableField(id="fallback")
        )
        for _ in range(3):
            router.invoke("Hi", {"configurable": {"fallback": "next"}})

    assert len([each for each in caplog.records if each.name.endswith("asking")]) == 2


def test_a_scorer_that_failed_is_not_kept(make_router: MakeRouter) -> None:
    """When a router and its scorer are gone, nothing is left of them."""
    scorer = Broken(ConnectionError("down"))
    watched = weakref.ref(scorer)
    make_router(scorer=scorer).invoke("Hi")

    del scorer
    gc.collect()

    assert watched() is None


def test_the_report_counts_failed_scorers(make_router: MakeRouter) -> None:
    """A router's report says how many calls another scorer has scored."""
    usage = BedrockUsageCallbackHandler()
    router = make_router(scorer=Broken(ConnectionError("down")))
    router.batch(["Hi", "Ho"], {"callbacks": [usage]})

    found = router.report(usage.ledger)

    assert found.scorer_failed == 2
    assert "2 scored in a failed scorer's place" in str(found)


async def test_what_is_no_prompt_is_still_refused(make_router: MakeRouter) -> None:
    """A request that no chat model takes is the caller's error, not the scorer's."""
    router: Any = make_router(scorer=BrokenAwait(ValueError("x")))

    with pytest.raises(TypeError, match="Can't read int as a prompt"):
        await router.ainvoke(42)
    with pytest.raises(TypeError, match="Can't read int as a prompt"):
        await asyncio.to_thread(router.invoke, 42)


def test_a_scorer_that_waits_is_known_by_its_method() -> None:
    """What has `ascore` besides `score` is an `AsyncScorer`; the shipped scorer is not."""
    assert isinstance(Waiting(), AsyncScorer)
    assert not isinstance(ComplexityScorer(), AsyncScorer)
    assert isinstance(Broken(None), Scorer)


def test_a_target_asks_for_a_sample_of_a_foreign_scorer(make_router: MakeRouter) -> None:
    """Shares need to know how a scorer of one's own scores: the error says how to tell."""
    scorer = Waiting()

    with pytest.raises(ConfigurationError, match=r"sample=ScoreSample.of\(prompts, scorer\)"):
        make_router(scorer=scorer, policy=RoutingPolicy(shares=[0.5, 0.3, 0.2]))

    sample = ScoreSample.of(["Hi", "Ho", "Hey"], scorer)
    policy = RoutingPolicy(shares=[0.5, 0.3, 0.2], sample=sample)
    assert make_router(scorer=scorer, policy=policy).decide("Hi").tier == "complex"
