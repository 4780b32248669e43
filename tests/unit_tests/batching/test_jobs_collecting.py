"""A job's output joined with its places: nothing shifted, nothing lost, everything counted."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Literal
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_bedrock_opt.batching.jobs.collecting import (
    Answer,
    Collector,
    Integrity,
    Manifest,
    read_manifest,
)
from langchain_bedrock_opt.batching.jobs.folder import S3Folder
from langchain_bedrock_opt.batching.jobs.names import job_id
from langchain_bedrock_opt.batching.jobs.output import error_of, read_line
from langchain_bedrock_opt.batching.jobs.states import JobState
from langchain_bedrock_opt.batching.parts import record_id
from langchain_bedrock_opt.errors import BatchStorageError
from tests.batch_service import BatchService, batch_service, make_batch_service, records

__all__ = ["batch_service"]

Order = Literal["input", "any"]
ORDERS: list[Order] = ["input", "any"]


@pytest.fixture
def folder() -> S3Folder:
    """A job's output folder: a new one in the one bucket of these tests."""
    return bucket().child(uuid4().hex)


@lru_cache
def bucket() -> S3Folder:
    service = make_batch_service()
    return S3Folder(service.s3, f"s3://{service.bucket}/out/")


def success(place: int, output: Any = None) -> dict[str, Any]:
    answer = {"answer": place} if output is None else output
    return {"recordId": record_id(place), "modelInput": {"q": place}, "modelOutput": answer}


def failure(place: int, code: Any = 400, words: str = "bad") -> dict[str, Any]:
    error = {"errorCode": code, "errorMessage": words}
    return {"recordId": record_id(place), "modelInput": {"q": place}, "error": error}


def write(folder: S3Folder, *lines: Any, name: str = "0.jsonl.out") -> None:
    texts = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    folder.put_bytes(name, b"\n".join(texts) + b"\n")


@pytest.mark.parametrize("order", ORDERS)
def test_a_jobs_answers_are_joined_with_their_places(
    batch_service: BatchService, order: Order
) -> None:
    """The output of a job on the emulator is joined with its records, each once."""
    batch_service.put("in/0.jsonl", records(20))
    arn = batch_service.create()
    assert batch_service.get(arn)["status"] == "Completed"
    out = S3Folder(batch_service.s3, f"s3://{batch_service.bucket}/out/").child(job_id(arn))
    collector = Collector(out, range(20), order=order)

    answers = list(collector)

    assert sorted(answer.place for answer in answers) == list(range(20))
    outputs = {json.loads(line.output or b"")["output"]["message"]["role"] for line in answers}
    assert outputs == {"assistant"}
    report = collector.report()
    assert (report.success, report.errors, report.missing) == (20, 0, 0)
    assert report.manifest is not None
    assert report.manifest.success == 20
    assert report.disagreements() == []


def test_order_is_that_of_the_places_whatever_was_written(folder: S3Folder) -> None:
    """Lines in any order, in several files, come in the order of their places."""
    write(folder, success(9), success(2), name="1.jsonl.out")
    write(folder, failure(5), success(7), success(4), name="0.jsonl.out")

    answers = list(Collector(folder, [2, 4, 5, 7, 9]))

    assert [answer.place for answer in answers] == [2, 4, 5, 7, 9]
    assert answers[2] == Answer(5, error=("400", "bad"))
    assert [json.loads(a.output)["answer"] for a in answers if a.output] == [2, 4, 7, 9]


@pytest.mark.parametrize("order", ORDERS)
def test_the_first_success_wins_and_an_error_gives_way(folder: S3Folder, order: Order) -> None:
    """Of several lines about one record the first success counts, wherever it stands."""
    write(
        folder,
        failure(0, 500, "first"),
        success(1, {"answer": "first"}),
        success(0, {"answer": "later"}),
        success(1, {"answer": "second"}),
        failure(1),
        failure(2, "429", "first"),
        failure(2, "400", "second"),
    )
    collector = Collector(folder, range(3), order=order)

    answers = {answer.place: answer for answer in collector}

    assert answers == {
        0: Answer(0, b'{"answer": "later"}'),
        1: Answer(1, b'{"answer": "first"}'),
        2: Answer(2, error=("429", "first")),
    }
    report = collector.report()
    assert (report.success, report.errors, report.duplicates) == (2, 1, 4)
    assert "4 lines are about a record that another line was about." in report.disagreements()


@pytest.mark.parametrize("order", ORDERS)
def test_what_is_not_there_is_missing(folder: S3Folder, order: Order) -> None:
    """Records without a line have an answer of their own that says so."""
    write(folder, success(1))
    collector = Collector(folder, range(3), order=order)

    answers = sorted(collector)

    assert answers == [Answer(0), Answer(1, b'{"answer": 1}'), Answer(2)]
    assert collector.report().missing == 2


