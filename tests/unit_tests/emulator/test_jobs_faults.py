"""Faults of invocation jobs: each goes wrong in the one way that was planned."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any, Literal

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_bedrock_opt.emulator import Fault, JobFault, OutputFault
from langchain_bedrock_opt.errors import EmulatorError
from tests.batch_service import SLOW, BatchService, make_batch_service, records

ONCE = Config(retries={"total_max_attempts": 1})
IDS = [record["recordId"] for record in records(10)]


def run(service: BatchService, *faults: JobFault | OutputFault) -> dict[str, Any]:
    """Run a job of ten records that something is wrong with."""
    for fault in faults:
        service.emulator.jobs.faults.add(fault)
    service.put("in/a.jsonl", records(10))
    return service.get(service.create())


def ids(service: BatchService, job: dict[str, Any]) -> list[str | None]:
    return [line.get("recordId") for line in service.output(job["jobArn"])]


def raw(service: BatchService, job: dict[str, Any]) -> bytes:
    return service.read(f"out/{job['jobArn'].rpartition('/')[2]}/a.jsonl.out")


def test_lines_can_be_shuffled(batch_service: BatchService) -> None:
    """Shuffled output has every record, in another order."""
    job = run(batch_service, OutputFault(shuffle=True))

    assert ids(batch_service, job) != IDS
    assert sorted(map(str, ids(batch_service, job))) == IDS


def test_lines_can_be_missing(batch_service: BatchService) -> None:
    """Dropped records are missing, though the job is Completed and its counts say all."""
    job = run(batch_service, OutputFault(drop=[0, 9]))

    assert ids(batch_service, job) == IDS[1:-1]
    assert (job["status"], job["successRecordCount"]) == ("Completed", 10)


def test_lines_can_be_there_twice(batch_service: BatchService) -> None:
    """Duplicated records have two lines."""
    job = run(batch_service, OutputFault(duplicate=3))

    assert sorted(Counter(ids(batch_service, job)).values()) == [1] * 7 + [2] * 3


def test_lines_can_be_strangers(batch_service: BatchService) -> None:
    """Unknown ids come besides those of all records."""
    job = run(batch_service, OutputFault(unknown=2))

    assert len(ids(batch_service, job)) == 12
    assert len(set(ids(batch_service, job)) - set(IDS)) == 2


def test_lines_can_have_no_id(batch_service: BatchService) -> None:
    """Nameless lines carry an answer and no `recordId`."""
    job = run(batch_service, OutputFault(nameless=4))

    assert ids(batch_service, job).count(None) == 4


def test_lines_can_be_broken(batch_service: BatchService) -> None:
    """Broken lines are no JSON; the others are as they should be."""
    job = run(batch_service, OutputFault(broken=[2]))

    lines = raw(batch_service, job).splitlines()
    assert len(lines) == 10
    with pytest.raises(json.JSONDecodeError):
        json.loads(lines[2])
    assert [json.loads(line)["recordId"] for line in lines[:2] + lines[3:]] == IDS[:2] + IDS[3:]


def test_files_can_be_cut() -> None:
    """Bytes are missing at the end or in the middle of a file, and nowhere else."""
    services = [make_batch_service() for _ in range(3)]
    whole, tail, middle = (
        raw(service, run(service, fault))
        for service, fault in zip(
            services,
            (OutputFault(), OutputFault(cut_tail=30), OutputFault(cut_middle=30)),
            strict=True,
        )
    )

    assert tail == whole[:-30]
    half = len(whole) // 2
    assert middle == whole[:half] + whole[half + 30 :]


@pytest.mark.parametrize("code", [429, "500"])
@pytest.mark.parametrize("in_output", [False, True])
def test_records_can_fail(code: int | str, in_output: bool) -> None:  # noqa: FBT001 - a parameter
    """Failing records have their error where it was planned, and count as errors."""
    service = make_batch_service()
    fault = OutputFault(errors=3, error_code=code, error_message="no", errors_in_output=in_output)

    job = run(service, fault)

    output = service.output(job["jobArn"])
    where = "modelOutput" if in_output else "error"
    errors = [line[where] for line in output if "errorCode" in line.get(where, {})]
    assert errors == [{"errorCode": code, "errorMessage": "no"}] * 3
    assert (job["successRecordCount"], job["errorRecordCount"]) == (7, 3)


def test_all_records_can_fail(batch_service: BatchService) -> None:
    """A job may be Completed with errors only."""
    job = run(batch_service, OutputFault(errors="all"))

    assert (job["status"], job["errorRecordCount"]) == ("Completed", 10)


@pytest.mark.parametrize(
    ("status", "lines"),
    [("PartiallyCompleted", 5), ("Stopped", 5), ("Failed", 0), ("Expired", 0), ("Completed", 10)],
)
def test_jobs_can_end_otherwise(status: str, lines: int) -> None:
    """A job ends with the planned status, and with as much output as is usual for it."""
    service = make_batch_service()

    job = run(service, JobFault(status=status, message="because"))

    assert (job["status"], job["message"]) == (status, "because")
    assert len(service.output(job["jobArn"])) == job["processedRecordCount"] == lines


@pytest.mark.parametrize("status", ["Failed", "Expired", "Stopped", "Completed"])
def test_jobs_can_end_with_some_output(status: str) -> None:
    """A job that ends badly may have output of what it has processed."""
    service = make_batch_service()

    job = run(service, JobFault(status=status, processed=3))

    assert (job["status"], len(service.output(job["jobArn"]))) == (status, 3)


def test_output_can_be_late(batch_service: BatchService) -> None:
    """Output appears so many seconds after the job has ended, for whoever looks into S3."""
    job = run(batch_service, JobFault(output_after=60))

    before = batch_service.keys("out/")
    batch_service.clock.sleep(60)

    assert (job["status"], before) == ("Completed", [])
    assert ids(batch_service, job) == IDS


def test_output_can_be_missing(batch_service: BatchService) -> None:
    """Output may never come though the job is Completed."""
    job = run(batch_service, JobFault(output_after=math.inf))

    batch_service.clock.sleep(1e6)

    assert (job["status"], batch_service.keys("out/")) == ("Completed", [])


def test_output_can_be_deleted(batch_service: BatchService) -> None:
    """A lifecycle rule deletes the output so many seconds after the end, and nothing else."""
    job = run(batch_service, JobFault(output_for=3600))

    before = len(batch_service.output(job["jobArn"]))
    batch_service.clock.sleep(3600)

    assert (before, batch_service.keys()) == (10, ["in/a.jsonl"])


def test_unknown_statuses_pass() -> None:
    """A status nobody knows is told for a while; after it the job goes on as usual."""
    service = make_batch_service(pace=SLOW)
    service.emulator.jobs.faults.add(JobFault(shown_status="Preparing", shown_looks=2))
    service.put("in/a.jsonl", records(10))
    arn = service.create()

    told = []
    for _ in range(3):
        told.append(service.get(arn)["status"])
        service.clock.sleep(1)

    assert told == ["Preparing", "Preparing", "Submitted"]


def test_counts_can_be_zero_wrong_or_missing() -> None:
    """Get and the manifest can each tell counts that are not so."""
    kinds: tuple[Literal["zero", "wrong", "missing"], ...] = ("zero", "wrong", "missing")
    for kind in kinds:
        service = make_batch_service()
        job = run(service, JobFault(counts=kind, manifest=kind))
        keys = [key for key in service.keys("out/") if key.endswith("manifest.json.out")]
        manifest = json.loads(service.read(keys[0])) if keys else {}

        for told in (job, manifest):
            assert {
                "zero": told.get("successRecordCount") == 0,
                "wrong": told.get("successRecordCount", 0) > told.get("totalRecordCount", 0),
                "missing": "successRecordCount" not in told,
            }[kind]
        assert len(service.output(job["jobArn"])) == 10


def test_answers_to_creations_can_be_lost() -> None:
    """A creation whose answer is lost has made its job; the same token finds it."""
    for lost_as, error in (("error", ClientError), ("connection", ConnectionClosedError)):
        service = make_batch_service()
        bedrock = service.emulator.client("bedrock", config=ONCE)
        service.emulator.jobs.faults.add(
            JobFault(lost_answers=1, lost_as=lost_as)  # type: ignore[arg-type] # the parameters
        )
        service.put("in/a.jsonl", records(5))
        request = {
            "jobName": "job-1",
            "clientRequestToken": "abc",
            "roleArn": service.role_arn,
            "modelId": "amazon.nova-lite-v1:0",
            "inputDataConfig": {"s3InputDataConfig": {"s3Uri": f"s3://{service.bucket}/in/"}},
            "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": f"s3://{service.bucket}/o/"}},
        }

        with pytest.raises(error):
            bedrock.create_model_invocation_job(**request)
        arn = bedrock.create_model_invocation_job(**request)["jobArn"]

        assert [job.arn for job in service.emulator.jobs.list()] == [arn]


def test_botocore_survives_a_lost_answer(batch_service: BatchService) -> None:
    """With botocore's retries one call makes one job, though its first answer is lost."""
    batch_service.emulator.jobs.faults.add(JobFault(lost_answers=1, lost_as="connection"))

    arn = batch_service.create()

    assert [job.arn for job in batch_service.emulator.jobs.list()] == [arn]


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("CreateModelInvocationJob", "ThrottlingException"),
        ("CreateModelInvocationJob", "ServiceQuotaExceededException"),
        ("CreateModelInvocationJob", "AccessDeniedException"),
        ("GetModelInvocationJob", "InternalServerException"),
        ("GetModelInvocationJob", "ExpiredTokenException"),
        ("ListModelInvocationJobs", "ThrottlingException"),
        ("StopModelInvocationJob", "ThrottlingException"),
    ],
)
def test_calls_can_fail(operation: str, code: str) -> None:
    """The four operations fail by the faults that all operations have, and make no job then."""
    service = make_batch_service()
    service.put("in/a.jsonl", records(5))
    arn = "" if operation.startswith("Create") else service.create()
    service.emulator.faults.add(Fault(code=code, operation=operation))
    client = service.emulator.client("bedrock", config=ONCE)
    calls: dict[str, Any] = {
        "CreateModelInvocationJob": lambda: client.create_model_invocation_job(
            jobName="job-1",
            roleArn=service.role_arn,
            modelId="amazon.nova-lite-v1:0",
            inputDataConfig={"s3InputDataConfig": {"s3Uri": f"s3://{service.bucket}/in/"}},
            outputDataConfig={"s3OutputDataConfig": {"s3Uri": f"s3://{service.bucket}/out/"}},
        ),
        "GetModelInvocationJob": lambda: client.get_model_invocation_job(jobIdentifier=arn),
        "ListModelInvocationJobs": client.list_model_invocation_jobs,
        "StopModelInvocationJob": lambda: client.stop_model_invocation_job(jobIdentifier=arn),
    }

    with pytest.raises(ClientError) as error:
        calls[operation]()

    assert error.value.response["Error"]["Code"] == code
    assert len(service.emulator.jobs.list()) == bool(arn)


