"""S3's transfers over real connections that break, and errors as botocore really raises them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from uuid import uuid4

import pytest
from botocore.config import Config

from langchain_bedrock_opt import BedrockEmulator
from langchain_bedrock_opt.batching.jobs.collecting import Collector
from langchain_bedrock_opt.batching.jobs.download import read_lines
from langchain_bedrock_opt.batching.jobs.folder import S3Folder
from langchain_bedrock_opt.batching.parts import record_id
from langchain_bedrock_opt.emulator import S3Fault
from langchain_bedrock_opt.errors import BatchStorageError

MIB = 1024**2


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def folder(served: BedrockEmulator, slept: list[float]) -> Iterator[S3Folder]:
    """A folder over HTTP, by a client that does not try again by itself."""
    s3 = served.client("s3", config=Config(retries={"total_max_attempts": 1}))
    bucket = f"http-{uuid4().hex}"
    s3.create_bucket(Bucket=bucket)
    yield S3Folder(s3, f"s3://{bucket}/run/", sleep=slept.append)
    served.s3_faults.clear()
    s3.close()


def test_a_download_survives_cut_connections(
    served: BedrockEmulator, folder: S3Folder, slept: list[float]
) -> None:
    """Answers that break off anywhere, and S3 slowing down, cost no line and repeat none."""
    source = random.Random(1)
    lines = [source.randbytes(size).replace(b"\n", b"-") for size in (100, 3 * MIB, 0, 900_000, 7)]
    with folder.upload("out") as upload:
        for line in lines:
            upload.write(line)
    for cut_at in (0, 1, 100, 700_000, 1_500_000):
        served.s3_faults.add(S3Fault(operation="GetObject", cut_at=cut_at))
    served.s3_faults.add(S3Fault(operation="GetObject", code="SlowDown"))
    served.s3_faults.add(S3Fault(operation="HeadObject", code="InternalError"))

    assert [line.data for line in read_lines(folder, "out")] == lines
    assert len(slept) == 7


def test_an_upload_survives_lost_answers(
    served: BedrockEmulator, folder: S3Folder, slept: list[float]
) -> None:
    """Parts, and the end of an upload, whose answers are lost are in the object once."""
    for operation in ("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"):
        served.s3_faults.add(S3Fault(operation=operation, is_lost=True))
    lines = [bytes([65 + number]) * 9 * MIB for number in range(2)]

    with folder.upload("input.jsonl") as upload:
        for line in lines:
            upload.write(line)

    assert [line.data for line in read_lines(folder, "input.jsonl")] == lines
    assert len(slept) == 3


def test_a_lost_answer_to_a_first_write_does_no_harm(
    served: BedrockEmulator, folder: S3Folder
) -> None:
    """If the answer to a first write is lost, what is there is what was written."""
    served.s3_faults.add(S3Fault(operation="PutObject", is_lost=True))

    written = folder.put_json("run.json", {"version": 1}, if_absent=True)

    assert not written
    assert folder.get_json("run.json") == {"version": 1}


def test_denied_calls_name_the_permission(served: BedrockEmulator, folder: S3Folder) -> None:
    """What botocore raises for a 403, with and without a body, names the permission."""
    for operation in ("PutObject", "HeadObject", "ListObjectsV2"):
        served.s3_faults.add(S3Fault(operation=operation, code="AccessDenied"))

    with pytest.raises(BatchStorageError, match="allow s3:PutObject"):
        folder.put_json("run.json", {})
    with pytest.raises(BatchStorageError, match="allow s3:GetObject and s3:ListBucket"):
        folder.exists("run.json")
    with pytest.raises(BatchStorageError, match="allow s3:ListBucket"):
        list(folder.list())


def test_answers_are_collected_over_connections_that_break(
    served: BedrockEmulator, folder: S3Folder
) -> None:
    """A job's output is joined in order while listings, reads and the manifest fail at first."""
    places = list(range(300))
    random.Random(2).shuffle(places)
    with folder.upload("0.jsonl.out") as upload:
        for place in places:
            output = f'{{"answer": {place}}}'
            upload.write(f'{{"recordId": "{record_id(place)}", "modelOutput": {output}}}'.encode())
    served.s3_faults.add(S3Fault(operation="ListObjectsV2", code="SlowDown"))
    served.s3_faults.add(S3Fault(operation="GetObject", key="*.out", cut_at=5000, times=2))
    served.s3_faults.add(S3Fault(operation="GetObject", key="*manifest.json.out", code="SlowDown"))
    collector = Collector(folder, range(300))

    answers = list(collector)

    assert [answer.output for answer in answers] == [b'{"answer": %d}' % n for n in range(300)]
    assert collector.report().success == 300
