"""Callbacks of a batch: a run for each input, usage at batch price, budgets that refuse."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.prompt_values import StringPromptValue
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tracers.context import collect_runs

from langchain_bedrock_opt import BedrockUsageCallbackHandler, Budget
from langchain_bedrock_opt.contracts import UsageRecord
from langchain_bedrock_opt.emulator import JobFault, OutputFault
from langchain_bedrock_opt.errors import (
    BatchPartialError,
    BatchStorageError,
    BudgetExceededError,
)
from langchain_bedrock_opt.usage import get_bedrock_usage_callback
from tests.batch_models import batch_model, calls_of, inner_model, jobs_of, questions
from tests.batch_service import NOVA, BatchService, make_batch_service


class Watch(BaseCallbackHandler):
    """Remembers what it is told of model runs."""

    def __init__(self) -> None:
        self.starts: list[dict[str, Any]] = []
        self.ends: dict[UUID, LLMResult] = {}
        self.errors: dict[UUID, BaseException] = {}

    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        self.starts.append({"serialized": serialized, "messages": messages, **kwargs})

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        self.ends[run_id] = response

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self.errors[run_id] = error

    @property
    def run_ids(self) -> list[UUID]:
        return [start["run_id"] for start in self.starts]


def message_of(result: LLMResult) -> AIMessage:
    generation = result.generations[0][0]
    assert isinstance(generation, ChatGeneration)
    assert isinstance(generation.message, AIMessage)
    return generation.message


def records_of(usage: BedrockUsageCallbackHandler) -> list[UsageRecord]:
    return list(usage.ledger.records())


def test_each_input_has_a_run_as_single_calls_have(batch_service: BatchService) -> None:
    """What handlers hear of a record is what they hear of the same single call."""
    alone, together = Watch(), Watch()
    inner = inner_model(batch_service, temperature=0.5)

    inner.invoke("Hi", {"callbacks": [alone], "tags": ["t"], "metadata": {"m": 1}})
    answers = batch_model(batch_service, inner).batch(
        questions(6), {"callbacks": [together], "tags": ["t"], "metadata": {"m": 1}}
    )

    (single,) = alone.starts
    assert len(together.starts) == len(together.ends) == 6
    for start in together.starts:
        assert start["metadata"].pop("bedrock_opt_batch") is True
        for name in ("serialized", "tags", "metadata", "invocation_params", "options", "name"):
            assert start[name] == single[name], name
    ended = [message_of(together.ends[run_id]) for run_id in together.run_ids]
    assert [each.text for each in ended] == [each.text for each in answers]
    assert [each.id for each in answers] == [f"lc_run--{each}-0" for each in together.run_ids]


def test_each_input_has_its_own_config(batch_service: BatchService) -> None:
    """Run ids, names, tags and metadata are those of the input's own config."""
    watch, ids = Watch(), [uuid4() for _ in range(6)]
    configs: list[RunnableConfig] = [
        {
            "callbacks": [watch],
            "run_id": run_id,
            "run_name": f"name-{at}",
            "tags": [f"tag-{at}"],
            "metadata": {"at": at},
        }
        for at, run_id in enumerate(ids)
    ]

    batch_model(batch_service, tags=["own"]).batch(questions(6), configs)

    assert watch.run_ids == ids
    assert [start["name"] for start in watch.starts] == [f"name-{at}" for at in range(6)]
    assert [set(start["tags"]) for start in watch.starts] == [
        {f"tag-{at}", "own"} for at in range(6)
    ]
    assert [start["metadata"]["at"] for start in watch.starts] == list(range(6))


def test_in_a_chain_the_run_is_a_child(batch_service: BatchService) -> None:
    """Within a sequence each record's run hangs below its own input's chain."""
    chain = RunnableLambda(lambda text: text) | batch_model(batch_service)

    with collect_runs() as collected:
        chain.batch(questions(6))

    assert len(collected.traced_runs) == 6
    for run in collected.traced_runs:
        assert [child.run_type for child in run.child_runs] == ["chain", "llm"]


def test_failed_records_end_with_their_error(batch_service: BatchService) -> None:
    """A record that fails ends its own run with an error, and no other."""
    batch_service.emulator.jobs.faults.add(OutputFault(errors=[2]))
    watch = Watch()

    batch_model(batch_service).batch(questions(6), {"callbacks": [watch]}, return_exceptions=True)

    assert list(watch.errors) == [watch.run_ids[2]]
    assert len(watch.ends) == 5


def test_a_batch_that_fails_as_a_whole_leaves_no_run_open(batch_service: BatchService) -> None:
    """If the run can't be submitted, every run of LangChain ends with that error."""
    watch = Watch()
    model = batch_model(batch_service, s3_uri="s3://no-such-bucket-here/runs/")

    with pytest.raises(Exception, match="no-such-bucket-here") as caught:
        model.batch(questions(6), {"callbacks": [watch]})

    assert set(watch.errors) == set(watch.run_ids)
    assert all(error is caught.value for error in watch.errors.values())


