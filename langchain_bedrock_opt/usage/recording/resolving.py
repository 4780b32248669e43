"""Asks what ARNs stand for, in threads of its own; records that need the answer wait here."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Final, TypeAlias

from langchain_bedrock_opt.usage.recording.pricing import Resolved

logger = logging.getLogger(__name__)

Resolve: TypeAlias = Callable[[str], Resolved | None]
"""Says what an ARN stands for, or None or any error if it can't. It may take its time."""

_Then: TypeAlias = Callable[[Resolved | None], None]

_MAX_WAITING: Final = 10_000
"""How many records may wait; beyond it one is told at once that its ARN is not known."""

_REMEMBER_FAILURE: Final = 300.0
"""Seconds for which an ARN that could not be resolved is not asked about again."""


def ask_aws(arn: str) -> Resolved | None:
    """Ask the control plane in an ARN's region, by boto3's usual credentials."""
    # Imported here: most handlers are never told to ask.
    from langchain_bedrock_opt.aws.clients import service_client
    from langchain_bedrock_opt.aws.resolution import resolve

    return resolve(arn, service_client("bedrock", region_name=arn.split(":")[3] or None))


class ArnDesk:
    """Resolves each ARN once, beside the model's runs, and tells those who wait for it.

    Args:
        resolve: Asks the control plane.
        clock: Seconds on a clock that never goes back.
    """

    def __init__(self, resolve: Resolve, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._resolve = resolve
        self._clock = clock
        self._known: dict[str, Resolved | None] = {}
        self._failed_at: dict[str, float] = {}
        self._waiting: dict[str, list[_Then]] = {}
        self._changed = threading.Condition()
        self._process = os.getpid()

    @property
    def waiting(self) -> int:
        """How many records wait."""
        with self._changed:
            return sum(map(len, self._waiting.values()))

    def ask(self, arn: str) -> None:
        """Begin to resolve an ARN, unless it is known or was asked about."""
        with self._changed:
            is_known = arn in self._known and not self._is_worth_another_try(arn)
            if is_known or arn in self._waiting:
                return
            self._known.pop(arn, None)
            self._waiting[arn] = []
        # A thread of its own: an ARN is asked about once, and one slow answer holds up no other.
        thread = threading.Thread(
            target=self._work, args=(arn,), name="bedrock-opt-arn", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:  # no more threads, as at the end of the process
            logger.warning("What arn=<%s> stands for is not known: %s", arn, error)
            self._settle(arn, None)

    def when_known(self, arn: str, then: _Then) -> None:
        """Call `then` with what an ARN stands for: now if it is known, else when it is.

        Args:
            arn: An ARN that was asked about.
            then: Gets None if nobody can say.
        """
        with self._changed:
            waiting = self._waiting.get(arn)
            if waiting is not None and sum(map(len, self._waiting.values())) < _MAX_WAITING:
                waiting.append(then)
                return
            resolved = self._known.get(arn)
        then(resolved)

    def wait(self, timeout: float) -> bool:
        """Wait until nobody waits any more.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            Whether everything is resolved.
        """
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, timeout)

    def give_up(self) -> None:
        """Tell everybody who waits that nobody can say."""
        with self._changed:
            left, self._waiting = self._waiting, {}
            self._known.update(dict.fromkeys(left))
            self._changed.notify_all()
        if self._process == os.getpid():  # in a forked process, they are the parent's
            self._tell(None, [then for waiting in left.values() for then in waiting])

    def forget_parent(self) -> None:
        """In a forked process: leave to the parent what waits there."""
        self._waiting = {}
        self._changed = threading.Condition()
        self._process = os.getpid()

    def _is_worth_another_try(self, arn: str) -> bool:
        failed = self._failed_at.get(arn)
        return failed is not None and self._clock() - failed > _REMEMBER_FAILURE

    def _work(self, arn: str) -> None:
        resolved: Resolved | None = None
        try:
            resolved = self._resolve(arn)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, nobody can say
            logger.warning("What arn=<%s> stands for is not known: %s", arn, error)
        self._settle(arn, resolved)

    def _settle(self, arn: str, resolved: Resolved | None) -> None:
        """Keep what an ARN stands for, and tell those who wait."""
        with self._changed:
            self._known[arn] = resolved
            self._failed_at.pop(arn, None)
            if resolved is None:
                self._failed_at[arn] = self._clock()
        while told := self._take(arn):
            self._tell(resolved, told)

    def _take(self, arn: str) -> list[_Then]:
        """Who waits for an ARN; once there is nobody, nobody is left to wait."""
        # In this order, who waits for the desk to be empty finds all records delivered.
        with self._changed:
            told = self._waiting.get(arn)
            if told:
                self._waiting[arn] = []
                return told
            self._waiting.pop(arn, None)
            self._changed.notify_all()
            return []

    @staticmethod
    def _tell(resolved: Resolved | None, told: list[_Then]) -> None:
        for then in told:
            then(resolved)
