"""InvokeModel's native formats, against recorded calls."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterator
from typing import Any
from unicodedata import normalize
from urllib.parse import unquote

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_bedrock_opt.catalog.model_ids import parse_model_id
from langchain_bedrock_opt.emulator.families.invoke import (
    embed,
    family_of,
    is_embedding,
    read_body,
    to_body,
    to_chunks,
    to_converse,
)
from langchain_bedrock_opt.emulator.families.vectors import embed as embed_text
from langchain_bedrock_opt.emulator.replies.counting import counted, input_tokens
from langchain_bedrock_opt.emulator.replies.rules import RuleResponder
from langchain_bedrock_opt.emulator.types import Pace, Reply, ServiceFailure

Recordings = Callable[[str], list[dict[str, Any]]]

CLAUDE = "anthropic.claude-3-5-haiku-20241022-v1:0"
CHATS: list[tuple[str, dict[str, Any]]] = [
    (CLAUDE, {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 99}),
    ("anthropic.claude-v2", {"prompt": "\n\nHuman: Hi\n\nAssistant:", "max_tokens_to_sample": 99}),
    ("amazon.nova-micro-v1:0", {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}),
    ("amazon.titan-text-lite-v1", {"inputText": "Hi"}),
    ("meta.llama3-8b-instruct-v1:0", {"prompt": "Hi"}),
    ("mistral.mistral-7b-instruct-v0:2", {"prompt": "<s>[INST] Hi [/INST]"}),
    ("mistral.mistral-large-2407-v1:0", {"messages": [{"role": "user", "content": "Hi"}]}),
    ("cohere.command-text-v14", {"prompt": "Hi"}),
    ("cohere.command-r-v1:0", {"message": "Hi"}),
    ("ai21.j2-mid-v1", {"prompt": "Hi"}),
    ("ai21.jamba-1-5-mini-v1:0", {"messages": [{"role": "user", "content": "Hi"}]}),
    ("openai.gpt-oss-20b-1:0", {"messages": [{"role": "user", "content": "Hi"}]}),
    ("qwen.qwen3-32b-v1:0", {"prompt": "Hi"}),
]


def model_and_body(exchange: Any) -> tuple[str, dict[str, Any]]:
    """The base model id (empty for an endpoint's ARN) and the request's body."""
    model_id = unquote(exchange["request"]["path"].split("/")[2])
    return parse_model_id(model_id).base or "", json.loads(exchange["request"]["body"])


def answer(model: str, body: dict[str, Any]) -> Reply:
    return RuleResponder().reply(to_converse(model, body))


def shape(value: Any) -> Any:
    """The keys of a document with the types of their values."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value and not isinstance(value[0], float) else []
    return type(value).__name__


def is_optional(key: str) -> bool:
    """Keys that only some of the recorded answers of one family have."""
    return "cache" in key.lower() or key in ("type", "system_fingerprint", "message")


def test_recorded_requests_get_answers_of_the_recorded_shape(recordings: Recordings) -> None:
    """What a native client reads in a recorded answer is in ours, in the same order."""
    for exchange in recordings("InvokeModel"):
        model, body = model_and_body(exchange)
        theirs = json.loads(exchange["response"]["body"])
        if is_embedding(model):
            ours = embed(model, body).body
        else:
            ours = to_body(model, answer(model, body), body)

        keys = [key for key in ours if key in theirs or not is_optional(key)]
        if exchange["response"]["body_reserialised_by_recorder"]:
            assert set(keys) == set(theirs), exchange["id"]
        else:
            assert keys == list(theirs), exchange["id"]
        for key in ("usage", "results", "generations", "output"):
            if key in theirs:
                mine = shape(ours[key])
                assert _covers(mine, shape(theirs[key])), (exchange["id"], key)


def _covers(ours: Any, theirs: Any) -> bool:
    if isinstance(theirs, dict):
        return all(key in ours and _covers(ours[key], theirs[key]) for key in theirs)
    if isinstance(theirs, list):
        return not theirs or (bool(ours) and _covers(ours[0], theirs[0]))
    return bool(ours == theirs)


def test_recorded_streams_have_our_chunks_shape(recordings: Recordings) -> None:
    """The kinds of chunks, their order and their keys are those of recorded streams."""
    for exchange in recordings("InvokeModelWithResponseStream"):
        model, body = model_and_body(exchange)
        buffer = EventStreamBuffer()
        buffer.add_data(base64.b64decode(exchange["response"]["body_b64"]))
        payloads = [json.loads(message.payload) for message in buffer]
        theirs = [json.loads(base64.b64decode(payload["bytes"])) for payload in payloads]
        reply = answer(model, body)
        ours = list(to_chunks(model, reply, body))

        assert _outline(ours) >= _outline(theirs[-1:]), exchange["id"]
        assert list(ours[0]) == list(theirs[0]), exchange["id"]
        assert list(ours[-1]) == list(theirs[-1]), exchange["id"]
        metrics = "amazon-bedrock-invocationMetrics"
        assert list(ours[-1][metrics]) == list(theirs[-1][metrics]), exchange["id"]
        unknown = _outline(ours) - _outline(theirs)
        # A rule may call a tool where the recorded model spoke, and the other way round.
        assert all("tool" in kind or "text" in kind for kind in unknown), exchange["id"]


def _outline(chunks: list[dict[str, Any]]) -> set[str]:
    return {json.dumps([chunk.get("type"), shape(chunk)]) for chunk in chunks}


@pytest.mark.parametrize(("model", "body"), CHATS)
def test_every_family_says_the_same_as_converse(model: str, body: dict[str, Any]) -> None:
    """The text of the reply is in the body, whole, and so is it in the chunks of a stream."""
    reply = counted(to_converse(model, body), [{"text": "これは テスト です。"}])

    assert "これは テスト です。" in json.dumps(to_body(model, reply, body), ensure_ascii=False)
    if family_of(model).to_chunks is None:
        return
    chunks = list(to_chunks(model, reply, body))
    pieces = [piece for chunk in chunks[:] for piece in _texts(chunk)]
    assert "".join(pieces).strip() == "これは テスト です。"
    assert ["amazon-bedrock-invocationMetrics" in chunk for chunk in chunks].index(True) == (
        len(chunks) - 1
    )


def _texts(value: Any) -> Iterator[str]:
    """The pieces of text in a chunk, wherever its family keeps them."""
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    if not isinstance(value, dict) or value.get("is_finished") is True:
        return
    for key, inner in value.items():
        if key in _TEXT_KEYS and isinstance(inner, str):
            yield inner
        else:
            yield from _texts(inner)


_TEXT_KEYS = ("text", "content", "generation", "outputText", "completion")


def test_a_stream_says_how_long_it_took() -> None:
    """The metrics of the last chunk follow the model's pace."""
    model, body = CHATS[0]
    pace = Pace(time_to_first_token=0.25, tokens_per_second=100)
    reply = Reply(content=({"text": "Hi"},), input_tokens=5, output_tokens=50)

    *_, last = to_chunks(model, reply, body, pace=pace)

    assert last["amazon-bedrock-invocationMetrics"] == {
        "inputTokenCount": 5,
        "outputTokenCount": 50,
        "invocationLatency": 750,
        "firstByteLatency": 250,
    }


def test_claudes_messages_keep_all_they_hold() -> None:
    """System, images, tools, results, thinking and cache marks arrive in the Converse request."""
    mark = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    body = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 50,
        "system": [{"type": "text", "text": "Be kind.", **mark}],
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "stop_sequences": ["END"],
        "tools": [{"name": "add", "input_schema": {"type": "object"}, **mark}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        "messages": [
            {
                "role": "user",
                "content": [
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": "YWJj"},
                    }
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "sig"},
                    {"type": "tool_use", "id": "t1", "name": "add", "input": {"a": 1}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "t1",
                        "content": "oops",
                        "is_error": True,
                    }
                ],
            },
        ],
    }

    request = to_converse(CLAUDE, body)

    point = {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert request["system"] == [{"text": "Be kind."}, point]
    assert request["toolConfig"]["tools"][1] == point
    assert request["toolConfig"]["toolChoice"] == {"any": {}}
    assert request["inferenceConfig"] == {"maxTokens": 50, "stopSequences": ["END"]}
    assert request["additionalModelRequestFields"]["thinking"]["type"] == "enabled"
    assert request["additionalModelRequestFields"]["tool_choice"]["disable_parallel_tool_use"]
    image, thought, result = (message["content"][0] for message in request["messages"])
    assert image == {"image": {"format": "png", "source": {"bytes": b"abc"}}}
    assert thought["reasoningContent"]["reasoningText"]["signature"] == "sig"
    assert result["toolResult"]["status"] == "error"


def test_a_claude_answer_holds_thinking_and_tools() -> None:
    """Reasoning and tool calls have Claude's own blocks, in the body and in the stream."""
    use = {"toolUseId": "tooluse_1", "name": "add", "input": {"city": "東京"}}
    thought = {"reasoningText": {"text": "Hm.", "signature": "sig"}}
    content = ({"reasoningContent": thought}, {"toolUse": use})
    reply = Reply(content=content, stop_reason="tool_use", output_tokens=9)
    model, body = CHATS[0]

    thinking, tool = to_body(model, reply, body)["content"]
    chunks = list(to_chunks(model, reply, body))

    assert thinking == {"type": "thinking", "thinking": "Hm.", "signature": "sig"}
    assert tool["id"].startswith("toolu_bdrk_01")
    assert tool["input"] == {"city": "東京"}
    deltas = [chunk["delta"] for chunk in chunks if chunk["type"] == "content_block_delta"]
    fragments = [d["partial_json"] for d in deltas if d["type"] == "input_json_delta"]
    assert fragments[0] == ""
    assert json.loads("".join(fragments)) == {"city": "東京"}


def test_old_claude_prompts_become_turns() -> None:
    """The Human and Assistant marks of a completion prompt become messages."""
    prompt = "Be brief.\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Bye\n\nAssistant:"
    request = to_converse("anthropic.claude-v2", {"prompt": prompt, "max_tokens_to_sample": 9})

    assert request["system"] == [{"text": "Be brief."}]
    assert [m["content"][0]["text"] for m in request["messages"]] == ["Hi", "Hello", "Bye"]


def test_llama_templates_become_turns() -> None:
    """The marks of Llama's chat template are read, not answered."""
    prompt = (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nこんにちは<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )
    request = to_converse("meta.llama3-8b-instruct-v1:0", {"prompt": prompt, "max_gen_len": 9})

    assert request["system"] == [{"text": "Be brief."}]
    assert request["messages"] == [{"role": "user", "content": [{"text": "こんにちは"}]}]


def test_chat_completions_carry_tools_both_ways() -> None:
    """Tools, results and forced choices of chat completions reach the model, and calls return."""
    parameters = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    body: dict[str, Any] = {
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": [{"type": "text", "text": "add 5"}]},
        ],
        "tools": [{"type": "function", "function": {"name": "add", "parameters": parameters}}],
        "tool_choice": "required",
        "stop": "END",
    }
    model = "openai.gpt-oss-20b-1:0"

    reply = answer(model, body)
    first = to_body(model, reply, body, clock=lambda: 7.0)
    message = first["choices"][0]["message"]

    assert first["created"] == 7
    assert first["choices"][0]["finish_reason"] == "tool_calls"
    assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == {"a": 5}
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "ok"}
    follow: dict[str, Any] = {
        **body,
        "messages": [*body["messages"], message, result],
        "tool_choice": "auto",
    }
    assert "ok" in to_body(model, answer(model, follow), follow)["choices"][0]["message"]["content"]


