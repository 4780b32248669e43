"""`ModelPrice`: what one model's tokens cost, and the exact cost of a call.

Money is whole pico-dollars (10⁻¹² USD), since published prices a token are not whole
nano-dollars.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Final, Literal, Protocol

from langchain_bedrock_opt.contracts import TokenUsage

PICO_PER_USD: Final = 10**12
"""Pico-dollars in a dollar."""

KINDS: Final = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
"""The kinds of tokens that Bedrock bills apart."""

PICO_PER_TOKEN: Final = 10**6
"""Pico-dollars a token for each dollar a million tokens."""

PriceLayer = Literal["override", "refreshed", "shipped", "genai-prices", "hourly"]
"""Where a price was found; `hourly` is capacity that no token costs more of."""


class _Rates(Protocol):
    """Prices of the kinds of tokens, in pico-USD a token."""

    @property
    def input(self) -> int: ...
    @property
    def output(self) -> int: ...
    @property
    def cache_read(self) -> int | None: ...
    @property
    def cache_write_5m(self) -> int | None: ...
    @property
    def cache_write_1h(self) -> int | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceStep:
    """Prices of a call whose prompt is longer than `above` tokens, in pico-USD a token.

    They hold for all tokens of such a call, not only for those above.

    Attributes:
        above: Tokens of the prompt, those from and to the prompt cache included.
    """

    above: int
    input: int
    output: int
    cache_read: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPrice:
    """Prices of one model in one scope, region and tier, in pico-USD a token.

    A kind that the model does not have (most have no prompt cache) is None; a call that spends
    such tokens all the same has no known cost. `output` is 0 for embeddings.

    Attributes:
        cache_write_5m: Also what a model with one fixed TTL of another length charges.
        steps: Dearer prices of longer prompts, by rising length.
        max_prompt_tokens: The longest prompt, cached tokens included, that the prices hold for;
            None if they hold for any. A longer one has no known cost.
        source: Where the row comes from.
        checked: The date it was checked, ISO 8601.
        layer: Which layer of the price book it comes from.
    """

    input: int
    output: int
    cache_read: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    steps: tuple[PriceStep, ...] = ()
    max_prompt_tokens: int | None = None
    source: str
    checked: str
    layer: PriceLayer = "shipped"

    def __str__(self) -> str:
        """The prices in US dollars a million tokens.

        Example:
            >>> print(ModelPrice(input=800_000, output=4_000_000, source="", checked=""))
            input 0.8, output 4 USD per million tokens
        """
        return f"{price_text(self)} USD per million tokens"

    def cost(self, usage: TokenUsage) -> int | None:
        """The cost of a call in pico-USD, exact; None if it spent tokens without a price.

        Args:
            usage: What the call spent, split as Bedrock bills it. It must be one call's: the
                prices may depend on the length of its prompt.

        Example:
            >>> price = ModelPrice(input=1_000_000, output=5_000_000, source="", checked="")
            >>> price.cost(TokenUsage(input=1000, output=200))
            2000000000
            >>> price.cost(TokenUsage(cache_read=1)) is None
            True
        """
        if not self.steps and self.max_prompt_tokens is None:
            return _dot(self, usage)
        prompt = usage.total - usage.output
        if self.max_prompt_tokens is not None and prompt > self.max_prompt_tokens:
            return None
        rates: _Rates = self
        for step in self.steps:
            if prompt > step.above:
                rates = step
        return _dot(rates, usage)

    def scaled(self, multiplier: Fraction) -> ModelPrice:
        """The same prices times a factor, each rounded once, half to even, to a whole pico-USD.

        Example:
            >>> price = ModelPrice(input=250_000, output=1_250_001, source="list", checked="")
            >>> scaled = price.scaled(Fraction(1, 2))
            >>> scaled.input, scaled.output, scaled.source
            (125000, 625000, 'list × 1/2')
        """
        return replace(
            self,
            **_scaled(self, multiplier),  # type: ignore[arg-type] # kinds that are there stay there
            steps=tuple(
                replace(step, **_scaled(step, multiplier))  # type: ignore[arg-type] # likewise
                for step in self.steps
            ),
            source=f"{self.source} × {multiplier}",
        )


def _dot(rates: _Rates, usage: TokenUsage) -> int | None:
    # Written out, for it runs at each call: a loop over the kinds takes twice as long.
    total = usage.input * rates.input + usage.output * rates.output
    if usage.cache_read:
        if rates.cache_read is None:
            return None
        total += usage.cache_read * rates.cache_read
    if usage.cache_write_5m:
        if rates.cache_write_5m is None:
            return None
        total += usage.cache_write_5m * rates.cache_write_5m
    if usage.cache_write_1h:
        if rates.cache_write_1h is None:
            return None
        total += usage.cache_write_1h * rates.cache_write_1h
    return total


def _scaled(rates: _Rates, multiplier: Fraction) -> dict[str, int | None]:
    prices = {kind: getattr(rates, kind) for kind in KINDS}
    return {
        kind: None if price is None else round(price * multiplier) for kind, price in prices.items()
    }


def usd(pico_usd: int) -> Decimal:
    """Pico-dollars as dollars, exact.

    Example:
        >>> usd(2_000_000_000), usd(30_000_000_000_000)
        (Decimal('0.002'), Decimal('30'))
    """
    dollars = Decimal(pico_usd).scaleb(-12)
    whole = dollars.to_integral_value()
    return whole if whole == dollars else dollars.normalize()


def price_rates(rates: ModelPrice | PriceStep) -> dict[str, Decimal]:
    """US dollars a million tokens of each kind that has a price.

    Args:
        rates: A price, or one of its steps.
    """
    prices = {kind: getattr(rates, kind) for kind in KINDS}
    return {
        kind: usd(price * PICO_PER_TOKEN) for kind, price in prices.items() if price is not None
    }


def price_text(rates: ModelPrice | PriceStep) -> str:
    """The same in words.

    Args:
        rates: A price, or one of its steps.
    """
    prices = price_rates(rates)
    return ", ".join(f"{kind.replace('_', ' ')} {price:f}" for kind, price in prices.items())
