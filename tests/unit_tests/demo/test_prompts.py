"""The demo workload as its reader finds it: complete, varied, marked up truthfully, publishable."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from importlib.resources import files
from typing import TypeAlias

import pytest

import langchain_bedrock_opt.demo

Row: TypeAlias = dict[str, str]

KINDS = {
    "analysis",
    "chat",
    "classification",
    "code",
    "comparison",
    "design",
    "extraction",
    "faq",
    "legal",
    "math",
    "planning",
    "question",
    "reasoning",
    "sql",
    "summarization",
    "support",
    "translation",
    "writing",
}
RESERVED_MAIL = re.compile(r"@example\.(com|org|net|jp)\b")  # RFC 2606, and JPRS's for .jp
KANA = re.compile("[\u3040-\u30ff\uff66-\uff9f]")  # full-width and half-width


def folded(prompt: str) -> str:
    """What is left of a prompt when widths and white space no longer count."""
    return " ".join(unicodedata.normalize("NFKC", prompt).split())


@pytest.fixture(scope="module")
def text() -> str:
    return (files(langchain_bedrock_opt.demo) / "prompts.jsonl").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def rows(text: str) -> list[Row]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def earlier(rows: list[Row]) -> dict[str, dict[str, Row]]:
    """For each id, the rows that arrived before it."""
    return {row["id"]: {r["id"]: r for r in rows[:i]} for i, row in enumerate(rows)}


def test_a_person_can_read_the_file_as_it_is(text: str, rows: list[Row]) -> None:
    """Every line is one JSON object with its characters written out, not escaped."""
    assert text == "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def test_the_day_has_the_promised_length(rows: list[Row]) -> None:
    """A demo run makes between 200 and 230 requests."""
    assert 200 <= len(rows) <= 230


def test_ids_follow_the_order_of_arrival(rows: list[Row]) -> None:
    """Ids are unique and count up from d001 without a gap."""
    assert [row["id"] for row in rows] == [f"d{n:03d}" for n in range(1, len(rows) + 1)]


def test_a_row_has_the_documented_fields_only(rows: list[Row]) -> None:
    """A row has the four fields of the card, and refers back in at most one way."""
    for row in rows:
        extra = row.keys() - {"id", "lang", "kind", "prompt"}
        assert len(row) - len(extra) == 4, row["id"]
        assert extra in (set(), {"repeat_of"}, {"rephrases"}), row["id"]


def test_japanese_and_english_share_the_day(rows: list[Row]) -> None:
    """Japanese and English have about half each, other languages a few percent together."""
    shares = {lang: n / len(rows) for lang, n in Counter(row["lang"] for row in rows).items()}
    assert shares.keys() == {"ja", "en", "ko", "zh", "es", "de", "fr"}
    assert 0.45 <= shares["ja"] <= 0.52
    assert 0.45 <= shares["en"] <= 0.52
    assert 0.02 <= 1 - shares["ja"] - shares["en"] <= 0.05


def test_what_is_labelled_japanese_is_japanese(rows: list[Row]) -> None:
    """Every prompt labelled `ja` is written with kana."""
    assert [
        row["id"] for row in rows if row["lang"] == "ja" and not KANA.search(row["prompt"])
    ] == []


def test_kinds_come_from_a_closed_set(rows: list[Row]) -> None:
    """A report by kind finds every kind of the set, and no other."""
    assert {row["kind"] for row in rows} == KINDS


def test_no_prompt_is_blank(rows: list[Row]) -> None:
    """Bedrock would refuse a blank text, so there is none."""
    assert [row["id"] for row in rows if not row["prompt"].strip()] == []


def test_a_repeat_is_the_same_request(rows: list[Row], earlier: dict[str, dict[str, Row]]) -> None:
    """A repeat equals the earlier row it names up to Unicode width and white space."""
    for row in rows:
        if "repeat_of" in row:
            first = earlier[row["id"]][row["repeat_of"]]
            assert "repeat_of" not in first, row["id"]
            assert folded(row["prompt"]) == folded(first["prompt"]), row["id"]
            assert (row["lang"], row["kind"]) == (first["lang"], first["kind"]), row["id"]


def test_every_repeat_is_marked(rows: list[Row]) -> None:
    """Without the marked repeats no request occurs twice, so the marks tell the possible hits."""
    counts = Counter(folded(row["prompt"]) for row in rows if "repeat_of" not in row)
    assert [prompt for prompt, n in counts.items() if n > 1] == []


def test_a_rephrasing_uses_other_words(rows: list[Row], earlier: dict[str, dict[str, Row]]) -> None:
    """A rephrasing asks for what an earlier row asked, in the same language and other words."""
    for row in rows:
        if "rephrases" in row:
            first = earlier[row["id"]][row["rephrases"]]
            assert not first.keys() & {"repeat_of", "rephrases"}, row["id"]
            assert folded(row["prompt"]) != folded(first["prompt"]), row["id"]
            assert (row["lang"], row["kind"]) == (first["lang"], first["kind"]), row["id"]


def test_few_requests_come_often_and_most_come_once(rows: list[Row]) -> None:
    """The requests have a head asked three to eight times and a long tail asked once."""
    repeats = Counter(row["repeat_of"] for row in rows if "repeat_of" in row)
    asked = [n + 1 for n in repeats.values()]
    assert max(asked) == 8
    assert sum(n >= 3 for n in asked) >= 8
    assert len(repeats) < len(rows) / 10


def test_repeats_come_exact_and_in_other_widths(rows: list[Row]) -> None:
    """Some repeats need no folding, others match only once width and white space are folded."""
    prompts = {row["id"]: row["prompt"] for row in rows}
    exact = Counter(
        row["prompt"] == prompts[row["repeat_of"]] for row in rows if "repeat_of" in row
    )
    assert exact[True] >= 20
    assert exact[False] >= 8


def test_some_requests_bring_long_context(rows: list[Row]) -> None:
    """A few prompts in each language paste more than 1,500 characters, none more than 4,000."""
    long = Counter(row["lang"] for row in rows if len(row["prompt"]) > 1500)
    assert long["ja"] >= 3
    assert long["en"] >= 3
    assert max(len(row["prompt"]) for row in rows) <= 4000


def test_most_requests_are_short(rows: list[Row]) -> None:
    """At least four in ten requests are one-liners, as in a chat window."""
    short = [row for row in rows if len(row["prompt"]) <= 80]
    assert len(short) >= 0.4 * len(rows)


def test_nothing_in_it_reaches_a_real_person(rows: list[Row]) -> None:
    """Mail addresses are at reserved domains, and there is no web address or phone number."""
    for row in rows:
        rest = RESERVED_MAIL.sub("", row["prompt"])
        assert not re.search(r"\w@\w+\.\w", rest), row["id"]
        assert not re.search(r"(https?|ftp)://|www\.", rest), row["id"]
        assert not re.search(r"\b0\d{1,4}-\d{1,4}-\d{3,4}\b|\+\d{1,3}[ -]\d{2}", rest), row["id"]


def test_the_card_says_where_the_prompts_come_from() -> None:
    """Whoever wants to reuse the prompts finds their origin and licence in the package."""
    card = " ".join(str(langchain_bedrock_opt.demo.__doc__).split())
    assert "All prompts were written for this package" in card
    assert "MIT licence" in card
