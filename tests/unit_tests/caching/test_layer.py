"""The cache in the request path of ChatBedrockConverse: invoke."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from langchain_aws import ChatBedrockConverse
from langchain_core.messages import HumanMessage, ToolMessage

from langchain_bedrock_opt.caching.cache import BedrockSemanticCache
from langchain_bedrock_opt.caching.entries import LOG_INTERVAL
from langchain_bedrock_opt.caching.stores.memory import InMemoryCacheStore
from langchain_bedrock_opt.contracts import SupportsLayer, TokenUsage
from langchain_bedrock_opt.errors import CacheStoreError

MakeModel = Callable[..., ChatBedrockConverse]
MakeResponse = Callable[..., dict[str, Any]]

TOOL = {"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}
NOTHING = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}


def report(message: Any) -> dict[str, Any]:
    """What the cache says it did."""
    found: dict[str, Any] = message.response_metadata["bedrock_opt"]["cache"]
    return found


class BrokenStore(InMemoryCacheStore):
    """A store whose server is away."""

    def get(self, key: str) -> bytes | None:
        raise ConnectionError("away")

    def put(self, key: str, value: bytes, ttl: float | None, *, lease: str | None = None) -> bool:
        raise CacheStoreError("away")


def test_the_same_question_is_paid_once(
    bedrock: Any,
    cache: BedrockSemanticCache,
    clock: Any,
    make_model: MakeModel,
    make_response: MakeResponse,
) -> None:
    """A second equal invoke is answered from the cache, spends nothing and says what it saved."""
    fake = bedrock(make_response({"text": "Kyoto."}))
    model = make_model(fake, cache)

    first = model.invoke("Where?")
    clock.now += 5
    second = model.invoke(" Where?\r\n")

    assert len(fake.requests) == 1
    assert first.content == second.content == "Kyoto."
    assert report(first) == {"status": "miss"}
    assert report(second)["status"] == "hit"
    assert report(second)["tier"] == "exact"
    assert report(second)["age_seconds"] == 5
    assert report(second)["saved"] == TokenUsage(input=11, output=7).as_dict()
    assert second.usage_metadata is not None
    assert NOTHING.items() <= second.usage_metadata.items()
    assert second.response_metadata["metrics"]["latencyMs"] == [0]
    assert second.response_metadata["stopReason"] == "end_turn"
    assert "ResponseMetadata" not in second.response_metadata
    assert second.id != first.id


def test_tool_calls_are_replayed(
    bedrock: Any, cache: BedrockSemanticCache, make_model: MakeModel, make_response: MakeResponse
) -> None:
    """A whole agent run, tool calls included, replays without the model."""
    call = {"toolUse": {"toolUseId": "tooluse_1", "name": "f", "input": {"x": 1}}}
    fake = bedrock(make_response(call, stop="tool_use"), make_response({"text": "One."}))

    def run() -> list[Any]:
        model = make_model(fake, cache).bind(tools=[TOOL])
        asked = model.invoke("f of x?")
        result = ToolMessage("1", tool_call_id=asked.tool_calls[0]["id"])
        return [asked, model.invoke([HumanMessage("f of x?"), asked, result])]

    first, second = run(), run()

    assert len(fake.requests) == 2
    assert [message.tool_calls for message in first] == [message.tool_calls for message in second]
    assert second[1].content == "One."
    assert [report(message)["status"] for message in second] == ["hit", "hit"]


def test_a_hit_belongs_to_its_caller(
    bedrock: Any, cache: BedrockSemanticCache, make_model: MakeModel, make_response: MakeResponse
) -> None:
    """What a caller does to an answer is not seen by the next one."""
    call = {"toolUse": {"toolUseId": "t", "name": "f", "input": {"x": [1]}}}
    model = make_model(bedrock(make_response(call, stop="tool_use")), cache).bind(tools=[TOOL])

    for _ in range(3):
        answer = model.invoke("f?")
        assert answer.tool_calls[0]["args"] == {"x": [1]}
        answer.tool_calls[0]["args"]["x"].append(2)


def test_an_error_is_not_kept(
    bedrock: Any, cache: BedrockSemanticCache, make_model: MakeModel, make_response: MakeResponse
) -> None:
    """An error is raised, forgotten, and the next call asks the model."""
    fake = bedrock(RuntimeError("no"), make_response({"text": "Kyoto."}))
    model = make_model(fake, cache)

    with pytest.raises(RuntimeError, match="no"):
        model.invoke("Where?")

    assert report(model.invoke("Where?")) == {"status": "miss"}
    assert report(model.invoke("Where?"))["status"] == "hit"


@pytest.mark.parametrize(
    ("content", "stop"),
    [
        ([{"text": "Cut of"}], "max_tokens"),
        ([{"text": "Sorry."}], "guardrail_intervened"),
        ([{"text": "Sorry."}], "content_filtered"),
        ([{"text": "x"}], "model_context_window_exceeded"),
        ([{"text": "x"}], "a reason of next year"),
        ([], "end_turn"),
        ([{"text": " \n"}], "end_turn"),
        ([{"reasoningContent": {"reasoningText": {"text": "Hmm."}}}], "end_turn"),
    ],
)
def test_an_answer_that_is_not_whole_is_not_kept(
    *,
    content: list[dict[str, Any]],
    stop: str,
    bedrock: Any,
    cache: BedrockSemanticCache,
    make_model: MakeModel,
    make_response: MakeResponse,
) -> None:
    """Cut, stopped and empty answers reach their caller and are asked for again."""
    fake = bedrock(make_response(*content, stop=stop))
    model = make_model(fake, cache)

    for _ in range(2):
        assert model.invoke("Where?").response_metadata["stopReason"] == stop

    assert len(fake.requests) == 2
    assert cache.stats().stores == 0


@pytest.mark.parametrize(
    ("arguments", "calls"),
    [
        ({}, 1),
        ({"temperature": 0}, 1),
        ({"temperature": 0.7}, 2),
        ({"additional_model_request_fields": {"temperature": 0.7}}, 2),
    ],
)
def test_chance_is_not_cached(
    *,
    arguments: dict[str, Any],
    calls: int,
    bedrock: Any,
    cache: BedrockSemanticCache,
    make_model: MakeModel,
    make_response: MakeResponse,
) -> None:
    """Who asks for a temperature above 0 gets a new answer each time; who says nothing does not."""
    fake = bedrock(make_response({"text": "Kyoto."}))
    model = make_model(fake, cache, **arguments)

    answers = [model.invoke("Where?") for _ in range(2)]

    assert len(fake.requests) == calls
    assert report(answers[1])["status"] == ("hit" if calls == 1 else "bypass")


def test_chance_is_cached_on_request(
    bedrock: Any, make_model: MakeModel, make_response: MakeResponse
) -> None:
    """With `cache_sampled` answers at a temperature above 0 are kept too."""
    fake = bedrock(make_response({"text": "Kyoto."}))
    model = make_model(fake, BedrockSemanticCache(cache_sampled=True), temperature=0.7)

    assert report(model.invoke("Where?"))["status"] == "miss"
    assert report(model.invoke("Where?"))["status"] == "hit"


def test_bypass_and_refresh(
    bedrock: Any, cache: BedrockSemanticCache, make_model: MakeModel, make_response: MakeResponse
) -> None:
    """A block can go past the cache, or renew what it holds, and another cache is not touched."""
    fake = bedrock(*(make_response({"text": text}) for text in ("old", "past", "new")))
    model = make_model(fake, cache)

    def ask() -> tuple[Any, str]:
        message = model.invoke("Where?")
        return message.content, report(message)["status"]

    assert ask() == ("old", "miss")
    with cache.bypass():
        assert ask() == ("past", "bypass")
        with BedrockSemanticCache().refresh():
            pass
    assert ask() == ("old", "hit")
    with cache.refresh():
        assert ask() == ("new", "refresh")
    assert ask() == ("new", "hit")
    assert cache.stats().bypassed == 2


async def test_bypass_reaches_async_calls(
    bedrock: Any, cache: BedrockSemanticCache, make_model: MakeModel, make_response: MakeResponse
) -> None:
    """The block also holds for the threads in which LangChain makes asynchronous calls."""
    model = make_model(bedrock(make_response({"text": "Kyoto."})), cache)

    with cache.bypass():
        message = await model.ainvoke("Where?")

    assert report(message) == {"status": "bypass"}


def test_entries_expire(
    bedrock: Any,
    cache: BedrockSemanticCache,
    clock: Any,
    make_model: MakeModel,
    make_response: MakeResponse,
) -> None:
    """After its time an answer is paid for again."""
    fake = bedrock(make_response({"text": "Kyoto."}))
    model = make_model(fake, cache)

    model.invoke("Where?")
    clock.now += 60
    model.invoke("Where?")

    assert len(fake.requests) == 2


def test_jitter_only_shortens(
    clock: Any, bedrock: Any, make_model: MakeModel, make_response: MakeResponse
) -> None:
    """With jitter an entry lives shorter than `ttl`, never longer."""
    store = InMemoryCacheStore(clock=clock)
    cache = BedrockSemanticCache(store, ttl=100, ttl_jitter=0.5, clock=clock, random=lambda: 0.5)
    model = make_model(bedrock(make_response({"text": "Kyoto."})), cache)

    model.invoke("Where?")
    clock.now += 74
    assert report(model.invoke("Where?"))["status"] == "hit"
    clock.now += 1
    assert report(model.invoke("Where?"))["status"] == "miss"


def test_tenants_are_apart(
    bedrock: Any, make_model: MakeModel, make_response: MakeResponse
) -> None:
    """Two tenants over one store never see each other's answers."""
    store = InMemoryCacheStore()
    fake = bedrock(make_response({"text": "Kyoto."}))

    for tenant in ("acme", "zeta"):
        make_model(fake, BedrockSemanticCache(store, tenant=tenant)).invoke("Where?")

    assert len(fake.requests) == 2


