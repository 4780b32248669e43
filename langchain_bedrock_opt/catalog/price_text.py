"""What a model costs, in lines for people."""

from __future__ import annotations

from typing import Final, get_args

from langchain_bedrock_opt.catalog.model_price import (
    KINDS,
    PICO_PER_TOKEN,
    ModelPrice,
    PriceStep,
    usd,
)
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
    for tier in _TIERS:
        price = book.price_of(model_id, tier=tier, region=region)
        if price is None or price.layer == "hourly":
            continue
        origin = ", ".join(part for part in (price.layer, price.source, price.checked) if part)
        lines.append(f"{tier}: {_kinds(price)}; {origin}")
        lines += [f"  above {step.above} prompt tokens: {_kinds(step)}" for step in price.steps]
        if price.max_prompt_tokens is not None:
            lines.append(f"  above {price.max_prompt_tokens} prompt tokens: not known")
    return lines


def _kinds(rates: ModelPrice | PriceStep) -> str:
    prices = {kind: getattr(rates, kind) for kind in KINDS}
    return ", ".join(
        f"{kind.replace('_', ' ')} {usd(price * PICO_PER_TOKEN):f}"
        for kind, price in prices.items()
        if price is not None
    )