def test_recorded_refusal_of_a_server_tool(recordings: Recordings) -> None:
    """A tool type that Bedrock does not know is refused in the recorded words."""
    exchange = next(e for e in recordings("errors") if e["id"] == "errors-016")
    request = json.loads(exchange["request"]["body"])
    body = read_body(base64.b64decode(request["input"]["invokeModel"]["body"]))

    with pytest.raises(ServiceFailure) as refused:
        to_converse("anthropic.claude-sonnet-4-20250514-v1:0", body)

    assert refused.value.message == json.loads(exchange["response"]["body"])["message"]
    assert refused.value.code == "ValidationException"


@pytest.mark.parametrize("data", [b"", b"not json", b"[1]", b"\xff", b'"text"'])
def test_a_body_that_is_no_object_is_refused(data: bytes) -> None:
    """Bedrock's own words meet a body that can't be read."""
    with pytest.raises(ServiceFailure) as refused:
        read_body(data)

    expected = "Malformed input request, please reformat your input and try again."
    assert refused.value.message == expected


@pytest.mark.parametrize(("model", "body"), CHATS)
def test_a_body_of_another_family_is_refused(model: str, body: dict[str, Any]) -> None:
    """What is sent in the wrong format is refused as a bad request, not a crash."""
    for wrong in ({}, {"foo": 1}, dict.fromkeys(body, 3), {key: [key] for key in body}):
        with pytest.raises(ServiceFailure) as refused:
            to_converse(model, wrong)
        assert refused.value.code == "ValidationException"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)


