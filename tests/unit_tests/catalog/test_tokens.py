"""Token estimates: close to known counts, and safe on any text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_bedrock_opt.catalog.tokens import estimate_tokens

ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=()))  # lone surrogates too


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        (" ", 1),
        ("a", 1),
        ("What is the capital of France?", 9),
        ("日本の首都はどこですか。", 14),
        ("프랑스의 수도는 어디입니까?", 18),
        ('{"id": 12345, "ok": true}', 16),
        ("\ud800\udc00", 5),
        ("😀😀", 5),
        ("\u3000" * 100, 117),
    ],
)
def test_estimates_follow_the_class_weights(text: str, tokens: int) -> None:
    """Each script is counted by its own weight, not by four characters a token."""
    assert estimate_tokens(text) == tokens


def test_japanese_is_not_taken_for_english() -> None:
    """A Japanese sentence counts more than a token a character, not a quarter of one."""
    text = "推論パフォーマンスの最適化は、本番生成AIアプリケーションにとって重要です。"
    assert len(text) <= estimate_tokens(text) <= 1.4 * len(text)


@pytest.mark.parametrize("mark", ["?", "é", "한", "日"])
def test_question_marks_are_counted_once(mark: str) -> None:
    """Text beside a question mark weighs the same whether or not it is ASCII."""
    alone, beside = estimate_tokens(mark * 1000), estimate_tokens(("?" + mark) * 1000)
    assert beside == pytest.approx(alone + 180, abs=1)


@given(ANY_TEXT)
def test_any_text_has_a_count(text: str) -> None:
    """Whatever the text holds, the estimate is a whole number, zero only for no text."""
    tokens = estimate_tokens(text)
    assert isinstance(tokens, int)
    assert tokens >= 1 if text else tokens == 0


@given(ANY_TEXT, ANY_TEXT)
def test_more_text_is_never_fewer_tokens(left: str, right: str) -> None:
    """A text counts at least as much as either part of it."""
    assert estimate_tokens(left + right) >= max(estimate_tokens(left), estimate_tokens(right))


@given(st.lists(ANY_TEXT, min_size=2, max_size=5))
def test_parts_add_up_to_the_whole(parts: list[str]) -> None:
    """Joining parts moves the estimate by rounding and one word a join, no more."""
    together = estimate_tokens("".join(parts))
    apart = sum(map(estimate_tokens, parts))
    # 0.61 for a word cut in two, and each of the counts is rounded, or raised to 1, by under 1.
    assert abs(apart - together) <= 0.61 * (len(parts) - 1) + len(parts) + 0.5


@pytest.mark.parametrize("unit", ["word ", "推論", "a\ud800", "x1あ?"])
def test_ten_megabytes_are_counted_in_proportion(unit: str) -> None:
    """A huge text counts as many times its unit, so nothing is cut off or run together."""
    repeats = 1_000_000
    thousand = estimate_tokens(unit * 1000)
    assert estimate_tokens(unit * repeats) == pytest.approx(thousand * repeats / 1000, rel=0.01)