def test_faults_are_for_jobs_by_name(batch_service: BatchService) -> None:
    """A fault is about jobs whose names fit its pattern, so many times; `clear` forgets it."""
    faults = batch_service.emulator.jobs.faults
    faults.add(JobFault(job="nightly-*", status="Failed", times=1))
    faults.add(JobFault(job="last", status="Failed"))
    batch_service.put("in/a.jsonl", records(5))

    status = [
        batch_service.get(batch_service.create(name))["status"]
        for name in ("other", "nightly-1", "nightly-2")
    ]
    faults.clear()

    assert status == ["Completed", "Failed", "Completed"]
    assert batch_service.get(batch_service.create("last"))["status"] == "Completed"


def test_faults_are_checked() -> None:
    """A fault that can't be is refused at once."""
    for wrong in (
        {"status": "Finished"},
        {"counts": "odd"},
        {"manifest": "odd"},
        {"lost_as": "smoke"},
    ):
        with pytest.raises(EmulatorError, match="is none of"):
            JobFault(**wrong)  # type: ignore[arg-type] # that is the point
    with pytest.raises(EmulatorError, match="processed is -1"):
        JobFault(processed=-1)
    with pytest.raises(EmulatorError, match="drop is -1"):
        OutputFault(drop=-1)


@given(
    drop=st.integers(0, 12),
    duplicate=st.integers(0, 12),
    unknown=st.integers(0, 3),
    nameless=st.integers(0, 12),
    shuffle=st.booleans(),
    seed=st.integers(0, 5),
)
@settings(deadline=None, max_examples=25)
def test_what_is_there_is_right(**faults: Any) -> None:
    """Whatever is wrong with output at once, a line with a record's id has its own answer."""
    service = make_batch_service()

    job = run(service, OutputFault(**faults))

    asked = {record["recordId"]: record["modelInput"] for record in records(10)}
    lines = service.output(job["jobArn"])
    kept = 10 - min(faults["drop"], 10)
    assert len({line["recordId"] for line in lines if line.get("recordId") in asked}) <= kept
    for line in lines:
        if line.get("recordId") in asked:
            assert line["modelInput"] == asked[line["recordId"]]
            question = asked[line["recordId"]]["messages"][0]["content"][0]["text"]
            said = line["modelOutput"]["output"]["message"]["content"][0]["text"]
            assert question.rstrip("?") in said
