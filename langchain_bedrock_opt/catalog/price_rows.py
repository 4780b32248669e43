"""Rows of prices, as in `data/prices.json` and in a refreshed file, and how one is found.

A row is of one model, scope and tier. What a scope means:

* `in-region`: the bare id, served in one region.
* a profile's scope, `us`, `eu`, `jp`, …: that cross-region profile.
* `global`: the global profile.
* `regional`: the bare id and every geography's profile alike. AWS bills Claude so: one usage
  type for "regional" and one for "global", which is cheaper since Claude 4.5.
* `us-gov`: GovCloud, which has a price list of its own. No other row holds there.

Where a row holds: `regions` names the regions that were called; without it the row holds in
every region that serves the scope (Claude costs the same everywhere). The AWS Price List has a
usage type by calling region and none by geography, so a geography's profile costs what its
calling region's `in-region` row says, where there is one. What no row says for a region has no
price there: a region is never priced as another.

If the region is not known, the first row of the model, scope and tier is taken: the list price
of us-east-1, or of the first region that has the model. Without one a `us.` profile costs what
us-east-1's row says.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from langchain_bedrock_opt.catalog.model_ids import ModelId
from langchain_bedrock_opt.catalog.model_price import (
    KINDS,
    PICO_PER_TOKEN,
    ModelPrice,
    PriceLayer,
    PriceStep,
)

UNIT: Final = "USD per million tokens"
"""What a file of rows must say that its prices are in."""

GOVCLOUD: Final = "us-gov"
"""The scope of GovCloud, and how its regions start."""

EVERYWHERE: Final = "*"
"""Stands for all regions that serve a model."""

_LIST_REGION: Final = "us-east-1"
"""The region whose list price is taken where the region is not known."""

_ALONE: Final = ("global", GOVCLOUD)
"""Scopes that neither `in-region` nor `regional` rows hold for."""

_Key = tuple[str, str, str]
"""Model, scope and tier."""


class RateCard:
    """Rows of prices, compiled for looking up.

    Args:
        rows: As in `data/prices.json`.
        layer: The layer that its prices say they are from.

    Raises:
        ValueError: A row is no row, or says what another one says already.

    Example:
        >>> from langchain_bedrock_opt.catalog.model_ids import parse_model_id
        >>> card = shipped_rates()
        >>> card.find(parse_model_id("amazon.nova-lite-v1:0"), "default", "eu-west-1").input
        69000
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]], layer: PriceLayer) -> None:
        self._first: dict[_Key, ModelPrice] = {}
        self._anywhere: dict[_Key, ModelPrice] = {}
        self._by_region: dict[tuple[_Key, str], ModelPrice] = {}
        self._regions: dict[tuple[str, str], set[str]] = {}
        for row in rows:
            self._add(row, layer)

    def __len__(self) -> int:
        """How many models, scopes, tiers and regions have a price of their own."""
        return len(self._anywhere) + len(self._by_region)

    def _add(self, row: Mapping[str, Any], layer: PriceLayer) -> None:
        try:
            key = (row["model"], row["scope"], row.get("tier", "default"))
            price = read_price(row, layer)
            regions: list[str] = row.get("regions", [])
        except (KeyError, TypeError, AttributeError, InvalidOperation) as error:
            raise ValueError(f"{row!r} is not a row of prices: {error!r}") from error
        if not regions and row["scope"] == "in-region":
            raise ValueError(f"{row!r} is of single regions and names none: add regions.")
        places: list[tuple[dict[Any, ModelPrice], Any]] = [
            (self._by_region, (key, region)) for region in regions
        ] or [(self._anywhere, key)]
        for table, place in places:
            if place in table:
                raise ValueError(f"{row!r} is the second row for {place}.")
            table[place] = price
        self._first.setdefault(key, price)
        self._regions.setdefault((key[0], key[2]), set()).update(regions or {EVERYWHERE})

    def regions(self, base_model_id: str, tier: str) -> frozenset[str]:
        """Where a model has a price in a tier, whatever the profile it is called by.

        Args:
            base_model_id: A bare id.
            tier: By what a call is billed.

        Returns:
            The regions; `EVERYWHERE` among them if a row names none; nothing if there is no row.

        Example:
            >>> sorted(shipped_rates().regions("amazon.nova-pro-v1:0", "flex"))[:2]
            ['ap-northeast-1', 'ap-northeast-2']
        """
        return frozenset(self._regions.get((base_model_id, tier), ()))

    def find(self, model: ModelId, tier: str, region: str | None) -> ModelPrice | None:
        """The price of a model in a region; None if no row says it.

        Args:
            model: A parsed id that names its model.
            tier: By what the call is billed.
            region: The region that was called; None if that is not known.
        """
        if model.base is None:
            return None
        in_govcloud = region is not None and region.startswith(f"{GOVCLOUD}-")
        scope = GOVCLOUD if in_govcloud else model.scope or "in-region"
        own: _Key = (model.base, scope, tier)
        shared: _Key = (model.base, "regional", tier)
        alone = scope in _ALONE
        if region is None:
            return self._usual(own, shared, alone=alone)
        found = self._by_region.get((own, region))
        if found is None and not alone:
            found = self._by_region.get(((model.base, "in-region", tier), region))
        if found is None:
            found = self._anywhere.get(own)
        if found is None and not alone:
            found = self._anywhere.get(shared)
        return found

    def _usual(self, own: _Key, shared: _Key, *, alone: bool) -> ModelPrice | None:
        """The price where the region is not known."""
        found = self._first.get(own)
        if found is None and not alone:
            found = self._first.get(shared)
        if found is None and own[1] == "us":
            found = self._by_region.get(((own[0], "in-region", own[2]), _LIST_REGION))
        return found


