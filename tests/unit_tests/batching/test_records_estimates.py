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
from langchain_bedrock_opt.batching.records.estimates import estimate
from langchain_bedrock_opt.batching.records.recorder import Recorder
from langchain_bedrock_opt.catalog.tokens import estimate_tokens
from langchain_bedrock_opt.catalog.tokens.families import family_of

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
    """A prompt's tokens are those of its texts by its model, an answer's the limit that was set."""
    recorder = Recorder(chat(model, max_tokens=77), invocation=invocation)
    body = recorder.record([SystemMessage("Be brief."), HumanMessage(TEXT)])

    given, most = estimate(body, recorder.kind)

    template = family_of(model).request
    assert given - template == pytest.approx(estimate_tokens(TEXT, model), rel=0.08)
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

    image = family_of(model).image.flat  # the picture is none, so its size can't be read
    assert estimate(body, recorder.kind)[0] == pytest.approx(image, abs=15)


@pytest.mark.parametrize("model", [CLAUDE, "amazon.nova-lite-v1:0", "qwen.qwen3-32b-v1:0"])
def test_a_record_counts_as_its_messages_do(model: str) -> None:
    """Texts, tools and what is around them count by the family of the job's model."""
    tool = {
        "name": "find",
        "description": "Finds a page.",
        "input_schema": {"type": "object", "properties": {"query": {"type": "string"}}},
    }
    bound: Any = chat(model, max_tokens=77).bind_tools([tool])
    recorder = Recorder(chat(model, max_tokens=77), kwargs=bound.kwargs)
    messages = [SystemMessage("Be brief."), HumanMessage(TEXT)]

    found = estimate(recorder.record(messages), recorder.kind)[0]

    assert found == pytest.approx(estimate_tokens(messages, model, tools=[tool]), abs=15)


def test_a_dearer_tokenizer_is_estimated_dearer() -> None:
    """The plan of a job counts as its model does: Opus 4.7 more than models before it."""
    body = Recorder(chat(CLAUDE, max_tokens=77)).record([HumanMessage("Tell me more. " * 200)])
    new, old = (
        estimate(body, JobKind(model, "Converse"))[0]
        for model in ("us.anthropic.claude-opus-4-7", CLAUDE)
    )

    assert 1.2 < new / old < 1.4


def test_tools_and_documents_count() -> None:
    """Schemas of tools, their arguments and documents that are text are part of the prompt."""
    tool = {"name": "f", "description": TEXT, "inputSchema": {"json": {"type": "object"}}}
    recorder = Recorder(chat(CLAUDE), kwargs={"tools": [{"toolSpec": tool}]})
    document = {"document": {"name": "a", "format": "txt", "source": {"text": TEXT}}}

    body = recorder.record([HumanMessage([document])])

    texts = 2 * estimate_tokens(TEXT, CLAUDE) + family_of(CLAUDE).tools
    assert estimate(body, recorder.kind)[0] == pytest.approx(texts, rel=0.02)


def test_a_text_that_is_cut_within_a_character_is_estimated() -> None:
    """Half of a surrogate pair in a record does not stop its estimate."""
    recorder = Recorder(chat(CLAUDE, max_tokens=77))
    messages = [HumanMessage("cut \ud83d")]

    found = estimate(recorder.record(messages), recorder.kind)

    assert found == (estimate_tokens(messages, CLAUDE), 77)


@pytest.mark.parametrize(("model", "most"), [(CLAUDE, 64_000), ("acme.frontier-v9", 4096)])
def test_without_a_limit_it_is_the_models(model: str, most: int) -> None:
    """A record that sets no limit may be answered with as much as its model writes."""
    body = json.dumps({"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}).encode()

    assert estimate(body, JobKind(model, "Converse"))[1] == most
