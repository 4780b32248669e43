"""Making, finding and stopping jobs: one job for one request, whatever happens on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from langchain_bedrock_opt.batching.jobs.control import JobControl, JobRequest, NoFreeSlot
from langchain_bedrock_opt.batching.jobs.hints import hint_for, job_failure
from langchain_bedrock_opt.batching.jobs.states import JobState
from langchain_bedrock_opt.batching.parts import JobKind, Services
from langchain_bedrock_opt.errors import BatchJobError
from tests.batch_service import HAIKU, NOVA, SLOW, BatchService, make_batch_service, records
from tests.faulty_clients import FaultyClient, lost_answer, no_connection, service_says

KIND = JobKind(NOVA, "Converse")


@pytest.fixture
def make() -> Callable[..., tuple[BatchService, FaultyClient, JobControl]]:
    """A service with records in it, its client that may fail, and the control over it."""

    def build(settings: dict[str, Any] | None = None, **options: Any) -> Any:
        service = make_batch_service(**options)
        service.put("in/0.jsonl", records(10))
        client = FaultyClient(service.bedrock)
        services = Services(
            bedrock=client, s3=service.s3, clock=service.clock, sleep=service.clock.sleep
        )
        return service, client, JobControl(services, service.settings(**(settings or {})))

    return build


def request(service: BatchService, name: str = "nightly-0", **changes: Any) -> JobRequest:
    fields: dict[str, Any] = {
        "name": name,
        "token": f"token-of-{name}",
        "kind": KIND,
        "input_uri": f"s3://{service.bucket}/in/0.jsonl",
        "output_uri": f"s3://{service.bucket}/out/",
    }
    return JobRequest(**{**fields, **changes})


Make = Callable[..., tuple[BatchService, FaultyClient, JobControl]]


def test_a_job_is_made_as_it_was_asked_for(make: Make) -> None:
    """What the run and its settings say reaches Bedrock, and the job runs."""
    settings = {
        "timeout_hours": 48,
        "kms_key_id": "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "bucket_owner": "123456789012",
        "vpc_config": {"subnetIds": ["subnet-1"], "securityGroupIds": ["sg-1"]},
        "tags": {"team": "search"},
    }
    service, client, control = make(settings)

    arn = control.create(request(service))

    (sent,) = client.requests["create_model_invocation_job"]
    assert sent["modelInvocationType"] == "Converse"
    assert sent["timeoutDurationInHours"] == 48
    assert sent["tags"] == [{"key": "team", "value": "search"}]
    assert sent["vpcConfig"]["subnetIds"] == ["subnet-1"]
    assert sent["inputDataConfig"]["s3InputDataConfig"]["s3BucketOwner"] == "123456789012"
    target = sent["outputDataConfig"]["s3OutputDataConfig"]
    assert (target["s3BucketOwner"], target["s3EncryptionKeyId"]) == (
        "123456789012",
        settings["kms_key_id"],
    )
    state = control.get(arn)
    assert (state.status, state.is_over, state.success, state.total) == ("Completed", True, 10, 10)
    assert state.submitted_at is not None
    assert state.submitted_at.timestamp() == service.clock.now


def test_throttles_and_outages_do_not_end_a_creation(make: Make) -> None:
    """A creation that is throttled twenty times waits, with jitter, and makes one job."""
    service, client, control = make()
    client.fail(
        "create_model_invocation_job",
        *[service_says("ThrottlingException", 429)] * 20,
        service_says("InternalServerException", 500),
        no_connection(),
    )

    control.create(request(service))

    assert len(service.emulator.jobs.list()) == 1
    tokens = {sent["clientRequestToken"] for sent in client.requests["create_model_invocation_job"]}
    assert tokens == {"token-of-nightly-0"}
    assert len(service.clock.slept) == 22
    assert max(service.clock.slept) <= 60


@pytest.mark.parametrize(
    "jobs",
    [{}, {"token_seconds": 0}, {"token_seconds": 0, "taken_name": "allowed"}],
    ids=["token kept", "token forgotten", "names not unique"],
)
def test_a_lost_answer_makes_no_second_job(make: Make, jobs: dict[str, Any]) -> None:
    """If the answer to a creation is lost, the job that it made is found: not made again."""
    service, client, control = make(jobs=jobs)
    client.lose("create_model_invocation_job", lost_answer(), service_says("ServiceFault", 503))

    arn = control.create(request(service))

    assert [job.arn for job in service.emulator.jobs.list()] == [arn]


def test_an_answer_without_the_job_is_looked_up(make: Make) -> None:
    """If a creation is answered without the job's ARN, the job is found by its name."""
    service, client, control = make()
    create = client.__getattr__("create_model_invocation_job")

    def nameless(**asked: Any) -> dict[str, Any]:
        create(**asked)
        return {}

    client.__dict__["create_model_invocation_job"] = nameless

    assert control.create(request(service)) == service.emulator.jobs.list()[0].arn


