"""What a call can cost at most is read from its whole prompt, and never read too low."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from langchain_bedrock_opt import BedrockEmulator, ChatBedrockOptimized
from langchain_bedrock_opt.catalog.price_book import PriceBook
from langchain_bedrock_opt.catalog.prices import ModelPrice
from langchain_bedrock_opt.catalog.tokens.families import family_of
from langchain_bedrock_opt.errors import BudgetExceededError
from langchain_bedrock_opt.usage.budget import Budget
from langchain_bedrock_opt.usage.budget.costs import worst_case
from langchain_bedrock_opt.usage.budget.reading import (
    MESSAGE_TOKENS,
    Request,
    read_request,
)
from langchain_bedrock_opt.usage.recording.pricing import RateCard
from tests.unit_tests.usage.budget.conftest import MODEL

Model = Callable[..., ChatBedrockOptimized]
PNG = base64.b64encode(b"\x89PNG" + bytes(500)).decode()


def read(
    prompt: list[BaseMessage] | str,
    fields: dict[str, Any] | None = None,
    max_tokens: int | None = None,
    margin: float = 1.0,
    **params: Any,
) -> Request:
    """A request as a chat model on Claude Haiku 4.5 tells of it."""
    serialized = {"kwargs": {"model_id": MODEL, **(fields or {})}}
    event = {"invocation_params": params}
    return read_request(serialized, prompt, event, margin=margin, max_tokens=max_tokens)


def tokens(content: Any, **params: Any) -> int:
    found = read([HumanMessage(content)], **params).input_tokens
    assert found is not None
    return found


def test_everything_in_a_prompt_counts() -> None:
    """System prompt, history, tool calls, tool results and tools each add to a prompt."""
    plain = tokens("2+2?")
    call = {"name": "add", "args": {"a": 2, "b": 2}, "id": "1", "type": "tool_call"}
    history = [HumanMessage("2+2?"), AIMessage("", tool_calls=[call])]
    with_call = read(list(history)).input_tokens
    with_result = read([*history, ToolMessage("4 " * 200, tool_call_id="1")]).input_tokens
    tool = {"toolSpec": {"name": "add", "inputSchema": {"json": {"type": "object"}}}}

    assert tokens("2+2?", fields={"system": ["Be terse. " * 50]}) > plain + 50
    assert with_call is not None
    assert with_result is not None
    assert plain < with_call < with_result - 100
    assert tokens("2+2?", tools=[tool]) > plain + 500
    assert tokens("2+2?", outputConfig={"schema": "x " * 100}) > plain + 100


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image", "base64": PNG, "mime_type": "image/png"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        {"image": {"format": "png", "source": {"bytes": b"\x89PNG"}}},
        {"type": "tool_result", "content": [{"type": "image", "base64": PNG}]},
        {"toolResult": {"toolUseId": "1", "content": [{"image": {"source": {"bytes": b""}}}]}},
    ],
)
def test_images(block: dict[str, Any]) -> None:
    """An image counts as the largest one does, whatever its form and wherever it stands."""
    found = tokens([{"type": "text", "text": "What is it?"}, block])

    assert 5_000 < found < 5_000 + 100


@pytest.mark.parametrize("model", ["qwen.qwen3-vl-235b-a22b", "openai.gpt-5.4", "arn:unknown"])
def test_an_image_counts_as_the_largest_of_its_model(model: str) -> None:
    """Models that take large images as they are reserve what those cost, not what Claude's do."""
    block = {"image": {"format": "png", "source": {"bytes": b"\x89PNG"}}}
    request = read([HumanMessage([block])], {"model_id": model})

    assert request.input_tokens is not None
    assert request.input_tokens >= 14_000


