"""Commands that end early: how to go on, one document, and output that can't be written."""

from __future__ import annotations

import io
import json
import signal
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from langchain_bedrock_opt.aws.clients import service_client
from langchain_bedrock_opt.batching import BatchRun
from langchain_bedrock_opt.batching.run.stage import Stage
from langchain_bedrock_opt.cli import command, main, verbs
from langchain_bedrock_opt.emulator import BedrockEmulator
from langchain_bedrock_opt.errors import BatchStorageError
from tests.unit_tests.cli.conftest import BUCKET, LEAST, Run

NOVA = "us.amazon.nova-lite-v1:0"
ROLE = "arn:aws:iam::111122223333:role/bedrock-batch"


@pytest.fixture
def sending(tmp_path: Path) -> list[str]:
    """A command that sends a job."""
    path = tmp_path / "prompts.txt"
    path.write_text("\n".join(f"Question {number}" for number in range(LEAST)), "utf-8")
    place = ["--s3", f"s3://{BUCKET}/{uuid4().hex}", "--role", ROLE]
    options = ["--model", NOVA, "--max-tokens", "40", "--min-records", str(LEAST)]
    return ["batch", "submit", str(path), *options, *place]


def jobs() -> int:
    """How many jobs there are in the account."""
    return len(service_client("bedrock").list_model_invocation_jobs()["invocationJobSummaries"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_submission_that_is_ended_is_gone_on_with(
    number: signal.Signals,
    aws: BedrockEmulator,
    run: Run,
    sending: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A submission that is ended once its job is made says its run, under which it is one job."""
    before = jobs()
    with monkeypatch.context() as patch:
        patch.setattr(Stage, "store_plan", lambda *_: signal.raise_signal(number))
        ended = run(*sending, "--json")
    error = ended.document["error"]

    assert (ended.code, jobs() - before) == (130, 1)
    assert ended.err.startswith(f"Run {error['run_id']}. ")
    assert f"--run-id {error['run_id']}" in ended.err.splitlines()[-1]
    again = run(*sending, "--run-id", error["run_id"], "--json").document
    assert again["uri"] == error["uri"]
    assert jobs() - before == 1


def test_sigterm_is_as_before_after_a_command(
    aws: BedrockEmulator, run: Run, sending: list[str]
) -> None:
    """Who runs a command in Python gets their own handler of SIGTERM back."""
    before = signal.getsignal(signal.SIGTERM)
    run(*sending)

    assert signal.getsignal(signal.SIGTERM) is before


def test_results_that_can_not_be_read_leave_the_file(
    aws: BedrockEmulator,
    run: Run,
    sending: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A file of results is replaced by a whole one, or stays as it was, with nothing beside it."""
    uri = run(*sending).out.strip()
    file = tmp_path / "results" / "good.jsonl"
    file.parent.mkdir()
    file.write_text("paid for", "utf-8")
    file.chmod(0o640)

    def failing(_: BatchRun) -> object:
        yield from ()
        raise BatchStorageError("the network went away")

    with monkeypatch.context() as patch:
        patch.setattr(BatchRun, "results", failing)
        assert run("batch", "results", uri, "--output", str(file)).code == 3
    assert file.read_text("utf-8") == "paid for"

    assert run("batch", "results", uri, "--output", str(file)).code == 0
    assert len(file.read_text("utf-8").splitlines()) == LEAST
    assert file.stat().st_mode & 0o777 == 0o640
    assert list(file.parent.iterdir()) == [file]
    assert run("batch", "results", uri, "--output", "/dev/null").code == 0


def test_a_link_stays_a_link(run: Run, tmp_path: Path) -> None:
    """A file that a link leads to is replaced, and not the link."""
    (tmp_path / "usage.jsonl").touch()
    (tmp_path / "page.html").touch()
    link = tmp_path / "latest.html"
    link.symlink_to("page.html")

    assert run("report", str(tmp_path / "usage.jsonl"), "--html", str(link)).code == 0
    assert link.is_symlink()
    assert "<html" in (tmp_path / "page.html").read_text("utf-8")


def test_there_is_one_document(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong after the result is beside it, and not a second document."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("langchain_bedrock_opt.cli.policy.emit", _then(interrupted))
    ended = run("policy", "invoke", "--json")

    assert ended.code == 130
    assert ended.document["Version"] == "2012-10-17"
    assert "Interrupted" in ended.err


def _then(after: object) -> object:
    from langchain_bedrock_opt.cli.output import emit

    def emit_and(*arguments: object, **options: object) -> None:
        emit(*arguments, **options)  # type: ignore[arg-type]
        after()  # type: ignore[operator]

    return emit_and


def test_any_answer_has_a_place_in_a_pipe(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Text beyond the locale's characters is written as UTF-8, and half of a pair is escaped."""
    pipe = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", pipe)

    assert main(["prices", "show", "日本\udc80", "--json"]) == 1
    pipe.seek(0)
    assert json.load(pipe)["model"] == "日本\udc80"


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_a_full_disk(
    as_json: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Output that the disk has no room for is told in one line, with code 2."""
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        code = main(["policy", "invoke", *as_json])

    assert code == 2
    told = "bedrock-opt: Can't use standard output: No space left on device.\n"
    assert capsys.readouterr().err == told


def test_without_standard_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was started without them ends as it would with them."""
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)

    assert main(["policy", "invoke"]) == 0
    assert main(["report", "nowhere.db", "--json"]) == 2


def test_an_interrupt_while_python_imports(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C before the command has begun ends with 130 and without a traceback."""

    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(verbs, "run", interrupted)

    assert command.main([]) == 130
    assert capsys.readouterr().err == "bedrock-opt: Interrupted.\n"
