"""Throttling as Bedrock does it: reserve, generate, settle.

The algorithm is AWS's published one (user guide, "How tokens are counted in Amazon Bedrock",
and AWS's agent toolkit, `model-invocation.md`):

1. At the start, input + cache reads + cache writes + `max_tokens` must fit what is left of the
   tokens a minute; otherwise the call is throttled.
2. At the end, what was reserved and not used comes back: the call costs input + cache writes +
   output x burndown. Cache reads are free then; the burndown is 5 for Claude 3.7 and later.

AWS does not say how its minutes lie and what becomes of a call that lasts from one into the
next. Assumed here, and unverified against AWS: windows of 60 seconds from the meter's start, and a
call counts wholly in the window in which it began. Throttled calls count nowhere.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Final

from langchain_bedrock_opt.catalog.model_ids import ModelIdKind, parse_model_id
from langchain_bedrock_opt.catalog.specs import spec_of
from langchain_bedrock_opt.emulator.types import ServiceFailure
from langchain_bedrock_opt.errors import EmulatorError, ModelIdError

MINUTE: Final = 60.0
DAY: Final = 86_400.0

UNKNOWN_MAX_TOKENS: Final = 4096
"""Reserved for the answer of a model whose maximum is not known, if the request names none."""

# anthropics/claude-code#236, lobehub/lobehub#3994 and minorun365/agent-book#29, in this order.
TOO_MANY_TOKENS: Final = "Too many tokens, please wait before trying again."
"""What a call is told that does not fit the tokens of a minute."""

_REQUESTS: Final = "Too many requests, please wait before trying again."
_TOKENS_A_DAY: Final = "Too many tokens per day, please wait before trying again."

_OWN_CAPACITY: Final = frozenset(
    {
        ModelIdKind.PROVISIONED_MODEL,
        ModelIdKind.CUSTOM_MODEL,
        ModelIdKind.CUSTOM_MODEL_DEPLOYMENT,
        ModelIdKind.IMPORTED_MODEL,
        ModelIdKind.MARKETPLACE_ENDPOINT,
    }
)
"""Ids that do not draw on the on-demand quota of the model behind them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """How much a model may be used.

    Attributes:
        tokens_per_minute: Quota tokens in a minute.
        requests_per_minute: Admitted calls in a minute; None for no limit.
        tokens_per_day: Quota tokens in a day; None for no limit.
    """

    tokens_per_minute: int
    requests_per_minute: int | None = None
    tokens_per_day: int | None = None

    def __post_init__(self) -> None:
        """Refuse limits below zero."""
        for name in (each.name for each in fields(self)):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise EmulatorError(f"{name} is {value}: a quota can't be negative.")


