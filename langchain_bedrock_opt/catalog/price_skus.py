"""From products of the AWS Price List to rows of prices: pure functions over its JSON.

A product names its model by a display name and what it charges for in its usage type, in one of
three spellings (unverified against AWS: taken from what readers of the list quote):

* `USE1-NovaPro-input-tokens-batch`, `…-cache-read-input-token-count`, with `-flex`, `-priority`,
  `-latency-optimized` and `-cross-region-global` behind it;
* `USE1-MP:USE1_InputTokenCount_Global-Units`, `…CacheWrite1hInputTokenCount…`, `…_LCtx…`;
* `USE1-MP:USE1_cache_write_tokens_1h_long_ctx_global_standard-Units`.

Display names are looked up whole in `data/sku_names.json`. What is not in it is listed as
unmapped: part of a name is how a model comes to be priced as another one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

from langchain_bedrock_opt.catalog.model_price import KINDS
from langchain_bedrock_opt.catalog.price_rows import GOVCLOUD

_EDITION: Final = " (Amazon Bedrock Edition)"
_UNIFORM: Final = "anthropic."
"""Models whose price does not depend on the commercial region, if the list bears it out."""

_PER_MILLION: Final = {"1k tokens": 1000, "1m tokens": 1}
"""What a unit's price is times, for a price of a million tokens."""

_PLAIN: Final = re.compile(
    r"(?:[A-Z0-9]+-)?(?P<name>[A-Za-z0-9.]+(?:-[A-Za-z0-9.]+)*?)(?:-text)?-"
    r"(?P<what>input-tokens|output-tokens|cache-(?:read|write|write-1h)-input-token-count)"
    r"(?P<rest>(?:-(?:cross-region-global|batch|flex|priority|latency-optimized))*)"
)
_CAMEL: Final = re.compile(
    r"[A-Z0-9]+-MP:[A-Z0-9]+_(?P<what>(?:CacheRead|CacheWrite|CacheWrite1h)?Input|Output)TokenCount"
    r"(?P<rest>(?:_(?:LCtx|Global|Batch|Flex|Priority|LatencyOptimized))*)-Units"
)
_SNAKE: Final = re.compile(
    r"[A-Z0-9]+-MP:[A-Z0-9]+_(?P<what>input|output|cache_read|cache_write)_tokens"
    r"(?:_(?P<ttl>5m|30m|1h))?(?P<rest>(?:_(?:long_ctx|global))*"
    r"_(?:standard|batch|flex|priority))-Units"
)
_WHATS: Final = {
    "input-tokens": "input",
    "output-tokens": "output",
    "cache-read-input-token-count": "cache_read",
    "cache-write-input-token-count": "cache_write_5m",
    "cache-write-1h-input-token-count": "cache_write_1h",
    "Input": "input",
    "Output": "output",
    "CacheReadInput": "cache_read",
    "CacheWriteInput": "cache_write_5m",
    "CacheWrite1hInput": "cache_write_1h",
    "input": "input",
    "output": "output",
    "cache_read": "cache_read",
    "cache_write": "cache_write_5m",
}
_TIERS: Final = {
    "batch": "batch",
    "flex": "flex",
    "priority": "priority",
    "latency-optimized": "latency-optimized",
    "latencyoptimized": "latency-optimized",
}


class Usage(NamedTuple):
    """What a usage type charges for.

    Attributes:
        name: The model's name in it, if it has one.
        kind: One of the kinds of tokens.
        tier: The price tier.
        is_global: True for the global profile.
        is_long: True for long prompts.
    """

    name: str | None
    kind: str
    tier: str
    is_global: bool
    is_long: bool


@dataclass(frozen=True, kw_only=True)
class ReadPrices:
    """What was read from the Price List.

    Attributes:
        rows: Rows as in `data/prices.json`.
        unmapped: Names of models that `sku_names.json` does not know.
        left_out: Models whose prices were left out, and why.
        skipped: How many products are no price of a token that is known here: images, hours,
            custom models, another endpoint.
    """

    rows: list[dict[str, Any]]
    unmapped: tuple[str, ...]
    left_out: tuple[str, ...]
    skipped: int


def read_usage_type(text: str) -> Usage | None:
    """Take a usage type apart; None if it is no price of a text token.

    Example:
        >>> read_usage_type("USE1-Nova2.0Lite-input-tokens-cross-region-global-batch")
        Usage(name='Nova2.0Lite', kind='input', tier='batch', is_global=True, is_long=False)
        >>> read_usage_type("USE1-MP:USE1_CacheWrite1hInputTokenCount_Global-Units").kind
        'cache_write_1h'
        >>> read_usage_type("USE1-NovaPro-input-tokens-custom-model") is None
        True
    """
    for pattern in (_CAMEL, _SNAKE, _PLAIN):
        match = pattern.fullmatch(text)
        if match is not None and "-mantle-" not in text:
            break
    else:
        return None
    found = match.groupdict()
    kind = "cache_write_1h" if found.get("ttl") == "1h" else _WHATS[found["what"]]
    rest = found["rest"].lower()
    tiers = {tier for word, tier in _TIERS.items() if word in rest}
    if len(tiers) > 1:
        return None
    return Usage(
        found.get("name"),
        kind,
        tiers.pop() if tiers else "default",
        "global" in rest,
        "lctx" in rest or "long_ctx" in rest,
    )


class _Names(NamedTuple):
    models: Mapping[str, str | None]
    without_output: frozenset[str]
    long_prompts: Mapping[str, int]


