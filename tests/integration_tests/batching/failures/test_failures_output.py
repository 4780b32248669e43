"""Failures 19 to 27: whatever an output looks like, each input has its own answer or an error."""

from __future__ import annotations

import math
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from langchain_bedrock_opt.emulator import JobFault, OutputFault
from langchain_bedrock_opt.errors import (
    BatchIntegrityError,
    BatchPartialError,
    BatchRecordError,
    BatchStorageError,
    RecordNotProcessedError,
)
from tests.batch_models import batch_model, calls_of, jobs_of
from tests.batch_service import BatchService
from tests.batch_toy import question_of

COUNT = 20
PROMPTS: list[Any] = [f"Tell me of <{place}>" for place in range(COUNT)]


def check(outputs: list[Any]) -> list[int]:
    """Each answer is that of its own question; the places of the rest."""
    assert len(outputs) == COUNT
    for prompt, output in zip(PROMPTS, outputs, strict=True):
        if isinstance(output, AIMessage):
            assert question_of(output.text) == question_of(prompt)
    return [place for place, output in enumerate(outputs) if isinstance(output, Exception)]


def results_of(service: BatchService, **fields: Any) -> list[Any]:
    """Outputs and exceptions of a batch, in a list."""
    model = batch_model(service, **fields)
    outputs: list[Any] = model.batch(PROMPTS, return_exceptions=True)
    return outputs


def test_a_completed_job_of_errors_is_no_success(
    batch_service: BatchService, caplog: pytest.LogCaptureFixture
) -> None:
    """19: If all records of a Completed job failed, each is an exception, counted and warned of."""
    batch_service.emulator.jobs.faults.add(OutputFault(errors="all", error_message="bad field"))

    run = batch_model(batch_service).submit(PROMPTS)
    with pytest.raises(BatchPartialError) as caught:
        run.outputs()

    assert all(type(error) is BatchRecordError for error in caught.value.results)
    assert (run.summary().success, run.summary().error) == (0, COUNT)
    assert run.summary().jobs[0].status == "Completed"
    assert "bad field" in str(caught.value.results[0])
    assert "20 of the 20 records" in caplog.text
    assert "most of them with 400" in caplog.text
    assert "bad field" not in caplog.text


@pytest.mark.parametrize("status", ["PartiallyCompleted", "Stopped", "Expired", "Failed"])
def test_what_a_job_did_before_its_end_is_returned(
    batch_service: BatchService, status: str
) -> None:
    """20: Answers of a job that ended early are returned; the rest may be sent again."""
    batch_service.emulator.jobs.faults.add(JobFault(status=status, processed=12))

    outputs = results_of(batch_service)

    missing = check(outputs)
    assert missing == list(range(12, COUNT))
    for place in missing:
        assert isinstance(outputs[place], RecordNotProcessedError)
        assert outputs[place].retry_safe
        assert status in str(outputs[place])


@pytest.mark.parametrize(
    ("status", "on_failed", "jobs", "calls"),
    [
        ("Failed", "raise", 1, 0),
        ("Expired", "raise", 1, 0),
        ("Failed", "resubmit", 2, 0),
        ("Expired", "on_demand", 1, COUNT),
    ],
)
def test_a_job_without_output_may_be_sent_again(
    batch_service: BatchService, status: str, on_failed: str, jobs: int, calls: int
) -> None:
    """21: A job that never began: all records are missing, or sent again as the user says."""
    batch_service.emulator.jobs.faults.add(JobFault(status=status, processed=0, times=1))

    outputs = results_of(batch_service, on_failed=on_failed)

    assert calls_of(batch_service) == calls
    assert len(jobs_of(batch_service)) == jobs
    failed = check(outputs)
    assert failed == (list(range(COUNT)) if on_failed == "raise" else [])
    assert all(isinstance(outputs[place], RecordNotProcessedError) for place in failed)


def test_output_that_comes_late_is_waited_for(batch_service: BatchService) -> None:
    """22: A Completed job whose output is not listed yet is looked at again."""
    batch_service.emulator.jobs.faults.add(JobFault(output_after=20))

    assert check(results_of(batch_service)) == []


def test_output_that_never_comes_is_loud(batch_service: BatchService) -> None:
    """22: After half a minute each record says where its output should be; none is sent again."""
    batch_service.emulator.jobs.faults.add(JobFault(output_after=math.inf))
    model = batch_model(batch_service, on_failed="resubmit")

    with pytest.raises(BatchIntegrityError) as caught:
        model.batch(PROMPTS)

    for error in caught.value.results:
        assert isinstance(error, BatchStorageError)
        assert f"there is no output at s3://{batch_service.bucket}/runs/" in str(error)
    assert len(jobs_of(batch_service)) == 1
    assert sum(batch_service.clock.slept) < 120