def read_price(row: Mapping[str, Any], layer: PriceLayer) -> ModelPrice:
    """The price in a row.

    Raises:
        KeyError: The row lacks a field.
        ValueError: A price is not whole in pico-USD.
    """
    return ModelPrice(
        **_kinds(row),  # type: ignore[arg-type] # input and output are in each row
        steps=tuple(
            PriceStep(above=step["above"], **_kinds(step))  # type: ignore[arg-type] # likewise
            for step in sorted(row.get("steps", ()), key=lambda step: int(step["above"]))
        ),
        max_prompt_tokens=row.get("max_prompt_tokens"),
        source=row["source"],
        checked=row["checked"],
        layer=layer,
    )


def _kinds(row: Mapping[str, Any]) -> dict[str, int | None]:
    prices: dict[str, int | None] = {kind: _pico(row.get(kind)) for kind in KINDS}
    prices["input"], prices["output"] = _pico(row["input"]), _pico(row["output"])
    return prices


def _pico(usd_per_million: str | None) -> int | None:
    """`"0.25"` dollars a million tokens → 250 000 pico-dollars a token."""
    if usd_per_million is None:
        return None
    pico = Decimal(usd_per_million) * PICO_PER_TOKEN
    if pico < 0 or pico != int(pico):
        raise ValueError(f"{usd_per_million} USD a million tokens is not whole in pico-USD")
    return int(pico)


def read_rows(text: str) -> list[dict[str, Any]]:
    """The rows of a file.

    Raises:
        ValueError: The text is not such a file.
    """
    document = json.loads(text)
    if not isinstance(document, dict) or document.get("unit") != UNIT:
        raise ValueError(f"it does not say that its unit is {UNIT!r}")
    rows = document.get("prices")
    if not isinstance(rows, list) or not rows:
        raise ValueError("it has no prices")
    return rows


def read_card(path: Path, layer: PriceLayer) -> RateCard:
    """The rate card in a file.

    Raises:
        OSError: The file can't be read.
        ValueError: It is not a file of prices.
    """
    return RateCard(read_rows(path.read_text("utf-8")), layer)


def shipped_rows() -> list[dict[str, Any]]:
    """The rows that come with this package."""
    data = files("langchain_bedrock_opt.catalog") / "data" / "prices.json"
    return read_rows(data.read_text("utf-8"))


@lru_cache(maxsize=1)
def shipped_rates() -> RateCard:
    """The rate card of the rows that come with this package."""
    return RateCard(shipped_rows(), "shipped")