@pytest.mark.parametrize("model", ["openai.gpt-oss-20b-1:0", "amazon.nova-2-lite-v1:0"])
def test_what_a_template_puts_around_a_prompt_is_reserved(model: str) -> None:
    """The marks around a prompt, its messages and its tools are bound as its family has them."""
    family, tool = family_of(model), {"name": "f", "input_schema": {"type": "object"}}
    fields = {"model_id": model}
    bare, tooled = (
        read([HumanMessage("2+2?")], fields),
        read([HumanMessage("2+2?")], fields, tools=[tool]),
    )

    assert bare.input_tokens is not None
    assert tooled.input_tokens is not None
    assert bare.input_tokens >= family.request + family.message + 3
    assert tooled.input_tokens - bare.input_tokens >= family.tools + family.tool


HARD: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "catalog" / "token_hard_texts.json").read_text("utf-8")
)["texts"]


@pytest.mark.parametrize("name", HARD)
def test_figures_are_reserved_as_the_dearest_tokenizer_counts_them(name: str) -> None:
    """CSV of metrics, UUIDs or base64 cost no more than was reserved, by any tokenizer."""
    assert tokens(HARD[name]["text"]) >= max(HARD[name]["tokens"].values())


@pytest.mark.parametrize(
    "block",
    [
        {"type": "file", "base64": "QUJD" * 5_000, "mime_type": "application/pdf"},
        {"document": {"format": "pdf", "name": "a", "source": {"bytes": bytes(20_000)}}},
        {"type": "document", "document": {"name": "a", "source": {"bytes": bytes(20_000)}}},
    ],
)
def test_documents(block: dict[str, Any]) -> None:
    """A document counts a token for each of its bytes."""
    assert 20_000 <= tokens([block]) < 20_200


def test_a_document_counts_no_more_than_fits() -> None:
    """However large a document is, what does not fit the model's context is never answered."""
    huge = {"document": {"name": "a", "source": {"bytes": bytes(3_000_000)}}}
    named = {"document": {"name": "a", "source": {"s3Location": {"uri": "s3://bucket/a.pdf"}}}}

    assert tokens([huge]) == tokens([named]) == 200_000


def test_a_word_in_json_is_no_document() -> None:
    """A tool's parameter, or its value in a call, may be called `document` and is a few tokens."""
    schema = {"properties": {"document": {"type": "string"}, "image": {"type": "string"}}}
    blocks = [
        {"type": "tool_use", "id": "1", "name": "read", "input": {"file": "a.txt"}},
        {"toolUse": {"toolUseId": "2", "name": "read", "input": {"document": "a.txt"}}},
        {"toolResult": {"toolUseId": "2", "content": [{"json": {"image": "none"}}]}},
    ]

    assert tokens(blocks, tools=[{"name": "read", "input_schema": schema}]) < 1_200


def test_a_margin_stops_at_the_context_window() -> None:
    """The margin goes on top of the estimate, and not beyond what the model takes."""
    some, much, too_much = ("word " * 1_000, "word " * 100_000, "word " * 300_000)

    assert tokens(some, margin=2) == pytest.approx(2 * tokens(some), rel=0.01)
    assert tokens(much) < tokens(much, margin=2) == 200_000
    assert tokens(too_much, margin=2) == tokens(too_much) > 200_000


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"max_tokens": 55, "fields": {"max_tokens": 100}}, 55),
        ({"inferenceConfig": {"maxTokens": 70}, "fields": {"max_tokens": 100}}, 70),
        ({"fields": {"max_tokens": 100}}, 100),
        ({}, 64_000),
        (
            {
                "fields": {
                    "max_tokens": 100,
                    "additional_model_request_fields": {
                        "reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}
                    },
                }
            },
            64_000,
        ),
    ],
)
def test_the_longest_answer(arguments: dict[str, Any], expected: int) -> None:
    """The call's own limit goes before the model's, and that before the catalog's."""
    limit = arguments.pop("max_tokens", None)
    params = {} if limit is None else {"max_tokens": limit}
    serialized = {"kwargs": {"model_id": MODEL, **arguments.pop("fields", {})}}

    request = read_request(
        serialized,
        "2+2?",
        {"invocation_params": {**params, **arguments}},
        margin=1,
        max_tokens=9,
    )

    assert request.output_tokens == expected


