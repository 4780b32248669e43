"""Whether a job's output is there, and adds up with what the job says of itself."""

from __future__ import annotations

import logging
from typing import Any, Final

from langchain_bedrock_opt.batching.jobs.collecting import Collector, Integrity
from langchain_bedrock_opt.batching.run.context import Context
from langchain_bedrock_opt.batching.run.stage import Part

_logger: Final = logging.getLogger(__name__)
_LOOKS: Final = 6
_FIRST_PAUSE: Final = 1.0
# With more errors than this share, something is wrong with all of them.
_MANY: Final = 0.5
_HAVE_OUTPUT: Final = frozenset({"Completed", "PartiallyCompleted"})


def has_output(context: Context, collector: Collector, part: Part) -> bool:
    """Whether a job's output can be read, or there need not be any.

    A List of S3's may come a moment too early, so it is asked again for half a minute.

    Args:
        context: The run.
        collector: Reads the job's output.
        part: The job's shard.
    """
    if not _must_have_output(part.end or {}):
        return True
    pause = _FIRST_PAUSE
    for _ in range(_LOOKS - 1):
        if collector.files():
            return True
        context.services.sleep(pause)
        pause *= 2
    return bool(collector.files())


def _must_have_output(end: dict[str, Any]) -> bool:
    # A job that was stopped, or has run out of time, leaves what it has done.
    return bool(end.get("status") in _HAVE_OUTPUT or end.get("success") or end.get("processed"))


def check_output(report: Integrity, part: Part) -> int:
    """Say loudly where a job's lines do not add up with its counts.

    Args:
        report: What was read.
        part: The job's shard.

    Returns:
        How many answers the job says it gave and could not be read.
    """
    end = part.end or {}
    claims = [(end.get("success"), end.get("errors"))]
    if report.manifest is not None:
        claims.append((report.manifest.success, report.manifest.errors))
    # A job may count wrongly: no more can be lost than is not there.
    lost = min(max(_unread(report, *claim) for claim in claims), report.missing)
    found = report.disagreements()
    if lost or found:
        _logger.warning(
            "The output of job %s does not add up: %s %d of the answers that it counts can't be "
            "read.",
            part.arn,
            " ".join(found),
            lost,
        )
    if report.errors > _MANY * report.records:
        # Bedrock's words are in the exceptions: they may quote a prompt.
        _logger.warning(
            "%d of the %d records of job %s have ended with an error, most of them with %s.",
            report.errors,
            report.records,
            part.arn,
            report.frequent_code or "no code",
        )
    return lost


def _unread(report: Integrity, success: int | None, errors: int | None) -> int:
    """How many answers of those that a job counts were not found."""
    missing = (success or 0) - report.success
    if errors is not None:
        # A record whose `modelOutput` is an error may be counted as an answer.
        missing = min(missing, (success or 0) + errors - report.success - report.errors)
    return max(0, missing)
