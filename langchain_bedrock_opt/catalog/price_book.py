"""`PriceBook`: where prices come from, layer by layer; the first that has one wins."""

from __future__ import annotations

from collections.abc import Collection

from langchain_bedrock_opt.catalog.prices import ModelPrice, price_of


class PriceBook:
    """Prices by model, tier and region. A model that no layer knows has none.

    Example:
        >>> PriceBook().price_of("us.amazon.nova-lite-v1:0").input
        60000
    """

    def price_of(
        self,
        model_id: str,
        *,
        tier: str = "default",
        region: str | None = None,  # noqa: ARG002 - rows by region come with the next layer
        tags: Collection[str] = (),  # noqa: ARG002 - likewise overrides
    ) -> ModelPrice | None:
        """The price of a call; None if it has none.

        Args:
            model_id: The id that was called or, for an ARN, the one that it stands for.
            tier: By what it is billed; a `PriceTier`.
            region: The region that was called; None takes the list price of us-east-1.
            tags: Tags of the run, which an override may be about.
        """
        return price_of(model_id, tier=tier)