async def test_leaving_half_way_ends_all_runs(batch_service: BatchService) -> None:
    """Who breaks off `batch_as_completed` leaves no run open."""
    watch, model = Watch(), batch_model(batch_service)

    reading = model.batch_as_completed(questions(6), {"callbacks": [watch]})
    next(reading)
    reading.close()  # type: ignore[attr-defined]
    areading = model.abatch_as_completed(questions(6), {"callbacks": [watch]})
    await anext(areading)
    await areading.aclose()  # type: ignore[attr-defined]

    assert len(watch.run_ids) == 12
    assert len(watch.ends) + len(watch.errors) == 12


async def test_asynchronous_handlers_are_awaited(batch_service: BatchService) -> None:
    """`abatch` awaits async handlers on the caller's own event loop."""
    loops: list[Any] = []

    class Awaited(AsyncCallbackHandler):
        async def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
            await asyncio.sleep(0)
            loops.append(asyncio.get_running_loop())

        async def on_llm_end(self, *args: Any, **kwargs: Any) -> None:
            await asyncio.sleep(0)
            loops.append(asyncio.get_running_loop())

    await batch_model(batch_service).abatch(questions(6), {"callbacks": [Awaited()]})

    assert loops == [asyncio.get_running_loop()] * 12


async def test_usage_is_counted_at_half_the_price(batch_service: BatchService) -> None:
    """There is one usage record for each input, at tier batch, for half of the list price."""
    usage, model = BedrockUsageCallbackHandler(), batch_model(batch_service)

    model.batch(questions(6), {"callbacks": [usage]})
    await model.abatch(questions(6), {"callbacks": [usage]})

    records = records_of(usage)
    assert len(records) == 12
    for record in records:
        assert (record.status, record.price_tier, record.model_id) == ("ok", "batch", NOVA)
        assert record.region == "us-east-1"
        assert record.cost_pico_usd is not None
        assert record.list_pico_usd is not None
        assert record.cost_pico_usd * 2 == record.list_pico_usd > 0


def test_equal_inputs_are_paid_once(batch_service: BatchService) -> None:
    """Of three equal inputs one is sent; the others are hits that saved its tokens."""
    usage = BedrockUsageCallbackHandler()
    prompts = [*questions(5), *questions(1), *questions(1)]

    answers = batch_model(batch_service).batch(prompts, {"callbacks": [usage]})

    assert len({each.text for each in (answers[0], answers[5], answers[6])}) == 1
    assert jobs_of(batch_service)[0]["totalRecordCount"] == 5
    by_tier: dict[str | None, list[UsageRecord]] = {None: [], "flight": []}
    for record in records_of(usage):
        by_tier[record.cache_tier].append(record)
    assert [len(records) for records in by_tier.values()] == [5, 2]
    for record in by_tier["flight"]:
        assert record.usage is not None
        assert (record.usage.total, record.cost_pico_usd) == (0, 0)
        assert record.saved.total == answers[0].usage_metadata["total_tokens"]  # type: ignore[index]


def test_a_failed_record_costs_nothing(batch_service: BatchService) -> None:
    """A record without an answer is an error without tokens, and none is guessed."""
    batch_service.emulator.jobs.faults.add(OutputFault(errors=[2], drop=[3]))
    usage = BedrockUsageCallbackHandler()

    batch_model(batch_service).batch(questions(6), {"callbacks": [usage]}, return_exceptions=True)

    failed = [record for record in records_of(usage) if record.status == "error"]
    assert len(failed) == 2
    assert not any(record.usage or record.unmetered for record in failed)


def test_usage_of_a_block_is_counted(batch_service: BatchService) -> None:
    """A usage block around a batch hears of it without being passed."""
    with get_bedrock_usage_callback() as usage:
        batch_model(batch_service).batch(questions(6))

    assert usage.ledger.totals().calls == 6


def test_single_calls_below_the_minimum_are_at_their_own_price(
    batch_service: BatchService,
) -> None:
    """Inputs that are too few for a job count at the price of single calls."""
    usage = BedrockUsageCallbackHandler()

    model = batch_model(batch_service, below_minimum="on_demand")
    model.batch(questions(3), {"callbacks": [usage]})

    assert {record.price_tier for record in records_of(usage)} == {"default"}


def test_long_and_large_batches_are_not_given_up(batch_service: BatchService) -> None:
    """A handler that gives runs up after a second, or beyond three, keeps those of a batch."""
    usage = BedrockUsageCallbackHandler(run_ttl=1e-6, max_runs=3)
    budget = Budget(100, run_ttl=1e-6)

    batch_model(batch_service).batch(questions(8), {"callbacks": [usage, budget]})

    assert [record.status for record in records_of(usage)] == ["ok"] * 8
    assert usage.given_up_runs == usage.open_runs == 0
    spent = sum(record.cost_pico_usd or 0 for record in records_of(usage))
    assert budget.status().spent_usd == Decimal(spent) / 10**12


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_budget_refuses_inputs_before_they_are_sent(
    batch_service: BatchService, *, is_async: bool
) -> None:
    """Inputs beyond the budget are errors that were never sent; the others go on as a job."""
    usage, model = BedrockUsageCallbackHandler(), batch_model(batch_service)
    budget = Budget(Decimal("0.0003"))  # some six answers of 200 tokens, at the full price

    config: RunnableConfig = {"callbacks": [usage, budget]}
    if is_async:
        answers: list[Any] = await model.abatch(questions(9), config, return_exceptions=True)
    else:
        answers = model.batch(questions(9), config, return_exceptions=True)

    refused = [each for each in answers if isinstance(each, BudgetExceededError)]
    answered = [each for each in answers if isinstance(each, AIMessage)]
    assert refused
    assert len(answered) >= 5
    assert len(refused) + len(answered) == 9
    assert jobs_of(batch_service)[0]["totalRecordCount"] == len(answered)


