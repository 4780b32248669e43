"""What Bedrock says of invocation jobs, and asking it once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any, Final, NamedTuple

from langchain_bedrock_opt.catalog.batch_limits import TERMINAL

_PAGE: Final = 1000
_RUN_INPUT: Final = re.compile(r"(s3://.+/runs/.+/)stage-\d+/input/[^/]+\.jsonl")
"""An input of a run's: the run's URI, then a place in its folder, as in `run.state`."""


class JobState(NamedTuple):
    """What is known of an invocation job.

    Attributes:
        arn: Its ARN.
        name: Its name.
        status: Its status; one that is not in `batch_limits` is taken for a passing one.
        message: Why it failed, or the like; empty if there is nothing to say.
        model_id: The model id or ARN as the service gives it.
        input_uri: Where its records lie.
        output_uri: The folder in which it makes a folder for its answers.
        total: Its records; None where the service does not say, as before it has counted them.
        processed: Records that are through, with or without an answer.
        success: Records with an answer.
        errors: Records that ended with an error.
        submitted_at: When it was created.
        ended_at: When it came to its end.
        expires_at: When it ends at the latest.
    """

    arn: str
    name: str
    status: str
    message: str = ""
    model_id: str = ""
    input_uri: str = ""
    output_uri: str = ""
    total: int | None = None
    processed: int | None = None
    success: int | None = None
    errors: int | None = None
    submitted_at: datetime | None = None
    ended_at: datetime | None = None
    expires_at: datetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether it stays as it is."""
        return self.status in TERMINAL

    @property
    def run_uri(self) -> str:
        """The URI of the run it belongs to, by where its input lies; empty for another's job.

        Example:
            >>> input_uri = "s3://bucket/runs/nightly/stage-0/input/00000-eecf1263.jsonl"
            >>> JobState("arn", "nightly", "Completed", input_uri=input_uri).run_uri
            's3://bucket/runs/nightly/'
        """
        found = _RUN_INPUT.fullmatch(self.input_uri)
        return found[1] if found else ""


def job_state(document: Mapping[str, Any]) -> JobState:
    """A job's state from an answer of GetModelInvocationJob, or a summary of the List.

    Example:
        >>> job_state({"jobArn": "arn", "jobName": "nightly", "status": "Stopped"}).is_over
        True
    """
    return JobState(
        arn=document["jobArn"],
        name=document.get("jobName", ""),
        status=document.get("status", ""),
        message=document.get("message") or "",
        model_id=document.get("modelId", ""),
        input_uri=_uri(document, "inputDataConfig", "s3InputDataConfig"),
        output_uri=_uri(document, "outputDataConfig", "s3OutputDataConfig"),
        total=document.get("totalRecordCount"),
        processed=document.get("processedRecordCount"),
        success=document.get("successRecordCount"),
        errors=document.get("errorRecordCount"),
        submitted_at=_utc(document.get("submitTime")),
        ended_at=_utc(document.get("endTime")),
        expires_at=_utc(document.get("jobExpirationTime")),
    )


def get_job(bedrock: Any, arn: str) -> JobState:
    """A job's state, asked once; botocore's errors come through.

    Args:
        bedrock: A boto3 client of `bedrock`.
        arn: The job.
    """
    return job_state(bedrock.get_model_invocation_job(jobIdentifier=arn))


def list_jobs(
    bedrock: Any, *, name_contains: str = "", since: datetime | None = None
) -> Iterator[JobState]:
    """Jobs, newest first, 1,000 in a call; botocore's errors come through.

    Args:
        bedrock: A boto3 client of `bedrock`.
        name_contains: A part of their names; empty for all.
        since: Those that were created after this.
    """
    request: dict[str, Any] = {
        "maxResults": _PAGE,
        "sortBy": "CreationTime",
        "sortOrder": "Descending",
    }
    if name_contains:
        request["nameContains"] = name_contains
    if since is not None:
        request["submitTimeAfter"] = since
    while True:
        page = bedrock.list_model_invocation_jobs(**request)
        yield from map(job_state, page.get("invocationJobSummaries", ()))
        if not page.get("nextToken"):
            return
        request["nextToken"] = page["nextToken"]


def _uri(document: Mapping[str, Any], config: str, kind: str) -> str:
    uri: str = document.get(config, {}).get(kind, {}).get("s3Uri", "")
    return uri


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(timezone.utc)
