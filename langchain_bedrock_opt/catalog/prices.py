"""What tokens cost: the process's own prices, in one function.

The rows are data, `data/prices.json`, one dated row a model, scope, tier and set of regions; what
they mean stands in `price_rows`, and where else a price may come from in `price_book`. A model
without a row of its own has no price: it is never priced as a relative, and no price is worked
out from another scope's, region's or tier's by a factor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_bedrock_opt.catalog.model_price import (
    PICO_PER_USD,
    ModelPrice,
    PriceLayer,
    PriceStep,
    usd,
)
from langchain_bedrock_opt.catalog.price_book import default_prices

__all__ = [
    "PICO_PER_USD",
    "ModelPrice",
    "PriceLayer",
    "PriceStep",
    "price_of",
    "price_tier_of",
    "usd",
]


def price_of(
    model_id: str, *, tier: str = "default", region: str | None = None
) -> ModelPrice | None:
    """The price of the model behind an id, or None if nothing says it.

    Args:
        model_id: The id that was called, with its scope: `global.` and regional profiles and
            bare ids may have different prices. ARNs that do not name their model have no price
            here: provisioned throughput is billed by the hour, custom models differ from their
            base, and only the control plane knows what an application profile stands for.
        tier: What served the call: the service tiers `default`, `flex` and `priority`,
            `latency-optimized`, or `batch` for an invocation job. `reserved` has no price a token.
        region: The region that was called; None takes the list price of us-east-1.

    Example:
        >>> price_of("anthropic.claude-3-haiku-20240307-v1:0").input  # $0.25 a million
        250000
        >>> price_of("acme.frontier-v9") is None
        True
    """
    return default_prices().price_of(model_id, tier=tier, region=region)


def price_tier_of(answer: Mapping[str, Any]) -> str:
    """By what an answer is billed, as far as it says so itself; a `PriceTier`.

    Latency-optimized inference has prices of its own, whatever the service tier.

    Args:
        answer: A Converse response, or the `response_metadata` that LangChain makes of one.

    Example:
        >>> price_tier_of({"serviceTier": {"type": "flex"}})
        'flex'
    """
    performance, tier = answer.get("performanceConfig"), answer.get("serviceTier")
    if isinstance(performance, dict) and performance.get("latency") == "optimized":
        return "latency-optimized"
    return (tier.get("type") if isinstance(tier, dict) else None) or "default"
