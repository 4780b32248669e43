"""`ChatBedrockOptimized`: a drop-in with layers, shared clients and threads of its own."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from langchain_aws import ChatBedrockConverse
from langchain_core.caches import BaseCache, InMemoryCache
from langchain_core.messages import AIMessageChunk
from langchain_core.runnables import ConfigurableField

from langchain_bedrock_opt import BedrockUsageCallbackHandler
from langchain_bedrock_opt.aws.layers import Call, Layer, LayeredClient, Request, Response, report
from langchain_bedrock_opt.chat_model import ChatBedrockOptimized
from langchain_bedrock_opt.errors import (
    ConfigurationError,
    ModelIdError,
    ThrottledError,
)

HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"
ARN = "arn:aws:bedrock:us-east-1:123456789012:{}"
TRACE: ContextVar[str] = ContextVar("TRACE", default="")


class FakeBedrock:
    """A bedrock-runtime client that answers at once, and can be told to wait or to fail."""

    meta = SimpleNamespace(region_name="us-east-1")

    def __init__(self, words: int = 3) -> None:
        self.requests: list[Request] = []
        self.words = words
        self.gate = threading.Event()
        self.gate.set()
        self.closed = threading.Event()
        self.seen_context = ""

    def converse(self, **request: Any) -> Response:
        self.requests.append(request)
        self.seen_context = TRACE.get()
        self.gate.wait(10)
        return {
            "output": {"message": {"role": "assistant", "content": [{"text": "hello"}]}},
            "stopReason": "end_turn",
            "usage": {"inputTokens": 2, "outputTokens": 1, "totalTokens": 3},
            "metrics": {"latencyMs": 1},
        }

    def converse_stream(self, **request: Any) -> Response:
        self.requests.append(request)
        self.seen_context = TRACE.get()
        return {"stream": self}

    def __iter__(self) -> Iterator[Any]:
        yield {"messageStart": {"role": "assistant"}}
        for n in range(self.words):
            yield {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": f"w{n} "}}}
        yield {"contentBlockStop": {"contentBlockIndex": 0}}
        yield {"messageStop": {"stopReason": "end_turn"}}
        usage = {"inputTokens": 2, "outputTokens": 1, "totalTokens": 3}
        yield {"metadata": {"usage": usage, "metrics": {"latencyMs": 1}}}

    def close(self) -> None:
        self.closed.set()

    def get_provisioned_model_throughput(self, **_: Any) -> dict[str, str]:
        return {"foundationModelArn": f"arn:aws:bedrock:us-east-1::foundation-model/{HAIKU}"}

    def get_inference_profile(self, **_: Any) -> dict[str, Any]:
        return {"models": [{"modelArn": f"arn:aws:bedrock:us-east-1::foundation-model/{HAIKU}"}]}

    def get_prompt_router(self, **_: Any) -> dict[str, Any]:
        arn = f"arn:aws:bedrock:us-east-1::foundation-model/{HAIKU}"
        return {"fallbackModel": {"modelArn": arn}}


def model_over(client: Any, model: str = f"us.{HAIKU}", **kwargs: Any) -> ChatBedrockOptimized:
    return ChatBedrockOptimized(model=model, client=client, bedrock_client=client, **kwargs)


class Tagging(Layer):
    """Marks each answer."""

    def converse(self, request: Request, call_next: Call) -> Response:
        response = call_next(request)
        report(response)["tag"] = "seen"
        return response

    converse_stream = converse


def test_it_is_a_chat_bedrock_converse_with_the_same_answers() -> None:
    """The same call gives the same message as ChatBedrockConverse, and isinstance() holds."""
    ours, theirs = (
        kind(model=f"us.{HAIKU}", client=FakeBedrock(), bedrock_client=object())
        for kind in (ChatBedrockOptimized, ChatBedrockConverse)
    )

    assert isinstance(ours, ChatBedrockConverse)
    a, b = ours.invoke("hi"), theirs.invoke("hi")
    assert a.response_metadata.pop("bedrock_opt") == {
        "model_id": f"us.{HAIKU}",
        "region": "us-east-1",
    }
    assert a.model_dump(exclude={"id"}) == b.model_dump(exclude={"id"})


def test_layers_see_plain_and_streaming_calls_and_report() -> None:
    """What a layer reports is in the message's metadata, however the model was called."""
    model = model_over(FakeBedrock(), layers=[Tagging()])
    expected = {"tag": "seen", "model_id": f"us.{HAIKU}", "region": "us-east-1"}

    merged = AIMessageChunk(content="")
    for chunk in model.stream("hi"):
        merged += chunk

    assert model.invoke("hi").response_metadata["bedrock_opt"] == expected
    assert merged.response_metadata["bedrock_opt"] == expected


