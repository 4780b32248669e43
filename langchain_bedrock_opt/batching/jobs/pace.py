"""How long to wait before the next look at jobs."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final

from langchain_bedrock_opt.batching.jobs.states import JobState

LONGEST_IN_TROUBLE: Final = 300.0
"""Seconds of any pause, at most."""

_SHORTEST: Final = 5.0
_LONGEST: Final = 120.0
_SHARE_OF_ELAPSED: Final = 0.02
# Towards the end by the counts: a share of what is left, and never less than one of what has
# passed, since a job whose records are all through may go on for a while.
_SHARE_OF_REST: Final = 0.25
_LEAST_SHARE_OF_ELAPSED: Final = 0.0025


def pause_before_look(jobs: Collection[JobState], now: datetime, *, failures: int = 0) -> float:
    """Seconds until jobs should be looked at again.

    The youngest job decides: 2 % of the time that it has taken. If all of them say how many
    records they have left, the last one's end is looked for sooner.

    Args:
        jobs: Jobs that are not over.
        now: The time, in UTC.
        failures: How many looks in a row have failed.

    Example:
        >>> from datetime import timedelta, timezone
        >>> now = datetime(2026, 11, 22, tzinfo=timezone.utc)
        >>> job = JobState("arn", "n", "InProgress", submitted_at=now - timedelta(hours=1))
        >>> pause_before_look([job], now)
        72.0
        >>> pause_before_look([job._replace(total=1000, processed=900)], now)
        72.0
        >>> pause_before_look([job._replace(total=1000, processed=990)], now)
        9.090909090909092
    """
    elapsed = [_elapsed(job, now) for job in jobs]
    pause = _within(_SHORTEST, _SHARE_OF_ELAPSED * min(elapsed, default=0.0), _LONGEST)
    rests = [_rest(job, seconds) for job, seconds in zip(jobs, elapsed, strict=True)]
    known = [rest for rest in rests if rest is not None]
    if known and len(known) == len(rests):
        soon = max(_SHARE_OF_REST * max(known), _LEAST_SHARE_OF_ELAPSED * max(elapsed))
        pause = min(pause, max(_SHORTEST, soon))
    if failures:
        pause = max(pause, min(_SHORTEST * 2**failures, LONGEST_IN_TROUBLE))
    return pause


def _elapsed(job: JobState, now: datetime) -> float:
    """Seconds since a job was made; none if its clock is ahead of ours."""
    if job.submitted_at is None:
        return 0.0
    return max(0.0, (now - job.submitted_at).total_seconds())


def _rest(job: JobState, elapsed: float) -> float | None:
    """Seconds that a job will take yet, if it goes on as it did; None if it does not say."""
    if not job.total or not job.processed:
        return None
    return elapsed * (job.total - job.processed) / job.processed


def _within(low: float, value: float, high: float) -> float:
    return max(low, min(value, high))
