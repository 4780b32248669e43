"""LangChain's own door to the cache, and how the cache is made."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.caches import BaseCache
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.load import dumps
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, Generation
from langchain_tests.integration_tests.cache import AsyncCacheTestSuite, SyncCacheTestSuite

from langchain_bedrock_opt.caching.cache import BedrockSemanticCache
from langchain_bedrock_opt.caching.hits import exact_hit_id
from langchain_bedrock_opt.caching.prompts import prompt_key
from langchain_bedrock_opt.caching.stores.disk import DiskCacheStore
from langchain_bedrock_opt.caching.stores.memory import InMemoryCacheStore
from langchain_bedrock_opt.contracts import TokenUsage
from langchain_bedrock_opt.errors import CacheStoreError, ConfigurationError

USAGE = {
    "input_tokens": 100,
    "output_tokens": 9,
    "total_tokens": 109,
    "input_token_details": {"cache_read": 40, "ephemeral_5m_input_tokens": 10},
    "output_token_details": {"reasoning": 2},
}
CALL = {"name": "f", "args": {"x": 1}, "id": "call-1"}


class TestInMemory(SyncCacheTestSuite):
    """LangChain's suite for a cache in memory."""

    @pytest.fixture
    def cache(self) -> BaseCache:
        """An empty cache."""
        return BedrockSemanticCache()


class TestInMemoryAsync(AsyncCacheTestSuite):
    """LangChain's asynchronous suite for a cache in memory."""

    @pytest.fixture
    async def cache(self) -> BaseCache:
        """An empty cache."""
        return BedrockSemanticCache()


class TestOnDisk(SyncCacheTestSuite):
    """LangChain's suite for a cache on disk."""

    @pytest.fixture
    def cache(self, tmp_path: Path) -> Iterator[BaseCache]:
        """An empty cache."""
        cache = BedrockSemanticCache(DiskCacheStore(tmp_path / "cache"))
        yield cache
        cache.close()


class TestOnDiskAsync(AsyncCacheTestSuite):
    """LangChain's asynchronous suite for a cache on disk."""

    @pytest.fixture
    async def cache(self, tmp_path: Path) -> AsyncIterator[BaseCache]:
        """An empty cache."""
        cache = BedrockSemanticCache(DiskCacheStore(tmp_path / "cache"))
        yield cache
        cache.close()


def answer(**fields: Any) -> ChatGeneration:
    """A model's answer with all that a real one carries."""
    defaults: dict[str, Any] = {
        "content": "Kyoto.",
        "id": "lc_run--1",
        "usage_metadata": USAGE,
        "response_metadata": {"stopReason": "end_turn", "bedrock_opt": {"model_id": "m"}},
    }
    return ChatGeneration(message=AIMessage(**{**defaults, **fields}))


def hit(cache: BedrockSemanticCache, prompt: str = "p", model: str = "m") -> AIMessage | None:
    found = cache.lookup(prompt, model)
    if found is None:
        return None
    [generation] = found
    assert isinstance(generation, ChatGeneration)
    assert isinstance(generation.message, AIMessage)
    return generation.message


