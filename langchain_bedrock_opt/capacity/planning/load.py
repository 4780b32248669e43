"""`Load`: the tokens of each minute, and how usage records become one."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta, timezone
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from langchain_bedrock_opt.catalog.model_ids import parse_model_id
from langchain_bedrock_opt.catalog.model_price import KINDS
from langchain_bedrock_opt.contracts import TokenUsage, UsageRecord
from langchain_bedrock_opt.errors import ConfigurationError, ModelIdError

MINUTES_A_DAY: Final = 1440

_MINUTE: Final = 60
_TICK: Final = timedelta(microseconds=1)

_MOST_TOKENS: Final = 10**12  # in a minute: the sums of years still are exact
_MOST_MINUTES: Final = 5 * 366 * MINUTES_A_DAY  # a wrong date must not take all memory


class Load:
    """The tokens of each minute, split the way Bedrock bills them.

    Args:
        input_tokens: Tokens of prompts that were neither read from nor written to the prompt
            cache, a number a minute. Fractions are rounded to whole tokens.
        output_tokens: Tokens of answers, as many numbers.
        cache_read: Tokens that were read from the prompt cache; None for none.
        cache_write_5m: Tokens that were written to it for five minutes.
        cache_write_1h: Tokens that were written to it for an hour.
        start: When the first minute began, in UTC; None if that is not known.

    Raises:
        ConfigurationError: There is no minute, or a number is below zero or none at all.

    Attributes:
        tokens: Whole tokens, a row a minute, a column each for input, output, cache reads and
            the two kinds of cache writes. It can't be written to.
        start: When the first minute began; None if that is not known.

    Example:
        >>> load = Load([90_000, 0, 180_000], [18_000, 0, 72_000])
        >>> load.minutes, int(load.tokens.sum())
        (3, 360000)
    """

    __slots__ = ("start", "tokens")

    def __init__(
        self,
        input_tokens: ArrayLike,
        output_tokens: ArrayLike,
        *,
        cache_read: ArrayLike | None = None,
        cache_write_5m: ArrayLike | None = None,
        cache_write_1h: ArrayLike | None = None,
        start: datetime | None = None,
    ) -> None:
        given = (input_tokens, output_tokens, cache_read, cache_write_5m, cache_write_1h)
        columns = {
            name: _whole(column, name)
            for name, column in zip(KINDS, given, strict=True)
            if column is not None
        }
        minutes = len(columns["input"])
        self.tokens: NDArray[np.int64] = np.zeros((minutes, len(KINDS)), np.int64)
        for number, name in enumerate(KINDS):
            if name in columns:
                if len(columns[name]) != minutes:
                    raise ConfigurationError(
                        f"The load has {minutes} minutes of input and {len(columns[name])} of "
                        f"{name}: give a number for each minute."
                    )
                self.tokens[:, number] = columns[name]
        self.tokens.flags.writeable = False
        self.start = start

    @property
    def minutes(self) -> int:
        """How many minutes it covers."""
        return len(self.tokens)

    @property
    def days(self) -> float:
        """How many days it covers."""
        return self.minutes / MINUTES_A_DAY

    def __repr__(self) -> str:
        """Its length and sum."""
        return f"Load(minutes={self.minutes}, tokens={self.tokens.sum()})"


AnyLoad: TypeAlias = "Load | Iterable[UsageRecord] | Iterable[tuple[float, float]] | NDArray[Any]"
"""A `Load`, usage records, or a pair of input and output tokens for each minute."""


def as_load(load: AnyLoad) -> Load:
    """Any form of a load as a `Load`.

    Args:
        load: A `Load`; usage records; or pairs of input and output tokens, one a minute, also as
            an array or a pandas frame of two columns.

    Raises:
        ConfigurationError: It is none of these, it is empty, or a number is wrong.
    """
    if isinstance(load, Load):
        return load
    pairs: Any = load
    if not hasattr(load, "__array__"):
        pairs = list(load)
        if pairs and isinstance(pairs[0], UsageRecord):
            return minute_load(pairs)
    try:
        array = np.asarray(pairs)
    except ValueError:  # rows of unequal lengths
        array = np.zeros(1)
    if array.size and (array.ndim != 2 or array.shape[1] != 2):  # noqa: PLR2004 - pairs
        raise ConfigurationError(
            f"A load of {type(load).__name__} is no pair of input and output tokens for each "
            "minute: pass such pairs, usage records, or Load(input_tokens, output_tokens)."
        )
    return Load(*array.reshape(-1, 2).T)


def _whole(column: ArrayLike, name: str) -> NDArray[np.int64]:
    """One column as whole numbers of tokens."""
    try:
        numbers = np.asarray(column, np.float64)
    except (TypeError, ValueError):
        numbers = np.empty(())
    if numbers.ndim != 1:
        raise ConfigurationError(f"The load's {name} is no list of one number a minute.")
    if not len(numbers):
        raise ConfigurationError("The load is empty: it needs a minute at least.")
    wrong = ~((numbers >= 0) & (numbers <= _MOST_TOKENS))
    if wrong.any():
        minute = int(wrong.argmax())
        raise ConfigurationError(
            f"The load's {name} of minute {minute} is {numbers[minute]:g}: it must be a number of "
            "tokens, 0 for a minute without calls."
        )
    return np.rint(numbers).astype(np.int64)


def minute_load(
    records: Iterable[UsageRecord],
    model: str | Collection[str] | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Load:
    """The tokens of each minute, from usage records.

    What a cache or an invocation job answered is left out: it would not go to a model unit. A
    call counts wholly in the minute in which it began. Where nobody said what a call spent, the
    record's estimate counts if it has one. Calls that were throttled away are in no record: what
    users wanted may have been more.

    Args:
        records: Any usage records, such as `ledger.records()`.
        model: The model whose calls count, by a bare id, a profile's id or an ARN; profiles of
            it count, too. Several models may be put together. None takes all calls, which must
            be of one model then.
        since: Where the load begins, an aware time; by default at the first call.
        until: Where it ends; by default after the last call's minute.

    Returns:
        Minutes without calls are in it, too, as zeros.

    Raises:
        ConfigurationError: No call is left, the calls are of several models, or the times are
            naive or too far apart.

    Example:
        >>> from datetime import timedelta
        >>> noon = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)
        >>> calls = [
        ...     UsageRecord(
        ...         run_id=str(minute),
        ...         started_at=noon + timedelta(minutes=minute),
        ...         model_id="amazon.nova-lite-v1:0",
        ...         status="ok",
        ...         usage=TokenUsage(input=1000, output=100),
        ...     )
        ...     for minute in (0, 0, 3)
        ... ]
        >>> minute_load(calls).tokens[:, 0].tolist()
        [2000, 0, 0, 1000]
    """
    first = None if since is None else _minute(since, "since")
    end = None if until is None else _minute(until - _TICK, "until") + 1
    wanted = (
        None if model is None else set(map(_name, [model] if isinstance(model, str) else model))
    )
    minutes: list[int] = []
    spent: list[tuple[int, ...]] = []
    seen: set[str] = set()
    for record in records:
        usage, minute = _usage_of(record), _minute(record.started_at)
        if usage is None or minute < (first or 0) or (end is not None and minute >= end):
            continue
        behind = _name(record.resolved_id or record.model_id)
        if wanted is None or wanted & {behind, record.model_id}:
            seen.add(behind)
            minutes.append(minute)
            spent.append(tuple(getattr(usage, kind) for kind in KINDS))
    if wanted is None and len(seen) > 1:
        raise ConfigurationError(
            f"The records are of {len(seen)} models, and a unit serves one: pass "
            f"minute_load(records, model=…) with one of {', '.join(sorted(seen))}."
        )
    if not minutes:
        raise ConfigurationError(
            "No call that would go to a model unit is among the records: check model, since and "
            "until. What a cache or an invocation job answered does not count."
        )
    first = min(minutes) if first is None else first
    end = max(minutes) + 1 if end is None else end
    return _added_up(minutes, spent, first, end)


def _added_up(minutes: list[int], spent: list[tuple[int, ...]], first: int, end: int) -> Load:
    if end - first > _MOST_MINUTES:
        raise ConfigurationError(
            f"The load spans {(end - first) / MINUTES_A_DAY:,.0f} days, more than five years: "
            "narrow it with since and until."
        )
    tokens = np.zeros((end - first, len(KINDS)), np.int64)
    np.add.at(tokens, np.asarray(minutes) - first, np.asarray(spent, np.int64))
    plain, output, cache_read, cache_write_5m, cache_write_1h = tokens.T
    return Load(
        plain,
        output,
        cache_read=cache_read,
        cache_write_5m=cache_write_5m,
        cache_write_1h=cache_write_1h,
        start=datetime.fromtimestamp(first * _MINUTE, timezone.utc),
    )


def _usage_of(record: UsageRecord) -> TokenUsage | None:
    """What a call would have asked of a unit; None if it would not have gone there."""
    if record.cache_hit or record.price_tier == "batch":
        return None
    return record.usage if record.usage is not None else record.estimate


def _name(model_id: str) -> str:
    """The model behind an id: its bare id where it is known, else the id as it is."""
    try:
        return parse_model_id(model_id).base or model_id
    except ModelIdError:
        return model_id  # somebody's gateway has names of its own


def _minute(time: datetime, what: str = "started_at") -> int:
    """The minute that a time is in, from 1970 on."""
    if time.tzinfo is None:
        raise ConfigurationError(f"{what}={time} has no time zone: pass an aware time, as in UTC.")
    return int(time.timestamp() // _MINUTE)
