"""Failures 28 to 30, 33 and 35: S3, disks and models that do not go all the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.messages import AIMessage

from langchain_bedrock_opt.batching.jobs.collecting import Collector
from langchain_bedrock_opt.emulator import Reply, S3Fault
from langchain_bedrock_opt.errors import BatchIntegrityError, BatchStorageError
from tests.batch_models import batch_model, inner_model, jobs_of, questions
from tests.batch_service import BatchService, make_batch_service

OUTPUT = "*.jsonl.out"


def test_a_download_that_breaks_off_goes_on_where_it_was(batch_service: BatchService) -> None:
    """28: Cut connections, 503 and slow-downs: only the rest is asked for, of the same object."""
    for fault in (
        S3Fault(operation="GetObject", key=OUTPUT, cut_at=700),
        S3Fault(operation="GetObject", key=OUTPUT, code="SlowDown"),
        S3Fault(operation="GetObject", key=OUTPUT, cut_at=0),
        S3Fault(operation="HeadObject", key=OUTPUT, code="ServiceUnavailable"),
        S3Fault(operation="ListObjectsV2", code="InternalError"),
    ):
        batch_service.emulator.s3_faults.add(fault)
    asked: list[tuple[str, str]] = []

    def note(request: Any, **_: Any) -> None:
        if ".jsonl.out" in request.url:
            asked.append((request.headers["Range"], request.headers["If-Match"]))

    batch_service.s3.meta.events.register("before-sign.s3.GetObject", note)

    answers = batch_model(batch_service).batch(questions(20))

    wanted = [inner_model(batch_service).invoke(question).text for question in questions(20)]
    assert [answer.text for answer in answers] == wanted
    assert any(b"bytes=700-" in _bytes(start) for start, _ in asked)
    assert len({etag for _, etag in asked}) == 1


def _bytes(text: Any) -> bytes:
    return text if isinstance(text, bytes) else str(text).encode()


def test_an_output_that_changes_while_it_is_read_is_an_error(batch_service: BatchService) -> None:
    """28: The rest of another object is never joined to the beginning of this one."""
    run = batch_model(batch_service).submit(questions(20)).wait()
    (key,) = (key for key in batch_service.keys("runs/") if key.endswith(".jsonl.out"))
    other = batch_service.read(key).replace(b'"recordId"', b'"other"')
    batch_service.emulator.s3_faults.add(S3Fault(operation="GetObject", key=OUTPUT, cut_at=700))

    def replaced(request: Any, **_: Any) -> None:
        if b"bytes=700-" in _bytes(request.headers.get("Range", "")):
            batch_service.s3.put_object(Bucket=batch_service.bucket, Key=key, Body=other)

    batch_service.s3.meta.events.register("before-send.s3.GetObject", replaced)

    with pytest.raises(BatchStorageError, match="was changed while it was read"):
        list(run.results())


def big_questions() -> Iterator[str]:
    """Prompts of 3 MB, and an end that nobody expects."""
    for place in range(8):
        yield f"{place} " + "x" * 3_000_000
    raise RuntimeError("the source is gone")


def test_an_upload_that_ends_early_leaves_no_parts(
    batch_service: BatchService, caplog: pytest.LogCaptureFixture
) -> None:
    """29: A broken multipart upload is aborted; where it can't be, a rule is advised."""
    model = batch_model(batch_service)
    with pytest.raises(RuntimeError, match="source is gone"):
        model.submit(big_questions())
    uploads = batch_service.s3.list_multipart_uploads(Bucket=batch_service.bucket)
    assert batch_service.emulator.s3_faults.counts["UploadPart"] > 0
    assert not uploads.get("Uploads")

    denied = S3Fault(operation="AbortMultipartUpload", code="AccessDenied", times=None)
    batch_service.emulator.s3_faults.add(denied)
    with pytest.raises(RuntimeError, match="source is gone"):
        model.submit(big_questions())
    assert "lifecycle rule" in caplog.text
    assert jobs_of(batch_service) == []


def test_output_that_was_deleted_is_named_and_caches_keep_theirs(
    batch_service: BatchService,
) -> None:
    """30: A deleted output is a clear error; what a cache has learnt before is still an answer."""
    model = batch_model(batch_service, inner_model(batch_service, cache=InMemoryCache()))
    first = model.batch(questions(8))
    run = model.submit([f"{question} Really?" for question in questions(8)]).wait()
    for key in batch_service.keys("runs/"):
        if key.endswith(".out"):
            batch_service.s3.delete_object(Bucket=batch_service.bucket, Key=key)

    with pytest.raises(BatchIntegrityError) as caught:
        run.outputs()
    again = model.batch(questions(8))

    assert all("deleted, by a lifecycle rule" in str(error) for error in caught.value.results)
    assert [answer.text for answer in again] == [answer.text for answer in first]
    assert len(jobs_of(batch_service)) == 2


class CutShort:
    """Answers that end for a reason that each question names."""

    def reply(self, request: Mapping[str, Any]) -> Reply:
        text = request["messages"][0]["content"][0]["text"]
        reason = text.split()[0]
        return Reply(content=({"text": "Half an"},), stop_reason=reason, input_tokens=5)


def test_answers_that_were_cut_short_are_told_and_counted() -> None:
    """33: Why an answer ended is in its metadata, and the summary counts those cut short."""
    service = make_batch_service(responder=CutShort())
    reasons = ["end_turn", "max_tokens", "guardrail_intervened", "content_filtered", "max_tokens"]
    prompts: list[Any] = [f"{reason} please, {place}" for place, reason in enumerate(reasons)]

    run = batch_model(service).submit(prompts)
    answers = run.outputs()

    assert [answer.response_metadata["stopReason"] for answer in answers] == reasons
    summary = run.summary()
    assert summary.cut_short == {
        "content_filtered": 1,
        "guardrail_intervened": 1,
        "max_tokens": 2,
    }
    assert "max_tokens" in str(summary)


def full_disk() -> IO[bytes]:
    return Path("/dev/full").open("w+b")


def test_a_full_disk_loses_nothing(
    batch_service: BatchService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """35: Where answers can't be put in order for lack of disk, none is given, and two ways out.

    The way round the disk is `order="any"`, which needs none.
    """
    run = batch_model(batch_service).submit(questions(8)).wait()
    defaults: Any = Collector.__init__.__kwdefaults__
    monkeypatch.setitem(defaults, "spill", full_disk)

    with pytest.raises(BatchStorageError, match="set TMPDIR to a folder with more room"):
        next(run.results())

    results = list(run.results("any"))
    assert sorted(result.index for result in results) == list(range(8))
    assert all(isinstance(result.output, AIMessage) for result in results)
