"""A run on a local Bedrock: from its inputs to its results, and what may go wrong between."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from langchain_bedrock_opt.batching.parts import BatchResult, JobKind
from langchain_bedrock_opt.batching.run.batch_run import BatchRun, submit
from langchain_bedrock_opt.batching.run.plan import plan
from langchain_bedrock_opt.emulator import JobFault, OutputFault
from langchain_bedrock_opt.errors import (
    BatchCostError,
    BatchIntegrityError,
    BatchJobError,
    BatchPartialError,
    BatchStorageError,
    BatchTooSmallError,
    InputsChangedError,
    RecordNotProcessedError,
    ThrottledError,
)
from tests.batch_service import HAIKU, SLOW, BatchService, make_batch_service
from tests.batch_toy import Calls, Toy, question_of, services_for

TEXTS = [f"question {number}" for number in range(23)]


def begin(service: BatchService, texts: Any = TEXTS, **more: Any) -> BatchRun:
    program = more.pop("program", None) or Toy()
    direct = more.pop("direct", None)
    settings = {"max_records": 10, **more.pop("settings", {})}
    return submit(
        program,
        texts,
        service.settings(**settings),
        services_for(service, direct=direct),
        **more,
    )


def check(results: list[BatchResult], texts: list[Any]) -> None:
    """Each result is at its place, and each answer is about its own question."""
    assert [result.index for result in results] == list(range(len(texts)))
    for result, text in zip(results, texts, strict=True):
        if result.error is None:
            assert question_of(result.output) == text


@pytest.mark.parametrize("order", ["input", "any"])
def test_each_input_gets_its_own_answer(order: Any) -> None:
    """Shuffled outputs of several jobs are joined to their inputs, in either order."""
    service = make_batch_service()
    service.emulator.jobs.faults.add(OutputFault(shuffle=True, duplicate=2, unknown=2))

    run = begin(service, iter(TEXTS))
    results = sorted(run.results(order), key=lambda result: result.index)

    check(results, TEXTS)
    assert not any(result.error for result in results)
    assert len(service.emulator.jobs.list()) == 3


@pytest.mark.parametrize("order", ["input", "any"])
def test_equal_known_and_refused_inputs_are_not_sent(order: Any) -> None:
    """Equal inputs are sent once and all answered; a cache's answers and refusals are kept."""
    service, program = make_batch_service(), Toy()
    program.known = {"known": "from the cache"}
    texts = ["a", "b", "a", None, "known", "c", "d", "e", "b", "a"]

    run = begin(service, texts, program=program)
    results = sorted(run.results(order), key=lambda result: result.index)
    summary = run.summary()

    assert service.emulator.jobs.records == 5
    assert results[4].output == "from the cache"
    assert isinstance(results[3].error, ValueError)
    assert [question_of(results[place].output) for place in (0, 2, 9)] == ["a"] * 3
    assert (summary.inputs, summary.success, summary.error, summary.missing) == (10, 9, 1, 0)
    assert (summary.same, summary.cached, summary.refused, summary.attempts) == (3, 1, 1, 5)


def test_kinds_have_jobs_of_their_own() -> None:
    """Records of two models are cut apart, each by its own model's jobs, and come back in order."""
    service, program = make_batch_service(), Toy()
    program.kinds = dict.fromkeys(TEXTS[::2], JobKind(HAIKU, "Converse"))

    results = list(begin(service, program=program).results())

    check(results, TEXTS)
    assert len(service.emulator.jobs.list()) == 4


def test_a_run_costs_half() -> None:
    """The summary says what was paid at the batch price, and what single calls would cost."""
    summary = begin(make_batch_service()).summary()

    assert summary.cost_usd is not None
    assert summary.on_demand_usd is not None
    assert summary.cost_usd * 2 == summary.on_demand_usd
    assert summary.input_tokens > 0
    assert "success" in str(summary)
    assert "<table>" in summary._repr_html_()


def test_another_process_attaches() -> None:
    """A run is found again by its URI alone, and gives the same results."""
    service = make_batch_service()
    run = begin(service)

    again = BatchRun.attach(run.uri, program=Toy(), services=services_for(service))

    assert [r.output for r in again.results()] == [r.output for r in run.results()]
    message = next(BatchRun.attach(run.uri, services=services_for(service)).results()).output
    assert message.response_metadata["bedrock_opt"]["batch"].startswith("arn:")


