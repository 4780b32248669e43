"""`stream_events` and `astream_events` of a router whose tiers may fail, in every version."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from botocore.config import Config
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.messages import HumanMessage

from langchain_bedrock_opt.contracts import ROUTE_METADATA_KEY
from langchain_bedrock_opt.emulator import BedrockEmulator, ScriptedResponder
from langchain_bedrock_opt.emulator.faults import Fault
from langchain_bedrock_opt.emulator.replies.rules import RuleResponder
from langchain_bedrock_opt.errors import ThrottledError
from langchain_bedrock_opt.routing import ChatBedrockRouter, Escalation
from langchain_bedrock_opt.usage import BedrockUsageCallbackHandler

pytestmark = [
    pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning"),
    pytest.mark.filterwarnings("ignore:astream_events version='v1' is deprecated"),
]

EASY = "日本の首都は?"
REFUSAL = "申し訳ございませんが、そのご質問にはお答えできません。"
SIMPLE, COMPLEX = "us.amazon.nova-lite-v1:0", "us.anthropic.claude-haiku-4-5-20251001-v1:0"
WAYS = ["v1", "v2", "v3", "v3 sync"]

Events = list[Any]
Listen = Callable[..., Any]


class Bedrock:
    """A local Bedrock whose tiers say what a test has written down."""

    def __init__(self) -> None:
        self.script = ScriptedResponder(fallback=RuleResponder())
        self.emulator = BedrockEmulator(responder=self.script)
        self.client = self.emulator.client(config=Config(retries={"total_max_attempts": 1}))

    def says(self, model_id: str, line: Any) -> None:
        self.script.when(lambda request: str(request["modelId"]) in model_id).reply(line)

    def fails(self, after_events: int | None = None) -> None:
        fault = Fault(
            code="ThrottlingException", model_id=SIMPLE, times=None, after_events=after_events
        )
        self.emulator.faults.add(fault)

    @property
    def models(self) -> list[str | None]:
        return [entry.model_id for entry in self.emulator.journal.calls()]

    def router(self, **kwargs: Any) -> ChatBedrockRouter:
        tiers = {"simple": SIMPLE, "complex": COMPLEX}
        return ChatBedrockRouter(
            tiers=tiers, client=self.client, bedrock_client=self.client, **kwargs
        )


@pytest.fixture
def local() -> Bedrock:
    return Bedrock()


@pytest.fixture(params=WAYS)
def listen(request: pytest.FixtureRequest) -> Listen:
    """Each of the ways to hear a model's events; it keeps those that came before an error."""
    version, is_sync = request.param[:2], request.param.endswith("sync")

    async def hear(model: Any, heard: Events, config: Any = None, **kwargs: Any) -> Events:
        if is_sync:
            for event in model.stream_events(EASY, config, version="v3"):
                heard.append(event)
        else:
            opening = model.astream_events(EASY, config, version=version, **kwargs)
            async for event in await opening if version == "v3" else opening:
                heard.append(event)
        return heard

    hear.version = version  # type: ignore[attr-defined]
    return hear


def shape(events: Events) -> list[tuple[str, str]]:
    """What events are and say, without the ids of runs."""
    said = []
    for event in events:
        data = event.get("data", event)
        chunk, output = data.get("chunk"), data.get("output")
        text = getattr(chunk or output, "text", "") or (event.get("delta") or {}).get("text", "")
        said.append((event["event"], str(text)))
    return said


async def test_a_throttled_tiers_place_is_taken_unseen(local: Bedrock, listen: Listen) -> None:
    """The events are those that the standing-in tier gives by itself, and both runs are counted."""
    local.fails()
    local.says(COMPLEX, "It is Tokyo, of course.")
    router, usage = local.router(fallback="next"), BedrockUsageCallbackHandler()

    ours = await listen(router, [], {"callbacks": [usage]})

    assert local.models == [SIMPLE, COMPLEX]
    assert shape(ours) == shape(await listen(router.models["complex"], []))
    assert "".join(text for kind, text in shape(ours) if "end" not in kind).count("Tokyo") == 1
    failed, answered = usage.ledger.records()
    assert (failed.model_id, failed.status) == (SIMPLE, "error")
    assert (answered.model_id, answered.status) == (COMPLEX, "ok")
    assert answered.route is not None
    assert answered.route.fallback_from == "simple"


