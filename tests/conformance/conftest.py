"""Every cache store, and a time that tests can let pass.

A new store adds one entry to `STORES`: a function that opens an empty one on a folder and a clock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import time
from typing import Any
from uuid import uuid4

import pytest
import redis

from langchain_bedrock_opt.caching.stores.base import CacheStore
from langchain_bedrock_opt.caching.stores.disk import DiskCacheStore
from langchain_bedrock_opt.caching.stores.memory import InMemoryCacheStore
from langchain_bedrock_opt.caching.stores.redis import RedisCacheStore

THREADS = 8


class FakeClock:
    """The time now, and whatever a test adds to it.

    Servers have clocks of their own; `followers` let the time pass there.
    """

    def __init__(self) -> None:
        self.passed = 0.0
        self.followers: list[Callable[[float], None]] = []

    def __call__(self) -> float:
        return time() + self.passed

    def advance(self, seconds: float) -> None:
        self.passed += seconds
        for follower in self.followers:
            follower(seconds)


def open_redis(url: str, clock: FakeClock, *, cluster: bool = False) -> CacheStore:
    """A store under a prefix of its own on a server whose keys age with the clock."""
    prefix = uuid4().hex

    def age(seconds: float) -> None:
        with redis.Redis.from_url(url) as client:
            for name in client.scan_iter(match=f"{prefix}*"):
                left = client.pttl(name)
                if left >= 0:
                    client.pexpire(name, left - round(seconds * 1000))

    clock.followers.append(age)
    return RedisCacheStore(url, prefix=prefix, cluster=cluster, max_connections=THREADS)


# Each takes the test's request too, to ask for the server that it needs.
STORES: dict[str, Callable[[pytest.FixtureRequest, Path, FakeClock], CacheStore]] = {
    "memory": lambda request, folder, clock: InMemoryCacheStore(clock=clock),
    "disk": lambda request, folder, clock: DiskCacheStore(folder / "cache", clock=clock),
    "redis": lambda request, folder, clock: open_redis(request.getfixturevalue("redis_url"), clock),
    "redis-cluster": lambda request, folder, clock: open_redis(
        request.getfixturevalue("redis_cluster_url"), clock, cluster=True
    ),
}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[CacheStore]:
    """An empty store of each kind in turn."""
    store = STORES[request.param](request, tmp_path, clock)
    yield store
    store.close()


@pytest.fixture
def pass_time(clock: FakeClock) -> Callable[[float], None]:
    """Lets seconds pass for the store."""
    return clock.advance


@pytest.fixture
def race() -> Callable[[Callable[[int], Any]], list[Any]]:
    """Calls a function in several threads at the same moment, and gives what each returned."""

    def run(work: Callable[[int], Any]) -> list[Any]:
        start = threading.Barrier(THREADS)

        def run_one(number: int) -> Any:
            start.wait()
            return work(number)

        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(run_one, range(THREADS)))

    return run
