"""Runs that wait for invocation jobs.

They take hours or days, and come by the ten thousand: the bounds in time and number that keep runs
from leaking which never end are not for them. Whoever opens such runs ends them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

BATCH_KEY: Final = "bedrock_opt_batch"
"""Key in the metadata of a run that waits for a job."""


def waits_for_job(event: Mapping[str, Any]) -> bool:
    """Whether a run that starts waits for a job.

    Args:
        event: The keyword arguments of the start event.

    Example:
        >>> waits_for_job({"metadata": {"bedrock_opt_batch": True}}), waits_for_job({})
        (True, False)
    """
    metadata = event.get("metadata")
    return metadata is not None and BATCH_KEY in metadata
