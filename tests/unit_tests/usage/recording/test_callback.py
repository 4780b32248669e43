"""The usage callback handler under real LangChain runs."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError
from langchain_aws import ChatBedrockConverse
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import FakeListLLM
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.prompts import ChatPromptTemplate

from langchain_bedrock_opt.aws.layers import Layer, LayeredClient, report
from langchain_bedrock_opt.catalog.prices import price_of
from langchain_bedrock_opt.contracts import (
    ROUTE_METADATA_KEY,
    RouteDecision,
    TokenUsage,
    UsageRecord,
)
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.usage.recording.callback import BedrockUsageCallbackHandler

HAIKU = "anthropic.claude-3-haiku-20240307-v1:0"
UNPRICED = "acme.frontier-v9"
SPENT = TokenUsage(input=100, output=20)
Chat = Callable[..., ChatBedrockConverse]


@pytest.fixture
def usage(clock: Any) -> BedrockUsageCallbackHandler:
    return BedrockUsageCallbackHandler(clock=clock, perf_clock=clock)


def only_record(usage: BedrockUsageCallbackHandler) -> UsageRecord:
    (record,) = usage.ledger.records()
    return record


def throttled() -> ClientError:
    return ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow"}}, "Converse")


def test_invoke_is_recorded_and_priced(chat: Chat, usage: BedrockUsageCallbackHandler) -> None:
    """One call gives one record with its tokens, its exact cost and its latency."""
    chat().invoke("Capital of old Japan?", {"callbacks": [usage], "tags": ["team:a"]})
    record = only_record(usage)
    price = price_of(HAIKU)
    assert price is not None
    assert (record.model_id, record.status, record.usage) == (HAIKU, "ok", SPENT)
    assert record.cost_pico_usd == price.cost(SPENT)
    assert (record.latency_ms, record.ttft_ms) == (250.0, None)
    assert record.started_at.isoformat() == "2026-11-22T12:00:00+00:00"
    assert record.tags == ("team:a",)
    assert usage.open_runs == 0


async def test_ainvoke_is_recorded(chat: Chat, usage: BedrockUsageCallbackHandler) -> None:
    """An async call is recorded as a sync one is."""
    await chat().ainvoke("Hello", {"callbacks": [usage]})
    assert only_record(usage).usage == SPENT


def test_stream_is_recorded_once_with_time_to_first_text(
    chat: Chat, usage: BedrockUsageCallbackHandler
) -> None:
    """The first text delta gives the time to first token, not the empty start of the message."""
    list(chat().stream("Hello", {"callbacks": [usage]}))
    record = only_record(usage)
    assert (record.usage, record.ttft_ms, record.latency_ms) == (SPENT, 500.0, 1250.0)


async def test_astream_is_recorded_once(chat: Chat, usage: BedrockUsageCallbackHandler) -> None:
    """An async stream is recorded as a sync one is."""
    async for _ in chat().astream("Hello", {"callbacks": [usage]}):
        pass
    record = only_record(usage)
    assert (record.usage, record.ttft_ms) == (SPENT, 500.0)


FIRST_DELTAS: dict[str, tuple[list[dict[str, Any]], float]] = {
    "text": ([{"text": "Hi"}], 500.0),
    "text after an empty text": ([{"text": ""}, {"text": "Hi"}], 750.0),
    "reasoning": ([{"reasoningContent": {"text": "Hm."}}, {"text": "Hi"}], 500.0),
    "redacted reasoning": ([{"reasoningContent": {"redactedContent": b"x"}}], 500.0),
    "text after a signature": ([{"reasoningContent": {"signature": "s"}}, {"text": "Hi"}], 750.0),
    "a tool call's input": ([{"toolUse": {"input": "{"}}, {"toolUse": {"input": "}"}}], 500.0),
}


@pytest.mark.parametrize("name", FIRST_DELTAS)
async def test_the_first_token_is_the_first_delta_that_says_something(
    name: str, chat: Chat, bedrock: Any, usage: BedrockUsageCallbackHandler
) -> None:
    """Text, reasoning and tool calls count, in all kinds of streams; empty deltas do not."""
    deltas, expected = FIRST_DELTAS[name]
    bedrock.deltas = [
        {"contentBlockDelta": {"contentBlockIndex": 0, "delta": delta}} for delta in deltas
    ]
    list(chat().stream("Hello", {"callbacks": [usage]}))
    async for _ in chat().astream("Hello", {"callbacks": [usage]}):
        pass

    for _ in chat().stream_events("Hello", {"callbacks": [usage]}, version="v3"):
        pass

    assert [record.ttft_ms for record in usage.ledger.records()] == [expected] * 3


def test_event_stream_of_version_3_is_recorded_once(
    chat: Chat, usage: BedrockUsageCallbackHandler
) -> None:
    """LangChain's newer event streams are recorded as plain streams are."""
    for _ in chat().stream_events("Hello", {"callbacks": [usage]}, version="v3"):
        pass
    record = only_record(usage)
    assert (record.usage, record.ttft_ms) == (SPENT, 500.0)


