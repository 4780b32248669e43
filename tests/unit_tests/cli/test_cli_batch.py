"""`bedrock-opt batch`: from a file of prompts to a file of answers."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import pytest

from langchain_bedrock_opt.emulator import BedrockEmulator, JobFault, OutputFault
from tests.unit_tests.cli.conftest import BUCKET, LEAST, Run

NOVA = "us.amazon.nova-lite-v1:0"
ROLE = "arn:aws:iam::111122223333:role/bedrock-batch"


@pytest.fixture
def prompts(tmp_path: Path) -> str:
    """A file of prompts, just enough for a job."""
    path = tmp_path / "prompts.txt"
    path.write_text("\n".join(f"Question {number}" for number in range(LEAST)), "utf-8")
    return str(path)


@pytest.fixture
def sending(prompts: str) -> list[str]:
    """What `submit` is told."""
    options = ["--s3", f"s3://{BUCKET}/{uuid4().hex}/", "--role", ROLE, "--max-tokens", "40"]
    return [prompts, "--model", NOVA, "--min-records", str(LEAST), *options]


def test_from_prompts_to_answers(
    aws: BedrockEmulator, run: Run, sending: list[str], tmp_path: Path
) -> None:
    """A run is submitted, looked at, waited for and read, by the URI that `submit` prints."""
    submitted = run("batch", "submit", *sending, "--system", "Answer in one word.")
    uri = submitted.out.strip()
    assert submitted.code == 0
    assert f"bedrock-opt batch wait {uri}" in submitted.err

    assert run("batch", "status", uri, "--json").document["total"] == LEAST
    waited = run("batch", "wait", uri)
    assert (waited.code, "success" in waited.out) == (0, True)
    assert f"{LEAST}/{LEAST}" in waited.err

    read = run("batch", "results", uri)
    rows = [json.loads(line) for line in read.out.splitlines()]
    assert [row["index"] for row in rows] == list(range(LEAST))
    assert all(row["text"] and row["usage"]["output_tokens"] for row in rows)

    path = tmp_path / "answers.jsonl"
    wrote = run("batch", "results", uri, "--output", str(path), "--json")
    assert wrote.document == {"file": str(path), "results": LEAST, "failed": 0}
    assert path.read_text("utf-8") == read.out
    lost = run("batch", "results", uri, "--output", str(tmp_path / "none" / "answers"))
    assert (lost.code, "No such file" in lost.err) == (2, True)


def test_a_run_goes_on_under_its_name(aws: BedrockEmulator, run: Run, sending: list[str]) -> None:
    """Submitting the same prompts under a name twice makes one job."""
    name = f"nightly-{uuid4().hex[:8]}"
    uris = [
        run("batch", "submit", *sending, "--run-id", name, "--json").document["uri"]
        for _ in range(2)
    ]
    listed = run("batch", "list", "--name", name, "--json").document

    assert uris[0] == uris[1]
    assert [job["status"] for job in listed] == ["Completed"]
    assert name in run("batch", "list", "--name", name).out
    assert run("batch", "list", "--name", "no-such-job").out == "There are no jobs.\n"


def test_a_listed_job_names_its_run(aws: BedrockEmulator, run: Run, sending: list[str]) -> None:
    """A job of a run stands beside the URI that the other actions take; another's beside none."""
    name = f"nightly-{uuid4().hex[:8]}"
    uri = run("batch", "submit", *sending, "--run-id", f"{name}/eu_1").out.strip()
    [ours] = run("batch", "list", "--name", name, "--json").document
    place = ours["input_uri"].rpartition("/")[0]
    aws.client("bedrock").create_model_invocation_job(
        jobName=f"{name}-by-hand",
        roleArn=ROLE,
        modelId=NOVA,
        inputDataConfig={"s3InputDataConfig": {"s3Uri": f"{place.partition('/runs/')[0]}/x.jsonl"}},
        outputDataConfig={"s3OutputDataConfig": {"s3Uri": f"{place}/"}},
    )

    by_hand, sent = run("batch", "list", "--name", name, "--json").document
    head, *lines = run("batch", "list", "--name", name).out.splitlines()

    assert (by_hand["run_uri"], sent["run_uri"]) == ("", uri)
    assert head.split()[-1] == "run"
    assert [line.endswith(uri) for line in lines if name in line] == [False, True]
    assert run("batch", "status", sent["run_uri"]).code == 0


