"""What a model is offered in besides plain on-demand: service tiers, latency-optimized inference.

A model is offered in a service tier where that tier has a price for it: AWS's price list is the
only list of it that there is for all models, and `refresh_prices` brings it up to date. Models
with latency-optimized inference, which is a preview, are rows of `data/offers.json`. What a model
that no price is known of offers is not known, and nothing is refused for it.

Levels of reasoning effort are not here: langchain-aws knows them (`model.profile`), and sends an
effort only to a model that has it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Final

from langchain_bedrock_opt.catalog.model_ids import ModelId, ModelIdKind, parse_model_id
from langchain_bedrock_opt.catalog.price_book import default_prices
from langchain_bedrock_opt.catalog.price_rows import EVERYWHERE
from langchain_bedrock_opt.errors import ConfigurationError, ModelIdError

SERVICE_TIERS: Final = ("default", "flex", "priority", "reserved")
"""All service tiers of Converse."""

_PRICED: Final = ("flex", "priority")


@dataclass(frozen=True, slots=True)
class Offers:
    """What a model is offered in.

    Attributes:
        service_tiers: The service tiers that it takes. `reserved` is among those of every model:
            AWS's account team sells it, and no list says who has it.
        latency_optimized: Whether it takes latency-optimized inference.
    """

    service_tiers: tuple[str, ...]
    latency_optimized: bool


_HOURLY: Final = Offers(("default",), latency_optimized=False)
"""A provisioned throughput has no tiers: it is paid by the hour. Unverified against AWS."""


def offers_of(model_id: str, region: str | None = None) -> Offers | None:
    """What a model is offered in; None if that is not known.

    Args:
        model_id: A bare id, a profile id or an ARN.
        region: The region that is called; None asks for any.

    Example:
        >>> offers_of("us.amazon.nova-pro-v1:0", "us-east-1").service_tiers
        ('default', 'flex', 'priority', 'reserved')
        >>> offers_of("us.anthropic.claude-haiku-4-5-20251001-v1:0").service_tiers
        ('default', 'reserved')
        >>> offers_of("acme.frontier-v9") is None
        True
    """
    try:
        model = parse_model_id(model_id)
    except ModelIdError:
        return None
    if model.kind is ModelIdKind.PROVISIONED_MODEL:
        return _HOURLY
    region = model.region or region
    if model.base is None or not _has_price(model.base, "default", region):
        return None
    return Offers(
        tuple(
            tier
            for tier in SERVICE_TIERS
            if tier not in _PRICED or _has_price(model.base, tier, region)
        ),
        latency_optimized=_is_latency_optimized(model, region),
    )


def check_offer(
    model_id: str,
    region: str | None,
    *,
    service_tier: str | None = None,
    performance: str | None = None,
) -> None:
    """Refuse a setting of a chat model that its model is known not to offer.

    Args:
        model_id: A bare id, a profile id or an ARN.
        region: The region that is called, if it is known.
        service_tier: The service tier that is asked for, if one is.
        performance: `optimized` if latency-optimized inference is asked for.

    Raises:
        ConfigurationError: The model does not offer it, as far as is known; says where it is.

    Example:
        >>> check_offer("us.amazon.nova-pro-v1:0", "us-east-1", service_tier="flex")
        >>> check_offer("amazon.nova-lite-v1:0", None, performance="optimized")
        Traceback (most recent call last):
        langchain_bedrock_opt.errors.ConfigurationError: performance 'optimized' is not offered \
for 'amazon.nova-lite-v1:0', as far as is known: leave it out, or take another model. If Bedrock \
offers it by now, pass layers=[Lane(performance='optimized', check=False)] instead.
    """
    offers = offers_of(model_id, region)
    if offers is None:
        return
    base = parse_model_id(model_id).base or ""
    if service_tier is not None and service_tier not in offers.service_tiers:
        regions = default_prices().regions(base, service_tier)
        raise _refusal("service_tier", service_tier, model_id, region, regions)
    if performance == "optimized" and not offers.latency_optimized:
        row = _latency_rows().get(base)
        raise _refusal("performance", performance, model_id, region, row["regions"] if row else ())


def _refusal(
    setting: str, value: str, model_id: str, region: str | None, regions: Collection[str]
) -> ConfigurationError:
    place = f" in {region}" if region else ""
    others = f"call it in {', '.join(sorted(regions))}, " if regions else ""
    return ConfigurationError(
        f"{setting} {value!r} is not offered for {model_id!r}{place}, as far as is known: leave it "
        f"out, {others}or take another model. If Bedrock offers it by now, pass "
        f"layers=[Lane({setting}={value!r}, check=False)] instead."
    )


def _has_price(base_model_id: str, tier: str, region: str | None) -> bool:
    regions = default_prices().regions(base_model_id, tier)
    return bool(regions) and (region is None or region in regions or EVERYWHERE in regions)


def _is_latency_optimized(model: ModelId, region: str | None) -> bool:
    row = _latency_rows().get(model.base or "")
    if row is None or (model.scope is not None and model.scope not in row["scopes"]):
        return False
    return region is None or region in row["regions"]


@lru_cache(maxsize=1)
def _latency_rows() -> Mapping[str, Mapping[str, list[str]]]:
    document = json.loads((files(__package__) / "data" / "offers.json").read_text("utf-8"))
    return {row["model"]: row for row in document["latency_optimized"]}
