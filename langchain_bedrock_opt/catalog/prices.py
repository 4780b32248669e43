"""What tokens cost, as data: `data/prices.json`, one dated row a model, scope and tier.

Money is whole pico-dollars (10⁻¹² USD), since published prices per token are not whole
nano-dollars. A model without a row of its own has no price: it is never priced as a relative.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files
from typing import Final

from langchain_bedrock_opt.catalog.model_ids import ModelIdKind, parse_model_id
from langchain_bedrock_opt.contracts import TokenUsage
from langchain_bedrock_opt.errors import ModelIdError

PICO_PER_USD: Final = 10**12
"""Pico-dollars in a dollar."""

_PICO_PER_TOKEN: Final = Decimal(10**6)
"""Pico-dollars a token for each dollar a million tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPrice:
    """Prices of one model in one scope and service tier, in pico-USD a token.

    A kind that the model does not have (most have no prompt cache) is None; a call that spends
    such tokens all the same has no known cost.

    Attributes:
        source: Where the row comes from.
        checked: The date it was checked, ISO 8601.
    """

    input: int
    output: int
    cache_read: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    source: str
    checked: str

    def cost(self, usage: TokenUsage) -> int | None:
        """The cost of a call in pico-USD, exact; None if it spent tokens without a price.

        Example:
            >>> price = ModelPrice(input=1_000_000, output=5_000_000, source="", checked="")
            >>> price.cost(TokenUsage(input=1000, output=200))
            2000000000
            >>> price.cost(TokenUsage(cache_read=1)) is None
            True
        """
        total = usage.input * self.input + usage.output * self.output
        for tokens, price in (
            (usage.cache_read, self.cache_read),
            (usage.cache_write_5m, self.cache_write_5m),
            (usage.cache_write_1h, self.cache_write_1h),
        ):
            if tokens:
                if price is None:
                    return None
                total += tokens * price
        return total


@lru_cache(maxsize=1)
def _prices() -> Mapping[tuple[str, str, str], ModelPrice]:
    document = json.loads((files(__package__) / "data" / "prices.json").read_text("utf-8"))
    return {
        (row["model"], row["scope"], row.get("tier", "default")): ModelPrice(
            **{kind: _pico(row.get(kind)) for kind in _KINDS},  # type: ignore[arg-type]
            source=row["source"],
            checked=row["checked"],
        )
        for row in document["prices"]
    }


_KINDS: Final = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")


def _pico(usd_per_million: str | None) -> int | None:
    """`"0.25"` dollars a million tokens → 250 000 pico-dollars a token."""
    if usd_per_million is None:
        return None
    pico = Decimal(usd_per_million) * _PICO_PER_TOKEN
    if pico != int(pico):
        raise ValueError(f"{usd_per_million} USD a million tokens is not whole in pico-USD")
    return int(pico)


@lru_cache(maxsize=4096)
def price_of(model_id: str, *, tier: str = "default") -> ModelPrice | None:
    """The price of the model behind an id, or None if no row says it.

    Args:
        model_id: The id that was called, with its scope: `global.` and regional profiles and
            bare ids may have different prices.
        tier: The service tier that served the call: `default`, `flex` or `priority`.

    Example:
        >>> price_of("anthropic.claude-3-haiku-20240307-v1:0").input  # $0.25 a million
        250000
        >>> price_of("acme.frontier-v9") is None
        True
    """
    try:
        parsed = parse_model_id(model_id)
    except ModelIdError:
        return None
    if parsed.base is None:
        return None
    prices = _prices()
    # A row for the very scope wins over one that holds for every geography ("regional").
    for scope in (_scope(parsed.scope, parsed.kind), "regional"):
        if (found := prices.get((parsed.base, scope, tier))) is not None:
            return found
        if scope == "global":
            return None
    return None


def _scope(scope: str | None, kind: ModelIdKind) -> str:
    if scope is not None:
        return scope
    return "in-region" if kind is ModelIdKind.FOUNDATION_MODEL else "regional"


def usd(pico_usd: int) -> Decimal:
    """Pico-dollars as dollars, exact.

    Example:
        >>> usd(2_000_000_000)
        Decimal('0.002')
    """
    return (Decimal(pico_usd) / PICO_PER_USD).normalize()
