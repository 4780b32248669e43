"""Published prices, each with its source and date, met to the pico-dollar.

`golden_prices.csv` is written from the sources it names and never from our own rows. An empty
cell says nothing; a row with `prompt_above` is about prompts longer than that. `agrees` names the
data sets that say the same.
"""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path

import pytest

from langchain_bedrock_opt.catalog.model_price import KINDS, ModelPrice, PriceStep
from langchain_bedrock_opt.catalog.price_book import PriceBook

Row = dict[str, str]

with (Path(__file__).parent / "golden_prices.csv").open(encoding="utf-8", newline="") as file:
    ROWS = list(csv.DictReader(file))

BOOK = PriceBook(file=None, genai_prices=False)


def _name(row: Row) -> str:
    return "-".join(row[name] or "any" for name in ("model_id", "tier", "region", "prompt_above"))


@pytest.mark.parametrize("row", ROWS, ids=_name)
def test_a_published_price_is_met_exactly(row: Row) -> None:
    """A price is the published one, for its model, scope, tier, region and length of prompt."""
    price = BOOK.price_of(row["model_id"], tier=row["tier"], region=row["region"] or None)
    assert price is not None
    rates: ModelPrice | PriceStep = price
    if row["prompt_above"]:
        rates = next(step for step in price.steps if step.above == int(row["prompt_above"]))
    published = {kind: int(Decimal(row[kind]) * 10**6) for kind in KINDS if row[kind]}
    assert {kind: getattr(rates, kind) for kind in published} == published


def test_the_table_covers_what_prices_depend_on() -> None:
    """There are 150 rows or more, of all tiers, many regions, 1-hour writes and long prompts."""
    assert len(ROWS) >= 150
    assert {row["tier"] for row in ROWS} == {
        "default",
        "batch",
        "flex",
        "priority",
        "latency-optimized",
    }
    assert len({row["region"] for row in ROWS}) > 15
    assert sum(bool(row["cache_write_1h"]) for row in ROWS) > 10
    assert sum(bool(row["prompt_above"]) for row in ROWS) > 10
    assert all(row["source"] and row["date"] for row in ROWS)
