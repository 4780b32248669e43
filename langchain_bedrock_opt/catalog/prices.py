"""What tokens cost, as data: `data/prices.json`, one dated row a model, scope and tier.

Money is whole pico-dollars (10⁻¹² USD), since published prices per token are not whole
nano-dollars. A model without a row of its own has no price: it is never priced as a relative,
and no price is worked out from another scope's or tier's by a factor.

What a row's scope means:

* `in-region`: the bare id, served in one region. The row is the list price of us-east-1 (or of
  the first region that has the model); other regions may charge more.
* a profile's scope, `us`, `eu`, `jp`, …: that cross-region profile.
* `global`: the global profile.
* `regional`: the bare id and every geography's profile alike. AWS bills Claude so: one usage
  type for "regional" and one for "global", which is cheaper since Claude 4.5.

GovCloud has a price list of its own, so nothing but a row for `us-gov` holds there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files
from typing import Final

from langchain_bedrock_opt.catalog.model_ids import ModelId, parse_model_id
from langchain_bedrock_opt.contracts import TokenUsage
from langchain_bedrock_opt.errors import ModelIdError

PICO_PER_USD: Final = 10**12
"""Pico-dollars in a dollar."""

_PICO_PER_TOKEN: Final = Decimal(10**6)
"""Pico-dollars a token for each dollar a million tokens."""

_KINDS: Final = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")

_APART: Final = ("global", "us-gov")
"""Scopes that `regional` rows do not hold for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPrice:
    """Prices of one model in one scope and service tier, in pico-USD a token.

    A kind that the model does not have (most have no prompt cache) is None; a call that spends
    such tokens all the same has no known cost. `output` is 0 for embeddings.

    Attributes:
        cache_write_5m: Also what a model with one fixed TTL of another length charges.
        max_prompt_tokens: The longest prompt, cached tokens included, that these prices hold
            for; None if they hold for any. A longer one has no known cost.
        source: Where the row comes from.
        checked: The date it was checked, ISO 8601.
    """

    input: int
    output: int
    cache_read: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    max_prompt_tokens: int | None = None
    source: str
    checked: str

    def cost(self, usage: TokenUsage) -> int | None:
        """The cost of a call in pico-USD, exact; None if it spent tokens without a price.

        Args:
            usage: What the call spent, split as Bedrock bills it.

        Example:
            >>> price = ModelPrice(input=1_000_000, output=5_000_000, source="", checked="")
            >>> price.cost(TokenUsage(input=1000, output=200))
            2000000000
            >>> price.cost(TokenUsage(cache_read=1)) is None
            True
        """
        prompt = usage.total - usage.output
        if self.max_prompt_tokens is not None and prompt > self.max_prompt_tokens:
            return None
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
            max_prompt_tokens=row.get("max_prompt_tokens"),
            source=row["source"],
            checked=row["checked"],
        )
        for row in document["prices"]
    }


def _pico(usd_per_million: str | None) -> int | None:
    """`"0.25"` dollars a million tokens → 250 000 pico-dollars a token."""
    if usd_per_million is None:
        return None
    pico = Decimal(usd_per_million) * _PICO_PER_TOKEN
    if pico != int(pico):
        raise ValueError(f"{usd_per_million} USD a million tokens is not whole in pico-USD")
    return int(pico)


def price_of(model_id: str, *, tier: str = "default") -> ModelPrice | None:
    """The price of the model behind an id, or None if no row says it.

    Args:
        model_id: The id that was called, with its scope: `global.` and regional profiles and
            bare ids may have different prices. ARNs that do not name their model have no price
            here: provisioned throughput is billed by the hour, custom models differ from their
            base, and only the control plane knows what an application profile stands for.
        tier: What served the call: the service tiers `default`, `flex` and `priority`, or
            `batch` for an invocation job. `reserved` has no price a token.

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
    scope = _scope(parsed)
    # A row for the very scope wins over the one for every geography.
    price = prices.get((parsed.base, scope, tier))
    if price is None and scope not in _APART:
        price = prices.get((parsed.base, "regional", tier))
    return price


def _scope(parsed: ModelId) -> str:
    if parsed.region is not None and parsed.region.startswith("us-gov-"):
        return "us-gov"
    return parsed.scope or "in-region"


def usd(pico_usd: int) -> Decimal:
    """Pico-dollars as dollars, exact.

    Example:
        >>> usd(2_000_000_000), usd(30_000_000_000_000)
        (Decimal('0.002'), Decimal('30'))
    """
    dollars = Decimal(pico_usd).scaleb(-12)
    whole = dollars.to_integral_value()
    return whole if whole == dollars else dollars.normalize()
