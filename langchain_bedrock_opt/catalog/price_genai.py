"""Prices of the genai-prices package, where they are certainly of the model that is asked for.

It matches ids by parts of them, so that a model it does not know may come back as another one:
what it found is taken only if its own id is the model's. It knows two scopes, `global.` and
`regional.`, and one region, us-east-1; `regional.` is what AWS calls it only for Claude. It has no
service tiers and no batch.
"""

from __future__ import annotations

import logging
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from langchain_bedrock_opt.catalog.model_ids import ModelId
from langchain_bedrock_opt.catalog.model_price import PICO_PER_TOKEN, ModelPrice, PriceStep
from langchain_bedrock_opt.catalog.price_rows import GOVCLOUD

_LIST_REGION: Final = "us-east-1"
_UNIFORM: Final = "anthropic."
"""Models that cost the same in all commercial regions."""

_NAMES: Final = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write_5m",
    "cache_write_1h_mtok": "cache_write_1h",
}

_log = logging.getLogger(__name__)


def genai_price(model: ModelId, tier: str, region: str | None) -> ModelPrice | None:
    """What genai-prices says a model costs; None if it is not there or not certain.

    Args:
        model: A parsed id that names its model.
        tier: By what the call is billed; it knows the default one only.
        region: The region that was called.
    """
    base = model.base
    in_govcloud = model.scope == GOVCLOUD or (region or "").startswith(f"{GOVCLOUD}-")
    if base is None or tier != "default" or in_govcloud:
        return None
    uniform = base.startswith(_UNIFORM)
    if not uniform and region not in (None, _LIST_REGION):
        return None
    if model.scope == "global":
        return _price(f"global.{base}", f"global.{base}")
    if uniform:
        return _price(base, f"regional.{base}")
    return _price(base, base) if model.scope is None else None


@lru_cache(maxsize=512)
def _price(asked: str, expected: str) -> ModelPrice | None:
    """The price of a model if what is found under `asked` has the id that is expected."""
    try:
        import genai_prices

        usage = genai_prices.Usage(input_tokens=1)
        found = genai_prices.calc_price(usage, asked, provider_id="aws")
        if found.model.id != expected:
            return None
        return _read(vars(found.model_price))
    except (ImportError, LookupError):
        return None
    except Exception:
        # Another release of it may have another form, and a price is not worth a failed call.
        _log.warning("genai-prices can't be asked for a price of %s", asked, exc_info=True)
        return None


def _read(prices: dict[str, Any]) -> ModelPrice | None:
    """Its prices as ours; None if it charges for more than our kinds of tokens."""
    given = {name: price for name, price in prices.items() if price is not None}
    if given.keys() - _NAMES.keys() or not {"input_mtok", "output_mtok"} <= given.keys():
        return None
    base: dict[str, int] = {}
    longer: dict[int, dict[str, int]] = {}
    for name, price in given.items():
        kind = _NAMES[name]
        base[kind] = _pico(getattr(price, "base", price))
        for step in getattr(price, "tiers", ()):
            longer.setdefault(step.start, {})[kind] = _pico(step.price)
    # A kind that has no step of its own may cost what it costs below, or may not.
    if any(step.keys() != base.keys() for step in longer.values()):
        return None
    from genai_prices import __version__

    return ModelPrice(
        **base,
        steps=tuple(PriceStep(above=above, **longer[above]) for above in sorted(longer)),
        source=f"genai-prices {__version__}",
        checked="",
        layer="genai-prices",
    )


def _pico(usd_per_million: Decimal) -> int:
    pico = usd_per_million * PICO_PER_TOKEN
    if pico != int(pico):
        raise ValueError(f"{usd_per_million} USD a million tokens is not whole in pico-USD")
    return int(pico)
