"""The forms in which people have labelled prompts, and what is said of rows that are wrong."""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.prompt_values import StringPromptValue

from langchain_bedrock_opt.contracts import RouteDecision, UsageRecord
from langchain_bedrock_opt.errors import CalibrationError, ConfigurationError
from langchain_bedrock_opt.routing import ChatBedrockRouter, Example, Tier
from langchain_bedrock_opt.routing.learning.examples import Cases, read_examples
from langchain_bedrock_opt.routing.learning.labels import by_run

Labelled = Callable[..., list[dict[str, Any]]]
TIERS = (Tier(name="small", model_id="acme.small-v1"), Tier(name="large", model_id="acme.large-v1"))


def read(*rows: Any, scale: Any = None) -> Cases:
    return read_examples(rows, TIERS, scale=scale)


def outcome(row: Any, scale: Any = None) -> dict[str, float]:
    """The labels by tier of one row."""
    [case] = read(row, scale=scale).cases
    return dict(case.outcomes)


# --- Labels ---


@pytest.mark.parametrize(
    "good",
    [True, 1, 1.0, "1", "true", "Yes", " GOOD ", "correct", "up", "thumbs up", "👍🏽", "正解", "○"],
)
def test_good_answers_are_known_by_many_words(good: Any) -> None:
    """Booleans, numbers and words in English and Japanese mean a good answer."""
    assert outcome({"prompt": "Hi", "label": good}) == {"small": 1.0}


@pytest.mark.parametrize(
    "bad", [False, 0, "0.0", "FALSE", "no", "Bad", "wrong", "down", "👎", "不正解", "×", "いいえ"]
)
def test_and_so_are_bad_ones(bad: Any) -> None:
    """Their opposites mean a bad answer."""
    assert outcome({"prompt": "Hi", "label": bad}) == {"small": 0.0}


@pytest.mark.parametrize("column", ["label", "correct", "rating", "grade", "score", "thumbs"])
@pytest.mark.parametrize("prompt", ["prompt", "messages", "question", "text", "input"])
def test_columns_have_the_names_that_people_give_them(prompt: str, column: str) -> None:
    """A prompt and its label are found under any of their usual names."""
    assert outcome({prompt: "Hi", column: "0.25"}) == {"small": 0.25}


def test_ratings_are_put_on_their_scale() -> None:
    """A scale says what the worst and the best answer get, in either order; words need none."""
    assert outcome({"prompt": "Hi", "rating": 4}, (1, 5)) == {"small": 0.75}
    assert outcome({"prompt": "Hi", "rating": "2"}, (6, 1)) == {"small": 0.8}
    assert outcome({"prompt": "Hi", "rating": "yes"}, (1, 5)) == {"small": 1.0}


def test_a_rating_off_the_scale_says_what_was_seen() -> None:
    """Numbers outside of 0 to 1 are refused with their range, and how to give the scale."""
    rows = [
        {"prompt": "a", "rating": 1},
        {"prompt": "b", "rating": 5},
        {"prompt": "c", "rating": 2},
    ]

    with pytest.raises(ConfigurationError, match=r"Row 2.*label 5.*from 1 to 5.*scale=\(1, 5\)"):
        read(*rows)
    with pytest.raises(ConfigurationError, match=r"Row 2.*label 5 is not from 0 to 3"):
        read(*rows, scale=(0, 3))


@pytest.mark.parametrize("scale", [3, (1,), (2, 2), (0, math.inf), ("a", "b")])
def test_a_scale_is_two_numbers(scale: Any) -> None:
    """Anything else is refused with its value."""
    with pytest.raises(ConfigurationError, match="scale="):
        read({"prompt": "Hi", "rating": 1}, scale=scale)


# --- Tiers ---


@pytest.mark.parametrize(
    ("row", "outcomes"),
    [
        ({"label": 1, "tier": "large"}, {"large": 1.0}),
        ({"label": 1, "tier": "acme.large-v1"}, {"large": 1.0}),
        ({"small": 0, "large": 1}, {"small": 0.0, "large": 1.0}),
        ({"acme.small-v1": "no", "large": ""}, {"small": 0.0}),
        ({"outcomes": {"small": 0.5, "acme.large-v1": True}}, {"small": 0.5, "large": 1.0}),
    ],
)
def test_labels_are_of_the_tiers_they_name(row: dict[str, Any], outcomes: dict[str, float]) -> None:
    """A tier is named in a column of its own, as a column's name, or in `outcomes`."""
    assert outcome({"prompt": "Hi", **row}) == outcomes


