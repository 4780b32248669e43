"""Waiting for a run: what is refused hides nothing else, and no time is waited beyond its limit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread
from typing import Any

import pytest
from botocore.exceptions import ClientError

from langchain_bedrock_opt.batching.parts import JobKind, Services
from langchain_bedrock_opt.batching.run.batch_run import BatchRun, submit
from langchain_bedrock_opt.emulator import JobFault, JobPace
from langchain_bedrock_opt.errors import (
    AccessDeniedError,
    BatchError,
    BatchJobError,
    ServiceUnavailableError,
    ThrottledError,
)
from tests.batch_service import SLOW, BatchService, make_batch_service
from tests.batch_toy import TEXTS, Calls, Toy, begin, check, services_for


def refuses(code: str, message: str, status: int = 403) -> Callable[..., Any]:
    """A call that is always refused."""

    def refuse(**_: object) -> None:
        metadata = {"HTTPStatusCode": status}
        answer: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}
        raise ClientError(answer, "CreateModelInvocationJob")

    return refuse


def of_two_kinds() -> tuple[Toy, list[str]]:
    """A program and its inputs: 20 for two jobs, and one that is answered by a single call."""
    program = Toy()
    program.kinds = {"other": JobKind("us.amazon.nova-pro-v1:0", "Converse")}
    return program, [*TEXTS[:20], "other"]


def test_a_refused_shard_hides_no_answers() -> None:
    """What the other jobs have done is read; the refused one is tried again by the next wait."""
    service = make_batch_service(quotas={"max_running": 2}, pace=SLOW)
    run = begin(service)
    create = service.bedrock.create_model_invocation_job
    service.bedrock.create_model_invocation_job = refuses("AccessDeniedException", "iam:PassRole")

    results = list(run.results())

    check(results, TEXTS)
    refused = [result.index for result in results if result.error]
    assert len(refused) in (5, 8, 10)
    assert all(isinstance(results[place].error, BatchJobError) for place in refused)
    assert "PassRole" in str(run.status())
    assert not run.status().is_over
    service.bedrock.create_model_invocation_job = create
    run.wait()
    check(list(run.results()), TEXTS)
    assert run.summary().success == 23


def test_a_refused_resubmission_hides_no_answers() -> None:
    """A job for records that are sent again may be refused; the first job's answers are given."""
    service = make_batch_service()
    service.emulator.jobs.faults.add(JobFault(status="Expired", processed=4, times=1))
    run = begin(service, TEXTS[:10], settings={"on_failed": "resubmit"})
    service.bedrock.create_model_invocation_job = refuses("AccessDeniedException", "iam:PassRole")

    results = list(run.results())

    check(results, TEXTS[:10])
    errors = [result.error for result in results if result.error]
    assert [type(error) for error in errors] == [BatchJobError] * 6


def test_a_single_call_that_is_refused_hides_no_answers() -> None:
    """A model that may not be called fails its own records alone, until it may."""
    service = make_batch_service()
    program, texts = of_two_kinds()
    calls = Calls(service)
    calls.errors = [AccessDeniedError("no access to the model")]
    run = begin(service, texts, program=program, direct=calls)

    results = list(run.results())
    assert [result.index for result in results if result.error] == [20]
    assert isinstance(results[20].error, AccessDeniedError)

    assert run.wait().summary().success == 21


def test_records_that_need_a_model_which_is_not_here_hide_no_answers() -> None:
    """Whoever attaches without the chain gets what jobs have done, and is told of the rest."""
    service = make_batch_service()
    program, texts = of_two_kinds()
    run = begin(service, texts, program=program, direct=Calls(service))

    results = list(
        BatchRun.attach(run.uri, program=program, services=services_for(service)).results()
    )

    assert [result.index for result in results if result.error] == [20]
    assert isinstance(results[20].error, BatchError)
    assert "attach with chain=" in str(results[20].error)