def test_a_cache_of_ours_becomes_the_outermost_layer() -> None:
    """A cache that offers a layer is put in the request path, so that LangChain asks no other."""

    class OurCache(InMemoryCache):
        def as_layer(self) -> Layer:
            return Tagging()

    inner = Layer()
    model = model_over(FakeBedrock(), cache=OurCache(), layers=[inner])

    assert model.cache is False
    assert [type(layer) for layer in model.client.layers] == [Tagging, Layer]


def test_a_cache_of_langchains_stays_langchains() -> None:
    """Another cache works as on any chat model: the second equal call is not made."""
    client, cache = FakeBedrock(), InMemoryCache()
    model = model_over(client, cache=cache)

    model.invoke("hi")
    model.invoke("hi")

    assert isinstance(model.cache, BaseCache)
    assert len(client.requests) == 1


@pytest.mark.parametrize(
    "model_id",
    [
        f"in.{HAIKU}",
        f"ca.{HAIKU}",
        ARN.format("provisioned-model/p1"),
        ARN.format("prompt-router/r1"),
        ARN.format("application-inference-profile/a1"),
        ARN.format(f"inference-profile/us.{HAIKU}"),
        f"arn:aws:bedrock:us-east-1::foundation-model/{HAIKU}",
    ],
)
def test_an_id_that_hides_its_model_keeps_streaming_and_tool_choice(model_id: str) -> None:
    """Streaming, tool choice and the profile are those of the model behind the id."""
    client = FakeBedrock()
    model = model_over(client, model_id)

    assert model.disable_streaming is False
    assert model.supports_tool_choice_values == ("auto", "any", "tool")
    assert model.profile
    assert [chunk.text for chunk in model.stream("hi")][1:4] == ["w0 ", "w1 ", "w2 "]
    assert client.requests[-1]["modelId"] == model_id
    assert model.invoke("hi").response_metadata["bedrock_opt"]["model_id"] == model_id


def test_a_base_model_that_is_given_is_not_asked_for() -> None:
    """With `base_model=` an ARN needs no control plane at all."""
    model = ChatBedrockOptimized(
        model=ARN.format("imported-model/i1"),
        base_model=HAIKU,
        client=FakeBedrock(),
        bedrock_client=object(),
    )

    assert model.disable_streaming is False
    assert model.provider == "anthropic"


def test_models_with_equal_settings_share_their_clients() -> None:
    """Three tiers of a router are one client; headers of one's own make one of one's own."""
    first = ChatBedrockOptimized(model=f"us.{HAIKU}", region_name="us-east-1", max_tokens=100)
    second = ChatBedrockOptimized(
        model="us.amazon.nova-lite-v1:0", region_name="us-east-1", max_tokens=150
    )
    other = ChatBedrockOptimized(
        model=f"us.{HAIKU}", region_name="us-east-1", default_headers={"x-team": "a"}
    )

    assert first.client.base is second.client.base
    assert other.client.base is not first.client.base
    assert first.client.base.meta.config.max_pool_connections == first.max_concurrency


def test_a_user_client_is_used_and_never_closed() -> None:
    """A client that was passed in belongs to whoever passed it."""
    client = FakeBedrock()

    with model_over(client) as model:
        model.invoke("hi")

    assert not client.closed.is_set()


