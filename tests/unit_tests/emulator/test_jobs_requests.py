"""What the local Bedrock checks of a job, and how jobs are found again."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from botocore.exceptions import ClientError

from langchain_bedrock_opt.emulator import JobPace, JobQuotas, JobSettings
from langchain_bedrock_opt.errors import EmulatorError
from tests.batch_service import NOON, SLOW, BatchService, make_batch_service, records


def refusal(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    said = error.value.response["Error"]
    return said["Code"], said["Message"]


@pytest.mark.parametrize(
    ("quotas", "lines", "reason"),
    [
        ({}, records(4), "fewer than the minimum of 5"),
        ({"max_records": 6}, records(7), "more than the maximum of 6 for a job"),
        ({"max_file_records": 6}, records(7), "more than the maximum of 6 for a file"),
        ({"max_file_bytes": 100}, records(7), "more than the maximum of 100"),
        ({"max_job_bytes": 100}, records(7), "more than the maximum of 100 for a job"),
        ({}, [*records(5), "{"], "line 6 of the file a.jsonl is not a record"),
        ({}, [*records(5), '{"recordId": "x"}'], "line 6 of the file a.jsonl is not a record"),
        ({}, [], "fewer than the minimum"),
    ],
)
def test_input_is_validated(quotas: dict[str, int], lines: list[Any], reason: str) -> None:
    """A job whose input breaks a quota, or is no JSON, fails and says why."""
    service = make_batch_service(quotas=quotas)
    service.put("in/a.jsonl", lines)

    job = service.get(service.create())

    assert job["status"] == "Failed"
    assert reason in job["message"]
    assert service.keys("out/") == []


def test_storage_is_validated(batch_service: BatchService) -> None:
    """A job fails if its input is nowhere, or its buckets are not there."""
    batch_service.put("in/a.jsonl", records(5))
    nowhere = {"s3InputDataConfig": {"s3Uri": "s3://no-such-bucket-at-all/in/"}}
    nothing = {"s3InputDataConfig": {"s3Uri": f"s3://{batch_service.bucket}/other/"}}
    no_output = {"s3OutputDataConfig": {"s3Uri": "s3://no-such-bucket-at-all/"}}

    messages = [
        batch_service.get(batch_service.create(f"job-{number}", **change))["message"]
        for number, change in enumerate(
            (
                {"inputDataConfig": nowhere},
                {"inputDataConfig": nothing},
                {"outputDataConfig": no_output},
            )
        )
    ]

    assert "Could not validate ListBucket permissions" in messages[0]
    assert "no .jsonl file" in messages[1]
    assert "Could not validate PutObject permissions" in messages[2]


def test_buckets_are_in_the_job_s_region() -> None:
    """A job fails whose bucket is in another region; where both are in one it is done."""
    service = make_batch_service(region="eu-west-1")
    service.put("in/a.jsonl", records(5))
    abroad = make_batch_service(region="eu-central-1").bucket
    model = "amazon.nova-lite-v1:0"

    home = service.get(service.create(modelId=model))
    away = service.get(
        service.create(
            "job-2",
            modelId=model,
            outputDataConfig={"s3OutputDataConfig": {"s3Uri": f"s3://{abroad}/out/"}},
        )
    )

    assert home["status"] == "Completed"
    assert home["jobArn"].split(":")[3] == "eu-west-1"
    assert away["status"] == "Failed"
    assert f"{abroad} is in eu-central-1" in away["message"]


@pytest.mark.parametrize(
    "change",
    [
        {"jobName": "under_score"},
        {"roleArn": "arn:aws:iam::123456789012:user/me"},
        {"clientRequestToken": "with blank"},
        {"timeoutDurationInHours": 169},
        {"inputDataConfig": {"s3InputDataConfig": {"s3Uri": "s3://bucket/dt=2026/"}}},
        {"outputDataConfig": {"s3OutputDataConfig": {"s3Uri": "s3://bucket/a b/"}}},
        {"modelId": "no-such-model"},
        {
            "modelId": "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdef123456",
        },
    ],
)
def test_requests_are_validated(batch_service: BatchService, change: dict[str, Any]) -> None:
    """A name, role, token, timeout, URI or model that Bedrock refuses is refused at once."""
    with pytest.raises(ClientError) as error:
        batch_service.create(change.pop("jobName", "job-1"), **change)

    assert refusal(error)[0] == "ValidationException"
    assert batch_service.emulator.jobs.list() == ()


def test_a_token_makes_one_job(batch_service: BatchService) -> None:
    """The same clientRequestToken gives the same job, whatever else is asked."""
    first = batch_service.create(clientRequestToken="abc")

    assert batch_service.create(clientRequestToken="abc") == first
    assert batch_service.create("job-2", clientRequestToken="def") != first
    assert len(batch_service.emulator.jobs.list()) == 2


def test_tokens_may_be_forgotten() -> None:
    """A token that the service no longer remembers makes another job, or a conflict of names."""
    service = make_batch_service(jobs={"token_seconds": 60.0})
    first = service.create(clientRequestToken="abc")
    service.clock.sleep(61)

    with pytest.raises(ClientError) as error:
        service.create(clientRequestToken="abc")

    assert refusal(error)[0] == "ConflictException"
    assert service.create("job-2", clientRequestToken="abc") != first


@pytest.mark.parametrize(
    ("taken_name", "code"),
    [("conflict", "ConflictException"), ("validation", "ValidationException")],
)
def test_names_are_unique(taken_name: str, code: str) -> None:
    """A name that another job has is refused, as the settings say."""
    service = make_batch_service(jobs={"taken_name": taken_name})
    service.create()

    with pytest.raises(ClientError) as error:
        service.create()

    assert refusal(error) == (code, "The provided job name is currently in use.")


def test_names_may_be_allowed_twice() -> None:
    """With names that need not be unique, each call makes a job."""
    service = make_batch_service(jobs={"taken_name": "allowed"})

    assert service.create() != service.create()


def test_running_jobs_are_limited() -> None:
    """Too many unfinished jobs of one model are refused; an ended one makes room."""
    service = make_batch_service(pace=SLOW, quotas={"max_running": 2})
    service.put("in/a.jsonl", records(5))
    for number in range(2):
        service.create(f"job-{number}")

    with pytest.raises(ClientError) as error:
        service.create("job-2")
    other = service.create("job-3", modelId="amazon.nova-micro-v1:0")
    service.clock.sleep(300)

    assert refusal(error)[0] == "ServiceQuotaExceededException"
    assert other
    assert service.create("job-4")


def test_jobs_are_listed() -> None:
    """A list filters by status, name and time, and goes on by pages."""
    service = make_batch_service(pace=SLOW)
    service.put("in/a.jsonl", records(5))
    for number in range(5):
        service.create(f"nightly-{number}")
        service.clock.sleep(100)
    service.create("other")

    def names(**filters: Any) -> list[str]:
        answer = service.bedrock.list_model_invocation_jobs(**filters)
        return [job["jobName"] for job in answer["invocationJobSummaries"]]

    third = datetime.fromtimestamp(NOON + 200, timezone.utc)
    assert names(nameContains="nightly", sortOrder="Descending")[0] == "nightly-4"
    assert names(submitTimeAfter=third) == ["nightly-3", "nightly-4", "other"]
    assert names(submitTimeBefore=third) == ["nightly-0", "nightly-1"]
    assert names(statusEquals="Completed") == ["nightly-0", "nightly-1", "nightly-2"]
    pages = service.bedrock.get_paginator("list_model_invocation_jobs").paginate(
        PaginationConfig={"PageSize": 2}
    )
    found = [job["jobName"] for page in pages for job in page["invocationJobSummaries"]]
    assert found == [f"nightly-{number}" for number in range(5)] + ["other"]


def test_a_list_tells_what_get_tells() -> None:
    """A job's summary in a list has the same status, counts and times as Get."""
    service = make_batch_service(pace=SLOW)
    service.put("in/a.jsonl", records(10))
    arn = service.create()
    service.clock.sleep(200)

    told = service.get(arn)
    listed = service.bedrock.list_model_invocation_jobs()["invocationJobSummaries"][0]

    del told["ResponseMetadata"]
    assert listed == told


def test_unknown_jobs_are_not_found(batch_service: BatchService) -> None:
    """A job that nobody made is ResourceNotFoundException."""
    with pytest.raises(ClientError) as error:
        batch_service.get(
            "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/aaaaaaaaaaaa"
        )

    assert refusal(error)[0] == "ResourceNotFoundException"


def test_settings_are_checked() -> None:
    """A pace, a quota or a name rule that can't be is refused at once."""
    with pytest.raises(EmulatorError, match="running is -1"):
        JobPace(running=-1)
    with pytest.raises(EmulatorError, match="max_records is -1"):
        JobQuotas(max_records=-1)
    with pytest.raises(EmulatorError, match="taken_name='no'"):
        JobSettings(taken_name="no")  # type: ignore[arg-type]
