"""Upper bounds of tokens: no family's tokenizer, and no family's images, count more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_bedrock_opt.catalog.tokens import TokenCounter
from langchain_bedrock_opt.catalog.tokens.bounds import most_around, most_tokens
from langchain_bedrock_opt.catalog.tokens.families import token_families


def recorded(name: str) -> Any:
    return json.loads(Path(__file__).with_name(name).read_text("utf-8"))


HARD: dict[str, Any] = recorded("token_hard_texts.json")["texts"]
PASSAGES = [
    passage
    for passages in recorded("token_passages.json")["passages"].values()
    for passage in passages
]


@pytest.mark.parametrize("name", HARD)
def test_what_packs_badly_is_not_beyond_the_bound(name: str) -> None:
    """Figures, UUIDs, base64, random JSON: no public tokenizer counts more than the bound."""
    assert most_tokens(HARD[name]["text"]) >= max(HARD[name]["tokens"].values())


def test_no_passage_is_beyond_the_bound() -> None:
    """Texts in all scripts that nothing was fitted to have at most what the bound says."""
    for passage in PASSAGES:
        assert most_tokens(passage["text"]) >= max(passage["tokens"].values())


@pytest.mark.parametrize("models", token_families())
def test_no_family_estimates_more_than_the_bound(models: str) -> None:
    """Each family's own estimate of each text, public tokenizer or not, is within the bound."""
    count = TokenCounter(f"{models}-x")
    texts = [row["text"] for row in (*PASSAGES, *HARD.values())]

    assert [text for text in texts if count.text(text) > most_tokens(text)] == []


@pytest.mark.parametrize(
    ("text", "least"),
    [
        ("7", 2.05),
        ("word ", 1.49),
        ("Understanding ", 3.29),
        ("ABC ", 1.29),
        ("x=1; ", 3.2),
        ("\n", 0.08),
        ("漢", 1.14),
        ("か", 1.17),
        ("、", 1.17),
        ("한", 1.47),
        ("é", 2.27),
        ("д", 2.27),
        ("ع", 2.27),
        ("Ａ", 2.27),
        ("ｱ", 2.27),
        ("😀", 2.27),
    ],
)
def test_no_class_is_bound_lower_than_it_ever_was(text: str, least: float) -> None:
    """What budgets reserved for a text before families had weights of their own, they still do."""
    assert most_tokens(text * 1_000) >= least * 1_000


@settings(max_examples=50)
@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_any_text_has_a_bound(text: str) -> None:
    """The bound of any text is a whole number, zero only for no text."""
    tokens = most_tokens(text)
    assert isinstance(tokens, int)
    assert tokens >= 1 if text else tokens == 0


def test_what_is_no_text_is_bound_by_its_family() -> None:
    """No image, and nothing around a prompt, counts more; an unknown model may be any."""
    unknown = most_around("arn:unknown")
    for models, family in token_families().items():
        bound = most_around(f"{models}-x")
        assert bound.image >= max(family.image.tokens((8_000, 8_000)), family.image.flat)
        assert bound.request >= family.request
        assert bound.tools >= family.tools + family.tool
        assert all(most >= each for most, each in zip(unknown, bound, strict=True))
    assert unknown.image == most_around().image == 16_000
