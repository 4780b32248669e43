"""Brings parcels to CloudWatch, each once: what is sent again, what is given up, and when."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from langchain_bedrock_opt.usage.cloudwatch.datums import Parcel
from langchain_bedrock_opt.usage.cloudwatch.limits import cut
from langchain_bedrock_opt.usage.cloudwatch.outbox import Outbox

logger = logging.getLogger(__name__)

_FIRST_WAIT: Final = 0.1
_LONGEST_WAIT: Final = 60.0
_DOUBLINGS: Final = 10  # 0.1 s, doubled so often, is beyond the longest wait


@dataclass(slots=True)
class Health:
    """What a sink counts about itself.

    Attributes:
        dropped: Metrics that were given up: refused, or pushed out by newer ones.
        errors: Requests that failed.
        ambiguous: Requests that may have arrived and were not answered.
    """

    dropped: int = 0
    errors: int = 0
    ambiguous: int = 0


class Delivery:
    """Sends what is handed to it, in order, and keeps what was not taken. Not thread-safe.

    After an error it waits, up to a minute and each time up to twice as long, by chance (full
    jitter). A request that was not answered in time may have arrived. CloudWatch has no token to
    recognise it by, so it is not sent again unless `at_least_once` says so. After one the next
    request is a `probe`, so that a CloudWatch that takes requests and never answers costs one
    parcel and not all of them.

    Args:
        send: Makes one PutMetricData request.
        probe: Metrics of little worth to try a connection with; empty if there are none.
        max_bytes: The most memory for what waits.
        at_least_once: Whether to send again what may have arrived.
        monotonic: Seconds on a clock that never goes back.
        sleep: Waits so many seconds.
        rng: Where jitter comes from.

    Attributes:
        health: What went wrong so far.
        retry_at: On the clock: no request is made before, unless `drain` is told to.
    """

    def __init__(
        self,
        send: Callable[[list[dict[str, Any]]], None],
        *,
        probe: Callable[[], list[dict[str, Any]]] = list,
        max_bytes: int,
        at_least_once: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        rng: random.Random | None = None,
    ) -> None:
        self.health = Health()
        self.retry_at = 0.0
        self._send = send
        self._probe = probe
        self._outbox = Outbox(max_bytes)
        self._at_least_once = at_least_once
        self._monotonic = monotonic
        self._sleep = sleep
        self._rng = rng or random.Random()  # noqa: S311 - jitter
        self._failures = 0
        self._is_silent = False  # the last request had no answer

    def __len__(self) -> int:
        """Parcels that wait."""
        return len(self._outbox)

    def put(self, data: Sequence[Mapping[str, Any]]) -> None:
        """Take metrics over, cut into requests that are within CloudWatch's limits."""
        for part in cut(data):
            self.drop(self._outbox.put(Parcel.pack(part)), "there is no more room")

    def drain(self, timeout: float = 0.0, *, at_once: bool = False) -> bool:
        """Send what waits.

        Args:
            timeout: Seconds to go on after an error; 0 makes one attempt. A request under way is
                not broken off.
            at_once: Whether the first attempt does not wait for `retry_at`: CloudWatch may be
                back since, and there may be no later attempt.

        Returns:
            Whether nothing waits any more.
        """
        deadline = self._monotonic() + timeout
        if at_once:
            self.retry_at = 0.0
        while self._outbox:
            now = self._monotonic()
            if self.retry_at > now:
                if now >= deadline:
                    return False
                self._sleep(min(self.retry_at, deadline) - now)
            self._send_first()
        return True

    def _send_first(self) -> None:
        """Send the parcel whose turn it is, if a probe does not show that it can wait."""
        if self._is_silent and (probe := self._probe()):
            self._attempt(probe)
            if self._failures:
                return
        parcel = self._outbox.pop()
        self._attempt(parcel.unpack(), parcel)

    def _attempt(self, data: list[dict[str, Any]], parcel: Parcel | None = None) -> None:
        try:
            self._send(data)
        except Exception as error:  # noqa: BLE001 - telemetry never raises into the program
            self._settle(error, parcel)
        else:
            self._failures = 0
            self.retry_at = 0.0
            self._is_silent = False

    def _settle(self, error: Exception, parcel: Parcel | None) -> None:
        """Decide what becomes of metrics whose request failed."""
        # Imported here: botocore is there as soon as a request has failed, and not before.
        from langchain_bedrock_opt.aws.arrival import Arrival, arrival_of

        arrival = arrival_of(error)
        self.health.errors += 1
        self._is_silent = arrival is Arrival.UNKNOWN
        if arrival is Arrival.REFUSED:
            self._split(parcel, error)
            return
        if not self._failures:  # once an outage, not once an attempt
            logger.warning(
                "CloudWatch took no metrics; trying again later: %s: %s",
                type(error).__name__,
                error,
            )
        if self._is_silent:
            self.health.ambiguous += 1
        if parcel is not None and (self._at_least_once or not self._is_silent):
            self._outbox.put_first(parcel)
        longest = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(self._failures, _DOUBLINGS))
        self._failures += 1
        self.retry_at = self._monotonic() + self._rng.uniform(0, longest)

    def _split(self, parcel: Parcel | None, error: Exception) -> None:
        """Find the metric that made a request be refused: the others are good."""
        if parcel is not None and parcel.size > 1:
            for half in reversed(parcel.halves()):
                self._outbox.put_first(half)
        elif parcel is not None:
            self.drop(1, f"CloudWatch refused it: {error}")

    def drop(self, count: int, reason: str) -> None:
        """Count metrics that are given up, and say so once."""
        if count and not self.health.dropped:
            logger.warning("CloudWatch metrics=<%d> dropped: %s", count, reason)
        self.health.dropped += count
