"""Lines to S3 and back: parts, aborts, broken connections; not a byte lost or repeated."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import IncompleteReadError

from langchain_bedrock_opt.batching.jobs import download, upload
from langchain_bedrock_opt.batching.jobs.download import Line, read_lines
from langchain_bedrock_opt.batching.jobs.folder import S3Folder
from langchain_bedrock_opt.batching.jobs.upload import LineUpload
from langchain_bedrock_opt.errors import BatchStorageError
from tests.batch_service import BatchService, make_batch_service
from tests.faulty_clients import BreakingBody, FaultyClient, lost_answer, service_says

MIB = 1024**2


@pytest.fixture(scope="module")
def service() -> BatchService:
    return make_batch_service()


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def s3(service: BatchService) -> FaultyClient:
    return FaultyClient(service.s3)


@pytest.fixture
def folder(service: BatchService, s3: FaultyClient, slept: list[float]) -> S3Folder:
    return S3Folder(s3, f"s3://{service.bucket}/{uuid4().hex}/", sleep=slept.append)


def lines_of(seed: int, sizes: list[int]) -> list[bytes]:
    source = random.Random(seed)
    return [source.randbytes(size).replace(b"\n", b"-") for size in sizes]


def write(folder: S3Folder, lines: Iterable[bytes]) -> LineUpload:
    with folder.upload("0.jsonl") as upload:
        for line in lines:
            upload.write(line)
    return upload


def parts_left(service: BatchService) -> list[Any]:
    uploads: list[Any] = service.s3.list_multipart_uploads(Bucket=service.bucket).get("Uploads", [])
    return uploads


def test_a_small_object_is_one_put(folder: S3Folder, s3: FaultyClient) -> None:
    """A few lines are one PutObject, counted and hashed as they are in S3."""
    with folder.upload("0.jsonl") as lines:
        lines.write(b"one")
        lines.write("二".encode())

    body = folder.get_bytes("0.jsonl")
    assert body == "one\n二\n".encode()
    assert (lines.lines, lines.bytes) == (2, len(body))
    assert lines.sha256 == hashlib.sha256(body).hexdigest()
    assert s3.calls["put_object"] == 1
    assert s3.calls["create_multipart_upload"] == 0


def test_an_object_of_no_lines_is_empty(folder: S3Folder) -> None:
    """Without a line there is an empty object, which reads as no lines."""
    with folder.upload("0.jsonl"):
        pass

    assert folder.get_bytes("0.jsonl") == b""
    assert list(read_lines(folder, "0.jsonl")) == []


def test_a_large_object_goes_up_in_parts_and_comes_back(folder: S3Folder, s3: FaultyClient) -> None:
    """Lines of many sizes, one longer than a part, come back as they were written."""
    written = lines_of(1, [0, 1, 3 * MIB, 2000, 9 * MIB, 0, 70_000, 7 * MIB, 5])

    with folder.upload("0.jsonl") as lines:
        for line in written:
            lines.write(line)
            assert len(lines._buffer) < 8 * MIB

    assert s3.calls["upload_part"] == 2
    assert s3.calls["complete_multipart_upload"] == 1
    assert [line.data for line in read_lines(folder, "0.jsonl")] == written
    assert lines.bytes == sum(map(len, written)) + len(written)
    body = b"".join(line + b"\n" for line in written)
    assert lines.sha256 == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, GeneratorExit])
def test_an_upload_that_is_broken_off_leaves_nothing(
    folder: S3Folder, service: BatchService, error: type[BaseException]
) -> None:
    """An exception while lines are made, Ctrl-C too, leaves no object and no part of one."""

    def lines_that_end() -> Iterator[bytes]:
        yield b"x" * 9 * MIB
        assert len(parts_left(service)) == 1
        raise error

    with pytest.raises(error):
        write(folder, lines_that_end())

    assert not folder.exists("0.jsonl")
    assert parts_left(service) == []


def test_an_upload_that_s3_refuses_leaves_nothing(
    folder: S3Folder, s3: FaultyClient, service: BatchService
) -> None:
    """A part that S3 refuses ends the upload with an error, and its parts are removed."""
    s3.fail("complete_multipart_upload", service_says("AccessDenied", 403))

    with pytest.raises(BatchStorageError, match="s3:PutObject"):
        write(folder, [b"x" * 9 * MIB])

    assert parts_left(service) == []


def test_parts_that_can_not_be_removed_are_named(
    folder: S3Folder, s3: FaultyClient, caplog: pytest.LogCaptureFixture
) -> None:
    """If even the removal is refused, the first error is raised and the log names the rest."""
    s3.fail("abort_multipart_upload", service_says("AccessDenied", 403))

    def lines_that_end() -> Iterator[bytes]:
        yield b"x" * 9 * MIB
        raise ValueError("first")

    with pytest.raises(ValueError, match="first"):
        write(folder, lines_that_end())

    assert "AbortIncompleteMultipartUpload" in caplog.text


def test_a_part_is_sent_again_and_counted_once(folder: S3Folder, s3: FaultyClient) -> None:
    """Parts and ends whose answers were lost are in the object once."""
    s3.lose("upload_part", lost_answer())
    s3.lose("complete_multipart_upload", lost_answer())
    written = lines_of(2, [9 * MIB, 9 * MIB])

    write(folder, written)

    assert [line.data for line in read_lines(folder, "0.jsonl")] == written


def test_an_upload_that_somebody_ended_is_an_error(folder: S3Folder, s3: FaultyClient) -> None:
    """If the upload is gone and the object is not there, that is said."""
    s3.fail("complete_multipart_upload", service_says("NoSuchUpload", 404))

    with pytest.raises(BatchStorageError, match="was ended by somebody else"):
        write(folder, [b"x" * 9 * MIB])


def test_a_last_line_without_its_break_is_told_apart(folder: S3Folder) -> None:
    """The last line may be cut off, so it says that nothing ends it."""
    folder.put_bytes("out", b"one\n\ntwo")

    assert list(read_lines(folder, "out")) == [
        Line(b"one", complete=True),
        Line(b"", complete=True),
        Line(b"two", complete=False),
    ]


@pytest.mark.parametrize("seed", range(5))
def test_a_download_goes_on_where_it_broke(
    folder: S3Folder,
    s3: FaultyClient,
    slept: list[float],
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    """However often a connection breaks, at whatever byte, lines are read whole and once."""
    monkeypatch.setattr(download, "_RANGE", 5000)
    monkeypatch.setattr(download, "_PIECE", 700)
    source = random.Random(seed)
    written = lines_of(seed, [source.choice((0, 1, 50, 900, 6000)) for _ in range(60)])
    folder.put_bytes("out", b"\n".join(written) + b"\n")
    whole = s3.__getattr__("get_object")

    def breaking(**request: Any) -> dict[str, Any]:
        if source.random() < 0.2:
            raise service_says("SlowDown", 503)
        response: dict[str, Any] = whole(**request)
        if source.random() < 0.5:
            data = response["Body"].read()
            error = IncompleteReadError(actual_bytes=0, expected_bytes=len(data))
            response["Body"] = BreakingBody(data, source.randrange(len(data)), error)
        return response

    s3.__dict__["get_object"] = breaking

    assert [line.data for line in read_lines(folder, "out")] == written
    assert slept


def test_a_download_that_gets_nowhere_is_an_error(folder: S3Folder, s3: FaultyClient) -> None:
    """A connection that gives no byte for minutes ends in an error."""
    folder.put_bytes("out", b"line\n")
    s3.fail("get_object", *[service_says("SlowDown", 503)] * 20)

    with pytest.raises(BatchStorageError, match="out failed: SlowDown"):
        list(read_lines(folder, "out"))


def test_output_that_was_deleted_is_an_error(
    folder: S3Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Output that a lifecycle rule takes away, before or while it is read, is named."""
    monkeypatch.setattr(download, "_RANGE", 10)
    gone = re.escape(f"{folder.uri}out is not there")
    with pytest.raises(BatchStorageError, match=gone):
        list(read_lines(folder, "out"))

    folder.put_bytes("out", b"one\n" * 10)
    lines = read_lines(folder, "out")
    assert next(lines).data == b"one"
    folder.delete("out")

    with pytest.raises(BatchStorageError, match=gone):
        list(lines)


def test_output_that_was_changed_is_an_error(
    folder: S3Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes of two versions are never put together."""
    monkeypatch.setattr(download, "_RANGE", 10)
    folder.put_bytes("out", b"one\n" * 10)
    lines = read_lines(folder, "out")
    next(lines)
    folder.put_bytes("out", b"two\n" * 10)

    with pytest.raises(BatchStorageError, match="was changed while it was read"):
        list(lines)


def test_an_endpoint_without_ranges_is_an_error(folder: S3Folder, s3: FaultyClient) -> None:
    """An endpoint that answers a range with the whole object is not believed."""
    folder.put_bytes("out", b"one\n")
    whole = s3.__getattr__("get_object")
    s3.__dict__["get_object"] = lambda Range, **request: whole(**request)  # noqa: N803 - boto3's

    with pytest.raises(BatchStorageError, match="does not answer ranges"):
        list(read_lines(folder, "out"))


def test_parts_are_of_eight_mebibytes() -> None:
    """A part is more than S3's least, and 10,000 of them are more than a job's file may be."""
    assert upload._PART == 8 * MIB
