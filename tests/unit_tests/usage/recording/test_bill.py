"""What a record says of the things that a bill depends on, under real LangChain runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from langchain_aws import ChatBedrockConverse
from langchain_core.caches import InMemoryCache
from langchain_core.messages import HumanMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool

from langchain_bedrock_opt import BedrockEmulator, ChatBedrockOptimized
from langchain_bedrock_opt.aws.layers import Layer, LayeredClient, report
from langchain_bedrock_opt.catalog.price_book import PriceBook
from langchain_bedrock_opt.catalog.tokens import estimate_tokens
from langchain_bedrock_opt.contracts import TokenUsage, UsageRecord
from langchain_bedrock_opt.emulator.faults import Fault
from langchain_bedrock_opt.errors import ThrottledError
from langchain_bedrock_opt.usage import UsageLedger
from langchain_bedrock_opt.usage.recording.callback import BedrockUsageCallbackHandler
from langchain_bedrock_opt.usage.recording.context import get_bedrock_usage_callback
from langchain_bedrock_opt.usage.recording.seen import SeenRuns

HAIKU = "anthropic.claude-3-haiku-20240307-v1:0"
NOVA = "us.amazon.nova-lite-v1:0"
NOVA_PRO = "us.amazon.nova-pro-v1:0"
PROFILE = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc123"
PROVISIONED = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abc123"
BOOK = PriceBook(file=None, genai_prices=False)
Chat = Callable[..., ChatBedrockConverse]


@dataclass(frozen=True)
class Answer:
    """What an ARN stands for."""

    resolved_id: str | None
    tier: str = "default"


def only_record(usage: BedrockUsageCallbackHandler) -> UsageRecord:
    (record,) = usage.ledger.records()
    return record


@pytest.fixture
def usage(clock: Any) -> BedrockUsageCallbackHandler:
    return BedrockUsageCallbackHandler(prices=BOOK, clock=clock, perf_clock=clock)


@pytest.mark.parametrize("streamed", [False, True])
def test_the_answer_says_how_it_was_served(
    chat: Chat, bedrock: Any, usage: BedrockUsageCallbackHandler, *, streamed: bool
) -> None:
    """Tier, region, stop reason and Bedrock's own latency are read, streamed or not."""
    bedrock.extra = {"serviceTier": {"type": "flex"}}
    model = chat(NOVA_PRO)
    if streamed:
        list(model.stream("Hello", {"callbacks": [usage]}))
    else:
        model.invoke("Hello", {"callbacks": [usage]})
    record = only_record(usage)
    assert (record.service_tier, record.price_tier, record.region) == ("flex", "flex", "us-east-1")
    assert (record.stop_reason, record.model_latency_ms) == ("end_turn", 240.0)
    assert (record.performance, record.cache_tier, record.retries) == (None, None, 0)
    # Flex is half the list price of this model, by a row of its own.
    assert record.cost_pico_usd == (100 * 800_000 + 20 * 3_200_000) // 2
    assert record.list_pico_usd == record.uncached_pico_usd == 2 * record.cost_pico_usd
    assert record.price_source == "shipped"
    assert record.price_checked


def test_uncached_cost_is_that_of_plain_input(
    chat: Chat, bedrock: Any, usage: BedrockUsageCallbackHandler
) -> None:
    """What the prompt cache saved is the difference to all prompt tokens as plain input."""
    bedrock.usage |= {"cacheReadInputTokens": 1000}
    chat(NOVA).invoke("Hello", {"callbacks": [usage]})
    record = only_record(usage)
    assert record.cost_pico_usd == record.list_pico_usd == 100 * 60_000 + 1000 * 15_000 + 4_800_000
    assert record.uncached_pico_usd == 1100 * 60_000 + 4_800_000


def test_latency_optimized_calls_have_their_own_price(
    chat: Chat, bedrock: Any, usage: BedrockUsageCallbackHandler
) -> None:
    """Latency-optimized inference is told from the response and never priced as default."""
    bedrock.extra = {"performanceConfig": {"latency": "optimized"}}
    chat(NOVA).invoke("Hello", {"callbacks": [usage]})
    record = only_record(usage)
    assert (record.performance, record.price_tier) == ("optimized", "latency-optimized")
    assert record.cost_pico_usd is None
    assert record.list_pico_usd