def test_an_outage_is_not_the_end_of_a_single_call() -> None:
    """Throttling of minutes fails a record for now; the next process asks again."""
    service = make_batch_service()
    calls = Calls(service)
    calls.errors = [ThrottledError("slow")] * 50
    run = begin(service, TEXTS[:3], direct=calls)
    assert {type(result.error) for result in run.results()} == {ThrottledError}
    assert sum(service.clock.slept) > 60

    calls.errors = []
    again = begin(service, TEXTS[:3], direct=calls, run_id=run.run_id)

    check(list(again.results()), TEXTS[:3])
    assert again.summary().success == 3


def test_one_record_that_is_never_answered_leaves_the_others_alone() -> None:
    """A record that the service always fails at is left; all others are answered and kept."""
    service = make_batch_service()
    answer = Calls(service)

    def direct(kind: JobKind, body: bytes, flex: bool) -> bytes:  # noqa: FBT001
        if TEXTS[1].encode() + b">" in body:
            raise ServiceUnavailableError("500")
        return answer(kind, body, flex)

    run = begin(service, TEXTS, direct=direct, settings={"min_records": 50, "max_records": 100})

    failed = [result.index for result in run.results() if result.error]
    assert failed == [1]
    assert len(answer.flex) == 22


def test_two_processes_pay_a_single_call_once() -> None:
    """One process answers a shard's records; the other waits for it and finds them answered."""
    service = make_batch_service()
    first, second = Calls(service), Calls(service)
    is_asked, may_answer = Event(), Event()

    def hold() -> None:
        is_asked.set()
        assert may_answer.wait(30)

    first.before = hold
    run = begin(service, TEXTS[:4], direct=first)
    thread = Thread(target=run.wait)
    thread.start()
    assert is_asked.wait(30)

    def sleep(_: float) -> None:
        may_answer.set()
        thread.join(30)

    services = Services(
        bedrock=service.bedrock, s3=service.s3, direct=second, clock=service.clock, sleep=sleep
    )
    other = BatchRun.attach(run.uri, program=Toy(), services=services)

    check(list(other.results()), TEXTS[:4])
    assert (len(first.flex), len(second.flex)) == (4, 0)
    check(list(run.results()), TEXTS[:4])


def test_the_claim_of_a_process_that_is_no_more_lapses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Single calls of a killed process are made by the next one, after some minutes."""
    service = make_batch_service()
    calls = Calls(service)
    calls.before = lambda: (_ for _ in ()).throw(SystemExit)
    run = begin(service, TEXTS[:2], direct=calls)
    with monkeypatch.context() as patch:
        patch.setattr("langchain_bedrock_opt.batching.run.claims.Claim.release", lambda _: None)
        with pytest.raises(SystemExit):
            run.wait()

    answers = Calls(service)
    began = service.clock.now
    other = BatchRun.attach(run.uri, program=Toy(), services=services_for(service, direct=answers))

    check(list(other.results()), TEXTS[:2])
    assert len(answers.flex) == 2
    assert 200 < service.clock.now - began < 400


@pytest.mark.parametrize("code", ["ServiceQuotaExceededException", "ExpiredTokenException"])
def test_no_slot_and_no_credentials_are_waited_for_no_longer_than_wanted(code: str) -> None:
    """A timeout holds while jobs can't be created."""
    service = make_batch_service()
    full = refuses("ServiceQuotaExceededException", "0 jobs", 400)
    service.bedrock.create_model_invocation_job = full
    run = begin(service)
    service.bedrock.create_model_invocation_job = refuses(code, "0 jobs", 400)
    began = service.clock.now

    with pytest.raises(TimeoutError, match="not over after 5 seconds"):
        run.wait(timeout=5)

    assert service.clock.now - began <= 5


def test_waiting_for_a_slot_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """Bedrock's words are in the status and in one warning."""
    service = make_batch_service()
    service.bedrock.create_model_invocation_job = refuses(
        "ServiceQuotaExceededException", "the sum of jobs is 0", 400
    )
    run = begin(service)
    seen: list[str] = []

    with pytest.raises(TimeoutError):
        run.wait(timeout=600, progress=lambda status: seen.append(str(status)))

    assert len(seen) > 5
    assert all("the sum of jobs is 0" in status for status in seen)
    warned = [record for record in caplog.records if "the sum of jobs is 0" in record.getMessage()]
    assert len(warned) == 1


