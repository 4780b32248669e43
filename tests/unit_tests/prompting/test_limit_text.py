"""Texts within a budget: never over it, and cut where a reader would."""

from __future__ import annotations

from typing import get_args

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_bedrock_opt.catalog.tokens import TokenCounter
from langchain_bedrock_opt.errors import ConfigurationError, ContextTooLongError
from langchain_bedrock_opt.prompting.limiting import limit_context
from langchain_bedrock_opt.prompting.limiting.text import Keep

COUNT = TokenCounter().text
KEEPS: tuple[Keep, ...] = get_args(Keep)
MARKERS = ("[… omitted]", "[…省略]", "[…已省略]", "[… 생략]")
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
    "```python\n",
    "```\n",
    "~~~\n",
    "\u0600\u0661",
    "\ud83d\ude00",
    "x" * 40,
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.characters(), max_size=60).map("".join)


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
@given(text=TEXTS, budget=st.integers(1, 120), keep=st.sampled_from(KEEPS))
def test_no_character_is_taken_apart(text: str, budget: int, keep: Keep) -> None:
    """The parts that are kept are the text's own ends, cut between what a reader sees as one."""
    marker = "\x00"  # no text holds it
    text = text.replace(marker, "")
    result = limit_context(text, budget, keep=keep, marker=marker)
    if result == text or marker not in result:
        return
    head, _, tail = result.partition(marker)
    boundaries = {0, *(match.end() for match in regex.finditer(r"\X", text))}

    assert any(text[:end] == head for end in boundaries if _is_closed(head, text[:end])) or any(
        head == text[:end] + closing for end in boundaries for closing in CLOSINGS
    )
    assert any(
        tail in {opening + text[start:] for opening in OPENINGS} for start in boundaries
    )
