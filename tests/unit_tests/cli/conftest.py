"""The command line against a local Bedrock that is served for all of its tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from langchain_bedrock_opt.cli import main
from langchain_bedrock_opt.emulator import BedrockEmulator, JobQuotas, JobSettings

BUCKET = "cli-tests"
LEAST = 5
"""Records that a job has at least."""


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output, which must be one JSON document."""
        return json.loads(self.out)


Run = Callable[..., Ended]


@pytest.fixture(scope="session")
def served() -> Iterator[BedrockEmulator]:
    """A local Bedrock with a bucket, served over HTTP."""
    emulator = BedrockEmulator(jobs=JobSettings(quotas=JobQuotas(min_records=LEAST)))
    emulator.client("s3").create_bucket(Bucket=BUCKET)
    with emulator:
        yield emulator


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two tries of a call nobody waits."""
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))


@pytest.fixture
def aws(
    served: BedrockEmulator, aws_environment: None, monkeypatch: pytest.MonkeyPatch
) -> BedrockEmulator:
    """The shell's variables are those that `bedrock-opt emulator` prints."""
    for name, value in served.environment.items():
        monkeypatch.setenv(name, value)
    return served


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line, and says how it ended."""

    def run(*arguments: str) -> Ended:
        try:
            code = main(arguments)
        except SystemExit as ended:  # of the argument parser
            code = int(ended.code or 0)
        printed = capsys.readouterr()
        return Ended(code, printed.out, printed.err)

    return run
