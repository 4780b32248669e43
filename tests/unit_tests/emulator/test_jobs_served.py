"""Invocation jobs over HTTP: other processes and several threads use them like one's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from langchain_bedrock_opt.emulator import Fault, JobFault, JobSettings
from langchain_bedrock_opt.errors import MissingExtraError
from tests.batch_service import BatchService, make_batch_service, records

CHILD = """
import json, os, sys
import boto3
s3, bedrock = boto3.client("s3"), boto3.client("bedrock")
bucket = sys.argv[1]
lines = [json.dumps(record) for record in json.load(sys.stdin)]
s3.put_object(Bucket=bucket, Key="in/a.jsonl", Body="\\n".join(lines))
arn = bedrock.create_model_invocation_job(
    jobName="child", roleArn=sys.argv[2], modelId="amazon.nova-lite-v1:0",
    modelInvocationType="Converse",
    inputDataConfig={"s3InputDataConfig": {"s3Uri": f"s3://{bucket}/in/"}},
    outputDataConfig={"s3OutputDataConfig": {"s3Uri": f"s3://{bucket}/out/"}},
)["jobArn"]
print(arn, flush=True)
os._exit(9)
"""


def test_a_killed_process_leaves_its_job(batch_service: BatchService) -> None:
    """A job that a process made before it was killed is there for the next one."""
    with batch_service.emulator as served:
        child = subprocess.run(
            [
                sys.executable,
                "-W",
                "ignore",
                "-c",
                CHILD,
                batch_service.bucket,
                batch_service.role_arn,
            ],
            input=json.dumps(records(6)),
            env={**os.environ, **served.environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        s3, bedrock = served.client("s3"), served.client("bedrock")
        arn = bedrock.list_model_invocation_jobs(nameContains="child")["invocationJobSummaries"][0][
            "jobArn"
        ]
        status = bedrock.get_model_invocation_job(jobIdentifier=arn)["status"]
        key = f"out/{arn.rpartition('/')[2]}/a.jsonl.out"
        output = s3.get_object(Bucket=batch_service.bucket, Key=key)["Body"].read()

    assert (child.returncode, child.stdout.strip()) == (9, arn), child.stderr
    assert status == "Completed"
    assert len(output.splitlines()) == 6


def test_a_lost_answer_breaks_the_connection(batch_service: BatchService) -> None:
    """Over HTTP, too, a creation whose answer is lost ends with a closed connection."""
    batch_service.emulator.jobs.faults.add(JobFault(lost_answers=1, lost_as="connection"))
    with batch_service.emulator as served:
        bedrock = served.client("bedrock", config=Config(retries={"total_max_attempts": 1}))

        with pytest.raises(ConnectionClosedError):
            bedrock.create_model_invocation_job(
                jobName="job-1",
                roleArn=batch_service.role_arn,
                modelId="amazon.nova-lite-v1:0",
                inputDataConfig={"s3InputDataConfig": {"s3Uri": f"s3://{batch_service.bucket}/i/"}},
                outputDataConfig={
                    "s3OutputDataConfig": {"s3Uri": f"s3://{batch_service.bucket}/out/"}
                },
            )

    assert [job.name for job in batch_service.emulator.jobs.list()] == ["job-1"]
    assert batch_service.emulator.journal.calls("CreateModelInvocationJob")[0].status == 0


def test_threads_make_one_job_of_a_token(batch_service: BatchService) -> None:
    """Calls with one token at the same time make one job, and its records are run once."""
    batch_service.put("in/a.jsonl", records(50))

    def create_and_get(_number: int) -> tuple[str, str]:
        arn = batch_service.create(clientRequestToken="abc")
        return arn, batch_service.get(arn)["status"]

    with ThreadPoolExecutor(8) as pool:
        seen = set(pool.map(create_and_get, range(16)))

    assert seen == {(batch_service.emulator.jobs.list()[0].arn, "Completed")}
    assert batch_service.emulator.jobs.records == 50


def test_large_output_is_written_in_parts() -> None:
    """Output of more than 8 MiB goes to S3 in parts and is whole, line for line."""
    service = make_batch_service()
    filler = "lorem ipsum " * 20_000
    lines = records(40)
    for line in lines:
        line["modelInput"]["system"] = [{"text": filler}]
    service.put("in/a.jsonl", lines)

    arn = service.create(modelId="amazon.nova-pro-v1:0")
    job = service.get(arn)

    key = f"out/{arn.rpartition('/')[2]}/a.jsonl.out"
    head = service.s3.head_object(Bucket=service.bucket, Key=key)
    assert head["ContentLength"] > 8 << 20
    assert head["ETag"].rstrip('"').endswith("-2")
    assert job["processedRecordCount"] == 40
    assert [line["recordId"] for line in service.output(arn)] == [
        line["recordId"] for line in lines
    ]


def test_a_failing_responder_is_loud_and_loses_nothing() -> None:
    """An error of the responder itself reaches whoever looks; the next look goes on from there."""

    class Shaky:
        def __init__(self) -> None:
            self.calls = 0

        def reply(self, request: Any) -> Any:
            from langchain_bedrock_opt.emulator import Reply

            self.calls += 1
            if self.calls == 3:
                raise RuntimeError("a bug in a test's responder")
            return Reply(content=({"text": "ok"},), output_tokens=1)

    service = make_batch_service(responder=Shaky())
    service.put("in/a.jsonl", records(6))
    arn = service.create()

    with pytest.raises(RuntimeError, match="a bug"):
        service.get(arn)

    assert service.get(arn)["successRecordCount"] == 6
    assert len(service.output(arn)) == 6


def test_jobs_need_moto(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without moto a job says which extra brings S3."""
    service = make_batch_service()
    arn = service.create()
    monkeypatch.setitem(sys.modules, "flask", None)

    with pytest.raises(MissingExtraError, match=r"langchain-bedrock-opt\[local\]"):
        service.get(arn)


def test_throttled_creation_is_retried_by_botocore() -> None:
    """A creation that is throttled once is one job in the end."""
    service = make_batch_service(sleep=lambda _seconds: None)
    service.emulator.faults.add(Fault(code="ThrottlingException", times=1, retry_after=0))

    service.create()

    calls = service.emulator.journal.calls("CreateModelInvocationJob")
    assert [call.error_code for call in calls] == ["ThrottlingException", None]
    assert len(service.emulator.jobs.list()) == 1


def test_the_default_clock_is_the_wall() -> None:
    """Without settings, jobs are submitted now and obey Bedrock's own minimum."""
    service = make_batch_service(min_records=100)

    assert JobSettings().clock() > 1.7e9
    assert JobSettings().quotas.min_records == 100
    service.put("in/a.jsonl", records(99))
    with pytest.raises(ClientError):
        service.get("aaaaaaaaaaaa")
    assert "minimum of 100" in service.get(service.create())["message"]
