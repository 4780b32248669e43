"""What rules a tier out, whatever the score: abilities, places, money, slowness."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Final, Protocol, runtime_checkable

from langchain_bedrock_opt.contracts import Reason
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


@dataclass(frozen=True, slots=True)
class LatencyLimit:
    """How long the first token may take, by what was measured.

    Attributes:
        max_ttft_ms: Milliseconds.
        measured: The time to first token by model id; a model that is not there is not slow.

    Example:
        >>> limit = LatencyLimit(800, {"slow": 1900.0})
        >>> limit.refusal(Tier(name="complex", model_id="slow"))
        'a first token within 800 ms (it took 1900 ms)'
        >>> limit.refusal(Tier(name="simple", model_id="new"))
    """

    max_ttft_ms: float
    measured: Mapping[str, float]

    def refusal(self, tier: Tier) -> str | None:
        """What a tier lacks that was measured to be too slow; None for another."""
        took = self.measured.get(tier.model_id)
        if took is None or took <= self.max_ttft_ms:
            return None
        return f"a first token within {self.max_ttft_ms:.0f} ms (it took {took:.0f} ms)"

    def added_to(
        self, refusals: Sequence[Sequence[str]], tiers: Sequence[Tier], at_least: int = 0
    ) -> tuple[list[Sequence[str]], tuple[Reason, ...]]:
        """Why each tier can't take a request, slowness included, unless nobody were left.

        Then the limit is set aside, and a reason without weight says so.

        Args:
            refusals: Why each can't but for that.
            tiers: The tiers, from the cheapest to the strongest.
            at_least: The index of the tier below which the request must not go for slowness.
        """
        slow = [self.refusal(tier) for tier in tiers]
        stricter = [
            refused if why is None else [*refused, why]
            for refused, why in zip(refusals, slow, strict=True)
        ]
        lowest = 0 if all(refusals[at_least:]) else at_least
        if not all(stricter[lowest:]):
            return stricter, ()
        who = f"no tier from {tiers[lowest].name} up" if lowest else "no tier"
        detail = f"max_ttft_ms is set aside: {who} that can answer gives a first token within "
        detail += f"{self.max_ttft_ms:.0f} ms"
        return list(refusals), (Reason(signal="latency", weight=0.0, detail=detail),)


def latency_limit(
    max_ttft_ms: float | None, latency: Mapping[str, float] | None
) -> LatencyLimit | None:
    """The limit of a policy, checked; None if there is none.

    Args:
        max_ttft_ms: As in `LatencyLimit`.
        latency: Its `measured`.

    Raises:
        ConfigurationError: One is given without the other, or is not what it can be.
    """
    if max_ttft_ms is None and latency is None:
        return None
    if max_ttft_ms is None or not isinstance(latency, Mapping):
        raise ConfigurationError(
            f"max_ttft_ms={max_ttft_ms!r} and latency={latency!r} go together: give milliseconds "
            "by model id, such as ledger.latency().ttft_ms(percentile=95)."
        )
    if not _is_time(max_ttft_ms) or not max_ttft_ms > 0:
        raise ConfigurationError(f"max_ttft_ms={max_ttft_ms!r} is not a number above 0.")
    for model_id, took in latency.items():
        if not _is_time(took):
            raise ConfigurationError(
                f"latency of {model_id!r} is {took!r}: give milliseconds, or leave it out."
            )
    if not latency:
        # No mistake: so it is with a ledger that is still empty. But it may stay so unnoticed.
        _logger.warning(
            "max_ttft_ms=<%s> limits nothing: latency is empty. A ledger's table leaves out models "
            "with fewer measured streams than ttft_ms(min_calls=...)",
            max_ttft_ms,
        )
    return LatencyLimit(max_ttft_ms, dict(latency))


def _is_time(value: object) -> bool:
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    return is_number and value >= 0  # type: ignore[operator] # it is a number; NaN is not above


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