def test_batch_records_each_input(chat: Chat, usage: BedrockUsageCallbackHandler) -> None:
    """A batch of inputs gives one record each."""
    chat().batch(["a", "b", "c"], {"callbacks": [usage]})
    records = usage.ledger.records()
    assert len({record.run_id for record in records}) == len(records) == 3


def test_chain_counts_its_model_only(chat: Chat, usage: BedrockUsageCallbackHandler) -> None:
    """In a chain the model's run counts, and names the chain's as its parent."""
    chain = ChatPromptTemplate.from_template("{q}") | chat() | StrOutputParser()
    assert chain.invoke({"q": "Hello"}, {"callbacks": [usage]}) == "Kyoto"
    assert only_record(usage).parent_run_id is not None


def test_agent_counts_each_model_call(chat: Chat, usage: BedrockUsageCallbackHandler) -> None:
    """An agent's model calls count, and the agent's own runs do not."""
    agents = pytest.importorskip("langchain.agents", reason="the agents extra is not installed")
    agent = agents.create_agent(chat(), tools=[])
    agent.invoke({"messages": [("user", "Hello")]}, {"callbacks": [usage]})
    assert only_record(usage).usage == SPENT


def test_text_model_is_recorded_without_tokens(usage: BedrockUsageCallbackHandler) -> None:
    """A model that reports no usage is counted, as unmetered."""
    FakeListLLM(responses=["4"]).invoke("2+2?", {"callbacks": [usage]})
    totals = usage.ledger.totals()
    assert (totals.calls, totals.unmetered_calls, totals.unpriced_calls) == (1, 1, 0)


def test_langchain_cache_hits_cost_nothing(chat: Chat, usage: BedrockUsageCallbackHandler) -> None:
    """One call and two hits of LangChain's cache cost one call and save two."""
    model = chat(cache=InMemoryCache())
    for _ in range(3):
        model.invoke("Hello", {"callbacks": [usage]})
    totals = usage.ledger.totals()
    assert (totals.calls, totals.cache_hits) == (3, 2)
    assert (totals.usage, totals.saved) == (SPENT, SPENT + SPENT)
    assert totals.saved_pico_usd == 2 * totals.cost_pico_usd > 0


class AlwaysHit(Layer):
    """A response cache as the caching room has one, reduced to what it reports."""

    def converse(self, request: Any, call_next: Any) -> Any:
        response = call_next(request)
        usage = response["usage"]
        saved = TokenUsage(input=usage["inputTokens"], output=usage["outputTokens"])
        report(response)["cache"] = {"status": "hit", "saved": saved.as_dict()}
        return {**response, "usage": {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}}


def test_our_cache_hits_cost_nothing(
    chat: Chat, bedrock: Any, usage: BedrockUsageCallbackHandler
) -> None:
    """A hit of our cache costs zero, which is known, and says what it saved."""
    chat(client=LayeredClient(bedrock, [AlwaysHit()])).invoke("Hello", {"callbacks": [usage]})
    record = only_record(usage)
    assert (record.cache_hit, record.usage, record.saved) == (True, TokenUsage(), SPENT)
    assert record.cost_pico_usd == 0
    assert record.saved_pico_usd


def test_model_id_that_was_called_wins(
    chat: Chat, bedrock: Any, usage: BedrockUsageCallbackHandler
) -> None:
    """An id given for one call is recorded with its scope, not the id of the constructor."""
    model = chat(client=LayeredClient(bedrock))
    model.invoke("Hello", {"callbacks": [usage]}, model_id="us." + HAIKU)
    assert only_record(usage).model_id == "us." + HAIKU


def test_service_tier_is_the_one_that_served(
    chat: Chat, bedrock: Any, usage: BedrockUsageCallbackHandler
) -> None:
    """A tier without a price of its own is recorded and leaves the call unpriced."""
    bedrock.extra = {"serviceTier": {"type": "reserved"}}
    chat().invoke("Hello", {"callbacks": [usage]})
    record = only_record(usage)
    assert (record.service_tier, record.cost_pico_usd) == ("reserved", None)


def test_unknown_model_is_unpriced_and_said_so_once(
    chat: Chat, usage: BedrockUsageCallbackHandler, caplog: pytest.LogCaptureFixture
) -> None:
    """A model without a price is counted as unpriced, never as free, and logged once."""
    model = chat(UNPRICED, provider="acme")
    for _ in range(2):
        model.invoke("Hello", {"callbacks": [usage]})
    assert [record.cost_pico_usd for record in usage.ledger.records()] == [None, None]
    assert usage.unpriced_calls == usage.ledger.totals().unpriced_calls == 2
    assert len([text for text in caplog.messages if "No price" in text]) == 1


