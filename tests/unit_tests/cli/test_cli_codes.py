"""Exit codes, and what is on standard output with --json."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
from botocore.exceptions import EndpointConnectionError

from langchain_bedrock_opt import errors
from langchain_bedrock_opt.cli import main
from langchain_bedrock_opt.cli.advice import in_shell
from langchain_bedrock_opt.cli.codes import ExitCode, code_of
from langchain_bedrock_opt.emulator import BedrockEmulator, Fault
from tests.unit_tests.cli.conftest import Run


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigurationError("no region"), 2),
        (errors.MissingExtraError("a cache in Redis", "redis"), 2),
        (errors.ModelIdError("no model id"), 2),
        (errors.UnconfirmedPurchaseError("confirm"), 2),
        (errors.UnitsFixedError("units"), 2),
        (errors.InputsChangedError("inputs"), 2),
        (errors.PortInUseError("port"), 2),
        (errors.BatchPartialError("some", []), 1),
        (errors.SpendingCapError("spent"), 1),
        (TimeoutError("time"), 1),
        (errors.ModelTimeoutError("model"), 3),
        (errors.ThrottledError("slow down"), 3),
        (errors.BatchJobError("job"), 3),
        (errors.BatchStorageError("bucket"), 3),
        (errors.CacheStoreError("store"), 3),
        (errors.PurchaseError("no units"), 3),
        (errors.CommitmentError("until"), 3),
        (errors.ThroughputTimeoutError("late"), 1),
        (EndpointConnectionError(endpoint_url="https://example.com"), 3),
    ],
)
def test_an_error_has_a_code(error: Exception, code: int) -> None:
    """What is wrong here is 2, what AWS or a store refuses is 3, what did not go well is 1."""
    assert code_of(error) == code


def test_every_error_of_the_tree_has_a_code() -> None:
    """No error of this package ends a command with 0."""
    kinds = [errors.BedrockOptError]
    for kind in kinds:
        kinds += kind.__subclasses__()

    assert {code_of(kind.__new__(kind)) for kind in kinds} == {1, 2, 3}


def test_help_tells_the_codes(run: Run) -> None:
    """`--help` names every exit code and every verb with what it is for."""
    said = run("--help").out

    for code in ExitCode:
        assert re.search(rf"^  {int(code)} ", said, re.MULTILINE), code
    verbs = "demo emulator doctor report prices dashboard batch throughput cache policy"
    for verb in verbs.split():
        assert re.search(rf"^    {verb}\s+\w", said, re.MULTILINE), verb


@pytest.mark.parametrize(
    "verb",
    [
        "doctor",
        *(f"batch {action}" for action in ("plan", "submit", "status", "wait", "results")),
        *(f"batch {action}" for action in ("cancel", "list")),
        *(f"throughput {action}" for action in ("plan", "list", "show", "create", "wait")),
        "throughput delete",
        *(f"cache {action}" for action in ("stats", "clear", "invalidate", "warm-up", "table")),
        "policy",
        "prices show",
        "dashboard",
        "emulator",
        "report",
        "demo",
    ],
)
def test_every_verb_knows_json(verb: str, run: Run) -> None:
    """Every verb explains itself and takes --json."""
    ended = run(*verb.split(), "--help")

    assert ended.code == 0
    assert "--json" in ended.out


def test_an_error_is_data_with_json(run: Run) -> None:
    """With --json an error is the one document on standard output, and a line beside it."""
    ended = run("report", "nowhere.db", "--json")

    assert ended.code == 2
    error = ended.document["error"]
    assert (error["type"], error["exit_code"]) == ("ConfigurationError", 2)
    assert ended.err == f"bedrock-opt: {error['message']}\n"


def test_a_refusal_of_awss(aws: BedrockEmulator, run: Run) -> None:
    """What AWS refuses ends with 3 and AWS's own words in one line."""
    fault = Fault(operation="ListModelInvocationJobs", code="AccessDeniedException", times=1)
    aws.faults.add(fault)
    ended = run("batch", "list", "--json")

    assert ended.code == 3
    assert "AccessDeniedException" in ended.document["error"]["message"]
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize("command", ["batch list", "throughput list"])
def test_without_credentials(
    command: str, aws: BedrockEmulator, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without credentials a command says how to get some."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    ended = run(*command.split())

    assert ended.code == 3
    assert "aws configure" in ended.err


@pytest.mark.parametrize(
    ("python", "shell"),
    [
        ("see manager.list(), or go", "see `bedrock-opt throughput list`, or go"),
        ("wait on with manager.wait('a:b').", "wait on with `bedrock-opt throughput wait a:b`."),
        ("manager.delete('a:b'); then", "`bedrock-opt throughput delete a:b --yes`; then"),
        ("BatchRun.attach('s3://b/r/').wait()", "`bedrock-opt batch wait s3://b/r/`"),
        ("again with run_id='nightly' and", "again with --run-id 'nightly' and"),
        ("within max_cost_usd=5:", "within --max-cost 5:"),
        ("create it with create_table=True", "create it with `bedrock-opt cache table TABLE --cre"),
        (
            "bedrock:CreateModelInvocationJob needs roleArn",
            "CreateModelInvocationJob needs roleArn",
        ),
    ],
)
def test_advice_is_of_the_shell(python: str, shell: str) -> None:
    """What errors say to do in Python is told as a command or an option."""
    assert shell in in_shell(errors.ConfigurationError(python))


def test_an_interrupt(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends a command with 130, also as data."""

    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("langchain_bedrock_opt.demo.command.demo", interrupted)
    ended = run("demo", "--json")

    assert ended.code == 130
    assert ended.document["error"]["message"] == "Interrupted."


def test_a_reader_that_goes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Output that nobody reads any more ends with 141, and nothing is said of it, then or later."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        code = main(["policy", "invoke"])
        pipe.flush()  # as Python does when it ends

    assert code == ExitCode.UNREAD
    assert capsys.readouterr().err == ""


def test_a_file_that_can_not_be_written(run: Run, tmp_path: Path) -> None:
    """A page that can't be written is told with its path."""
    ledger = tmp_path / "usage.jsonl"
    ledger.touch()
    ended = run("report", str(ledger), "--html", str(tmp_path / "nowhere" / "page.html"))

    assert ended.code == 2
    assert "page.html: No such file" in ended.err
