"""What may go wrong with a run: nothing paid for is lost, and what is missing is said."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from langchain_bedrock_opt.batching.parts import JobKind
from langchain_bedrock_opt.batching.run.batch_run import BatchRun
from langchain_bedrock_opt.batching.run.plan import plan
from langchain_bedrock_opt.emulator import JobFault, OutputFault
from langchain_bedrock_opt.errors import (
    BatchCostError,
    BatchIntegrityError,
    BatchJobError,
    BatchPartialError,
    BatchTooSmallError,
    InvalidRequestError,
    RecordNotProcessedError,
    ThrottledError,
)
from tests.batch_service import HAIKU, SLOW, make_batch_service
from tests.batch_toy import TEXTS, Calls, Toy, begin, check, services_for


def test_too_few_inputs_are_answered_by_calls() -> None:
    """Fewer records than a job takes are answered on demand, once, and kept."""
    service = make_batch_service()
    calls = Calls(service)

    run = begin(service, TEXTS[:3], direct=calls)
    check(list(run.results()), TEXTS[:3])
    again = BatchRun.attach(run.uri, program=Toy(), services=services_for(service))

    check(list(again.results()), TEXTS[:3])
    assert calls.flex == [False] * 3
    assert again.summary().on_demand == 3
    assert service.emulator.jobs.list() == ()


def test_too_few_inputs_may_go_at_the_flex_tier() -> None:
    """`below_minimum="flex"` asks for the flex tier, and the summary has its price."""
    service, program = make_batch_service(), Toy()
    program.kinds = dict.fromkeys(TEXTS, JobKind("us.amazon.nova-pro-v1:0", "Converse"))
    calls = Calls(service)

    run = begin(
        service, TEXTS[:3], program=program, direct=calls, settings={"below_minimum": "flex"}
    )
    summary = run.summary()

    assert calls.flex == [True] * 3
    assert summary.cost_usd is not None
    assert summary.on_demand_usd is not None
    assert summary.cost_usd < summary.on_demand_usd


def test_too_few_inputs_may_be_an_error() -> None:
    """`below_minimum="error"` refuses before anything is sent."""
    service = make_batch_service()

    with pytest.raises(BatchTooSmallError, match="3 records are fewer than the 5"):
        begin(service, TEXTS[:3], settings={"below_minimum": "error"})

    assert not any("input" in key for key in service.keys("runs/"))


def test_too_few_inputs_of_one_model_do_not_stop_the_others() -> None:
    """With `error`, only the records of the model that has too few of them fail."""
    service, program = make_batch_service(), Toy()
    program.kinds = {TEXTS[3]: JobKind(HAIKU, "Converse")}

    run = begin(service, program=program, settings={"below_minimum": "error"})
    results = list(run.results())

    check(results, TEXTS)
    assert [result.index for result in results if result.error] == [3]
    assert isinstance(results[3].error, BatchTooSmallError)


def test_a_call_is_tried_again_if_that_is_safe() -> None:
    """A throttled single call is tried again; one that Bedrock refuses as it is, is not."""
    service = make_batch_service()
    calls = Calls(service)
    calls.errors = [ThrottledError("slow")] * 4
    one = begin(service, TEXTS[:1], direct=calls)
    assert one.outputs()

    calls.errors = [InvalidRequestError("no such parameter")]
    two = begin(service, TEXTS[1:2], direct=calls)

    (result,) = two.results()
    assert isinstance(result.error, InvalidRequestError)
    assert len(calls.flex) == 5 + 1


def test_a_later_stage_may_not_spend_more_than_is_left() -> None:
    """What earlier stages have cost counts towards the limit of the next one."""
    service, program = make_batch_service(), Toy(stages=2)
    found = plan(program, TEXTS, service.settings())
    assert found.at_most_usd is not None
    limit = found.at_most_usd + Decimal("0.000001")

    run = begin(service, program=program, settings={"max_cost_usd": limit})
    with pytest.raises(BatchCostError, match="None of these records was sent"):
        run.wait()

    assert len(service.emulator.jobs.list()) == 3


def test_records_that_failed_are_exceptions_and_the_rest_is_returned() -> None:
    """An error in the output is its own record's; `outputs` raises after all is read."""
    service = make_batch_service()
    for fault in (OutputFault(errors=2, times=1), OutputFault(drop=1, times=1)):
        service.emulator.jobs.faults.add(fault)

    run = begin(service)
    with pytest.raises(BatchPartialError, match="of 23 inputs have no output") as caught:
        run.outputs()

    results = caught.value.results
    errors = [value for value in results if isinstance(value, Exception)]
    summary = run.summary()
    assert len(results) == 23
    assert sorted(type(error).__name__ for error in errors) == [
        "BatchRecordError",
        "BatchRecordError",
        "RecordNotProcessedError",
    ]
    assert (summary.success, summary.error, summary.missing) == (20, 2, 1)