def test_broken_off_stream_is_unmetered(chat: Chat, usage: BedrockUsageCallbackHandler) -> None:
    """A stream that its consumer leaves is aborted, with unknown and not zero tokens."""
    stream = chat().stream("Hello", {"callbacks": [usage]})
    next(stream)
    stream.close()  # type: ignore[attr-defined] # LangChain declares an Iterator; it is a generator
    record = only_record(usage)
    assert (record.status, record.usage, record.cost_pico_usd) == ("aborted", None, None)
    assert record.error is None
    assert usage.ledger.totals().unmetered_calls == 1


def test_stream_left_after_its_usage_is_metered(
    chat: Chat, usage: BedrockUsageCallbackHandler
) -> None:
    """A stream that is left when its tokens are already known is aborted and priced."""
    stream = chat().stream("Hello", {"callbacks": [usage]})
    for chunk in stream:
        if chunk.usage_metadata:
            break
    stream.close()  # type: ignore[attr-defined] # LangChain declares an Iterator; it is a generator
    record = only_record(usage)
    assert (record.status, record.usage) == ("aborted", SPENT)
    assert record.cost_pico_usd


async def test_cancelled_stream_is_aborted(
    chat: Chat, bedrock: Any, usage: BedrockUsageCallbackHandler
) -> None:
    """An async stream that is cancelled while it waits for Bedrock is recorded as aborted."""
    loop = asyncio.get_running_loop()
    asked, answer = asyncio.Event(), threading.Event()

    class Waiting:
        meta = bedrock.meta

        def converse_stream(self, **request: Any) -> Any:
            loop.call_soon_threadsafe(asked.set)
            answer.wait(10)
            return bedrock.converse_stream(**request)

    async def consume() -> None:
        async for _ in chat(client=Waiting()).astream("Hello", {"callbacks": [usage]}):
            pass

    task = asyncio.create_task(consume())
    await asked.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    answer.set()
    assert (only_record(usage).status, usage.open_runs) == ("aborted", 0)


def test_throttled_call_is_an_error(
    chat: Chat, bedrock: Any, usage: BedrockUsageCallbackHandler
) -> None:
    """A refused call is recorded with AWS's code and raised as before."""
    bedrock.error = throttled()
    with pytest.raises(ClientError):
        chat().invoke("Hello", {"callbacks": [usage]})
    record = only_record(usage)
    assert (record.status, record.error, record.usage) == ("error", "ThrottlingException", None)
    assert (record.model_id, usage.ledger.totals().errors) == (HAIKU, 1)


def test_error_names_the_model_it_was_about(
    chat: Chat, bedrock: Any, usage: BedrockUsageCallbackHandler
) -> None:
    """A failed call is recorded under the id it named, with its scope."""
    bedrock.error = throttled()
    with pytest.raises(ClientError):
        chat(client=LayeredClient(bedrock)).invoke(
            "Hello", {"callbacks": [usage]}, model_id="us." + HAIKU
        )
    assert only_record(usage).model_id == "us." + HAIKU


def test_error_inside_a_stream_is_recorded_once(
    chat: Chat, bedrock: Any, usage: BedrockUsageCallbackHandler
) -> None:
    """A stream that fails half way is one failed record that kept its time to first token."""
    bedrock.error = throttled()
    with pytest.raises(ClientError):
        list(chat().stream("Hello", {"callbacks": [usage]}))
    record = only_record(usage)
    assert (record.status, record.ttft_ms) == ("error", 500.0)


def test_same_handler_in_constructor_and_config_counts_once(
    chat: Chat, usage: BedrockUsageCallbackHandler
) -> None:
    """A handler that reaches a call on two ways still counts it once."""
    chat(callbacks=[usage]).invoke("Hello", {"callbacks": [usage]})
    assert usage.ledger.totals().calls == 1


def test_run_that_ends_twice_counts_once(usage: BedrockUsageCallbackHandler) -> None:
    """A model that reports an error and an end for the same run gives one record."""
    run_id = uuid4()
    usage.on_chat_model_start({}, [[]], run_id=run_id)
    usage.on_llm_error(ValueError("guardrail"), run_id=run_id)
    answer = ChatGeneration(message=AIMessage("Hello"))
    usage.on_llm_end(LLMResult(generations=[[answer]]), run_id=run_id)
    assert only_record(usage).status == "error"


def test_end_without_start_is_ignored(usage: BedrockUsageCallbackHandler) -> None:
    """An end whose start was never seen gives no record and no error."""
    usage.on_llm_new_token("a", run_id=uuid4())
    usage.on_llm_end(LLMResult(generations=[]), run_id=uuid4())
    assert usage.ledger.records() == []


