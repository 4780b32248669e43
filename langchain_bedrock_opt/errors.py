"""Every exception this package raises, in one tree.

```
BedrockOptError
├── ConfigurationError (ValueError)       something was set up wrongly; says the value and the fix
│   ├── CalibrationError                  labels do not make a better router; nothing was changed
│   ├── MissingExtraError (ImportError)   an optional dependency is not installed
│   ├── UnconfirmedPurchaseError          something that bills by the hour, without `confirm=True`
│   └── UnknownTierError (LookupError)    a routing tier that does not exist was asked for
├── ModelIdError (ValueError)             a text that can't be a Bedrock model id or ARN
├── CacheStoreError                       a cache store failed; a call never sees it
├── SpendingCapError                      a run's spending cap is reached
├── BudgetExceededError                   a call could cost more than its budget has left
├── BudgetStoreError                      a budget's shared store failed
├── BatchError                            something is wrong with a run of invocation jobs
│   ├── BatchJobError                     Bedrock refused a job, or the job failed; says why
│   ├── BatchTooSmallError                fewer records than a job takes
│   ├── BatchCostError                    a run could cost more than it may
│   ├── BatchStorageError                 S3 refused or lost something that a run needs
│   ├── InputsChangedError                a run is gone on with, with other inputs
│   ├── BatchPartialError                 some records have no answer; carries all results
│   └── BatchIntegrityError               answers do not add up; carries all results
├── CapacityError                         something is wrong with provisioned throughput
│   ├── PurchaseError                     one could not be bought, or failed; says why
│   ├── CommitmentError                   one can't be deleted before its commitment ends
│   ├── ThroughputTimeoutError (TimeoutError)  one is not in service in time; it is billed
│   └── UnitsFixedError (ValueError)      its units can't be changed; says what to do instead
├── ContextTooLongError (ValueError)      what must stay in a prompt is over the budget alone
├── EmulatorError                         the local Bedrock could not start or was scripted wrongly
│   └── PortInUseError (OSError)          its port is taken
└── BedrockServiceError                   Bedrock answered with an error, or did not answer
    ├── ThrottledError                    too many requests or tokens: wait, or go elsewhere
    ├── ServiceUnavailableError           Bedrock or the model is not available just now
    ├── ModelTimeoutError (TimeoutError)  the model took too long
    ├── ModelError                        the model failed while it worked on the request
    ├── InvalidRequestError (ValueError)  Bedrock refuses the request as it is
    │   └── UnknownModelError (LookupError)  it does not know the model, or not under this id
    ├── AccessDeniedError (PermissionError)  credentials, IAM policy or model access are missing
    ├── RequestTooLargeOrOverQuotaError   a hard quota or size limit
    └── BatchRecordError                  one record of a job ended with an error
        └── RecordNotProcessedError       it was not processed: it may be sent again
```

A service error is raised *as well as* botocore's own: the object is an instance of both
classes, so code that catches `botocore.exceptions.ClientError` goes on working. What a caller
can ask it:

```python
try:
    model.invoke("Hello")
except BedrockServiceError as error:
    if error.retry_safe:
        ...  # the same request may be sent again
```
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Literal

from langchain_core.exceptions import LangChainException


class BedrockOptError(LangChainException):
    """The root of everything this package raises on purpose."""


class ConfigurationError(BedrockOptError, ValueError):
    """Something was set up wrongly. The message names the value and what to do."""


class CalibrationError(ConfigurationError):
    """The labels at hand don't make a better router, so it was left as it is.

    Args:
        message: What was found, and what to do.
        calibration: The `Calibration` that was turned down, where it came to one.
    """

    def __init__(self, message: str, calibration: Any = None) -> None:
        super().__init__(message)
        self.calibration = calibration


class MissingExtraError(ConfigurationError, ImportError):
    """An optional dependency is needed and not installed.

    Args:
        feature: What the user asked for, in a few words.
        extra: The extra of this package that brings it, such as `"local"`.
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"Packages for {feature} are not installed: "
            f'pip install "langchain-bedrock-opt[{extra}]"'
        )


class UnconfirmedPurchaseError(ConfigurationError):
    """Provisioned throughput bills by the hour until it is deleted; `confirm=True` was not said."""


class UnknownTierError(ConfigurationError, LookupError):
    """A routing tier was named that the router does not have."""


class ModelIdError(BedrockOptError, ValueError):
    """A text that can't be a Bedrock model id or ARN."""


