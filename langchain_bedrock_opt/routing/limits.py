"""What rules a tier out, whatever the score: abilities, places, money."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing.records import IN_REGION, Needs, Tier

_logger = logging.getLogger(__name__)

_ESTIMATE_MARGIN: Final = 1.1
"""Token estimates are within about 10 %; a request that may not fit is not sent."""


@runtime_checkable
class SupportsHeadroom(Protocol):
    """A budget that can say how much of it is left."""

    def headroom(self) -> float:
        """What is left of the budget, from 1 (all) to 0 (nothing)."""


Headroom = Callable[[], float] | SupportsHeadroom


@dataclass(frozen=True, slots=True, kw_only=True)
class Residency:
    """Where data may go.

    A cross-region profile answers in any region of its scope, whichever region is called: so both
    are asked.

    Attributes:
        scopes: Scopes that are allowed: `in-region`, `jp`, `eu`, …. None allows every scope, or,
            where `regions` are given, `in-region` alone.
        regions: Regions that may be called; None allows any.

    Example:
        >>> tokyo = Residency(regions=("ap-northeast-1",))
        >>> tokyo.allows(Tier(name="a", model_id="m", scope="in-region", region="ap-northeast-1"))
        True
        >>> tokyo.allows(Tier(name="b", model_id="m", scope="global", region="ap-northeast-1"))
        False
    """

    scopes: tuple[str, ...] | None = None
    regions: tuple[str, ...] | None = None

    def allows(self, tier: Tier) -> bool:
        """Whether a tier keeps the data where it may be. What is not known is not allowed."""
        scopes = self.scopes
        if self.regions is not None:
            if tier.region not in self.regions:
                return False
            scopes = scopes or (IN_REGION,)
        return scopes is None or tier.scope in scopes

    def refusal(self, tier: Tier) -> str:
        """What a tier that is not allowed lacks, in a few words."""
        place = f"scope {tier.scope or 'not known'}, region {tier.region or 'not known'}"
        return f"a place where data may go (it has {place})"


def residency(
    scopes: Collection[str] | None = None, regions: Collection[str] | None = None
) -> Residency | None:
    """The allow-list of a policy, checked; None if there is none.

    Args:
        scopes: As in `Residency`; a prefix with its dot, `"jp."`, is the same.
        regions: As in `Residency`.

    Raises:
        ConfigurationError: One of them is a single text, or empty.
    """
    if scopes is None and regions is None:
        return None
    for name, values in (("scopes", scopes), ("regions", regions)):
        if isinstance(values, str) or (values is not None and not values):
            raise ConfigurationError(
                f"{name}={values!r}: give a list of names, such as {name}=['{_example(name)}']."
            )
    return Residency(
        scopes=None if scopes is None else tuple(scope.removesuffix(".") for scope in scopes),
        regions=None if regions is None else tuple(regions),
    )


def _example(name: str) -> str:
    return "jp" if name == "scopes" else "ap-northeast-1"


def lacks(tier: Tier, needs: Needs) -> list[str]:
    """What a request needs and a tier does not have, each in a few words."""
    lacking = [
        name
        for name in ("images", "documents", "tools", "json_schema")
        if getattr(needs, name) and getattr(tier, name) is False
    ]
    window = tier.context_window
    if window is not None and needs.tokens * _ESTIMATE_MARGIN > window:
        lacking.append(f"a context of about {needs.tokens} tokens (it has {window})")
    return lacking


def checked_headroom(budget: Headroom) -> Headroom:
    """A budget that can say what is left of it, as far as asking it once tells.

    Args:
        budget: A function, or an object with `headroom()`.

    Raises:
        ConfigurationError: It says that it can't be asked so, such as a budget by tag, of which
            somebody must say whose is meant.
    """
    try:
        _read(budget)
    except ConfigurationError as error:
        raise ConfigurationError(
            f"headroom={budget!r} can't be asked without more: {error} Pass a function, such as "
            "headroom=lambda: budget.headroom('search')."
        ) from error
    except Exception:
        _logger.debug("The budget does not say what is left of it", exc_info=True)
    return budget


def _read(budget: Headroom) -> float:
    return float(budget.headroom() if isinstance(budget, SupportsHeadroom) else budget())


def left_of(budget: Headroom) -> float:
    """What is left of a budget, from 0 to 1. One that fails has its say no more than a full one.

    Args:
        budget: A function, or an object with `headroom()`.
    """
    try:
        return _read(budget)
    except Exception as error:  # noqa: BLE001 - whatever a budget of the user's raises
        # A broken gauge must not stop the calls it gauges.
        _logger.warning("The budget did not say what is left of it; routing without it: %s", error)
        return 1.0
