"""Fixtures for every test: a clean AWS environment, the shared data's place, and real servers."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

ROOT = Path(__file__).resolve().parent.parent

pytest_plugins = ["tests.dynamodb"]


@pytest.fixture(autouse=True)
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dummy credentials and no settings of the machine's own: nothing can reach a real account."""
    for name in tuple(os.environ):
        if name.startswith(("AWS_", "LANGSMITH_", "LANGCHAIN_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent/config")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of shared evaluation data; tests that need it are skipped in a clone without."""
    shared = Path(os.environ.get("BEDROCK_OPT_SHARED", ROOT.parent / "shared")) / "data"
    if not shared.is_dir():
        pytest.skip(f"the shared evaluation data is not beside this clone ({shared.name}/)")
    return shared


@pytest.fixture(scope="session")
def recordings(shared_data: Path) -> Callable[[str], list[dict[str, Any]]]:
    """Reads the recorded exchanges of an operation, or those under another name, as dicts."""

    def read(name: str) -> list[dict[str, Any]]:
        lines = (shared_data / "wire" / f"{name}.jsonl").read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines]

    return read


class RedisServer:
    """A Redis server of the tests' own, on the loopback interface, that keeps nothing on disk.

    Args:
        folder: Where it runs.
        options: More options of its command line.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._options = ["--save", "", "--appendonly", "no", "--dir", str(folder), *options]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        address = ["--bind", "127.0.0.1", "--port", str(self.port)]
        self._process = subprocess.Popen(
            ["redis-server", *address, *self._options], stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 20
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"redis-server did not start on port {self.port}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it; what it held is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


def free_port() -> int:
    """A port that nobody listens on, nor on the one 10,000 above, which a cluster's node takes too.

    Both are below those that the system gives to outgoing connections, so that no connection takes
    them before the server starts, or while it is stopped.
    """
    while True:
        port = random.randint(10_000, 22_000)
        with socket.socket() as one, socket.socket() as other, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            other.bind(("127.0.0.1", port + 10_000))
            return port


@pytest.fixture(scope="session")
def start_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., RedisServer]]:
    """Starts Redis servers, with options of the command line; they end with the tests."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not on PATH: `make servers` installs it")
    servers = []

    def start(*options: str) -> RedisServer:
        server = RedisServer(tmp_path_factory.mktemp("redis"), *options)
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def redis_url(start_redis: Callable[..., RedisServer]) -> str:
    """The URL of a Redis server; tests that need it are skipped where Redis is not installed."""
    return start_redis().url


@pytest.fixture(scope="session")
def redis_cluster_url(start_redis: Callable[..., RedisServer]) -> str:
    """The URL of a Redis cluster of one node, which refuses what touches several slots."""
    url = start_redis("--cluster-enabled", "yes").url
    with redis.Redis.from_url(url) as client:
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        while b"cluster_state:ok" not in client.execute_command("CLUSTER", "INFO"):
            time.sleep(0.02)
    return url
