"""Real Redis servers for tests: started where Redis is installed; skipped with a reason if not."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.servers import free_port, wait_for


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
        wait_for(self.port, self._process)

    def stop(self) -> None:
        """Stop it; what it held is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


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
