"""What a cache store costs beside the client that it stands on, for an entry of 2 KB.

The disk store beside `diskcache.Cache` with its defaults; the Redis store beside a plain
`redis.Redis` on a server of its own, where redis-server is on PATH. Ratios of CPU time on disk,
since nothing is waited for there, and of wall time over the network.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import diskcache
import redis

from benchmarks.harness import Comparison, Result, compare
from langchain_bedrock_opt import DiskCacheStore, RedisCacheStore
from langchain_bedrock_opt.caching.stores.base import CacheStore

VALUE = os.urandom(2_000)
TTL = 3_600
ENTRIES, ROUNDS = 300, 41


def run() -> Result:
    """Compare reads, writes and leased writes."""
    with tempfile.TemporaryDirectory() as folder:
        raw = diskcache.Cache(str(Path(folder) / "raw"))
        with closing(raw), closing(DiskCacheStore(Path(folder) / "ours")) as store:
            disk = _ratios("disk", store, raw.get, _disk_write(raw), time.process_time)
    remote: dict[str, Comparison] = {}
    if shutil.which("redis-server"):
        with (
            _redis_server() as url,
            redis.Redis.from_url(url) as client,
            closing(RedisCacheStore(url, prefix="ours")) as other,
        ):
            remote = _ratios("Redis", other, client.get, _redis_write(client), time.monotonic)
    found = disk | remote
    return Result(
        benchmark="cache_stores",
        figures={name: comparison.ratio for name, comparison in found.items()},
        baselines={
            f"{name.partition(' / ')[0].replace('store', 'raw')}, µs": comparison.baseline * 1e6
            for name, comparison in found.items()
            if "leased" not in name
        },
        goals={"disk store get / raw": ("<=", 1.1), "disk store put / raw": ("<=", 1.1)},
    )


def _ratios(
    name: str,
    store: CacheStore,
    raw_get: Callable[[str], Any],
    raw_put: Callable[[str], Any],
    clock: Callable[[], float],
) -> dict[str, Comparison]:
    def put(key: str) -> None:
        store.put(key, VALUE, TTL)

    def put_leased(key: str) -> None:
        store.put(key, VALUE, TTL, lease=store.lease(key, TTL))

    def measure(call: Callable[[str], Any]) -> Callable[[], float]:
        def seconds() -> float:
            start = clock()
            for index in range(ENTRIES):
                call(str(index))
            return (clock() - start) / ENTRIES

        seconds()  # the entries are there from now on
        return seconds

    write, raw_write = measure(put), measure(raw_put)
    read, raw_read = measure(store.get), measure(raw_get)
    return {
        f"{name} store get / raw": compare(read, raw_read, rounds=ROUNDS),
        f"{name} store put / raw": compare(write, raw_write, rounds=ROUNDS),
        f"{name} store lease and leased put / raw": compare(
            measure(put_leased), raw_write, rounds=ROUNDS
        ),
    }


def _disk_write(cache: Any) -> Callable[[str], Any]:
    return lambda key: cache.set(key, VALUE, expire=TTL)


def _redis_write(client: redis.Redis) -> Callable[[str], Any]:
    return lambda key: client.set(key, VALUE, ex=TTL)


@contextmanager
def _redis_server() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    process = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
    url = f"redis://127.0.0.1:{port}/0"
    try:
        with redis.Redis.from_url(url) as client:
            while not _answers(client):
                time.sleep(0.02)
        yield url
    finally:
        process.kill()
        process.wait()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
