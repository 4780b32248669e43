"""What recorded work would have cost elsewhere: pure functions over usage records."""

from __future__ import annotations

from collections.abc import Iterable

from langchain_bedrock_opt.catalog.price_book import PriceBook, default_prices
from langchain_bedrock_opt.catalog.prices import ModelPrice
from langchain_bedrock_opt.contracts import TokenUsage, UsageRecord


def counterfactual_cost(
    records: Iterable[UsageRecord], model_id: str, *, prices: PriceBook | None = None
) -> int | None:
    """What the same work would have cost on one model with no cache at all.

    Every record is priced in its own region, with the tokens it spent and those a cache hit saved;
    tokens of the prompt cache count as plain input. It is an estimate where `model_id` differs
    from the recorded model, which may split the same text into another number of tokens. Runs
    whose tokens are not known add nothing.

    Args:
        records: Any records.
        model_id: The model to price them on, with its scope, at the default service tier.
        prices: Where its price comes from; by default the process's own book.

    Returns:
        The cost in 10⁻¹² US dollars, or None if the model has no price in one of the regions, or
        none for a prompt as long as one of these.

    Example:
        >>> counterfactual_cost([], "anthropic.claude-3-haiku-20240307-v1:0")
        0
        >>> counterfactual_cost([], "acme.frontier-v9") is None
        True
    """
    prices = prices or default_prices()
    cost = None if prices.price_of(model_id) is None else 0
    for record in records:
        price = price_there(model_id, record, prices)
        if price is None:
            return None
        # One by one: a long prompt may have a price of its own.
        for usage in (record.usage, record.saved):
            one = 0 if usage is None else price.cost(as_plain(usage))
            if one is None:
                return None
            cost = (cost or 0) + one
    return cost


def price_there(model_id: str, record: UsageRecord, prices: PriceBook) -> ModelPrice | None:
    """A model's price at the default service tier, where and for whom a call was made."""
    return prices.price_of(model_id, region=record.region, tags=record.tags)


def as_plain(usage: TokenUsage) -> TokenUsage:
    """The same tokens without a prompt cache.

    Example:
        >>> as_plain(TokenUsage(input=10, output=5, cache_read=90)).input
        100
    """
    return TokenUsage(
        input=usage.total - usage.output, output=usage.output, reasoning=usage.reasoning
    )
