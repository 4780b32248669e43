"""The scorer: what it says of prompts, in any language and any form."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.prompt_values import ChatPromptValue, StringPromptValue

from langchain_bedrock_opt.routing import ComplexityScorer, RoutingPolicy, Scorer, Tier
from langchain_bedrock_opt.routing.scoring.lexicon import kinds_of_words
from langchain_bedrock_opt.routing.scoring.reading import SCAN_CHARS, read_conversation

SCORER = ComplexityScorer()
HARD = (
    "Compare event sourcing with change data capture for a payment system. Analyze the "
    "trade-offs, then design a migration plan in four steps and justify each of them."
)
HARD_JA = (
    "決済システムについてイベントソーシングと変更データキャプチャを比較してください。"
    "トレードオフを分析し、次に移行計画を4つの手順で設計し、それぞれの根拠を示してください。"
)
IMAGE = {"type": "image", "base64": "aGk=", "mime_type": "image/png"}
DOCUMENT = {"document": {"format": "pdf", "name": "d", "source": {"bytes": b"%PDF"}}}

three_tiers = [Tier(name=name, model_id=name) for name in ("simple", "moderate", "complex")]


def value(prompt: Any, tools: list[Any] | None = None) -> float:
    return SCORER.score(prompt, tools).value


def tier_of(prompt: str) -> str:
    return RoutingPolicy().choose(value(prompt), three_tiers).tier.name


@given(st.text())
def test_any_text_has_a_score(text: str) -> None:
    """Whatever the text, the score is from 0 to 1 and its reasons add up."""
    score = SCORER.score(text)

    assert 0 <= score.value <= 1
    total = sum(reason.weight for reason in score.reasons)
    assert score.value - SCORER.score("").value == pytest.approx(total, abs=0.002)


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        [],
        "\ud800 lone \udfff 漢\udc00字",
        [HumanMessage([])],
        [HumanMessage([IMAGE, IMAGE])],
        [HumanMessage([DOCUMENT])],
        [HumanMessage([{"image": {"format": "png", "source": {"bytes": b"x"}}}, "text", {}])],
        [SystemMessage("You are terse.")],
        [AIMessage("Hello")],
        [ToolMessage([{"type": "text", "text": "42"}], tool_call_id="1")],
    ],
)
def test_odd_input_has_a_score(prompt: Any) -> None:
    """Empty input, broken text and messages without text get a score and never an exception."""
    assert 0 <= value(prompt) <= 1


def test_a_prompt_without_end_is_read_at_its_ends() -> None:
    """Ten megabytes are scored by their head and tail, and by their length."""
    long = "word " * 2_000_000

    read = read_conversation(long + HARD)

    assert len(read.ask) == 2 * SCAN_CHARS + 1
    assert read.ask.endswith(HARD)
    assert value(long + HARD) > value(HARD)


@pytest.mark.parametrize(
    ("easy", "hard"),
    [
        ("What is the capital of France?", HARD),
        ("フランスの首都はどこですか\uff1f", HARD_JA),
        ("Translate to French: good morning", "Prove that there are infinitely many primes."),
        ("「おはよう」を英語に翻訳して", "素数が無限に存在することを証明してください。"),
        ("¿Cuál es la capital de Francia?", "¿Cuáles? " * 80),
        ("한국의 수도는?", "1. 3 + 4 = x?\n2. x^2 = 16?\n3. \\frac{1}{2} x?"),
    ],
)
def test_harder_work_scores_higher(easy: str, hard: str) -> None:
    """In each language a look-up scores lower than analysis, proof or many questions."""
    assert value(easy) < value(hard)


def test_the_same_work_weighs_the_same_in_japanese() -> None:
    """A prompt and its translation are of one tier."""
    assert tier_of(HARD) == tier_of(HARD_JA) == "complex"
    assert abs(value(HARD) - value(HARD_JA)) < 0.1


@pytest.mark.parametrize("form", ["str", "message", "tuple", "dict", "prompt", "chat_prompt"])
def test_every_form_of_input_scores_alike(form: str) -> None:
    """A text, messages, tuples, dicts and prompt values of one content have one score."""
    forms: dict[str, Any] = {
        "str": HARD,
        "message": [HumanMessage(HARD)],
        "tuple": [("human", HARD)],
        "dict": [{"role": "user", "content": HARD}],
        "prompt": StringPromptValue(text=HARD),
        "chat_prompt": ChatPromptValue(messages=[HumanMessage([{"type": "text", "text": HARD}])]),
    }

    assert SCORER.score(forms[form]) == SCORER.score(HARD)


def test_what_is_no_prompt_is_refused() -> None:
    """Something no chat model takes is a TypeError that says what is wanted."""
    with pytest.raises(TypeError, match="Can't read int as a prompt"):
        SCORER.score(42)  # type: ignore[arg-type]


def test_reasons_are_signed_and_strongest_first() -> None:
    """The reasons name what raised and what lowered the score, the strongest first."""
    score = SCORER.score("Summarize and translate this, then compare it with the original design.")

    weights = [abs(reason.weight) for reason in score.reasons]
    signs = {reason.signal: reason.weight > 0 for reason in score.reasons}
    assert weights == sorted(weights, reverse=True)
    assert signs["hard_task"]
    assert not signs["easy_task"]


def test_reasons_hold_no_prompt_text() -> None:
    """No word of the prompt is in the reasons, so they may be logged."""
    score = SCORER.score("Kyoto-Zebra 42 shall compare Xylophone and Quokka in detail? Zebra?")

    told = " ".join(f"{reason.signal} {reason.detail}" for reason in score.reasons)
    assert not any(word in told for word in ("Kyoto", "Zebra", "Xylophone", "Quokka"))


def test_the_whole_request_counts() -> None:
    """Tools, images, documents, background and earlier turns all raise the score."""
    ask = HumanMessage("What is in it?")
    base = value([ask])

    assert value([ask], tools=[{}, {}]) > base
    assert value([HumanMessage(["What is in it?", IMAGE])]) > base
    assert value([HumanMessage(["What is in it?", DOCUMENT])]) > base
    assert value([SystemMessage("Background. " * 500), ask]) > base


@pytest.mark.parametrize(
    ("one", "several"),
    [
        ("Weather in Oslo", "Weather in Oslo, Rome and Lima, and also the time in both"),
        ("オスロの天気", "オスロ、ローマ、リマの天気、さらに両方の時刻"),
    ],
)
def test_several_calls_at_once_are_harder_with_tools(one: str, several: str) -> None:
    """With tools bound, a request that wants many calls rises more than without."""
    tools = [{"name": "weather"}, {"name": "time"}]
    rise = value(several, tools) - value(one, tools)

    assert rise > value(several) - value(one) > 0
    assert "calls" in {reason.signal for reason in SCORER.score(several, tools).reasons}


def test_a_short_follow_up_is_read_with_the_turn_before() -> None:
    """A short "go on" after a hard question is not an easy prompt."""
    talk: list[BaseMessage] = [HumanMessage(HARD_JA), AIMessage("…"), HumanMessage("続けて")]

    assert value(talk) > 0.9 * value(HARD_JA)
    assert tier_of("続けて") == "simple"


def test_a_tool_loop_does_not_move_the_score() -> None:
    """Tool calls and results after the last human turn leave the score as it was."""
    start: list[BaseMessage] = [SystemMessage("Be brief."), HumanMessage(HARD)]
    call = AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": "1"}])
    step = [call, ToolMessage("result " * 1000, tool_call_id="1")]

    assert SCORER.score(start) == SCORER.score([*start, *step]) == SCORER.score(start + step * 2)


def test_a_scorer_of_ones_own_fits() -> None:
    """`ComplexityScorer` is one `Scorer` among others."""
    assert isinstance(SCORER, Scorer)


def test_japanese_requests_end_without_a_question_mark() -> None:
    """Each polite request of a Japanese prompt counts, each task word once."""
    kinds = kinds_of_words("比較してください。もう一度比較してください。")

    assert kinds["request"] == 2
    assert kinds["hard"] == 1


def test_translated_problems_take_the_same_tier(shared_data: Path) -> None:
    """At least 85 % of the problems take one tier in Japanese and English, over two real tiers."""
    with gzip.open(shared_data / "routing" / "mgsm_parity.csv.gz", "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))

    pairs = [(tier_of(row["ja"]), tier_of(row["en"])) for row in rows]

    assert sum(ja == en for ja, en in pairs) >= 0.85 * len(pairs)
    for tiers in zip(*pairs, strict=True):
        used = Counter(tiers).values()
        assert sum(count >= 0.1 * len(pairs) for count in used) >= 2


def test_a_days_traffic_is_spread_over_the_tiers(shared_data: Path) -> None:
    """Two fifths of the prompts or more are simple, some complex, in Japanese as in English."""
    lines = (shared_data / "workload" / "prompts.jsonl").read_text("utf-8").splitlines()
    tiers = defaultdict(list)
    for row in map(json.loads, lines):
        tiers[row["lang"]].append(tier_of(row["prompt"]))

    for used in tiers.values():
        share = {name: count / len(used) for name, count in Counter(used).items()}
        assert 0.38 < share["simple"] < 0.6
        assert 0.25 < share["moderate"] < 0.5
        assert 0.08 < share["complex"] < 0.28
