"""Which tier is asked when one can't be reached."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, TypeAlias

from langchain_bedrock_opt.errors import ConfigurationError, UnknownTierError

Fallback: TypeAlias = "Mapping[str, str] | Literal['next'] | None"
"""Tier names by the tier they stand in for; `"next"` for the nearest one; None for nobody."""


class FallbackOrder:
    """Who stands in for a tier that is throttled or not available. Pure.

    Args:
        fallback: Whom to ask; see `Fallback`. `"next"` is the nearest stronger tier that can
            serve the request, and above the strongest the nearest weaker one.
        names: The tiers' names, from the cheapest to the strongest.

    Raises:
        UnknownTierError: A tier is named that does not exist.
        ConfigurationError: A tier shall stand in for itself, or the argument is none of these.

    Example:
        >>> order = FallbackOrder("next", ["simple", "moderate", "complex"])
        >>> order.after("moderate", able=["simple", "complex"], tried=["moderate"])
        'complex'
        >>> order.after("complex", able=["simple"], tried=["moderate", "complex"])
        'simple'
    """

    def __init__(self, fallback: Fallback, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._fallback = fallback
        if isinstance(fallback, Mapping):
            _check(fallback, names)
        elif fallback not in (None, "next"):
            raise ConfigurationError(
                f"fallback={fallback!r}: give 'next', a dict of tier names such as "
                f"{{{names[0]!r}: {names[-1]!r}}}, or None."
            )

    @property
    def is_on(self) -> bool:
        """Whether any tier has somebody to stand in for it."""
        return bool(self._fallback)

    def after(self, tier: str, *, able: Collection[str], tried: Collection[str]) -> str | None:
        """The tier to ask next; None if there is none left.

        Args:
            tier: The tier that could not be reached.
            able: The tiers that can serve the request.
            tried: The tiers that were asked already, `tier` among them: each is asked once.
        """
        if self._fallback is None:
            return None
        if isinstance(self._fallback, Mapping):
            named = self._fallback.get(tier)
            candidates = [] if named is None else [named]
        else:
            place = self._names.index(tier)
            candidates = [*self._names[place + 1 :], *reversed(self._names[:place])]
        return next((name for name in candidates if name in able and name not in tried), None)


def _check(fallback: Mapping[str, str], names: Sequence[str]) -> None:
    for tier, other in fallback.items():
        for name in (tier, other):
            if name not in names:
                raise UnknownTierError(f"fallback names {name!r}: tiers are {', '.join(names)}.")
        if tier == other:
            raise ConfigurationError(f"fallback={{{tier!r}: {other!r}}}: a tier can't be its own.")
