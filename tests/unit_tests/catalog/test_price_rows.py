"""Rows of prices: what they must say, and what they hold for."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest

from langchain_bedrock_opt.catalog.model_ids import parse_model_id
from langchain_bedrock_opt.catalog.price_rows import RateCard, read_rows, shipped_rates

ROW = {
    "model": "acme.one-v1:0",
    "scope": "in-region",
    "regions": ["us-east-1"],
    "input": "1",
    "output": "2",
    "source": "test",
    "checked": "2026-11-23",
}


def row(**changes: Any) -> dict[str, Any]:
    changed = {**ROW, **changes}
    return {name: value for name, value in changed.items() if value is not None}


def price(card: RateCard, model_id: str, region: str | None = None) -> int | None:
    found = card.find(parse_model_id(model_id), "default", region)
    return None if found is None else found.input // 10**6


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row(input=None)], "is not a row"),
        ([row(input="one")], "is not a row"),
        ([row(input="0.0000001")], "not whole in pico-USD"),
        ([row(input="-1")], "not whole in pico-USD"),
        ([row(regions=None)], "names none: add regions"),
        ([row(), row(output="3")], "second row"),
        ([row(scope="us", regions=None), row(scope="us", regions=None)], "second row"),
        ([row(steps=[{"input": "2", "output": "3"}])], "is not a row"),
    ],
)
def test_a_wrong_row_is_refused(rows: list[dict[str, Any]], message: str) -> None:
    """A row that can't be read or says something twice is told, rather than half used."""
    with pytest.raises(ValueError, match=message):
        RateCard(rows, "shipped")


def test_a_profile_costs_what_its_calling_region_lists() -> None:
    """The list has no usage type by geography: a profile is billed where it is called from."""
    card = RateCard(
        [
            row(),
            row(regions=["eu-west-1"], input="3"),
            row(scope="us", regions=None, input="1"),
            row(scope="global", regions=None, input="5"),
        ],
        "shipped",
    )
    assert price(card, "eu.acme.one-v1:0", "eu-west-1") == 3
    assert price(card, "eu.acme.one-v1:0", "eu-west-2") is None
    assert price(card, "global.acme.one-v1:0", "eu-west-1") == 5
    assert price(card, "us.acme.one-v1:0", "us-west-2") == 1


def test_a_row_for_the_very_scope_and_region_comes_first() -> None:
    """What is said of a profile in a region wins over what is said of the region."""
    card = RateCard(
        [row(), row(scope="us", input="7"), row(scope="regional", regions=None)], "shipped"
    )
    assert price(card, "us.acme.one-v1:0", "us-east-1") == 7
    assert price(card, "us.acme.one-v1:0", "us-west-2") == 1


def test_govcloud_has_prices_of_its_own() -> None:
    """No commercial row holds in GovCloud, nor the other way round."""
    card = RateCard(
        [
            row(scope="regional", regions=None),
            row(scope="us-gov", regions=["us-gov-west-1"], input="9"),
        ],
        "shipped",
    )
    assert price(card, "acme.one-v1:0", "us-gov-west-1") == 9
    assert price(card, "acme.one-v1:0", "us-gov-east-1") is None
    assert price(card, "us-gov.acme.one-v1:0") == 9
    assert price(card, "acme.one-v1:0", "eu-west-1") == 1


def test_without_a_region_the_first_row_is_taken() -> None:
    """The list price of us-east-1 stands first, and a us profile takes it too."""
    card = RateCard([row(), row(regions=["us-west-1"], input="2")], "shipped")
    assert price(card, "acme.one-v1:0") == 1
    assert price(card, "us.acme.one-v1:0") == 1
    assert price(card, "eu.acme.one-v1:0") is None


@pytest.mark.parametrize("text", ["{}", "[]", '{"unit": "EUR", "prices": [1]}'])
def test_a_file_of_something_else_is_refused(text: str) -> None:
    """A file must say that it holds dollars a million tokens."""
    with pytest.raises(ValueError, match="unit"):
        read_rows(text)


def test_steps_are_put_in_order() -> None:
    """A row may list its steps in any order."""
    steps = [{"above": 9, "input": "4", "output": "4"}, {"above": 5, "input": "2", "output": "2"}]
    card = RateCard([row(steps=steps)], "shipped")
    found = card.find(parse_model_id("acme.one-v1:0"), "default", None)
    assert found is not None
    assert [step.above for step in found.steps] == [5, 9]


def test_the_shipped_file_is_one_line_a_row() -> None:
    """A changed price is a changed line, so that a review sees it."""
    text = (files("langchain_bedrock_opt.catalog") / "data" / "prices.json").read_text("utf-8")
    rows = read_rows(text)
    assert len(text.splitlines()) == len(rows) + 5
    assert json.loads(text)["prices"] == rows
    assert len(shipped_rates()) >= len(rows)
