"""Crowds that ask the same at once, in threads, tasks and processes: one model call."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from langchain_bedrock_opt import BedrockEmulator, BedrockSemanticCache, ChatBedrockOptimized
from langchain_bedrock_opt.emulator import Pace

MODEL = "us.amazon.nova-lite-v1:0"
QUESTION = "What is the capital of Japan?"
SLOW = Pace(time_to_first_token=1.0)

# What each of the processes does: 13 threads ask the same, and it prints what they got.
_PROCESS = f"""
import json, sys
from concurrent.futures import ThreadPoolExecutor
from langchain_bedrock_opt import *

store = eval(sys.argv[1])
cache = BedrockSemanticCache(store, namespace=sys.argv[2])
model = ChatBedrockOptimized(model={MODEL!r}, cache=cache)
with ThreadPoolExecutor(13) as pool:
    answers = list(pool.map(lambda _: model.invoke({QUESTION!r}).text, range(13)))
print(json.dumps([answers, cache.stats().errors]))
cache.close()
"""


@pytest.fixture
def served() -> Any:
    """A local Bedrock that takes a second to answer."""
    with BedrockEmulator(pace=SLOW) as emulator:
        yield emulator


@pytest.fixture(params=["disk", "redis", "dynamodb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store that processes share, as Python that opens it."""
    if request.param == "disk":
        return f"DiskCacheStore({str(tmp_path / 'answers')!r})"
    if request.param == "redis":
        return f"RedisCacheStore({request.getfixturevalue('redis_url')!r})"
    url = request.getfixturevalue("dynamodb_local")
    return f"DynamoDBCacheStore('answers', endpoint_url={url!r}, create_table=True)"


def test_four_processes_make_one_call(store: str, served: BedrockEmulator) -> None:
    """52 equal calls in 4 processes cost one, and all get its answer."""
    environment = {**os.environ, **served.environment}
    command = [sys.executable, "-c", _PROCESS, store, uuid4().hex]
    processes = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    outputs = [json.loads(process.communicate(timeout=60)[0]) for process in processes]

    answers = [answer for output, _ in outputs for answer in output]
    assert len(answers) == 52
    assert len(set(answers)) == 1
    assert [errors for _, errors in outputs] == [0] * 4
    assert served.journal.count("Converse") == 1


@pytest.mark.parametrize("streams", [False, True], ids=["invoke", "stream"])
def test_fifty_threads_make_one_call(streams: bool) -> None:  # noqa: FBT001 - a parameter
    """50 equal calls in threads cost one."""
    emulator = BedrockEmulator(pace=SLOW)
    client = emulator.client()
    model = ChatBedrockOptimized(
        model=MODEL, client=client, bedrock_client=client, cache=BedrockSemanticCache()
    )

    def ask(_: int) -> str:
        if streams:
            return "".join(chunk.text for chunk in model.stream(QUESTION))
        return model.invoke(QUESTION).text

    with ThreadPoolExecutor(50) as pool:
        answers = set(pool.map(ask, range(50)))

    assert len(answers) == 1
    assert emulator.journal.count() == 1


async def test_fifty_tasks_make_one_call() -> None:
    """50 equal calls in tasks cost one, whole and streamed ones together."""
    emulator = BedrockEmulator(pace=SLOW)
    client = emulator.client()
    model = ChatBedrockOptimized(
        model=MODEL, client=client, bedrock_client=client, cache=BedrockSemanticCache()
    )

    async def stream() -> str:
        return "".join([chunk.text async for chunk in model.astream(QUESTION)])

    async def invoke() -> str:
        return (await model.ainvoke(QUESTION)).text

    answers = await asyncio.gather(*(ask() for _ in range(25) for ask in (stream, invoke)))

    assert len(set(answers)) == 1
    assert emulator.journal.count() == 1