@dataclass(slots=True)
class _Window:
    """What is used in the running minute or day of one quota."""

    length: float
    index: int = 0
    tokens: int = 0
    requests: int = 0

    def advance(self, elapsed: float) -> None:
        index = int(elapsed // self.length)
        if index != self.index:
            self.index, self.tokens, self.requests = index, 0, 0

    def correct(self, index: int, tokens: int) -> None:
        """Change what a call of a window costs, unless that window is over."""
        if index == self.index:
            self.tokens += tokens


class _Meter:
    """One quota with its two windows. Its owner holds the lock."""

    def __init__(self, quota: Quota) -> None:
        self.quota = quota
        self.minute = _Window(MINUTE)
        self.day = _Window(DAY)

    def advance(self, elapsed: float) -> None:
        self.minute.advance(elapsed)
        self.day.advance(elapsed)

    def admit(self, tokens: int) -> None:
        """Take the tokens of a call out of both windows.

        Raises:
            ServiceFailure: They do not fit.
        """
        quota = self.quota
        if quota.tokens_per_day is not None and self.day.tokens + tokens > quota.tokens_per_day:
            raise throttled(_TOKENS_A_DAY)
        if quota.requests_per_minute is not None and (
            self.minute.requests >= quota.requests_per_minute
        ):
            raise throttled(_REQUESTS)
        if self.minute.tokens + tokens > quota.tokens_per_minute:
            raise throttled(TOO_MANY_TOKENS)
        self.minute.requests += 1
        self.minute.tokens += tokens
        self.day.tokens += tokens


class Reservation:
    """The tokens that one admitted call holds, until it is settled or released.

    The first of `settle` and `release` counts; more calls of either change nothing.
    """

    def __init__(self, owner: QuotaMeter, meter: _Meter | None, tokens: int, burndown: int) -> None:
        self.tokens = tokens
        """The quota tokens that were reserved."""
        self._owner = owner
        self._meter = meter
        self._burndown = burndown
        self._windows = (meter.minute.index, meter.day.index) if meter else (0, 0)
        self._open = True

    def settle(self, input_tokens: int, cache_write: int, output_tokens: int) -> int:
        """Charge what the call really cost and give back the rest.

        Args:
            input_tokens: Tokens of the prompt that were neither read from nor written to a cache.
            cache_write: Tokens written to the prompt cache.
            output_tokens: Tokens of the answer.

        Returns:
            The quota tokens it cost. They may be more than were reserved: the burndown counts
            at the end only.
        """
        cost = input_tokens + cache_write + output_tokens * self._burndown
        self._close(cost)
        return cost

    def release(self) -> None:
        """Give back everything: the call failed and cost nothing."""
        self._close(0)

    def _close(self, cost: int) -> None:
        with self._owner._lock:  # noqa: SLF001 - a reservation is the meter's own half
            if not self._open:
                return
            self._open = False
            if self._meter is not None:
                minute, day = self._windows
                self._meter.minute.correct(minute, cost - self.tokens)
                self._meter.day.correct(day, cost - self.tokens)


class QuotaMeter:
    """Admits calls to models by their quotas. Safe to use from several threads.

    Args:
        quotas: By model id. A quota of a bare id also holds for the profiles of that model that
            have none of their own, all together; provisioned and custom models need one of their
            own. A model without a quota is not limited.
        clock: Seconds that only go forward.

    Example:
        >>> meter = QuotaMeter({"amazon.nova-lite-v1:0": Quota(tokens_per_minute=1000)})
        >>> model = ("amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0")
        >>> reservation = meter.reserve(*model, input_tokens=400, max_tokens=500)
        >>> meter.reserve(*model, input_tokens=400, max_tokens=500)
        Traceback (most recent call last):
        langchain_bedrock_opt.emulator.types.ServiceFailure: Too many tokens, please wait before \
trying again.
        >>> reservation.settle(input_tokens=400, cache_write=0, output_tokens=20)
        420
        >>> meter.remaining(*model)
        580
    """

    def __init__(
        self, quotas: Mapping[str, Quota], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._start = clock()
        self._meters = {model_id: _Meter(quota) for model_id, quota in quotas.items()}

    def reserve(
        self,
        model_id: str,
        base_model_id: str,
        *,
        input_tokens: int,
        cache_read: int = 0,
        cache_write: int = 0,
        max_tokens: int | None = None,
    ) -> Reservation:
        """Admit a call and hold the tokens it may cost.

        Args:
            model_id: The id that was called.
            base_model_id: The bare id behind it.
            input_tokens: Tokens of the prompt outside the cache.
            cache_read: Tokens of it that are read from the cache.
            cache_write: Tokens of it that are written to the cache.
            max_tokens: The request's `maxTokens`; None takes the model's own maximum, as
                Bedrock does.

        Returns:
            The reservation, to be settled or released when the call is over.

        Raises:
            ServiceFailure: The call is throttled.
        """
        spec = spec_of(base_model_id)
        longest = longest_answer(base_model_id, max_tokens)
        tokens = input_tokens + cache_read + cache_write + longest
        meter = self._meter(model_id, base_model_id)
        with self._lock:
            if meter is not None:
                meter.advance(self._clock() - self._start)
                meter.admit(tokens)
            return Reservation(self, meter, tokens, spec.output_burndown if spec else 1)

    def is_limited(self, model_id: str, base_model_id: str) -> bool:
        """Whether a quota holds for a model."""
        return bool(self._meters) and self._meter(model_id, base_model_id) is not None

    def remaining(self, model_id: str, base_model_id: str) -> int | None:
        """The tokens that are left in the running minute, or None for a model without a quota.

        Below zero after answers that cost more than was reserved for them.
        """
        meter = self._meter(model_id, base_model_id)
        if meter is None:
            return None
        with self._lock:
            meter.advance(self._clock() - self._start)
            return meter.quota.tokens_per_minute - meter.minute.tokens

    def _meter(self, model_id: str, base_model_id: str) -> _Meter | None:
        own = self._meters.get(model_id)
        if own is not None:
            return own
        try:
            parsed = parse_model_id(model_id)
        except ModelIdError:
            return None
        if parsed.kind in _OWN_CAPACITY:
            return None
        # The ARN of a cross-region profile is the same profile as its id.
        profile = self._meters.get(f"{parsed.scope}.{parsed.base}") if parsed.scope else None
        return profile or self._meters.get(base_model_id)


def longest_answer(base_model_id: str, max_tokens: int | None) -> int:
    """The tokens that a call's answer may have.

    Args:
        base_model_id: The bare id of the model.
        max_tokens: The request's `maxTokens`; None takes the model's own maximum, as Bedrock does.
    """
    if max_tokens is not None:
        return max_tokens
    spec = spec_of(base_model_id)
    return (spec.max_output_tokens if spec else None) or UNKNOWN_MAX_TOKENS


def throttled(message: str) -> ServiceFailure:
    """The answer to a call for which there is no capacity left."""
    return ServiceFailure("ThrottlingException", message, 429)
