"""Finds what was bought, or buys it: once, whatever happens on the way.

The account is looked through by name before anything is bought, and again after each try that
did not end in an answer. Each try sends the same token, so AWS makes one of what may have been
sent twice: by two processes, by a process that was killed and its successor, or because an
answer was lost.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from langchain_bedrock_opt.aws.errors import BOTOCORE_ERRORS, BotocoreError
from langchain_bedrock_opt.aws.trouble import said, trouble_of
from langchain_bedrock_opt.capacity.provisioned.calls import LOOKS, TRIES, ThroughputCalls
from langchain_bedrock_opt.capacity.provisioned.hints import refusal, with_hint
from langchain_bedrock_opt.capacity.provisioned.purchase import Purchase
from langchain_bedrock_opt.capacity.provisioned.records import FAILED, ProvisionedThroughput
from langchain_bedrock_opt.errors import CapacityError, PurchaseError

_UNCERTAIN: Final = (
    "It may have been bought all the same: call again with the same arguments, which finds it or "
    "buys it once."
)
# In the words that AWS has for a token that was used with other parameters (unverified).
_KNOWS_TOKEN: Final = re.compile("(request|idempoten[a-z]*) ?token|idempotent", re.IGNORECASE)


class SpentTokenError(PurchaseError):
    """AWS takes a token for the purchase of one that is gone, or has become another one."""


@dataclass(slots=True)
class Trail:
    """What a purchase may have left in the account.

    Attributes:
        is_open: Whether a purchase was sent of which no ARN is known yet.
        arns: The ARNs that were bought or found, and whether each was seen to be there.
    """

    is_open: bool = False
    arns: dict[str, bool] = field(default_factory=dict)

    def note(self, arn: str, *, was_seen: bool) -> None:
        """Take down an ARN."""
        self.arns[arn] = self.arns.get(arn, False) or was_seen
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
            PurchaseError: AWS refuses, gave no answer for minutes, or the name is another's.
            SpentTokenError: The token is another's.
            CapacityError: The account can't be looked through; nothing was bought.
        """
        backoff = self._calls.backoff()
        while True:
            found = self._find(purchase, trail)
            if found is not None:
                return found
            trail.is_open = True
            try:
                arn = self._calls.create(purchase.request(token))
            except BOTOCORE_ERRORS as error:
                if trouble_of(error) not in ("throttled", "outage"):
                    return self._after_refusal(purchase, error, trail)
                if backoff.pauses >= TRIES - 1:
                    raise PurchaseError(f"{refusal(error)} {_UNCERTAIN}") from error
            else:
                trail.note(arn, was_seen=False)
                return self._seen(arn, purchase, trail)
            backoff.pause()

    def _find(self, purchase: Purchase, trail: Trail) -> ProvisionedThroughput | None:
        """The one that was bought before under this name; None if there is none.

        Raises:
            PurchaseError: It is not what is to be bought, or it has failed.
            CapacityError: The account can't be looked through.
        """
        try:
            named = self._calls.named(purchase.name)
        except CapacityError as error:
            if trail.is_open:
                raise PurchaseError(f"{error} {_UNCERTAIN}") from error
            raise
        for existing in named:
            if existing.status != FAILED and not purchase.differences(existing):
                trail.note(existing.arn, was_seen=True)
                return existing
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
        trail.is_open = False
        if _KNOWS_TOKEN.search(said(error)):
            raise SpentTokenError(
                f"AWS knows the token of an earlier purchase ({said(error)}). {_another(purchase)}"
            ) from error
        raise PurchaseError(refusal(error)) from error

    def _seen(self, arn: str, purchase: Purchase, trail: Trail) -> ProvisionedThroughput:
        """What AWS says has been bought by this purchase: now, or long ago."""
        bought = None if arn in self.gone else self._looked_for(arn)
        differences = "is not there any more"
        if bought is not None:
            differences = purchase.differences(bought)
            if differences:  # it was renamed or moved since, and is somebody's
                del trail.arns[arn]
            else:
                trail.note(arn, was_seen=True)
                return bought
        raise SpentTokenError(
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


def _another(purchase: Purchase) -> str:
    return (
        f"To buy another one, pass token= with a text of your own, such as '{purchase.name}-2', "
        "and the same text whenever it is to be the same purchase."
    )