def test_rows_of_one_prompt_are_one_case() -> None:
    """A prompt's labels are put together, and several of one tier are averaged."""
    found = read(
        Example("Hi", label=True),
        Example([("human", "Hi")], label=False),
        Example(StringPromptValue(text="Hi"), tier="large", label=1),
        Example("Bye", label=False),
    )

    assert [case.outcomes for case in found.cases] == [{"small": 0.5, "large": 1.0}, {"small": 0.0}]
    assert found.labels == 4


def test_the_same_question_with_another_background_is_another_prompt_of_the_same_fold() -> None:
    """What was asked twice is never on both sides of cross-validation."""
    found = read(
        Example([("system", "Be brief."), HumanMessage("Why?")], label=1),
        Example([("system", "Be long."), HumanMessage("Why?")], label=0),
    )

    first, second = found.cases
    assert first.key == second.key


def test_rows_without_a_label_are_left_out_and_counted() -> None:
    """An empty cell, None and NaN are no labels."""
    rows = [{"prompt": str(n), "label": none} for n, none in enumerate((None, "", math.nan, "NaN"))]

    found = read(*rows, {"prompt": "x"}, {"prompt": "Hi", "label": 1})

    assert (len(found.cases), found.left_out) == (1, 5)


# --- Wrong rows ---


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"label": 1}, "Row 2 has no prompt: put it under one of prompt, messages"),
        ({"prompt": "", "label": 1}, "Row 2 has no prompt"),
        ({"prompt": 7, "label": 1}, "Row 2: the prompt can't be read"),
        ({"messages": [{"role": "human"}], "label": 1}, "Row 2: the prompt can't be read"),
        ({"prompt": "Hi", "label": "perhaps"}, "Row 2, tier 'small': label 'perhaps' is neither"),
        ({"prompt": "Hi", "label": [1]}, r"Row 2, tier 'small': label \[1\]"),
        ({"prompt": "Hi", "label": math.inf}, "Row 2.*not a finite number"),
        (
            {"prompt": "Hi", "label": 1, "tier": "huge"},
            r"Row 2: 'huge' is none of the tiers 'small'",
        ),
        ({"prompt": "Hi", "outcomes": [1]}, "Row 2: outcomes is list"),
        (Example("Hi", outcomes=[1]), "Row 2: outcomes is list"),  # type: ignore[arg-type]
        ("prompt", "Row 2 is str: give mappings or Examples"),
    ],
)
def test_a_malformed_row_is_named_with_the_fix(row: Any, message: str) -> None:
    """The error has the row's number, one line, and says what to do."""
    with pytest.raises(ConfigurationError, match=message) as raised:
        read({"prompt": "Hello", "label": 1}, row)

    assert "\n" not in str(raised.value)


def test_a_wrong_label_that_is_a_text_is_not_shown() -> None:
    """Prompt text that got into the label's column does not get into logs."""
    with pytest.raises(ConfigurationError) as raised:
        read({"prompt": "Hi", "label": "My secret question about my health and wealth"})

    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("examples", [7, None, {"prompt": "Hi"}, b"x"])
def test_something_else_is_refused(examples: Any) -> None:
    """What holds no rows is refused with the forms there are."""
    with pytest.raises(ConfigurationError, match="give a path to JSON lines or CSV"):
        read_examples(examples, TIERS)


def test_labels_go_with_records() -> None:
    """`labels=` beside rows with prompts is refused."""
    with pytest.raises(ConfigurationError, match="Row 1 is dict, not a usage record"):
        read_examples([{"prompt": "Hi"}], TIERS, labels={"run": 1})


# --- Files ---


def write_csv(path: Path, rows: list[dict[str, Any]], encoding: str = "utf-8") -> Path:
    with path.open("w", encoding=encoding, newline="") as file:
        table = csv.DictWriter(file, [*rows[0]])
        table.writeheader()
        table.writerows(rows)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.csv", "a.JSONL.gz", "a.csv.gz"])