async def test_the_events_metadata_tells_whose_place_was_taken(local: Bedrock) -> None:
    """Each event of version 2 has the route in its metadata."""
    local.fails()

    events = [e async for e in local.router(fallback="next").astream_events(EASY, version="v2")]

    routes = [event["metadata"][ROUTE_METADATA_KEY] for event in events]
    assert {(route["tier"], route["fallback_from"]) for route in routes} == {("complex", "simple")}


async def test_a_stream_that_has_only_begun_may_be_replaced(local: Bedrock, listen: Listen) -> None:
    """An error before the first word is nobody's business."""
    local.fails(after_events=1)

    ours = await listen(local.router(fallback="next"), [])

    assert local.models == [SIMPLE, COMPLEX]
    assert sum(kind in {"on_chat_model_start", "message-start"} for kind, _ in shape(ours)) == 1


async def test_after_the_first_word_an_error_is_the_callers(local: Bedrock, listen: Listen) -> None:
    """What has been heard stays, and no other tier goes on in its place."""
    local.fails(after_events=4)
    heard: Events = []

    with pytest.raises(ThrottledError):
        await listen(local.router(fallback="next", escalate=True), heard)

    assert any(text for _, text in shape(heard))
    assert local.models == [SIMPLE]


async def test_without_fallback_the_error_is_the_callers(local: Bedrock, listen: Listen) -> None:
    """A router that is not told to ask another tier raises the tier's error."""
    local.fails()

    with pytest.raises(ThrottledError):
        await listen(local.router(), [])
    assert local.models == [SIMPLE]


async def test_a_failed_answer_is_not_taken_back(local: Bedrock, listen: Listen) -> None:
    """Without buffering an answer that is heard as it comes is not checked."""
    local.says(SIMPLE, REFUSAL)
    router = local.router(escalate=True)

    ours = await listen(router, [])

    assert shape(ours) == shape(await listen(router.models["simple"], []))
    assert router.escalation_stats().checked == 0


async def test_a_buffered_answer_is_checked_first(local: Bedrock, listen: Listen) -> None:
    """With buffering only the stronger tier's events are heard, and a good answer is left alone."""
    local.says(SIMPLE, REFUSAL)
    local.says(COMPLEX, "It is Tokyo, of course.")
    router = local.router(escalate=Escalation(buffer_streams=True))

    ours = await listen(router, [])

    assert local.models == [SIMPLE, COMPLEX]
    assert shape(ours) == shape(await listen(router.models["complex"], []))
    assert router.escalation_stats().failed == {"refusal": 1}


async def test_filtered_events_are_checked_all_the_same(local: Bedrock) -> None:
    """A listener who filters the answer out still has it checked."""
    local.says(SIMPLE, REFUSAL)
    router = local.router(escalate=Escalation(buffer_streams=True))

    found = router.astream_events(EASY, version="v2", exclude_types=["chat_model"])

    assert [event async for event in found] == []
    assert local.models == [SIMPLE, COMPLEX]


async def test_a_listener_who_leaves_ends_the_run(local: Bedrock) -> None:
    """Who stops listening, or is cancelled while the stream is being opened, leaves no open run."""
    usage = BedrockUsageCallbackHandler()
    router = local.router(fallback="next", callbacks=[usage])

    events = router.astream_events(EASY, version="v2")
    await anext(events)
    await events.aclose()
    stream = await router.astream_events(EASY, version="v3")
    await stream.aclose()
    opening = asyncio.ensure_future(router.astream_events(EASY, version="v3"))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening

    assert usage.open_runs == 0


def test_an_agents_answer_that_was_heard_is_not_given_twice(local: Bedrock) -> None:
    """Version 3 of an agent's events counts as listening, to an answer from a cache, too."""
    local.says(SIMPLE, REFUSAL)
    agent: Any = create_agent(local.router(escalate=True, cache=InMemoryCache()), [])
    question = {"messages": [HumanMessage(EASY, id="1")]}

    for _ in range(2):
        run = agent.stream_events(question, version="v3")
        assert [str(message.text) for message in run.messages] == [REFUSAL]

    assert local.models == [SIMPLE]


async def test_an_async_agents_answer_comes_once(local: Bedrock) -> None:
    """Whether the answer was heard as it came (not so on Python 3.10) or checked, there is one."""
    local.says(SIMPLE, REFUSAL)
    agent: Any = create_agent(local.router(escalate=True), [])

    run = await agent.astream_events({"messages": [HumanMessage(EASY)]}, version="v3")

    assert len([await message.text async for message in run.messages]) == 1
