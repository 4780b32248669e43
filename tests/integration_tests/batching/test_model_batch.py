"""The four batch doors of `BedrockBatch` on a local Bedrock: jobs, results, errors, run ids."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.prompt_values import ChatPromptValue
from langchain_core.runnables import RunnableConfig, RunnableLambda

from langchain_bedrock_opt import coalesced
from langchain_bedrock_opt.batching.guard import FullPriceWarning
from langchain_bedrock_opt.batching.run.batch_run import BatchRun
from langchain_bedrock_opt.emulator import JobFault, OutputFault
from langchain_bedrock_opt.errors import (
    BatchPartialError,
    BatchRecordError,
    BatchTooSmallError,
    InputsChangedError,
    RecordNotProcessedError,
)
from tests.batch_models import batch_model, calls_of, inner_model, jobs_of, questions
from tests.batch_service import HAIKU, BatchService


def texts(outputs: list[Any]) -> list[Any]:
    """What answers say; of an exception its class."""
    return [each.text if isinstance(each, AIMessage) else type(each) for each in outputs]


def expected(service: BatchService, prompts: list[Any]) -> list[str]:
    """What single calls answer."""
    return texts([inner_model(service).invoke(prompt) for prompt in prompts])


def test_a_batch_is_one_job(batch_service: BatchService) -> None:
    """Twenty prompts are one job, no single call, and the answers of single calls, in order."""
    answers = batch_model(batch_service).batch(questions(20))

    assert len(jobs_of(batch_service)) == 1
    assert calls_of(batch_service) == 0
    assert texts(answers) == expected(batch_service, questions(20))


async def test_an_asynchronous_batch_is_one_job(batch_service: BatchService) -> None:
    """`abatch` is one job likewise, and the event loop goes on meanwhile."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    answers = await batch_model(batch_service).abatch(questions(20))
    ticking.cancel()

    assert len(jobs_of(batch_service)) == 1
    assert texts(answers) == expected(batch_service, questions(20))
    assert ticks > 10


async def test_results_can_be_read_as_they_come(batch_service: BatchService) -> None:
    """`batch_as_completed` and its twin give each answer with its place, of one job each."""
    batch_service.emulator.jobs.faults.add(OutputFault(shuffle=True))
    model = batch_model(batch_service)

    read = list(model.batch_as_completed(questions(9)))
    aread = [each async for each in model.abatch_as_completed(questions(9))]

    wanted = expected(batch_service, questions(9))
    assert {place: message.text for place, message in read} == dict(enumerate(wanted))
    assert {place: message.text for place, message in aread} == dict(enumerate(wanted))
    assert len(jobs_of(batch_service)) == 2


def test_inputs_come_in_all_forms(batch_service: BatchService) -> None:
    """Texts, prompt values, messages and pairs are understood as in single calls."""
    prompts: list[Any] = [
        "What is 1 + 1?",
        ChatPromptValue(messages=[HumanMessage("What is 1 + 2?")]),
        [SystemMessage("Be brief."), HumanMessage("What is 1 + 3?")],
        [("human", "What is 1 + 4?")],
        [{"role": "user", "content": "What is 1 + 5?"}],
    ]

    answers = batch_model(batch_service).batch(prompts)

    assert texts(answers) == expected(batch_service, prompts)


def test_an_input_that_is_none_fails_alone(batch_service: BatchService) -> None:
    """What is no prompt is an error in its place, and the others are answered."""
    prompts: list[Any] = [*questions(5), 17]

    answers: list[Any] = batch_model(batch_service).batch(prompts, return_exceptions=True)

    assert texts(answers[:5]) == expected(batch_service, questions(5))
    assert isinstance(answers[5], Exception)


def test_nothing_to_do_is_no_job(batch_service: BatchService) -> None:
    """An empty batch is an empty list."""
    assert batch_model(batch_service).batch([]) == []
    assert jobs_of(batch_service) == []


def test_max_concurrency_does_not_split_the_job(batch_service: BatchService) -> None:
    """`max_concurrency` is about single calls."""
    batch_model(batch_service).batch(questions(20), {"max_concurrency": 2})

    assert len(jobs_of(batch_service)) == 1


def test_arguments_of_the_call_reach_the_records(batch_service: BatchService) -> None:
    """`stop`, given to the call or bound, stops the answers of a job."""
    model = batch_model(batch_service)
    first = model.batch(questions(5))[0].text.split()[1]

    given = model.batch(questions(5), stop=[first])
    bound = model.bind(stop=[first]).batch(questions(5))

    assert first not in given[0].text
    assert texts(given) == texts(bound)


