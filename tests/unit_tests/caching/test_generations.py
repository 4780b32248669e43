"""LangChain's generations as entries."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.messages.tool import tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, Generation

from langchain_bedrock_opt.caching.codec import EntryCodec
from langchain_bedrock_opt.caching.generations import (
    GENERATIONS_TAG,
    StoredGenerations,
    encode_generations,
    mark_hit,
    read_generations,
)
from langchain_bedrock_opt.contracts import CacheReport, TokenUsage
from langchain_bedrock_opt.errors import CacheStoreError

CODEC = EntryCodec()
REPORT: CacheReport = {"status": "hit", "tier": "exact", "age_seconds": 1.0}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)
DICTS = st.dictionaries(st.text(), JSON, max_size=3)
BLOCKS = (
    st.builds(lambda text: {"type": "text", "text": text}, st.text())
    | st.builds(lambda text: {"text": text}, st.text())
    | st.builds(lambda said: {**said, "type": "other"}, DICTS)
    | st.text()
)
CALLS = st.lists(
    st.builds(tool_call, name=st.text(), args=DICTS, id=st.none() | st.text()), max_size=2
)
INVALID = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.none() | st.text(),
            "args": st.none() | st.text(),
            "id": st.none() | st.text(),
            "error": st.none() | st.text(),
            "type": st.just("invalid_tool_call"),
        }
    ),
    max_size=2,
)
COUNT = st.integers(0, 10**6)
USAGE = st.none() | st.fixed_dictionaries(
    {"input_tokens": COUNT, "output_tokens": COUNT, "total_tokens": COUNT},
    optional={"input_token_details": st.fixed_dictionaries({"cache_read": COUNT})},
)
MESSAGES = st.builds(
    AIMessage,
    content=st.text() | st.lists(BLOCKS, max_size=3),
    tool_calls=CALLS,
    invalid_tool_calls=INVALID,
    usage_metadata=USAGE,
    response_metadata=DICTS,
    additional_kwargs=DICTS,
    name=st.none() | st.text(),
    id=st.none() | st.text(),
    extra_field=JSON,
)


def stored(*generations: Generation) -> StoredGenerations:
    data = encode_generations(CODEC, "key", generations, meta={"at": 1.0})
    return read_generations(CODEC.open("key", data))


@given(MESSAGES, st.none() | DICTS)
def test_a_message_comes_back_as_validation_makes_it(message: AIMessage, info: Any) -> None:
    """Any answer comes back equal to the original, as if pydantic had validated it, but its id."""
    original = ChatGeneration(message=message, generation_info=info)
    (restored,) = stored(original).generations

    fields = {**message.model_dump(exclude={"id"})}
    assert isinstance(restored, ChatGeneration)
    assert restored.message == AIMessage.model_validate(fields)
    assert restored.message.id is None
    assert restored == ChatGeneration(
        message=message.model_copy(update={"id": None}), generation_info=info
    )
    assert restored.message.model_dump() == {**message.model_dump(), "id": None}


def test_plain_generations_come_back() -> None:
    """The generations of a model that is no chat model survive, with what is told of them."""
    generations = [
        Generation(text="a", generation_info={"finish_reason": "stop"}),
        Generation(text="b"),
    ]

    assert stored(*generations).generations == generations


def test_a_chunk_comes_back_as_a_message() -> None:
    """The sum of a stream's chunks is kept as the message it has become."""
    chunk = AIMessageChunk(
        content="Hi",
        tool_call_chunks=[tool_call_chunk(name="f", args='{"a": 1}', id="1", index=0)],
        chunk_position="last",
    )
    (restored,) = stored(ChatGenerationChunk(message=chunk)).generations

    assert isinstance(restored, ChatGeneration)
    assert type(restored.message) is AIMessage
    assert restored.message.tool_calls == [tool_call(name="f", args={"a": 1}, id="1")]


def test_only_answers_are_kept() -> None:
    """A generation that is no model's answer is refused."""
    with pytest.raises(CacheStoreError, match="HumanMessage"):
        encode_generations(CODEC, "key", [ChatGeneration(message=HumanMessage("Hi"))], meta={})


def test_a_hit_has_spent_nothing() -> None:
    """A hit is a new message without an id and with no usage, and says what it saved."""
    message = AIMessage(
        "Hi",
        id="run-1",
        usage_metadata={
            "input_tokens": 100,
            "output_tokens": 5,
            "total_tokens": 105,
            "input_token_details": {"cache_read": 60, "ephemeral_1h_input_tokens": 30},
        },
        response_metadata={"stopReason": "end_turn", "bedrock_opt": {"route": {"tier": "a"}}},
    )
    entry = stored(ChatGeneration(message=message))
    (hit,) = mark_hit(entry, REPORT)

    assert entry.saved == TokenUsage(input=10, output=5, cache_read=60, cache_write_1h=30)
    assert entry.meta == {"at": 1.0}
    assert isinstance(hit, ChatGeneration)
    assert isinstance(hit.message, AIMessage)
    assert hit.message.id is None
    assert hit.message.usage_metadata == {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    assert hit.message.response_metadata == {
        "stopReason": "end_turn",
        "bedrock_opt": {"route": {"tier": "a"}, "cache": REPORT},
    }


def test_a_hit_without_usage_gets_none() -> None:
    """A message of which nobody counted the tokens is not said to have spent zero."""
    (hit,) = mark_hit(stored(ChatGeneration(message=AIMessage("Hi"))), REPORT)

    assert isinstance(hit, ChatGeneration)
    assert isinstance(hit.message, AIMessage)
    assert hit.message.usage_metadata is None


def test_hits_share_nothing() -> None:
    """Whoever changes a hit changes no other one, and not what was stored."""
    data = encode_generations(
        CODEC, "key", [ChatGeneration(message=AIMessage([{"type": "text", "text": "Hi"}]))], meta={}
    )
    (first,) = mark_hit(read_generations(CODEC.open("key", data)), REPORT)
    assert isinstance(first, ChatGeneration)
    first.message.content.clear()  # type: ignore[union-attr]
    first.message.response_metadata["bedrock_opt"]["cache"]["tier"] = "changed"
    (second,) = mark_hit(read_generations(CODEC.open("key", data)), REPORT)

    assert isinstance(second, ChatGeneration)
    assert second.message.text == "Hi"
    assert second.message.response_metadata["bedrock_opt"]["cache"] == REPORT


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"meta": {}, "generations": [{}]},
        {"meta": {}, "generations": [{"text": "a", "message": 1}]},
        {"meta": {}, "generations": [{"text": "a", "message": {"usage_metadata": 1}}]},
        {"meta": {}, "generations": 1},
    ],
)
def test_an_entry_without_generations_is_refused(document: Any) -> None:
    """A sound entry that holds something else is not read as generations."""
    with pytest.raises(CacheStoreError):
        read_generations(CODEC.open("key", CODEC.encode("key", GENERATIONS_TAG, document)))