class Batched(Layer):
    """An answer that came from an invocation job, reduced to what it reports."""

    def converse(self, request: Any, call_next: Any) -> Any:
        response = call_next(request)
        report(response)["batch"] = "arn:aws:bedrock:us-east-1:123456789012:job/j"
        return response


def test_an_invocation_job_is_billed_at_batch_prices(
    chat: Chat, bedrock: Any, usage: BedrockUsageCallbackHandler
) -> None:
    """A call report that names a job gives the batch tier, and the default one as list price."""
    chat(NOVA, client=LayeredClient(bedrock, [Batched()])).invoke("Hello", {"callbacks": [usage]})
    record = only_record(usage)
    assert record.price_tier == "batch"
    assert record.cost_pico_usd == (record.list_pico_usd or 0) // 2 > 0


def test_langchains_cache_is_named(chat: Chat, usage: BedrockUsageCallbackHandler) -> None:
    """A hit of LangChain's cache says so, and repeats no latency or retry of the first call."""
    model = chat(NOVA, cache=InMemoryCache())
    for _ in range(2):
        model.invoke("Hello", {"callbacks": [usage]})
    paid, hit = usage.ledger.records()
    assert (hit.cache_tier, hit.model_latency_ms, hit.cost_pico_usd) == ("langchain", None, 0)
    assert hit.saved_pico_usd == paid.cost_pico_usd


@pytest.fixture
def emulator() -> Iterator[Callable[..., BedrockEmulator]]:
    started: list[BedrockEmulator] = []

    def start(*faults: Fault) -> BedrockEmulator:
        emulator = BedrockEmulator()
        for fault in faults:
            emulator.faults.add(fault)
        started.append(emulator)
        return emulator

    yield start
    for emulator in started:
        emulator.stop()


def over_http(emulator: BedrockEmulator, **settings: Any) -> ChatBedrockOptimized:
    return ChatBedrockOptimized(
        model=NOVA,
        endpoint_url=emulator.start().endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        max_tokens=50,
        **settings,
    )


@pytest.mark.parametrize("method", ["invoke", "stream", "ainvoke"])
async def test_retries_and_throttles_of_our_client_are_counted(
    emulator: Any, usage: BedrockUsageCallbackHandler, method: str
) -> None:
    """Two throttled attempts before an answer are two retries and two throttles."""
    model = over_http(emulator(Fault(code="ThrottlingException", times=2)), max_retries=3)
    config: Any = {"callbacks": [usage]}
    if method == "ainvoke":
        await model.ainvoke("Hello", config)
    elif method == "stream":
        list(model.stream("Hello", config))
    else:
        model.invoke("Hello", config)
    record = only_record(usage)
    assert (record.status, record.retries, record.throttles) == ("ok", 2, 2)
    assert record.region == "us-east-1"


def test_an_error_says_how_often_it_was_tried(
    emulator: Any, usage: BedrockUsageCallbackHandler
) -> None:
    """A call that is throttled to the end counts each attempt; another fault is no throttle."""
    model = over_http(
        emulator(
            Fault(code="InternalServerException", times=1),
            Fault(code="ThrottlingException", times=None),
        ),
        max_retries=2,
    )
    with pytest.raises(ThrottledError):
        model.invoke("Hello", {"callbacks": [usage]})
    record = only_record(usage)
    assert (record.error, record.retries, record.throttles) == ("ThrottlingException", 2, 2)
    assert (record.region, record.usage, record.estimate) == ("us-east-1", None, None)


def test_a_broken_off_stream_is_estimated(chat: Chat, usage: BedrockUsageCallbackHandler) -> None:
    """An unmetered stream says what it is likely to cost, in no total of tokens or cost."""
    stream = chat(NOVA).stream("What was the capital of Japan?", {"callbacks": [usage]})
    next(stream)
    next(stream)
    stream.close()  # type: ignore[attr-defined] # LangChain declares an Iterator; it is a generator
    record = only_record(usage)
    assert (record.usage, record.cost_pico_usd) == (None, None)
    assert record.estimate is not None
    assert 5 <= record.estimate.input <= 20
    assert record.estimate.output >= 1
    assert record.estimate_pico_usd == (
        record.estimate.input * 60_000 + record.estimate.output * 240_000
    )
    totals = usage.ledger.totals()
    assert (totals.unmetered_calls, totals.cost_pico_usd, totals.usage) == (1, 0, TokenUsage())