@pytest.mark.parametrize("taken_name", ["conflict", "validation", "allowed"])
def test_a_process_that_begins_again_finds_its_job(make: Make, taken_name: str) -> None:
    """After a crash the same request gives the same job, even when its token is forgotten."""
    service, _, control = make(jobs={"token_seconds": 0, "taken_name": taken_name})
    first = control.create(request(service))
    service.clock.sleep(1)

    assert control.create(request(service), may_exist=True) == first
    assert len(service.emulator.jobs.list()) == 1


@pytest.mark.parametrize("taken_name", ["conflict", "validation"])
def test_a_name_that_is_taken_is_taken_over(make: Make, taken_name: str) -> None:
    """Where Bedrock says that the name is in use, the job that has it is the one."""
    service, _, control = make(jobs={"token_seconds": 0, "taken_name": taken_name})
    first = control.create(request(service))
    service.clock.sleep(1)

    assert control.create(request(service)) == first


@pytest.mark.parametrize(
    "changes",
    [
        {"input_uri": "s3://elsewhere-1/in/0.jsonl"},
        {"output_uri": "s3://elsewhere-1/out/"},
        {"kind": JobKind(HAIKU, "Converse")},
    ],
)
def test_a_name_that_another_job_has_is_an_error(make: Make, changes: dict[str, Any]) -> None:
    """A job of the same name that reads, writes or asks something else is not taken over."""
    service, _, control = make(jobs={"token_seconds": 0})
    first = control.create(request(service))
    service.clock.sleep(1)

    with pytest.raises(BatchJobError, match="choose another run_id") as caught:
        control.create(request(service, **changes))

    assert caught.value.job_arn == first
    assert f"s3://{service.bucket}/in/0.jsonl" in str(caught.value)


def test_a_name_that_is_taken_by_nobody_is_an_error(make: Make) -> None:
    """If the job that has the name does not show up, the search ends."""
    service, client, control = make()
    client.fail("create_model_invocation_job", *[service_says("ConflictException", 400)] * 9)

    with pytest.raises(BatchJobError, match=r"ConflictException.*Said so"):
        control.create(request(service))


def test_a_job_whose_turn_has_not_come_is_told_apart(make: Make) -> None:
    """When as many jobs run as may, the caller is told so and can create it later."""
    service, _, control = make(quotas={"max_running": 1}, pace=SLOW)
    control.create(request(service))

    with pytest.raises(NoFreeSlot, match="nightly-1 waits for a free slot"):
        control.create(request(service, "nightly-1"))

    service.clock.sleep(1000)
    assert control.create(request(service, "nightly-1"))


def test_credentials_that_expire_are_waited_for_and_said_once(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """Expired credentials hold a creation up, with one warning, until they are renewed."""
    service, client, control = make()
    client.fail("create_model_invocation_job", *[service_says("ExpiredTokenException", 403)] * 5)

    control.create(request(service))

    assert caplog.text.count("credentials have expired") == 1


def test_a_creation_ends_when_the_job_would_have_ended(make: Make) -> None:
    """After as many hours as the job may take, a creation gives up and says why."""
    service, client, control = make()
    client.fail("create_model_invocation_job", *[service_says("ThrottlingException", 429)] * 9999)

    with pytest.raises(BatchJobError, match="could not be made for 24 hours: Said so"):
        control.create(request(service))


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("User x is not authorized to perform: iam:PassRole on resource: y", "iam:PassRole on the"),
        (
            "Your account is not authorized to perform this action. Please create a support case.",
            "ask for it in a support case",
        ),
        ("Model use case details have not been submitted for this account", "use-case form"),
        ("Customer doesn't have permissions to invokeModel", "in every region of it"),
        ("Could not validate ListBucket permissions for S3URI", "s3:ListBucket on the bucket"),
        ("The provided model identifier is invalid.", "by an inference profile"),
        ("You don't have access to the model with the specified model ID.", "Ask for access"),
        ("not authorized to invoke this API operation", "bedrock:CreateModelInvocationJob"),
        ("The number of records is below the minimum of 1000", "pass it as min_records"),
        ("The number of records exceeds the maximum of 50000", "pass it as max_records"),
        ("The size of file x exceeds 200 MB", "pass it as max_file_bytes"),
        ("The bucket is in another region", "in the job's region"),
        ("Bedrock can't assume the role", "trust policy"),
        (
            "arn:x:assumed-role/y is not authorized to perform: bedrock:CreateModelInvocationJob",
            "Allow the caller bedrock:CreateModelInvocationJob",
        ),
    ],
)
def test_a_refusal_says_what_to_do(make: Make, message: str, hint: str) -> None:
    """What Bedrock refuses for good is raised at once, in its words and with the fix."""
    service, client, control = make()
    client.fail("create_model_invocation_job", service_says("AccessDeniedException", 403, message))

    with pytest.raises(BatchJobError) as caught:
        control.create(request(service))

    assert message.rstrip(".") in str(caught.value)
    assert hint in str(caught.value)
    assert caught.value.code == "AccessDeniedException"
    assert service.clock.slept == []


