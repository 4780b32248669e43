"""Fixtures for every test: a clean AWS environment and the shared data's place."""

from __future__ import annotations

import gc
import json
import os
import signal
import threading
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import JSONFileLoader
from hypothesis import settings

from tests.extras import SHARED

pytest_plugins = ["tests.batch_service", "tests.dynamodb", "tests.redis_server"]


# `HYPOTHESIS_PROFILE=thorough` looks at ten times as many examples as a usual run.
settings.register_profile("thorough", max_examples=1000)
if "HYPOTHESIS_PROFILE" in os.environ:
    settings.load_profile(os.environ["HYPOTHESIS_PROFILE"])


def pytest_configure() -> None:
    """Let Ctrl-C be what it is to a program: a shell has those in its background ignore it."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


# Each boto3 session reads and parses botocore's files anew; the tests make thousands of sessions.
_read_file = lru_cache(maxsize=None)(JSONFileLoader().load_file)
setattr(JSONFileLoader, "load_file", lambda _self, file_path: _read_file(file_path))  # noqa: B010 - the stubs forbid to assign it


def pytest_collection_finish() -> None:
    """Keep the collector from looking through thousands of tests again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def aws_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Dummy credentials and no settings of the machine's own: nothing can reach a real account."""
    for name in tuple(os.environ):
        if name.startswith(("AWS_", "LANGSMITH_", "LANGCHAIN_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    # Prices that a developer has refreshed are not those of the tests.
    monkeypatch.delenv("BEDROCK_OPT_PRICES", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent/config")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of shared evaluation data; tests that need it are skipped in a clone without."""
    data = SHARED / "data"
    if not data.is_dir():
        pytest.skip(f"the shared evaluation data is not beside this clone ({data.name}/)")
    return data


@pytest.fixture(scope="session")
def recordings(shared_data: Path) -> Callable[[str], list[dict[str, Any]]]:
    """Reads the recorded exchanges of an operation, or those under another name, as dicts."""

    def read(name: str) -> list[dict[str, Any]]:
        lines = (shared_data / "wire" / f"{name}.jsonl").read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines]

    return read
