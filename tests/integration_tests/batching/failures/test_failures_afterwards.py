"""Failures 32 and 34: what comes after an answer, and what is sent twice."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda

from langchain_bedrock_opt.batching.chains import as_batch
from langchain_bedrock_opt.emulator import JobFault, OutputFault
from tests.batch_models import batch_model, calls_of, jobs_of, questions
from tests.batch_service import BatchService


def parsed(message: AIMessage) -> str:
    """The words of an answer, if it is not about 3."""
    if "3 + 3" in message.text:
        raise ValueError("poison")
    return str(message.text)


@pytest.mark.parametrize("door", [as_batch, lambda chain: chain])
def test_a_parser_that_fails_fails_for_its_index_alone(
    batch_service: BatchService, door: Any
) -> None:
    """32: A later step that can't work with one answer costs only that index."""
    chain = door(batch_model(batch_service) | RunnableLambda(parsed))

    outputs = chain.batch(questions(8), return_exceptions=True)

    failed = [place for place, output in enumerate(outputs) if isinstance(output, Exception)]
    assert failed == [3]
    assert isinstance(outputs[3], ValueError)
    assert all(isinstance(output, str) for place, output in enumerate(outputs) if place != 3)
    assert (len(jobs_of(batch_service)), calls_of(batch_service)) == (1, 0)


def test_what_is_sent_twice_is_counted_twice(batch_service: BatchService) -> None:
    """34: Records that are sent again count as attempts, and all answers as tokens and cost."""
    faults = batch_service.emulator.jobs.faults
    faults.add(OutputFault(errors=8, error_code=500, times=1))
    run = batch_model(batch_service, on_failed="resubmit").submit(questions(20))

    summary = run.summary()

    usage = batch_service.emulator.jobs.usage
    assert (summary.success, summary.attempts) == (20, 28)
    assert (summary.input_tokens, summary.output_tokens) == (usage.input, usage.output)
    assert summary.cost_usd is not None
    assert [job.records for job in summary.jobs] == [20, 8]


def test_what_an_expired_job_did_is_not_paid_again(batch_service: BatchService) -> None:
    """34: Only what has no answer is sent again, so nothing that was answered is billed twice."""
    batch_service.emulator.jobs.faults.add(JobFault(status="Expired", processed=12, times=1))
    run = batch_model(batch_service, on_failed="resubmit").submit(questions(20))

    summary = run.summary()

    usage = batch_service.emulator.jobs.usage
    assert (summary.success, summary.attempts) == (20, 28)
    assert batch_service.emulator.jobs.records == 20
    assert (summary.input_tokens, summary.output_tokens) == (usage.input, usage.output)