def test_a_message_that_is_not_known_is_passed_on() -> None:
    """Where there is no advice none is made up."""
    assert hint_for("Something new") is None


def test_a_failed_job_is_an_error_with_its_reason() -> None:
    """Why a job has failed is said in Bedrock's words, with the job and the fix."""
    state = JobState("arn:x/abc", "nightly-0", "Failed", "Could not validate ListBucket for x")

    error = job_failure(state)

    assert str(error).startswith("Job nightly-0 is Failed: Could not validate ListBucket for x.")
    assert "s3:GetObject" in str(error)
    assert (error.job_arn, error.status) == ("arn:x/abc", "Failed")
    assert str(job_failure(state._replace(status="Expired", message=""))) == (
        "Job nightly-0 is Expired: Bedrock says no more."
    )


def test_a_job_is_found_by_its_name_alone(make: Make) -> None:
    """A job is found by its whole name, among others whose names contain it."""
    service, _, control = make(pace=SLOW)
    control.create(request(service, "nightly-0"))
    wanted = control.create(request(service, "nightly"))
    control.create(request(service, "my-nightly"))

    found = control.find("nightly")

    assert found is not None
    assert found.arn == wanted
    assert found.input_uri == f"s3://{service.bucket}/in/0.jsonl"
    assert control.find("night") is None


def test_lists_have_all_pages_once_newest_first(make: Make) -> None:
    """Many jobs are listed over several pages, each once, also when a page fails."""
    service, client, control = make(pace=SLOW)
    made = []
    for number in range(7):
        made.append(control.create(request(service, f"nightly-{number}")))
        service.clock.sleep(1)
    listing = client.__getattr__("list_model_invocation_jobs")
    client.fail("list_model_invocation_jobs", service_says("ThrottlingException", 429))
    client.__dict__["list_model_invocation_jobs"] = lambda **asked: listing(
        **{**asked, "maxResults": 3}
    )

    assert [state.arn for state in control.list("nightly-")] == made[::-1]

    middle = control.get(made[3]).submitted_at
    assert {state.arn for state in control.list(since=middle)} <= set(made[3:])
    assert list(control.list("weekly")) == []


def test_questions_are_asked_again_for_some_minutes(make: Make) -> None:
    """A question that goes on failing is an error after some minutes."""
    service, client, control = make()
    arn = control.create(request(service))
    client.fail("get_model_invocation_job", no_connection(), *[lost_answer()] * 3)

    assert control.get(arn).name == "nightly-0"

    client.fail("get_model_invocation_job", *[service_says("InternalServerException", 500)] * 99)
    with pytest.raises(BatchJobError, match="InternalServerException") as caught:
        control.get(arn)
    assert caught.value.job_arn == arn


def test_stopping_is_done_once(make: Make) -> None:
    """A running job is stopped; stopping it again, or one that is over, is no error."""
    service, _, control = make(pace=SLOW)
    running = control.create(request(service))
    service.clock.sleep(110)

    control.stop(running)
    control.stop(running)
    assert control.get(running).status == "Stopping"
    service.clock.sleep(100)
    assert control.get(running).status == "Stopped"
    control.stop(running)


def test_a_job_that_can_not_be_stopped_is_an_error(make: Make) -> None:
    """A refusal that is not about the job's end is raised."""
    service, client, control = make(pace=SLOW)
    arn = control.create(request(service))
    client.fail("stop_model_invocation_job", service_says("ConflictException"))
    with pytest.raises(BatchJobError, match="ConflictException"):
        control.stop(arn)

    with pytest.raises(BatchJobError, match="ResourceNotFoundException"):
        control.stop(arn[:-4] + "aaaa")
