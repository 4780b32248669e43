"""Agents and graphs over the cache: every step is replayed, and no turn is lost."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver

from langchain_bedrock_opt import (
    BedrockEmulator,
    BedrockSemanticCache,
    ChatBedrockOptimized,
    DiskCacheStore,
)
from langchain_bedrock_opt.emulator import ScriptedResponder

MODEL = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
CITIES = ("Tokyo", "Osaka", "Kyoto")
_NUMBERS = itertools.count()


def population(city: str) -> str:
    """The number of people in a city."""
    return f"{city}: {len(city)} million"


def agent_on(cache: BedrockSemanticCache, emulator: BedrockEmulator) -> Any:
    client = emulator.client()
    model = ChatBedrockOptimized(
        model=MODEL, cache=cache, client=client, bedrock_client=client, max_tokens=500
    )
    return create_agent(model, tools=[population])


def four_steps() -> list[Any]:
    """Three calls of a tool, one after the other, and an answer; each run's ids are its own."""
    calls = [
        {"toolUse": {"toolUseId": f"t{next(_NUMBERS)}", "name": "population", "input": {"city": c}}}
        for c in CITIES
    ]
    return [*calls, "Kyoto and Tokyo have five million each."]


@pytest.mark.parametrize("way", ["invoke", "stream"])
def test_an_agent_s_run_is_replayed_step_by_step(way: str, tmp_path: Any) -> None:
    """A run of four steps costs four calls; its three repetitions cost none: 12 of 12 steps."""
    script = [line for _ in range(4) for line in four_steps()]
    emulator = BedrockEmulator(responder=ScriptedResponder(script))
    cache = BedrockSemanticCache(DiskCacheStore(tmp_path / "answers"))
    question = {"messages": [HumanMessage("Which of these cities are equally large?")]}

    finals: list[list[Any]] = []
    for _ in range(4):
        agent = agent_on(cache, emulator)
        if way == "invoke":
            finals.append(agent.invoke(question)["messages"])
        else:
            streamed = agent.stream(question, stream_mode=["messages", "values"])
            finals.append([state for mode, state in streamed if mode == "values"][-1]["messages"])

    assert emulator.journal.count("Converse") + emulator.journal.count("ConverseStream") == 4
    assert cache.stats().hits == 12
    for messages in finals[1:]:
        assert [m.text for m in messages] == [m.text for m in finals[0]]
        assert [getattr(m, "tool_calls", []) for m in messages] == [
            getattr(m, "tool_calls", []) for m in finals[0]
        ]


def test_equal_turns_of_a_graph_keep_their_replies() -> None:
    """Two equal turns of one conversation keep two questions and two replies."""
    emulator = BedrockEmulator(responder=ScriptedResponder(["Hello!"] * 2))
    cache = BedrockSemanticCache()
    client = emulator.client()
    model = ChatBedrockOptimized(model=MODEL, cache=cache, client=client, bedrock_client=client)
    agent = create_agent(model, tools=[], checkpointer=InMemorySaver())
    threads: list[RunnableConfig] = [{"configurable": {"thread_id": name}} for name in ("a", "b")]

    for thread in threads:
        for _ in range(2):
            state = agent.invoke({"messages": [HumanMessage("Hi")]}, thread)

    messages = state["messages"]
    assert [m.type for m in messages] == ["human", "ai", "human", "ai"]
    assert len({m.id for m in messages}) == 4
    assert emulator.journal.count("Converse") == 2
    assert cache.stats().hits == 2


def test_the_same_reply_twice_in_one_conversation() -> None:
    """A cached message that is given to a graph twice is two messages."""
    emulator = BedrockEmulator(responder=ScriptedResponder(["Hello!"]))
    cache = BedrockSemanticCache()
    client = emulator.client()
    model = ChatBedrockOptimized(model=MODEL, cache=cache, client=client, bedrock_client=client)

    replies = [model.invoke("Hi") for _ in range(3)]

    assert len({reply.id for reply in replies}) == 3
    assert all(isinstance(reply, AIMessage) for reply in replies)
    assert emulator.journal.count("Converse") == 1