def test_a_model_made_from_another_ones_fields_has_its_layers_once() -> None:
    """LangChain's configurable fields rebuild a model; a layer must not wrap twice."""
    model = model_over(FakeBedrock(), layers=[Tagging()], base_model=HAIKU)
    configurable = model.configurable_fields(temperature=ConfigurableField(id="temperature"))

    answer = configurable.with_config(configurable={"temperature": 0.5}).invoke("hi")

    assert answer.response_metadata["bedrock_opt"]["tag"] == "seen"
    copy = model.model_copy(update={"temperature": 0.1})
    assert isinstance(copy.client, LayeredClient)
    assert not isinstance(copy.client.base, LayeredClient)


async def test_async_calls_run_side_by_side_beyond_the_event_loops_pool() -> None:
    """Forty calls are in flight at once on default settings, and all answer."""
    client = FakeBedrock()
    client.gate.clear()
    model = model_over(client)
    calls = [asyncio.create_task(model.ainvoke("hi")) for _ in range(40)]

    while len(client.requests) < 40:
        await asyncio.sleep(0.001)
    client.gate.set()

    assert [m.content for m in await asyncio.gather(*calls)] == ["hello"] * 40
    model.close()


async def test_async_calls_are_bounded_by_max_concurrency() -> None:
    """A model with room for two calls has two in flight, and serves the rest in turn."""
    client = FakeBedrock()
    client.gate.clear()
    model = model_over(client, max_concurrency=2)
    calls = [asyncio.create_task(model.ainvoke("hi")) for _ in range(6)]
    while len(client.requests) < 2:
        await asyncio.sleep(0.001)

    assert len(client.requests) == 2
    client.gate.set()
    await asyncio.gather(*calls)

    assert len(client.requests) == 6
    model.close()


async def test_async_calls_carry_context_variables() -> None:
    """A context variable of the task is seen where the request is made."""
    client = FakeBedrock()
    model = model_over(client)
    TRACE.set("t1")

    await model.ainvoke("hi")
    assert client.seen_context == "t1"
    TRACE.set("t2")
    _ = [chunk async for chunk in model.astream("hi")]

    assert client.seen_context == "t2"
    model.close()


async def test_an_async_stream_is_the_sync_stream() -> None:
    """The chunks of `astream` are those of `stream`, all thousand of them, in order."""
    client = FakeBedrock(words=1000)
    model = model_over(client)

    streamed = [chunk.text async for chunk in model.astream("hi")]

    assert streamed == [chunk.text for chunk in model.stream("hi")]
    model.close()


async def test_an_async_stream_that_is_broken_off_is_closed() -> None:
    """After the consumer leaves, the stream's source is closed and its thread is free."""
    client = FakeBedrock(words=100_000)
    model = model_over(client, max_concurrency=1)

    stream = model.astream("hi")
    async for _ in stream:
        break
    await stream.aclose()  # type: ignore[attr-defined]

    assert await asyncio.to_thread(client.closed.wait, 10)
    assert (await model.ainvoke("hi")).content == "hello"
    model.close()


async def test_a_stream_given_up_before_its_turn_is_never_opened() -> None:
    """A stream that is cancelled while it waits for a thread costs nothing."""
    client = FakeBedrock()
    client.gate.clear()
    model = model_over(client, max_concurrency=1)
    busy = asyncio.create_task(model.ainvoke("hi"))
    while not client.requests:
        await asyncio.sleep(0.001)

    async def read() -> None:
        async for _ in model.astream("never"):
            pass

    waiting = asyncio.create_task(read())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    client.gate.set()
    await busy
    await model.ainvoke("hi")

    assert len(client.requests) == 2
    model.close()


