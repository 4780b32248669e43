"""Waiting that is not the model's: for invocation jobs, and for room in a quota.

Runs that wait for jobs take hours or days, and come by the ten thousand: the bounds in time and
number that keep runs from leaking which never end are not for them. Whoever opens such runs ends
them. Neither wait says how fast a model is, so no latency has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_bedrock_opt.contracts import BATCH_METADATA_KEY, UsageRecord


def waits_for_job(event: Mapping[str, Any]) -> bool:
    """Whether a run that starts waits for a job.

    Args:
        event: The keyword arguments of the start event.

    Example:
        >>> waits_for_job({"metadata": {"bedrock_opt_batch": True}}), waits_for_job({})
        (True, False)
    """
    metadata = event.get("metadata")
    return metadata is not None and BATCH_METADATA_KEY in metadata


def waited_for_job(record: UsageRecord) -> bool:
    """Whether a job answered a call.

    Args:
        record: The call.
    """
    return record.price_tier == "batch"


def latency_of(record: UsageRecord) -> float | None:
    """How long a call took, in milliseconds, without its wait for room in a quota.

    Args:
        record: The call.

    Returns:
        None if it failed, or waited for a job: hours in a queue say nothing of how fast a model
        is, and would hide what does.

    Example:
        >>> from datetime import datetime, timezone
        >>> now = datetime.now(timezone.utc)
        >>> call = UsageRecord(
        ...     run_id="1",
        ...     started_at=now,
        ...     model_id="m",
        ...     status="ok",
        ...     latency_ms=7e6,
        ...     waited_ms=1e6,
        ... )
        >>> latency_of(call)
        6000000.0
    """
    is_told = record.status == "ok" and not waited_for_job(record)
    return without_wait(record, record.latency_ms) if is_told else None


def ttft_of(record: UsageRecord) -> float | None:
    """How long a stream's first token took, in milliseconds, without its wait for room in a quota.

    Args:
        record: The call.

    Returns:
        None if it did not stream.
    """
    return None if record.ttft_ms is None else without_wait(record, record.ttft_ms)


def without_wait(record: UsageRecord, milliseconds: float) -> float:
    """A time from a call's start on, less what the call was held back for.

    Args:
        record: The call.
        milliseconds: The time.
    """
    return max(0.0, milliseconds - record.waited_ms)
