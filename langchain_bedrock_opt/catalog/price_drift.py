"""Where a price book and other people's price data disagree.

A disagreement is no proof that ours is wrong: LiteLLM's map prices bare Claude ids at the global
rate, and genai-prices knows one region. It is what to look at before a release.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

from langchain_bedrock_opt.catalog.model_ids import parse_model_id
from langchain_bedrock_opt.catalog.model_price import (
    KINDS,
    PICO_PER_TOKEN,
    ModelPrice,
    PriceStep,
)
from langchain_bedrock_opt.catalog.price_book import PriceBook
from langchain_bedrock_opt.catalog.specs import known_model_ids, spec_of
from langchain_bedrock_opt.errors import ConfigurationError, MissingExtraError, ModelIdError

_LITELLM: Final = "LiteLLM"
_GENAI: Final = "genai-prices"

_FIELDS: Final = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cache_read": "cache_read_input_token_cost",
    "cache_write_5m": "cache_creation_input_token_cost",
    "cache_write_1h": "cache_creation_input_token_cost_above_1hr",
}
_TIERS: Final = {"default": "", "batch": "_batches", "flex": "_flex", "priority": "_priority"}
_STEPS: Final = {128_000: "128k", 100_000: "100k", 200_000: "200k", 272_000: "272k"}
_REGION: Final = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """One price that is not the same here and there, in US dollars a million tokens.

    Attributes:
        model_id: The id with its scope.
        region: The region; None for the list price.
        tier: The price tier.
        kind: The kind of tokens; `input > 200000` for a long prompt's.
        ours: Our price; None if we have none.
        theirs: Theirs.
        source: Whose data it is.
        our_source: Where ours is from.
    """

    model_id: str
    region: str | None
    tier: str
    kind: str
    ours: Decimal | None
    theirs: Decimal
    source: str
    our_source: str | None

    def __str__(self) -> str:
        """The disagreement in one line."""
        place = f" in {self.region}" if self.region else ""
        ours = "no price" if self.ours is None else f"{self.ours} ({self.our_source})"
        return (
            f"{self.model_id}{place}, {self.tier}, {self.kind}: ours {ours}, "
            f"{self.source} {self.theirs}"
        )


@dataclass(frozen=True, kw_only=True)
class DriftReport:
    """What a comparison found.

    Attributes:
        disagreements: All of them, by model.
        agreed: How many prices are the same, by source.
    """

    disagreements: tuple[Disagreement, ...]
    agreed: Mapping[str, int]

    @property
    def missing(self) -> tuple[Disagreement, ...]:
        """Those where we have no price at all."""
        return tuple(each for each in self.disagreements if each.ours is None)

    @property
    def different(self) -> tuple[Disagreement, ...]:
        """Those where both have a price."""
        return tuple(each for each in self.disagreements if each.ours is not None)

    def as_dict(self) -> dict[str, Any]:
        """The report as a JSON-ready dict; prices are text, so that they stay exact."""
        rows = [
            {
                name: str(value) if isinstance(value, Decimal) else value
                for name, value in asdict(each).items()
            }
            for each in self.disagreements
        ]
        return {"agreed": dict(self.agreed), "disagreements": rows}

    def to_json(self) -> str:
        """The report as JSON."""
        return json.dumps(self.as_dict(), indent=1)

    def __str__(self) -> str:
        """The report for people: counts, then one line a disagreement."""
        counts = Counter((each.source, each.ours is None) for each in self.disagreements)
        lines = [
            f"{source}: {agreed} prices agree, {counts[source, False]} differ, "
            f"{counts[source, True]} are missing here"
            for source, agreed in sorted(self.agreed.items())
        ]
        return "\n".join(lines + [f"  {each}" for each in self.disagreements])


@dataclass(frozen=True, slots=True)
class _Quote:
    """One price of somebody else's, in pico-USD a token."""

    source: str
    model_id: str
    region: str | None
    tier: str
    kind: str
    above: int
    price: int


def drift(
    book: PriceBook | None = None,
    *,
    litellm: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    genai_prices: bool = True,
) -> DriftReport:
    """Compare a price book with LiteLLM's price map and with genai-prices.

    Args:
        book: The book; by default the shipped rows alone.
        litellm: LiteLLM's `model_prices_and_context_window.json`, or what is in it.
        genai_prices: Whether to compare with the genai-prices that is installed.

    Raises:
        ConfigurationError: The map can't be read.
        MissingExtraError: genai-prices is not installed.

    Example:
        >>> entry = {"litellm_provider": "bedrock", "input_cost_per_token": 7e-08}
        >>> report = drift(litellm={"amazon.nova-lite-v1:0": entry}, genai_prices=False)
        >>> print(report.disagreements[0].ours, report.disagreements[0].theirs)
        0.06 0.07
    """
    book = book or PriceBook(file=None, genai_prices=False)
    quotes: list[_Quote] = []
    if litellm is not None:
        quotes += _litellm_quotes(_read_map(litellm))
    if genai_prices:
        quotes += _genai_quotes()
    agreed: Counter[str] = Counter()
    disagreements = []
    for quote in quotes:
        agreed[quote.source] += 0
        price = book.price_of(quote.model_id, tier=quote.tier, region=quote.region)
        ours = None if price is None else _ours(price, quote)
        if ours == quote.price:
            agreed[quote.source] += 1
        else:
            disagreements.append(_disagreement(quote, price, ours))
    disagreements.sort(key=lambda each: (each.model_id, each.tier, each.region or "", each.kind))
    return DriftReport(disagreements=tuple(disagreements), agreed=agreed)