def test_what_fails_is_raised_when_all_is_in(batch_service: BatchService) -> None:
    """Failed records raise one error at the end, which carries all that was paid for."""
    batch_service.emulator.jobs.faults.add(OutputFault(errors=[2], drop=[4]))

    with pytest.raises(BatchPartialError) as caught:
        batch_model(batch_service).batch(questions(8))

    results = caught.value.results
    assert [isinstance(each, AIMessage) for each in results] == [
        place not in (2, 4) for place in range(8)
    ]
    assert isinstance(results[2], BatchRecordError)
    assert isinstance(results[4], RecordNotProcessedError)
    assert BatchRun.attach(
        caught.value.run_uri, bedrock_client=batch_service.bedrock, s3_client=batch_service.s3
    ).status()


async def test_failures_can_be_had_in_the_list(batch_service: BatchService) -> None:
    """With `return_exceptions` each door gives exceptions in the places of the failed."""
    batch_service.emulator.jobs.faults.add(OutputFault(errors=[2], drop=[4]))
    model, failed = batch_model(batch_service), [2, 4]

    outputs = [
        model.batch(questions(8), return_exceptions=True),
        await model.abatch(questions(8), return_exceptions=True),
        [
            each
            for _, each in sorted(model.batch_as_completed(questions(8), return_exceptions=True))
        ],
        [
            each
            for _, each in sorted(
                [
                    pair
                    async for pair in model.abatch_as_completed(
                        questions(8), return_exceptions=True
                    )
                ]
            )
        ],
    ]

    for each in outputs:
        assert [at for at, value in enumerate(each) if isinstance(value, Exception)] == failed


async def test_reading_as_they_come_raises_behind_the_last(batch_service: BatchService) -> None:
    """Without it the answers come first, and then the error that carries everything."""
    batch_service.emulator.jobs.faults.add(OutputFault(errors=[2]))
    model = batch_model(batch_service)
    read: list[Any] = []

    with pytest.raises(BatchPartialError, match="1 of 8 inputs"):
        read.extend(model.batch_as_completed(questions(8)))
    with pytest.raises(BatchPartialError) as caught:
        read += [each async for each in model.abatch_as_completed(questions(8))]

    assert len(caught.value.results) == 8
    assert len([value for value in caught.value.results if isinstance(value, AIMessage)]) == 7


def test_a_retry_asks_for_what_has_failed(batch_service: BatchService) -> None:
    """`with_retry` sends only the failed records again, as a second job."""
    batch_service.emulator.jobs.faults.add(OutputFault(errors=6, times=1))
    model = batch_model(batch_service).with_retry(
        retry_if_exception_type=(BatchRecordError,), wait_exponential_jitter=False
    )

    answers = model.batch(questions(20))

    assert texts(answers) == expected(batch_service, questions(20))
    assert sorted(job["totalRecordCount"] for job in jobs_of(batch_service)) == [6, 20]


def test_a_fallback_answers_what_has_failed(batch_service: BatchService) -> None:
    """`with_fallbacks` asks another model for the failed records only, and that is a job too."""
    batch_service.emulator.jobs.faults.add(OutputFault(errors=6, times=1))
    other = batch_model(batch_service, inner_model(batch_service, HAIKU))
    model = batch_model(batch_service).with_fallbacks([other])

    answers = model.batch(questions(20))

    assert all(isinstance(each, AIMessage) for each in answers)
    asked = sorted((job["modelId"], job["totalRecordCount"]) for job in jobs_of(batch_service))
    assert [(HAIKU in model_id, count) for model_id, count in asked] == [(False, 20), (True, 6)]


def test_too_few_go_on_demand(batch_service: BatchService) -> None:
    """Fewer inputs than a job takes are single calls, at the price of single calls, once said."""
    with pytest.warns(FullPriceWarning, match="3 records are fewer than the 5") as told:
        answers = batch_model(batch_service).batch(questions(3))

    assert len(told) == 1

    assert jobs_of(batch_service) == []
    assert calls_of(batch_service) == 3
    assert all("batch" not in each.response_metadata["bedrock_opt"] for each in answers)


def test_too_few_need_no_warning_if_that_is_meant(batch_service: BatchService) -> None:
    """Who says `below_minimum="on_demand"`, or has failed records asked again, is not warned."""
    meant = batch_model(batch_service, below_minimum="on_demand").batch(questions(3))
    batch_service.emulator.jobs.faults.add(JobFault(status="PartiallyCompleted", processed=4))
    again = batch_model(batch_service, on_failed="on_demand").batch(questions(6))

    assert len(meant) + len(again) == 9
    assert calls_of(batch_service) == 5


async def test_collected_calls_that_are_too_few_are_said_once(batch_service: BatchService) -> None:
    """A block of collected calls warns once, however many of its rounds are too small."""
    model = batch_model(batch_service)

    async def twice(prompt: str) -> str:
        answer = await model.ainvoke(prompt)
        return (await model.ainvoke(f"And then? {answer.text} {prompt}")).text

    with pytest.warns(FullPriceWarning, match="batch.start") as told:
        async with coalesced(window=0.05) as batch:
            await asyncio.gather(*(batch.start(twice(each)) for each in questions(2)))

    assert len(told) == 1
    assert calls_of(batch_service) == 4


