"""What model units take in a minute, and what is throttled beyond.

AWS says of a unit that it processes so many input tokens and generates so many output tokens
"across all requests within a span of one minute", and not how that is enforced. Assumed here, and
unverified against AWS: minutes of 60 seconds on the clock, and the way that on-demand quotas are
counted (`quota`): at the start a call takes its prompt and the longest answer it allows, or it is
throttled; at the end what it did not use comes back, cache reads among it. So the calls of a
minute never use more than the units have, however many are in flight, which counting answers only
when they are there would not hold. An answer that may be longer than all units write in a minute
takes that whole minute: it would take longer than that to write.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from langchain_bedrock_opt.catalog.model_units import UnitCapacity
from langchain_bedrock_opt.emulator.quota import MINUTE, TOO_MANY_TOKENS, longest_answer, throttled


class Allowance(NamedTuple):
    """What a throughput may take.

    Attributes:
        units: Its model units.
        capacity: What one of them takes in a minute.
    """

    units: int
    capacity: UnitCapacity

    @property
    def limits(self) -> Remaining:
        """The tokens that all units together take in a minute."""
        capacity = self.capacity
        return Remaining(
            *(
                None if limit is None else limit * self.units
                for limit in (
                    capacity.input_per_minute,
                    capacity.output_per_minute,
                    capacity.total_per_minute,
                )
            )
        )


class Remaining(NamedTuple):
    """Tokens that may still be taken; None where there is no limit.

    Below zero after answers that took more than was held for them.

    Attributes:
        input: Tokens of prompts.
        output: Tokens of answers.
        total: Tokens of both together.
    """

    input: int | None
    output: int | None
    total: int | None


@dataclass(slots=True)
class _Minute:
    """The tokens of one throughput in the running minute."""

    index: int = -1
    input: int = 0
    output: int = 0

    def advance(self, index: int) -> None:
        if index != self.index:
            self.index, self.input, self.output = index, 0, 0

    def left(self, limits: Remaining) -> Remaining:
        used = (self.input, self.output, self.input + self.output)
        return Remaining(
            *(
                None if limit is None else limit - taken
                for limit, taken in zip(limits, used, strict=True)
            )
        )


class UnitReservation:
    """The tokens that one admitted call holds, until it is settled or released.

    The first of `settle` and `release` counts; more calls of either change nothing.
    """

    def __init__(self, lock: threading.Lock, minute: _Minute | None, held: tuple[int, int]) -> None:
        self._lock = lock
        self._minute = minute
        self._index = minute.index if minute else 0
        self._held = held

    def settle(self, input_tokens: int, cache_write: int, output_tokens: int) -> int:
        """Charge what the call really took and give back the rest.

        Args:
            input_tokens: Tokens of the prompt that were neither read from nor written to a cache.
            cache_write: Tokens written to the prompt cache.
            output_tokens: Tokens of the answer.

        Returns:
            The tokens it took.
        """
        self._close(input_tokens + cache_write, output_tokens)
        return input_tokens + cache_write + output_tokens

    def release(self) -> None:
        """Give back everything: the call failed and took nothing."""
        self._close(0, 0)

    def _close(self, input_tokens: int, output_tokens: int) -> None:
        with self._lock:
            minute, self._minute = self._minute, None
            if minute is not None and minute.index == self._index:
                minute.input += input_tokens - self._held[0]
                minute.output += output_tokens - self._held[1]


class UnitMeter:
    """Admits calls to provisioned throughputs by their units. Safe to use from several threads.

    Args:
        allowance: What may be taken behind an ARN; None for no limit.
        clock: Seconds.

    Example:
        >>> capacity = UnitCapacity(input_per_minute=100, output_per_minute=50)
        >>> meter = UnitMeter(lambda arn: Allowance(2, capacity), clock=lambda: 0.0)
        >>> model = ("arn", "amazon.nova-lite-v1:0")
        >>> meter.reserve(*model, input_tokens=150, max_tokens=80).settle(150, 0, 10)
        160
        >>> meter.remaining("arn")
        Remaining(input=50, output=90, total=None)
        >>> meter.reserve(*model, input_tokens=51, max_tokens=10)
        Traceback (most recent call last):
        langchain_bedrock_opt.emulator.types.ServiceFailure: Too many tokens, please wait before \
trying again.
    """

    def __init__(
        self, allowance: Callable[[str], Allowance | None], *, clock: Callable[[], float]
    ) -> None:
        self._allowance = allowance
        self._clock = clock
        self._lock = threading.Lock()
        self._minutes: dict[str, _Minute] = {}

    def is_limited(self, model_id: str, _base_model_id: str) -> bool:
        """Whether model units hold for an id."""
        return self._allowance(model_id) is not None

    def reserve(
        self, model_id: str, base_model_id: str, *, input_tokens: int, max_tokens: int | None = None
    ) -> UnitReservation:
        """Admit a call and hold the tokens it may take.

        Args:
            model_id: The id that was called.
            base_model_id: The bare id behind it.
            input_tokens: Tokens of the prompt.
            max_tokens: The request's `maxTokens`; None takes the model's own maximum.

        Returns:
            The reservation, to be settled or released when the call is over.

        Raises:
            ServiceFailure: The call is throttled.
        """
        allowance = self._allowance(model_id)
        if allowance is None:
            return UnitReservation(self._lock, None, (0, 0))
        limits = allowance.limits
        output_tokens = _at_most(longest_answer(base_model_id, max_tokens), input_tokens, limits)
        with self._lock:
            minute = self._minute(model_id)
            left = minute.left(limits)
            wanted = (input_tokens, output_tokens, input_tokens + output_tokens)
            if any(
                most is not None and tokens > most
                for tokens, most in zip(wanted, left, strict=True)
            ):
                raise throttled(TOO_MANY_TOKENS)
            minute.input += input_tokens
            minute.output += output_tokens
            return UnitReservation(self._lock, minute, (input_tokens, output_tokens))

    def remaining(self, model_id: str) -> Remaining | None:
        """What is left of the running minute; None for an id without a limit."""
        allowance = self._allowance(model_id)
        if allowance is None:
            return None
        with self._lock:
            return self._minute(model_id).left(allowance.limits)

    def _minute(self, model_id: str) -> _Minute:
        minute = self._minutes.setdefault(model_id, _Minute())
        minute.advance(int(self._clock() // MINUTE))
        return minute


def _at_most(output_tokens: int, input_tokens: int, limits: Remaining) -> int:
    """The longest answer, but no more than a whole minute has room for."""
    if limits.output is not None:
        output_tokens = min(output_tokens, limits.output)
    if limits.total is not None:
        output_tokens = min(output_tokens, max(0, limits.total - input_tokens))
    return output_tokens
