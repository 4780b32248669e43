"""Prices of the user's own: how they are written, and how one is found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Final, TypeAlias

from langchain_bedrock_opt.catalog.model_ids import parse_model_id
from langchain_bedrock_opt.catalog.model_price import KINDS, PICO_PER_TOKEN, ModelPrice
from langchain_bedrock_opt.errors import ConfigurationError, ModelIdError

Amount: TypeAlias = str | int | Decimal | Fraction
"""An exact number. A float is none: 0.1 is not a tenth."""

Multiplier: TypeAlias = Amount

Overrides: TypeAlias = Mapping[str | tuple[str, str], Mapping[str, Amount] | ModelPrice]
"""Prices by model id or ARN, or by such an id and a tier."""

_WITHOUT_TIER: Final = ("default", "provisioned")
"""Tiers that an override without a tier holds for: it says what a token costs, as a rule."""


def read_multiplier(multiplier: Multiplier) -> Fraction:
    """A multiplier as an exact number.

    Raises:
        ConfigurationError: It is none, or not above 0.
    """
    number = _exact(multiplier, "multiplier")
    if number <= 0:
        raise ConfigurationError(
            f"multiplier={multiplier!r} must be above 0: it is what you pay of the list price."
        )
    return number


class OverrideTable:
    """Overrides, checked and compiled.

    Args:
        overrides: See `PriceBook`.

    Raises:
        ConfigurationError: A key or a price is wrong.
    """

    def __init__(self, overrides: Overrides) -> None:
        self._prices: dict[tuple[str, str], ModelPrice] = {}
        for key, prices in overrides.items():
            model_id, tiers = (key, _WITHOUT_TIER) if isinstance(key, str) else (key[0], key[1:])
            if not isinstance(prices, Mapping | ModelPrice):
                raise ConfigurationError(
                    f"The override for {model_id!r} is {prices!r}: give its prices, such as "
                    "{'input': '0.72', 'output': '2.88'}; by_tag= takes such overrides by tag."
                )
            price = _override(model_id, prices)
            for tier in tiers:
                # One with a tier of its own wins, whatever the order.
                if isinstance(key, str):
                    self._prices.setdefault((_name(model_id), tier), price)
                else:
                    self._prices[_name(model_id), tier] = price

    def find(self, model_id: str | None, tier: str) -> ModelPrice | None:
        """The override for a model id in a tier, if there is one."""
        if model_id is None or not self._prices:
            return None
        own = self._prices.get((model_id, tier))
        return own or self._prices.get((_name(model_id), tier))


def _name(model_id: str) -> str:
    """A profile's ARN as the profile's id; any other text as it is."""
    try:
        parsed = parse_model_id(model_id)
    except ModelIdError:
        return model_id  # somebody's gateway has names of its own
    return parsed.scoped_base or model_id


def _override(model_id: str, prices: Mapping[str, Amount] | ModelPrice) -> ModelPrice:
    if isinstance(prices, ModelPrice):
        return replace(prices, layer="override")
    unknown = prices.keys() - set(KINDS)
    if unknown or not prices.keys() >= {"input", "output"}:
        raise ConfigurationError(
            f"The override for {model_id!r} has {', '.join(sorted(prices)) or 'nothing'}: it needs "
            f"input and output ('0' for embeddings), and may have {', '.join(KINDS[2:])}, in US "
            "dollars a million tokens. Pass a ModelPrice for more."
        )
    pico = {kind: _pico(amount, f"{kind} of {model_id!r}") for kind, amount in prices.items()}
    return ModelPrice(
        input=pico["input"],
        output=pico["output"],
        cache_read=pico.get("cache_read"),
        cache_write_5m=pico.get("cache_write_5m"),
        cache_write_1h=pico.get("cache_write_1h"),
        source="override",
        checked="",
        layer="override",
    )


def _pico(amount: Amount, what: str) -> int:
    pico = _exact(amount, what) * PICO_PER_TOKEN
    if pico < 0 or pico.denominator != 1:
        raise ConfigurationError(
            f"The price {amount!r} for {what} must not be negative and be whole in millionths of "
            "a dollar a million tokens."
        )
    return int(pico)


def _exact(amount: Amount, what: str) -> Fraction:
    if not isinstance(amount, str | int | Decimal | Fraction) or isinstance(amount, bool):
        raise ConfigurationError(
            f"{what}={amount!r} is not exact: write it as text, such as '{amount}'."
        )
    try:
        return Fraction(amount)
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise ConfigurationError(f"{what}={amount!r} is not a number.") from error
