"""Equal calls at once through the cache's layer: one asks, and the others get its answer."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from time import monotonic, sleep
from typing import Any

from langchain_aws import ChatBedrockConverse
from langchain_core.messages import AIMessage

from langchain_bedrock_opt.caching.cache import BedrockSemanticCache
from langchain_bedrock_opt.caching.stores.disk import DiskCacheStore
from langchain_bedrock_opt.caching.stores.memory import InMemoryCacheStore
from langchain_bedrock_opt.errors import CacheStoreError

MakeModel = Callable[..., ChatBedrockConverse]
MakeResponse = Callable[..., dict[str, Any]]


def report(message: Any) -> dict[str, Any]:
    """What the cache says it did."""
    found: dict[str, Any] = message.response_metadata["bedrock_opt"]["cache"]
    return found


def until_waited_for(cache: BedrockSemanticCache, *, by: int) -> None:
    """Wait until so many callers wait for the one call that is under way."""
    [flight] = cache._desk.flights._flights.values()
    deadline = monotonic() + 10
    while flight.waiting < by:
        assert monotonic() < deadline
        sleep(0.001)


class BrokenStore(InMemoryCacheStore):
    """A store whose server is away."""

    def get(self, key: str) -> bytes | None:
        raise ConnectionError("away")

    def put(self, key: str, value: bytes, ttl: float | None, *, lease: str | None = None) -> bool:
        raise CacheStoreError("away")


def test_fifty_threads_make_one_call(
    bedrock: Any, cache: BedrockSemanticCache, make_model: MakeModel, make_response: MakeResponse
) -> None:
    """Fifty equal calls at once ask the model once, and all get the answer."""
    fake = bedrock(make_response({"text": "Kyoto."}))
    model = make_model(fake, cache)
    start = Barrier(50)

    def ask(_: int) -> AIMessage:
        start.wait()
        return model.invoke("Where?")

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(ask, range(50)))

    assert len(fake.requests) == 1
    assert {answer.content for answer in answers} == {"Kyoto."}
    assert sum(report(answer)["status"] == "hit" for answer in answers) == 49
    assert len({answer.id for answer in answers}) == 50


async def test_fifty_tasks_make_one_call(
    bedrock: Any, cache: BedrockSemanticCache, make_model: MakeModel, make_response: MakeResponse
) -> None:
    """Fifty equal calls of asyncio ask the model once too."""
    fake = bedrock(make_response({"text": "Kyoto."}))

    await make_model(fake, cache).abatch(["Where?"] * 50)

    assert len(fake.requests) == 1


def test_callers_do_not_queue_for_what_is_not_kept(
    bedrock: Any, tmp_path: Path, make_model: MakeModel, make_response: MakeResponse
) -> None:
    """Those who waited for an answer that can't be shared ask all at once, also with leases."""
    crowd = 8
    together = Barrier(crowd - 1)

    def cut(request: dict[str, Any]) -> dict[str, Any]:
        if len(fake.requests) == 1:
            until_waited_for(cache, by=crowd - 1)
        else:
            together.wait(10)  # broken, and so an error, unless all are here at once
        return make_response({"text": "Once upon"}, stop="max_tokens")

    fake = bedrock(cut)
    cache = BedrockSemanticCache(DiskCacheStore(tmp_path / "cache"))
    model = make_model(fake, cache)
    with ThreadPoolExecutor(crowd) as pool:
        texts = {answer.text for answer in pool.map(model.invoke, ["Tell!"] * crowd)}

    assert texts == {"Once upon"}
    assert len(fake.requests) == crowd
    cache.close()


def test_the_same_cache_twice_does_no_harm(
    bedrock: Any, cache: BedrockSemanticCache, make_model: MakeModel, make_response: MakeResponse
) -> None:
    """A cache that stands in the path twice does not wait for itself."""
    fake = bedrock(make_response({"text": "Kyoto."}))
    model = make_model(fake, cache, cache)

    with ThreadPoolExecutor() as pool:
        assert pool.submit(model.invoke, "Where?").result(timeout=10).content == "Kyoto."
    assert len(fake.requests) == 1


def test_an_error_is_raised_to_the_one_who_met_it(
    bedrock: Any, cache: BedrockSemanticCache, make_model: MakeModel, make_response: MakeResponse
) -> None:
    """Of many who ask at once one gets the error, the next asks, the rest get its answer."""
    fake = bedrock(RuntimeError("no"), make_response({"text": "Kyoto."}))
    model = make_model(fake, cache)
    start = Barrier(10)

    def ask(_: int) -> str:
        start.wait()
        try:
            return str(model.invoke("Where?").content)
        except RuntimeError as error:
            return str(error)

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(ask, range(10)))

    assert len(fake.requests) == 2
    assert sorted(answers) == ["Kyoto."] * 9 + ["no"]


def test_a_broken_store_still_shares_one_call(
    bedrock: Any, make_model: MakeModel, make_response: MakeResponse
) -> None:
    """A paid answer reaches those who wait for it even if it could not be stored."""
    cache = BedrockSemanticCache(BrokenStore())
    followers: list[Future[AIMessage]] = []

    def answer_when_another_waits(request: dict[str, Any]) -> dict[str, Any]:
        followers.append(pool.submit(model.invoke, "Where?"))
        until_waited_for(cache, by=1)
        return make_response({"text": "Kyoto."})

    fake = bedrock(answer_when_another_waits)
    model = make_model(fake, cache)
    with ThreadPoolExecutor() as pool:
        model.invoke("Where?")
        answer = followers[0].result()

    assert len(fake.requests) == 1
    assert answer.content == "Kyoto."
    assert report(answer)["status"] == "hit"
