"""`PriceBook`: where prices come from, layer by layer; the first that has one wins.

1. The user's overrides, by tag, then by ARN or id.
2. A file that was refreshed from the AWS Price List.
3. The rows that come with this package.
4. genai-prices, if it is installed.
5. None: the call is counted as unpriced, never as free and never at a relative's price.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Collection, Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from langchain_bedrock_opt.catalog.model_ids import ModelId, parse_model_id
from langchain_bedrock_opt.catalog.model_price import ModelPrice
from langchain_bedrock_opt.catalog.price_overrides import (
    Multiplier,
    Overrides,
    OverrideTable,
    read_multiplier,
)
from langchain_bedrock_opt.catalog.price_rows import RateCard, read_card, shipped_rates
from langchain_bedrock_opt.errors import ConfigurationError, MissingExtraError, ModelIdError

PRICES_VARIABLE: Final = "BEDROCK_OPT_PRICES"
"""The environment variable that names a refreshed file."""

_HOURLY: Final = ModelPrice(
    input=0,
    output=0,
    cache_read=0,
    cache_write_5m=0,
    cache_write_1h=0,
    source="paid by the hour, whether it is used or not",
    checked="",
    layer="hourly",
)
_MEMO_SIZE: Final = 4096

_log = logging.getLogger(__name__)

_Question = tuple[str, str, str | None, str | None]
"""Model id, tier, region and resolved id."""


class PriceBook:
    """Prices by model, tier and region. A model that no layer knows has none.

    Args:
        overrides: Prices of the user's own, which win over every list: a model id or ARN, or such
            an id with a tier, and its prices in US dollars a million tokens, as text. Without a
            tier they hold for the default tier and for provisioned throughput. The id is the one
            that is called, with its profile's scope. Kinds that are left out have no price: a
            call that uses the prompt cache needs the cache's, or is unpriced.
        by_tag: Overrides for runs that carry a tag. The first tag that has one wins.
        multiplier: What the account pays of the list prices, such as `"0.93"` for 7 % off. Each
            price a token is rounded once, half to even, to a whole pico-dollar, so that costs
            still add up exactly. Overrides are taken as they are.
        file: A file that `refresh_prices` wrote. By default the one that the environment variable
            `BEDROCK_OPT_PRICES` names, else the one of the user's own cache folder if it is
            there; if such a file can't be read, that is logged and the book does without. None
            reads no file.
        genai_prices: Whether to ask genai-prices last; by default if it is installed.

    Raises:
        ConfigurationError: An override, the multiplier or a file that was named here is wrong.
        MissingExtraError: genai-prices is asked for and not installed.

    Example:
        >>> book = PriceBook(
        ...     {"us.amazon.nova-pro-v1:0": {"input": "0.72", "output": "2.88"}},
        ...     multiplier="0.9",
        ...     file=None,
        ... )
        >>> book.price_of("us.amazon.nova-pro-v1:0").input
        720000
        >>> book.price_of("us.amazon.nova-lite-v1:0").input
        54000
        >>> book.price_of("acme.frontier-v9") is None
        True
    """

    def __init__(
        self,
        overrides: Overrides | None = None,
        *,
        by_tag: Mapping[str, Overrides] | None = None,
        multiplier: Multiplier = 1,
        file: str | os.PathLike[str] | None = "auto",
        genai_prices: bool | None = None,
    ) -> None:
        self._overrides = OverrideTable(overrides or {})
        self._by_tag = {tag: OverrideTable(prices) for tag, prices in (by_tag or {}).items()}
        self._multiplier = read_multiplier(multiplier)
        if genai_prices and find_spec("genai_prices") is None:
            raise MissingExtraError("prices of genai-prices", "prices")
        self._genai_prices = genai_prices is not False
        refreshed = _found_card() if file == "auto" else _named_card(file)
        self._cards = (shipped_rates(),) if refreshed is None else (refreshed, shipped_rates())
        self._memo: dict[_Question, ModelPrice | None] = {}

    def price_of(
        self,
        model_id: str,
        *,
        tier: str = "default",
        region: str | None = None,
        tags: Collection[str] = (),
        resolved_id: str | None = None,
    ) -> ModelPrice | None:
        """The price of a call; None if it has none.

        Args:
            model_id: The id or ARN that was called.
            tier: By what it is billed; a `PriceTier`. Provisioned throughput costs nothing a
                token, in the layer `hourly`, unless an override says what share a token bears.
            region: The region that was called; None takes the list price of us-east-1.
            tags: Tags of the run, which an override may be about.
            resolved_id: The id that an ARN stands for, if it does not name its model.

        Example:
            >>> book = PriceBook(file=None)
            >>> book.price_of("amazon.nova-lite-v1:0", region="eu-west-1").input
            69000
            >>> book.price_of("amazon.nova-lite-v1:0", tier="batch").output
            120000
        """
        if self._by_tag:
            found = self._price_by_tag(model_id, resolved_id, tier, tags)
            if found is not None:
                return found
        question = (model_id, tier, region, resolved_id)
        try:
            return self._memo[question]
        except KeyError:
            pass
        price = self._look_up(model_id, tier, region, resolved_id)
        if len(self._memo) >= _MEMO_SIZE:
            self._memo.clear()
        self._memo[question] = price
        return price

    def regions(self, base_model_id: str, tier: str = "default") -> frozenset[str]:
        """Where price lists have a price for a model in a tier; see `RateCard.regions`.

        Overrides say what somebody pays, not what is offered: they don't count.

        Args:
            base_model_id: A bare id.
            tier: By what a call is billed; a `PriceTier`.

        Example:
            >>> "us-east-1" in PriceBook(file=None).regions("amazon.nova-pro-v1:0", "flex")
            True
        """
        return frozenset().union(*(card.regions(base_model_id, tier) for card in self._cards))

    def _price_by_tag(
        self, model_id: str, resolved_id: str | None, tier: str, tags: Collection[str]
    ) -> ModelPrice | None:
        for tag, table in self._by_tag.items():
            if tag in tags:
                price = table.find(model_id, tier) or table.find(resolved_id, tier)
                if price is not None:
                    return price
        return None

    def _look_up(
        self, model_id: str, tier: str, region: str | None, resolved_id: str | None
    ) -> ModelPrice | None:
        own = self._overrides.find(model_id, tier) or self._overrides.find(resolved_id, tier)
        if own is not None:
            return own
        if tier == "provisioned":
            return _HOURLY
        try:
            named = parse_model_id(model_id)
            model = named if resolved_id is None else parse_model_id(resolved_id)
        except ModelIdError:
            return None
        price = self._listed(model, tier, region or named.region)
        if price is None or self._multiplier == 1:
            return price
        return price.scaled(self._multiplier)

    def _listed(self, model: ModelId, tier: str, region: str | None) -> ModelPrice | None:
        for card in self._cards:
            price = card.find(model, tier, region)
            if price is not None:
                return price
        if not self._genai_prices:
            return None
        from langchain_bedrock_opt.catalog.price_genai import genai_price

        return genai_price(model, tier, region)


def default_price_file() -> Path:
    """Where `refresh_prices` writes and a `PriceBook` looks, unless told otherwise.

    It is what the environment variable `BEDROCK_OPT_PRICES` names, else a file in the user's own
    cache folder.
    """
    named = os.environ.get(PRICES_VARIABLE)
    if named:
        return Path(named)
    if sys.platform == "win32":
        cache = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    else:
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "langchain-bedrock-opt" / "prices.json"


@lru_cache(maxsize=1)
def default_prices() -> PriceBook:
    """The process's own book, without overrides.

    A refreshed file is read once, when the book is first used.
    """
    return PriceBook()


def _named_card(file: str | os.PathLike[str] | None) -> RateCard | None:
    if file is None:
        return None
    try:
        return read_card(Path(file), "refreshed")
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"file={os.fspath(file)!r} is no file of prices: {error}. Write one with "
            "`bedrock-opt prices refresh`, or pass file=None."
        ) from error


def _found_card() -> RateCard | None:
    try:
        path = default_price_file()
        if not path.exists() and PRICES_VARIABLE not in os.environ:
            return None
        return read_card(path, "refreshed")
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: there is no home folder
        _log.warning("Refreshed prices can't be read, so shipped ones are used: %s", error)
        return None
