"""Answers in native formats are read as the Converse responses that they stand for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_bedrock_opt.batching.records.native.families import codec_of
from langchain_bedrock_opt.catalog.model_ids import parse_model_id
from langchain_bedrock_opt.emulator.families.invoke import to_body
from langchain_bedrock_opt.emulator.types import Reply

Document = dict[str, Any]
Recordings = Callable[[str], list[Document]]

CLAUDE = "anthropic.claude-haiku-4-5-20251001-v1:0"
NOVA = "amazon.nova-lite-v1:0"
TITAN = "amazon.titan-text-express-v1"
LLAMA = "meta.llama3-1-70b-instruct-v1:0"
MISTRAL = "mistral.mistral-large-2407-v1:0"
MIXTRAL = "mistral.mixtral-8x7b-instruct-v0:1"
COHERE = "cohere.command-r-v1:0"
GPT_OSS = "openai.gpt-oss-20b-1:0"
DEEPSEEK = "deepseek.v3-v1:0"
QWEN = "qwen.qwen3-32b-v1:0"
CHATS = [CLAUDE, NOVA, MISTRAL, GPT_OSS, DEEPSEEK, QWEN]
HI = {"text": "Hi"}
QUESTION = {
    "messages": [{"role": "user", "content": [HI]}],
    "inferenceConfig": {"maxTokens": 5},
}

words = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1)


def converse(model: str, answer: Document) -> Document:
    codec = codec_of(model)
    assert codec is not None
    return codec.to_response(answer)


def answered(model: str, reply: Reply) -> Document:
    """A reply in the model's own format, as the emulator writes it."""
    codec = codec_of(model)
    assert codec is not None
    return to_body(model, reply, codec.to_body(QUESTION, model))


TOOL_USE: Document = {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"city": "Kyoto"}}}


def reply(*blocks: Document, reason: str = "end_turn") -> Reply:
    return Reply(content=blocks, stop_reason=reason, input_tokens=11, output_tokens=7)


@pytest.mark.parametrize("model", [*CHATS, LLAMA, TITAN, MIXTRAL, COHERE])
@pytest.mark.parametrize("reason", ["end_turn", "max_tokens"])
@settings(max_examples=20, deadline=None)
@given(text=words)
def test_answers_come_back(model: str, reason: str, text: str) -> None:
    """An answer in each native format is the text, the stop reason and the tokens that it was."""
    response = converse(model, answered(model, reply({"text": text}, reason=reason)))

    assert response["output"]["message"] == {"role": "assistant", "content": [{"text": text}]}
    assert response["stopReason"] == reason
    counted = model not in (MISTRAL, MIXTRAL, COHERE)  # their formats have no counts
    assert response["usage"]["outputTokens"] == (7 if counted else 0)
    assert response["usage"]["totalTokens"] == (18 if counted else 0)


@pytest.mark.parametrize("model", [*CHATS, COHERE])
def test_tool_calls_come_back(model: str) -> None:
    """A tool call in each native format is the call that it was, with an id."""
    response = converse(model, answered(model, reply(HI, TOOL_USE, reason="tool_use")))

    said, call = response["output"]["message"]["content"]
    assert said == HI
    assert call["toolUse"]["name"] == "f"
    assert call["toolUse"]["input"] == {"city": "Kyoto"}
    assert call["toolUse"]["toolUseId"]
    assert response["stopReason"] == "tool_use"


def test_claudes_thoughts_come_back() -> None:
    """Thoughts, redacted ones too, are reasoning content."""
    answer = {
        "content": [
            {"type": "thinking", "thinking": "Hm", "signature": "s"},
            {"type": "redacted_thinking", "data": "abc"},
        ],
        "stop_reason": "refusal",
        "usage": {
            "input_tokens": 3,
            "output_tokens": 4,
            "cache_read_input_tokens": 5,
            "cache_creation_input_tokens": 6,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 6},
        },
    }

    response = converse(CLAUDE, answer)

    assert response["output"]["message"]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "s"}}},
        {"reasoningContent": {"redactedContent": b"abc"}},
    ]
    assert response["stopReason"] == "refusal"
    assert response["usage"] == {
        "inputTokens": 3,
        "outputTokens": 4,
        "totalTokens": 18,
        "cacheReadInputTokens": 5,
        "cacheWriteInputTokens": 6,
        "cacheDetails": [{"ttl": "1h", "inputTokens": 6}],
    }


@pytest.mark.parametrize(
    "said",
    [
        {"content": "Kyoto", "reasoning_content": "Hm"},
        {"content": "Kyoto", "reasoning": "Hm"},
        {"content": "<reasoning>Hm</reasoning>Kyoto"},
        {"content": [{"type": "text", "text": "<reasoning>Hm</reasoning>Kyoto"}]},
    ],
)
def test_reasoning_of_chat_completions_comes_back(said: Document) -> None:
    """Reasoning is reasoning content, in whichever of its places a model puts it."""
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 2,
        "prompt_tokens_details": {"cached_tokens": 4},
    }
    choice = {"message": {"role": "assistant", **said}, "finish_reason": "content_filter"}

    response = converse(GPT_OSS, {"choices": [choice], "usage": usage})

    assert response["output"]["message"]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "Hm"}}},
        {"text": "Kyoto"},
    ]
    assert response["stopReason"] == "content_filtered"
    assert response["usage"]["inputTokens"] == 6
    assert response["usage"]["cacheReadInputTokens"] == 4


def test_marks_that_a_user_asked_for_stay() -> None:
    """Only gpt-oss marks its reasoning so: another model's marks are its answer."""
    text = "<reasoning>Hm</reasoning>Kyoto"
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}

    response = converse(QWEN, {"choices": [choice]})

    assert response["output"]["message"]["content"] == [{"text": text}]


@pytest.mark.parametrize("arguments", ["{", "[]"])
def test_a_broken_tool_call_is_shown(arguments: str) -> None:
    """Arguments that are no JSON object were paid for: they are text, and the reason says so."""
    call = {"id": "t", "type": "function", "function": {"name": "f", "arguments": arguments}}
    choice = {"message": {"content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"}

    response = converse(QWEN, {"choices": [choice]})

    assert response["output"]["message"]["content"] == [{"text": arguments}]
    assert response["stopReason"] == "malformed_tool_use"


def test_recorded_answers_are_read(recordings: Recordings) -> None:
    """Each recorded chat answer of InvokeModel gives the text and the tokens that it holds."""
    read = 0
    for exchange in recordings("InvokeModel"):
        model = parse_model_id(unquote(exchange["request"]["path"].split("/")[2])).base or ""
        codec, answer = codec_of(model), json.loads(exchange["response"]["body"])
        if codec is None or "embed" in model or "completion" in answer:
            continue

        response = codec.to_response(answer)

        texts = [block.get("text", "") for block in response["output"]["message"]["content"]]
        assert all(json.dumps(text)[1:-1] in json.dumps(answer) for text in texts)
        assert "tool_use" in json.dumps(answer) or texts[0].strip()
        assert response["stopReason"] in {"end_turn", "max_tokens", "tool_use", "stop_sequence"}
        assert "cohere" in model or response["usage"]["outputTokens"] > 0
        read += 1
    assert read >= 15
