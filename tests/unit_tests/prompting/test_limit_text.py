"""Texts within a budget: never over it, and cut where a reader would."""

from __future__ import annotations

import re
from typing import Any, get_args

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_bedrock_opt.catalog.tokens import TokenCounter
from langchain_bedrock_opt.errors import ConfigurationError, ContextTooLongError
from langchain_bedrock_opt.prompting.limiting import limit_context
from langchain_bedrock_opt.prompting.limiting.fences import open_fence
from langchain_bedrock_opt.prompting.limiting.sentences import end_before, start_after
from langchain_bedrock_opt.prompting.limiting.text import Keep

COUNT = TokenCounter().text
KEEPS: tuple[Keep, ...] = get_args(Keep)
PIECES = [
    "Hello there. ",
    "It is 3.50 dollars, e.g. today! ",
    "推論は速いです。",
    "「はい。」と答えた。",
    "カ\u3099キ\u3099",
    "한국어 문장입니다. ",
    "\u1112\u1161\u11ab\u1100\u1173\u11af",
    "👨\u200d👩\u200d👧\u200d👦",
    "🇯🇵🇰🇷",
    "e\u0301\u0302 ",
    "नमस्ते क्षत्रिय। ",
    "\r\n",
    "\n\n",
    "\n",
    " ",
    "\u0600\u0661",
    "\ud83d\ude00",
    "x" * 40,
]
FENCES = ["```python\n", "```\n", "~~~\n", "\n````\n", "    y = f(x)\n"]
MARKER = "\x00"  # in no text


def texts(*pieces: str) -> st.SearchStrategy[str]:
    anything = st.characters(exclude_characters=MARKER, exclude_categories=())
    return st.lists(st.sampled_from(pieces) | anything, max_size=60).map("".join)


PROSE = texts(*PIECES)
TEXTS = texts(*PIECES, *FENCES)


@settings(max_examples=150, deadline=None)
@given(text=TEXTS, budget=st.integers(0, 120), keep=st.sampled_from(KEEPS))
def test_a_text_is_never_over_its_budget(text: str, budget: int, keep: Keep) -> None:
    """Whatever the text and the budget, the result fits, and fits again as it is."""
    result = limit_context(text, budget, keep=keep)

    assert COUNT(result) <= budget
    assert limit_context(result, budget, keep=keep) == result
    if COUNT(text) <= budget:
        assert result == text


@settings(max_examples=150, deadline=None)
@given(text=PROSE, budget=st.integers(1, 120), keep=st.sampled_from(KEEPS))
def test_no_character_is_taken_apart(text: str, budget: int, keep: Keep) -> None:
    """What is kept are the text's own ends, cut between what a reader sees as characters."""
    result = limit_context(text, budget, keep=keep, marker=MARKER)
    if MARKER not in result:
        return
    head, _, tail = result.partition(MARKER)
    head, tail = head.removesuffix("\n"), tail.removeprefix("\n")  # the marker's own lines
    starts = {match.start() for match in regex.finditer(r"\X", text)} | {len(text)}

    assert text.startswith(head)
    assert len(head) in starts
    assert text.endswith(tail)
    assert len(text) - len(tail) in starts
    assert len(head) + len(tail) <= len(text)


@settings(max_examples=150, deadline=None)
@given(text=TEXTS, budget=st.integers(20, 120), keep=st.sampled_from(KEEPS))
def test_no_block_of_code_is_left_open(text: str, budget: int, keep: Keep) -> None:
    """What comes behind a beginning is not read as code, unless the text itself ends in code."""
    result = limit_context(text, budget, keep=keep, marker=MARKER)

    if keep == "head" and MARKER in result:
        assert open_fence(result, len(result)) is None


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("He paid 3.50 at 4.15 p.m. today. He left |then.", "He paid 3.50 at 4.15 p.m. today."),
        ('So he said: "Is it so?" she asked. Then |he', 'So he said: "Is it so?" she asked.'),
        ('He was sure: "It is so." Then it| was not.', 'He was sure: "It is so."'),
        ("It was e.g. the weather, or |i.e. it was", "It was e.g. the weather,"),
        ("It is. (Really!) Then| more and more", "It is. (Really!)"),
        ("A list:\nthe first\n1. th|e second", "A list:\nthe first"),
        ("Lines are wrapped\nin the midd|le", "Lines are wrapped\nin the"),
        ("the words of a sentence with no en|d", "the words of a sentence with no"),
        ("明日の東京の天気は晴れです。「雨。」と|言った", "明日の東京の天気は晴れです。"),
        ("それは本当ですか！？はい、|本当です", "それは本当ですか！？"),
        ("円周率は３．１４です．次は|長い文です", "円周率は３．１４です．"),
        ("それは、「本当です」|と彼は言いました", "それは、「本当です」"),
        ("明日の東京の天気は晴れで|、風が", "明日の東京の天気は晴れ"),
        ("这是真的没有问题。那也是|真的，对不对", "这是真的没有问题。"),
        ("오늘은 맑습니다. 내일|은 비가 옵니다", "오늘은 맑습니다."),
        ("one\r\ntwo|\r\nthree", "one\r\ntwo"),
    ],
)
def test_a_text_ends_with_a_sentence(text: str, kept: str) -> None:
    """The end of a sentence, line, clause or word is found before the bar, in each language."""
    before, _, after = text.partition("|")
    text = before + after

    assert text[: end_before(text, len(before))] == kept


def test_an_ending_begins_with_a_sentence() -> None:
    """What is kept of the end starts where a sentence does, or a line with its indentation."""
    text = "One sentence. Another one.\n\n    indented code\n"

    assert text[start_after(text, 8) :] == "Another one.\n\n    indented code\n"
    assert text[start_after(text, 24) :] == "    indented code\n"


