"""A record's tokens are estimated from its body, in any format."""

from __future__ import annotations

import base64
import json
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_aws import ChatBedrockConverse
from langchain_core.messages import HumanMessage, SystemMessage

from langchain_bedrock_opt.batching.parts import JobKind
from langchain_bedrock_opt.batching.records.estimates import FILE_TOKENS, estimate
from langchain_bedrock_opt.batching.records.recorder import Recorder
from langchain_bedrock_opt.catalog.tokens import estimate_tokens

CLAUDE = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
MODELS = [
    CLAUDE,
    "amazon.nova-lite-v1:0",
    "amazon.titan-text-express-v1",
    "meta.llama3-1-70b-instruct-v1:0",
    "mistral.mistral-large-2407-v1:0",
    "cohere.command-r-v1:0",
    "openai.gpt-oss-20b-1:0",
    "qwen.qwen3-32b-v1:0",
]
TEXT = "The quick brown fox jumps over the lazy dog. 素早い茶色の狐。" * 50


def chat(model: str, **settings: Any) -> ChatBedrockConverse:
    client: Any = SimpleNamespace(meta=SimpleNamespace(region_name="us-east-1"))
    return ChatBedrockConverse(model=model, client=client, bedrock_client=client, **settings)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("invocation", ["Converse", "InvokeModel"])
def test_each_format_is_estimated(model: str, invocation: Any) -> None:
    """The prompt's tokens are those of its texts, and the answer's the limit that was set."""
    recorder = Recorder(chat(model, max_tokens=77), invocation=invocation)
    body = recorder.record([SystemMessage("Be brief."), HumanMessage(TEXT)])

    given, most = estimate(body, recorder.kind)

    assert given == pytest.approx(estimate_tokens(TEXT), rel=0.08)  # Llama's template has marks
    assert most == 77


@pytest.mark.parametrize("model", [CLAUDE, "amazon.nova-lite-v1:0", "qwen.qwen3-32b-v1:0"])
@pytest.mark.parametrize("invocation", ["Converse", "InvokeModel"])
def test_images_count_as_images(model: str, invocation: Any) -> None:
    """The base64 of a file is no text: an image counts for one image, whatever its bytes."""
    recorder = Recorder(chat(model, max_tokens=77), invocation=invocation)
    picture = {
        "type": "image",
        "base64": base64.b64encode(b"x" * 9000).decode(),
        "mime_type": "image/png",
    }

    body = recorder.record([HumanMessage([{"type": "text", "text": "See"}, picture])])

    assert estimate(body, recorder.kind)[0] == pytest.approx(FILE_TOKENS, abs=10)


def test_tools_and_documents_count() -> None:
    """Schemas of tools, their arguments and documents that are text are part of the prompt."""
    tool = {"name": "f", "description": TEXT, "inputSchema": {"json": {"type": "object"}}}
    recorder = Recorder(chat(CLAUDE), kwargs={"tools": [{"toolSpec": tool}]})
    document = {"document": {"name": "a", "format": "txt", "source": {"text": TEXT}}}

    body = recorder.record([HumanMessage([document])])

    assert estimate(body, recorder.kind)[0] == pytest.approx(2 * estimate_tokens(TEXT), rel=0.02)


def test_a_text_that_is_cut_within_a_character_is_estimated() -> None:
    """Half of a surrogate pair in a record does not stop its estimate."""
    recorder = Recorder(chat(CLAUDE, max_tokens=77))
    body = recorder.record([HumanMessage("cut \ud83d")])

    assert estimate(body, recorder.kind) == (estimate_tokens("cut \ud83d"), 77)


@pytest.mark.parametrize(("model", "most"), [(CLAUDE, 64_000), ("acme.frontier-v9", 4096)])
def test_without_a_limit_it_is_the_models(model: str, most: int) -> None:
    """A record that sets no limit may be answered with as much as its model writes."""
    body = json.dumps({"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}).encode()

    assert estimate(body, JobKind(model, "Converse"))[1] == most
