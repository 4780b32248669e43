"""Provisioned throughput for the length of a `with` block, which never leaves one behind."""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from types import TracebackType
from typing import Final

from langchain_bedrock_opt.capacity.provisioned.buying import (
    Buyer,
    SpentTokenError,
    Trail,
)
from langchain_bedrock_opt.capacity.provisioned.calls import LOOKS, ThroughputCalls
from langchain_bedrock_opt.capacity.provisioned.deleting import Deleter
from langchain_bedrock_opt.capacity.provisioned.purchase import Purchase
from langchain_bedrock_opt.capacity.provisioned.records import FAILED, ProvisionedThroughput
from langchain_bedrock_opt.capacity.provisioned.waiting import Progress, Waiter
from langchain_bedrock_opt.errors import CapacityError, PurchaseError

_logger: Final = logging.getLogger(__name__)

# Each round is a purchase of the same name that was deleted on the same day.
_MOST_ROUNDS: Final = 100
_AT_EXIT: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a temporary one is bought, waited for and deleted with."""

    calls: ThroughputCalls
    buyer: Buyer
    waiter: Waiter
    deleter: Deleter
    clock: Callable[[], datetime]


class TemporaryThroughput:
    """Buys on entry, waits until it is in service, and deletes on exit, whatever happens.

    Where the exit can't be reached, as after a second Ctrl-C, it is deleted when the process
    ends. What no code can see, such as SIGKILL or a power cut, leaves it in the account: the next
    one of the same name takes it over and deletes it, and `manager.leftovers()` lists it.

    Args:
        purchase: What is bought; without a commitment.
        parts: What with.
        timeout: Seconds to wait for it on entry, and for AWS to delete it.
        progress: Told of each look.
    """

    def __init__(
        self,
        purchase: Purchase,
        parts: Parts,
        *,
        timeout: float,
        progress: Progress | None = None,
    ) -> None:
        self._purchase = purchase
        self._parts = parts
        self._timeout = timeout
        self._progress = progress
        self._trail = Trail()
        self._process = 0

    def __enter__(self) -> ProvisionedThroughput:
        """The provisioned throughput, in service.

        Raises:
            PurchaseError: AWS refuses, it failed, or its name is taken by another kind.
            CapacityError: It is not in service in time. What was bought is deleted.
        """
        self._process = os.getpid()
        atexit.register(self._at_exit)
        try:
            bought = self._bought()
            return self._parts.waiter.wait(bought, self._timeout, self._progress)
        except BaseException as error:
            self._clean_up(error)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Delete it.

        Raises:
            CapacityError: It could not be deleted, and still bills. After an error of the block,
                which goes on as it is, this is logged and added to its notes.
        """
        if os.getpid() == self._process:  # in a forked process, it is the parent's
            self._clean_up(error)

    def _bought(self) -> ProvisionedThroughput:
        """The one that a process before this left behind, or a new one."""
        parts = self._parts
        for existing in parts.calls.named(self._purchase.name):
            if existing.status == FAILED:
                parts.deleter.delete(existing, self._timeout)
        # A day of its own: what was deleted on other days does not have to be gone through.
        day = parts.clock().astimezone(timezone.utc).date()
        for number in range(_MOST_ROUNDS):
            bought = self._bought_in(f"{day}/{number}")
            if bought is not None:
                return bought
        raise PurchaseError(
            f"{self._purchase.name} was bought and deleted {_MOST_ROUNDS} times today: take "
            "another name."
        )

    def _bought_in(self, round_: str) -> ProvisionedThroughput | None:
        """The one of a round; None if what was bought in it is gone."""
        token = self._purchase.token(round_)
        try:
            return self._parts.buyer.buy(self._purchase, token, self._trail)
        except SpentTokenError as error:
            if error.arn is not None and error.arn in self._trail.arns:
                # Looked for in vain for so long, it needs no more patience on exit.
                self._trail.note(error.arn, was_seen=True)
            return None

    def _clean_up(self, error: BaseException | None) -> None:
        """Delete what may be there; an error that is under way is not hidden by another one."""
        try:
            left = self._deleted(self._timeout)
        except BaseException:  # a second Ctrl-C: the end of the process is the next chance
            _logger.exception("%s may not be deleted, and still bill.", self._names())
            raise
        if left is None:
            return
        if error is None:
            raise left
        _logger.error("%s", left)
        if hasattr(error, "add_note"):  # Python 3.11
            error.add_note(str(left))

    def _deleted(self, timeout: float) -> CapacityError | None:
        """Delete all that was bought; what went wrong, if anything did."""
        trail, left = self._trail, None
        if trail.is_open:
            left = self._find_what_was_sent()
        for arn, was_seen in [*trail.arns.items()]:
            left = self._deleted_one(arn, timeout, was_seen=was_seen) or left
        if left is None:
            atexit.unregister(self._at_exit)
        return left

    def _deleted_one(self, arn: str, timeout: float, *, was_seen: bool) -> CapacityError | None:
        try:
            self._parts.deleter.delete_free(arn, timeout, was_seen=was_seen)
        except CapacityError as error:
            return error
        del self._trail.arns[arn]
        self._parts.buyer.gone.add(arn)
        return None

    def _find_what_was_sent(self) -> CapacityError | None:
        """Take down the purchase of which no answer came, if it was made."""
        calls, trail, purchase = self._parts.calls, self._trail, self._purchase
        backoff = calls.backoff()
        while True:
            try:
                named = calls.named(purchase.name)
            except CapacityError as error:
                return CapacityError(f"{self._names()} may have been bought, and bill. {error}")
            for existing in named:
                if not purchase.differences(existing):
                    trail.note(existing.arn, was_seen=True)
            if named or backoff.pauses >= LOOKS - 1:
                trail.is_open = False
                return None
            backoff.pause()

    def _at_exit(self) -> None:
        """The last chance, at the end of the process."""
        if os.getpid() != self._process:
            return
        left = self._deleted(_AT_EXIT)
        if left is not None:
            _logger.error("%s", left)

    def _names(self) -> str:
        return ", ".join(self._trail.arns) or self._purchase.name
