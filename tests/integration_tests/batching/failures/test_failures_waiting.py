"""Failures 16 to 18 and 31: a wait ends when its jobs do, and not by accident."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from langchain_core.messages import AIMessage

from langchain_bedrock_opt.batching.run.batch_run import BatchRun
from langchain_bedrock_opt.emulator import Fault, JobFault
from langchain_bedrock_opt.errors import InputsChangedError
from tests.batch_models import batch_model, jobs_of, questions
from tests.batch_service import SLOW, BatchService, make_batch_service
from tests.batch_toy import services_for

LOOKS = ("GetModelInvocationJob", "ListModelInvocationJobs")


def test_other_inputs_under_one_name_are_refused(batch_service: BatchService) -> None:
    """16: A run that is gone on with, with other inputs, is refused with the first that differs."""
    model = batch_model(batch_service)
    model.submit(questions(8), run_id="nightly")
    other = [*questions(6), "Something else?", *questions(8)[7:]]

    for inputs, index in ((other, 6), (questions(7), 7), (questions(9), 8)):
        with pytest.raises(InputsChangedError, match="other") as caught:
            model.submit(inputs, run_id="nightly")
        assert caught.value.index == index

    assert len(jobs_of(batch_service)) == 1
    assert len(model.submit(questions(8), run_id="nightly").outputs()) == 8


@pytest.mark.parametrize(
    "code",
    [
        "ThrottlingException",
        "InternalServerException",
        "ServiceUnavailableException",
        "ExpiredTokenException",
    ],
)
def test_no_error_of_a_look_ends_a_wait(code: str, caplog: pytest.LogCaptureFixture) -> None:
    """17: Throttles, outages and expired credentials for hours are waited out, and said."""
    service = make_batch_service(pace=SLOW)
    for operation in LOOKS:
        service.emulator.faults.add(Fault(code=code, operation=operation, times=150))
    run = batch_model(service, bedrock_client=service.impatient()).submit(questions(8))
    began = service.clock()

    outputs = run.outputs()

    assert all(isinstance(output, AIMessage) for output in outputs)
    assert service.clock() - began > 10 * 3600
    assert len([record for record in caplog.records if "go on" in record.message]) <= 2
    assert "go on" in caplog.text


def test_no_broken_connection_ends_a_wait() -> None:
    """17: A network that is gone for some looks is waited for."""
    service = make_batch_service(pace=SLOW)
    gone = iter(range(20))

    def cut(**_: Any) -> None:
        if next(gone, None) is not None:
            raise EndpointConnectionError(endpoint_url="https://bedrock")

    bedrock = service.impatient()
    for operation in LOOKS:
        bedrock.meta.events.register_first(f"before-send.bedrock.{operation}", cut)

    outputs = batch_model(service, bedrock_client=bedrock).batch(questions(8))

    assert all(isinstance(output, AIMessage) for output in outputs)
    assert next(gone, None) is None


def test_a_new_status_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    """18: A status that nobody knows yet is a passing one, with one warning."""
    service = make_batch_service(pace=SLOW)
    service.emulator.jobs.faults.add(JobFault(shown_status="Preparing", shown_looks=5))

    outputs = batch_model(service).batch(questions(8))

    assert len(outputs) == 8
    assert caplog.text.count("'Preparing', which is not known") == 1


@pytest.mark.parametrize("cancels", [False, True])
def test_ctrl_c_leaves_the_job_running(
    cancels: bool,  # noqa: FBT001
    capsys: pytest.CaptureFixture[str],
) -> None:
    """31: SIGINT ends the wait and prints how to attach; the job is stopped only if wanted."""
    service = make_batch_service(pace=SLOW)

    def interrupted(seconds: float) -> None:
        service.clock.sleep(seconds)
        if service.clock.now > began + 120:
            signal.raise_signal(signal.SIGINT)

    began = service.clock.now
    model = batch_model(service, sleep=interrupted, cancel_on_interrupt=cancels)
    with pytest.raises(KeyboardInterrupt):
        model.batch(questions(8))

    (job,) = jobs_of(service)
    assert job["status"].startswith("Stop") == cancels
    said = capsys.readouterr().err
    uri = said.partition("BatchRun.attach('")[2].partition("'")[0]
    began = float("inf")
    found = BatchRun.attach(uri, services=services_for(service))
    assert len(list(found.results())) == 8
    assert len(jobs_of(service)) == 1