def patient(service: BatchService) -> BatchRun:
    """A run in real time, whose jobs take long."""
    services = Services(bedrock=service.bedrock, s3=service.s3)
    return submit(Toy(), TEXTS, service.settings(max_records=10), services)


def test_a_timeout_holds_beside_another_thread_that_waits() -> None:
    """Two threads may wait for the same object, each as long as it likes."""
    run = patient(make_batch_service(pace=JobPace(submitted=100_000)))

    def wait_long() -> None:
        with suppress(TimeoutError):
            run.wait(timeout=2)

    thread = Thread(target=wait_long)
    thread.start()
    while not run._lock.locked():  # the other thread has begun to wait
        pass

    with pytest.raises(TimeoutError, match="not over after 0"):
        run.wait(timeout=0.1)

    assert thread.is_alive()
    thread.join()


async def test_a_cancelled_wait_for_another_waiter_starts_nothing() -> None:
    """A task that was cancelled while another thread waits does nothing when its turn comes."""
    service = make_batch_service(pace=SLOW)
    run = begin(service)
    run._lock.acquire()
    task = asyncio.create_task(run.await_())
    await asyncio.sleep(0.05)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    run._lock.release()

    with pytest.raises(TimeoutError):
        run.wait(timeout=30)

    assert sum(service.clock.slept) <= 30


def test_a_refused_submit_says_how_to_come_back(caplog: pytest.LogCaptureFixture) -> None:
    """An error that leaves jobs behind names the run, also one of the caller's own inputs."""
    caplog.set_level(logging.INFO)
    service = make_batch_service(pace=SLOW)
    create = service.bedrock.create_model_invocation_job

    def create_one(**request: Any) -> Any:
        service.bedrock.create_model_invocation_job = refuses("AccessDeniedException", "no")
        return create(**request)

    service.bedrock.create_model_invocation_job = create_one
    uri = f"s3://{service.bucket}/runs/runs/one/"
    with pytest.raises(BatchJobError, match=f"run_id='one'.*BatchRun.attach.'{uri}'..cancel"):
        begin(service, run_id="one")
    assert uri in caplog.text

    def broken() -> Any:
        yield from TEXTS
        raise ValueError("no more")

    service.bedrock.create_model_invocation_job = create
    with pytest.raises(ValueError, match="no more"):
        begin(service, broken(), run_id="two")
    assert "Run two has jobs that go on" in caplog.text


@pytest.mark.parametrize("cancels", [False, True])
def test_an_interrupt_of_a_submit_is_told(
    cancels: bool,  # noqa: FBT001 - pytest's
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Ctrl-C while records are uploaded prints the run, and stops its jobs if that is wanted."""
    service = make_batch_service(pace=SLOW)

    def texts() -> Any:
        yield from TEXTS[:20]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        begin(service, texts(), run_id="cut", settings={"cancel_on_interrupt": cancels})

    assert f"BatchRun.attach('s3://{service.bucket}/runs/runs/cut/')" in capsys.readouterr().err
    (job,) = service.bedrock.list_model_invocation_jobs()["invocationJobSummaries"]
    assert job["status"] == ("Stopping" if cancels else "Submitted")


def test_a_process_that_stood_still_makes_no_more_calls() -> None:
    """Another one may have its records by then; the next wait takes them up again."""
    service = make_batch_service()
    calls = Calls(service)

    def stand_still() -> None:
        service.clock.now += 3600

    calls.before = stand_still
    run = begin(
        service, TEXTS, direct=calls, settings={"min_records": 50, "max_records": 100}
    ).wait()
    made = len(calls.flex)
    assert made <= 8

    calls.before = lambda: None

    check(list(run.wait().results()), TEXTS)
    assert run.summary().success == 23
    assert len(calls.flex) == 23