async def test_an_error_reaches_whoever_awaits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A throttled async call or stream raises in the task, as ours."""

    def throttle(_self: Any, **_: Any) -> Response:
        error = {"Error": {"Code": "ThrottlingException", "Message": "slow down"}}
        raise ClientError(error, "Converse")  # type: ignore[arg-type]

    monkeypatch.setattr(FakeBedrock, "converse", throttle)
    monkeypatch.setattr(FakeBedrock, "converse_stream", throttle)
    model = model_over(FakeBedrock())

    with pytest.raises(ThrottledError):
        await model.ainvoke("hi")
    with pytest.raises(ThrottledError):
        _ = [chunk async for chunk in model.astream("hi")]
    model.close()


async def test_no_thread_is_left_behind() -> None:
    """After a burst and a close, the process has the threads it had before."""
    before = set(threading.enumerate())
    model = model_over(FakeBedrock())

    await asyncio.gather(*(model.ainvoke("hi") for _ in range(100)))
    await asyncio.to_thread(model.close)
    del model
    gc.collect()

    assert set(threading.enumerate()) - before <= {
        thread for thread in threading.enumerate() if thread.name.startswith("asyncio_")
    }


async def test_a_closed_model_can_be_used_again() -> None:
    """Closing gives threads and connections back; the next call starts anew."""
    model = model_over(FakeBedrock())
    await model.ainvoke("hi")
    model.close()

    assert (await model.ainvoke("hi")).content == "hello"
    model.close()


async def test_closing_inside_the_event_loop_does_not_block_it() -> None:
    """A model that is closed while one of its streams is half read lets the stream go on."""
    model = model_over(FakeBedrock(words=1000))
    pieces = 0

    async for chunk in model.astream("hi"):
        pieces += bool(chunk.text)
        if pieces == 3:
            model.close()

    assert pieces == 1000
    model.close()


async def test_a_cancelled_call_is_told_to_callbacks() -> None:
    """A call that is cancelled ends as an aborted run: Bedrock may have answered and billed it."""
    client, usage = FakeBedrock(), BedrockUsageCallbackHandler()
    client.gate.clear()
    model = model_over(client, callbacks=[usage])
    call = asyncio.create_task(model.ainvoke("hi"))
    while not client.requests:
        await asyncio.sleep(0.001)

    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    client.gate.set()

    assert [record.status for record in usage.ledger.records()] == ["aborted"]
    assert usage.open_runs == 0
    await asyncio.to_thread(model.close)


@pytest.mark.parametrize("layer", [1, Layer])
def test_a_layer_is_an_object_of_a_subclass(layer: Any) -> None:
    """What is no layer, or is the class itself, is refused when the model is made."""
    with pytest.raises(ConfigurationError, match="is no layer"):
        model_over(FakeBedrock(), layers=[layer])


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"model": "claude"}, ModelIdError, "'claude' is not a Bedrock model id"),
        ({"model": 7}, ConfigurationError, "model=7 is not a model id"),
        ({}, ConfigurationError, "model=None is not a model id"),
        ({"model": f"us.{HAIKU}"}, ConfigurationError, "No AWS region"),
        ({"model": ARN.format("imported-model/x")}, ConfigurationError, 'Pass base_model="'),
    ],
)
def test_bad_arguments_are_answered_in_one_line(
    arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    """A wrong id, a missing region or an unknown ARN each says in one line what to do."""
    if "arn" in str(arguments):
        arguments = {**arguments, "region_name": "us-east-1"}

    with pytest.raises(error) as caught:
        ChatBedrockOptimized(**arguments)

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_id_of_a_gateway_is_taken_with_its_provider() -> None:
    """A name that is no Bedrock id is somebody's gateway, if they say whose model it is."""
    model = ChatBedrockOptimized(
        model="my-alias", provider="anthropic", client=FakeBedrock(), bedrock_client=object()
    )

    assert model.invoke("hi").content == "hello"


def test_an_api_key_is_left_to_langchain_aws() -> None:
    """A Bedrock API key authenticates this model alone, with this package's settings."""
    model = ChatBedrockOptimized(model=f"us.{HAIKU}", region_name="us-east-1", api_key="key")

    config = model.client.base.meta.config
    assert config.max_pool_connections == model.max_concurrency
    assert "langchain-bedrock-opt" in config.user_agent_extra