@pytest.mark.parametrize("status", ["PartiallyCompleted", "Stopped", "Expired", "Failed"])
def test_what_was_paid_for_is_returned(status: str) -> None:
    """A job that ended early gives what it has; the rest may be sent again."""
    service = make_batch_service()
    service.emulator.jobs.faults.add(JobFault(status=status, processed=6, times=1))

    results = list(begin(service).results())

    check(results, TEXTS)
    errors = [result.error for result in results if result.error]
    assert [type(error) for error in errors] == [RecordNotProcessedError] * 4
    assert status in str(errors[0])


def test_a_job_that_failed_for_good_says_why() -> None:
    """A failed job's records carry Bedrock's words and what to do, and are not sent again."""
    service = make_batch_service()
    service.emulator.jobs.faults.add(
        JobFault(status="Failed", processed=0, message="cannot iam:PassRole", times=1)
    )

    run = begin(service, settings={"on_failed": "resubmit"})
    errors = [result.error for result in run.results() if result.error]

    assert len(errors) == 10
    assert all(isinstance(error, BatchJobError) for error in errors)
    assert "Allow the caller iam:PassRole" in str(errors[0])
    assert len(service.emulator.jobs.list()) == 3


@pytest.mark.parametrize("order", ["input", "any"])
def test_failed_records_are_sent_again(order: Any) -> None:
    """`resubmit` makes one more job of what may succeed, and the answers take their places."""
    service = make_batch_service()
    service.emulator.jobs.faults.add(JobFault(status="Expired", processed=2, times=1))

    run = begin(service, settings={"on_failed": "resubmit"})
    results = sorted(run.results(order), key=lambda result: result.index)

    check(results, TEXTS)
    assert not any(result.error for result in results)
    assert len(service.emulator.jobs.list()) == 4
    assert run.summary().attempts == 23 + 8


def test_failed_records_are_sent_again_twice_at_most() -> None:
    """A record that is never answered is sent in three jobs and then given up."""
    service = make_batch_service()
    service.emulator.jobs.faults.add(JobFault(status="Expired", processed=0))

    run = begin(service, TEXTS[:8], settings={"on_failed": "resubmit"})
    summary = run.summary()

    assert (summary.missing, summary.attempts) == (8, 24)
    assert len(service.emulator.jobs.list()) == 3


def test_failed_records_may_be_answered_by_calls() -> None:
    """`on_demand` asks for each record that failed, and only for those that may succeed."""
    service = make_batch_service()
    service.emulator.jobs.faults.add(OutputFault(errors=2, error_code=429, times=1))
    service.emulator.jobs.faults.add(OutputFault(errors=1, error_code=400, times=1))
    calls = Calls(service)

    results = list(begin(service, direct=calls, settings={"on_failed": "on_demand"}).results())

    check(results, TEXTS)
    assert len(calls.flex) == 2
    assert [type(result.error).__name__ for result in results if result.error] == [
        "BatchRecordError"
    ]


def test_output_that_comes_late_is_waited_for() -> None:
    """A completed job whose output is not listed yet is looked at again."""
    service = make_batch_service()
    service.emulator.jobs.faults.add(JobFault(output_after=10))

    check(list(begin(service).results()), TEXTS)


@pytest.mark.parametrize("status", ["Stopped", "Expired"])
def test_answers_that_come_late_are_not_paid_for_twice(status: str) -> None:
    """What a job did before it ended early is waited for, and only the rest is sent again."""
    service = make_batch_service()
    fault = JobFault(status=status, processed=4, times=1, output_after=20)
    service.emulator.jobs.faults.add(fault)

    run = begin(service, TEXTS[:10], settings={"on_failed": "resubmit"})

    check(list(run.results()), TEXTS[:10])
    assert run.summary().success == 10
    assert service.emulator.jobs.records == 10


@pytest.mark.parametrize("status", ["Stopped", "Expired"])
def test_answers_that_never_come_are_not_paid_for_twice(status: str) -> None:
    """A job that says it gave answers, and has no output, is not asked again: it is an error."""
    service = make_batch_service()
    fault = JobFault(status=status, processed=4, times=1, output_after=3600)
    service.emulator.jobs.faults.add(fault)
    run = begin(service, TEXTS[:10], settings={"on_failed": "resubmit"})

    with pytest.raises(BatchIntegrityError, match="can't be read"):
        run.outputs()

    assert service.emulator.jobs.records == 4