def test_a_broken_store_never_fails_a_call(
    bedrock: Any,
    clock: Any,
    caplog: pytest.LogCaptureFixture,
    make_model: MakeModel,
    make_response: MakeResponse,
) -> None:
    """Without its store the cache lets every call through, counts, and logs once a minute."""
    cache = BedrockSemanticCache(BrokenStore(), clock=clock)
    model = make_model(bedrock(make_response({"text": "Kyoto."})), cache)

    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            message = model.invoke("Where is my secret?")
            assert message.content == "Kyoto."
            assert report(message) == {"status": "error"}
        assert len(caplog.records) == 1
        clock.now += LOG_INTERVAL
        model.invoke("Where is my secret?")

    assert len(caplog.records) == 2
    assert "secret" not in caplog.text
    assert cache.stats().errors == 8


def test_a_broken_entry_is_a_miss(
    bedrock: Any, clock: Any, make_model: MakeModel, make_response: MakeResponse
) -> None:
    """An entry whose bytes have changed is asked for again, and replaced."""
    store = InMemoryCacheStore()
    cache = BedrockSemanticCache(store, clock=clock, ttl_jitter=0)
    fake = bedrock(make_response({"text": "Kyoto."}))
    model = make_model(fake, cache)
    model.invoke("Where?")
    [key] = [key for key in store._entries if key.startswith("v")]
    entry = store.get(key) or b""
    store.put(key, entry[:-1] + bytes([entry[-1] ^ 1]), None)

    assert model.invoke("Where?").content == "Kyoto."
    assert len(fake.requests) == 2
    assert store.get(key) == entry
    assert cache.stats().errors == 1