class CacheStoreError(BedrockOptError):
    """A cache store failed. The cache catches it, counts it and goes on, save in `clear()`."""


class SpendingCapError(BedrockOptError):
    """A run has spent what it was allowed to spend."""


class BudgetExceededError(BedrockOptError):
    """A call could cost more than its budget has left; it was not made.

    Args:
        message: What was refused, and what to do.
        reason: `limit`, or why the call has no known upper cost: `unpriced` or `unbounded`.
        budget: The name of the budget.
        model_id: The model id or ARN that was to be called.
        group: The tag or metadata value whose budget it is; None for one budget for all.
        needed_usd: The most that the call can cost; None if that is not known.
        remaining_usd: What the budget has left; None if it was not asked.
        resets_at: When the budget's next window begins; None if it has only one.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: Literal["limit", "unpriced", "unbounded"] = "limit",
        budget: str = "",
        model_id: str = "",
        group: str | None = None,
        needed_usd: Decimal | None = None,
        remaining_usd: Decimal | None = None,
        resets_at: datetime | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.budget = budget
        self.model_id = model_id
        self.group = group
        self.needed_usd = needed_usd
        self.remaining_usd = remaining_usd
        self.resets_at = resets_at


class BudgetStoreError(BedrockOptError):
    """The store that a budget shares with other processes failed."""


class BatchError(BedrockOptError):
    """Something is wrong with a run of invocation jobs."""

    run_uri: str = ""
    """The run whose jobs there are, for `BatchRun.attach`; empty if it has none."""


class BatchJobError(BatchError):
    """Bedrock refused to create a job, or the job failed. It is not tried again.

    Args:
        message: What Bedrock said, and what to do.
        job_arn: The job, if there is one.
        status: Its status.
        code: AWS's error code, if it was an answer to a call.
    """

    def __init__(
        self,
        message: str,
        *,
        job_arn: str | None = None,
        status: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.job_arn = job_arn
        self.status = status
        self.code = code


class BatchTooSmallError(BatchError, ValueError):
    """There are fewer records than a job takes, and nothing else was allowed."""


class BatchCostError(BatchError):
    """A run could cost more than `max_cost_usd`; nothing was sent.

    Args:
        message: What it could cost, and what to do.
        needed_usd: The most it can cost; None if a price is not known.
        limit_usd: What it may cost.
    """

    def __init__(
        self, message: str, *, needed_usd: Decimal | None = None, limit_usd: Decimal | None = None
    ) -> None:
        super().__init__(message)
        self.needed_usd = needed_usd
        self.limit_usd = limit_usd


class BatchStorageError(BatchError):
    """S3 refused or lost something that a run needs. The message names the URI and the fix."""


class InputsChangedError(BatchError, ValueError):
    """A run is gone on with, with other inputs than it was begun with.

    Args:
        message: What differs, without prompt text.
        index: The first input that differs, if it is known.
    """

    def __init__(self, message: str, index: int | None = None) -> None:
        super().__init__(message)
        self.index = index


class BatchPartialError(BatchError):
    """Some records have no answer. All that was paid for is in `results`.

    Args:
        message: How many records have no answer, why, and what to do.
        results: Answers by their place, and for the rest the exception.
        run_uri: Where the run's state lies, for `BatchRun.attach`.
    """

    def __init__(self, message: str, results: list[Any], run_uri: str = "") -> None:
        super().__init__(message)
        self.results = results
        self.run_uri = run_uri


class BatchIntegrityError(BatchPartialError):
    """A job's answers do not add up with what it says of itself. They are in `results`."""


class CapacityError(BedrockOptError):
    """Something is wrong with provisioned throughput.

    Args:
        message: What, and what to do.
        arn: The provisioned throughput, if there is one: it may be billed.
    """

    def __init__(self, message: str, *, arn: str | None = None) -> None:
        super().__init__(message)
        self.arn = arn


class PurchaseError(CapacityError):
    """A provisioned throughput could not be bought, or it failed. The message says why."""


class CommitmentError(CapacityError):
    """A provisioned throughput can't be deleted before its commitment ends.

    Args:
        message: Until when, and what to do.
        arn: The provisioned throughput.
        until: When its commitment ends, in UTC; None if AWS does not say.
    """

    def __init__(
        self, message: str, *, arn: str | None = None, until: datetime | None = None
    ) -> None:
        super().__init__(message, arn=arn)
        self.until = until


class ThroughputTimeoutError(CapacityError, TimeoutError):
    """A provisioned throughput was waited for too long. It is neither given up nor deleted."""


