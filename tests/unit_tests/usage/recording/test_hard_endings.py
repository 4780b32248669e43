"""Runs that end oddly: broken off in agents, cancelled in a queue, told of twice, or never."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import io
import json
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError
from langchain.agents import create_agent
from langchain_aws import BedrockLLM, ChatBedrock, ChatBedrockConverse
from langchain_core.language_models import FakeListChatModel

from langchain_bedrock_opt import (
    BedrockEmulator,
    BedrockSemanticCache,
    BedrockUsageCallbackHandler,
    Budget,
    ChatBedrockOptimized,
    InMemoryCacheStore,
)
from langchain_bedrock_opt.contracts import TokenUsage
from langchain_bedrock_opt.errors import BudgetExceededError
from langchain_bedrock_opt.usage import get_bedrock_usage_callback

LITE = "us.amazon.nova-lite-v1:0"
HAIKU = "us.anthropic.claude-haiku-4-5-20251001-v1:0"

Chat = Callable[..., ChatBedrockConverse]


def optimized(emulator: BedrockEmulator, **fields: Any) -> ChatBedrockOptimized:
    return ChatBedrockOptimized(model=LITE, client=emulator.client(), max_tokens=200, **fields)


async def eventually(holds: Callable[[], bool]) -> None:
    for _ in range(200):
        if holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError


@pytest.mark.parametrize("mode", ["messages", "updates", ["messages", "updates"]])
async def test_an_agents_run_counts_when_its_consumer_leaves(mode: Any) -> None:
    """A model's run inside an agent that is cancelled is one unmetered record."""
    usage = BedrockUsageCallbackHandler()
    emulator = BedrockEmulator(pace=0.5)
    # On Python 3.10 an agent can't hand its callbacks on to its model.
    agent: Any = create_agent(optimized(emulator, callbacks=[usage]), [])

    async def consume() -> None:
        question = {"messages": [("user", "Tell me of Kyoto.")]}
        async for _ in agent.astream(question, stream_mode=mode):
            pass

    task = asyncio.create_task(consume())
    await eventually(lambda: usage.open_runs == 1)
    await asyncio.sleep(0.2)  # the request is under way, which no callback tells
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: usage.open_runs == 0)
    (record,) = usage.ledger.records()
    assert (record.status, record.unmetered) == ("aborted", True)
    assert record.estimate is not None
    assert record.estimate.input > 0


async def test_a_call_that_waited_for_a_thread_is_not_billed() -> None:
    """A call that is cancelled before it was sent is aborted, and not unmetered."""
    usage = BedrockUsageCallbackHandler()
    emulator = BedrockEmulator()
    client, is_asked, may_answer = emulator.client(), threading.Event(), threading.Event()

    def converse(**request: Any) -> Any:
        is_asked.set()
        may_answer.wait(30)
        return client.converse(**request)

    slow = SimpleNamespace(meta=client.meta, converse=converse)
    model = ChatBedrockOptimized(
        model=LITE, client=slow, max_tokens=9, max_concurrency=1, callbacks=[usage]
    )
    first = asyncio.create_task(model.ainvoke("one"))
    await eventually(is_asked.is_set)
    second = asyncio.create_task(model.ainvoke("two"))
    await eventually(lambda: usage.open_runs == 2)
    second.cancel()
    await eventually(lambda: usage.open_runs == 1)
    may_answer.set()
    await asyncio.gather(first, second, return_exceptions=True)
    assert [(record.status, record.unmetered) for record in usage.ledger.records()] == [
        ("aborted", False),
        ("ok", False),
    ]