def test_a_job_that_has_written_nothing_has_no_files(folder: S3Folder) -> None:
    """Without output all records are missing, and that there is no file is told."""
    collector = Collector(folder, range(3))

    assert collector.files() == []
    assert list(collector) == [Answer(0), Answer(1), Answer(2)]
    assert collector.report().files == 0
    assert collector.report().manifest is None


@pytest.mark.parametrize("order", ORDERS)
def test_lines_that_can_not_be_read_cost_only_themselves(folder: S3Folder, order: Order) -> None:
    """Lines that are cut off, no JSON, or without answer and error leave the others alone."""
    cut = json.dumps(success(3)).encode()[:-4]
    write(
        folder,
        success(0),
        b"\xff\xfe",
        b"[1, 2]",
        b"",
        {"recordId": record_id(1), "modelInput": {}},
        {"recordId": record_id(1), "modelInput": {}, "modelOutput": None, "error": None},
        success(2),
        cut,
    )
    collector = Collector(folder, range(4), order=order)

    answers = sorted(collector)

    assert [bool(answer.output) for answer in answers] == [True, False, True, False]
    report = collector.report()
    assert (report.bad_lines, report.missing) == (5, 2)


@pytest.mark.parametrize("order", ORDERS)
def test_records_of_others_are_ignored_and_counted(folder: S3Folder, order: Order) -> None:
    """An id that is unknown, foreign or absent is no answer of this job's."""
    write(
        folder,
        success(7),
        success(99),
        {"recordId": "CALL0000001", "modelOutput": {"a": 1}},
        {"recordId": 7, "modelOutput": {"a": 2}},
        {"modelOutput": {"a": 3}},
    )
    collector = Collector(folder, [3, 7], order=order)

    assert sorted(collector) == [Answer(3), Answer(7, b'{"answer": 7}')]
    assert collector.report().unknown == 4


def test_other_objects_are_no_output(folder: S3Folder) -> None:
    """Only `.jsonl.out` objects are read, those in deeper folders too."""
    write(folder, success(0), name="manifest.json.out")
    write(folder, success(1), name="notes.jsonl")
    write(folder, success(2), name="deeper/1.jsonl.out")

    assert sorted(Collector(folder, range(3))) == [
        Answer(0),
        Answer(1),
        Answer(2, b'{"answer": 2}'),
    ]


def test_iterating_again_begins_anew(folder: S3Folder) -> None:
    """A collector can be read twice and counts the same."""
    write(folder, success(1), failure(0))
    collector = Collector(folder, range(2))

    assert list(collector) == list(collector)
    assert collector.report().duplicates == 0


LINES = st.lists(
    st.one_of(
        st.builds(success, st.integers(0, 12)),
        st.builds(failure, st.integers(0, 12), st.sampled_from([400, "429", 500])),
        st.sampled_from([b"", b"{", b'{"recordId": "00000000001", "modelInput": {"modelOu', b"7"]),
        st.just({"recordId": "elsewhere", "modelOutput": {}}),
    ),
    max_size=40,
)


@settings(max_examples=50)
@given(lines=LINES, places=st.sets(st.integers(0, 12)).map(sorted))
def test_every_record_is_answered_once_and_rightly(lines: list[Any], places: list[int]) -> None:
    """For any output: one answer a place, its own, and success + errors + missing = records."""
    folder = bucket().child("fuzzed")
    write(folder, *lines)
    model = _expected(lines, places)

    for order in ORDERS:
        collector = Collector(folder, places, order=order)
        answers = list(collector)
        report = collector.report()

        assert {answer.place: answer for answer in answers} == model
        assert len(answers) == len(places)
        assert report.success + report.errors + report.missing == len(places) == report.records
        if order == "input":
            assert [answer.place for answer in answers] == places


def _expected(lines: list[Any], places: list[int]) -> dict[int, Answer]:
    """The rules of joining, in the plainest form."""
    found: dict[int, Answer] = {place: Answer(place) for place in places}
    for line in lines:
        if not isinstance(line, dict) or line["recordId"] == "elsewhere":
            continue
        place = int(line["recordId"])
        if place not in found or found[place].output is not None:
            continue
        if "modelOutput" in line:
            found[place] = Answer(place, json.dumps(line["modelOutput"]).encode())
        elif found[place].error is None:
            error = line["error"]
            found[place] = Answer(place, error=(str(error["errorCode"]), error["errorMessage"]))
    return found


def full_disk() -> IO[bytes]:
    return Path("/dev/full").open("w+b")


def test_a_full_disk_loses_nothing(folder: S3Folder) -> None:
    """Where the disk is full the error comes before any answer, and names two ways out."""
    write(folder, *(success(place) for place in range(100)))
    collector = Collector(folder, range(100), spill=full_disk)

    with pytest.raises(BatchStorageError, match="No space left on device") as caught:
        next(iter(collector))

    assert "TMPDIR" in str(caught.value)
    assert "order='any'" in str(caught.value)
    assert f"Nothing is lost: they are in {folder.uri}" in str(caught.value)
    assert len(list(Collector(folder, range(100), order="any"))) == 100