def test_a_hit_is_a_fresh_message_that_spent_nothing(
    cache: BedrockSemanticCache, clock: Any
) -> None:
    """A message comes back without its id and usage, with a report of what was saved."""
    cache.update("p", "m", [answer(tool_calls=[CALL])])
    clock.now += 5

    message = hit(cache)

    assert message is not None
    assert message.content == "Kyoto."
    assert message.id is None
    assert [call["args"] for call in message.tool_calls] == [{"x": 1}]
    assert message.usage_metadata == {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    saved = TokenUsage(input=50, output=9, cache_read=40, cache_write_5m=10, reasoning=2)
    assert message.response_metadata["bedrock_opt"] == {
        "model_id": "m",
        "cache": {
            "status": "hit",
            "tier": "exact",
            "age_seconds": 5,
            "saved": saved.as_dict(),
            "hit_id": exact_hit_id("default", prompt_key("p", "m", namespace="default")),
        },
    }
    assert cache.stats().saved == saved


def test_bytes_in_a_message_survive(cache: BedrockSemanticCache) -> None:
    """Redacted reasoning, which is bytes, comes back as bytes."""
    redacted = {"type": "reasoning_content", "reasoning_content": {"redacted_content": b"\xff"}}
    content = [redacted, {"type": "text", "text": "Hi"}]

    cache.update("p", "m", [answer(content=content)])

    message = hit(cache)
    assert message is not None
    assert message.content == content


def test_a_chunk_is_kept_as_a_message(cache: BedrockSemanticCache) -> None:
    """An answer that was streamed inside the model is a whole message for the next one."""
    cache.update("p", "m", [ChatGenerationChunk(message=AIMessageChunk(content="Hi", id="run-1"))])

    message = hit(cache)

    assert type(message) is AIMessage
    assert message.id is None


def test_any_chat_model_is_served() -> None:
    """A model of LangChain's with this cache answers an equal question without being asked."""
    cache = BedrockSemanticCache()
    model = GenericFakeChatModel(messages=iter([AIMessage("Kyoto.")]), cache=cache)

    answers = [model.invoke(question) for question in ("Where?", " Where?\n")]

    assert [message.content for message in answers] == ["Kyoto."] * 2
    assert cache.stats().hits == 1


def test_the_next_turn_is_found_again() -> None:
    """The history counts by what was said, whatever ids, usage and metadata came with it."""

    def turn(**fields: Any) -> str:
        said = {"content": "", "tool_calls": [{**CALL, **fields.pop("call", {})}], **fields}
        result = ToolMessage("1", tool_call_id=said["tool_calls"][0]["id"], artifact=fields)
        return dumps([SystemMessage("Be brief."), HumanMessage("f?"), AIMessage(**said), result])

    blocks = [{"type": "tool_use", "name": "f", "input": {"x": 1}, "id": "call-1", "index": 0}]
    turns = [
        turn(),
        turn(id="run-1", response_metadata={"RequestId": "r"}, usage_metadata=USAGE),
        turn(usage_metadata={**USAGE, "total_cost": 0}),
        turn(call={"id": "call-2"}),
        turn(content=blocks),
        turn(additional_kwargs={"tool_calls": [{"id": "call-1"}]}),
    ]

    assert len({prompt_key(prompt, "m") for prompt in turns}) == 1


@pytest.mark.parametrize(
    "other",
    [
        [HumanMessage("Hi?")],
        [SystemMessage("Hi")],
        [HumanMessage("Hi"), HumanMessage("Hi")],
        [HumanMessage("Hi", name="Ada")],
        [HumanMessage([{"type": "text", "text": "Hi"}, {"type": "image", "data": "QQ=="}])],
        [AIMessage("Hi")],
        [AIMessage("Hi", tool_calls=[CALL])],
        [AIMessage("Hi", additional_kwargs={"function_call": {"name": "f"}})],
        [ToolMessage("Hi", tool_call_id="call-1")],
        [ToolMessage("Hi", tool_call_id="call-1", status="error")],
    ],
)
def test_other_messages_have_another_key(other: list[BaseMessage]) -> None:
    """Messages that a model would see as different are different."""
    assert prompt_key(dumps(other), "m") != prompt_key(dumps([HumanMessage("Hi")]), "m")


def test_the_model_counts_by_what_changes_its_answers(
    bedrock: Any, make_model: Callable[..., Any]
) -> None:
    """Retries, region and the like do not separate two models; temperature and tokens do."""

    def key(**arguments: Any) -> str:
        seen: list[str] = []

        class Spy(BedrockSemanticCache):
            def lookup(self, prompt: str, llm_string: str) -> list[Generation]:
                seen.append(prompt_key(prompt, llm_string))
                return [answer()]

        make_model(bedrock(), cache=Spy(), **arguments).invoke("Hi")
        return seen[0]

    assert key(max_retries=9, region_name="eu-west-1", timeout=3.0) == key()
    assert key(max_tokens=9) != key()
    assert key(temperature=0.0) != key()


@pytest.mark.parametrize(
    "prompt",
    [
        "Hi",
        "[1, 2]",
        "[]",
        '{"a": 1}',
        '"x"',
        pytest.param("[" * 100_000, id="nested too deep"),
        '[{"type": "constructor"}]',
        '[{"type": "constructor", "id": ["x"], "kwargs": {"content": 5}}]',
        '[{"type": "constructor", "id": [], "kwargs": {"content": "Hi"}}]',
    ],
)
def test_plain_prompts_are_texts(prompt: str) -> None:
    """A prompt that only looks like LangChain's JSON counts as the text it is."""
    assert prompt_key(prompt, "m") == prompt_key(prompt, "m")
    assert prompt_key(prompt, "m") != prompt_key(prompt[:-1], "m")
    assert prompt_key(prompt, "m") != prompt_key(prompt, "n")


@pytest.mark.parametrize(
    "generation",
    [
        answer(content=""),
        answer(response_metadata={"stopReason": "max_tokens"}),
        answer(response_metadata={"finish_reason": "length"}),
        Generation(text="Cut", generation_info={"finish_reason": "LENGTH"}),
        ChatGeneration(message=HumanMessage("not a model's")),
        Generation(text="x", generation_info={"object": object()}),
    ],
)
def test_what_is_not_whole_is_not_kept(generation: Generation, cache: BedrockSemanticCache) -> None:
    """Empty and cut answers, and what can't be stored, leave nothing behind and raise nothing."""
    cache.update("p", "m", [generation])

    assert cache.lookup("p", "m") is None


@pytest.mark.parametrize(
    ("llm_string", "kept"),
    [
        ("[('stop', None), ('temperature', 0.7)]", False),
        ("[('stop', None), ('temperature', 0.0)]", True),
        ('{"kwargs": {"temperature": 0.7}}---[]', False),
        ('{"kwargs": {"temperature": 0.7}}---[(\'temperature\', 0.0)]', True),
        ('{"kwargs": {}}---[]', True),
    ],
)
def test_chance_is_not_cached(*, llm_string: str, kept: bool) -> None:
    """A model whose description shows a temperature above 0 is asked, unless that is wanted."""
    for cache_sampled, expected in ((False, kept), (True, True)):
        cache = BedrockSemanticCache(cache_sampled=cache_sampled)
        cache.update("p", llm_string, [answer()])
        assert (cache.lookup("p", llm_string) is not None) is expected


def test_bypass_and_refresh(cache: BedrockSemanticCache) -> None:
    """Inside the blocks nothing is looked up; only a refresh keeps."""
    cache.update("p", "m", [answer(content="old")])
    with cache.bypass():
        assert cache.lookup("p", "m") is None
        cache.update("p", "m", [answer(content="past")])
    message = hit(cache)
    assert message is not None
    assert message.content == "old"
    with cache.refresh():
        assert cache.lookup("p", "m") is None
        cache.update("p", "m", [answer(content="new")])
    message = hit(cache)
    assert message is not None
    assert message.content == "new"


class BrokenStore(InMemoryCacheStore):
    """A store that fails at everything."""

    def get(self, key: str) -> bytes | None:
        raise CacheStoreError("away")

    def put(self, key: str, value: bytes, ttl: float | None, *, lease: str | None = None) -> bool:
        raise CacheStoreError("away")

    def clear(self) -> None:
        raise CacheStoreError("away")


def test_a_broken_store_fails_open(caplog: pytest.LogCaptureFixture) -> None:
    """A store that is away makes misses; only clearing it says so, since old answers would stay."""
    cache = BedrockSemanticCache(BrokenStore())

    with caplog.at_level(logging.WARNING):
        cache.update("p", "m", [answer()])
        assert cache.lookup("p", "m") is None
    with pytest.raises(CacheStoreError):
        cache.clear()

    assert cache.stats().errors == 2


def test_the_two_doors_do_not_mix(
    bedrock: Any, make_model: Callable[..., Any], make_response: Callable[..., Any]
) -> None:
    """Requests and LangChain's generations share a store without ever reading each other."""
    store = InMemoryCacheStore()
    cache = BedrockSemanticCache(store)
    make_model(bedrock(make_response({"text": "Hi"})), cache, cache=cache).invoke("Hi")

    assert sum(key.startswith("v") for key in store._entries) == 2
    assert cache.stats().errors == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"ttl": 0}, "ttl=0"),
        ({"ttl_jitter": 1}, "ttl_jitter=1"),
        ({"wait_timeout": -1}, "wait_timeout=-1"),
        ({"stale_while_revalidate": -1}, "stale_while_revalidate=-1"),
        ({"local_entries": -1}, "local_entries=-1"),
        ({"local_ttl": -1}, "local_ttl=-1"),
        ({"secret": "short"}, "16 bytes"),
        ({"encryption": b"key"}, "AesGcmCipher"),
        ({"store": "redis://"}, "redis://"),
    ],
)
def test_mistakes_fail_at_construction(arguments: dict[str, Any], named: str) -> None:
    """An argument out of its range is refused at once, by name and value."""
    with pytest.raises(ConfigurationError, match=named):
        BedrockSemanticCache(**arguments)
