"""From a score to a tier: thresholds, after what the request can't do without.

A policy is a pure function. It knows the tiers only by their facts, and calls nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from langchain_bedrock_opt.errors import ConfigurationError, UnknownTierError

_LOWEST_DEFAULT: Final = 0.29
_HIGHEST_DEFAULT: Final = 0.52
# On a day's mixed traffic these two leave half of the prompts in the lowest of three tiers and a
# third in the middle one, in English and in Japanese.

_ESTIMATE_MARGIN: Final = 1.1
"""Token estimates are within about 10 %; a request that may not fit is not sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """What a policy knows of one tier. None stands for "not known", which never rules it out.

    Attributes:
        name: Its name, such as `simple`.
        model_id: The model id or ARN behind it.
        context_window: Tokens that fit in.
        images: Whether it takes images.
        documents: Whether it takes documents.
        tools: Whether it can call tools.
        json_schema: Whether it answers by a JSON schema natively.
    """

    name: str
    model_id: str
    context_window: int | None = None
    images: bool | None = None
    documents: bool | None = None
    tools: bool | None = None
    json_schema: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a request can't do without.

    Attributes:
        tokens: Estimated tokens of its context.
        images: It holds images.
        documents: It holds documents.
        tools: Tools are bound.
        json_schema: The answer must follow a JSON schema, natively.
    """

    tokens: int = 0
    images: bool = False
    documents: bool = False
    tools: bool = False
    json_schema: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A policy's answer: the tier, and the other tiers that could have answered."""

    tier: Tier
    alternatives: tuple[Tier, ...] = ()


class RoutingPolicy:
    """Chooses the tier for a score: the highest whose threshold the score reaches.

    What a tier can't serve (context window, images, documents, tools, JSON schema) rules it out
    first; then the next stronger tier takes its prompts, or, above the strongest, the next weaker
    one that can.

    Args:
        thresholds: Where each tier but the first begins: a mapping from tier names to scores, or
            the scores in the tiers' order. None spreads them by the default.

    Raises:
        ConfigurationError: A threshold is not between 0 and 1, or they don't ascend.

    Example:
        >>> tiers = [Tier(name="simple", model_id="a"), Tier(name="complex", model_id="b")]
        >>> RoutingPolicy([0.5]).choose(0.7, tiers).tier.name
        'complex'
        >>> RoutingPolicy({"complex": 0.9}).choose(0.7, tiers).tier.name
        'simple'
    """

    def __init__(self, thresholds: Mapping[str, float] | Sequence[float] | None = None) -> None:
        self.thresholds = thresholds
        if isinstance(thresholds, Mapping):
            _check_range(tuple(thresholds.values()))
        elif thresholds is not None:
            _check_ascending(thresholds)

    def __repr__(self) -> str:
        """As it was made."""
        return f"RoutingPolicy(thresholds={self.thresholds!r})"

    def thresholds_for(self, names: Sequence[str]) -> tuple[float, ...]:
        """The score at which each tier begins, the first at 0.

        Args:
            names: The tiers' names, from the cheapest to the strongest.

        Raises:
            UnknownTierError: A threshold is for a tier that is not there.
            ConfigurationError: There is not one threshold for each tier but the first, or they
                don't ascend with the tiers.

        Example:
            >>> RoutingPolicy([0.4]).thresholds_for(["simple", "complex"])
            (0.0, 0.4)
        """
        if self.thresholds is None:
            return (0.0, *_default_thresholds(len(names) - 1))
        if isinstance(self.thresholds, Mapping):
            return _by_name(self.thresholds, names)
        if len(self.thresholds) != len(names) - 1:
            raise ConfigurationError(
                f"{len(self.thresholds)} thresholds for the tiers {', '.join(names)}: give "
                f"{len(names) - 1}, one for each tier but the first."
            )
        return (0.0, *self.thresholds)

    def choose(self, score: float, tiers: Sequence[Tier], needs: Needs | None = None) -> Choice:
        """Choose a tier.

        Args:
            score: The prompt's complexity, from 0 to 1.
            tiers: The tiers, from the cheapest to the strongest.
            needs: What the request can't do without.

        Raises:
            ConfigurationError: No tier can serve the request, or the thresholds don't fit the
                tiers.
        """
        needs = needs or Needs()
        thresholds = self.thresholds_for([tier.name for tier in tiers])
        wanted = max(index for index, start in enumerate(thresholds) if score >= start)
        able = [index for index, tier in enumerate(tiers) if not _lacks(tier, needs)]
        if not able:
            raise ConfigurationError(_refusal(tiers, needs))
        stronger = [index for index in able if index >= wanted]
        chosen = stronger[0] if stronger else able[-1]
        return Choice(
            tier=tiers[chosen],
            alternatives=tuple(tiers[index] for index in able if index != chosen),
        )


def _check_range(values: Sequence[float]) -> None:
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
            raise ConfigurationError(f"Threshold {value!r} is not a number from 0 to 1.")


def _check_ascending(values: Sequence[float]) -> None:
    _check_range(values)
    if list(values) != sorted(values):
        raise ConfigurationError(f"Thresholds {list(values)} don't ascend.")


def _default_thresholds(count: int) -> tuple[float, ...]:
    """Evenly from the lowest default to the highest; a single one between them."""
    if count == 1:
        return ((_LOWEST_DEFAULT + _HIGHEST_DEFAULT) / 2,)
    step = (_HIGHEST_DEFAULT - _LOWEST_DEFAULT) / max(count - 1, 1)
    return tuple(_LOWEST_DEFAULT + step * index for index in range(count))


def _by_name(thresholds: Mapping[str, float], names: Sequence[str]) -> tuple[float, ...]:
    for name in thresholds:
        if name not in names:
            raise UnknownTierError(f"Threshold for {name!r}: tiers are {', '.join(names)}.")
    missing = [name for name in names[1:] if name not in thresholds]
    if missing:
        raise ConfigurationError(f"No threshold for tier {', '.join(missing)}.")
    values = [thresholds[name] for name in names[1:]]
    _check_ascending(values)
    return (0.0, *values)


def _lacks(tier: Tier, needs: Needs) -> list[str]:
    """What a request needs and the tier does not have."""
    lacking = [
        name
        for name in ("images", "documents", "tools", "json_schema")
        if getattr(needs, name) and getattr(tier, name) is False
    ]
    window = tier.context_window
    if window is not None and needs.tokens * _ESTIMATE_MARGIN > window:
        lacking.append(f"a context of about {needs.tokens} tokens (it has {window})")
    return lacking


def _refusal(tiers: Sequence[Tier], needs: Needs) -> str:
    lacks = "; ".join(f"{tier.name!r} lacks {', '.join(_lacks(tier, needs))}" for tier in tiers)
    return f"No tier can take this request: {lacks}. Add a tier that can, or send less."