def test_another_chain_or_place_is_refused() -> None:
    """Attaching with another chain, or where there is no run, says so."""
    service, other = make_batch_service(), Toy()
    other.fingerprint = "other"
    run = begin(service)

    with pytest.raises(InputsChangedError, match="another chain"):
        BatchRun.attach(run.uri, program=other, services=services_for(service))
    with pytest.raises(BatchStorageError, match="There is no run"):
        BatchRun.attach(run.uri + "x", services=services_for(service))


def test_submitting_again_makes_no_second_job() -> None:
    """The same inputs under the same run id are the same run, before and after it has ended."""
    service = make_batch_service()
    first = begin(service, run_id="nightly")
    begin(service, run_id="nightly")
    list(first.results())
    again = begin(service, run_id="nightly")

    check(list(again.results()), TEXTS)
    assert service.emulator.jobs.records == len(TEXTS)


@pytest.mark.parametrize(
    ("texts", "index"),
    [
        ([*TEXTS[:7], "other", *TEXTS[8:]], 7),
        (TEXTS[:20], 20),
        ([*TEXTS, "more"], 23),
        ([*TEXTS[:7], None, *TEXTS[8:]], 7),
    ],
)
def test_other_inputs_are_refused(texts: list[Any], index: int) -> None:
    """A run that is submitted with other inputs names the first that differs."""
    service = make_batch_service()
    begin(service, run_id="nightly")

    with pytest.raises(InputsChangedError) as caught:
        begin(service, texts, run_id="nightly")

    assert caught.value.index == index
    assert len(service.emulator.jobs.list()) == 3


def test_what_a_cache_learns_meanwhile_changes_nothing() -> None:
    """A run may be submitted again when a cache has its answers by now."""
    service, program = make_batch_service(), Toy()
    begin(service, run_id="nightly")
    program.known = dict.fromkeys(TEXTS[:5], "from the cache")

    check(list(begin(service, program=program, run_id="nightly").results()), TEXTS)


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
    """A throttled single call is tried up to three times; then its error is the result."""
    service = make_batch_service()
    calls = Calls(service)
    calls.errors = [ThrottledError("slow"), ThrottledError("slow")]
    one = begin(service, TEXTS[:1], direct=calls)
    assert one.outputs()

    calls.errors = [ThrottledError("slow")] * 3
    two = begin(service, TEXTS[1:2], direct=calls)

    (result,) = two.results()
    assert isinstance(result.error, ThrottledError)


def test_a_job_without_a_slot_waits_for_one() -> None:
    """Shards beyond the quota of running jobs are queued, and sent when a job has ended."""
    service = make_batch_service(pace=SLOW, quotas={"max_running": 1})

    run = begin(service)
    queued = run.status()
    results = list(run.results())

    assert [shard.status for shard in queued.stages[0].shards][1:] == ["Queued"] * 2
    check(results, TEXTS)
    assert not any(result.error for result in results)


def test_status_tells_how_far_a_run_is() -> None:
    """Statuses and counts come by one List, before and after the end."""
    service = make_batch_service(pace=SLOW)
    run = begin(service)
    looks = service.emulator.journal.count("ListModelInvocationJobs")

    status = run.status()

    assert (status.total, status.is_over) == (23, False)
    assert service.emulator.journal.count("ListModelInvocationJobs") == looks + 1
    assert service.emulator.journal.count("GetModelInvocationJob") == 0
    run.wait()
    assert run.status().is_over
    assert run.status().done == 23
    assert "Completed 10/10" in str(run.status())


def test_progress_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """A callable hears of each look; `progress=True` shows it on stderr."""
    service = make_batch_service(pace=SLOW)
    heard: list[int] = []

    begin(service).wait(progress=lambda status: heard.append(status.done))
    begin(service).wait(progress=True)

    assert len(heard) > 3
    assert "records" in capsys.readouterr().err


