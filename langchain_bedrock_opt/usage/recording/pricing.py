"""What runs cost: prices looked up once a model, tier and region, then sums of integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final, NamedTuple, Protocol

from langchain_bedrock_opt.catalog.model_ids import ModelIdKind, parse_model_id
from langchain_bedrock_opt.catalog.price_book import PriceBook, default_prices
from langchain_bedrock_opt.catalog.prices import ModelPrice
from langchain_bedrock_opt.contracts import TokenUsage
from langchain_bedrock_opt.errors import ModelIdError

_MAX_RATES: Final = 4096
"""How many rates are kept. Models, tiers and regions are few; tags may be many."""


class Identity(NamedTuple):
    """What a model id says by itself.

    Attributes:
        resolved_id: The model that an ARN names, with its scope; None for an id that is none.
        region: The region in an ARN.
        hides_model: Whether only the control plane knows what it stands for.
        provisioned: Whether it is capacity that is paid by the hour.
    """

    resolved_id: str | None = None
    region: str | None = None
    hides_model: bool = False
    provisioned: bool = False


class Charge(NamedTuple):
    """What a call costs in pico-USD; None where there is no price. See `UsageRecord`."""

    cost: int | None = None
    list_price: int | None = None
    uncached: int | None = None
    saved: int | None = None


class Resolved(Protocol):
    """What an ARN stands for, as `langchain_bedrock_opt.aws.resolution` says it."""

    @property
    def resolved_id(self) -> str | None:
        """The id that its price goes by; None if no other id has its price."""

    @property
    def tier(self) -> str:
        """`provisioned` for capacity that is paid by the hour, else `default`."""


NO_TOKENS: Final = TokenUsage()
"""No tokens at all: what most calls save."""


@dataclass(frozen=True, slots=True)
class Rate:
    """The prices of one model in one tier and region.

    Attributes:
        price: What calls are billed by; None if no price is known.
        default: The same model's price at the default tier.
    """

    price: ModelPrice | None
    default: ModelPrice | None

    def charge(self, usage: TokenUsage | None, saved: TokenUsage = NO_TOKENS) -> Charge:
        """Price a call.

        Args:
            usage: Tokens that were spent; None if nobody said.
            saved: Tokens that a cache hit saved.

        Example:
            >>> price = ModelPrice(input=3, output=15, cache_read=1, source="", checked="")
            >>> Rate(price, price).charge(TokenUsage(input=10, cache_read=90, output=2))
            Charge(cost=150, list_price=150, uncached=330, saved=0)
        """
        price, default = self.price, self.default
        saved_cost = None
        if price is not None:
            saved_cost = 0 if saved is NO_TOKENS else price.cost(saved)
        if usage is None:
            return Charge(saved=saved_cost)
        cost = price.cost(usage) if price is not None else None
        if default is None:
            return Charge(cost, saved=saved_cost)
        list_price = cost if default is price else default.cost(usage)
        if usage.cache_read or usage.cache_write_5m or usage.cache_write_1h:
            uncached = _uncached(default, usage)
        else:
            uncached = list_price
        return Charge(cost, list_price, uncached, saved_cost)


def _uncached(price: ModelPrice, usage: TokenUsage) -> int | None:
    """What a call costs with all of its prompt as plain input."""
    prompt = usage.total - usage.output
    if price.steps or price.max_prompt_tokens is not None:
        return price.cost(TokenUsage(input=prompt, output=usage.output))
    return prompt * price.input + usage.output * price.output  # the same, three times as fast


class RateCard:
    """Looks prices up in a price book, each once.

    Args:
        book: The prices.
    """

    def __init__(self, book: PriceBook) -> None:
        self._book = book
        self._rates: dict[tuple[object, ...], Rate] = {}
        self._identities: dict[str, Identity] = {}

    def identity(self, model_id: str) -> Identity:
        """What a model id says by itself."""
        found = self._identities.get(model_id)
        if found is None:
            found = _identity(model_id)
            if len(self._identities) >= _MAX_RATES:
                self._identities.clear()
            self._identities[model_id] = found
        return found

    def rate(
        self,
        model_id: str,
        *,
        resolved_id: str | None,
        tier: str,
        region: str | None,
        tags: Sequence[str] = (),
    ) -> Rate:
        """The rate of a call.

        Args:
            model_id: The id or ARN that was called.
            resolved_id: What it stands for, if it is an ARN.
            tier: By what it is billed.
            region: The region that was called.
            tags: Tags of the run.
        """
        key = (model_id, resolved_id, tier, region, *tags)
        found = self._rates.get(key)
        if found is None:
            price_of = partial(
                self._book.price_of, model_id, region=region, tags=tags, resolved_id=resolved_id
            )
            price = price_of(tier=tier)
            found = Rate(price, price if tier == "default" else price_of(tier="default"))
            if len(self._rates) >= _MAX_RATES:
                self._rates.clear()
            self._rates[key] = found
        return found


@lru_cache(maxsize=1)
def default_rates() -> RateCard:
    """The rates of the process's own price book, which all handlers without another share."""
    return RateCard(default_prices())


def _identity(model_id: str) -> Identity:
    if not model_id.startswith("arn:"):
        return Identity()
    try:
        parsed = parse_model_id(model_id)
    except ModelIdError:
        return Identity()
    return Identity(
        resolved_id=parsed.scoped_base,
        region=parsed.region,
        hides_model=parsed.base is None,
        provisioned=parsed.kind is ModelIdKind.PROVISIONED_MODEL,
    )
