"""Finds what was bought, or buys it: once, whatever happens on the way.

The account is looked through by name before anything is bought, and again after each try that
did not end in an answer. Each try sends the same token, so AWS makes one of what may have been
sent twice: by two processes, by a process that was killed and its successor, or because an
answer was lost.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from langchain_bedrock_opt.aws.errors import BOTOCORE_ERRORS, BotocoreError
from langchain_bedrock_opt.aws.trouble import said, trouble_of
from langchain_bedrock_opt.capacity.provisioned.calls import LOOKS, TRIES, ThroughputCalls
from langchain_bedrock_opt.capacity.provisioned.hints import NAME_TAKEN, refusal, with_hint
from langchain_bedrock_opt.capacity.provisioned.purchase import Purchase
from langchain_bedrock_opt.capacity.provisioned.records import FAILED, ProvisionedThroughput
from langchain_bedrock_opt.errors import CapacityError, PurchaseError

_UNCERTAIN: Final = (
    "It may have been bought all the same: call again with the same arguments, which finds it or "
    "buys it once."
)
# In the words that AWS has for a token that was used with other parameters (unverified).
_KNOWS_TOKEN: Final = re.compile("(request|idempoten[a-z]*) ?token|idempotent", re.IGNORECASE)


class Known(Enum):
    """What is known of something that was bought."""

    BOUGHT = auto()
    """AWS has answered a purchase with its ARN."""

    SEEN = auto()
    """It was there when it was looked for: if it is not there later on, it is gone."""


@dataclass(slots=True)
class Trail:
    """What a purchase may have left in the account.

    Attributes:
        is_open: Whether a purchase was sent of which no ARN is known yet.
        arns: The ARNs that were bought or found, and what is known of each.
    """

    is_open: bool = False
    arns: dict[str, Known] = field(default_factory=dict)

    def note(self, arn: str, known: Known) -> None:
        """Take down an ARN, or what has become known of it."""
        self.arns[arn] = known
        self.is_open = False


class Buyer:
    """Finds or buys provisioned throughputs.

    Args:
        calls: The account and region.

    Attributes:
        gone: The ARNs of those that this process has deleted.
    """

    def __init__(self, calls: ThroughputCalls) -> None:
        self._calls = calls
        self.gone: set[str] = set()

    def buy(self, purchase: Purchase, token: str, trail: Trail) -> ProvisionedThroughput:
        """The provisioned throughput that a purchase is about, found or bought.

        Args:
            purchase: What is to be bought.
            token: Its `clientRequestToken`.
            trail: What is bought is taken down in it at once.

        Raises:
            PurchaseError: AWS refuses, gave no answer for minutes, or the name or the token is
                another's.
            CapacityError: The account can't be looked through; nothing was bought.
        """
        backoff = self._calls.backoff()
        while True:
            found = self._find(purchase, trail)
            if found is not None:
                return found
            was_open, trail.is_open = trail.is_open, True
            try:
                arn = self._calls.create(purchase.request(token))
            except BOTOCORE_ERRORS as error:
                if trouble_of(error) in ("throttled", "outage"):
                    if backoff.pauses >= TRIES - 1:
                        raise PurchaseError(f"{refusal(error)} {_UNCERTAIN}") from error
                else:
                    trail.is_open = was_open  # nothing came of this try
                    # A name that a list shows nobody under: it lags behind a purchase or deletion.
                    if not NAME_TAKEN.search(said(error)) or backoff.pauses >= LOOKS - 1:
                        return self._after_refusal(purchase, error, trail)
            else:
                trail.note(arn, Known.BOUGHT)
                return self._seen(arn, purchase, trail)
            backoff.pause()

    def named(self, name: str) -> list[ProvisionedThroughput]:
        """Those of exactly this name that this process has not deleted: a list may lag behind.

        Raises:
            CapacityError: Bedrock refuses, or gave no answer for minutes.
        """
        return [each for each in self._calls.named(name) if each.arn not in self.gone]

    def _find(self, purchase: Purchase, trail: Trail) -> ProvisionedThroughput | None:
        """The one that was bought before under this name; None if there is none.

        Raises:
            PurchaseError: It is not what is to be bought, or it has failed.
            CapacityError: The account can't be looked through.
        """
        try:
            named = self.named(purchase.name)
        except CapacityError as error:
            if trail.is_open:
                raise PurchaseError(f"{error} {_UNCERTAIN}") from error
            raise
        wanted = [
            each for each in named if each.status != FAILED and not purchase.differences(each)
        ]
        for existing in wanted:  # one, unless AWS lets two have a name: none is forgotten
            trail.note(existing.arn, Known.SEEN)
        if wanted:
            return wanted[0]
        if named:
            raise self._in_the_way(named[0], purchase)
        return None

    def _in_the_way(self, existing: ProvisionedThroughput, purchase: Purchase) -> PurchaseError:
        differences = purchase.differences(existing)
        if not differences:  # a list does not say why it failed
            return failure(self._calls.get(existing.arn) or existing)
        return PurchaseError(
            f"The name {existing.name} is taken by {existing.arn}, which {differences}: choose "
            "another name, or delete that one first.",
            arn=existing.arn,
        )

    def _after_refusal(
        self, purchase: Purchase, error: BotocoreError, trail: Trail
    ) -> ProvisionedThroughput:
        """What was bought by an earlier try, if the last one was refused for that."""
        found = self._find(purchase, trail)
        if found is not None:
            return found
        if trail.is_open:
            raise PurchaseError(f"{refusal(error)} {_UNCERTAIN}") from error
        if _KNOWS_TOKEN.search(said(error)):
            raise PurchaseError(
                f"AWS knows the token of an earlier purchase ({said(error)}). {_another(purchase)}"
            ) from error
        raise PurchaseError(refusal(error)) from error

    def _seen(self, arn: str, purchase: Purchase, trail: Trail) -> ProvisionedThroughput:
        """What AWS says has been bought by this purchase: now, or long ago.

        Raises:
            PurchaseError: It is not there, or is not what was to be bought.
        """
        bought = None if arn in self.gone else self._looked_for(arn)
        differences = "is not there any more"
        if bought is not None:
            trail.note(arn, Known.SEEN)
            differences = purchase.differences(bought)
            if not differences:
                return bought
            if bought.name == purchase.name:  # it may well be this purchase: it is not forgotten
                raise _odd(bought, purchase)
            del trail.arns[arn]  # who has renamed it wants to keep it
        raise PurchaseError(
            f"AWS takes this for the purchase of {arn}, which {differences}. {_another(purchase)}",
            arn=arn,
        )

    def _looked_for(self, arn: str) -> ProvisionedThroughput | None:
        """One that was bought a moment ago: a Get may lag behind a Create."""
        backoff = self._calls.backoff()
        while True:
            try:
                found = self._calls.get(arn)
            except CapacityError as error:
                raise PurchaseError(f"{arn} is bought, and billed. {error}", arn=arn) from error
            if found is not None or backoff.pauses >= LOOKS - 1:
                return found
            backoff.pause()


def failure(failed: ProvisionedThroughput) -> PurchaseError:
    """The error that a failed one stands for, with Bedrock's words and what to do.

    Args:
        failed: One whose status is `Failed`.
    """
    words = failed.failure_message or "Bedrock says no more"
    return PurchaseError(
        f"{failed.name} is Failed: {with_hint(words)} Delete it if it is still there, since "
        f"whether AWS bills a failed one is not known: manager.delete({failed.arn!r}); then buy it "
        "again with another token=.",
        arn=failed.arn,
    )


def _odd(bought: ProvisionedThroughput, purchase: Purchase) -> PurchaseError:
    """The error for a purchase that has come to something else, as far as can be told."""
    delete = f"delete it: manager.delete({bought.arn!r})"
    advice = "the block deletes it" if purchase.is_temporary else f"use it by its ARN, or {delete}"
    return PurchaseError(
        f"{bought.arn} is bought, and bills, but {purchase.differences(bought)}: {advice}.",
        arn=bought.arn,
    )


def _another(purchase: Purchase) -> str:
    if purchase.is_temporary:
        return "To buy another one, enter the block again."
    return (
        f"To buy another one, pass token= with a text of your own, such as '{purchase.name}-2', "
        "and the same text whenever it is to be the same purchase."
    )