def test_a_file_of_any_kind_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    """JSON lines and CSV, compressed or not, with texts in any script."""
    rows = [
        {"prompt": "日本の首都は?\u2028はい", "label": "yes"},
        {"prompt": 'He said "a,\nb"', "label": "0.5"},
    ]
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n\n"
    path = tmp_path / name
    if "csv" in name:
        write_csv(path, rows, "utf-8-sig")
    else:
        path.write_text(lines, "utf-8")
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(path.read_bytes()))

    found = read_examples(str(path), TIERS)

    assert [case.prompt for case in found.cases] == [row["prompt"] for row in rows]
    assert [case.outcomes["small"] for case in found.cases] == [1.0, 0.5]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"Hi", r"give a file of JSON lines \(.jsonl\) or CSV"),
        ("a.jsonl", b'{"prompt": "Hi"}\n{"prompt"', r"a\.jsonl, line 2: this is no JSON"),
        ("a.jsonl", b"[1]", r"line 1: this is a list: put one object such as"),
        ("a.jsonl", b'{"prompt": "\xff"}', r"byte 12 is not UTF-8"),
        ("a.csv", b"prompt,label\nHi,1,2\n", r"row 1: more cells than the header"),
        ("a.csv", b'prompt,label\n"Hi,1\n', r"this is no CSV"),
        ("a.csv.gz", b"prompt,label", r"can't be read: Not a gzipped file"),
        ("a.jsonl.gz", gzip.compress(b'{"prompt": "Hi"}', mtime=0)[:-9], r"can't be read"),
    ],
)
def test_a_broken_file_is_named_with_the_place(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    """The error has the path and where in it the trouble is."""
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(ConfigurationError, match=message):
        read_examples(path, TIERS)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A path with nothing there fails with the path."""
    with pytest.raises(ConfigurationError, match=r"none\.csv can't be read"):
        read_examples(tmp_path / "none.csv", TIERS)


def test_long_prompts_and_cut_characters_do_no_harm(
    router: ChatBedrockRouter, labelled: Labelled, tmp_path: Path
) -> None:
    """A megabyte of prompt and half a surrogate pair are learned from like others."""
    rows = labelled(150)
    rows[3]["prompt"] += " \ud83d"
    rows[5]["prompt"] = "Tell the zorble " + "very " * 200_000 + "hello."
    limit = csv.field_size_limit()
    lines = tmp_path / "rows.jsonl"
    lines.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    rows[3]["prompt"] = rows[3]["prompt"][:-1]
    table = write_csv(tmp_path / "rows.csv", rows)

    assert router.calibrate(lines, quality=0.9).prompts == 150
    assert router.calibrate(table, quality=0.9).prompts == 150
    assert csv.field_size_limit() == limit


# --- What people have in hand ---


def test_a_label_of_its_own_and_one_of_a_tier_stand_beside_each_other() -> None:
    """`correct` is the cheapest tier's, and the stronger tier's column does not push it out."""
    cases = read_examples([{"prompt": "Hi", "correct": False, TIERS[-1].name: True}], TIERS).cases

    assert cases[0].outcomes == {TIERS[0].name: 0.0, TIERS[-1].name: 1.0}


@pytest.mark.parametrize("shape", ["lc_run--{}-0", "run-{}-0", "{}", "uuid"])
def test_labels_go_by_whatever_id_of_the_run_is_in_hand(shape: str) -> None:
    """A message's id, a UUID and its text all name the run."""
    run_id = "01890a5d-ac96-774b-bcce-b302099a8057"
    key = UUID(run_id) if shape == "uuid" else shape.format(run_id)

    assert by_run({key: "👍"}) == {run_id: "👍"}


def test_labels_of_other_runs_are_told_from_too_few() -> None:
    """Where no label fits, the error shows what a run id looks like."""
    decision = RouteDecision(tier=TIERS[0].name, model_id="m", score=0.2)
    record = UsageRecord(
        run_id="01890a5d",
        started_at=datetime.now(timezone.utc),
        model_id="m",
        status="ok",
        route=decision,
    )

    with pytest.raises(CalibrationError, match=r"None of 1 labels .* such as '01890a5d'"):
        read_examples([record], TIERS, labels={"other": True})


def test_a_column_of_another_name_is_told() -> None:
    """Where no row has a label, the error says which columns there are."""
    with pytest.raises(CalibrationError, match="The first one has: prompt, ok"):
        read_examples([{"prompt": "Hi", "ok": True}], TIERS)
    with pytest.raises(CalibrationError, match="There are no examples"):
        read_examples([], TIERS)


def test_messages_in_a_cell_are_read_as_messages() -> None:
    """CSV holds texts only: JSON under `messages` is a conversation."""
    row = {"messages": '[{"role": "user", "content": "Hi"}]', "correct": "yes"}

    same = read_examples([{"prompt": [("human", "Hi")], "correct": True}], TIERS)
    assert read_examples([row], TIERS).cases[0].key == same.cases[0].key
    with pytest.raises(ConfigurationError, match="neither a text nor JSON"):
        read_examples([{**row, "messages": "[not JSON"}], TIERS)
