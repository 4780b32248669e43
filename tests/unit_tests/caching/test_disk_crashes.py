"""The store on disk among processes: what is left when one is killed, and when eight write."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from langchain_bedrock_opt.caching.stores.disk import DiskCacheStore

REPOSITORY = Path(__file__).parents[3]

# Values tell their own key and length, so that a torn one, or one of another key, is seen.
HEAD = """
import random, sys
from langchain_bedrock_opt.caching.stores.disk import DiskCacheStore
def value_of(key, size):
    return f"{key}:{size}:".encode() + key[:1].encode() * size
def size_of(rng):
    return rng.choice([10, 2_000, 50_000, 400_000])
store = DiskCacheStore(sys.argv[1])
name = sys.argv[2]
rng = random.Random(name)
"""


def start(script: str, folder: Path, name: str) -> subprocess.Popen[bytes]:
    """A script in a process of its own, after `HEAD`."""
    command = [sys.executable, "-c", HEAD + textwrap.dedent(script), str(folder), name]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE)


def finish(processes: list[subprocess.Popen[bytes]]) -> list[str]:
    """What the processes wrote, each of which must end well."""
    with ThreadPoolExecutor(len(processes)) as pool:
        outputs = list(pool.map(lambda process: process.communicate(timeout=100)[0], processes))
    assert [process.returncode for process in processes] == [0] * len(processes)
    return [output.decode() for output in outputs]


def is_whole(key: str, value: bytes | None) -> bool:
    """Whether a value is one that was put under this key, to its last byte."""
    if value is None:
        return False
    name, size, body = value.split(b":", 2)
    return name.decode() == key and body == key[:1].encode() * int(size)


@pytest.mark.parametrize("seed", range(4))
def test_a_killed_writer_loses_nothing_it_was_told_is_kept(seed: int, tmp_path: Path) -> None:
    """After kill -9 at any moment, every put that returned is there, whole, and the store works."""
    folder = tmp_path / "cache"
    writer = start(
        """
        index = 0
        while True:
            key = f"{name}{index % 40}"
            size = size_of(rng)
            leased = index % 3 == 0
            token = store.lease(key, 60) if leased else None
            if store.put(key, value_of(key, size), 600, lease=token):
                print(key, index, size, flush=True)
            index += 1
        """,
        folder,
        "w",
    )
    assert writer.stdout is not None
    first = writer.stdout.readline()  # it is under way
    time.sleep(random.Random(seed).uniform(0.05, 0.6))
    writer.kill()
    rest = writer.stdout.read()
    writer.wait()
    writer.stdout.close()

    lines = (first + rest).decode().splitlines(keepends=True)
    told = [line.split() for line in lines if line.endswith("\n")]
    acknowledged = {key: int(size) for key, _, size in told}
    store = DiskCacheStore(folder)
    found = store.get_many(list(acknowledged))
    assert [key for key in acknowledged if not is_whole(key, found.get(key))] == []
    # The last put of all may have been carried out and not been told.
    others = [key for key, size in acknowledged.items() if f":{size}:".encode() not in found[key]]
    assert len(others) <= 1
    assert store.put("after", b"value", 60)
    assert store.get("after") == b"value"
    store.close()


def test_eight_writers_lose_nothing(tmp_path: Path) -> None:
    """Eight processes that write at once, own keys and shared ones, lose and tear nothing."""
    folder = tmp_path / "cache"
    script = """
        for index in range(25):
            own = f"{name}{index}"
            store.put(own, value_of(own, size_of(rng)), 600)
            shared = f"s{index % 5}"
            store.put(shared, value_of(shared, size_of(rng)), 600)
            while True:
                old = store.get("sum")
                if store.swap("sum", old, str(int(old or b"0") + 1).encode(), None):
                    break
        store.close()
    """
    finish([start(script, folder, name) for name in "abcdefgh"])

    store = DiskCacheStore(folder)
    keys = [f"{name}{index}" for name in "abcdefgh" for index in range(25)]
    keys += [f"s{index}" for index in range(5)]
    assert [key for key in keys if not is_whole(key, store.get(key))] == []
    assert store.get("sum") == b"200"
    store.close()


def test_one_of_four_processes_finds_each_answer(tmp_path: Path) -> None:
    """Of four processes that all want 40 answers, one finds each, as the leases say."""
    folder = tmp_path / "cache"
    script = """
        for index in range(40):
            key = str(index)
            while store.get(key) is None:
                token = store.lease(key, 600)
                if token is None:
                    continue  # another one is at it
                if store.get(key) is None:
                    print(key)
                    assert store.put(key, name.encode(), 600, lease=token)
                else:
                    store.release(key, token)
        store.close()
    """
    outputs = finish([start(script, folder, name) for name in "abcd"])

    by_name = zip("abcd", outputs, strict=True)
    found = [(key, name) for name, output in by_name for key in output.split()]
    assert sorted(int(key) for key, _ in found) == list(range(40))
    store = DiskCacheStore(folder)
    assert store.get_many([key for key, _ in found]) == {key: name.encode() for key, name in found}
    store.close()


def test_the_lease_of_a_killed_process_runs_out(tmp_path: Path) -> None:
    """A holder that was killed holds up the others until its time is over, and no longer."""
    folder = tmp_path / "cache"
    holder = start(
        "print(store.lease('key', 60), flush=True); import time; time.sleep(60)", folder, "h"
    )
    assert holder.stdout is not None
    token = holder.stdout.readline().decode().strip()
    holder.kill()
    holder.wait()
    holder.stdout.close()
    passed = 0.0
    store = DiskCacheStore(folder, clock=lambda: time.time() + passed)

    assert store.lease("key", 60) is None
    passed = 61.0
    assert store.lease("key", 60) is not None
    assert store.put("key", b"late", 60, lease=token) is False
    store.close()
