"""The main job, whole: routing, cache and usage over a served local Bedrock, as a user runs it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessageChunk
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from langchain_bedrock_opt import (
    BedrockEmulator,
    BedrockSemanticCache,
    BedrockUsageCallbackHandler,
    ChatBedrockOptimized,
    ChatBedrockRouter,
    CloudWatchMetricsSink,
    DiskCacheStore,
    UsageLedger,
)

HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"
TIERS = {"simple": f"us.{HAIKU}", "complex": "us.anthropic.claude-sonnet-4-5-20250929-v1:0"}
EASY = "What is the capital of Japan?"
HARD = (
    "次の3つの移行案を、費用・停止時間・復旧手順の観点で比較し、根拠とともに1つを推奨してください。"
)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[BedrockEmulator]:
    """A served emulator that every AWS SDK of the process finds by the environment."""
    with BedrockEmulator() as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        yield emulator


class Job:
    """A router with a disk cache, a ledger file and CloudWatch, as the README has them."""

    def __init__(self, folder: Path) -> None:
        self.store = DiskCacheStore(folder / "answers")
        self.ledger = UsageLedger(folder / "usage.jsonl")
        # One namespace a test: the emulators of a process share one CloudWatch.
        self.metrics = CloudWatchMetricsSink(namespace=folder.name, service="job")
        self.router = ChatBedrockRouter(
            tiers=TIERS,
            cache=BedrockSemanticCache(store=self.store),
            callbacks=[BedrockUsageCallbackHandler(sinks=[self.ledger, self.metrics])],
            max_tokens=300,
        )


@pytest.fixture
def job(aws: BedrockEmulator, tmp_path: Path) -> Iterator[Job]:
    """The main job on the served emulator."""
    job = Job(tmp_path)
    yield job
    job.metrics.close()
    job.store.close()


def test_each_prompt_is_routed_cached_and_priced(aws: BedrockEmulator, job: Job) -> None:
    """Easy and hard prompts go to their tiers, a repeat costs nothing, and the bill adds up."""
    answers = [job.router.invoke(prompt) for prompt in (EASY, HARD, EASY)]

    reports = [answer.response_metadata["bedrock_opt"] for answer in answers]
    assert [report["route"]["tier"] for report in reports] == ["simple", "complex", "simple"]
    assert [report["cache"]["status"] for report in reports] == ["miss", "miss", "hit"]
    assert answers[2].content == answers[0].content
    assert answers[2].usage_metadata is not None
    assert answers[2].usage_metadata["total_tokens"] == 0
    assert aws.journal.count("Converse") == 2

    records = job.ledger.records()
    called = [TIERS["simple"], TIERS["complex"], TIERS["simple"]]
    assert [record.model_id for record in records] == called
    assert [record.cache_hit for record in records] == [False, False, True]
    totals = job.ledger.totals()
    assert totals.cost_pico_usd == sum(record.cost_pico_usd or 0 for record in records) > 0
    assert records[2].cost_pico_usd == 0
    assert records[2].saved_pico_usd == records[0].cost_pico_usd


def test_a_stream_is_served_from_what_invoke_paid_for(aws: BedrockEmulator, job: Job) -> None:
    """A stream of an answered prompt makes no call, and says the same in pieces."""
    answer = job.router.invoke(EASY)

    merged = AIMessageChunk(content="")
    pieces = 0
    for chunk in job.router.stream(EASY):
        merged += chunk
        pieces += bool(chunk.text)

    assert merged.text == answer.text
    assert pieces > 1
    assert merged.response_metadata["bedrock_opt"]["cache"]["status"] == "hit"
    assert aws.journal.count() == 1


async def test_fifty_equal_calls_make_one(aws: BedrockEmulator, job: Job) -> None:
    """Fifty tasks that ask the same at once are answered by one model call."""
    answers = await asyncio.gather(*(job.router.ainvoke(EASY) for _ in range(50)))

    assert len({answer.text for answer in answers}) == 1
    assert aws.journal.count("Converse") == 1
    assert job.ledger.totals().cache_hits == 49


def test_metrics_arrive_in_cloudwatch(aws: BedrockEmulator, job: Job) -> None:
    """One flush sends what was used, and CloudWatch at the same URL adds it up the same."""
    for prompt in (EASY, HARD, EASY):
        job.router.invoke(prompt)
    job.metrics.flush()

    now = datetime.now(timezone.utc)
    statistics = aws.client("cloudwatch").get_metric_statistics(
        Namespace=job.metrics.namespace,
        MetricName="CacheHits",
        Dimensions=[
            {"Name": "Service", "Value": "job"},
            {"Name": "Model", "Value": TIERS["simple"]},
        ],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(hours=1),
        Period=3600,
        Statistics=["Sum"],
    )["Datapoints"]
    assert job.metrics.flush_errors == 0
    assert sum(point["Sum"] for point in statistics) == 1


def test_a_chain_and_a_batch_work_as_on_any_model(aws: BedrockEmulator, job: Job) -> None:
    """In an LCEL chain, batched, each input is routed by itself and the order is kept."""
    prompt = ChatPromptTemplate([("system", "Be brief."), ("human", "{question}")])
    chain = prompt | job.router | StrOutputParser()

    answers = chain.batch([{"question": EASY}, {"question": HARD}, {"question": EASY}])

    assert answers[0] == answers[2] != answers[1]
    assert aws.journal.count("Converse") == 2


def test_an_agent_runs_its_tool_loop_on_one_tier(aws: BedrockEmulator, job: Job) -> None:
    """An agent over the router calls its tool, answers with its result, and keeps its tier."""

    def get_weather(city: str) -> str:
        """Get the weather in a city."""
        return f"It is sunny in {city}."

    agent: Any = create_agent(job.router, [get_weather])

    state = agent.invoke({"messages": [("human", 'What is the weather in "Kyoto"?')]})

    kinds = [message.type for message in state["messages"]]
    assert kinds == ["human", "ai", "tool", "ai"]
    assert "sunny in Kyoto" in state["messages"][2].content
    tiers = {record.route.tier for record in job.ledger.records() if record.route}
    assert len(tiers) == 1


def hidden_id(aws: BedrockEmulator, kind: str) -> str:
    """An id whose model langchain-aws can't see in it."""
    nova = "amazon.nova-lite-v1:0"
    if kind == "provisioned":
        return aws.models.register_provisioned(nova, "pt")
    if kind == "profile":
        return aws.models.register_application_profile(f"us.{nova}", "app")
    if kind == "router":
        models = ["us.amazon.nova-pro-v1:0", f"us.{nova}"]
        return aws.models.register_prompt_router(models, models[1], "pr")
    return {"in": "in.anthropic.claude-sonnet-5", "ca": f"ca.{nova}"}[kind]


@pytest.mark.parametrize("kind", ["provisioned", "profile", "router", "in", "ca"])
def test_an_id_that_hides_its_model_streams_and_takes_tools(
    aws: BedrockEmulator, kind: str
) -> None:
    """By the served control plane, every such id keeps streaming and tool choice."""
    model_id = hidden_id(aws, kind)
    region = {"in": "ap-south-1", "ca": "ca-central-1"}.get(kind, "us-east-1")
    model = ChatBedrockOptimized(model=model_id, region_name=region)

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    bound = model.bind_tools([add], tool_choice="any")

    assert model.disable_streaming is False
    assert sum(bool(chunk.text) for chunk in model.stream("Hello, how are you?")) > 1
    called = bound.invoke("What is 2 plus 3?")
    assert called.tool_calls[0]["name"] == "add"
    assert called.response_metadata["bedrock_opt"]["model_id"] == model_id
