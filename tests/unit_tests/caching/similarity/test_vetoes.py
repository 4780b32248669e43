"""Which differences forbid giving the answer to one question to another."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_bedrock_opt.caching.similarity.facts import MAX_CHARACTERS, read_facts
from langchain_bedrock_opt.caching.similarity.vetoes import veto

KEY = b"a secret of this cache"
SAMPLE = (
    "open|close|not|never|3|三人|5km|5 miles|May 3,|2026-05-03|明日|“deep work”|「東京」|A-17"
    "|v1.2.3|user_id|https://a.b/c|10:30|午後3時|15%|$5|ドル|前|後|男性|女性|食べない|ません|¼|10²"
    "|Rome|ローマ|```x=1```"
)
WORDS = st.sampled_from(SAMPLE.split("|"))
TEXTS = st.lists(WORDS, max_size=8).map(" ".join) | st.text(max_size=60)


def first_veto(one: str, other: str) -> str | None:
    return veto(read_facts(one, key=KEY), read_facts(other, key=KEY))


@pytest.mark.parametrize(
    ("one", "other", "name"),
    [
        ("Tip for 3 people", "Tip for 4 people", "numbers"),
        ("三人で行く", "四人で行く", "numbers"),
        ("What is 10²?", "What is 102?", "numbers"),
        ("15% of 80", "15 of 80", "numbers"),
        ("It is -5 outside", "It is 5 outside", "numbers"),
        ("Book for two hundred guests", "Book for two thousand guests", "numbers"),
        ("３万円の予算", "5万円の予算", "numbers"),
        ("Add the eggs", "Add the 2 eggs", "numbers"),
        ("Meet on May 3", "Meet on May 4", "dates"),
        ("Meet on 2026-05-03", "Meet on 2025-05-03", "dates"),
        ("Open on Monday?", "Open on Tuesday?", "dates"),
        ("月曜日は開いていますか", "火曜日は開いていますか", "dates"),
        ("明日の天気", "昨日の天気", "dates"),
        ("Call at 5pm", "Call at 5am", "dates"),
        ("午前9時に始まる", "午後9時に始まる", "dates"),
        ("Weather tomorrow?", "Weather?", "dates"),
        ("Run 5 km", "Run 5 miles", "units"),
        ("体温は38度、摂氏です", "体温は38度、華氏です", "units"),
        ("Pay in dollars", "Pay in euros", "units"),
        ("Where is order AB-123?", "Where is order AB-124?", "ids"),
        ("What does max_tokens do?", "What does top_p do?", "ids"),
        ("Read https://a.example/x", "Read https://a.example/y", "ids"),
        ("Upgrade to 1.2.3", "Upgrade to 1.2.4", "ids"),
        ("Fix ```f(1)```", "Fix ```f(2)```", "ids"),
        ('Who wrote "Emma"?', 'Who wrote "Persuasion"?', "quotes"),
        ("「走る」の意味", "「歩む」の意味", "quotes"),
        ("Can I pay late?", "Can't I not pay late?  I can't", "negation"),
        ("Which drugs are safe?", "Which drugs aren't safe?", "negation"),
        ("Rooms with a bath", "Rooms without a bath", "negation"),
        ("卵は食べられる", "卵は食べられない", "negation"),
        ("会員です", "会員ではありません", "negation"),
        ("朝食なしの部屋", "朝食付きの部屋", "negation"),
        ("How do I open an account?", "How do I close an account?", "opposites"),
        ("Before the meal", "After the meal", "opposites"),
        ("Turn on the heating", "Turn off the heating", "opposites"),
        ("株を買うべきか", "株を売るべきか", "opposites"),
        ("食事の前に飲む", "食事の後に飲む", "opposites"),
        ("A man is singing", "A woman is singing", "opposites"),
        ("What is the capital of Peru?", "ペルーの首都はどこですか", "script"),
    ],
)
def test_other_meanings_are_vetoed(one: str, other: str, name: str) -> None:
    """Numbers, dates, units, ids, quotations, denial, opposites and script forbid reuse."""
    assert first_veto(one, other) == name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Tip for 3 people", "Tip for three people"),
        ("三人で二万五千円", "3人で25,000円"),
        ("1,500.50 dollars", "$1500.5"),
        ("The 21st floor, 5K run", "Floor 21, a run of 5,000"),
        ("Meet on May 3, 2026", "Meet on 2026-05-03"),
        ("2026年5月3日に会う", "2026/5/3に会う"),
        ("It starts at 17:00", "It starts at 5 p.m."),
        ("午後3時半から", "15:30から"),
        ("Run 5km", "Run 5 kilometres"),
        ("Open on Mondays?", "Is it open on Monday?"),
        ("Weather today?", "Weather?"),
        ('Who wrote "Emma"?', "Who wrote Emma?"),
        ("It's not only cheap", "It is cheap"),
        ("I can't log in", "I am unable to log in"),
        ("教えていただけませんか", "教えてください"),
        ("支払わなければなりませんか", "支払う必要がありますか"),
        ("必ず行くかもしれない", "必ず行く"),
        ("Which is the best one?", "Which is best?"),
        ("一緒に行く", "共に行く"),
        ("十分に寝る", "たっぷり寝る"),
        ("上海へ行く", "下関へ行く"),
        ("Book a room", "Reserve a room"),
    ],
)
def test_one_meaning_in_other_words_is_not_vetoed(one: str, other: str) -> None:
    """Numbers, dates and negations count by what they say, and not by how they are written."""
    assert first_veto(one, other) is None


def test_order_of_words_is_no_veto() -> None:
    """Who does what to whom is left to features: true paraphrases change the order as well."""
    assert first_veto("A dog bites a cyclist", "A cyclist bites a dog") is None
    assert first_veto("学生が警官を追う", "警官が学生を追う") is None


def test_long_texts_that_differ_late_are_vetoed() -> None:
    """What is past the part that was read is never taken for equal."""
    long = "word " * MAX_CHARACTERS

    assert first_veto(long, long) is None
    assert first_veto(long + "yes", long + "no") == "length"
    assert first_veto(long, long[:MAX_CHARACTERS]) == "length"


@settings(deadline=None)  # the first text compiles the word lists
@given(TEXTS, TEXTS)
def test_vetoes_are_symmetric(one: str, other: str) -> None:
    """It does not matter which of two questions was asked first."""
    assert first_veto(one, other) == first_veto(other, one)


@settings(deadline=None)  # the first text compiles the word lists
@given(TEXTS)
def test_no_text_has_a_veto_against_itself(text: str) -> None:
    """Whatever a text says, it says the same again."""
    assert first_veto(text, text) is None