class UnitsFixedError(CapacityError, ValueError):
    """The units of a provisioned throughput can't be changed by Bedrock's API."""


class ContextTooLongError(BedrockOptError, ValueError):
    """What must stay in a prompt is over its budget of tokens by itself.

    Args:
        message: What takes how much, and what to do; no prompt text.
        needed_tokens: The tokens of what must stay.
        max_tokens: The budget.
    """

    def __init__(self, message: str, *, needed_tokens: int, max_tokens: int) -> None:
        super().__init__(message)
        self.needed_tokens = needed_tokens
        self.max_tokens = max_tokens


class EmulatorError(BedrockOptError):
    """The local Bedrock could not start, or was told to do something it can't."""


class PortInUseError(EmulatorError, OSError):
    """The port the emulator was told to listen on is taken."""


class BedrockServiceError(BedrockOptError):
    """Bedrock answered with an error, or did not answer.

    The attributes are read from botocore's `response` where there is one, so they also hold for
    an error that was raised in the middle of an event stream.
    """

    retry_safe: ClassVar[bool] = False
    """Whether the same request may be sent again with a chance of success.

    False also where an answer may already have been paid for.
    """

    model_id: str | None = None
    """The model id that was called, where it is known."""

    region: str | None = None
    """The region that was called, where it is known."""

    retries: int = 0
    """Attempts beyond the first that were made by a client of this package."""

    throttles: int = 0
    """How many of the attempts were throttled."""

    @property
    def _response(self) -> dict[str, Any]:
        response = getattr(self, "response", None)
        return response if isinstance(response, dict) else {}

    @property
    def code(self) -> str:
        """AWS's error code, such as `ThrottlingException`; empty if there was no answer."""
        return str(self._response.get("Error", {}).get("Code", ""))

    @property
    def status_code(self) -> int | None:
        """The HTTP status, or None: no answer, or an error inside an event stream."""
        status: int | None = self._response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return status

    @property
    def request_id(self) -> str | None:
        """AWS's request id, the thing its support asks for."""
        request_id: str | None = self._response.get("ResponseMetadata", {}).get("RequestId")
        return request_id

    @property
    def retry_after(self) -> float | None:
        """Seconds Bedrock asks to wait, from the `retry-after` header; None if it does not say."""
        headers = self._response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        try:
            return float(headers["retry-after"])
        except (KeyError, TypeError, ValueError):
            return None


class ThrottledError(BedrockServiceError):
    """Too many requests or tokens a minute. Wait, slow down, or use other capacity."""

    retry_safe: ClassVar[bool] = True


class ServiceUnavailableError(BedrockServiceError):
    """Bedrock, or the model, is not available just now (500, 503, not ready, no connection)."""

    retry_safe: ClassVar[bool] = True


class ModelTimeoutError(BedrockServiceError, TimeoutError):
    """The model, or the connection, took too long. The answer may have been paid for."""


class ModelError(BedrockServiceError):
    """The model failed while it worked on the request."""


class InvalidRequestError(BedrockServiceError, ValueError):
    """Bedrock refuses the request as it is; sending it again changes nothing."""


class UnknownModelError(InvalidRequestError, LookupError):
    """Bedrock does not know the model, or does not offer it under this id."""


class AccessDeniedError(BedrockServiceError, PermissionError):
    """Credentials, an IAM policy or model access are missing."""


class RequestTooLargeOrOverQuotaError(BedrockServiceError):
    """A hard quota or a size limit is exceeded; waiting a minute does not help."""


class BatchRecordError(BedrockServiceError):
    """One record of an invocation job ended with an error.

    Args:
        message: What Bedrock said.
        index: The record's place among the inputs.
        error_code: The code in the job's output, such as `400`, as text.
        job_arn: The job.
    """

    def __init__(
        self,
        message: str,
        *,
        index: int = -1,
        error_code: str = "",
        job_arn: str | None = None,
    ) -> None:
        super().__init__(message)
        self.index = index
        self.error_code = error_code
        self.job_arn = job_arn

    @property
    def code(self) -> str:
        """The code in the job's output."""
        return self.error_code

    @property
    def status_code(self) -> int | None:
        """The code as an HTTP status, if it is a number."""
        return int(self.error_code) if self.error_code.isdigit() else None


class RecordNotProcessedError(BatchRecordError):
    """The job ended without this record, or it was throttled: it may be sent again."""

    retry_safe: ClassVar[bool] = True
