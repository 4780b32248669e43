"""Making and stopping invocation jobs, so that no crash and no lost answer makes a second one."""

from __future__ import annotations

import logging
import random as random_module
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from langchain_bedrock_opt.aws.backoff import Backoff
from langchain_bedrock_opt.aws.errors import BOTOCORE_ERRORS, BotocoreError
from langchain_bedrock_opt.aws.trouble import error_code, said, trouble_of
from langchain_bedrock_opt.batching.jobs.hints import with_hint
from langchain_bedrock_opt.batching.jobs.states import JobState, get_job, list_jobs
from langchain_bedrock_opt.batching.parts import BatchSettings, JobKind, Services
from langchain_bedrock_opt.errors import BatchError, BatchJobError

_logger: Final = logging.getLogger(__name__)
_T = TypeVar("_T")

_QUOTA: Final = "ServiceQuotaExceededException"
_CONFLICT: Final = "ConflictException"
_INVALID: Final = "ValidationException"
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
# A List may lag behind a Create by some seconds.
_LOOKS_FOR_A_NAME: Final = 5
# For questions that somebody waits for: about three minutes.
_TRIES: Final = 8


class NoFreeSlot(BatchError):  # noqa: N818 - no failure: the job's turn has not come
    """As many jobs of the model are running as may; create it when one of them is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """A job to be made.

    Attributes:
        name: Its name, of `names.job_name`.
        token: Its request token, of `names.request_token`.
        kind: What it asks.
        input_uri: The object with its records.
        output_uri: The folder for its answers.
    """

    name: str
    token: str
    kind: JobKind
    input_uri: str
    output_uri: str


class JobControl:
    """Makes, finds and stops jobs.

    Args:
        services: The control plane's client, clock and sleep.
        settings: How jobs are to be made.
        random: Numbers from 0 to 1, by which waits differ.
    """

    def __init__(
        self,
        services: Services,
        settings: BatchSettings,
        *,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        self._bedrock = services.bedrock
        self._clock = services.clock
        self._sleep = services.sleep
        self._random = random
        self._settings = settings

    def create(
        self,
        request: JobRequest,
        *,
        may_exist: bool = False,
        sleep: Callable[[float], object] | None = None,
    ) -> str:
        """Make a job, or find the one that was made before from the same request.

        Throttles, outages and lost answers are waited for, as long as a job may take; so are
        credentials that have expired.

        Args:
            request: The job.
            may_exist: Look for it first: it may have been made by a process that is no more.
                How long Bedrock remembers a token is not known.
            sleep: Waits between tries, in place of the services' own. It may raise an error to
                end them.

        Returns:
            The job's ARN.

        Raises:
            NoFreeSlot: As many jobs of the model are running as may.
            BatchJobError: Bedrock refuses it, or its name is taken by another job.
        """
        attempt = _Creation(request, may_exist=may_exist)
        backoff = self._backoff(sleep)
        until = self._clock() + self._settings.timeout_hours * 3600
        while True:
            try:
                found = self._adopted(request) if attempt.may_exist else None
                arn = found or self._create(request)
                if arn:
                    return arn
                attempt.was_answered_without_a_job()
            except BOTOCORE_ERRORS as error:
                attempt.judge(error)
            if self._clock() >= until:
                raise BatchJobError(
                    f"Job {request.name} could not be made for {self._settings.timeout_hours} "
                    f"hours: {attempt.reason}. Go on with the run later.",
                )
            backoff.pause()

    def made(self, request: JobRequest) -> str | None:
        """The job that was made of a request before; None if there is none, or none may be listed.

        Raises:
            BatchJobError: Its name is taken by another job, or Bedrock gave no answer for minutes.
        """
        return self._ask(lambda: self._adopted(request))

    def get(self, arn: str) -> JobState:
        """A job's state.

        Raises:
            BatchJobError: There is no such job, or Bedrock gave no answer for minutes.
        """
        return self._ask(lambda: get_job(self._bedrock, arn), arn)

    def find(self, name: str) -> JobState | None:
        """The newest job of this name; None if there is none.

        Raises:
            BatchJobError: Bedrock refuses, or gave no answer for minutes.
        """
        return self._ask(lambda: self._named(name))

    def list(self, name_contains: str = "", since: datetime | None = None) -> Iterator[JobState]:
        """Jobs, newest first.

        Args:
            name_contains: A part of their names; empty for all.
            since: Those that were created after this.

        Raises:
            BatchJobError: Bedrock refuses, or gave no answer for minutes.
        """
        # All pages or none: a page that is asked for again is not given twice.
        yield from self._ask(
            lambda: [*list_jobs(self._bedrock, name_contains=name_contains, since=since)]
        )

    def stop(self, arn: str) -> None:
        """Stop a job. One that is over, or being stopped, is no error.

        What it has processed is paid for and can be read.

        Raises:
            BatchJobError: Bedrock refuses, or gave no answer for minutes.
        """
        self._ask(lambda: self._stop(arn), arn)

    def _create(self, request: JobRequest) -> str | None:
        response = self._bedrock.create_model_invocation_job(**self._parameters(request))
        arn: str | None = response.get("jobArn")
        return arn

    def _parameters(self, request: JobRequest) -> dict[str, Any]:
        settings = self._settings
        source = {"s3Uri": request.input_uri, "s3InputFormat": "JSONL"}
        target = {"s3Uri": request.output_uri}
        if settings.bucket_owner is not None:
            source["s3BucketOwner"] = target["s3BucketOwner"] = settings.bucket_owner
        if settings.kms_key_id is not None:
            target["s3EncryptionKeyId"] = settings.kms_key_id
        parameters: dict[str, Any] = {
            "jobName": request.name,
            "clientRequestToken": request.token,
            "roleArn": settings.role_arn,
            "modelId": request.kind.model_id,
            "modelInvocationType": request.kind.invocation,
            "inputDataConfig": {"s3InputDataConfig": source},
            "outputDataConfig": {"s3OutputDataConfig": target},
            "timeoutDurationInHours": settings.timeout_hours,
        }
        if settings.vpc_config is not None:
            parameters["vpcConfig"] = dict(settings.vpc_config)
        if settings.tags:
            parameters["tags"] = [
                {"key": key, "value": value} for key, value in settings.tags.items()
            ]
        return parameters

    def _adopted(self, request: JobRequest) -> str | None:
        """The job that was made from this request before; None if there is none."""
        try:
            state = self._named(request.name)
        except BOTOCORE_ERRORS as error:
            if trouble_of(error) != "refused":
                raise
            # Who may not list jobs has the token alone against a second one.
            return None
        if state is None:
            return None
        mine = (request.input_uri, request.output_uri.rstrip("/"))
        if (state.input_uri, state.output_uri.rstrip("/")) != mine or not _is_same_model(
            state.model_id, request.kind.model_id
        ):
            raise BatchJobError(
                f"The name {request.name} is taken by {state.arn}, which reads "
                f"{state.input_uri} with {state.model_id}: choose another run_id.",
                job_arn=state.arn,
                status=state.status,
            )
        return state.arn

    def _named(self, name: str) -> JobState | None:
        jobs = list_jobs(self._bedrock, name_contains=name)
        return next((state for state in jobs if state.name == name), None)

    def _stop(self, arn: str) -> None:
        try:
            self._bedrock.stop_model_invocation_job(jobIdentifier=arn)
        except BOTOCORE_ERRORS as error:
            if error_code(error) not in (_CONFLICT, _INVALID):
                raise
            state = get_job(self._bedrock, arn)
            if not state.is_over and state.status != "Stopping":
                raise

    def _ask(self, question: Callable[[], _T], arn: str | None = None) -> _T:
        """Ask until there is an answer, for some minutes."""
        backoff = self._backoff()
        while True:
            try:
                return question()
            except BOTOCORE_ERRORS as error:
                passes = trouble_of(error) in ("throttled", "outage")
                if not passes or backoff.pauses >= _TRIES - 1:
                    raise _refusal(error, arn) from error
            backoff.pause()

    def _backoff(self, sleep: Callable[[float], object] | None = None) -> Backoff:
        return Backoff(
            first=_FIRST_PAUSE,
            longest=_LONGEST_PAUSE,
            sleep=sleep or self._sleep,
            random=self._random,
        )


class _Creation:
    """What has come of the tries to make one job."""

    def __init__(self, request: JobRequest, *, may_exist: bool) -> None:
        self._request = request
        self.may_exist = may_exist
        self.reason = ""
        self._clashes = 0
        self._has_warned = False

    def was_answered_without_a_job(self) -> None:
        """Look for the job from now on."""
        # Bedrock "ignores" a token that it knows; that it then names the job is unverified
        # against AWS.
        self.may_exist = True
        self.reason = "Bedrock named no job"

    def judge(self, error: BotocoreError) -> None:
        """Return if the job is to be asked for again.

        Raises:
            NoFreeSlot: The job's turn has not come.
            BatchJobError: Asking again does not help.
        """
        if error_code(error) == _QUOTA:
            raise NoFreeSlot(f"Job {self._request.name} waits for a free slot: {said(error)}.")
        self.reason = said(error)
        trouble = trouble_of(error)
        if trouble == "refused":
            self._count_a_clash(error)
            self.may_exist = True
        elif trouble == "outage":
            # The answer may be lost and the job be there.
            self.may_exist = True
        elif trouble == "credentials" and not self._has_warned:
            self._has_warned = True
            _logger.warning(
                "The AWS credentials have expired: job %s is made as soon as they are renewed "
                "(such as by `aws sso login`).",
                self._request.name,
            )

    def _count_a_clash(self, error: BotocoreError) -> None:
        """A name that is taken has a job to be found; any other refusal stands."""
        self._clashes += 1
        if not _is_name_taken(error) or self._clashes > _LOOKS_FOR_A_NAME:
            raise _refusal(error) from error


def _is_name_taken(error: BotocoreError) -> bool:
    # Bedrock's other kinds of jobs have the second form; which one this has is unverified
    # against AWS.
    code = error_code(error)
    return code == _CONFLICT or (code == _INVALID and "in use" in said(error).lower())


def _is_same_model(one: str, other: str) -> bool:
    """Whether two ids, of which each may be an ARN, name one model."""
    return one == other or one.rpartition("/")[2] == other.rpartition("/")[2]


def _refusal(error: BotocoreError, arn: str | None = None) -> BatchJobError:
    code = error_code(error)
    return BatchJobError(
        f"{getattr(error, 'operation_name', 'Bedrock')} failed "
        f"({code or type(error).__name__}): {with_hint(said(error))}",
        job_arn=arn,
        code=code or None,
    )
