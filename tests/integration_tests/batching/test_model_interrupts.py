"""Ctrl-C on an event loop, which cancels tasks: jobs go on, or are stopped, and can be found."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from langchain_core.prompts import ChatPromptTemplate

from langchain_bedrock_opt import BedrockBatch, as_batch, coalesced
from langchain_bedrock_opt.batching.run.leaving import asubmitted
from tests.batch_models import batch_model, jobs_of, questions
from tests.batch_service import SLOW, BatchService, make_batch_service

ASK = ChatPromptTemplate.from_template("{q}")
WINDOW = 0.05


async def of_a_model(model: BedrockBatch) -> Any:
    return await model.abatch(questions(8))


async def of_a_model_as_completed(model: BedrockBatch) -> Any:
    return [each async for each in model.abatch_as_completed(questions(8))]


async def of_a_run(model: BedrockBatch) -> Any:
    run = await asyncio.to_thread(model.submit, questions(8))
    return await run.await_(progress=model.progress)


async def in_stages(model: BedrockBatch) -> Any:
    chain: Any = as_batch(ASK | model)
    return await chain.abatch([{"q": each} for each in questions(8)])


async def of_collected_calls(model: BedrockBatch) -> Any:
    chain: Any = as_batch(ASK | model, mode="coalesce", window=WINDOW)
    return await chain.abatch([{"q": each} for each in questions(8)])


async def of_a_block(model: BedrockBatch) -> Any:
    async with coalesced(window=WINDOW) as batch:
        return await asyncio.gather(*(batch.start(model.ainvoke(q)) for q in questions(8)))


DOORS = [
    of_a_model,
    of_a_model_as_completed,
    of_a_run,
    in_stages,
    of_collected_calls,
    of_a_block,
]


async def cancelled_while_waiting(
    service: BatchService, door: Callable[[BedrockBatch], Awaitable[Any]], **fields: Any
) -> None:
    """Cancel a task as soon as it waits for its job."""
    loop, waits = asyncio.get_running_loop(), asyncio.Event()
    model = batch_model(
        service,
        sleep=lambda _: time.sleep(0.01),  # the service's clock stands still, and so does the job
        progress=lambda _: loop.call_soon_threadsafe(waits.set),
        **fields,
    )
    task = asyncio.ensure_future(door(model))
    await waits.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("door", DOORS)
async def test_a_cancelled_task_says_where_its_jobs_are(
    door: Callable[[BedrockBatch], Awaitable[Any]],
    aws_environment: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """If the task that waits is cancelled, the job goes on, and how to find it is printed once."""
    service = make_batch_service(pace=SLOW)

    await cancelled_while_waiting(service, door)

    said = capsys.readouterr().err
    assert said.count(f"BatchRun.attach('s3://{service.bucket}/runs/runs/") == 1
    assert "Its jobs go on" in said
    (job,) = jobs_of(service)
    assert job["status"] == "Submitted"


@pytest.mark.parametrize("door", DOORS)
async def test_a_cancelled_task_stops_its_jobs_if_asked_to(
    door: Callable[[BedrockBatch], Awaitable[Any]],
    aws_environment: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With `cancel_on_interrupt` the jobs are being stopped when the task has ended."""
    service = make_batch_service(pace=SLOW)

    await cancelled_while_waiting(service, door, cancel_on_interrupt=True)

    assert capsys.readouterr().err.count("Its jobs are being stopped") == 1
    (job,) = jobs_of(service)
    assert job["status"] == "Stopping"


async def test_jobs_that_can_not_be_stopped_are_told_of(
    aws_environment: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If stopping fails, the cancellation is not hidden by that, and the run can be found."""
    service = make_batch_service(pace=SLOW)
    error = service.bedrock.exceptions.ClientError(
        {"Error": {"Code": "AccessDeniedException", "Message": "not you"}}, "Stop"
    )

    def refuse(**_: Any) -> None:
        raise error

    monkeypatch.setattr(service.bedrock, "stop_model_invocation_job", refuse)

    await cancelled_while_waiting(service, of_a_model, cancel_on_interrupt=True)

    said = capsys.readouterr().err
    assert "Its jobs could not be stopped" in said
    assert "BatchRun.attach('s3://" in said


async def test_a_task_that_is_cancelled_while_it_submits_leaves_a_trace(
    aws_environment: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is being submitted is submitted whole, and then it is said where it is."""
    service = make_batch_service(pace=SLOW)
    model, may_submit = batch_model(service), threading.Event()

    def begin() -> Any:
        may_submit.wait(10)
        return model.submit(questions(8))

    task = asyncio.ensure_future(asubmitted(begin))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    may_submit.set()

    said = ""
    while "BatchRun.attach('s3://" not in said:  # the test's time limit ends it
        await asyncio.sleep(0.01)
        said += capsys.readouterr().err
    (job,) = jobs_of(service)
    assert job["status"] == "Submitted"