def test_single_calls_are_one_run(batch_service: BatchService) -> None:
    """`invoke` and `stream` are one run each in the trace, the inner model's, told once."""
    watch = Watch()
    model = batch_model(batch_service, callbacks=[watch], tags=["own"])

    model.invoke("Hi")
    list(model.stream("Hi", {"callbacks": [watch]}))
    model.generate([[HumanMessage("Hi")]])

    assert len(watch.starts) == len(watch.ends) == 3
    assert all("own" in start["tags"] for start in watch.starts)
    assert calls_of(batch_service) == 3


async def test_single_calls_are_the_inner_models(batch_service: BatchService) -> None:
    """Every way to call it once gives what the inner model gives."""
    inner = inner_model(batch_service)
    model, said = batch_model(batch_service, inner), inner.invoke("Hi").text

    streamed = "".join([chunk.text for chunk in model.stream("Hi")])
    astreamed = "".join([chunk.text async for chunk in model.astream("Hi")])
    events = [event async for event in model.astream_events("Hi", version="v2")]
    generated = await model.agenerate_prompt([StringPromptValue(text="Hi")])

    assert (await model.ainvoke("Hi")).text == said
    assert streamed == astreamed == said
    assert [event["event"] for event in events].count("on_chat_model_start") == 1
    assert generated.generations[0][0].text == said
    assert jobs_of(batch_service) == []


def test_jobs_that_expire_end_all_runs() -> None:
    """A job that expires without output ends each run with an error that may be retried."""
    service = make_batch_service()
    service.emulator.jobs.faults.add(JobFault(status="Expired"))
    watch = Watch()

    batch_model(service).batch(questions(6), {"callbacks": [watch]}, return_exceptions=True)

    assert len(watch.errors) == 6


class Broken(BaseCallbackHandler):
    """Raises at the third answer, and wants that to be heard."""

    raise_error = True

    def __init__(self) -> None:
        self.ended = 0

    def on_llm_end(self, *args: Any, **kwargs: Any) -> None:
        self.ended += 1
        if self.ended == 3:
            raise RuntimeError("the metrics server is down")


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_handlers_error_is_one_inputs_alone(
    batch_service: BatchService, *, is_async: bool
) -> None:
    """A handler that raises at an answer spoils that one; all others are given, and told of."""
    model, handler = batch_model(batch_service), Broken()

    config: RunnableConfig = {"callbacks": [handler]}
    if is_async:
        call = model.abatch(questions(8), config)
    else:
        call = asyncio.to_thread(model.batch, questions(8), config)

    with pytest.raises(
        BatchPartialError, match=r"1 of 8 inputs has no output \(1 Runtime"
    ) as caught:
        await call

    kinds = [type(each) for each in caught.value.results]
    assert kinds == [AIMessage, AIMessage, RuntimeError, *[AIMessage] * 5]
    assert handler.ended == 8
    assert caught.value.run_uri.startswith("s3://")


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_handlers_error_leaves_what_is_read_later(
    batch_service: BatchService, *, is_async: bool
) -> None:
    """As results are read, a handler's error takes the place of its answer, and the rest come."""
    model, handler = batch_model(batch_service), Broken()
    config: RunnableConfig = {"callbacks": [handler]}

    if is_async:
        reading = model.abatch_as_completed(questions(8), config, return_exceptions=True)
        read = [each async for each in reading]
    else:
        read = list(model.batch_as_completed(questions(8), config, return_exceptions=True))

    assert sorted(place for place, _ in read) == list(range(8))
    assert sum(isinstance(value, RuntimeError) for _, value in read) == 1


def test_a_handlers_error_hides_no_other(batch_service: BatchService) -> None:
    """If a batch fails, its error is raised and all runs end, whatever a handler raises."""

    class Breaking(Watch):
        raise_error = True

        def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
            super().on_llm_error(error, run_id=run_id, **kwargs)
            raise RuntimeError("the metrics server is down")

    watch = Breaking()
    model = batch_model(batch_service, s3_uri="s3://no-such-bucket-here/runs/")

    with pytest.raises(BatchStorageError, match="no-such-bucket-here"):
        model.batch(questions(6), {"callbacks": [watch]})

    assert set(watch.errors) == set(watch.run_ids)
