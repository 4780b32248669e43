"""One budget's money: its limit, its windows, its groups, and the store that counts them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Final

from langchain_bedrock_opt.catalog.prices import PICO_PER_USD, usd
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.usage.budget.stores.base import BudgetStore, Grant, Level
from langchain_bedrock_opt.usage.budget.windows import Per, Window, window_at

MAX_USD: Final = 4_000_000
"""The largest limit: stores count in integers of 64 bits, with room for what passes a limit."""

NO_GROUP: Final = "(none)"
"""Group of the calls that do not have the tag or the metadata that a budget is by."""

_GRACE: Final = 24 * 3600.0
"""Seconds for which a window that is over is kept, for calls that are still under way."""

_LEVEL_AGE: Final = 5.0
"""Seconds for which the last level seen of a shared store is good enough for a router."""

_MAX_LEVELS: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One budget in one window.

    Attributes:
        key: Its name in the store.
        group: Whose it is; None of one budget for all.
        window: The window.
    """

    key: str
    group: str | None
    window: Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """What came of a wish to reserve.

    Attributes:
        levels: How full the places are now; where one had no room, how full that one is.
        refused: The place that had no room, if any: then nothing is reserved anywhere.
    """

    levels: tuple[Level, ...]
    refused: Place | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStatus:
    """How full a budget is. Money is exact.

    Attributes:
        limit_usd: The limit.
        spent_usd: What calls that have ended cost.
        reserved_usd: What calls under way can cost at most.
        resets_at: When the next window begins, in UTC; None if there is only one.
    """

    limit_usd: Decimal
    spent_usd: Decimal
    reserved_usd: Decimal
    resets_at: datetime | None

    @property
    def remaining_usd(self) -> Decimal:
        """What can still be reserved; 0 if the limit is passed."""
        return max(Decimal(0), self.limit_usd - self.spent_usd - self.reserved_usd)

    @property
    def used(self) -> float:
        """The part of the limit that is spent or reserved: 0 is nothing, 1 all."""
        if not self.limit_usd:
            return 1.0
        return float((self.spent_usd + self.reserved_usd) / self.limit_usd)


def pico_of(limit_usd: float | str | Decimal) -> int:
    """A limit in pico-USD.

    Raises:
        ConfigurationError: It is not an amount of money, or out of range.

    Example:
        >>> pico_of("0.5")
        500000000000
    """
    try:
        limit = Decimal(str(limit_usd))
    except InvalidOperation:
        limit = Decimal("NaN")
    if not (limit.is_finite() and 0 <= limit <= MAX_USD):
        raise ConfigurationError(f"limit_usd={limit_usd!r}: give US dollars, from 0 to {MAX_USD}.")
    return int(limit * PICO_PER_USD)


def grouping(by: str | None) -> Callable[[tuple[str, ...], Mapping[str, object]], tuple[str, ...]]:
    """The function that tells a run's groups by its tags and metadata.

    Args:
        by: `tag:NAME`, `metadata:KEY`, or None.

    Raises:
        ConfigurationError: It is none of these.

    Example:
        >>> grouping("tag:team")(("team:search", "beta"), {})
        ('search',)
    """
    if by is None:
        return lambda _tags, _metadata: ()
    kind, _, name = by.partition(":") if isinstance(by, str) else ("", "", "")
    if name and kind == "tag":
        prefix = f"{name}:"
        return lambda tags, _metadata: (
            tuple(dict.fromkeys(tag[len(prefix) :] for tag in tags if tag.startswith(prefix)))
            or (NO_GROUP,)
        )
    if name and kind == "metadata":
        return lambda _tags, metadata: (str(metadata.get(name, NO_GROUP)),)
    raise ConfigurationError(f"by={by!r}: give 'tag:NAME', 'metadata:KEY', or None for all calls.")