@given(index=st.integers(0, len(CHATS) - 1), junk=_JSON, content=_JSON)
@settings(max_examples=150, deadline=None)
def test_junk_in_a_body_is_refused_or_read(index: int, junk: Any, content: Any) -> None:
    """Whatever stands in a body, the answer is a request or an AWS error."""
    model, body = CHATS[index]
    for key in ("messages", "tools", "system", "stop", "tool_choice", "chat_history"):
        messages = [{"role": "user", "content": content}] if key == "messages" else junk
        try:
            request = to_converse(model, {**body, key: messages})
        except ServiceFailure as refused:
            assert refused.code == "ValidationException"  # noqa: PT017 - both outcomes are right
        else:
            assert RuleResponder().reply(request).content


def test_jurassic_does_not_stream() -> None:
    """A model that can't stream says so in Bedrock's words."""
    body = {"prompt": "Hi"}
    reply = answer("ai21.j2-mid-v1", body)

    with pytest.raises(ServiceFailure, match="unsupported for streaming"):
        to_chunks("ai21.j2-mid-v1", reply, body)


def test_native_bodies_can_be_counted() -> None:
    """CountTokens over a native body counts what Converse would."""
    body = {"messages": [{"role": "user", "content": "Hello there"}], "max_tokens": 9}
    request = {"messages": [{"role": "user", "content": [{"text": "Hello there"}]}]}

    assert input_tokens(to_converse(CLAUDE, body)) == input_tokens(request)