def _ours(price: ModelPrice, quote: _Quote) -> int | None:
    rates: ModelPrice | PriceStep = price
    for step in price.steps:
        if quote.above >= step.above:
            rates = step
    if price.max_prompt_tokens is not None and quote.above >= price.max_prompt_tokens:
        return None
    found: int | None = getattr(rates, quote.kind)
    return found


def _disagreement(quote: _Quote, price: ModelPrice | None, ours: int | None) -> Disagreement:
    return Disagreement(
        model_id=quote.model_id,
        region=quote.region,
        tier=quote.tier,
        kind=f"{quote.kind} > {quote.above}" if quote.above else quote.kind,
        ours=None if ours is None else _usd_per_million(ours),
        theirs=_usd_per_million(quote.price),
        source=quote.source,
        our_source=None if price is None else price.source,
    )


def _usd_per_million(pico: int) -> Decimal:
    return (Decimal(pico) / PICO_PER_TOKEN).normalize() + 0


def _read_map(litellm: str | os.PathLike[str] | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(litellm, Mapping):
        return litellm
    try:
        document: dict[str, Any] = json.loads(Path(litellm).read_text("utf-8"), parse_float=Decimal)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"litellm={os.fspath(litellm)!r} is no price map of LiteLLM's: {error}."
        ) from error
    return document


def _litellm_quotes(entries: Mapping[str, Any]) -> Iterator[_Quote]:
    for key, entry in entries.items():
        if not isinstance(entry, Mapping) or entry.get("litellm_provider") not in (
            "bedrock",
            "bedrock_converse",
        ):
            continue
        place = _litellm_place(key)
        if place is None:
            continue
        model_id, region = place
        for tier, tier_suffix in _TIERS.items():
            for above, words in {
                0: "",
                **{n: f"_above_{k}_tokens" for n, k in _STEPS.items()},
            }.items():
                for kind, name in _FIELDS.items():
                    pico = _pico(entry.get(f"{name}{words}{tier_suffix}"))
                    if pico is not None:
                        yield _Quote(_LITELLM, model_id, region, tier, kind, above, pico)


def _litellm_place(key: str) -> tuple[str, str | None] | None:
    """Which id and region a key is about; None if it is about no call (a commitment, an image)."""
    parts = key.split("/")
    region = None
    if parts[0] == "bedrock" and len(parts) == 3 and _REGION.fullmatch(parts[1]):  # noqa: PLR2004
        region = parts[1]
        parts = parts[2:]
    if len(parts) != 1:
        return None
    try:
        parsed = parse_model_id(parts[0])
    except ModelIdError:
        return None
    return (parsed.raw, region)


def _genai_quotes() -> Iterator[_Quote]:
    try:
        from genai_prices import Usage, calc_price
    except ImportError as error:
        raise MissingExtraError("a comparison with genai-prices", "prices") from error
    from langchain_bedrock_opt.catalog.price_genai import read_prices

    # It has ids of its own and finds ours by parts of them, so it is asked about ours.
    for model_id in _known_ids():
        try:
            found = calc_price(Usage(input_tokens=1), model_id, provider_id="aws")
        except LookupError:
            continue
        price = read_prices(vars(found.model_price))
        if price is None:
            continue
        for above, rates in ((0, price), *((step.above, step) for step in price.steps)):
            for kind in KINDS:
                pico = getattr(rates, kind)
                if pico is not None:
                    yield _Quote(_GENAI, model_id, None, "default", kind, above, pico)


def _known_ids() -> Iterator[str]:
    """Each id that a known model can be called by, bare or with a scope."""
    for model in known_model_ids():
        spec = spec_of(model)
        if spec is None or not spec.needs_profile:
            yield model
        for scope in () if spec is None else spec.profile_scopes:
            yield f"{scope}.{model}"


def _pico(usd_per_token: object) -> int | None:
    """A price a token as whole pico-USD; None if it is none, or not whole."""
    try:
        pico = Decimal(str(usd_per_token)) * PICO_PER_TOKEN * PICO_PER_TOKEN
    except InvalidOperation:
        return None
    return int(pico) if pico.is_finite() and pico == int(pico) else None