class Account:
    """Reserves and settles amounts of one budget.

    Args:
        limit: The limit, in pico-USD.
        name: The budget's name in the store.
        per: How long its windows are.
        by: What its groups are by.
        store: Where it is counted.
        is_strict: False counts what passes the limit, too.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        limit: int,
        *,
        name: str,
        per: Per | None,
        by: str | None,
        store: BudgetStore,
        is_strict: bool,
        clock: Callable[[], float],
    ) -> None:
        self.limit = limit
        self._name = name
        self._per = per
        self._by = by
        self._groups_of = grouping(by)
        self._store = store
        self._is_strict = is_strict
        self._clock = clock
        self._seen: dict[str, tuple[float, Level]] = {}
        self._last = window_at(per, clock())

    def places(self, tags: tuple[str, ...], metadata: Mapping[str, object]) -> tuple[Place, ...]:
        """The budgets that a run counts in, now."""
        window = self._window()
        if self._by is None:
            return (self._place(window, None),)
        return tuple(self._place(window, group) for group in self._groups_of(tags, metadata))

    def place(self, group: str | None) -> Place:
        """The budget of a group, now.

        Raises:
            ConfigurationError: A group is named and there are none, or the other way round.
        """
        if (group is None) != (self._by is None):
            raise ConfigurationError(
                f"group={group!r}: the budget is for all calls, leave it out."
                if self._by is None
                else f"The budget is by {self._by!r}: name the group, such as status('search')."
            )
        return self._place(self._window(), group)

    def reserve(self, places: Sequence[Place], reservation: str, amount: int) -> Reserved:
        """Reserve an amount in every place, or in none.

        Args:
            places: Where.
            reservation: A name for it that no other has.
            amount: In pico-USD.

        Raises:
            BudgetStoreError: The store failed, and is not allowed to.
        """
        levels: list[Level] = []
        refused: Place | None = None
        try:
            for place in places:
                granted, level = self._reserve_in(place, reservation, amount)
                if not granted:
                    refused = place
                    break
                levels.append(level)
        finally:
            # Also where the store failed in the middle.
            if len(levels) < len(places):
                for held in places[: len(levels)]:
                    self.settle(held.key, reservation, amount, 0)
        if refused is not None:
            return Reserved(levels=(level,), refused=refused)
        return Reserved(levels=tuple(levels), refused=None)

    def _reserve_in(self, place: Place, reservation: str, amount: int) -> Grant:
        window = place.window
        grant = self._store.reserve(
            place.key,
            reservation,
            amount,
            limit=self.limit if self._is_strict else None,
            ttl=None if window.ends_at is None else window.ends + _GRACE - self._clock(),
        )
        self._note(place.key, grant.level)
        return grant

    def settle(self, key: str, reservation: str, reserved: int, amount: int) -> Level | None:
        """Put what a run cost in the place of what it reserved."""
        level = self._store.settle(key, reservation, reserved, amount)
        if level is not None:
            self._note(key, level)
        return level

    def status(self, group: str | None) -> BudgetStatus:
        """How full the budget is, by the store."""
        place = self.place(group)
        level = self._store.level(place.key)
        self._note(place.key, level)
        return BudgetStatus(
            limit_usd=usd(self.limit),
            spent_usd=usd(level.spent),
            reserved_usd=usd(level.reserved),
            resets_at=place.window.ends_at,
        )

    def left(self, group: str | None) -> float:
        """What is left of the limit, from 1 to 0, by what was seen of a shared store lately."""
        key = self.place(group).key
        if not self.limit:
            return 0.0
        seen = self._seen.get(key)
        if seen is None or self._clock() - seen[0] > _LEVEL_AGE:
            level = self._store.level(key)
            self._note(key, level)
        else:
            level = seen[1]
        return max(0.0, 1 - level.committed / self.limit)

    def _window(self) -> Window:
        now, last = self._clock(), self._last
        if not last.begins <= now < last.ends:
            last = self._last = window_at(self._per, now)
        return last

    def _place(self, window: Window, group: str | None) -> Place:
        parts = [self._name, window.label] + ([] if group is None else [f"{self._by}={group}"])
        return Place(key="|".join(parts), group=group, window=window)

    def _note(self, key: str, level: Level) -> None:
        if self._store.is_blocking:
            if key not in self._seen and len(self._seen) >= _MAX_LEVELS:
                self._seen.clear()
            self._seen[key] = (self._clock(), level)