@lru_cache(maxsize=1)
def _names() -> _Names:
    data = files("langchain_bedrock_opt.catalog") / "data" / "sku_names.json"
    document = json.loads(data.read_text("utf-8"))
    return _Names(
        document["models"], frozenset(document["without_output"]), document["long_prompts"]
    )


_Place = tuple[str, str, str, str]
"""Model, scope, tier and region."""


@dataclass
class _Found:
    """Prices of one model in one place: of usual prompts and of long ones."""

    usual: dict[str, Decimal] = field(default_factory=dict)
    long: dict[str, Decimal] = field(default_factory=dict)
    is_contradictory: bool = False

    def add(self, usage: Usage, price: Decimal) -> None:
        prices = self.long if usage.is_long else self.usual
        if prices.setdefault(usage.kind, price) != price:
            self.is_contradictory = True


def read_products(items: Iterable[Mapping[str, Any]], *, source: str, checked: str) -> ReadPrices:
    """The rows in products of the Price List.

    Args:
        items: Products with their terms, as `GetProducts` returns them.
        source: What the rows say of their source.
        checked: The date they say, ISO 8601.
    """
    found: dict[_Place, _Found] = {}
    unmapped: set[str] = set()
    skipped = 0
    for item in items:
        attributes = item["product"]["attributes"]
        usage = read_usage_type(attributes.get("usagetype", ""))
        price = _price_of(item)
        region = attributes.get("regionCode")
        if usage is None or price is None or not region:
            skipped += 1
            continue
        name = _name_of(attributes, usage)
        if name not in _names().models:
            unmapped.add(name)
            continue
        model = _names().models[name]
        if model is None:
            skipped += 1
            continue
        scope = "global" if usage.is_global else "in-region"
        if region.startswith(f"{GOVCLOUD}-"):
            scope = GOVCLOUD
        found.setdefault((model, scope, usage.tier, region), _Found()).add(usage, price)
    rows, left_out = _rows(found, source, checked)
    return ReadPrices(
        rows=rows, unmapped=tuple(sorted(unmapped)), left_out=tuple(left_out), skipped=skipped
    )


def _name_of(attributes: Mapping[str, str], usage: Usage) -> str:
    """The name a product gives its model: of its own, in its service, or in its usage type."""
    named = attributes.get("model") or attributes.get("servicename", "").removesuffix(_EDITION)
    if usage.name is None:
        return named
    return attributes.get("model") or usage.name


def _price_of(item: Mapping[str, Any]) -> Decimal | None:
    """US dollars a million tokens; None if the product is not charged by tokens, or in steps."""
    terms = item.get("terms", {}).get("OnDemand", {}).values()
    dimensions = [each for term in terms for each in term.get("priceDimensions", {}).values()]
    if len(dimensions) != 1:
        return None
    times = _PER_MILLION.get(str(dimensions[0].get("unit", "")).lower())
    try:
        price = Decimal(dimensions[0]["pricePerUnit"]["USD"])
    except (KeyError, InvalidOperation):
        return None
    return None if times is None or not price.is_finite() or price < 0 else price * times


def _rows(
    found: Mapping[_Place, _Found], source: str, checked: str
) -> tuple[list[dict[str, Any]], list[str]]:
    merged: dict[tuple[str, str, str], dict[str, list[str]]] = {}
    left_out: list[str] = []
    for place in sorted(found, key=_order):
        model, scope, tier, region = place
        prices, problem = _prices(model, found[place])
        if problem:
            left_out.append(f"{model}, {scope}, {tier}, {region}: {problem}")
            continue
        groups = merged.setdefault((model, scope, tier), {})
        groups.setdefault(json.dumps(prices), []).append(region)
    rows = []
    for (model, scope, tier), groups in merged.items():
        for text, regions in groups.items():
            row: dict[str, Any] = {"model": model, "scope": scope, "tier": tier, "regions": regions}
            # One region that was read alone says nothing about the others.
            is_uniform = len(groups) == 1 and len(regions) > 1
            if is_uniform and model.startswith(_UNIFORM) and scope != GOVCLOUD:
                row["scope"] = "regional" if scope == "in-region" else scope
                del row["regions"]
            rows.append({**row, **json.loads(text), "source": source, "checked": checked})
    return rows, left_out


def _order(place: _Place) -> tuple[str, str, str, bool, str]:
    """us-east-1 comes first: its price is taken where the region is not known."""
    model, scope, tier, region = place
    return (model, scope, tier, region != "us-east-1", region)


def _prices(model: str, found: _Found) -> tuple[dict[str, Any], str]:
    """The prices of a row, or why there are none."""
    usual = dict(found.usual)
    if model in _names().without_output:
        usual.setdefault("output", Decimal(0))
    if found.is_contradictory:
        return {}, "two prices for one kind of tokens"
    free = [kind for kind in ("input", "output") if not usual.get(kind, 1)]
    if not usual.keys() >= {"input", "output"} or (free and model not in _names().without_output):
        return {}, "no price of input or of output"
    prices: dict[str, Any] = _texts(usual)
    if found.long and found.long != {kind: usual.get(kind) for kind in found.long}:
        above = _names().long_prompts.get(model)
        if above is None or not found.long.keys() >= {"input", "output"}:
            return {}, "long prompts cost more, from a length that is not known"
        prices["steps"] = [{"above": above, **_texts(found.long)}]
    elif not found.long and model in _names().long_prompts:
        # Elsewhere its long prompts cost more: without a price of theirs here they have none.
        prices["max_prompt_tokens"] = _names().long_prompts[model]
    return prices, ""


def _texts(prices: Mapping[str, Decimal]) -> dict[str, str]:
    return {kind: format(prices[kind].normalize(), "f") for kind in KINDS if kind in prices}