def test_answers_that_came_the_second_time_are_not_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A torn output is warned of, and no error once each of its records has an answer."""
    service = make_batch_service()
    service.emulator.jobs.faults.add(OutputFault(cut_middle=1500, times=1))

    run = begin(
        service,
        TEXTS[:12],
        direct=Calls(service),
        settings={"on_failed": "resubmit", "max_records": 50},
    )

    assert len(run.outputs()) == 12
    assert "does not add up" in caplog.text


def test_an_error_that_a_job_counts_as_an_answer_is_that_records_own() -> None:
    """`modelOutput` with an error in it was read: nothing is lost."""
    service = make_batch_service()
    service.emulator.jobs.faults.add(OutputFault(errors=2, errors_in_output=True, times=1))
    get = service.bedrock.get_model_invocation_job

    def get_as_success(**request: Any) -> Any:
        job = get(**request)
        if job.get("errorRecordCount"):
            job["successRecordCount"] += job["errorRecordCount"]
            job["errorRecordCount"] = 0
        return job

    service.bedrock.get_model_invocation_job = get_as_success

    with pytest.raises(BatchPartialError) as caught:
        begin(service, TEXTS[:10]).outputs()

    assert not isinstance(caught.value, BatchIntegrityError)


@pytest.mark.parametrize(("on_failed", "success"), [("on_demand", 4), ("resubmit", 10)])
def test_records_are_not_sent_again_beyond_the_limit(
    on_failed: Any, success: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Single calls cost twice as much, which `max_cost_usd` may not allow; the rest is read."""
    service = make_batch_service()
    found = plan(Toy(), TEXTS[:10], service.settings())
    assert found.at_most_usd is not None
    spent = []
    for limit in (found.at_most_usd, Decimal(100)):
        service.emulator.jobs.faults.add(JobFault(status="Expired", processed=4, times=1))
        run = begin(
            service,
            TEXTS[:10],
            direct=Calls(service),
            settings={"on_failed": on_failed, "max_cost_usd": limit},
        )
        check(list(run.results()), TEXTS[:10])
        spent.append(run.summary())

    assert [summary.success for summary in spent] == [success, 10]
    assert spent[0].cost_usd is not None
    assert spent[0].cost_usd <= found.at_most_usd
    said = caplog.text.count("are not sent again: that could cost")
    assert said == (1 if success == 4 else 0)


def test_output_that_is_gone_is_a_loud_error(caplog: pytest.LogCaptureFixture) -> None:
    """Answers that were paid for and deleted are named, and not asked for a second time."""
    service = make_batch_service()
    run = begin(service, settings={"on_failed": "resubmit"}).wait()
    for key in service.keys("runs/"):
        if key.endswith(".out") and "/00000/" in key:
            service.s3.delete_object(Bucket=service.bucket, Key=key)

    with pytest.raises(BatchIntegrityError, match="answers that jobs count") as caught:
        run.outputs()

    errors = [value for value in caught.value.results if isinstance(value, Exception)]
    assert len(errors) == 10
    assert "there is no output at s3://" in str(errors[0])


def test_a_cut_line_is_missing_and_said_loudly(caplog: pytest.LogCaptureFixture) -> None:
    """Good lines beside a cut one are kept; the answer that a job counts is called lost."""
    service = make_batch_service()
    service.emulator.jobs.faults.add(OutputFault(cut_tail=20, times=1))

    run = begin(service)
    with pytest.raises(BatchIntegrityError) as caught:
        run.outputs()

    errors = [value for value in caught.value.results if isinstance(value, Exception)]
    assert [type(error) for error in errors] == [RecordNotProcessedError]
    assert "does not add up" in caplog.text


def test_a_cancelled_run_gives_what_it_has() -> None:
    """Stopped jobs' answers are returned, and queued shards are never sent."""
    service = make_batch_service(pace=SLOW, quotas={"max_running": 1})
    run = begin(service)
    service.clock.sleep(150)

    run.cancel()
    results = list(run.results())

    check(results, TEXTS)
    assert len(service.emulator.jobs.list()) == 1
    assert sum(result.error is not None for result in results) >= 13


def test_a_cancelled_run_of_stages_has_a_result_for_each_input() -> None:
    """Inputs whose next stage was never sent are missing, not forgotten."""
    service, program = make_batch_service(pace=SLOW), Toy(stages=2)
    run = begin(service, program=program)
    service.clock.sleep(1000)
    run.cancel()

    results = list(run.results())

    check(results, TEXTS)
    assert all(isinstance(result.error, RecordNotProcessedError) for result in results)


def test_a_run_that_may_cost_too_much_is_not_sent() -> None:
    """`max_cost_usd` is checked before anything is uploaded, for iterators too."""
    service = make_batch_service()

    with pytest.raises(BatchCostError, match="None of these records was sent") as caught:
        begin(service, iter(TEXTS), settings={"max_cost_usd": Decimal("0.0001")})

    assert caught.value.needed_usd is not None
    assert not any("input" in key for key in service.keys("runs/"))
    run = begin(service, iter(TEXTS), settings={"max_cost_usd": Decimal(100)})
    check(list(run.results()), TEXTS)


def test_an_interrupt_leaves_the_jobs_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C prints how to attach, and stops the jobs only if that is wanted."""

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    for cancels, expected in ((False, "Submitted"), (True, "Stop")):
        service = make_batch_service(pace=SLOW)
        run = begin(service, settings={"cancel_on_interrupt": cancels})
        with pytest.raises(KeyboardInterrupt):
            run.wait(progress=interrupt)
        assert run.uri in capsys.readouterr().err
        statuses = {shard.status for shard in run.status().stages[0].shards}
        assert all(status.startswith(expected) for status in statuses), statuses
