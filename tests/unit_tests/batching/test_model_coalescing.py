"""Single calls of a batch model where somebody collects them into jobs."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda, RunnableParallel

from langchain_bedrock_opt import BedrockUsageCallbackHandler, Budget
from langchain_bedrock_opt.batching.parts import COALESCER
from langchain_bedrock_opt.errors import ConfigurationError
from tests.batch_models import batch_model, calls_of, inner_model, jobs_of, questions
from tests.batch_service import BatchService


class Collector:
    """Answers at once, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, list[Any], list[str] | None, Mapping[str, Any]]] = []
        self.meanwhile: Callable[[], object] = lambda: None
        self.answers: asyncio.Event | None = None

    async def ask(
        self, model: Any, messages: list[Any], stop: list[str] | None, kwargs: Mapping[str, Any]
    ) -> AIMessage:
        answer = self.ask_from_thread(model, messages, stop, kwargs)
        if self.answers is not None:
            await self.answers.wait()
        return answer

    def ask_from_thread(
        self, model: Any, messages: list[Any], stop: list[str] | None, kwargs: Mapping[str, Any]
    ) -> AIMessage:
        self.asked.append((model, messages, stop, kwargs))
        self.meanwhile()
        usage = {"input_tokens": 9, "output_tokens": 2, "total_tokens": 11}
        return AIMessage("collected", usage_metadata=usage)


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    token = COALESCER.set(collector)
    yield collector
    COALESCER.reset(token)


async def test_single_calls_wait_for_their_job(
    batch_service: BatchService, collector: Collector
) -> None:
    """Every way to call the model once asks the collector, with what the call was given."""
    model = batch_model(batch_service)

    assert model.invoke("Hi", stop=["."]).text == "collected"
    assert (await model.bind(tools=[]).ainvoke("Hi")).text == "collected"
    assert "".join(chunk.text for chunk in model.stream("Hi")) == "collected"
    assert "".join([chunk.text async for chunk in model.astream("Hi")]) == "collected"
    assert model.generate([[HumanMessage("Hi")]]).generations[0][0].text == "collected"

    assert [asked[0] is model for asked in collector.asked] == [True] * 5
    assert [asked[1][0].text for asked in collector.asked] == ["Hi"] * 5
    assert collector.asked[0][2] == ["."]
    assert collector.asked[1][3] == {"tools": []}
    assert (calls_of(batch_service), jobs_of(batch_service)) == (0, [])


async def test_events_of_single_calls_wait_for_their_job(
    batch_service: BatchService, collector: Collector
) -> None:
    """Who reads a model's events asks the collector, too; parts of an answer are refused."""
    model = batch_model(batch_service)

    events = [event async for event in model.astream_events("Hi", version="v2", stop=["."])]
    with pytest.raises(ConfigurationError, match="version='v2'"):
        model.stream_events("Hi", version="v3")
    with pytest.raises(ConfigurationError, match="ainvoke"):
        model.astream_events("Hi", version="v3")

    ends = [event for event in events if event["event"] == "on_chat_model_end"]
    assert [end["data"]["output"].text for end in ends] == ["collected"]
    assert [asked[2] for asked in collector.asked] == [["."]]
    assert calls_of(batch_service) == 0


def test_a_collected_call_is_one_run(batch_service: BatchService, collector: Collector) -> None:
    """LangChain's own run is the only one, with the model's id and the answer's tokens."""
    usage = BedrockUsageCallbackHandler()

    batch_model(batch_service).invoke("Hi", {"callbacks": [usage]})

    (record,) = usage.ledger.records()
    assert record.usage is not None
    assert (record.model_id, record.usage.total) == ("us.amazon.nova-lite-v1:0", 11)


async def test_a_collected_call_is_counted_however_long_it_takes(
    batch_service: BatchService, collector: Collector
) -> None:
    """Neither hours nor other runs make a usage handler give up a call that waits for a job."""
    clock = batch_service.clock
    usage = BedrockUsageCallbackHandler(max_runs=2, clock=clock, perf_clock=clock)
    model = batch_model(batch_service)

    def other_calls() -> None:
        clock.now += 30 * 3600
        for _ in range(4):
            inner_model(batch_service).invoke("ping", {"callbacks": [usage]})

    collector.meanwhile = other_calls
    model.invoke("Hi", {"callbacks": [usage]})
    await model.ainvoke("Hi", {"callbacks": [usage]})
    list(model.stream("Hi", {"callbacks": [usage]}))

    waited = [each for each in usage.ledger.records() if each.usage and each.usage.total == 11]
    assert [each.status for each in waited] == ["ok"] * 3


async def test_a_collected_call_that_is_cancelled_ends(
    batch_service: BatchService, collector: Collector
) -> None:
    """A cancelled call that waits for a job ends its run, so that a budget holds nothing for it."""
    budget, usage = Budget(limit_usd=Decimal(1)), BedrockUsageCallbackHandler()
    collector.answers = asyncio.Event()
    model = batch_model(batch_service)
    task = asyncio.create_task(model.ainvoke("Hi", {"callbacks": [budget, usage]}))
    while not collector.asked:
        await asyncio.sleep(0)
    assert budget.status().reserved_usd > 0

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert budget.status().reserved_usd == 0
    (record,) = usage.ledger.records()
    assert record.status != "ok"


def test_collected_calls_need_no_warning(batch_service: BatchService, collector: Collector) -> None:
    """However many there are, nobody pays the full price."""
    chain: RunnableParallel[Any] = RunnableParallel(a=batch_model(batch_service))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(chain.batch(questions(8))) == 8


async def test_a_batch_inside_joins_the_others(
    batch_service: BatchService, collector: Collector
) -> None:
    """A batch within a chain whose calls are collected makes no job of its own."""
    model = batch_model(batch_service)
    chain: RunnableLambda[Any, Any] = RunnableLambda(lambda texts: model.batch(texts))  # noqa: PLW0108

    await asyncio.to_thread(chain.invoke, questions(8))
    await model.abatch(questions(8))
    await asyncio.to_thread(lambda: list(model.batch_as_completed(questions(8))))
    _ = [each async for each in model.abatch_as_completed(questions(8))]

    assert len(collector.asked) == 32
    assert jobs_of(batch_service) == []
