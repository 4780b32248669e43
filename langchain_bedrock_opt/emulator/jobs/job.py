"""One invocation job: what was asked for, and how far it is."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Final

from langchain_bedrock_opt.catalog.batch_limits import TERMINAL, TIMEOUT_HOURS, InvocationType
from langchain_bedrock_opt.contracts import TokenUsage
from langchain_bedrock_opt.emulator.jobs.faults import JobFault, OutputFault, told_figures
from langchain_bedrock_opt.emulator.jobs.work import Work

_ECHOED: Final = (
    "jobName",
    "clientRequestToken",
    "roleArn",
    "inputDataConfig",
    "outputDataConfig",
    "vpcConfig",
    "timeoutDurationInHours",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCounts:
    """How many records a job has, and what became of them."""

    total: int = 0
    succeeded: int = 0
    failed: int = 0

    @property
    def processed(self) -> int:
        """The records that were asked, with or without success."""
        return self.succeeded + self.failed


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """A job as it was when it was last looked at.

    Attributes:
        arn: Its ARN.
        name: Its name.
        model_id: The model id as it was asked for.
        invocation: The format of its records.
        status: Its status.
        message: Why it failed; None otherwise.
        submitted_at: When it was created, in UTC.
        counts: Its records.
        usage: The tokens that its records took.
        output_uri: The folder of its output.
    """

    arn: str
    name: str
    model_id: str
    invocation: InvocationType
    status: str
    message: str | None
    submitted_at: datetime
    counts: JobCounts
    usage: TokenUsage
    output_uri: str


@dataclass(slots=True, kw_only=True)
class Job:
    """One job. Whoever reads or changes what may change holds its lock.

    Attributes:
        arn: Its ARN.
        params: The parameters of CreateModelInvocationJob.
        model_arn: The model, as Get and List name it.
        known: The bare id of its model; None if nobody knows.
        submitted: When it was created, in seconds since 1970.
        fault: What shall go wrong with it.
        output_fault: What shall be wrong with its output.
        since: When its status began.
        status: Its status.
        message: Why it failed.
        ended: When it ended.
        work: Its records; None until they are read.
        output_due: When its output is to be written, if it is not yet.
        output_ends: When its output is to be deleted, if it is there.
        creations: How often its creation was asked for.
        looks: How often Get or List have shown it.
    """

    arn: str
    params: Mapping[str, Any]
    model_arn: str
    known: str | None
    submitted: float
    fault: JobFault
    output_fault: OutputFault
    since: float
    status: str = "Submitted"
    message: str | None = None
    ended: float | None = None
    work: Work | None = None
    output_due: float | None = None
    output_ends: float | None = None
    creations: int = 0
    looks: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def id(self) -> str:
        """The last part of its ARN."""
        return self.arn.rpartition("/")[2]

    @property
    def region(self) -> str:
        """Its region."""
        return self.arn.split(":")[3]

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.params["jobName"])

    @property
    def invocation(self) -> InvocationType:
        """The format of its records."""
        kind: InvocationType = self.params.get("modelInvocationType", "InvokeModel")
        return kind

    @property
    def is_over(self) -> bool:
        """Whether its status is one in which it stays."""
        return self.status in TERMINAL

    @property
    def expires(self) -> float:
        """When it ends though it is not through, in seconds since 1970."""
        hours: int = self.params.get("timeoutDurationInHours", TIMEOUT_HOURS[0])
        return self.submitted + hours * 3600.0

    @property
    def output_uri(self) -> str:
        """The folder of its output: its own one in the folder that was asked for."""
        asked: str = self.params["outputDataConfig"]["s3OutputDataConfig"]["s3Uri"]
        return f"{asked.rstrip('/')}/{self.id}/"

    @property
    def counts(self) -> JobCounts:
        """Its records, as far as they are read and asked."""
        work = self.work
        if work is None:
            return JobCounts()
        return JobCounts(total=work.total, succeeded=work.succeeded, failed=work.failed)

    def set_status(self, status: str, at: float, message: str | None = None) -> None:
        """Enter a status."""
        self.status, self.since, self.message = status, at, message
        if self.is_over:
            self.ended = at

    def state(self) -> JobState:
        """A copy of what may change, for tests to look at."""
        work = self.work
        tokens = (work.input_tokens, work.output_tokens) if work else (0, 0)
        return JobState(
            arn=self.arn,
            name=self.name,
            model_id=self.params["modelId"],
            invocation=self.invocation,
            status=self.status,
            message=self.message,
            submitted_at=_moment(self.submitted),
            counts=self.counts,
            usage=TokenUsage(input=tokens[0], output=tokens[1]),
            output_uri=self.output_uri,
        )

    def described(self) -> dict[str, Any]:
        """The job as Get and List tell of it, by botocore's names."""
        counts = self.counts
        told = {key: self.params[key] for key in _ECHOED if key in self.params}
        told |= {
            "jobArn": self.arn,
            "modelId": self.model_arn,
            "modelInvocationType": self.invocation,
            "timeoutDurationInHours": self.params.get("timeoutDurationInHours", TIMEOUT_HOURS[0]),
            "status": self.fault.told_status(self.status, self.looks),
            "submitTime": _moment(self.submitted),
            "lastModifiedTime": _moment(self.since),
            "jobExpirationTime": _moment(self.expires),
            **told_figures(self.fault.counts, counts.total, counts.succeeded, counts.failed),
        }
        if self.message is not None:
            told["message"] = self.message
        if self.ended is not None:
            told["endTime"] = _moment(self.ended)
        return told


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)
