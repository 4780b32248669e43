"""`PromptOptimizationLayer` on requests to the local Bedrock."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, SystemMessage

from langchain_bedrock_opt import BedrockEmulator, BedrockSemanticCache, ChatBedrockOptimized
from langchain_bedrock_opt.aws.layers import Call, Layer, LayeredClient, Request, Response
from langchain_bedrock_opt.prompting.optimizing import PromptOptimizationLayer

UNTIDY = "One.\n\n\n\nTwo words.  Yes.  "
TIDY = "One.\n\nTwo words. Yes."
MODEL = "us.anthropic.claude-haiku-4-5-20251001-v1:0"


class Sent(Layer):
    """Keeps what is sent to Bedrock."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def converse(self, request: Request, call_next: Call) -> Response:
        self.requests.append(request)
        return call_next(request)

    converse_stream = converse


@pytest.fixture
def sent() -> Sent:
    return Sent()


def model_with(*layers: Layer) -> ChatBedrockOptimized:
    client = BedrockEmulator().client()
    return ChatBedrockOptimized(
        model=MODEL, client=client, bedrock_client=client, layers=layers, max_tokens=1000
    )


def test_a_request_is_sent_without_idle_white_space(sent: Sent) -> None:
    """System and user texts are optimized, and the answer's metadata says what that saved."""
    layer = PromptOptimizationLayer()
    model = model_with(layer, sent)

    answer = model.invoke([SystemMessage(UNTIDY), HumanMessage(UNTIDY)])

    removed = 2 * (len(UNTIDY) - len(TIDY))
    assert sent.requests[0]["system"] == [{"text": TIDY}]
    assert sent.requests[0]["messages"] == [{"role": "user", "content": [{"text": TIDY}]}]
    told = answer.response_metadata["bedrock_opt"]["prompt"]
    assert told["removed_chars"] == layer.saved.removed_chars == removed
    assert told["saved_tokens"] == layer.saved.saved_tokens


def test_a_stream_is_optimized_alike(sent: Sent) -> None:
    """A streamed call is sent and reported like any other."""
    chunks = list(model_with(PromptOptimizationLayer(), sent).stream(UNTIDY))

    told = [chunk.response_metadata.get("bedrock_opt", {}) for chunk in chunks]
    assert sent.requests[0]["messages"][0]["content"] == [{"text": TIDY}]
    assert [part["prompt"]["removed_chars"] for part in told if "prompt" in part] == [
        len(UNTIDY) - len(TIDY)
    ]


def test_nothing_else_of_a_request_is_touched(sent: Sent) -> None:
    """The model's words, tools, reasoning, guard content, documents and cache points stay."""
    point = {"cachePoint": {"type": "default"}}
    request: dict[str, Any] = {
        "modelId": MODEL,
        "system": [{"guardContent": {"text": {"text": UNTIDY}}}, {"text": TIDY}, point],
        "messages": [
            {"role": "user", "content": [{"text": TIDY}, point]},
            {
                "role": "assistant",
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": UNTIDY, "signature": "x"}}},
                    {"text": UNTIDY},
                    {"toolUse": {"toolUseId": "1", "name": "look", "input": {"q": UNTIDY}}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"toolResult": {"toolUseId": "1", "content": [{"text": UNTIDY}]}},
                    {"document": {"name": "a", "format": "txt", "source": {"text": UNTIDY}}},
                    {"text": TIDY},
                ],
            },
        ],
    }
    before = copy.deepcopy(request)
    client = LayeredClient(_Nothing(), [PromptOptimizationLayer(), sent])

    response = client.converse(**request)

    assert sent.requests == [before]
    assert request == before
    assert "prompt" not in response["bedrock_opt"]


def test_a_request_that_is_changed_is_a_new_one(sent: Sent) -> None:
    """The caller's request is left as it was, and the order of its blocks is kept."""
    point = {"cachePoint": {"type": "default"}}
    content = [{"text": "It is.  B  "}, point, {"text": "It was.  D"}]
    request = {"modelId": MODEL, "messages": [{"role": "user", "content": content}]}
    before = copy.deepcopy(request)

    LayeredClient(_Nothing(), [PromptOptimizationLayer(), sent]).converse(**request)

    assert request == before
    assert sent.requests[0]["messages"][0]["content"] == [
        {"text": "It is. B  "},
        point,
        {"text": "It was. D"},
    ]


def test_prompts_that_differ_in_idle_white_space_share_an_answer() -> None:
    """With the cache behind the layer, an untidy prompt is answered from the tidy one's entry."""
    cache = BedrockSemanticCache()
    model = model_with(PromptOptimizationLayer(), cache.as_layer())

    model.invoke(TIDY)
    answer = model.invoke(UNTIDY)

    assert answer.response_metadata["bedrock_opt"]["cache"]["status"] == "hit"


class _Nothing:
    """A client that answers nothing."""

    def converse(self, **_request: Any) -> dict[str, Any]:
        return {"output": {"message": {"role": "assistant", "content": []}}}
