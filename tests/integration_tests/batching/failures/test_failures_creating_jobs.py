"""Failures 8 to 15: whatever happens while jobs are made, each is made once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig

from langchain_bedrock_opt.emulator import Fault, JobFault
from langchain_bedrock_opt.errors import BatchJobError, BatchPartialError
from tests.batch_deaths import shuffled
from tests.batch_killer import TEXTS
from tests.batch_models import batch_model, calls_of, inner_model, jobs_of, questions
from tests.batch_service import BatchService, make_batch_service

ROOT = Path(__file__).resolve().parents[4]
CREATE = "CreateModelInvocationJob"
NIGHTLY: RunnableConfig = {"metadata": {"bedrock_opt_run_id": "nightly"}}


def creations(service: BatchService) -> list[Any]:
    """The calls that asked for a job."""
    return list(service.emulator.journal.calls(CREATE))


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        ("Could not validate ListBucket permissions for S3URI", "Allow the service role"),
        ("Customer doesn't have permissions to invokeModel", "bedrock:InvokeModel"),
    ],
)
def test_a_job_that_fails_says_why(batch_service: BatchService, message: str, advice: str) -> None:
    """8: A job that its role has fail gives Bedrock's words and the fix, and is not sent again."""
    batch_service.emulator.jobs.faults.add(JobFault(status="Failed", message=message))

    with pytest.raises(BatchPartialError) as caught:
        batch_model(batch_service, on_failed="resubmit").batch(questions(8))

    for error in caught.value.results:
        assert isinstance(error, BatchJobError)
        assert message in str(error)
        assert advice in str(error)
    assert len(jobs_of(batch_service)) == 1


REFUSALS = [
    ("AccessDeniedException", "not authorized to perform: iam:PassRole", "Allow the caller iam"),
    ("AccessDeniedException", "You don't have access to the model", "Ask for access"),
    ("ValidationException", "The provided model identifier is invalid", "inference profile"),
    (
        "ValidationException",
        "Your account is not authorized to perform this action. Please create a support case",
        "support case",
    ),
]


@pytest.mark.parametrize(("code", "message", "advice"), REFUSALS)
def test_a_refusal_says_what_to_do_and_is_not_repeated(
    batch_service: BatchService, code: str, message: str, advice: str
) -> None:
    """9: What the account, the role or the model forbids is said with the fix, asked once."""
    fault = Fault(code=code, message=message, operation=CREATE, times=None)
    batch_service.emulator.faults.add(fault)

    with pytest.raises(BatchJobError, match=advice) as caught:
        batch_model(batch_service).batch(questions(8))

    assert message in str(caught.value)
    assert caught.value.code == code
    assert len(creations(batch_service)) == 1


async def test_a_refusal_stands_in_the_list_of_each_door(batch_service: BatchService) -> None:
    """9: With `return_exceptions` a refusal is each input's own, as LangChain has it."""
    code, message, _ = REFUSALS[-1]
    fault = Fault(code=code, message=message, operation=CREATE, times=None)
    batch_service.emulator.faults.add(fault)
    model: Any = batch_model(batch_service)

    told = {"return_exceptions": True}
    doors = [
        list(enumerate(model.batch(questions(8), **told))),
        list(enumerate(await model.abatch(questions(8), **told))),
        list(model.batch_as_completed(questions(8), **told)),
        [pair async for pair in model.abatch_as_completed(questions(8), **told)],
    ]

    for pairs in doors:
        assert [place for place, _ in pairs] == list(range(8))
        assert all(isinstance(error, BatchJobError) for _, error in pairs)


def test_a_refusal_beside_running_jobs_is_not_paid_twice(
    batch_service: BatchService,
) -> None:
    """9: Where jobs of a run go on, a refusal of another one says how to go on with the run."""
    limit = {"max_records": 9, "bedrock_client": batch_service.impatient()}
    refused = Fault(code="AccessDeniedException", operation=CREATE, every=2)
    batch_service.emulator.faults.add(refused)
    model = batch_model(batch_service, **limit)

    with pytest.raises(BatchJobError) as caught:
        model.with_fallbacks([inner_model(batch_service)]).batch(questions(30))

    assert caught.value.run_uri.startswith(f"s3://{batch_service.bucket}/runs/runs/")
    run_id = caught.value.run_uri.rstrip("/").rpartition("/")[2]
    assert f"run_id='{run_id}'" in str(caught.value)
    assert calls_of(batch_service) == 0
    assert len(model.submit(questions(30), run_id=run_id).outputs()) == 30
    assert batch_service.emulator.jobs.records == 30


def test_a_refusal_may_be_answered_on_demand(batch_service: BatchService) -> None:
    """9: With a fallback, what no job may be made for is answered on demand."""
    code, message, _ = REFUSALS[-1]
    fault = Fault(code=code, message=message, operation=CREATE, times=None)
    batch_service.emulator.faults.add(fault)

    model = batch_model(batch_service).with_fallbacks([inner_model(batch_service)])
    outputs = model.batch(questions(8))

    assert all(isinstance(output, AIMessage) for output in outputs)
    assert calls_of(batch_service) == 8


