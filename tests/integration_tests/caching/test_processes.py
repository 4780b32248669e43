"""Crowds that ask the same at once, in threads, tasks and processes: one model call."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from langchain_bedrock_opt import (
    BedrockEmulator,
    BedrockSemanticCache,
    ChatBedrockOptimized,
    DiskCacheStore,
    DynamoDBCacheStore,
    RedisCacheStore,
)
from langchain_bedrock_opt.caching.stores.base import CacheStore
from langchain_bedrock_opt.emulator import Pace
from tests.fresh_processes import forked_afresh

MODEL = "us.amazon.nova-lite-v1:0"
QUESTION = "What is the capital of Japan?"
SLOW = Pace(time_to_first_token=1.0)


def open_store(kind: str, place: str) -> CacheStore:
    if kind == "disk":
        return DiskCacheStore(place)
    if kind == "redis":
        return RedisCacheStore(place)
    return DynamoDBCacheStore("answers", endpoint_url=place, create_table=True)


def ask(
    store: tuple[str, str], namespace: str, environment: dict[str, str]
) -> tuple[list[str], int]:
    """What each of the processes does: 13 threads ask the same; what they got, and errors."""
    os.environ.update(environment)
    cache = BedrockSemanticCache(open_store(*store), namespace=namespace)
    model = ChatBedrockOptimized(model=MODEL, cache=cache)
    with ThreadPoolExecutor(13) as pool:
        answers = list(pool.map(lambda _: str(model.invoke(QUESTION).text), range(13)))
    errors = cache.stats().errors
    cache.close()
    return answers, errors


@pytest.fixture
def served() -> Any:
    """A local Bedrock that takes a second to answer."""
    with BedrockEmulator(pace=SLOW) as emulator:
        yield emulator


@pytest.fixture(params=["disk", "redis", "dynamodb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """A store that processes share: its kind, and where it is."""
    places = {"redis": "redis_url", "dynamodb": "dynamodb_local"}
    if request.param == "disk":
        return request.param, str(tmp_path / "answers")
    return request.param, request.getfixturevalue(places[request.param])


def test_four_processes_make_one_call(store: tuple[str, str], served: BedrockEmulator) -> None:
    """52 equal calls in 4 processes cost one, and all get its answer."""
    asked = (store, uuid4().hex, {**os.environ, **served.environment})

    with forked_afresh().Pool(4) as pool:
        outputs = pool.starmap(ask, [asked] * 4, chunksize=1)

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
