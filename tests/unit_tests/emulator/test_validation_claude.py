"""What Claude models refuse themselves, as Bedrock passes it on."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_bedrock_opt.emulator.types import ServiceFailure
from langchain_bedrock_opt.emulator.validation import check_converse

HAIKU_3 = "anthropic.claude-3-haiku-20240307-v1:0"
HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"
OPUS_4_6 = "anthropic.claude-opus-4-6-v1"
SONNET_5 = "anthropic.claude-sonnet-5"

HELLO: dict[str, Any] = {"text": "Hello"}
TOOL: dict[str, Any] = {
    "toolSpec": {"name": "weather", "inputSchema": {"json": {"type": "object"}}}
}
CALL: dict[str, Any] = {"toolUse": {"toolUseId": "a", "name": "weather", "input": {}}}
EMPTY_RESULT: dict[str, Any] = {"toolResult": {"toolUseId": "a", "content": [{"text": ""}]}}
S3_DOCUMENT: dict[str, Any] = {
    "document": {"name": "a", "source": {"s3Location": {"uri": "s3://bucket/key"}}}
}
POINT: dict[str, Any] = {"cachePoint": {"type": "default"}}
HOUR: dict[str, Any] = {"cachePoint": {"type": "default", "ttl": "1h"}}


def thinking(budget: int, **fields: Any) -> dict[str, Any]:
    """A request that lets the model think."""
    config = {"thinking": {"type": "enabled", "budget_tokens": budget}}
    return {**talk([HELLO]), "additionalModelRequestFields": config, **fields}


def talk(*turns: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    """A request with the turns of user and assistant, one after the other."""
    roles = ("user", "assistant")
    messages = [
        {"role": roles[number % 2], "content": content} for number, content in enumerate(turns)
    ]
    return {"messages": messages, **fields}


def refusal(request: dict[str, Any], model_id: str) -> str:
    """What the model says to a request; empty if it takes it."""
    try:
        check_converse(request, model_id)
    except ServiceFailure as failure:
        prefix, _, words = failure.message.partition("The model returned the following errors: ")
        assert prefix == ""
        return words
    return ""


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "white space": (
        talk([{"text": " "}]),
        HAIKU,
        "messages: text content blocks must contain non-whitespace text",
    ),
    "empty tool result": (
        talk([HELLO], [CALL], [EMPTY_RESULT], toolConfig={"tools": [TOOL]}),
        HAIKU,
        "messages: text content blocks must be non-empty",
    ),
    "two tools of one name": (
        talk([HELLO], toolConfig={"tools": [TOOL, TOOL]}),
        HAIKU,
        "tools: Tool names must be unique.",
    ),
    "choice of no tool": (
        talk([HELLO], toolConfig={"tools": [TOOL], "toolChoice": {"tool": {"name": "news"}}}),
        HAIKU,
        "tool_choice.tool.name: Tool 'news' not found in provided tools",
    ),
    "document in S3": (
        talk([HELLO, POINT, S3_DOCUMENT]),
        HAIKU,
        "messages.0.content.1.document.source.type: Field required",
    ),
    "blank stop sequence": (
        talk([HELLO], inferenceConfig={"stopSequences": ["\n"]}),
        HAIKU,
        "stop_sequences: each stop sequence must contain non-whitespace",
    ),
    "temperature and topP": (
        talk([HELLO], inferenceConfig={"temperature": 0, "topP": 0.5}),
        HAIKU,
        "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
    ),
    "temperature for Sonnet 5": (
        talk([HELLO], inferenceConfig={"temperature": 0}),
        SONNET_5,
        "`temperature` is deprecated for this model.",
    ),
    "five cache points": (
        talk([HELLO, *[POINT] * 4], system=[HELLO, POINT]),
        HAIKU,
        "A maximum of 4 blocks with cache_control may be provided. Found 5.",
    ),
    "an hour behind five minutes": (
        talk([HELLO, HOUR], system=[HELLO, POINT]),
        HAIKU,
        (
            "messages.0.content.1.cache_control.ttl: a ttl='1h' cache_control block must not come "
            "after a ttl='5m' cache_control block. Note that blocks are processed in the following "
            "order: `tools`, `system`, `messages`."
        ),
    ),
    "prefill for Opus 4.6": (
        talk([HELLO], [{"text": "{"}]),
        OPUS_4_6,
        (
            "This model does not support assistant message prefill. The conversation must end with "
            "a user message."
        ),
    ),
    "prefill with white space": (
        talk([HELLO], [{"text": "{ "}]),
        HAIKU,
        "messages: final assistant content cannot end with trailing whitespace",
    ),
    "small thinking budget": (
        thinking(1000),
        HAIKU,
        "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
    ),
    "thinking budget above maxTokens": (
        thinking(2000, inferenceConfig={"maxTokens": 2000}),
        HAIKU,
        "`max_tokens` must be greater than `thinking.budget_tokens`.",
    ),
    "thinking with a temperature": (
        thinking(2000, inferenceConfig={"temperature": 0.5}),
        HAIKU,
        (
            "`temperature` may only be set to 1 when thinking is enabled. Please consult our "
            "documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
            "#important-considerations-when-using-extended-thinking"
        ),
    ),
    "thinking with a forced tool": (
        thinking(2000, toolConfig={"tools": [TOOL], "toolChoice": {"any": {}}}),
        HAIKU,
        "Thinking may not be enabled when tool_choice forces tool use.",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_claude_model_refuses_is_refused_in_its_words(name: str) -> None:
    """A mistake that only the model sees comes back as the model's own error."""
    request, model_id, words = REFUSED[name]
    assert refusal(request, model_id) == words


ACCEPTED: dict[str, tuple[dict[str, Any], str]] = {
    "a line break beside text": (talk([HELLO, {"text": "\n"}]), HAIKU),
    "a prefill for Haiku 4.5": (talk([HELLO], [{"text": "{"}]), HAIKU),
    "any budget without maxTokens": (thinking(500_000), HAIKU),
    "thinking with a tool to choose": (
        thinking(2000, toolConfig={"tools": [TOOL], "toolChoice": {"auto": {}}}),
        HAIKU,
    ),
    "temperature and topP for Claude 3": (
        talk([HELLO], inferenceConfig={"temperature": 0, "topP": 1}),
        HAIKU_3,
    ),
    "four cache points, the longest first": (
        talk([HELLO, POINT], system=[HELLO, *[HOUR] * 3]),
        HAIKU,
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_a_claude_model_takes_is_accepted(name: str) -> None:
    """What the model's rules allow goes through."""
    request, model_id = ACCEPTED[name]
    assert refusal(request, model_id) == ""
