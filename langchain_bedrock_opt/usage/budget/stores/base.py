"""What a budget asks of the place where it is counted."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable


class Level(NamedTuple):
    """How full one budget is, in pico-USD.

    Attributes:
        committed: What may not be spent again: what was spent and what is reserved.
        reserved: The part of it that calls under way hold, or that calls held whose process died.
    """

    committed: int = 0
    reserved: int = 0

    @property
    def spent(self) -> int:
        """What calls that have ended cost."""
        return self.committed - self.reserved


class Grant(NamedTuple):
    """The answer to a wish to reserve.

    Attributes:
        granted: Whether the amount is reserved.
        level: How full the budget is now.
    """

    granted: bool
    level: Level


@runtime_checkable
class BudgetStore(Protocol):
    """Counts budgets by key, each change in one atomic step. Amounts are pico-USD.

    Threads, and with a shared store processes and machines, call it at the same time. Errors of a
    server are `BudgetStoreError`.
    """

    is_blocking: bool
    """Whether its calls wait for a server, and so must stay out of an event loop."""

    def reserve(
        self, key: str, reservation: str, amount: int, *, limit: int | None, ttl: float | None
    ) -> Grant:
        """Reserve an amount if what is committed stays within the limit with it.

        Args:
            key: The budget.
            reservation: A name for this amount; the same one is reserved once.
            amount: At least 0.
            limit: None reserves in any case.
            ttl: Seconds until the budget may be forgotten; None keeps it.
        """

    def settle(self, key: str, reservation: str, reserved: int, amount: int) -> Level | None:
        """Put what a call cost in the place of what was reserved for it, once.

        Args:
            key: The budget.
            reservation: The name under which the amount was reserved.
            reserved: That amount.
            amount: What it cost; more than was reserved counts too, beyond any limit.

        Returns:
            How full the budget is now; None if there is no such reservation (any more).
        """

    def level(self, key: str) -> Level:
        """How full a budget is; empty if it is not known."""
