"""Runs that a budget refused, for the handlers that had let them start."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, TypeAlias
from uuid import UUID

from langchain_bedrock_opt.forks import when_forked
from langchain_bedrock_opt.usage.bounded import keep_newest

Release: TypeAlias = Callable[[UUID, BaseException], None]
"""Undoes what a handler did for a run, which was refused by an error."""


class Refusals:
    """Tells the handlers that heard a run start that another one has refused it.

    LangChain asks its handlers one after the other, or in async code several at once, and where
    one raises, the others never hear of the run again: what a budget holds for it would stay
    reserved.

    It has no lock: the garbage collector may close an abandoned stream at any point, which ends a
    run inside these methods. Each step is one operation of a dict or list, with keys that are
    texts, since a UUID is hashed in Python.

    Args:
        max_refused: How many refused runs are remembered, for handlers that are asked at the same
            moment and answer later.
        max_runs: How many runs that were let through are remembered; beyond it the oldest go.

    Attributes:
        is_used: Whether anybody refuses runs in this process. Until then nothing is remembered.
    """

    def __init__(self, *, max_refused: int = 1000, max_runs: int = 10_000) -> None:
        self.is_used = False
        self._max_refused = max_refused
        self._max_runs = max_runs
        self._holders: OrderedDict[str, list[Release]] = OrderedDict()
        self._refused: OrderedDict[str, BaseException] = OrderedDict()

    def __len__(self) -> int:
        """How many runs that were let through are remembered."""
        return len(self._holders)

    def use(self) -> None:
        """Remember runs from now on: there is somebody who may refuse one."""
        if not self.is_used:
            self.is_used = True
            when_forked(self)

    def joined(self, run_id: UUID, release: Release) -> None:
        """A handler has let a run start; `release` undoes what it did for it."""
        if not self.is_used:
            return
        key = run_id.hex
        holders = self._holders.setdefault(key, [])
        holders.append(release)
        keep_newest(self._holders, self._max_runs)
        # Looked at last: whoever refuses notes it first and then releases whom it finds.
        error = self._refused.get(key)
        if error is not None:
            self._holders.pop(key, None)
            _release_all(holders, run_id, error)

    def refused(self, run_id: UUID, error: BaseException) -> None:
        """A budget has refused a run, by an error."""
        key = run_id.hex
        self._refused[key] = known = _bare(error)
        keep_newest(self._refused, self._max_refused)
        _release_all(self._holders.pop(key, []), run_id, known)

    def ended(self, run_id: UUID) -> None:
        """A run that was let through has ended."""
        if self.is_used:
            self._holders.pop(run_id.hex, None)

    def after_fork(self) -> None:
        """In a forked process: leave the parent's runs to the parent."""
        self._holders = OrderedDict()
        self._refused = OrderedDict()


def _release_all(holders: list[Release], run_id: UUID, error: BaseException) -> None:
    """Call each once, whoever else is at it."""
    while True:
        try:
            release = holders.pop()
        except IndexError:
            return
        release(run_id, error)


def _bare(error: BaseException) -> BaseException:
    """The same error without its traceback, whose frames hold the prompt."""
    bare = type(error).__new__(type(error), *error.args)
    bare.__dict__.update(error.__dict__)
    return bare


REFUSALS: Final = Refusals()
"""Of all handlers in this process."""
