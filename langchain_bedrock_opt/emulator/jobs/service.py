"""The invocation jobs of a local Bedrock: made, shown, listed, stopped."""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from langchain_bedrock_opt.contracts import TokenUsage
from langchain_bedrock_opt.emulator.engine import Parts
from langchain_bedrock_opt.emulator.faults import Fault
from langchain_bedrock_opt.emulator.jobs.faults import JobFaultPlan
from langchain_bedrock_opt.emulator.jobs.job import Job, JobState
from langchain_bedrock_opt.emulator.jobs.lifecycle import Lifecycle
from langchain_bedrock_opt.emulator.jobs.settings import JobSettings
from langchain_bedrock_opt.emulator.jobs.storage import Storage
from langchain_bedrock_opt.emulator.models.control_plane import page
from langchain_bedrock_opt.emulator.models.directory import not_found
from langchain_bedrock_opt.emulator.types import ConnectionCut, ServiceFailure

Params = Mapping[str, Any]
Result = dict[str, Any]

# Unverified against AWS: without maxResults a list is not endless.
_PAGE: Final = 100

# Seen for other jobs of Bedrock's, in airflow#38693 and sagemaker-python-sdk#6076.
_NAME_TAKEN: Final = "The provided job name is currently in use."


class JobService:
    """The invocation jobs of one emulator. Safe to use from several threads.

    Nothing runs in the background: jobs go on when one of the four operations looks at them.

    Args:
        settings: Their clock, pace and quotas.
        parts: What the engine is made of.
        make_s3_client: Makes the boto3 client that files are read and written with.

    Attributes:
        faults: Faults to come: `emulator.jobs.faults.add(JobFault(status="Expired"))`.
    """

    def __init__(
        self, settings: JobSettings, parts: Parts, make_s3_client: Callable[[], Any]
    ) -> None:
        self.faults = JobFaultPlan()
        self._settings = settings
        self._directory = parts.directory
        self._lifecycle = Lifecycle(settings, Storage(make_s3_client), parts)
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}

    def list(self) -> tuple[JobState, ...]:
        """All jobs in the order of their creation, as they were when last looked at."""
        return tuple(job.state() for job in self._all())

    @property
    def records(self) -> int:
        """How many records were run, in all jobs."""
        return sum(job.counts.processed for job in self._all())

    @property
    def usage(self) -> TokenUsage:
        """The tokens that all jobs took."""
        usages = [job.state().usage for job in self._all()]
        return TokenUsage(
            input=sum(usage.input for usage in usages),
            output=sum(usage.output for usage in usages),
        )

    def create(self, params: Params, region: str) -> Result:
        """CreateModelInvocationJob.

        Raises:
            ServiceFailure: Bedrock would refuse it, or a fault has it fail after it is done.
            ConnectionCut: A fault loses the answer.
        """
        job = self._created(params, region)
        with job.lock:
            is_lost = job.creations < job.fault.lost_answers
            job.creations += 1
        if is_lost and job.fault.lost_as == "connection":
            raise ConnectionCut
        if is_lost:
            raise Fault(code="InternalServerException").failure()
        return {"jobArn": job.arn}

    def settle_outputs(self) -> None:
        """Bring outputs up to date with the clock, before somebody looks into S3."""
        now = self._settings.clock()
        for job in self._all():
            if job.output_due is not None or job.output_ends not in (None, math.inf):
                with job.lock:
                    self._lifecycle.settle_output(job, now)

    def _created(self, params: Params, region: str) -> Job:
        """The job that a call makes, or that an earlier one with its token has made."""
        directory = self._directory
        known = directory.base_of(params["modelId"], invoke=False, region=region)
        now = self._settings.clock()
        self._advance_all(now)
        with self._lock:
            same = self._with_token(params.get("clientRequestToken"), now)
            if same is not None:
                return same
            self._check_name(params["jobName"])
            model_arn = directory.arn_of(params["modelId"])
            self._check_quota(model_arn)
            fault, output_fault = self.faults.next_for(params["jobName"])
            job = Job(
                arn=self._new_arn(params["jobName"], region),
                params=params,
                model_arn=model_arn,
                known=known,
                submitted=now,
                since=now,
                fault=fault,
                output_fault=output_fault,
            )
            self._jobs[job.id] = job
            return job

    def get(self, params: Params) -> Result:
        """GetModelInvocationJob.

        Raises:
            ServiceFailure: There is no such job.
        """
        job = self._named(params["jobIdentifier"])
        with job.lock:
            self._lifecycle.advance(job, self._settings.clock())
            told = job.described()
            job.looks += 1
        return told

    def list_jobs(self, params: Params) -> Result:
        """ListModelInvocationJobs."""
        self._advance_all(self._settings.clock())
        jobs = self._all()
        if params.get("sortOrder") == "Descending":
            jobs = jobs[::-1]
        found = []
        for job in jobs:
            with job.lock:
                told = job.described()
                if _passes(told, params):
                    found.append(told)
                    job.looks += 1
        return page("invocationJobSummaries", found, {"maxResults": _PAGE, **params})

    def stop(self, params: Params) -> Result:
        """StopModelInvocationJob.

        Raises:
            ServiceFailure: There is no such job, or it is over.
        """
        job = self._named(params["jobIdentifier"])
        with job.lock:
            now = self._settings.clock()
            self._lifecycle.advance(job, now)
            if job.is_over:
                # Unverified against AWS: the text.
                raise ServiceFailure(
                    "ConflictException", f"The job is {job.status} and can't be stopped."
                )
            if job.status != "Stopping":
                self._lifecycle.stop(job, now)
        return {}

    def _all(self) -> tuple[Job, ...]:
        with self._lock:
            return tuple(self._jobs.values())

    def _advance_all(self, now: float) -> None:
        for job in self._all():
            with job.lock:
                self._lifecycle.advance(job, now)

    def _named(self, identifier: str) -> Job:
        with self._lock:
            job = self._jobs.get(identifier.rpartition("/")[2])
        if job is None or (identifier.startswith("arn:") and identifier != job.arn):
            raise not_found()
        return job

    def _with_token(self, token: str | None, now: float) -> Job | None:
        """The job that a token has made. That its ARN comes back is unverified against AWS."""
        if token is None:
            return None
        for job in reversed(self._jobs.values()):
            if job.params.get("clientRequestToken") == token:
                return job if now - job.submitted <= self._settings.token_seconds else None
        return None

    def _check_name(self, name: str) -> None:
        if self._settings.taken_name == "allowed":
            return
        if any(job.name == name for job in self._jobs.values()):
            is_conflict = self._settings.taken_name == "conflict"
            code = "ConflictException" if is_conflict else "ValidationException"
            raise ServiceFailure(code, _NAME_TAKEN)

    def _check_quota(self, model_arn: str) -> None:
        most = self._settings.quotas.max_running
        running = sum(job.model_arn == model_arn and not job.is_over for job in self._jobs.values())
        if running >= most:
            # Unverified against AWS: the text.
            raise ServiceFailure(
                "ServiceQuotaExceededException",
                f"The account has {running} jobs of this model that are submitted or in progress; "
                f"its quota is {most}.",
            )

    def _new_arn(self, name: str, region: str) -> str:
        # Derived from the name, so that a test or a notebook sees the same ARN in every run.
        identifier = hashlib.sha256(f"{name}/{len(self._jobs)}".encode()).hexdigest()[:12]
        account = self._directory.account
        return f"arn:aws:bedrock:{region}:{account}:model-invocation-job/{identifier}"


def _passes(told: Result, params: Params) -> bool:
    """Whether a job passes a list's filters."""
    status, after = params.get("statusEquals"), params.get("submitTimeAfter")
    before = params.get("submitTimeBefore")
    return (
        status in (None, told["status"])
        and params.get("nameContains", "") in told["jobName"]
        and (after is None or told["submitTime"] > after)
        and (before is None or told["submitTime"] < before)
    )