def test_a_longest_answer_that_nobody_says(model: Model, emulator: BedrockEmulator) -> None:
    """Without any limit of the answer a call is refused, and the message says where to set one."""
    unknown = model("meta.llama3-70b-instruct-v1:0", max_tokens=None)

    with pytest.raises(BudgetExceededError, match="set max_tokens on the model or on the budget"):
        unknown.invoke("2+2?", {"callbacks": [Budget(1)]})

    assert emulator.journal.count() == 0
    unknown.invoke("2+2?", {"callbacks": [Budget(1, max_tokens=2_000)]})
    assert emulator.journal.count() == 1


@pytest.mark.parametrize(
    ("fields", "params", "tier"),
    [
        ({}, {}, "default"),
        ({"service_tier": "flex"}, {}, "flex"),
        ({"service_tier": "flex"}, {"service_tier": "priority"}, "priority"),
        ({"performance_config": {"latency": "optimized"}}, {}, "latency-optimized"),
    ],
)
def test_the_tier(fields: dict[str, Any], params: dict[str, Any], tier: str) -> None:
    """A call is priced at the tier that it asks for."""
    assert read("2+2?", fields, **params).tier == tier


def test_an_arn_is_priced_as_its_model() -> None:
    """Where the chat model was told what an ARN stands for, that has the price."""
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"

    request = read("2+2?", {"model_id": arn, "base_model_id": MODEL[3:], "max_tokens": 10})

    assert request.model_ids == (arn, MODEL[3:])
    assert worst_case(request, RateCard(PriceBook())) is not None


class OnePrice(PriceBook):
    """Any model at one price."""

    def __init__(self, **prices: int) -> None:
        kinds: dict[str, Any] = {"input": 1, "output": 5, **prices}
        self.price = ModelPrice(**kinds, source="", checked="")

    def price_of(self, *_: Any, **__: Any) -> ModelPrice:
        return self.price


def test_the_dearest_price_of_a_prompt() -> None:
    """A prompt may be written to the cache, which costs more than to read it plainly."""
    request = read("2+2?", {"max_tokens": 10})
    assert request.input_tokens is not None

    assert worst_case(request, RateCard(OnePrice())) == request.input_tokens + 50
    cached = OnePrice(cache_write_5m=3)
    assert worst_case(request, RateCard(cached)) == 3 * request.input_tokens + 50
    dearest = OnePrice(cache_write_5m=3, cache_write_1h=4)
    assert worst_case(request, RateCard(dearest)) == 4 * request.input_tokens + 50


def test_a_prompt_too_long_for_its_price() -> None:
    """A price that does not hold for so long a prompt is no price."""
    request = read("word " * 1_000, {"max_tokens": 10})

    assert worst_case(request, RateCard(OnePrice(max_prompt_tokens=100))) is None


KEYS = st.sampled_from(["type", "text", "content", "document", "toolResult", "bytes"]) | st.text()
TEXTS = st.text(st.characters())  # lone surrogates too
BLOCKS: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
    max_leaves=10,
)


@settings(max_examples=50, deadline=None)
@given(content=st.lists(st.dictionaries(KEYS, BLOCKS)))
def test_any_content_can_be_read(content: list[dict[str, Any]]) -> None:
    """Whatever stands in a message, reading it gives a number of tokens and raises nothing."""
    message = HumanMessage("")
    message.content = content  # type: ignore[assignment]

    found = read([message]).input_tokens

    assert found is not None
    assert found >= MESSAGE_TOKENS


@pytest.mark.parametrize(
    "prompt",
    [
        "2+2?",
        "次の2つの案を、費用・納期・品質の観点で比較してください。" * 20,
        "def f(x):\n    return {k: v for k, v in x.items() if v}\n" * 20,
        "Explain the difference between a list and a tuple in Python. " * 50,
    ],
)
def test_a_reservation_is_never_below_the_cost(prompt: str, model: Model) -> None:
    """What is reserved for a prompt is at least what the emulator then counts."""
    budget = Budget(1)
    model().invoke(prompt, {"callbacks": [budget]})

    assert budget.counts.underestimated == 0
    assert budget.spent_usd > 0
