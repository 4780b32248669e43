"""Provisioned throughput for the length of a `with` block, which never leaves one behind."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from langchain_bedrock_opt.capacity.provisioned.buying import Buyer, Known, Trail
from langchain_bedrock_opt.capacity.provisioned.calls import LOOKS, ThroughputCalls
from langchain_bedrock_opt.capacity.provisioned.deleting import Deleter
from langchain_bedrock_opt.capacity.provisioned.purchase import Purchase
from langchain_bedrock_opt.capacity.provisioned.records import FAILED, ProvisionedThroughput
from langchain_bedrock_opt.capacity.provisioned.waiting import Progress, Waiter
from langchain_bedrock_opt.errors import CapacityError

_logger: Final = logging.getLogger(__name__)


def _new_token() -> str:
    return uuid.uuid4().hex


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a temporary one is bought, waited for and deleted with."""

    calls: ThroughputCalls
    buyer: Buyer
    waiter: Waiter
    deleter: Deleter


class TemporaryThroughput:
    """Buys on entry, waits until it is in service, and deletes on exit, whatever happens.

    Where the exit can't be reached, as after a second Ctrl-C, it is deleted when the process
    ends. What no code can see, such as SIGKILL or a power cut, leaves it in the account: the next
    one of the same name takes it over and deletes it, and `manager.leftovers()` lists it.

    Each block has a token of its own, since AWS may remember what earlier blocks have bought and
    deleted. So what a killed process has bought is known by its name alone: as long as no list
    shows it, AWS has to refuse its name to another one (unverified), and it is looked for again.

    Args:
        purchase: What is bought; without a commitment.
        parts: What with.
        timeout: Seconds to wait for it on entry, and for AWS to delete it.
        progress: Told of each look.
        new_token: Makes a `clientRequestToken` for each block.
    """

    def __init__(
        self,
        purchase: Purchase,
        parts: Parts,
        *,
        timeout: float,
        progress: Progress | None = None,
        new_token: Callable[[], str] = _new_token,
    ) -> None:
        self._purchase = purchase
        self._parts = parts
        self._timeout = timeout
        self._progress = progress
        self._new_token = new_token
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
        buyer = self._parts.buyer
        for existing in buyer.named(self._purchase.name):
            if existing.status == FAILED:
                self._parts.deleter.delete(existing, self._timeout)
                buyer.gone.add(existing.arn)
        return buyer.buy(self._purchase, self._new_token(), self._trail)

    def _clean_up(self, error: BaseException | None) -> None:
        """Delete what may be there; an error that is under way is not hidden by another one."""
        left = self._deleted()
        if left is None:
            return
        if error is None:
            raise left
        _logger.error("%s", left)
        if hasattr(error, "add_note"):  # Python 3.11
            error.add_note(str(left))

    def _at_exit(self) -> None:
        """The last chance, at the end of the process."""
        if os.getpid() != self._process:
            return
        print(  # noqa: T201 - who waits for the end of the process has to know why
            f"bedrock-opt: {self._names()} is being deleted, as soon as AWS allows it (timeout="
            f"{self._timeout:g} s). Ctrl-C leaves it in the account, where it bills.",
            file=sys.stderr,
            flush=True,
        )
        left = self._deleted()
        if left is not None:
            _logger.error("%s", left)

    def _deleted(self) -> CapacityError | None:
        """Delete all that was bought; what went wrong, if anything did."""
        try:
            left = self._all_deleted()
        except Exception as error:  # noqa: BLE001 - of a user's clock or sleep: the block has its own
            left = CapacityError(f"{self._names()} may not be deleted, and still bill: {error!r}.")
            left.__cause__ = error
        except BaseException:  # a second Ctrl-C: the end of the process is the next chance
            _logger.exception("%s may not be deleted, and still bill.", self._names())
            raise
        if left is None:
            atexit.unregister(self._at_exit)
        return left

    def _all_deleted(self) -> CapacityError | None:
        left = self._find_what_was_sent() if self._trail.is_open else None
        for arn, known in [*self._trail.arns.items()]:
            left = self._deleted_one(arn, known) or left
        return left

    def _deleted_one(self, arn: str, known: Known) -> CapacityError | None:
        try:
            self._parts.deleter.delete_free(arn, self._timeout, known)
        except CapacityError as error:
            return error
        del self._trail.arns[arn]
        self._parts.buyer.gone.add(arn)
        return None

    def _find_what_was_sent(self) -> CapacityError | None:
        """Take down the purchase of which no answer came, if it was made."""
        parts, trail, purchase = self._parts, self._trail, self._purchase
        backoff = parts.calls.backoff()
        while True:
            try:
                named = parts.buyer.named(purchase.name)
            except CapacityError as error:
                return CapacityError(f"{self._names()} may have been bought, and bill. {error}")
            for existing in named:
                differences = purchase.differences(existing)
                if differences:  # somebody else's, or told in words that are not known
                    return CapacityError(
                        f"{existing.arn} may be what was bought, and bill, but it {differences}: "
                        f"if it is, delete it: manager.delete({existing.arn!r}).",
                        arn=existing.arn,
                    )
                trail.note(existing.arn, Known.SEEN)
            if named or backoff.pauses >= LOOKS - 1:
                trail.is_open = False
                return None
            backoff.pause()

    def _names(self) -> str:
        return ", ".join(self._trail.arns) or self._purchase.name