def test_progress_without_rich_is_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where `rich` is not installed, each change is a line on stderr."""
    monkeypatch.setitem(sys.modules, "rich.progress", None)

    begin(make_batch_service(pace=SLOW), run_id="nightly").wait(progress=True)

    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("nightly: 0/23 records, jobs: 3 ")
    assert len(lines) == len(set(lines)) > 2


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


def test_stages_follow_stages() -> None:
    """Results of one stage are asked of the next; what fails on the way fails alone."""
    service, program = make_batch_service(), Toy(stages=2)
    texts = [*TEXTS[:10], "poison", None, "again", "again"]

    run = begin(service, texts, program=program)
    results = list(run.results())
    again = list(
        BatchRun.attach(run.uri, program=program, services=services_for(service)).results()
    )

    check(results, texts)
    assert [result.index for result in results if result.error] == [10, 11]
    assert [result.output for result in again] == [result.output for result in results]
    assert {job.stage for job in run.summary().jobs} == {0, 1}


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


def test_a_plan_sends_nothing() -> None:
    """A dry run has the jobs and records of the run that follows, and sends nothing."""
    service = make_batch_service()
    settings = service.settings(max_records=10)
    texts = [*TEXTS, TEXTS[0], None]

    found = plan(Toy(), texts, settings)

    assert service.keys() == []
    assert found.jobs == 3
    assert (found.inputs, found.kinds[0].records, found.kinds[0].same) == (25, 23, 1)
    assert list(found.refused) == [24]
    assert found.at_most_usd is not None
    assert found.on_demand_at_most_usd is not None
    assert found.at_most_usd < found.on_demand_at_most_usd
    assert "1 inputs make no record" in str(found)
    assert "<table>" in found._repr_html_()
    run = begin(service, texts)
    sizes = tuple(job.records for job in run.summary().jobs)
    assert sizes == found.kinds[0].jobs


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


def test_a_wait_may_time_out() -> None:
    """After its time a wait ends with `TimeoutError`, and may be gone on with."""
    service = make_batch_service(pace=SLOW)
    run = begin(service)

    with pytest.raises(TimeoutError, match="it goes on"):
        run.wait(timeout=20)

    check(list(run.results()), TEXTS)


async def test_async_twins_do_the_same() -> None:
    """The async methods give what the sync ones give, and don't hold up the event loop."""
    service = make_batch_service(pace=SLOW)
    run = begin(service)

    assert (await run.astatus()).total == 23
    await run.await_()
    results = [result async for result in run.aresults()]
    outputs, summary = await asyncio.gather(run.aoutputs(), run.asummary())
    again = await BatchRun.aattach(run.uri, program=Toy(), services=services_for(service))

    check(results, TEXTS)
    assert outputs == [result.output for result in results]
    assert summary.success == 23
    await again.acancel()


async def test_a_cancelled_await_leaves_the_run_alone() -> None:
    """A task that is cancelled while it waits ends at once, and the jobs go on."""
    service = make_batch_service(pace=SLOW)
    run = begin(service)
    hour = asyncio.create_task(run.await_(progress=lambda _: None))
    await asyncio.sleep(0)
    hour.cancel()

    with pytest.raises(asyncio.CancelledError):
        await hour

    assert len([result async for result in run.aresults("any")]) == 23


def test_two_processes_at_once_make_one_run() -> None:
    """Two that submit the same at the same time agree on each shard, and make its job once."""
    service = make_batch_service()
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(lambda _: begin(service, run_id="nightly"), range(2)))

    for run in runs:
        check(list(run.results()), TEXTS)
    assert service.emulator.jobs.records == len(TEXTS)
    inputs = [key for key in service.keys("runs/") if "/input/" in key]
    assert len(inputs) == 3


def test_two_who_submit_other_inputs_at_once_are_told_apart() -> None:
    """Of two that begin one run with other inputs, the second is refused and harms nothing."""
    service = make_batch_service()
    later = iter(TEXTS)

    def first_of_all() -> Iterator[str]:
        # By the time that this one sends its first shard, the other has sent all of its own.
        yield from [f"other {number}" for number in range(14)]
        begin(service, later, run_id="nightly")
        yield from TEXTS

    with pytest.raises(InputsChangedError) as caught:
        begin(service, first_of_all(), run_id="nightly")

    assert caught.value.index == 0
    check(list(begin(service, run_id="nightly").results()), TEXTS)


def test_no_inputs_are_no_job() -> None:
    """A run of nothing is over at once, with nothing in it."""
    run = begin(make_batch_service(), [])

    assert run.outputs() == []
    assert run.summary().inputs == 0
