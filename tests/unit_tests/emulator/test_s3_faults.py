"""Faults of the S3 beside the local Bedrock, in process and over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    IncompleteReadError,
    ResponseStreamingError,
)

from langchain_bedrock_opt.emulator import BedrockEmulator, S3Fault
from langchain_bedrock_opt.errors import EmulatorError

ONCE = Config(retries={"total_max_attempts": 1})
DATA = bytes(range(256)) * 40


class Sleeper:
    """Remembers how long it was to sleep."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
def sleeper() -> Sleeper:
    return Sleeper()


@pytest.fixture(params=["in process", "over HTTP"])
def emulator(request: pytest.FixtureRequest, sleeper: Sleeper) -> Iterator[BedrockEmulator]:
    """A local Bedrock, by either front."""
    emulator = BedrockEmulator(sleep=sleeper)
    if request.param == "in process":
        yield emulator
        return
    with emulator:
        yield emulator


@pytest.fixture
def s3(emulator: BedrockEmulator) -> Any:
    """A client that does not try again."""
    return emulator.client("s3", config=ONCE)


@pytest.fixture
def bucket(s3: Any) -> str:
    """A bucket with one object, `a/b.out`."""
    name = f"faults-{uuid4().hex}"
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="a/b.out", Body=DATA)
    return name


def test_codes_are_answered(emulator: BedrockEmulator, s3: Any, bucket: str) -> None:
    """An operation on keys that fit fails with S3's code and status, so many times."""
    emulator.s3_faults.add(S3Fault(code="SlowDown", operation="GetObject", key="*.out", times=2))

    codes = []
    for _ in range(2):
        with pytest.raises(ClientError) as error:
            s3.get_object(Bucket=bucket, Key="a/b.out")
        response = error.value.response
        codes.append((response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]))

    assert codes == [("SlowDown", 503)] * 2
    assert s3.get_object(Bucket=bucket, Key="a/b.out")["Body"].read() == DATA


def test_others_are_left_alone(emulator: BedrockEmulator, s3: Any, bucket: str) -> None:
    """Other operations, other keys and other services are answered."""
    emulator.s3_faults.add(S3Fault(code="AccessDenied", operation="GetObject", key="z/*"))

    s3.head_object(Bucket=bucket, Key="a/b.out")
    s3.put_object(Bucket=bucket, Key="z/b.out", Body=b"")
    emulator.client("dynamodb").list_tables()
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.get_object(Bucket=bucket, Key="z/b.out")

    assert s3.get_object(Bucket=bucket, Key="z/b.out")["ContentLength"] == 0


def test_bodies_break_off(emulator: BedrockEmulator, s3: Any, bucket: str) -> None:
    """A body ends after so many bytes, and a range from there on gets the rest."""
    emulator.s3_faults.add(S3Fault(operation="GetObject", cut_at=1000))

    body = s3.get_object(Bucket=bucket, Key="a/b.out")["Body"]
    start = body.read(1000)
    with pytest.raises(IncompleteReadError):
        body.read(1)
    rest = s3.get_object(Bucket=bucket, Key="a/b.out", Range="bytes=1000-")["Body"].read()

    assert start + rest == DATA


def test_bodies_break_off_for_who_reads_them_whole(
    emulator: BedrockEmulator, s3: Any, bucket: str
) -> None:
    """Reading a body whole that ends too early is an error of the connection."""
    emulator.s3_faults.add(S3Fault(operation="GetObject", cut_at=1000))

    with pytest.raises(ResponseStreamingError):
        s3.get_object(Bucket=bucket, Key="a/b.out")["Body"].read()


def test_lists_break_off(emulator: BedrockEmulator, s3: Any, bucket: str) -> None:
    """A list that breaks off is no XML, which botocore takes for an internal error."""
    emulator.s3_faults.add(S3Fault(operation="ListObjectsV2", cut_at=50))

    with pytest.raises(ClientError, match="500"):
        s3.list_objects_v2(Bucket=bucket)


def test_answers_get_lost(emulator: BedrockEmulator, s3: Any, bucket: str) -> None:
    """A lost answer breaks the connection of a request that was carried out."""
    emulator.s3_faults.add(S3Fault(operation="PutObject", is_lost=True))

    with pytest.raises(ConnectionClosedError):
        s3.put_object(Bucket=bucket, Key="c", Body=b"C")

    assert s3.get_object(Bucket=bucket, Key="c")["Body"].read() == b"C"


def test_s3_can_be_slow(emulator: BedrockEmulator, s3: Any, bucket: str, sleeper: Sleeper) -> None:
    """A delay passes on the emulator's own sleep, and then comes the answer."""
    emulator.s3_faults.add(S3Fault(operation="HeadBucket", delay=7.5))

    s3.head_bucket(Bucket=bucket)

    assert sleeper.slept == [pytest.approx(7.5, abs=0.1)]


def test_operations_are_told_apart(emulator: BedrockEmulator, s3: Any, bucket: str) -> None:
    """Each request is counted under the name of its operation."""
    emulator.s3_faults.counts.clear()
    upload = {"Bucket": bucket, "Key": "big"}

    upload["UploadId"] = s3.create_multipart_upload(Bucket=bucket, Key="big")["UploadId"]
    s3.upload_part(**upload, PartNumber=1, Body=b"x")
    s3.list_parts(**upload)
    s3.list_multipart_uploads(Bucket=bucket)
    s3.abort_multipart_upload(**upload)
    s3.get_bucket_location(Bucket=bucket)
    s3.list_objects_v2(Bucket=bucket)
    s3.delete_object(Bucket=bucket, Key="big")

    assert emulator.s3_faults.counts == {
        "CreateMultipartUpload": 1,
        "UploadPart": 1,
        "ListParts": 1,
        "ListMultipartUploads": 1,
        "AbortMultipartUpload": 1,
        "GetBucketLocation": 1,
        "ListObjectsV2": 1,
        "DeleteObject": 1,
    }


def test_faults_can_be_forgotten(emulator: BedrockEmulator, s3: Any, bucket: str) -> None:
    """`clear` forgets all faults."""
    emulator.s3_faults.add(S3Fault(code="InternalError", times=None))
    emulator.s3_faults.clear()

    assert s3.head_object(Bucket=bucket, Key="a/b.out")["ContentLength"] == len(DATA)


@pytest.mark.parametrize(
    "wrong",
    [
        {"code": "Oops"},
        {"code": "SlowDown", "cut_at": 3},
        {"code": "SlowDown", "operation": "Get"},
        {"code": "SlowDown", "times": 0},
        {"cut_at": -1},
        {},
    ],
)
def test_faults_are_checked(wrong: dict[str, Any]) -> None:
    """A fault that can't be, or that does nothing, is refused at once."""
    with pytest.raises(EmulatorError):
        S3Fault(**wrong)