@pytest.mark.parametrize(
    ("sentence", "marker"),
    [
        ("The log of the server. ", "[… omitted]"),
        ("サーバーのログです。", "[…省略]"),
        ("服务器的日志。", "[…已省略]"),
        ("伺服器的日誌。", "[…已省略]"),
        ("서버의 로그입니다. ", "[… 생략]"),
        ("Amazon Bedrock の Converse API で ERROR が出ました。", "[…省略]"),
        ("The sign said 東京 and nothing else, in the whole of that street. ", "[… omitted]"),
        ("123 ", "[… omitted]"),
    ],
)
@pytest.mark.parametrize("keep", KEEPS)
def test_the_marker_is_in_the_language_of_the_prompt(
    sentence: str, marker: str, keep: Keep
) -> None:
    """A reader is told in his own language that something was left out."""
    assert marker in limit_context(sentence * 100, 100, keep=keep)


def test_a_marker_of_ones_own() -> None:
    """The guide's marker, or none, may be asked for."""
    text = "東京は晴れです。" * 100

    assert limit_context(text, 50, marker="...[省略]").endswith("晴れです。...[省略]")
    assert text.startswith(limit_context(text, 50, marker=""))
    assert limit_context(text, 50, keep="ends", marker="").count("\n") == 1


def test_a_marker_gives_way_to_text() -> None:
    """In a budget of a few tokens there is text and no marker."""
    text = "The server started and stopped again."

    assert limit_context(text, 3, counter=lambda text: len(text.split())) == "The server started"


def test_the_middle_is_left_out_by_share() -> None:
    """Both ends get the share that was asked for."""
    text = "".join(f"Sentence number {'x' * (number % 7 + 1)} is here. " for number in range(300))
    head, _, tail = limit_context(text, 400, keep="ends", head_share=0.2).partition(" [… omitted] ")

    assert COUNT(head) == pytest.approx(80, abs=15)
    assert COUNT(tail) == pytest.approx(310, abs=20)


def test_a_long_block_of_code_is_closed() -> None:
    """A block that fills the budget is cut at a line and closed, so that the rest is no code."""
    text = "Look at this:\n\n```python\n" + "total = total + 1\n" * 100 + "```\n\nThat is all.\n"

    head = limit_context(text, 100, keep="head")
    tail = limit_context(text, 100, keep="tail")

    assert head.startswith("Look at this:\n\n```python\ntotal = total + 1\n")
    assert head.endswith("total = total + 1\n```\n[… omitted]")
    assert tail.startswith("[… omitted]\n```python\ntotal = total + 1\n")
    assert tail.endswith("```\n\nThat is all.\n")


def test_a_short_block_of_code_is_left_out_whole() -> None:
    """A block at the end of what fits is not entered at all."""
    text = "One line of prose, and more. " * 20 + "\n\n```\na = 1\n" + "b = 2\n" * 50 + "```\n"

    assert limit_context(text, 210).endswith("and more.\n[… omitted]")


def test_tokens_of_a_megabyte_are_used_up() -> None:
    """A long text is cut near its budget, not far below it."""
    text = "推論パフォーマンスの最適化は重要です。It is important. " * 20_000

    for keep in KEEPS:
        assert 0.99 * 200_000 <= COUNT(limit_context(text, 200_000, keep=keep)) <= 200_000


def test_a_counter_of_ones_own_counts() -> None:
    """Any function from text to a number sets the budget's unit, such as characters."""
    text = "One sentence here. Another one there."

    assert limit_context(text, 33, counter=len) == "One sentence here. [… omitted]"


def test_a_counter_that_counts_nothing_as_something() -> None:
    """A counter that finds tokens in no text can't be satisfied by leaving all out."""
    with pytest.raises(ContextTooLongError, match="No text at all has 7 tokens") as caught:
        limit_context("some text", 5, counter=lambda text: len(text) + 7)
    assert (caught.value.needed_tokens, caught.value.max_tokens) == (7, 5)


def test_the_default_budget_is_the_models() -> None:
    """Without a number, the text may fill the model's window beside its longest answer."""
    text = "word " * 700_000
    model = "us.amazon.nova-lite-v1:0"

    assert 0.99 * 290_000 <= TokenCounter(model).text(limit_context(text, model=model)) <= 290_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "The room for input of model=None is not known: pass max_tokens="),
        ({"model": "acme.frontier-v9"}, "model='acme.frontier-v9' is not known"),
        ({"max_tokens": -1}, "max_tokens=-1 is below 0"),
        ({"max_tokens": 9, "keep": "middle"}, "keep='middle' is none of head, tail, ends"),
        ({"max_tokens": 9, "head_share": 1}, "head_share=1 is no share"),
        ({"max_tokens": 9, "counter": 4}, "counter=4 can't count tokens"),
        (
            {"max_tokens": 9, "counter": len, "tools": [{}]},
            "tools=1 tools are given and counter=builtin_func",
        ),
    ],
)
def test_mistakes_are_told_with_their_fix(arguments: dict[str, Any], message: str) -> None:
    """A call that makes no sense is refused in one line, also for a text that would fit."""
    with pytest.raises(ConfigurationError, match=message):
        limit_context("short", **arguments)


def test_a_run_of_flags_takes_one_look() -> None:
    """A long run of flags is cut between two of them, also with a letter behind or before."""
    flags = "🇯🇵" * 100_000

    for text in (flags, f"{flags}e", f"a{flags}", f"{flags} {flags}e\u0301", f"b {flags}\u0301"):
        for keep in get_args(Keep):
            kept = limit_context(text, 50_001, keep=keep, marker="")
            assert all(len(run) % 2 == 0 for run in re.findall("[🇯🇵]+", kept))
            assert kept