@pytest.mark.parametrize(
    ("fault", "least"),
    [
        (OutputFault(cut_tail=20), 1),
        (OutputFault(cut_middle=300), 1),
        (OutputFault(broken=3), 3),
    ],
)
def test_a_line_that_is_broken_costs_only_itself(
    batch_service: BatchService, fault: OutputFault, least: int, caplog: pytest.LogCaptureFixture
) -> None:
    """23: Truncated and invalid lines are missing answers, said loudly; good lines are kept."""
    batch_service.emulator.jobs.faults.add(fault)

    with pytest.raises(BatchIntegrityError) as caught:
        batch_model(batch_service).batch(PROMPTS)

    failed = check(caught.value.results)
    assert least <= len(failed) <= 4
    for place in failed:
        assert isinstance(caught.value.results[place], RecordNotProcessedError)
    assert "does not add up" in caplog.text


def test_ids_that_are_absent_unknown_or_twice_shift_nothing(
    batch_service: BatchService, caplog: pytest.LogCaptureFixture
) -> None:
    """24: Lines without an id or with an unknown one are ignored and warned of; the first wins."""
    fault = OutputFault(nameless=[4], unknown=3, duplicate=[0, 7, 19])
    batch_service.emulator.jobs.faults.add(fault)

    outputs = results_of(batch_service)

    assert check(outputs) == [4]
    assert isinstance(outputs[4], RecordNotProcessedError)
    assert "4 lines have the recordId of no record" in caplog.text
    assert "3 lines are about a record that another line was about" in caplog.text


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_an_output_means_nothing(batch_service: BatchService, seed: int) -> None:
    """25: Shuffled lines are joined to their inputs by their ids alone."""
    batch_service.emulator.jobs.faults.add(OutputFault(shuffle=True, seed=seed))

    assert check(results_of(batch_service, max_records=10)) == []


@pytest.mark.parametrize(
    ("in_output", "code", "is_safe"),
    [
        (False, 400, False),
        (True, "400", False),
        (False, "403", False),
        (True, 429, True),
        (False, "429", True),
        (True, 500, True),
    ],
)
def test_errors_are_read_in_either_place_and_form(
    batch_service: BatchService,
    in_output: bool,  # noqa: FBT001
    code: int | str,
    is_safe: bool,  # noqa: FBT001
) -> None:
    """26: An error beside the answer or in its place, its code a number or a text, is one error."""
    fault = OutputFault(errors=[3], error_code=code, errors_in_output=in_output)
    batch_service.emulator.jobs.faults.add(fault)

    outputs = results_of(batch_service)

    assert check(outputs) == [3]
    assert isinstance(outputs[3], BatchRecordError)
    assert (outputs[3].error_code, outputs[3].index) == (str(code), 3)
    assert outputs[3].retry_safe == is_safe


def test_answers_that_are_counted_and_not_there_are_an_error(batch_service: BatchService) -> None:
    """27: Where a job counts more answers than can be read, the error carries all results."""
    batch_service.emulator.jobs.faults.add(OutputFault(drop=[2, 5]))

    run = batch_model(batch_service).submit(PROMPTS)
    with pytest.raises(BatchIntegrityError, match="2 answers that jobs count") as caught:
        run.outputs()

    assert check(caught.value.results) == [2, 5]
    summary = run.summary()
    assert (summary.success, summary.error, summary.missing) == (18, 0, 2)


@pytest.mark.parametrize("figures", ["wrong", "zero", "missing"])
def test_counts_that_are_wrong_cost_no_answer(
    batch_service: BatchService, figures: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """27: Where all answers are there, counts that disagree are warned of, and nothing is lost."""
    batch_service.emulator.jobs.faults.add(JobFault(counts=figures, manifest=figures))
    batch_service.emulator.jobs.faults.add(OutputFault(errors=[3]))

    outputs = results_of(batch_service)
    run = batch_model(batch_service).submit(PROMPTS)
    with pytest.raises(BatchPartialError) as caught:
        run.outputs()

    assert type(caught.value) is BatchPartialError
    assert check(outputs) == [3]
    summary = run.summary()
    assert (summary.success, summary.error, summary.missing) == (19, 1, 0)
    assert ("does not add up" in caplog.text) == (figures == "wrong")
