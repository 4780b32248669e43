"""How a local Bedrock treats invocation jobs: its clock, their pace, their quotas."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Literal

from langchain_bedrock_opt.catalog.batch_limits import MAX_FILE_BYTES, MAX_RECORDS, MIN_RECORDS
from langchain_bedrock_opt.errors import EmulatorError

TakenName = Literal["conflict", "validation", "allowed"]
"""What a job's name that is taken is answered with: ConflictException, ValidationException, or a
second job. Which of them AWS does is not documented."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPace:
    """How many seconds of the jobs' clock a job stays in each status. All 0: nobody waits.

    Attributes:
        submitted: Seconds in Submitted.
        validating: Seconds in Validating.
        scheduled: Seconds in Scheduled; `math.inf` for a queue that never moves, where jobs expire.
        running: Seconds in InProgress, whatever the job's size.
        per_record: More seconds in InProgress for each record.
        stopping: Seconds in Stopping.

    Raises:
        EmulatorError: A number is below 0.
    """

    submitted: float = 0.0
    validating: float = 0.0
    scheduled: float = 0.0
    running: float = 0.0
    per_record: float = 0.0
    stopping: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a time that runs backwards."""
        for name in (each.name for each in fields(self)):
            value = getattr(self, name)
            if not value >= 0:
                raise EmulatorError(f"JobPace.{name} is {value}: it must be at least 0 seconds.")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQuotas:
    """What a job may be, and how many there may be of a model.

    Attributes:
        min_records: Records that a job has at least.
        max_records: Records that a job has at most.
        max_file_records: Records that one of its files has at most.
        max_file_bytes: What one of its files weighs at most.
        max_job_bytes: What its files weigh together at most.
        max_running: Jobs of one model that are not over; the next one is refused.

    Raises:
        EmulatorError: A number is below 0.
    """

    min_records: int = MIN_RECORDS
    max_records: int = MAX_RECORDS
    max_file_records: int = MAX_RECORDS
    max_file_bytes: int = MAX_FILE_BYTES
    max_job_bytes: int = 5 * MAX_FILE_BYTES
    max_running: int = 20

    def __post_init__(self) -> None:
        """Refuse limits below zero."""
        for name in (each.name for each in fields(self)):
            value = getattr(self, name)
            if value < 0:
                raise EmulatorError(f"JobQuotas.{name} is {value}: a quota can't be negative.")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSettings:
    """How a local Bedrock treats invocation jobs.

    Attributes:
        clock: Seconds since 1970: when jobs are submitted, and how far they are.
        pace: How long a job stays in each status. By default a job is over when it is first
            looked at.
        quotas: What a job may be.
        taken_name: What a name is answered with that another job has.
        token_seconds: How long a `clientRequestToken` is remembered.
        shows_partial_output: Whether a job that is InProgress has written what it has processed.

    Example:
        >>> JobSettings(quotas=JobQuotas(min_records=1)).pace.running
        0.0
    """

    clock: Callable[[], float] = time.time
    pace: JobPace = field(default_factory=JobPace)
    quotas: JobQuotas = field(default_factory=JobQuotas)
    taken_name: TakenName = "conflict"
    token_seconds: float = math.inf
    shows_partial_output: bool = False

    def __post_init__(self) -> None:
        """Refuse an answer that does not exist."""
        if self.taken_name not in ("conflict", "validation", "allowed"):
            raise EmulatorError(
                f"taken_name={self.taken_name!r} is none of conflict, validation and allowed."
            )