EMBEDDERS: list[tuple[str, Any, tuple[Any, ...], int]] = [
    ("amazon.titan-embed-text-v1", {"inputText": "{}"}, ("embedding",), 1_536),
    ("amazon.titan-embed-text-v2:0", {"inputText": "{}", "dimensions": 512}, ("embedding",), 512),
    (
        "cohere.embed-multilingual-v3",
        {"texts": ["{}"], "input_type": "search_query"},
        ("embeddings", 0),
        1_024,
    ),
    (
        "cohere.embed-v4:0",
        {"texts": ["{}"], "input_type": "search_query", "output_dimension": 256},
        ("embeddings", "float", 0),
        256,
    ),
    (
        "amazon.nova-2-multimodal-embeddings-v1:0",
        {
            "taskType": "SINGLE_EMBEDDING",
            "singleEmbeddingParams": {"text": {"value": "{}"}, "embeddingDimension": 384},
        },
        ("embeddings", 0, "embedding"),
        384,
    ),
]


def cosine(one: list[float], other: list[float]) -> float:
    return sum(x * y for x, y in zip(one, other, strict=True))


@pytest.mark.parametrize(("model", "body", "path", "size"), EMBEDDERS)
def test_similar_texts_get_similar_unit_vectors(
    model: str, body: Any, path: tuple[Any, ...], size: int
) -> None:
    """Near-duplicates are near, other texts are far, and every vector has length 1."""

    def vector(text: str) -> list[float]:
        value: Any = embed(model, json.loads(json.dumps(body).replace("{}", text))).body
        for step in path:
            value = value[step]
        return list(value)

    here = vector("Tokyo の天気を教えてください")
    near = vector("tokyo の天気を教えて下さい")
    far = vector("What does provisioned throughput cost?")

    assert len(here) == size
    assert math.isclose(sum(x * x for x in here), 1.0)
    assert here == vector("Tokyo の天気を教えてください")
    assert cosine(here, near) > 0.6
    assert abs(cosine(here, far)) < 0.3


@given(text=st.text(), size=st.sampled_from([256, 384]))
def test_any_text_has_a_unit_vector(text: str, size: int) -> None:
    """No text, however odd, breaks an embedding."""
    vector = embed_text(text, size)

    assert len(vector) == size
    assert math.isclose(sum(x * x for x in vector), 1.0)


def test_composed_and_decomposed_text_embed_alike() -> None:
    """The same Japanese text from a Mac and from Windows has the same vector."""
    assert embed_text("ガス", 256) == embed_text(normalize("NFD", "ガス"), 256)


def test_types_of_embeddings_are_honoured() -> None:
    """Binary and integer embeddings have the vendor's sizes and ranges."""
    titan = {"inputText": "x", "embeddingTypes": ["binary"]}
    cohere = {
        "texts": ["x"],
        "input_type": "clustering",
        "embedding_types": ["int8", "uint8", "ubinary", "binary"],
    }

    binary = embed("amazon.titan-embed-text-v2:0", titan).body
    by_type = embed("cohere.embed-english-v3", cohere).body["embeddings"]

    assert "embedding" not in binary
    assert set(binary["embeddingsByType"]["binary"]) <= {0, 1}
    assert all(-128 <= x <= 127 for x in by_type["int8"][0])
    assert all(0 <= x <= 255 for x in by_type["uint8"][0])
    assert len(by_type["ubinary"][0]) == len(by_type["binary"][0]) == 1_024 // 8


@pytest.mark.parametrize(
    ("model", "body"),
    [
        ("amazon.titan-embed-text-v2:0", {"inputText": "x", "dimensions": 7}),
        ("amazon.titan-embed-text-v1", {}),
        ("cohere.embed-english-v3", {"texts": ["x"]}),
        ("cohere.embed-english-v3", {"texts": [3], "input_type": "search_query"}),
        ("amazon.nova-2-multimodal-embeddings-v1:0", {"taskType": "OTHER"}),
    ],
)
def test_bad_embedding_requests_are_refused(model: str, body: dict[str, Any]) -> None:
    """A size or a body that the model does not take is a validation error."""
    with pytest.raises(ServiceFailure) as refused:
        embed(model, body)

    assert refused.value.code == "ValidationException"