def test_an_abandoned_stream_does_not_stop_the_process(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The garbage collector may close a stream in the middle of recording another call."""
    usage = BedrockUsageCallbackHandler()
    model = chat(callbacks=[usage])
    plain_hash = uuid.UUID.__hash__

    def collecting_hash(self: uuid.UUID) -> int:
        gc.collect()
        return plain_hash(self)

    def work() -> None:
        for _ in range(3):
            stream = model.stream("Hello")
            next(stream)
            cycle: list[Any] = [stream]
            cycle.append(cycle)
            del stream, cycle
            model.invoke("Hello")
            usage.ledger.totals()

    monkeypatch.setattr(uuid.UUID, "__hash__", collecting_hash)
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    gc.collect()
    assert usage.ledger.totals().unmetered_calls == 3
    assert usage.ledger.totals().calls == 6


def test_a_stream_that_fails_while_the_model_reasons_is_unmetered(chat: Chat, bedrock: Any) -> None:
    """Reasoning is billed too, though no text was heard yet."""
    bedrock.deltas = [
        {
            "contentBlockDelta": {
                "contentBlockIndex": 0,
                "delta": {"reasoningContent": {"text": "Let me think."}},
            }
        }
    ]
    bedrock.error = ValueError("the stream broke")
    usage = BedrockUsageCallbackHandler()
    with pytest.raises(ValueError, match="broke"):
        list(chat(callbacks=[usage]).stream("Hello"))
    (record,) = usage.ledger.records()
    assert (record.status, record.unmetered) == ("error", True)


def test_a_connection_that_breaks_may_be_billed(chat: Chat, bedrock: Any) -> None:
    """Nobody knows what became of a request whose connection broke; a refused one is free."""
    bedrock.error = ConnectionClosedError(endpoint_url="bedrock")
    usage = BedrockUsageCallbackHandler()
    with pytest.raises(ConnectionClosedError):
        chat(callbacks=[usage]).invoke("Hello")
    (record,) = usage.ledger.records()
    assert (record.error, record.unmetered) == ("ConnectionClosedError", True)


def answered(body: dict[str, Any]) -> Any:
    def invoke_model(**_: Any) -> dict[str, Any]:
        headers = {"x-amzn-bedrock-input-token-count": "50"}
        headers["x-amzn-bedrock-output-token-count"] = "9"
        return {
            "body": io.BytesIO(json.dumps(body).encode()),
            "ResponseMetadata": {"HTTPHeaders": headers},
        }

    config = SimpleNamespace(region_name="us-east-1")
    meta = SimpleNamespace(region_name="us-east-1", config=config)
    return SimpleNamespace(meta=meta, invoke_model=invoke_model)


def test_a_guardrail_that_steps_in_keeps_the_tokens() -> None:
    """ChatBedrock tells of an error and ends the run with its answer: the answer counts."""
    client = answered(
        {
            "content": [{"type": "text", "text": "Blocked."}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 50, "output_tokens": 9},
            "amazon-bedrock-guardrailAction": "INTERVENED",
            "amazon-bedrock-trace": {"guardrail": {}},
        }
    )
    usage = BedrockUsageCallbackHandler()
    model = ChatBedrock(
        model=HAIKU,
        client=client,
        bedrock_client=client,
        region="us-east-1",
        guardrails={"guardrailIdentifier": "g", "guardrailVersion": "1", "trace": True},
    )
    model.invoke("Hello", {"callbacks": [usage]})
    (record,) = usage.ledger.records()
    assert (record.status, record.usage) == ("ok", TokenUsage(input=50, output=9))


@pytest.mark.parametrize("tier", ["flex", "priority"])
def test_an_answer_that_names_no_tier_was_billed_at_the_one_asked_for(tier: Any) -> None:
    """InvokeModel's answers name no service tier, so the request's is taken."""
    emulator = BedrockEmulator()
    usage = BedrockUsageCallbackHandler()
    model = ChatBedrock(
        model="us.amazon.nova-pro-v1:0",
        client=emulator.client(),
        bedrock_client=emulator.client("bedrock"),
        region="us-east-1",
        service_tier=tier,
    )
    model.invoke("Hello", {"callbacks": [usage]})
    (record,) = usage.ledger.records()
    assert record.price_tier == tier
    assert record.cost_pico_usd != record.list_pico_usd


def test_a_text_models_tokens_count() -> None:
    """BedrockLLM says its tokens beside the answer."""
    emulator = BedrockEmulator()
    usage = BedrockUsageCallbackHandler()
    model = BedrockLLM(
        model="amazon.titan-text-express-v1",
        client=emulator.client(),
        bedrock_client=emulator.client("bedrock"),
        region="us-east-1",
    )
    model.invoke("Hello", {"callbacks": [usage]})
    totals = usage.ledger.totals()
    assert totals.usage.input > 0
    assert totals.usage.output > 0
    assert totals.unmetered_calls == 0
    assert totals.cost_pico_usd > 0


def test_a_refused_call_is_an_error_without_cost(chat: Chat) -> None:
    """A call that a budget refuses is recorded, and nothing of it stays open."""
    usage = BedrockUsageCallbackHandler()
    model = chat(max_tokens=10)
    with pytest.raises(BudgetExceededError):
        model.invoke("Hello", {"callbacks": [usage, Budget(0)]})
    (record,) = usage.ledger.records()
    assert (record.status, record.error) == ("error", "BudgetExceededError")
    assert (record.unmetered, record.cost_pico_usd, usage.open_runs) == (False, None, 0)


def test_a_renewal_of_the_cache_is_on_the_bill() -> None:
    """What a cache spends in the background is recorded by the handler it was given."""
    emulator = BedrockEmulator()
    usage = BedrockUsageCallbackHandler()
    now = [1000.0]
    cache = BedrockSemanticCache(
        InMemoryCacheStore(clock=lambda: now[0]),
        ttl=10,
        ttl_jitter=0,
        stale_while_revalidate=1000,
        usage=usage,
        clock=lambda: now[0],
    )
    model = optimized(emulator, cache=cache, callbacks=[usage])
    model.invoke("Hello")
    now[0] += 20
    model.invoke("Hello")
    asyncio.run(eventually(lambda: len(usage.ledger.records()) == 3))
    (renewal,) = usage.ledger.records(tag="bedrock_opt_renewal")
    first, *_ = usage.ledger.records()
    assert renewal.usage == first.usage
    assert (renewal.cost_pico_usd, renewal.region) == (first.cost_pico_usd, first.region)
    assert [record.cache_status for record in usage.ledger.records(status="ok")].count("hit") == 1


def test_a_process_that_ends_records_what_never_did() -> None:
    """A run that is open when the process ends is recorded as aborted."""
    code = """
import uuid
from langchain_bedrock_opt import BedrockUsageCallbackHandler

class Printing:
    def add(self, record): print(record.status, record.unmetered)
    def flush(self): pass

usage = BedrockUsageCallbackHandler([Printing()])
usage.on_llm_start({}, ["Hello"], run_id=uuid.uuid4())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["aborted", "True"]


@pytest.fixture
def model() -> FakeListChatModel:
    return FakeListChatModel(responses=["4"])


def block() -> Iterator[BedrockUsageCallbackHandler]:
    with get_bedrock_usage_callback() as usage:
        yield usage


def test_a_block_may_be_left_in_another_context(model: FakeListChatModel) -> None:
    """A web framework may run the two halves of a block in two contexts."""
    opened = block()
    usage = contextvars.copy_context().run(next, opened)
    with pytest.raises(StopIteration):
        contextvars.copy_context().run(next, opened)
    model.invoke("Hello")
    assert usage.ledger.totals().calls == 0


def test_blocks_that_interleave_count_their_own(model: FakeListChatModel) -> None:
    """A block that is closed out of turn neither counts on nor stops another one."""
    one, two = block(), block()
    first, second = next(one), next(two)
    one.close()  # type: ignore[attr-defined] # a generator
    model.invoke("in the second")
    two.close()  # type: ignore[attr-defined] # likewise
    model.invoke("in none")
    assert (first.ledger.totals().calls, second.ledger.totals().calls) == (0, 1)


async def test_a_task_beside_the_blocks_is_nobodys(model: FakeListChatModel) -> None:
    """In an asyncio server other tasks' runs are neither a block's nor unattributed."""
    is_open, is_done = asyncio.Event(), asyncio.Event()

    async def with_block() -> BedrockUsageCallbackHandler:
        with get_bedrock_usage_callback() as usage:
            is_open.set()
            await is_done.wait()
        return usage

    task = asyncio.create_task(with_block())
    await is_open.wait()
    await model.ainvoke("Hello")
    is_done.set()
    usage = await task
    assert (usage.ledger.totals().calls, usage.unattributed_runs) == (0, 0)


def test_a_runs_own_name_is_the_last_of_its_path(chat: Chat) -> None:
    """A model that was given a name is told apart from others in its chain; steps are no tags."""
    usage = BedrockUsageCallbackHandler()
    draft = chat().with_config(run_name="draft", tags=["team:a"])
    shorten = chat().with_config(run_name="shorten")
    chain = (draft | (lambda message: message.content) | shorten).with_config(run_name="letters")
    chain.invoke("Hello", {"callbacks": [usage]})
    records = usage.ledger.records()
    assert [record.path for record in records] == [("letters", "draft"), ("letters", "shorten")]
    assert [record.tags for record in records] == [("team:a",), ()]
