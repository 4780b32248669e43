"""500 async calls at once, on default settings, against a Bedrock that takes 200 ms."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from langchain_aws import ChatBedrockConverse
from pydantic import SecretStr

from benchmarks.harness import Result, compare
from langchain_bedrock_opt import ChatBedrockOptimized

MODEL = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
CALLS = 500
ROUNDS = 3


@contextmanager
def emulator_process(*options: str) -> Iterator[str]:
    """An emulator in a process of its own, as a user would start it; gives its URL."""
    command = [sys.executable, "-m", "langchain_bedrock_opt.cli", "emulator", "--port", "0"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            yield next(word for word in line.split() if word.startswith("http://"))
        finally:
            process.terminate()


def sockets() -> int:
    """How many sockets this process has open."""
    links = Path("/proc/self/fd")
    if not links.is_dir():
        return 0
    targets = (link.readlink() for link in links.iterdir() if link.is_symlink())
    return sum(str(target).startswith("socket:") for target in targets)


def wall_seconds(kind: type[ChatBedrockConverse], url: str) -> float:
    """Seconds until all calls are answered, with a model of default settings."""
    model = kind(
        model=MODEL,
        base_url=url,
        region_name="us-east-1",
        aws_access_key_id=SecretStr("testing"),
        aws_secret_access_key=SecretStr("testing"),
    )

    async def calls() -> float:
        await model.ainvoke("warm up")
        start = time.perf_counter()
        answers = await asyncio.gather(*(model.ainvoke("hello") for _ in range(CALLS)))
        seconds = time.perf_counter() - start
        assert all(answer.content for answer in answers)
        return seconds

    seconds = asyncio.run(calls())
    if isinstance(model, ChatBedrockOptimized):
        model.close()
    return seconds


def run() -> Result:
    """Compare wall times, and look at what is left behind."""
    with emulator_process("--latency", "0.2") as url:
        threads, before = threading.active_count(), sockets()
        wall_seconds(ChatBedrockOptimized, url)
        gc.collect()
        left_threads, left_sockets = threading.active_count() - threads, sockets() - before
        result = compare(
            lambda: wall_seconds(ChatBedrockOptimized, url),
            lambda: wall_seconds(ChatBedrockConverse, url),
            rounds=ROUNDS,
        )
    return Result(
        benchmark="concurrency",
        figures={
            "500 ainvoke at 200 ms, s": result.ours,
            "ChatBedrockConverse / ours, ratio": 1 / result.ratio,
            "threads left behind": left_threads,
            "sockets left behind": left_sockets,
        },
        baselines={"ChatBedrockConverse, s": result.baseline},
        goals={
            "500 ainvoke at 200 ms, s": ("<=", 1.5),
            "ChatBedrockConverse / ours, ratio": (">=", 10),
            "threads left behind": ("<=", 0),
            "sockets left behind": ("<=", 0),
        },
    )
