"""What usage teaches: by class of text, by model, kept within bounds, and as JSON."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from langchain_bedrock_opt.catalog.tokens import TokenCorrection, TokenCounter, estimate_tokens
from langchain_bedrock_opt.errors import ConfigurationError

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
ENGLISH = "The quick brown fox jumps over the lazy dog. " * 20
JAPANESE = "素早い茶色の狐がのろまな犬を飛び越える。" * 20


def asked(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"text": text}]}]}


def taught(text: str, factor: float, calls: int = 20) -> TokenCorrection:
    correction, request = TokenCorrection(), asked(text)
    actual = round(factor * estimate_tokens(request, CLAUDE))
    for _ in range(calls):
        correction.observe(request, {"inputTokens": actual}, CLAUDE)
    return correction


@pytest.mark.parametrize("factor", [0.6, 0.9, 1.3, 2.0])
def test_a_count_that_is_always_off_is_learned(factor: float) -> None:
    """After twenty calls an estimate is within 3 % of what such calls use."""
    correction = taught(ENGLISH, factor)
    corrected = estimate_tokens(asked(ENGLISH), CLAUDE, correction=correction)
    assert corrected == pytest.approx(factor * estimate_tokens(asked(ENGLISH), CLAUDE), rel=0.03)


def test_english_teaches_little_of_japanese() -> None:
    """A script that was not seen moves much less than the one that was."""
    correction = taught(ENGLISH, 1.4)
    english, japanese = (
        estimate_tokens(text, CLAUDE, correction=correction) / estimate_tokens(text, CLAUDE)
        for text in (ENGLISH, JAPANESE)
    )
    assert english > 1.3
    assert 1 < japanese < 1 + (english - 1) * 0.8


def test_profiles_of_a_model_learn_together_and_models_apart() -> None:
    """What one profile's calls teach holds for the model's other ids, and for no other model."""
    correction = taught(ENGLISH, 1.4)
    bare, other = CLAUDE.removeprefix("us."), "us.amazon.nova-lite-v1:0"

    assert correction.factors(bare) == correction.factors(CLAUDE) is not None
    assert correction.factors(other) is None
    assert TokenCounter(other, correction=correction).text(ENGLISH) == estimate_tokens(
        ENGLISH, other
    )


def test_cached_tokens_are_prompt_tokens() -> None:
    """A prompt that was read from the prompt cache teaches what one that was not does."""
    request = asked(ENGLISH)
    usages: list[dict[str, int]] = [
        {"inputTokens": 300},
        {"inputTokens": 20, "cacheReadInputTokens": 270, "cacheWriteInputTokens": 10},
        {"input_tokens": 300, "output_tokens": 5},
    ]
    learned = []
    for usage in usages:
        correction = TokenCorrection()
        correction.observe(request, usage, CLAUDE)
        learned.append(correction.factors(CLAUDE))

    assert learned[0] == learned[1] == learned[2]


def test_odd_calls_ruin_nothing() -> None:
    """A usage far from all others pulls no harder than a slight surprise, or not at all."""
    correction = taught(ENGLISH, 1.2, calls=50)
    before = estimate_tokens(ENGLISH, CLAUDE, correction=correction)
    for actual in (0, 1, 2_000, 1_000_000):
        correction.observe(asked(ENGLISH), {"inputTokens": actual}, CLAUDE)

    assert estimate_tokens(ENGLISH, CLAUDE, correction=correction) == pytest.approx(
        before, rel=0.05
    )


@pytest.mark.parametrize("odd", [0.11, 0.3, 3, 9.5])
def test_a_first_call_that_is_odd_ruins_nothing(odd: float) -> None:
    """A first usage far off moves estimates by 30 % at most, and ordinary calls take it back."""
    correction, request = taught(ENGLISH, odd, calls=1), asked(ENGLISH)
    actual = estimate_tokens(request, CLAUDE)
    assert estimate_tokens(request, CLAUDE, correction=correction) == pytest.approx(actual, rel=0.3)

    for _ in range(3):
        correction.observe(request, {"inputTokens": actual}, CLAUDE)

    assert estimate_tokens(request, CLAUDE, correction=correction) == pytest.approx(
        actual, rel=0.05
    )


@pytest.mark.parametrize("factor", [0.12, 9])
def test_no_estimate_is_moved_beyond_what_tokenizers_differ_by(factor: float) -> None:
    """However often a usage is far off, no estimate becomes more than 2.5 times as large."""
    correction = taught(ENGLISH, factor, calls=60)
    share = estimate_tokens(ENGLISH, CLAUDE, correction=correction) / estimate_tokens(
        ENGLISH, CLAUDE
    )
    assert 0.39 <= share <= 2.51


def test_what_changed_is_learned_anew() -> None:
    """When a model begins to count differently, the estimate follows."""
    correction = taught(ENGLISH, 0.8, calls=100)
    request = asked(ENGLISH)
    actual = round(1.3 * estimate_tokens(request, CLAUDE))
    for _ in range(100):
        correction.observe(request, {"inputTokens": actual}, CLAUDE)

    assert estimate_tokens(request, CLAUDE, correction=correction) == pytest.approx(
        actual, rel=0.05
    )


def test_a_correction_survives_as_json() -> None:
    """What was learned comes back from JSON, and learning goes on from there."""
    correction = taught(ENGLISH, 1.3)
    again = TokenCorrection.from_dict(json.loads(json.dumps(correction.as_dict())))

    for each in (correction, again):
        each.observe(asked(JAPANESE), {"inputTokens": 500}, CLAUDE)
    assert again.factors(CLAUDE) == correction.factors(CLAUDE)
    assert "fox" not in json.dumps(correction.as_dict())


@pytest.mark.parametrize(
    "damage",
    [
        {"version": 2},
        {"classes": ["letter"]},
        {"models": {"m": {"factors": [1.0], "doubt": []}}},
        {"models": {"m": {"factors": "1", "doubt": [[]]}}},
        {"models": {"m": 5}},
        {"models": {"m": {"factors": [float("nan")] * 16, "doubt": [[0.1] * 16] * 16}}},
        {"models": {"m": {"factors": [9.0] * 16, "doubt": [[0.1] * 16] * 16}}},
        {"models": {"m": {"factors": [1.0] * 16, "doubt": [[float("inf")] * 16] * 16}}},
        {"models": {"m": {"factors": [1.0] * 16, "doubt": [[-0.1] * 16] * 16}}},
    ],
)
def test_a_correction_that_can_not_be_read_is_refused(damage: dict[str, Any]) -> None:
    """JSON of another version, or damaged, is answered with what to do."""
    with pytest.raises(ConfigurationError, match="TokenCorrection"):
        TokenCorrection.from_dict({**TokenCorrection().as_dict(), **damage})


def test_models_are_remembered_within_bounds() -> None:
    """The models that were not seen for longest are forgotten beyond sixty-four."""
    correction = TokenCorrection()
    for number in range(70):
        correction.observe(asked(ENGLISH), {"inputTokens": 250}, f"acme.model-{number}")

    assert len(correction.as_dict()["models"]) == 64
    assert correction.factors("acme.model-0") is None
    assert correction.factors("acme.model-69") is not None


def test_threads_may_share_a_correction() -> None:
    """Calls of many threads are all learned from, and none is lost."""
    correction, request = TokenCorrection(), asked(ENGLISH)
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(lambda _: correction.observe(request, {"inputTokens": 290}, CLAUDE), range(80))
        )

    one_by_one = TokenCorrection()
    for _ in range(80):
        one_by_one.observe(request, {"inputTokens": 290}, CLAUDE)
    assert correction.factors(CLAUDE) == one_by_one.factors(CLAUDE)
