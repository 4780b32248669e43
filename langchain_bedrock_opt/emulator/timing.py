"""How long an answer takes: the pace of a model, and a clock that may run faster than life."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from langchain_bedrock_opt.emulator.replies.paces import pace_of
from langchain_bedrock_opt.emulator.types import Pace
from langchain_bedrock_opt.errors import ConfigurationError

PaceOption: TypeAlias = "str | float | Pace | Callable[[str, Mapping[str, Any]], Pace] | None"
"""How fast models answer: None at once, `"models"` each at its own pace, a number of seconds
until the whole answer is there, one `Pace` for all, or a function of model id and request."""


class Timing:
    """Says how fast a model answers, and waits.

    Args:
        pace: See `PaceOption`.
        speed: How many times faster than life: waits are divided by it, reported latencies not.
        seed: The seed of the jitter of `"models"`.
        sleep: Waits for so many seconds.
        clock: Seconds that only go forward.

    Raises:
        ConfigurationError: The pace is none of these, or the speed is not positive.
    """

    def __init__(
        self,
        pace: PaceOption = None,
        *,
        speed: float = 1.0,
        seed: int = 0,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if speed <= 0:
            raise ConfigurationError(f"speed={speed!r} must be positive: 10 is ten times life.")
        self._of = _pace_function(pace, seed)
        self._speed = speed
        self._sleep = sleep
        self.clock = clock

    def pace(self, model_id: str, request: Mapping[str, Any]) -> Pace | None:
        """The pace of one answer; None if it comes at once."""
        return None if self._of is None else self._of(model_id, request)

    def wait_until(self, started: float, seconds: float) -> None:
        """Wait until so many of the model's seconds have passed since `started`."""
        left = started + seconds / self._speed - self.clock()
        if left > 0:
            self._sleep(left)

    def wait(self, seconds: float) -> None:
        """Wait for so many of the model's seconds."""
        self.wait_until(self.clock(), seconds)

    def latency_ms(self, started: float, pace: Pace | None, tokens: int) -> int:
        """The latency to report for an answer of so many tokens: the model's, unaccelerated."""
        if pace is None:
            return round((self.clock() - started) * 1000)
        return round(pace.seconds(tokens) * 1000)


def _pace_function(pace: PaceOption, seed: int) -> Callable[[str, Mapping[str, Any]], Pace] | None:
    if pace is None:
        return None
    if pace == "models":
        return lambda model_id, request: pace_of(model_id, seed, request)
    if isinstance(pace, Pace):
        return lambda _model_id, _request: pace
    if isinstance(pace, (int, float)) and pace >= 0:
        fixed = Pace(time_to_first_token=float(pace))
        return lambda _model_id, _request: fixed
    if callable(pace):
        return pace
    raise ConfigurationError(
        f"pace={pace!r} is none of None, 'models', seconds, a Pace, or a function that gives one."
    )
