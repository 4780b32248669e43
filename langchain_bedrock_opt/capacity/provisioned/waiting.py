"""Waiting until a provisioned throughput takes calls."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final

from langchain_bedrock_opt.aws.errors import BOTOCORE_ERRORS
from langchain_bedrock_opt.aws.trouble import said, trouble_of
from langchain_bedrock_opt.capacity.provisioned.buying import failure
from langchain_bedrock_opt.capacity.provisioned.calls import LOOKS, ThroughputCalls
from langchain_bedrock_opt.capacity.provisioned.hints import refusal
from langchain_bedrock_opt.capacity.provisioned.records import FAILED, ProvisionedThroughput
from langchain_bedrock_opt.capacity.provisioned.timeouts import Deadline
from langchain_bedrock_opt.errors import CapacityError, ThroughputTimeoutError

_logger: Final = logging.getLogger(__name__)

Progress = Callable[[ProvisionedThroughput], object]
"""Told of each look."""


class Waiter:
    """Looks at provisioned throughputs until they are in service.

    Args:
        calls: The account and region.
        clock: The time, aware of its zone.
        sleep: Waits for so many seconds.
        poll_seconds: Between two looks.
    """

    def __init__(
        self,
        calls: ThroughputCalls,
        *,
        clock: Callable[[], datetime],
        sleep: Callable[[float], object],
        poll_seconds: float,
    ) -> None:
        self._calls = calls
        self._clock = clock
        self._sleep = sleep
        self._poll_seconds = poll_seconds

    def wait(
        self, throughput: ProvisionedThroughput, timeout: float, progress: Progress | None = None
    ) -> ProvisionedThroughput:
        """Wait for one. An outage or expired credentials don't end the wait: it goes on anyhow.

        Args:
            throughput: As it was last seen.
            timeout: Seconds; `math.inf` for no end.
            progress: Told of each look.

        Raises:
            PurchaseError: It has failed.
            ThroughputTimeoutError: It is not in service in time.
            CapacityError: It is not there, or may not be looked at.
        """
        deadline = Deadline(timeout, self._clock)
        misses = 0
        is_blind = False
        while True:
            looked, is_there = self._look(throughput, quietly=is_blind)
            throughput = looked or throughput
            is_blind = looked is None and is_there
            misses = 0 if is_there else misses + 1
            if misses >= LOOKS:
                raise CapacityError(
                    f"{throughput.name} ({throughput.arn}) is not there any more: somebody has "
                    "deleted it.",
                    arn=throughput.arn,
                )
            if looked is not None and self._is_ready(looked, progress):
                return looked
            rest = deadline.rest
            if rest <= 0:
                raise _late(throughput, timeout)
            self._sleep(min(self._poll_seconds, rest))

    def _is_ready(self, looked: ProvisionedThroughput, progress: Progress | None) -> bool:
        if progress is not None:
            progress(looked)
        if looked.status == FAILED:
            raise failure(looked)
        return looked.is_in_service

    def _look(
        self, throughput: ProvisionedThroughput, *, quietly: bool
    ) -> tuple[ProvisionedThroughput | None, bool]:
        """What is seen, if anything, and whether it may be taken to be there."""
        try:
            found = self._calls.look(throughput.arn)
        except BOTOCORE_ERRORS as error:
            if trouble_of(error) == "refused":
                raise CapacityError(refusal(error), arn=throughput.arn) from error
            if not quietly:
                _logger.warning(
                    "%s can't be looked at just now, and is waited for: %s.",
                    throughput.name,
                    said(error),
                )
            return None, True
        return found, found is not None


def _late(throughput: ProvisionedThroughput, timeout: float) -> ThroughputTimeoutError:
    return ThroughputTimeoutError(
        f"{throughput.name} is still {throughput.status} after {timeout:,.0f} seconds. It is "
        f"neither given up nor deleted: wait on with manager.wait({throughput.arn!r}).",
        arn=throughput.arn,
    )
