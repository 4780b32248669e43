"""Token estimates: close to known counts, and safe on any text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_bedrock_opt.catalog.specs import known_model_ids
from langchain_bedrock_opt.catalog.tokens import TokenCounter, estimate_tokens

MODELS = sorted(known_model_ids())
ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=()))  # lone surrogates too


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        (" ", 1),
        ("a", 1),
        ("What is the capital of France?", 7),
        ("日本の首都はどこですか。", 13),
        ("프랑스의 수도는 어디입니까?", 18),
        ('{"id": 12345, "ok": true}', 11),
        ("\ud800\udc00", 2),
        ("😀😀", 5),
        ("\u3000" * 100, 101),
    ],
)
def test_estimates_follow_the_class_weights(text: str, tokens: int) -> None:
    """Each script is counted by its own weight, not by four characters a token."""
    assert estimate_tokens(text) == tokens


def test_japanese_is_not_taken_for_english() -> None:
    """A Japanese sentence counts about a token a character, not a quarter of one."""
    text = "推論パフォーマンスの最適化は、本番生成AIアプリケーションにとって重要です。"
    assert 0.8 * len(text) <= estimate_tokens(text) <= 1.4 * len(text)


@pytest.mark.parametrize("mark", ["é", "한", "日"])
def test_question_marks_count_as_other_marks_do(mark: str) -> None:
    """A question mark beside text that is not ASCII weighs what an exclamation mark does."""
    assert estimate_tokens(("?" + mark) * 1000) == estimate_tokens(("!" + mark) * 1000)
    assert estimate_tokens(("?" + mark) * 1000) > estimate_tokens(mark * 1000)


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


@given(st.sampled_from(MODELS), ANY_TEXT, ANY_TEXT)
def test_a_text_is_hardly_longer_than_its_parts(model: str, left: str, right: str) -> None:
    """Putting two texts together adds at most two tokens, in every family."""
    count = TokenCounter(model)
    assert count.text(left + right) <= count.text(left) + count.text(right) + 2
    assert count.text(left + right) >= max(count.text(left), count.text(right))


@given(st.lists(ANY_TEXT, min_size=2, max_size=5))
def test_parts_add_up_to_the_whole(parts: list[str]) -> None:
    """Joining parts moves the estimate by rounding and one word a join, no more."""
    together = estimate_tokens("".join(parts))
    apart = sum(map(estimate_tokens, parts))
    assert abs(apart - together) <= 2 * len(parts)


@pytest.mark.parametrize("unit", ["word ", "推論", "a\ud800", "x1あ?"])
def test_ten_megabytes_are_counted_in_proportion(unit: str) -> None:
    """A huge text counts as many times its unit, so nothing is cut off or run together."""
    repeats = 1_000_000
    thousand = estimate_tokens(unit * 1000)
    assert estimate_tokens(unit * repeats) == pytest.approx(thousand * repeats / 1000, rel=0.01)
