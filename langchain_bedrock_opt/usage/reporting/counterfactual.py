"""What recorded work would have cost elsewhere: pure functions over usage records."""

from __future__ import annotations

from collections.abc import Iterable

from langchain_bedrock_opt.catalog.prices import price_of
from langchain_bedrock_opt.contracts import TokenUsage, UsageRecord


def counterfactual_cost(records: Iterable[UsageRecord], model_id: str) -> int | None:
    """What the same work would have cost on one model with no cache at all.

    Every record is priced with the tokens it spent and those a cache hit saved; tokens of the
    prompt cache count as plain input. It is an estimate where `model_id` differs from the
    recorded model, which may split the same text into another number of tokens. Runs whose
    tokens are not known add nothing.

    Args:
        records: Any records.
        model_id: The model to price them on, with its scope, at the default service tier.

    Returns:
        The cost in 10⁻¹² US dollars, or None if the model has no price.

    Example:
        >>> counterfactual_cost([], "anthropic.claude-3-haiku-20240307-v1:0")
        0
        >>> counterfactual_cost([], "acme.frontier-v9") is None
        True
    """
    price = price_of(model_id)
    if price is None:
        return None
    work = TokenUsage()
    for record in records:
        work += record.saved
        if record.usage is not None:
            work += record.usage
    return price.cost(TokenUsage(input=work.total - work.output, output=work.output))
