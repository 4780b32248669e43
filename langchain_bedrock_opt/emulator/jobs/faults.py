"""What may go wrong with jobs: how they end, what is told of them, and what is in their output."""

from __future__ import annotations

import math
import random
from collections.abc import Collection
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Literal, TypeAlias, TypeVar

from langchain_bedrock_opt.catalog.batch_limits import TERMINAL
from langchain_bedrock_opt.emulator.planned import PlannedFaults
from langchain_bedrock_opt.errors import EmulatorError

Some: TypeAlias = 'int | Literal["all"] | Collection[int]'
"""Which records: so many, chosen by the fault's seed; all; or those at these places, from 0."""

Figures = Literal["right", "zero", "wrong", "missing"]
"""Counts of records: as they are, all 0, not adding up, or left out."""

_FIGURES: Final = ("right", "zero", "wrong", "missing")
_TOO_MANY: Final = 7  # what wrong figures have too many of
_UNTOUCHED: Final = frozenset({"Failed", "Expired"})


def _check(name: str, value: object, known: tuple[object, ...]) -> None:
    if value not in known:
        raise EmulatorError(f"{name}={value!r} is none of {', '.join(map(str, known))}.")


def _check_least(fault: object, least: int, *names: str) -> None:
    for name in names:
        value = getattr(fault, name)
        if isinstance(value, (int, float)) and value < least:
            raise EmulatorError(f"{name} is {value}: it must be at least {least}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFault:
    """How some jobs go wrong as a whole.

    Attributes:
        job: A pattern of the jobs' names, as file names have them: `nightly-*`.
        times: How many jobs; None for all.
        status: How they end, such as `Failed`; None as jobs do.
        message: Why; for `Failed`.
        processed: How many records are run before they end; None takes none for `Failed` and
            `Expired`, half of them for `PartiallyCompleted` and `Stopped`, else all. A job that
            fails or expires with none ends before it is InProgress, and writes nothing.
        counts: What Get and List tell of their records.
        manifest: What their manifests tell; `missing`: there is no manifest.
        output_after: Seconds from the end of a job until its output is in S3; `math.inf`: it
            never comes.
        output_for: Seconds from the end of a job until its output is deleted again.
        shown_status: A status that is told instead of the real one, such as `Preparing`.
        shown_looks: How often it is told.
        lost_answers: How many answers to their creation do not arrive, though it is done.
        lost_as: What comes instead: an internal error, or nothing and a broken connection.

    Raises:
        EmulatorError: A value is none of these.

    Example:
        >>> JobFault(job="nightly-*", status="Expired").limit(100)
        0
    """

    job: str = "*"
    times: int | None = None
    status: str | None = None
    message: str | None = None
    processed: int | None = None
    counts: Figures = "right"
    manifest: Figures = "right"
    output_after: float = 0.0
    output_for: float = math.inf
    shown_status: str | None = None
    shown_looks: int = 1
    lost_answers: int = 0
    lost_as: Literal["error", "connection"] = "error"

    def __post_init__(self) -> None:
        """Refuse what can never happen, so that a typo does not pass as a green test."""
        _check("status", self.status, (None, *sorted(TERMINAL)))
        _check("counts", self.counts, _FIGURES)
        _check("manifest", self.manifest, _FIGURES)
        _check("lost_as", self.lost_as, ("error", "connection"))
        _check_least(self, 1, "times")
        _check_least(self, 0, "processed", "output_after", "output_for")
        _check_least(self, 0, "shown_looks", "lost_answers")

    def limit(self, total: int) -> int:
        """How many of a job's records are run.

        Args:
            total: How many it has.
        """
        if self.processed is not None:
            return min(self.processed, total)
        if self.status in _UNTOUCHED:
            return 0
        return total // 2 if self.status in ("PartiallyCompleted", "Stopped") else total

    def ends_early(self, total: int) -> bool:
        """Whether a job of so many records ends before it is InProgress."""
        return self.status in _UNTOUCHED and not self.limit(total)

    def told_status(self, status: str, looks: int) -> str:
        """The status that Get and List tell.

        Args:
            status: The real one.
            looks: How often the job was told of before.
        """
        return self.shown_status if self.shown_status and looks < self.shown_looks else status


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFault:
    """What is wrong with the output of some jobs. Several things may be at once.

    Attributes:
        job: A pattern of the jobs' names, as file names have them: `nightly-*`.
        times: How many jobs; None for all.
        seed: Chooses records, and shuffles.
        errors: Records that fail.
        error_code: The code they fail with; some versions of the service write a text.
        error_message: The reason.
        errors_in_output: Whether the error stands in `modelOutput`, not in `error`.
        drop: Records whose lines are missing.
        duplicate: Records whose lines are there twice.
        unknown: How many lines have the id of no record.
        nameless: Records whose lines have no `recordId`.
        broken: Records whose lines are no JSON.
        shuffle: Whether the lines are in another order.
        cut_tail: Bytes that are missing at the end of each file.
        cut_middle: Bytes that are missing in the middle of each file.

    Raises:
        EmulatorError: A number is below 0.

    Example:
        >>> fault = OutputFault(drop=2, shuffle=True)
        >>> len(fault.choose("drop", 100))
        2
    """

    job: str = "*"
    times: int | None = None
    seed: int = 0
    errors: Some = 0
    error_code: int | str = 400
    error_message: str = "The record was planned to fail."
    errors_in_output: bool = False
    drop: Some = 0
    duplicate: Some = 0
    unknown: int = 0
    nameless: Some = 0
    broken: Some = 0
    shuffle: bool = False
    cut_tail: int = 0
    cut_middle: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers below zero."""
        _check_least(self, 1, "times")
        _check_least(self, 0, "errors", "drop", "duplicate", "unknown", "nameless", "broken")
        _check_least(self, 0, "cut_tail", "cut_middle")

    @property
    def spares_lines(self) -> bool:
        """Whether the lines stand in the files as they were made."""
        return not (
            self.drop
            or self.duplicate
            or self.unknown
            or self.nameless
            or self.broken
            or self.shuffle
            or self.cut_tail
            or self.cut_middle
        )

    def choose(self, what: str, total: int) -> frozenset[int]:
        """The places of the records that something is wrong with.

        Args:
            what: The attribute that says how many, such as `drop`.
            total: How many records there are.
        """
        some: Some = getattr(self, what)
        if some == "all":
            return frozenset(range(total))
        if isinstance(some, int):
            chance = random.Random(f"{self.seed}/{what}")  # noqa: S311 - no secret
            return frozenset(chance.sample(range(total), min(some, total)))
        return frozenset(place for place in some if isinstance(place, int) and place < total)


NO_JOB_FAULT: Final = JobFault()
NO_OUTPUT_FAULT: Final = OutputFault()

_FaultT = TypeVar("_FaultT", JobFault, OutputFault)


class JobFaultPlan(PlannedFaults[JobFault | OutputFault]):
    """The faults that a local Bedrock has in store for jobs. Safe to use from several threads.

    A job gets the first fault of each kind that is about it and not used up, when it is created.

    Example:
        >>> plan = JobFaultPlan()
        >>> plan.add(JobFault(status="Failed", message="The role is missing.", times=1))
        >>> [plan.next_for(name)[0].status for name in ("a", "b")]
        ['Failed', None]
    """

    def next_for(self, name: str) -> tuple[JobFault, OutputFault]:
        """What shall be wrong with a job; each asking counts as one job.

        Args:
            name: The job's name.
        """
        with self._lock:
            return (
                self._next(name, JobFault, NO_JOB_FAULT),
                self._next(name, OutputFault, NO_OUTPUT_FAULT),
            )

    def _next(self, name: str, kind: type[_FaultT], nothing: _FaultT) -> _FaultT:
        found = self._first(lambda fault: isinstance(fault, kind) and fnmatchcase(name, fault.job))
        return found if isinstance(found, kind) else nothing


def told_figures(figures: Figures, total: int, succeeded: int, failed: int) -> dict[str, int]:
    """Counts of records, by the names that Get and the manifest have for them.

    Args:
        figures: Whether they are right.
        total: How many records there are.
        succeeded: How many were answered.
        failed: How many failed.

    Example:
        >>> told_figures("zero", 100, 90, 10)["totalRecordCount"]
        0
    """
    if figures == "missing":
        return {}
    if figures == "zero":
        total = succeeded = failed = 0
    if figures == "wrong":
        succeeded += _TOO_MANY
    return {
        "totalRecordCount": total,
        "processedRecordCount": succeeded + failed,
        "successRecordCount": succeeded,
        "errorRecordCount": failed,
    }
