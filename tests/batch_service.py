"""Batch inference for tests: a local Bedrock with a bucket and a clock that only tests move."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from botocore.config import Config

from langchain_bedrock_opt.batching.parts import BatchSettings
from langchain_bedrock_opt.emulator import BedrockEmulator, JobPace, JobQuotas, JobSettings

ROLE_ARN = "arn:aws:iam::123456789012:role/bedrock-batch"
NOVA = "us.amazon.nova-lite-v1:0"
HAIKU = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
NOON = 1_795_348_800.0
"""2026-11-22, 12:00 UTC."""

SLOW = JobPace(submitted=10, validating=60, scheduled=30, running=200, stopping=20)
"""A job that takes five minutes, so that each status can be seen."""


class ManualClock:
    """Seconds since 1970 that pass only while somebody sleeps."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@dataclass(frozen=True, kw_only=True)
class BatchService:
    """A local Bedrock for invocation jobs, with clients and a bucket of its own."""

    emulator: BedrockEmulator
    clock: ManualClock
    bucket: str
    min_records: int
    bedrock: Any
    s3: Any
    runtime: Any
    role_arn: str = ROLE_ARN

    def impatient(self) -> Any:
        """A client of `bedrock` that does not try again by itself, which takes real seconds."""
        return self.emulator.client("bedrock", config=Config(retries={"total_max_attempts": 1}))

    def settings(self, **changes: Any) -> BatchSettings:
        """Settings of a run that this service accepts."""
        return BatchSettings(
            **{
                "s3_uri": f"s3://{self.bucket}/runs/",
                "role_arn": self.role_arn,
                "min_records": self.min_records,
                **changes,
            }
        )

    def put(self, key: str, lines: Iterable[Any]) -> str:
        """Write a `.jsonl` object of dicts, or of lines as they stand; its URI."""
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        self.s3.put_object(Bucket=self.bucket, Key=key, Body="\n".join(texts) + "\n")
        return f"s3://{self.bucket}/{key}"

    def read(self, key: str) -> bytes:
        """An object's bytes."""
        body: bytes = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return body

    def keys(self, prefix: str = "") -> list[str]:
        """The keys of the bucket."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]

    def create(self, name: str = "job-1", **changes: Any) -> str:
        """Create a job of `in/` whose output goes to `out/`; its ARN."""
        request = {
            "jobName": name,
            "roleArn": self.role_arn,
            "modelId": NOVA,
            "modelInvocationType": "Converse",
            "inputDataConfig": {"s3InputDataConfig": {"s3Uri": f"s3://{self.bucket}/in/"}},
            "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": f"s3://{self.bucket}/out/"}},
            **changes,
        }
        arn: str = self.bedrock.create_model_invocation_job(**request)["jobArn"]
        return arn

    def get(self, arn: str) -> dict[str, Any]:
        """What GetModelInvocationJob says."""
        job: dict[str, Any] = self.bedrock.get_model_invocation_job(jobIdentifier=arn)
        return job

    def output(self, arn: str) -> list[dict[str, Any]]:
        """The lines of a job's output, as they stand in its files."""
        keys = self.keys(f"out/{arn.rpartition('/')[2]}/")
        return [
            json.loads(line)
            for key in keys
            if key.endswith(".jsonl.out")
            for line in self.read(key).splitlines()
        ]


def make_batch_service(
    *,
    min_records: int = 5,
    pace: JobPace | None = None,
    quotas: Mapping[str, int] | None = None,
    jobs: Mapping[str, Any] | None = None,
    **emulator: Any,
) -> BatchService:
    """A service of a test's own.

    Args:
        min_records: Records that a job has at least.
        pace: How fast jobs are; by default each is over when it is first looked at.
        quotas: Other quotas of jobs.
        jobs: Other settings of jobs.
        emulator: Other arguments of the emulator.
    """
    clock = ManualClock()
    settings = JobSettings(
        clock=clock,
        pace=pace or JobPace(),
        quotas=JobQuotas(min_records=min_records, **(quotas or {})),
        **(jobs or {}),
    )
    local = BedrockEmulator(jobs=settings, **emulator)
    # moto's memory is the process's: a name of its own keeps tests apart.
    bucket = f"batch-{uuid4().hex}"
    s3 = local.client("s3")
    place = {"LocationConstraint": local.region}
    elsewhere = {} if local.region == "us-east-1" else {"CreateBucketConfiguration": place}
    s3.create_bucket(Bucket=bucket, **elsewhere)
    return BatchService(
        emulator=local,
        clock=clock,
        bucket=bucket,
        min_records=min_records,
        bedrock=local.client("bedrock"),
        s3=s3,
        runtime=local.client(),
    )


def records(count: int, **more: Any) -> list[dict[str, Any]]:
    """Converse records with ids from 0 on; `more` goes into each `modelInput`."""
    return [
        {
            "recordId": f"{place:011d}",
            "modelInput": {
                "messages": [{"role": "user", "content": [{"text": f"Question {place}?"}]}],
                **more,
            },
        }
        for place in range(count)
    ]


@pytest.fixture
def batch_service(aws_environment: None) -> BatchService:
    """A local Bedrock whose jobs take 5 records or more and are over when first looked at."""
    return make_batch_service()