def test_an_answer_that_is_not_understood_goes_through(
    cache: BedrockSemanticCache, make_response: MakeResponse
) -> None:
    """A response of a form that the cache does not know reaches its caller as it is."""
    request = {"modelId": "m", "messages": [{"role": "user", "content": [{"text": "Hi"}]}]}

    response = cache.as_layer().converse(request, lambda _: make_response({"text": None}))

    assert response["output"]["message"]["content"] == [{"text": None}]
    assert cache.stats().stores == 0


def test_a_request_without_a_key_goes_through(
    bedrock: Any, cache: BedrockSemanticCache, make_response: MakeResponse
) -> None:
    """What the cache can't read is left to Bedrock to judge."""
    response = cache.as_layer().converse(
        {"modelId": "m", "messages": [1]}, lambda request: make_response({"text": "Hi"})
    )

    assert response["bedrock_opt"]["cache"] == {"status": "error"}


def test_a_hit_counts_in_the_caller_s_tier(
    bedrock: Any, cache: BedrockSemanticCache, make_response: MakeResponse
) -> None:
    """An answer bought at one tier serves another, and says the tier of the one who asked."""
    layer = cache.as_layer()
    bought = {**make_response({"text": "Hi"}), "serviceTier": {"type": "flex"}}
    request = {"modelId": "m", "messages": [{"role": "user", "content": [{"text": "Hi"}]}]}

    layer.converse({**request, "serviceTier": {"type": "flex"}}, lambda _: bought)
    plain = layer.converse(request, lambda _: bought)
    priority = layer.converse({**request, "serviceTier": {"type": "priority"}}, lambda _: bought)

    assert "serviceTier" not in plain
    assert priority["serviceTier"] == {"type": "priority"}