def test_tool_schemas_are_in_the_estimate(chat: Chat, usage: BedrockUsageCallbackHandler) -> None:
    """Tools that are bound to the model are part of its prompt, so of its estimate too."""

    @tool
    def weather(city: str) -> str:
        """Say how the weather is in a city, with its temperature in degrees."""
        return city

    for model in (chat(NOVA), chat(NOVA).bind_tools([weather])):
        stream: Any = model.stream("Hello", {"callbacks": [usage]})
        next(stream)
        stream.close()
    plain, with_tools = (record.estimate for record in usage.ledger.records())
    assert plain is not None
    assert with_tools is not None
    hello = [HumanMessage("Hello")]
    assert plain.input == estimate_tokens(hello, NOVA)
    assert with_tools.input == estimate_tokens(hello, NOVA, tools=[weather]) > plain.input + 340


def test_an_estimate_counts_as_its_model_does(
    chat: Chat, usage: BedrockUsageCallbackHandler
) -> None:
    """An unmetered run is estimated by its model's family, its system prompt with it."""
    story, claude = "Tell me a long story of a fox. " * 40, "us.anthropic.claude-opus-4-7"
    for model in (NOVA, claude):
        stream: Any = chat(model, system=[story]).stream(story, {"callbacks": [usage]})
        next(stream)
        stream.close()
    nova, opus = (record.estimate for record in usage.ledger.records())
    assert nova is not None
    assert opus is not None
    assert nova.input == pytest.approx(2 * estimate_tokens(story, NOVA), abs=10)
    assert opus.input == pytest.approx(2 * estimate_tokens(story, claude), abs=10)
    assert opus.input > 1.2 * nova.input


def test_path_names_the_runs_around(chat: Chat, usage: BedrockUsageCallbackHandler) -> None:
    """A record names the nodes around the model's run, a tool that calls a model among them."""
    model = chat(NOVA)

    @tool
    def research(question: str) -> str:
        """Look something up."""
        return str(model.invoke(question).content)

    prompt = ChatPromptTemplate.from_template("{q}")
    chain = (prompt | model | (lambda _: "x") | research).with_config(run_name="helper")
    chain.invoke({"q": "Hello"}, {"callbacks": [usage]})
    direct, in_tool = usage.ledger.records()
    assert direct.path == ("helper",)
    assert in_tool.path == ("helper", "research")
    model.invoke("Hello", {"callbacks": [usage]})
    assert usage.ledger.records()[-1].path == ()


def test_agents_nodes_are_in_the_path(chat: Chat, usage: BedrockUsageCallbackHandler) -> None:
    """A LangGraph agent's model call names the graph and its node."""
    agents = pytest.importorskip("langchain.agents", reason="the agents extra is not installed")
    agents.create_agent(chat(NOVA), tools=[], name="planner").invoke(
        {"messages": [("user", "Hello")]}, {"callbacks": [usage]}
    )
    assert only_record(usage).path[:2] == ("planner", "model")


def test_path_can_be_left_out(chat: Chat) -> None:
    """With path=False chains are not listened to, and records have no path."""
    usage = BedrockUsageCallbackHandler(path=False)
    assert usage.ignore_chain
    chain: Any = RunnableLambda(chat(NOVA).invoke)
    chain.invoke("Hello", {"callbacks": [usage]})
    assert only_record(usage).path == ()


