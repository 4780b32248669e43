"""Settings meant for all tiers of a router, of which each model takes what it is offered in."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from langchain_bedrock_opt.catalog.offers import check_offer
from langchain_bedrock_opt.errors import ConfigurationError

logger = logging.getLogger(__name__)

_SETTINGS: Final = ("service_tier", "performance_config")


def params_by_tier(
    model_ids: Mapping[str, str], params: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """The constructor arguments of each tier.

    A service tier or a latency mode that some of the models are offered in is left out for the
    others. What none of them is offered in stays, so that making the models says so.

    Args:
        model_ids: Model ids by tier name.
        params: Constructor arguments for all of them.
    """
    fitted = {name: dict(params) for name in model_ids}
    region = params.get("region_name")
    for setting in _SETTINGS:
        if (value := params.get(setting)) is None:
            continue
        without = [
            name
            for name, model_id in model_ids.items()
            if not _is_offered(model_id, region, setting, value)
        ]
        if 0 < len(without) < len(model_ids):
            logger.warning("%s=%r is left out for tiers=<%s>", setting, value, ", ".join(without))
            for name in without:
                del fitted[name][setting]
    return fitted


def _is_offered(model_id: str, region: str | None, setting: str, value: Any) -> bool:
    if setting == "service_tier":
        asked = {"service_tier": value}
    else:
        asked = {"performance": value.get("latency") if isinstance(value, Mapping) else None}
    try:
        check_offer(model_id, region, **asked)
    except ConfigurationError:
        return False
    return True