def test_a_plan_sends_nothing(aws: BedrockEmulator, run: Run, prompts: str) -> None:
    """A plan tells jobs and cost, needs no bucket, and asks AWS nothing."""
    before = aws.journal.count()
    planned = run(
        *("batch", "plan", prompts, "--model", NOVA, "--max-tokens", "10"),
        *("--min-records", str(LEAST), "--json"),
    )

    assert planned.code == 0
    assert (planned.document["inputs"], planned.document["jobs"]) == (LEAST, 1)
    assert float(planned.document["at_most_usd"]) > 0
    assert aws.journal.count() == before


def test_too_few_for_a_job(aws: BedrockEmulator, run: Run, prompts: str) -> None:
    """Prompts too few for a job are refused unless they may be asked at the full price."""
    place = ["--s3", f"s3://{BUCKET}/{uuid4().hex}/", "--role", ROLE]
    few = [prompts, "--model", NOVA, "--max-tokens", "10"]
    assert run("batch", "plan", *few).code == 1
    refused = run("batch", "submit", *few, *place)
    assert refused.code == 2
    assert "fewer than the 100" in refused.err

    uri = run("batch", "submit", *few, *place, "--below-minimum", "on_demand").out.strip()
    early = run("batch", "results", uri)
    assert (early.code, "bedrock-opt batch wait" in early.err) == (1, True)
    assert run("batch", "wait", uri).code == 0
    assert run("batch", "status", uri).code == 0


def test_answers_that_are_missing(aws: BedrockEmulator, run: Run, sending: list[str]) -> None:
    """Inputs without an answer are marked in their place, and the code is 1."""
    aws.jobs.faults.add(OutputFault(drop=2))
    uri = run("batch", "submit", *sending).out.strip()
    try:
        waited = run("batch", "wait", uri, "--json")
        read = run("batch", "results", uri, "--json")
    finally:
        aws.jobs.faults.clear()

    assert (waited.code, waited.document["missing"]) == (1, 2)
    assert (read.code, read.document["failed"]) == (1, 2)
    errors = [row["error"]["type"] for row in read.document["results"] if "error" in row]
    assert errors == ["RecordNotProcessedError"] * 2
    assert "2 inputs have no answer" in read.err


def test_a_job_that_failed(aws: BedrockEmulator, run: Run, sending: list[str]) -> None:
    """A run with a failed job has the status code 1, and says why."""
    aws.jobs.faults.add(JobFault(status="Failed", message="out of disk"))
    uri = run("batch", "submit", *sending).out.strip()
    try:
        status = run("batch", "status", uri)
    finally:
        aws.jobs.faults.clear()

    assert status.code == 1
    assert "out of disk" in status.out


def test_a_run_is_cancelled(aws: BedrockEmulator, run: Run, sending: list[str]) -> None:
    """Cancelling a run says that what was done can be read."""
    uri = run("batch", "submit", *sending).out.strip()
    cancelled = run("batch", "cancel", uri, "--json")

    assert (cancelled.code, cancelled.document) == (0, {"uri": uri, "cancelled": True})


def test_a_run_that_is_not_there(aws: BedrockEmulator, run: Run) -> None:
    """A URI without a run is told by name, with code 3."""
    ended = run("batch", "wait", f"s3://{BUCKET}/nowhere/")

    assert ended.code == 3
    assert f"There is no run at s3://{BUCKET}/nowhere/" in ended.err


def test_a_run_that_would_cost_too_much(aws: BedrockEmulator, run: Run, sending: list[str]) -> None:
    """With --max-cost a run that could cost more is refused before anything is sent."""
    ended = run("batch", "submit", *sending, "--max-cost", "0.00001")

    assert ended.code == 2
    assert "0.00001" in ended.err
