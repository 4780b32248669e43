"""Families of tokenizers: near the counts of public ones, found by any id of a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from langchain_bedrock_opt.catalog.specs import known_model_ids
from langchain_bedrock_opt.catalog.tokens import TokenCounter, estimate_tokens
from langchain_bedrock_opt.catalog.tokens.classes import CLASSES
from langchain_bedrock_opt.catalog.tokens.families import family_of, token_families

RECORDED: dict[str, Any] = json.loads(
    Path(__file__).with_name("token_passages.json").read_text("utf-8")
)
"""Passages that nothing was fitted to, with their tokens by public tokenizers."""

MODELS = {
    "claude-2": "anthropic.claude-v2",
    "cl100k_base": "meta.llama3-8b-instruct-v1:0",
    "o200k_base": "openai.gpt-oss-20b-1:0",
    "deepseek-v3": "deepseek.v3-v1:0",
    "mistral-tekken": "mistral.ministral-3-8b-instruct",
    "mistral-v3": "mistral.mistral-7b-instruct-v0:2",
    "qwen": "qwen.qwen3-32b-v1:0",
}
CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"


def mean_error(model: str | None, tokenizer: str, name: str) -> float:
    count, errors = TokenCounter(model), list[float]()
    for passage in RECORDED["passages"][name]:
        actual = passage["tokens"][tokenizer]
        errors.append(abs(count.text(passage["text"]) - actual) / actual)
    assert len(errors) == 10
    return sum(errors) / len(errors)


@pytest.mark.parametrize("name", RECORDED["passages"])
@pytest.mark.parametrize("tokenizer", RECORDED["tokenizers"])
def test_estimates_are_near_public_tokenizers(tokenizer: str, name: str) -> None:
    """On texts of no fit the mean absolute error is at most 12 % in each script class."""
    assert mean_error(MODELS[tokenizer], tokenizer, name) <= 0.12


@pytest.mark.parametrize("name", RECORDED["passages"])
def test_without_a_model_estimates_are_near_two_tokenizers(name: str) -> None:
    """With no model named the estimate lies between two public tokenizers' counts."""
    errors = [mean_error(None, tokenizer, name) for tokenizer in ("claude-2", "cl100k_base")]

    assert min(errors) <= 0.12
    assert max(errors) <= 0.18


@pytest.mark.parametrize(
    "form",
    [
        CLAUDE,
        f"us.{CLAUDE}",
        f"global.{CLAUDE}",
        f"arn:aws:bedrock:us-east-1::foundation-model/{CLAUDE}",
        f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.{CLAUDE}",
    ],
)
def test_every_form_of_an_id_finds_its_family(form: str) -> None:
    """A bare id, a profile's and an ARN that names its model count alike."""
    assert family_of(form).name == "claude"


@pytest.mark.parametrize(
    "model",
    [
        None,
        "acme.frontier-v9",
        "not an id",
        42,
        "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123",
    ],
)
def test_a_model_that_is_not_known_has_the_default_family(model: object) -> None:
    """An unknown model is counted all the same, and no error."""
    assert family_of(model).name == "default"


@pytest.mark.parametrize("model", known_model_ids())
def test_every_model_of_the_catalog_has_a_family_of_its_own_kind(model: str) -> None:
    """No model of the catalog falls back on the default family."""
    assert family_of(model).name != "default"


def test_the_new_tokenizer_of_claude_counts_english_higher_and_chinese_alike() -> None:
    """Opus 4.7 has 1.2 to 1.46 times the tokens in English, and as many in Chinese."""
    english, chinese = (RECORDED["passages"][name][0]["text"] for name in ("English", "Chinese"))
    new, old = "us.anthropic.claude-opus-4-7", f"us.{CLAUDE}"

    assert 1.2 <= estimate_tokens(english, new) / estimate_tokens(english, old) <= 1.46
    assert estimate_tokens(chinese, new) == estimate_tokens(chinese, old)


def test_no_family_has_text_that_is_free() -> None:
    """Each class of characters weighs something, in each family, and each says its basis."""
    for family in token_families().values():
        assert len(family.weights) == len(CLASSES)
        assert min(family.weights) > 0
        assert family.basis in {"public", "nearest"}
        assert family.note