def test_too_few_can_be_an_error(batch_service: BatchService) -> None:
    """With `below_minimum="error"` nothing is sent."""
    with pytest.raises(BatchTooSmallError):
        batch_model(batch_service, below_minimum="error").batch(questions(3))

    assert (jobs_of(batch_service), calls_of(batch_service)) == ([], 0)


def test_a_named_batch_is_not_paid_twice(batch_service: BatchService) -> None:
    """The same batch under the same name, in another process say, finds the job that there is."""
    config: RunnableConfig = {"metadata": {"bedrock_opt_run_id": "nightly"}}

    first = batch_model(batch_service).batch(questions(8), config)
    again = batch_model(batch_service).batch(questions(8), config)

    assert texts(first) == texts(again)
    assert len(jobs_of(batch_service)) == 1


def test_a_name_holds_for_each_step_of_a_chain(batch_service: BatchService) -> None:
    """A chain that asks twice has two jobs under one name, and none when it is run again."""
    model = batch_model(batch_service)
    chain = model | RunnableLambda(lambda message: f"Shorten: {message.text}") | model
    config: RunnableConfig = {"metadata": {"bedrock_opt_run_id": "twice"}}

    first = chain.batch(questions(8), config)
    again = chain.batch(questions(8), config)

    assert texts(first) == texts(again)
    assert len(jobs_of(batch_service)) == 2


def test_a_retry_of_a_named_batch_is_a_job_of_its_own(batch_service: BatchService) -> None:
    """A retry is not given the failed run's answers again, even if all inputs have failed."""
    batch_service.emulator.jobs.faults.add(JobFault(status="Expired", times=1))
    model = batch_model(batch_service).with_retry(wait_exponential_jitter=False)

    answers = model.batch(questions(8), {"metadata": {"bedrock_opt_run_id": "retried"}})

    assert texts(answers) == expected(batch_service, questions(8))
    assert len(jobs_of(batch_service)) == 2


def test_a_run_can_be_submitted_and_found_again(batch_service: BatchService) -> None:
    """`submit` waits for nothing; another process attaches and reads messages."""
    run = batch_model(batch_service).submit((each for each in questions(8)), run_id="mine")

    found = BatchRun.attach(
        run.uri, bedrock_client=batch_service.bedrock, s3_client=batch_service.s3
    )

    assert run.run_id == "mine"
    assert texts(found.outputs()) == expected(batch_service, questions(8))


def test_a_submitted_run_knows_its_inputs(batch_service: BatchService) -> None:
    """Submitting again is the same run; submitting other inputs under its name is refused."""
    model = batch_model(batch_service)
    first = model.submit(questions(8), run_id="mine")

    assert model.submit(questions(8), run_id="mine").uri == first.uri
    with pytest.raises(InputsChangedError):
        model.submit(["Something else?", *questions(8)[1:]], run_id="mine")
    assert len(jobs_of(batch_service)) == 1


def test_a_plan_sends_nothing(batch_service: BatchService) -> None:
    """`plan` says what a batch would be, and neither S3 nor Bedrock hears of it."""
    plan = batch_model(batch_service).plan(questions(20))

    assert plan.jobs == 1
    assert "20" in str(plan)
    assert jobs_of(batch_service) == []
    assert batch_service.keys() == []


def test_tools_go_in_the_models_own_format(batch_service: BatchService) -> None:
    """Bound tools make an InvokeModel job, whose answers have tool calls as single calls have."""

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    inner = inner_model(batch_service, HAIKU)
    model = batch_model(batch_service, inner).bind_tools([add], tool_choice="any")

    answers = model.batch(questions(8))

    (job,) = jobs_of(batch_service)
    assert job["modelInvocationType"] == "InvokeModel"
    single = inner.bind_tools([add], tool_choice="any").invoke(questions(1)[0])
    assert [call["name"] for call in answers[0].tool_calls] == ["add"]
    assert answers[0].tool_calls[0]["args"] == single.tool_calls[0]["args"]


def test_an_interrupt_leaves_the_jobs(
    batch_service: BatchService,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C while waiting leaves the job running and prints how to come back to it."""

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    slow = make_slow()
    with pytest.raises(KeyboardInterrupt):
        batch_model(slow, sleep=interrupt).batch(questions(8))

    (job,) = jobs_of(slow)
    assert job["status"] not in {"Stopping", "Stopped"}
    assert f"s3://{slow.bucket}/runs/runs/" in capsys.readouterr().err


def make_slow() -> BatchService:
    """A service whose jobs take five minutes."""
    from tests.batch_service import SLOW, make_batch_service

    return make_batch_service(pace=SLOW)
