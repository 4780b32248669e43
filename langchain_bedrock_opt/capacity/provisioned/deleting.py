"""Deleting provisioned throughputs, until it is certain that they are gone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from langchain_bedrock_opt.aws.errors import BOTOCORE_ERRORS, BotocoreError
from langchain_bedrock_opt.aws.trouble import error_code, said, trouble_of
from langchain_bedrock_opt.capacity.provisioned.buying import Known
from langchain_bedrock_opt.capacity.provisioned.calls import LOOKS, ThroughputCalls
from langchain_bedrock_opt.capacity.provisioned.hints import refusal
from langchain_bedrock_opt.capacity.provisioned.records import (
    FAILED,
    ProvisionedThroughput,
    moment_of,
)
from langchain_bedrock_opt.capacity.provisioned.timeouts import Deadline
from langchain_bedrock_opt.errors import CapacityError, CommitmentError

_CONFLICT: Final = "ConflictException"
_INVALID: Final = "ValidationException"
# AWS's clock and this one may differ.
_SKEW: Final = timedelta(minutes=5)


class Deleter:
    """Deletes provisioned throughputs.

    Args:
        calls: The account and region.
        clock: The time, aware of its zone.
    """

    def __init__(self, calls: ThroughputCalls, *, clock: Callable[[], datetime]) -> None:
        self._calls = calls
        self._clock = clock

    def delete(self, throughput: ProvisionedThroughput, timeout: float) -> None:
        """Delete one, if its commitment allows it.

        Args:
            throughput: As it was last seen.
            timeout: Seconds for which throttles, outages and a status that it can't be deleted in
                are waited for.

        Raises:
            CommitmentError: Its commitment does not allow it yet.
            CapacityError: AWS refuses, or gave no answer in time: it still bills.
        """
        # A failed one has nothing that a commitment could be about: AWS may decide.
        if throughput.is_committed(self._clock()) and throughput.status != FAILED:
            raise _committed(throughput)
        self._delete(throughput.arn, timeout, committed=throughput)

    def delete_free(self, arn: str, timeout: float, known: Known) -> None:
        """Delete one that has no commitment.

        Args:
            arn: Which.
            timeout: As for `delete`.
            known: What is known of it.

        Raises:
            CapacityError: AWS refuses, or gave no answer in time: it still bills.
        """
        backoff = self._calls.backoff()
        # Of one that was bought a moment ago, AWS may say for some seconds that there is none.
        looks = LOOKS if known is Known.BOUGHT else 1
        while not self._delete(arn, timeout) and backoff.pauses < looks - 1:
            backoff.pause()

    def _delete(
        self, arn: str, timeout: float, committed: ProvisionedThroughput | None = None
    ) -> bool:
        """Ask until it is gone; whether there was one."""
        deadline = Deadline(timeout, self._clock)
        backoff = self._calls.backoff()
        while True:
            try:
                return self._calls.delete(arn)
            except BOTOCORE_ERRORS as error:
                if committed is not None and self._is_about_commitment(error, committed):
                    raise _committed(committed) from error
                if not _passes(error) or deadline.rest <= 0:
                    raise CapacityError(
                        f"{arn} is not deleted, and still bills. {refusal(error)}", arn=arn
                    ) from error
            backoff.pause()

    def _is_about_commitment(self, error: BotocoreError, throughput: ProvisionedThroughput) -> bool:
        """Whether it is a refusal for the commitment, and not for a status that passes."""
        # Which of the two codes AWS has for it, and which words, is unverified.
        if throughput.commitment is None or error_code(error) not in (_CONFLICT, _INVALID):
            return False
        return throughput.is_committed(self._clock() - _SKEW) or "commit" in said(error).lower()


def _passes(error: BotocoreError) -> bool:
    """Whether a deletion may work later on: a conflict is one that is still being made."""
    return trouble_of(error) in ("throttled", "outage") or error_code(error) == _CONFLICT


def _committed(throughput: ProvisionedThroughput) -> CommitmentError:
    ends = throughput.commitment_ends
    until = "its commitment ends" if ends is None else moment_of(ends)
    return CommitmentError(
        f"{throughput.name} has a commitment of {throughput.commitment}: it can't be deleted "
        f"before {until}, and bills until it is deleted after that.",
        arn=throughput.arn,
        until=ends,
    )
