"""What a cache has done, in numbers, and as a view for notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from html import escape

from langchain_bedrock_opt.catalog.prices import price_of, usd
from langchain_bedrock_opt.contracts import TokenUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """What a cache has done since it was made, through both doors. A notebook shows it as a table.

    Attributes:
        hits: Calls that it answered.
        hits_by_tier: The same by where the answer came from: `local`, `exact`, `similar`,
            `flight` (an equal call that was under way), `migrated`.
        stale: Hits whose answer was past its time, while a new one was fetched.
        misses: Calls that it was asked about and could not answer.
        stores: Answers that it kept.
        errors: Times a store failed or an entry was broken; the calls went on.
        bypassed: Calls that did not ask it: told so, or with a temperature above 0.
        renewals: New answers fetched in the background for stale ones.
        spent_renewing: Tokens that these have spent. No callback sees them; a handler that is given
            as the cache's `usage` counts them.
        saved_by_model: Tokens that the hits did not spend, by the model id that was asked for;
            under an empty text those of models that LangChain's cache interface does not name.
    """

    hits: int = 0
    hits_by_tier: Mapping[str, int] = field(default_factory=dict)
    stale: int = 0
    misses: int = 0
    stores: int = 0
    errors: int = 0
    bypassed: int = 0
    renewals: int = 0
    spent_renewing: TokenUsage = field(default_factory=TokenUsage)
    saved_by_model: Mapping[str, TokenUsage] = field(default_factory=dict)

    @property
    def hit_rate(self) -> float:
        """The share of hits among the calls that asked; 0.0 if none did.

        Example:
            >>> CacheStats(hits=3, misses=1).hit_rate
            0.75
        """
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0

    @property
    def saved(self) -> TokenUsage:
        """Tokens that the hits did not spend, of all models together."""
        return sum(self.saved_by_model.values(), TokenUsage())

    @property
    def saved_usd(self) -> Decimal:
        """What these tokens would have cost at list prices; models without a price add nothing.

        Example:
            >>> saved = {"us.amazon.nova-lite-v1:0": TokenUsage(input=1_000_000)}
            >>> CacheStats(saved_by_model=saved).saved_usd
            Decimal('0.06')
        """
        costs = [_cost(model, saved) for model, saved in self.saved_by_model.items()]
        return usd(sum(cost for cost in costs if cost is not None))

    @property
    def unpriced_models(self) -> tuple[str, ...]:
        """Models whose savings have no known price, so that `saved_usd` is without them."""
        return tuple(
            model for model, saved in self.saved_by_model.items() if _cost(model, saved) is None
        )

    def _repr_html_(self) -> str:
        """A table of these numbers, with a bar of the hit rate."""
        tiers = ", ".join(f"{count} {tier}" for tier, count in self.hits_by_tier.items())
        saved = f"{self.saved.total:,} tokens, {self.saved_usd:f} USD"
        if self.unpriced_models:
            saved += f" (no price known: {', '.join(map(_named, self.unpriced_models))})"
        rows = {
            "hits": f"{self.hits:,} ({tiers})" if tiers else f"{self.hits:,}",
            "misses": f"{self.misses:,}",
            "saved": saved,
            "answers kept": f"{self.stores:,}",
            "served past their time": f"{self.stale:,}",
            "fetched anew": f"{self.renewals:,}, {self.spent_renewing.total:,} tokens spent",
            "not asked": f"{self.bypassed:,}",
            "errors": f"{self.errors:,}",
        }
        cells = "".join(
            f"<tr><th style='text-align:left'>{name}</th>"
            f"<td style='text-align:left'>{escape(value)}</td></tr>"
            for name, value in rows.items()
        )
        return f"<div><b>Response cache</b>{_bar(self.hit_rate)}<table>{cells}</table></div>"


def _cost(model: str, saved: TokenUsage) -> int | None:
    """Pico-dollars; None if no price is known."""
    price = price_of(model) if model else None
    return None if price is None else price.cost(saved)


def _named(model: str) -> str:
    return model or "models that LangChain does not name"


def _bar(share: float) -> str:
    return (
        "<div style='width:300px;height:14px;background:#ddd'>"
        f"<div style='width:{share:.1%};height:14px;background:#2a7'></div></div>"
        f"<div>{share:.1%} of the calls that asked were answered</div>"
    )