def test_plain_threads_count(chat: Chat, usage: BedrockUsageCallbackHandler) -> None:
    """Calls from a thread and from a thread pool count as those of the main thread do."""
    model = chat(callbacks=[usage])
    thread = threading.Thread(target=model.invoke, args=("Hello",))
    thread.start()
    thread.join()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(model.invoke, ["Hello"] * 20))
    totals = usage.ledger.totals()
    assert (totals.calls, totals.usage.input) == (21, 2100)


def test_runs_that_never_end_are_bounded_in_number(clock: Any) -> None:
    """However many runs never end, only the newest are remembered; the others count as aborted."""
    usage = BedrockUsageCallbackHandler(max_runs=3, clock=clock, perf_clock=clock)
    runs = [uuid4() for _ in range(10)]
    for run_id in runs:
        usage.on_chat_model_start({}, [[]], run_id=run_id)
    assert (usage.open_runs, usage.given_up_runs) == (3, 7)
    for run_id in runs:
        usage.on_llm_end(LLMResult(generations=[]), run_id=run_id)
    records = usage.ledger.records()
    assert [record.run_id for record in records] == [str(run_id) for run_id in runs]
    assert [record.status for record in records] == ["aborted"] * 7 + ["ok"] * 3


def test_runs_that_never_end_are_bounded_in_age(clock: Any) -> None:
    """A run that has not ended in time counts as aborted when the next one starts."""
    usage = BedrockUsageCallbackHandler(run_ttl=60, clock=clock, perf_clock=clock)
    usage.on_chat_model_start({}, [[]], run_id=uuid4())
    clock.advance(61)
    usage.on_chat_model_start({}, [[]], run_id=uuid4())
    assert (usage.open_runs, only_record(usage).status) == (1, "aborted")


class BrokenSink:
    """A sink that always fails."""

    def add(self, record: UsageRecord) -> None:
        raise OSError("disk full")

    def flush(self) -> None:
        raise OSError("disk full")


def test_sink_that_raises_does_not_reach_the_run(
    chat: Chat, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A failing sink is logged once and counted, and the other sinks and the call go on."""
    good = BedrockUsageCallbackHandler().ledger
    usage = BedrockUsageCallbackHandler([BrokenSink(), good], clock=clock, perf_clock=clock)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert chat().invoke("Hello", {"callbacks": [usage]}).content == "Kyoto"
        usage.flush()
    assert (usage.sink_errors, good.totals().calls) == (4, 3)
    assert len([text for text in caplog.messages if "BrokenSink" in text]) == 1
    assert usage.ledger is good


def test_only_allowed_metadata_is_kept(chat: Chat, clock: Any) -> None:
    """Records keep the metadata keys that were asked for and no prompt text."""
    usage = BedrockUsageCallbackHandler(
        metadata_keys=["tenant", "absent"], clock=clock, perf_clock=clock
    )
    chat().invoke(
        "a secret prompt",
        {"callbacks": [usage], "metadata": {"tenant": "a", "user": "secret user"}},
    )
    record = only_record(usage)
    assert record.metadata == {"tenant": "a"}
    assert "secret" not in repr(record)


def test_route_is_known_even_if_the_call_fails(
    chat: Chat, bedrock: Any, usage: BedrockUsageCallbackHandler
) -> None:
    """The router's decision is read at the start, so a failed run says where it went."""
    route = RouteDecision(tier="simple", model_id=HAIKU, score=0.2)
    bedrock.error = throttled()
    with pytest.raises(ClientError):
        chat().invoke(
            "Hello",
            {"callbacks": [usage], "metadata": {ROUTE_METADATA_KEY: route.as_dict()}},
        )
    assert only_record(usage).route == route


@pytest.mark.parametrize("bad", [{"run_ttl": 0}, {"max_runs": -1}, {"metadata_keys": "tenant"}])
def test_bad_settings_are_refused(bad: dict[str, Any]) -> None:
    """A setting that would silently record nothing is refused with its name and value."""
    (name,) = bad
    with pytest.raises(ConfigurationError, match=name):
        BedrockUsageCallbackHandler(**bad)


def test_something_that_is_no_sink_is_refused() -> None:
    """An object without `add` and `flush` is refused when the handler is made."""
    with pytest.raises(ConfigurationError, match="UsageLedger"):
        BedrockUsageCallbackHandler(["usage.jsonl"])  # type: ignore[list-item] # the mistake


def test_ledger_must_be_among_the_sinks() -> None:
    """Asking a handler without a ledger for one says what to do."""
    with pytest.raises(ConfigurationError, match="add one to sinks"):
        _ = BedrockUsageCallbackHandler([BrokenSink()]).ledger
