"""`CorrectTokens` on the emulator: estimates come near what calls really use, and calls go on."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, SystemMessage

from langchain_bedrock_opt import BedrockEmulator, ChatBedrockOptimized
from langchain_bedrock_opt.aws.layers import LayeredClient
from langchain_bedrock_opt.aws.replay import ReplayClient
from langchain_bedrock_opt.catalog.tokens import TokenCorrection, estimate_tokens
from langchain_bedrock_opt.emulator import Reply, Responder
from langchain_bedrock_opt.prompting.correcting import CorrectTokens

MODEL = "us.anthropic.claude-opus-4-7"
PASSAGES: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parents[1] / "catalog" / "token_passages.json").read_text("utf-8")
)["passages"]
TOKENIZERS = [
    "claude-2",
    "cl100k_base",
    "o200k_base",
    "deepseek-v3",
    "mistral-tekken",
    "qwen",
    "mistral-v3",
]
CALLS = 50


class Billed:
    """Answers "ok", and counts a prompt's passages by a public tokenizer, with marks of its own."""

    def __init__(self, tokenizer: str) -> None:
        self._tokens = {
            passage["text"]: passage["tokens"][tokenizer]
            for passages in PASSAGES.values()
            for passage in passages
        }

    def reply(self, request: Mapping[str, Any]) -> Reply:
        texts = [block["text"] for block in request["messages"][0]["content"]]
        tokens = 25 + sum(self._tokens[text] for text in texts)
        return Reply(content=({"text": "ok"},), input_tokens=tokens, output_tokens=1)


def chat(correction: TokenCorrection, responder: Responder | None = None) -> ChatBedrockOptimized:
    client = BedrockEmulator(responder=responder).client()
    return ChatBedrockOptimized(
        model=MODEL,
        client=client,
        bedrock_client=client,
        max_tokens=5,
        layers=[CorrectTokens(correction)],
    )


def prompt(chosen: random.Random, name: str, parts: Sequence[int]) -> list[HumanMessage]:
    """Passages of one class, some thousand characters together."""
    picked = chosen.sample(parts, 4)
    texts: list[str | dict[Any, Any]] = [
        {"type": "text", "text": PASSAGES[name][part]["text"]} for part in picked
    ]
    return [HumanMessage(texts)]


def errors(
    model: ChatBedrockOptimized, correction: TokenCorrection | None, prompts: Sequence[Any]
) -> list[float]:
    found = []
    for messages in prompts:
        usage = model.invoke(messages).usage_metadata
        assert usage is not None
        actual = usage["input_tokens"]
        found.append(abs(estimate_tokens(messages, model, correction=correction) - actual) / actual)
    return found


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


@pytest.mark.parametrize("tokenizer", [None, *TOKENIZERS])
def test_fifty_calls_bring_estimates_within_five_percent(tokenizer: str | None) -> None:
    """After 50 calls in all scripts the mean error on other texts is at most 5 %.

    The emulator counts as it does, or by a public tokenizer: never as the model's family.
    """
    correction, chosen = TokenCorrection(), random.Random(1)
    billed = None if tokenizer is None else Billed(tokenizer)
    unseen = [prompt(chosen, name, range(5, 10)) for name in PASSAGES for _ in range(3)]
    learning, other = chat(correction, billed), chat(TokenCorrection(), billed)

    for number in range(CALLS):
        learning.invoke(prompt(chosen, list(PASSAGES)[number % len(PASSAGES)], range(5)))

    assert mean(errors(other, None, unseen)) > 0.1
    assert mean(errors(other, correction, unseen)) <= 0.05


def test_streams_teach_as_calls_do() -> None:
    """A stream that was read to its end teaches what the same call does."""
    called, streamed = TokenCorrection(), TokenCorrection()
    messages = [SystemMessage("Be brief."), HumanMessage(PASSAGES["Japanese"][0]["text"])]

    chat(called).invoke(messages)
    assert list(chat(streamed).stream(messages))

    assert streamed.factors(MODEL) == called.factors(MODEL) is not None


def test_a_stream_that_is_left_teaches_nothing() -> None:
    """A stream whose usage was never read closes, and leaves the correction as it was."""
    correction = TokenCorrection()
    stream = chat(correction).stream("Tell me a story.")
    next(stream)
    stream.close()  # type: ignore[attr-defined]  # it is a generator

    assert correction.factors(MODEL) is None


@pytest.mark.parametrize(
    "response",
    [
        {},
        {"usage": None},
        {"usage": {"inputTokens": "many"}},
        {"usage": {"inputTokens": 10**400}},
        {"usage": {}},
    ],
)
@pytest.mark.parametrize("messages", [[], [{"role": "user", "content": [{"text": "Hi"}]}], [5]])
def test_a_call_never_fails_for_it(response: dict[str, Any], messages: list[Any]) -> None:
    """An answer without a usage, or a request of no known form, passes as it came."""
    correction = TokenCorrection()
    client = LayeredClient(ReplayClient({"output": {}, **response}), [CorrectTokens(correction)])

    assert client.converse(modelId=MODEL, messages=messages)["output"] == {}
    assert correction.factors(MODEL) is None


@pytest.mark.parametrize("told", [MODEL, None])
def test_what_stands_behind_an_arn_is_learned_of(told: str | None) -> None:
    """Calls of an ARN teach about the model that it was said to be, or about the ARN."""
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"
    correction = TokenCorrection()
    response = {"output": {}, "usage": {"inputTokens": 30}}
    layer = CorrectTokens(correction, model=told)
    client = LayeredClient(ReplayClient(response), [layer])

    client.converse(
        modelId=arn, messages=[{"role": "user", "content": [{"text": "What is new today?"}]}]
    )

    assert correction.factors(told or arn) is not None