def test_a_throttled_creation_is_repeated_with_one_token(batch_service: BatchService) -> None:
    """10: Twenty throttles of one creation are waited out, with one token, and make one job."""
    fault = Fault(code="ThrottlingException", operation=CREATE, times=20)
    batch_service.emulator.faults.add(fault)

    model = batch_model(batch_service, bedrock_client=batch_service.impatient())
    outputs = model.batch(questions(8))

    assert len(outputs) == 8
    assert len(creations(batch_service)) == 21
    assert len({call.params["clientRequestToken"] for call in creations(batch_service)}) == 1
    assert len(set(batch_service.clock.slept)) > 5
    assert len(jobs_of(batch_service)) == 1


def test_jobs_over_the_quota_wait_for_a_slot() -> None:
    """11: Of six shards two run at a time, and the next is sent when a slot is free."""
    service = make_batch_service(quotas={"max_running": 2})

    outputs = batch_model(service, max_records=10).batch(questions(60))

    wanted = [inner_model(service).invoke(question).text for question in questions(60)]
    assert [output.text for output in outputs] == wanted
    assert len(jobs_of(service)) == 6


@pytest.mark.parametrize("answer", ["conflict", "validation"])
def test_a_name_that_is_ours_is_taken_over(answer: str) -> None:
    """12: A name in use by a job of the same input is that job, though its token is forgotten."""
    service = make_batch_service(jobs={"taken_name": answer, "token_seconds": -1.0})
    service.emulator.jobs.faults.add(JobFault(lost_answers=1))

    outputs = batch_model(service).batch(questions(8), NIGHTLY)

    assert len(outputs) == 8
    assert len(jobs_of(service)) == 1


def test_a_name_that_is_not_ours_is_an_error(batch_service: BatchService) -> None:
    """12: A name in use by a job of another input is an error that names the fix.

    Names end with a digest of the input's place and content, so only somebody who copies one has
    it: such a job is not worked around by another suffix.
    """
    refused = Fault(code="AccessDeniedException", operation=CREATE)
    batch_service.emulator.faults.add(refused)
    model = batch_model(batch_service)
    with pytest.raises(BatchJobError):
        model.submit(questions(8), run_id="nightly")
    batch_service.create(creations(batch_service)[0].params["jobName"])

    with pytest.raises(BatchJobError, match="choose another run_id"):
        model.submit(questions(8), run_id="nightly")

    assert len(jobs_of(batch_service)) == 1


@pytest.mark.parametrize("lost_as", ["error", "connection"])
@pytest.mark.parametrize("token_seconds", [3600.0, -1.0])
def test_a_lost_answer_makes_no_second_job(lost_as: Any, token_seconds: float) -> None:
    """13: Where answers to a creation are lost, the job is found by its token or its name."""
    service = make_batch_service(jobs={"token_seconds": token_seconds})
    service.emulator.jobs.faults.add(JobFault(lost_answers=3, lost_as=lost_as))

    outputs = batch_model(service).batch(questions(8))

    assert len(outputs) == 8
    assert len(jobs_of(service)) == 1
    assert len({call.params["clientRequestToken"] for call in creations(service)}) == 1


class Killed(BaseException):
    """The process ends here."""


def test_a_batch_that_ends_at_any_request_is_gone_on_with() -> None:
    """14: Whichever request is the last one, the same call makes no second job, loses nothing.

    Processes that really die are in `test_run_kills.py` and `test_chains_kills.py`.
    """
    service = make_batch_service()
    step_by = 1 if "KILL_EVERYWHERE" in os.environ else 23
    until: list[int] = []

    def step(**_: Any) -> None:
        if until and next(requests) == until[0]:
            raise Killed

    for client in (service.s3, service.bedrock):
        client.meta.events.register_first("before-send", step)
        client.meta.events.register("response-received", step)
    model = batch_model(service, max_records=10)
    prompts = [*questions(15), questions(1)[0]]
    wanted = [inner_model(service).invoke(prompt).text for prompt in prompts]

    for number, point in enumerate(count(0, step_by), 1):
        config: RunnableConfig = {"metadata": {"bedrock_opt_run_id": f"run-{point}"}}
        requests, until[:] = count(), [point]
        try:
            model.batch(prompts, config)
        except Killed:
            pass
        else:
            break
        until.clear()
        assert [output.text for output in model.batch(prompts, config)] == wanted, point
        assert len(service.emulator.jobs.list()) == 2 * number, point
    assert point > 30


def test_a_job_that_was_not_come_to_is_made_by_the_next_submission(
    batch_service: BatchService,
) -> None:
    """14: A shard whose process ended before its job was created gets it from the next one."""
    batch_service.emulator.faults.add(Fault(code="AccessDeniedException", operation=CREATE))
    model = batch_model(batch_service)
    with pytest.raises(BatchJobError):
        model.submit(questions(8), run_id="nightly")

    model.submit(questions(8), run_id="nightly")

    assert len(jobs_of(batch_service)) == 1


def test_two_processes_at_once_make_one_run() -> None:
    """15: Two processes that submit one run at the same time agree on its jobs."""
    service = make_batch_service(min_records=4)
    code = (
        "import json; from tests.batch_killer import make_clients, run_it\n"
        "def nothing(**_): pass\n"
        f"run = run_it(make_clients(), 'plain', {service.bucket!r}, 'both', 0, nothing, True)\n"
        "print(json.dumps(run))"
    )
    with service.emulator:
        environment = {**os.environ, **service.emulator.environment, "PYTHONPATH": str(ROOT)}
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", code],
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        said = [process.communicate(timeout=120)[0] for process in processes]

    assert [json.loads(text) for text in said] == [shuffled(TEXTS, 0)] * 2
    assert len(service.emulator.jobs.list()) == 2