def test_saved_tokens_are_split_as_bedrock_bills_them(
    cache: BedrockSemanticCache, make_response: MakeResponse
) -> None:
    """What a hit saved keeps the kinds apart, and no reasoning tokens are reported as spent."""
    bought = make_response({"text": "Hi"})
    bought["usage"] |= {
        "cacheReadInputTokens": 5,
        "cacheWriteInputTokens": 30,
        "cacheDetails": [{"ttl": "5m", "inputTokens": 10}, {"ttl": "1h", "inputTokens": 20}],
    }
    fields = {"usage": {"output_tokens_details": {"thinking_tokens": 3}}}
    bought["additionalModelResponseFields"] = fields
    request = {"modelId": "m", "messages": [{"role": "user", "content": [{"text": "Hi"}]}]}

    layer = cache.as_layer()
    layer.converse(request, lambda _: bought)
    hit = layer.converse(request, lambda _: bought)

    saved = TokenUsage(
        input=11, output=7, cache_read=5, cache_write_5m=10, cache_write_1h=20, reasoning=3
    )
    assert hit["bedrock_opt"]["cache"]["saved"] == saved.as_dict()
    assert hit["additionalModelResponseFields"] == {}
    assert cache.stats().saved == saved


def test_stats(
    bedrock: Any, cache: BedrockSemanticCache, make_model: MakeModel, make_response: MakeResponse
) -> None:
    """The cache counts what it did, and what that saved."""
    model = make_model(bedrock(make_response({"text": "Kyoto."})), cache)
    for question in ("a", "a", "a", "b"):
        model.invoke(question)

    stats = cache.stats()

    assert (stats.hits, stats.misses, stats.stores, stats.errors) == (2, 2, 2, 0)
    assert stats.saved == TokenUsage(input=22, output=14)
    assert stats.hit_rate == 0.5


def test_the_cache_is_what_chat_models_take(cache: BedrockSemanticCache) -> None:
    """A cache can stand in a chat model's request path."""
    assert isinstance(cache, SupportsLayer)
