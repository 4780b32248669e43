"""What the parts of this room hand to each other.

A run's way: a `Program` makes `Entry`s of inputs (`records`) → they are cut into shards and
uploaded, and a job is made of each (`run`, over `jobs`) → outputs come back as `Outcome`s → the
program makes results of them.

Places count from 0. A record's `recordId` is its place with 11 digits (`record_id`): answers are
joined to inputs by that and by nothing else.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias

from langchain_core.messages import AIMessage

from langchain_bedrock_opt.catalog.batch_limits import (
    MAX_FILE_BYTES,
    MAX_RECORDS,
    MIN_RECORDS,
    ROLE_ARN,
    TIMEOUT_HOURS,
    InvocationType,
)
from langchain_bedrock_opt.errors import ConfigurationError

Below = Literal["on_demand", "flex", "error"]
"""What becomes of records that are too few for a job."""

OnFailed = Literal["raise", "on_demand", "resubmit"]
"""What becomes of records without an answer that may be sent again, once all jobs have ended."""

Order = Literal["input", "any"]
"""In which order results are given: that of the inputs, or as they come."""

Source = Literal["job", "on_demand", "cache", "same"]
"""Who answered: a job, a call of its own, a cache before anything was sent, or an equal record
of the same run."""


_RECORD_ID: Final = re.compile("[0-9]{11}")


class JobKind(NamedTuple):
    """What all records of a job have in common.

    Attributes:
        model_id: The model id, inference profile id or ARN.
        invocation: The format of its records.
    """

    model_id: str
    invocation: InvocationType


class Record(NamedTuple):
    """One request to a model, ready to become a line of a job's input.

    Attributes:
        place: Its place among the inputs.
        kind: The kind of job that takes it.
        body: `modelInput` as JSON, in UTF-8, without a line break.
    """

    place: int
    kind: JobKind
    body: bytes


class Known(NamedTuple):
    """An input whose answer a cache had: nothing is sent for it.

    Attributes:
        place: Its place among the inputs.
        message: The answer.
        body: The body of the record that would be sent, by which a run that is gone on with
            tells whether the input is the same.
    """

    place: int
    message: AIMessage
    body: bytes


class Refused(NamedTuple):
    """An input that no record could be made of: nothing is sent for it.

    Attributes:
        place: Its place among the inputs.
        error: Why.
    """

    place: int
    error: Exception


Entry: TypeAlias = Record | Known | Refused
"""What became of one input before anything was sent."""


class Outcome(NamedTuple):
    """How one input of a stage has ended. Exactly one of `output`, `message` and `error` is set.

    Attributes:
        place: Its place among the inputs.
        source: Who answered; for an error, who was asked.
        kind: The kind of its record; None if none was made.
        output: `modelOutput` as JSON text, without an error in it.
        message: The answer that a cache had.
        error: Why there is no answer: a `BatchRecordError` if the record was sent.
        job_arn: The job; None for answers that came on demand or from a cache.
        attempts: How many times the record was sent.
    """

    place: int
    source: Source = "job"
    kind: JobKind | None = None
    output: bytes | None = None
    message: AIMessage | None = None
    error: Exception | None = None
    job_arn: str | None = None
    attempts: int = 1


class Program(Protocol):
    """What a run asks its models, and what it makes of their answers.

    A run has one or more stages, each of which asks one model. What `result` gives for a stage
    is an item of the next stage; that of the last stage is the run's result.
    """

    @property
    def fingerprint(self) -> str:
        """Tells a chain from another one: a digest of its structure, without prompt text."""

    @property
    def stages(self) -> int:
        """How many stages there are."""

    def entries(self, stage: int, items: Iterable[tuple[int, Any]]) -> Iterator[Entry]:
        """Make records of a stage's items, one entry for each, in their order.

        Args:
            stage: The stage.
            items: Places and items. They may be more than fit into memory.
        """

    def result(self, stage: int, outcome: Outcome) -> Any:
        """What becomes of one outcome.

        Args:
            stage: The stage.
            outcome: The outcome.

        Raises:
            Exception: There is no answer, or a later step can't work with it. Only this input
                fails.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSettings:
    """How a run's jobs are to be made.

    Attributes:
        s3_uri: A bucket or a prefix for everything a run needs, `s3://bucket/prefix/`.
        role_arn: The service role that reads and writes there and invokes the model.
        below_minimum: What becomes of records that are too few for a job.
        on_failed: What becomes of records that failed and may be sent again.
        min_records: The least a job takes; 100 for most models (Service Quotas has them all).
        max_records: The most a file and a job take.
        max_file_bytes: The most a file may weigh.
        timeout_hours: After how many hours a job that is not through ends, 24 to 168.
        max_cost_usd: A run that could cost more is refused before anything is uploaded.
        cancel_on_interrupt: Stop the jobs on Ctrl-C. By default they go on, and the run's URI
            is printed.
        bucket_owner: The account whose bucket it is, if it is another one.
        kms_key_id: The KMS key that Bedrock encrypts outputs with.
        vpc_config: Bedrock's `vpcConfig`.
        tags: Tags of the jobs. No state is kept in them.

    Raises:
        ConfigurationError: A value is out of its range.
    """

    s3_uri: str
    role_arn: str
    below_minimum: Below = "on_demand"
    on_failed: OnFailed = "raise"
    min_records: int = MIN_RECORDS
    max_records: int = MAX_RECORDS
    max_file_bytes: int = MAX_FILE_BYTES
    timeout_hours: int = TIMEOUT_HOURS[0]
    max_cost_usd: Decimal | None = None
    cancel_on_interrupt: bool = False
    bucket_owner: str | None = None
    kms_key_id: str | None = None
    vpc_config: Mapping[str, Any] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse at once what Bedrock would refuse after an upload."""
        if not ROLE_ARN.fullmatch(self.role_arn):
            raise ConfigurationError(
                f"role_arn={self.role_arn!r} is not the ARN of an IAM role: pass one such as "
                "'arn:aws:iam::111122223333:role/bedrock-batch'."
            )
        low, high = TIMEOUT_HOURS
        if not low <= self.timeout_hours <= high:
            raise ConfigurationError(
                f"timeout_hours={self.timeout_hours} is not within {low} and {high}."
            )
        if not 1 <= self.min_records <= self.max_records:
            raise ConfigurationError(
                f"min_records={self.min_records} is not within 1 and "
                f"max_records={self.max_records}."
            )
        for name, value, known in (
            ("below_minimum", self.below_minimum, ("on_demand", "flex", "error")),
            ("on_failed", self.on_failed, ("raise", "on_demand", "resubmit")),
        ):
            if value not in known:
                raise ConfigurationError(f"{name}={value!r} is none of {', '.join(known)}.")


Direct: TypeAlias = Callable[[JobKind, bytes, bool], bytes]
"""Answers one record on demand: its kind, its `modelInput`, and whether at the flex tier. Gives
`modelOutput`; raises a `BedrockServiceError`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What a run needs of the world outside.

    Attributes:
        bedrock: A boto3 client of `bedrock`, the control plane.
        s3: A boto3 client of `s3`.
        direct: Answers records that no job takes; None if that can't be done here.
        few: Is told how many records are too few for a job and are going to be answered by
            `direct`, at the full price; None if that is what the user asked for.
        clock: Seconds since 1970.
        sleep: Waits for so many seconds.
    """

    bedrock: Any
    s3: Any
    direct: Direct | None = None
    few: Callable[[int], object] | None = None
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], object] = time.sleep


class Coalescer(Protocol):
    """Collects single calls of many tasks into jobs."""

    async def ask(
        self, model: Any, messages: list[Any], stop: list[str] | None, kwargs: Mapping[str, Any]
    ) -> AIMessage:
        """Answer one call of a `BedrockBatch`, when the job that it joined has ended."""

    def ask_from_thread(
        self, model: Any, messages: list[Any], stop: list[str] | None, kwargs: Mapping[str, Any]
    ) -> AIMessage:
        """The same, for a call from a thread that is not the event loop's."""


COALESCER: Final[ContextVar[Coalescer | None]] = ContextVar("bedrock_opt_coalescer", default=None)
"""Who collects the single calls that are made here; None: they go on demand."""


def record_id(place: int) -> str:
    """The `recordId` of a place: 11 digits, which old and new versions of the service take.

    Example:
        >>> record_id(42)
        '00000000042'
    """
    return f"{place:011d}"


def place_of(text: object) -> int | None:
    """The place that a `recordId` stands for; None if it is none of ours.

    Example:
        >>> place_of("00000000042"), place_of("CALL0000001"), place_of(None)
        (42, None, None)
    """
    if not isinstance(text, str) or not _RECORD_ID.fullmatch(text):
        return None
    return int(text)


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The result of one input of a run.

    Attributes:
        index: The input's place.
        output: What the chain made of the answer; None if there is an error.
        error: Why there is no output; None if there is one.
    """

    index: int
    output: Any = None
    error: Exception | None = None

    def unwrap(self) -> Any:
        """The output.

        Raises:
            Exception: The error, if there is one.
        """
        if self.error is not None:
            raise self.error
        return self.output