def test_an_arn_is_priced_once_it_is_known(chat: Chat) -> None:
    """Calls of an application profile wait for its scope beside the run, and lose nothing."""
    answer = threading.Event()
    asked: list[str] = []

    def resolve(arn: str) -> Answer:
        asked.append(arn)
        answer.wait(10)
        return Answer("eu.amazon.nova-lite-v1:0")

    usage = BedrockUsageCallbackHandler(prices=BOOK, resolver=resolve)
    model = chat(PROFILE, provider="amazon", base_model_id="amazon.nova-lite-v1:0")
    for _ in range(3):
        model.invoke("Hello", {"callbacks": [usage]})
    assert (usage.ledger.records(), usage.waiting_records) == ([], 3)
    answer.set()
    usage.flush()
    model.invoke("Hello", {"callbacks": [usage]})
    records = usage.ledger.records()
    assert (len(records), asked, usage.waiting_records) == (4, [PROFILE], 0)
    assert {record.resolved_id for record in records} == {"eu.amazon.nova-lite-v1:0"}
    assert {record.region for record in records} == {"eu-west-1"}
    assert all(record.cost_pico_usd for record in records)


def test_an_arn_that_nobody_can_resolve_is_unpriced(
    chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    """A failed resolution leaves the call unpriced and counted, asked about once."""
    asked: list[str] = []

    def resolve(arn: str) -> Answer:
        asked.append(arn)
        raise PermissionError("no")

    usage = BedrockUsageCallbackHandler(resolver=resolve)
    model = chat(PROFILE, provider="amazon", base_model_id="amazon.nova-lite-v1:0")
    for _ in range(2):
        model.invoke("Hello", {"callbacks": [usage]})
        usage.flush()
    assert [record.cost_pico_usd for record in usage.ledger.records()] == [None, None]
    assert (asked, usage.unpriced_calls) == ([PROFILE], 2)
    assert "is not known" in caplog.text


def test_an_end_of_the_process_loses_no_waiting_record(chat: Chat) -> None:
    """What still waits for its ARN when the process ends goes to the sinks unpriced."""
    never = threading.Event()
    usage = BedrockUsageCallbackHandler(
        resolver=lambda _: Answer(None) if never.wait(10) else None, resolve_timeout=0.01
    )
    chat(PROFILE, provider="amazon", base_model_id="amazon.nova-lite-v1:0").invoke(
        "Hello", {"callbacks": [usage]}
    )
    usage.end_process()
    never.set()
    record = only_record(usage)
    assert (record.usage, record.cost_pico_usd) == (TokenUsage(input=100, output=20), None)


def test_provisioned_throughput_costs_no_token(
    chat: Chat, usage: BedrockUsageCallbackHandler
) -> None:
    """Capacity that is paid by the hour costs nothing a token, which is known and labelled."""
    chat(PROVISIONED, provider="anthropic", base_model_id=HAIKU).invoke(
        "Hello", {"callbacks": [usage]}
    )
    record = only_record(usage)
    assert (record.price_tier, record.cost_pico_usd, record.region) == (
        "provisioned",
        0,
        "us-east-1",
    )


class Deduplicating:
    """A sink as sinks are to be: it counts a run once, whoever tells of it."""

    def __init__(self) -> None:
        self.ledger, self.seen = UsageLedger(), SeenRuns()

    def add(self, record: UsageRecord) -> None:
        if self.seen.is_new(record.run_id):
            self.ledger.add(record)

    def flush(self) -> None:
        self.ledger.flush()


def test_two_handlers_with_one_sink_count_a_run_once(chat: Chat) -> None:
    """Two handlers, a block and a nested block around one call give their sink one record."""
    sink = Deduplicating()
    one, other = BedrockUsageCallbackHandler([sink]), BedrockUsageCallbackHandler([sink])
    model = chat(NOVA, callbacks=[one])
    with get_bedrock_usage_callback(sink), get_bedrock_usage_callback(sink):
        model.invoke("Hello", {"callbacks": [other]})
    assert sink.ledger.totals().calls == 1


def test_prices_of_a_tag_hold_for_its_runs_only(chat: Chat) -> None:
    """An override for a tag prices the runs that carry it, whatever was priced before."""
    book = PriceBook(
        by_tag={"team:a": {NOVA: {"input": "1", "output": "1"}}}, file=None, genai_prices=False
    )
    usage = BedrockUsageCallbackHandler(prices=book)
    for tags in ([], ["team:a"], []):
        chat(NOVA).invoke("Hello", {"callbacks": [usage], "tags": tags})
    costs = [record.cost_pico_usd for record in usage.ledger.records()]
    assert costs == [10_800_000, 120_000_000, 10_800_000]
