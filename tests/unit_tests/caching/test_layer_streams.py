"""The cache in the request path of ChatBedrockConverse: streams."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from langchain_aws import ChatBedrockConverse
from langchain_core.messages import AIMessageChunk

from langchain_bedrock_opt.caching.cache import BedrockSemanticCache
from langchain_bedrock_opt.contracts import TokenUsage

MakeModel = Callable[..., ChatBedrockConverse]
MakeEvents = Callable[..., list[dict[str, Any]]]
MakeResponse = Callable[..., dict[str, Any]]

REQUEST = {"modelId": "m", "messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
TOOL = {"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}


def merged(chunks: Any) -> AIMessageChunk:
    first, *rest = chunks
    for chunk in rest:
        first += chunk
    assert isinstance(first, AIMessageChunk)
    return first


def report(message: Any) -> dict[str, Any]:
    found: dict[str, Any] = message.response_metadata["bedrock_opt"]["cache"]
    return found


def test_a_warm_stream_makes_no_call(
    bedrock: Any, cache: BedrockSemanticCache, make_model: MakeModel, make_events: MakeEvents
) -> None:
    """A second equal stream says the same, spends nothing, and says what it saved."""
    fake = bedrock(make_events("Kyoto", " it", " is."))
    model = make_model(fake, cache)

    first, second = (merged(model.stream("Where?")) for _ in range(2))

    assert len(fake.requests) == 1
    assert first.content == second.content
    assert first.usage_metadata is not None
    assert first.usage_metadata["total_tokens"] == 18
    assert second.usage_metadata is not None
    assert second.usage_metadata["total_tokens"] == 0
    assert report(first) == {"status": "miss"}
    assert report(second)["status"] == "hit"
    assert report(second)["saved"] == TokenUsage(input=11, output=7).as_dict()
    assert second.response_metadata["stopReason"] == "end_turn"
    assert first.id != second.id


def test_invoke_and_stream_share_an_entry(
    bedrock: Any,
    cache: BedrockSemanticCache,
    make_model: MakeModel,
    make_events: MakeEvents,
    make_response: MakeResponse,
) -> None:
    """What was invoked is streamed from the cache, and what was streamed is invoked from it."""
    call = {"toolUse": {"toolUseId": "t", "name": "f", "input": {"x": [1, "二"]}}}
    fake = bedrock(
        make_response({"text": "I look. " * 20}, call, stop="tool_use"), make_events("Streamed.")
    )
    model = make_model(fake, cache).bind(tools=[TOOL])

    invoked = model.invoke("a")
    replayed = merged(model.stream("a"))
    streamed = merged(model.stream("b"))
    returned = model.invoke("b")

    assert len(fake.requests) == 2
    assert replayed.text == invoked.text
    assert replayed.tool_calls == invoked.tool_calls
    assert returned.text == streamed.text == "Streamed."


def test_a_stream_is_passed_on_lazily(
    bedrock: Any, cache: BedrockSemanticCache, make_model: MakeModel, make_events: MakeEvents
) -> None:
    """Events are read from Bedrock only as the consumer asks for them, and closed at the end."""
    read: list[str] = []

    def source(_: Any) -> Any:
        for event in make_events("a", "b", "c"):
            read.extend(event)
            yield event

    stream = cache.as_layer().converse_stream(dict(REQUEST), lambda r: {"stream": source(r)})
    consumer = iter(stream["stream"])

    assert read == []
    next(consumer)
    next(consumer)
    assert read == ["messageStart", "contentBlockDelta"]
    stream["stream"].close()


def test_a_stream_broken_off_is_not_kept(
    bedrock: Any, cache: BedrockSemanticCache, make_model: MakeModel, make_events: MakeEvents
) -> None:
    """A stream whose consumer leaves is closed, not stored, and asked for again."""
    fake = bedrock(make_events("Kyoto", " it", " is."))
    model = make_model(fake, cache)

    stream = model.stream("Where?")
    next(stream)
    stream.close()  # type: ignore[attr-defined]

    assert cache.stats().stores == 0
    assert fake.closed > 0
    assert report(merged(model.stream("Where?"))) == {"status": "miss"}


def test_a_stream_that_is_never_read_is_closed(
    bedrock: Any, cache: BedrockSemanticCache, make_events: MakeEvents
) -> None:
    """Closing a stream before its first event gives the connection back."""
    fake = bedrock(make_events("Hi"))

    response = cache.as_layer().converse_stream(
        dict(REQUEST), lambda request: fake.converse_stream(**request)
    )
    response["stream"].close()

    assert fake.closed > 0


def test_an_error_in_a_stream_is_not_kept(
    bedrock: Any, cache: BedrockSemanticCache, make_model: MakeModel, make_events: MakeEvents
) -> None:
    """An error in the middle of a stream reaches its consumer, and the next one asks again."""
    events = make_events("Kyoto", " it", " is.")
    fake = bedrock([*events[:2], RuntimeError("cut")], events)
    model = make_model(fake, cache)

    with pytest.raises(RuntimeError, match="cut"):
        list(model.stream("Where?"))

    assert merged(model.stream("Where?")).text == "Kyoto it is."
    assert report(merged(model.stream("Where?")))["status"] == "hit"


def test_a_stream_without_its_end_is_not_kept(
    bedrock: Any, cache: BedrockSemanticCache, make_model: MakeModel, make_events: MakeEvents
) -> None:
    """A stream that ends before its `metadata` is not stored."""
    fake = bedrock(make_events("Kyoto.")[:-1])
    model = make_model(fake, cache)

    for _ in range(2):
        assert merged(model.stream("Where?")).text == "Kyoto."

    assert len(fake.requests) == 2


def test_a_stream_cut_by_max_tokens_is_not_kept(
    bedrock: Any, cache: BedrockSemanticCache, make_model: MakeModel, make_events: MakeEvents
) -> None:
    """A stream that stopped at its token limit is not stored."""
    fake = bedrock(make_events("Kyo", stop="max_tokens"))
    model = make_model(fake, cache)

    for _ in range(2):
        list(model.stream("Where?"))

    assert len(fake.requests) == 2


def test_what_can_t_be_streamed_is_asked_for(
    bedrock: Any, cache: BedrockSemanticCache, make_events: MakeEvents, make_response: MakeResponse
) -> None:
    """A stored answer that has no events, such as an image, is a miss for a stream."""
    image = {"image": {"format": "png", "source": {"bytes": b"\x89PNG"}}}
    layer = cache.as_layer()
    layer.converse(dict(REQUEST), lambda _: make_response(image))

    response = layer.converse_stream(dict(REQUEST), lambda _: {"stream": make_events("Hi")})

    assert list(response["stream"]) == make_events("Hi")
    assert layer.converse(dict(REQUEST), lambda _: {})["output"]["message"]["content"] == [
        {"text": "Hi"}
    ]


def test_two_streams_of_one_thread(
    bedrock: Any, cache: BedrockSemanticCache, make_model: MakeModel, make_events: MakeEvents
) -> None:
    """Two equal streams read in turn by one thread never wait for each other, and ask once."""
    fake = bedrock(make_events("Kyoto", " it", " is."))
    model = make_model(fake, cache)

    leader, follower = model.stream("Where?"), model.stream("Where?")
    first = next(leader)
    second = merged(follower)

    assert merged([first, *leader]).text == second.text == "Kyoto it is."
    assert len(fake.requests) == 1
    assert report(second)["status"] == "hit"


def test_a_forgotten_stream_holds_up_nobody(
    bedrock: Any, cache: BedrockSemanticCache, make_model: MakeModel, make_events: MakeEvents
) -> None:
    """A stream that is open and no longer read is read to its end by the next who asks."""
    fake = bedrock(make_events("Kyoto", " it", " is."))
    model = make_model(fake, cache)
    forgotten = model.stream("Where?")
    next(forgotten)

    assert model.invoke("Where?").text == "Kyoto it is."
    assert len(fake.requests) == 1
    forgotten.close()  # type: ignore[attr-defined]


def test_a_follower_of_a_broken_stream_asks_itself(
    bedrock: Any, cache: BedrockSemanticCache, make_model: MakeModel, make_events: MakeEvents
) -> None:
    """If the stream that is waited for fails, its reader gets the error, the other an answer."""
    events = make_events("Kyoto", " it", " is.")
    fake = bedrock([*events[:2], RuntimeError("cut")], events)
    model = make_model(fake, cache)
    leader = model.stream("Where?")
    next(leader)

    assert merged(model.stream("Where?")).text == "Kyoto it is."
    with pytest.raises(RuntimeError, match="cut"):
        list(leader)


def test_fifty_streaming_threads_make_one_call(
    bedrock: Any, cache: BedrockSemanticCache, make_model: MakeModel, make_events: MakeEvents
) -> None:
    """Fifty equal streams at once ask the model once, and all get the whole answer."""
    fake = bedrock(make_events(*"Kyoto it is."))
    model = make_model(fake, cache)
    start = Barrier(50)

    def ask(_: int) -> str:
        start.wait()
        return merged(model.stream("Where?")).text

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(ask, range(50)))

    assert len(fake.requests) == 1
    assert set(answers) == {"Kyoto it is."}


async def test_streaming_tasks_do_not_starve_each_other(
    bedrock: Any, cache: BedrockSemanticCache, make_model: MakeModel, make_events: MakeEvents
) -> None:
    """More equal streams than the pool has threads ask once and all end, for each helps."""
    fake = bedrock(make_events(*"Kyoto it is."))
    model = make_model(fake, cache)
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(2) as pool:
        loop.set_default_executor(pool)

        async def ask() -> str:
            return merged([chunk async for chunk in model.astream("Where?")]).text

        answers = await asyncio.gather(*(ask() for _ in range(10)))

    assert len(fake.requests) == 1
    assert set(answers) == {"Kyoto it is."}
