"""What a model costs, in lines for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, get_args

from langchain_bedrock_opt.catalog.model_price import ModelPrice, price_rates, price_text
from langchain_bedrock_opt.catalog.price_book import PriceBook
from langchain_bedrock_opt.contracts import PriceTier

_TIERS: Final[tuple[str, ...]] = get_args(PriceTier)


def price_lines(book: PriceBook, model_id: str, *, region: str | None = None) -> list[str]:
    """The prices of a model in each tier that has one, with where they come from.

    Args:
        book: Whose prices.
        model_id: An id or ARN.
        region: The region that is called; None takes the list price.

    Returns:
        One line a tier and one a step, in US dollars a million tokens; none if the model is
        unpriced.

    Example:
        >>> for line in price_lines(PriceBook(file=None), "us.writer.palmyra-x5-v1:0"):
        ...     print(line.partition(";")[0])
        default: input 0.6, output 6
    """
    lines: list[str] = []
    for tier, price in _tiers(book, model_id, region):
        origin = ", ".join(part for part in (price.layer, price.source, price.checked) if part)
        lines.append(f"{tier}: {price_text(price)}; {origin}")
        lines += [f"  above {step.above} prompt tokens: {price_text(step)}" for step in price.steps]
        if price.max_prompt_tokens is not None:
            lines.append(f"  above {price.max_prompt_tokens} prompt tokens: not known")
    return lines


def price_tiers(
    book: PriceBook, model_id: str, *, region: str | None = None
) -> dict[str, dict[str, Any]]:
    """The prices of a model by tier, as data.

    Args:
        book: Whose prices.
        model_id: An id or ARN.
        region: The region that is called; None takes the list price.

    Returns:
        By tier, US dollars a million tokens of each kind, the `steps` for longer prompts, the
        `max_prompt_tokens` up to which they are known, and where they come from. Empty if the
        model is unpriced.

    Example:
        >>> price_tiers(PriceBook(file=None), "us.writer.palmyra-x5-v1:0")["default"]["output"]
        Decimal('6')
    """
    return {
        tier: {
            **price_rates(price),
            "steps": [{"above": step.above, **price_rates(step)} for step in price.steps],
            "max_prompt_tokens": price.max_prompt_tokens,
            "layer": price.layer,
            "source": price.source,
            "checked": price.checked,
        }
        for tier, price in _tiers(book, model_id, region)
    }


def _tiers(book: PriceBook, model_id: str, region: str | None) -> Iterator[tuple[str, ModelPrice]]:
    for tier in _TIERS:
        price = book.price_of(model_id, tier=tier, region=region)
        if price is not None and price.layer != "hourly":
            yield tier, price