def test_a_machine_without_a_place_for_files_is_told(folder: S3Folder) -> None:
    """Where no temporary file can be made, the same error names the same ways out."""

    def nowhere() -> IO[bytes]:
        raise FileNotFoundError(2, "No usable temporary directory found")

    with pytest.raises(BatchStorageError, match=r"No usable temporary directory.*TMPDIR"):
        list(Collector(folder, range(1), spill=nowhere))


def test_counts_are_held_against_those_of_the_job(folder: S3Folder) -> None:
    """Where lines, the manifest and the job differ, each difference is a sentence."""
    write(folder, success(0), failure(1))
    counts = {"totalRecordCount": 3, "successRecordCount": 2, "errorRecordCount": 1}
    folder.put_json("manifest.json.out", {**counts, "inputTokenCount": 70, "inputAudioSecond": 1})
    collector = Collector(folder, range(3))
    list(collector)
    job = JobState("arn", "n", "Completed", total=3, success=1, errors=2)

    report = collector.report()

    assert report.manifest == Manifest(total=3, success=2, errors=1, input_tokens=70)
    assert report.disagreements(job) == [
        "There are 1 answers, and manifest.json.out says 2.",
        "There are 1 errors, and the job says 2.",
    ]


def test_counts_that_are_not_there_are_not_compared(folder: S3Folder) -> None:
    """A job that has counted nothing, and a manifest that is no JSON, prove nothing."""
    write(folder, success(0))
    folder.put_bytes("manifest.json.out", b"{cut")
    collector = Collector(folder, range(1))
    list(collector)

    assert read_manifest(folder) is None
    report: Integrity = collector.report()
    assert report.disagreements(JobState("arn", "n", "Completed", total=0, success=0)) == []
    assert report.disagreements(JobState("arn", "n", "Completed")) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["modelOutput", "recordId", "error", "x"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
KEYS = st.permutations(["recordId", "modelInput", "modelOutput", "extra"])


@given(
    output=JSON.filter(lambda value: value is not None),
    other=JSON,
    keys=KEYS,
    has_extra=st.booleans(),
    is_ascii=st.booleans(),
    compact=st.booleans(),
)
def test_an_answer_is_read_exactly(
    *, output: Any, other: Any, keys: list[str], has_extra: bool, is_ascii: bool, compact: bool
) -> None:
    """Whatever stands beside it and in whichever order, the answer comes as it was sent."""
    values = {"recordId": record_id(5), "modelInput": other, "modelOutput": output, "extra": other}
    document = {key: values[key] for key in keys if key != "extra" or has_extra}
    separators = (",", ":") if compact else (", ", ": ")
    line = json.dumps(document, ensure_ascii=is_ascii, separators=separators)

    read = read_line(line.encode())

    assert read is not None
    assert read.place == 5
    assert read.output is not None
    assert json.loads(read.output) == output


@pytest.mark.parametrize(
    "text",
    [
        '{"id": 123456789012345678901234567890}',
        '{"half": "\\ud83d"}',
        '{"text": "a \\"modelOutput\\": b"}',
        '{"price": 1.10}',
        "[0.1, 2e-7]",
    ],
)
@pytest.mark.parametrize("form", ['{"recordId":"%s","modelOutput":%s}', '{"modelOutput":%s}'])
def test_no_digit_of_an_answer_is_changed(text: str, form: str) -> None:
    """Long numbers, halves of emojis and trailing zeros come back as they were sent."""
    line = form.replace("%s", record_id(0), form.count("%s") - 1).replace("%s", text)

    read = read_line(line.encode())

    assert read is not None
    assert read.output == text.encode()


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ({"error": {"errorCode": 400, "errorMessage": "bad"}}, ("400", "bad")),
        ({"error": {"errorCode": "429", "errorMessage": "slow"}}, ("429", "slow")),
        ({"modelOutput": {"errorCode": 500, "errorMessage": "oh"}}, ("500", "oh")),
        ({"error": "oh"}, ("", "oh")),
        ({"error": {}}, ("", "")),
        ({"error": {"errorMessage": "oh"}, "modelOutput": {"a": 1}}, ("", "oh")),
        ({"error": None, "modelOutput": {"a": 1}}, None),
        ({"error": {"errorMessage": "no code"}}, ("", "no code")),
        ({"modelOutput": {"errorCode": 500}}, ("500", "")),
        ({"modelOutput": {"errorCode": 1, "output": {"message": {}}}}, None),
        ({"modelOutput": {"errorMessage": "in an answer"}}, None),
        ({"modelOutput": {}}, None),
        ({"modelOutput": "errorCode errorMessage"}, None),
    ],
)
def test_errors_are_found_in_either_place(
    document: dict[str, Any], error: tuple[str, str] | None
) -> None:
    """An error beside the answer or in its place, its code a number or a text, is an error."""
    assert error_of(document) == error
