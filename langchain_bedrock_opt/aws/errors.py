"""From botocore's errors to ours: which class, whether a retry is safe, and what to do.

Bedrock writes codes in two ways, `ThrottlingException` in an HTTP answer and
`throttlingException` inside an event stream, so codes are compared case-insensitively. Texts
are looked at only where one code stands for things a user must tell apart.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
    ReadTimeoutError,
)

from langchain_bedrock_opt.catalog.specs import known_model_ids
from langchain_bedrock_opt.errors import (
    AccessDeniedError,
    BedrockServiceError,
    InvalidRequestError,
    ModelError,
    ModelTimeoutError,
    RequestTooLargeOrOverQuotaError,
    ServiceUnavailableError,
    ThrottledError,
    UnknownModelError,
)

# The error shapes of botocore's bedrock and bedrock-runtime models, lower-cased, and the codes
# that AWS's front door adds before a service is reached.
_BY_CODE: dict[str, type[BedrockServiceError]] = {
    "throttlingexception": ThrottledError,
    "toomanyrequestsexception": ThrottledError,
    "modelnotreadyexception": ServiceUnavailableError,
    "serviceunavailableexception": ServiceUnavailableError,
    "internalserverexception": ServiceUnavailableError,
    "internalfailure": ServiceUnavailableError,
    "modeltimeoutexception": ModelTimeoutError,
    "modelerrorexception": ModelError,
    "modelstreamerrorexception": ModelError,
    "validationexception": InvalidRequestError,
    "conflictexception": InvalidRequestError,
    "resourcenotfoundexception": UnknownModelError,
    "accessdeniedexception": AccessDeniedError,
    "expiredtokenexception": AccessDeniedError,
    "expiredtoken": AccessDeniedError,
    "unrecognizedclientexception": AccessDeniedError,
    "invalidsignatureexception": AccessDeniedError,
    "missingauthenticationtokenexception": AccessDeniedError,
    "servicequotaexceededexception": RequestTooLargeOrOverQuotaError,
}

# No connection was made, so nothing was paid. A connection that broke later (`HTTPClientError`)
# may have carried a request that Bedrock answers and bills: that is not safe to repeat.
_WITHOUT_ANSWER: tuple[tuple[type[BotoCoreError], type[BedrockServiceError]], ...] = (
    (ConnectTimeoutError, ServiceUnavailableError),
    (EndpointConnectionError, ServiceUnavailableError),
    (ReadTimeoutError, ModelTimeoutError),
    (NoCredentialsError, AccessDeniedError),
    (PartialCredentialsError, AccessDeniedError),
)


def error_class(error: ClientError | BotoCoreError) -> type[BedrockServiceError]:
    """The class of ours that an error of botocore's belongs to.

    Args:
        error: A `ClientError` (an in-stream `EventStreamError` too) or a `BotoCoreError`.

    Returns:
        The class; `BedrockServiceError` itself for what is not known, which is never retry-safe.
    """
    if isinstance(error, ClientError):
        details = error.response.get("Error", {})
        found = _BY_CODE.get(str(details.get("Code", "")).lower(), BedrockServiceError)
        if found is InvalidRequestError and _names_a_model(str(details.get("Message", ""))):
            return UnknownModelError
        return found
    for theirs, ours in _WITHOUT_ANSWER:
        if isinstance(error, theirs):
            return ours
    return BedrockServiceError


def is_retry_safe(error: Exception) -> bool:
    """Whether the request that ended in this error may be sent again.

    Args:
        error: Any exception; one that is not about Bedrock is never retry-safe.
    """
    if isinstance(error, BedrockServiceError):
        return error.retry_safe
    if isinstance(error, (ClientError, BotoCoreError)):
        return error_class(error).retry_safe
    return False


def service_error(error: ClientError | BotoCoreError, model_id: str | None) -> BedrockServiceError:
    """The same error as ours: an instance of our class *and* of botocore's own.

    Args:
        error: What botocore raised.
        model_id: The model that was called, for the message.

    Returns:
        A new exception, to be raised `from error`. One that is ours already comes back as it is.
    """
    if isinstance(error, BedrockServiceError):
        return error
    combined = _combined_class(error_class(error), type(error))  # type: ignore[arg-type]
    ours = combined.__new__(combined)
    ours.__dict__.update(error.__dict__)
    ours.model_id = model_id
    hint = _hint(ours, str(error), model_id)
    ours.args = (f"{error} {hint}" if hint else str(error),)
    return ours


@cache
def _combined_class(
    ours: type[BedrockServiceError], theirs: type[Exception]
) -> type[BedrockServiceError]:
    # Cached, so that two errors of one kind also have one class. Boto3 makes its modelled
    # exceptions anew for each client, but clients are shared, so there are few of them.
    return type(ours.__name__, (ours, theirs), {"__module__": ours.__module__})


def _names_a_model(message: str) -> bool:
    """Whether a ValidationException is about the model id and not about the request's body."""
    lowered = message.lower()
    return "model identifier is invalid" in lowered or "on-demand throughput isn" in lowered


def _hint(error: BedrockServiceError, message: str, model_id: str | None) -> str:
    """What the user can do, in one sentence; empty where Bedrock's own words say enough."""
    if isinstance(error, UnknownModelError):
        if "on-demand throughput" in message:
            return f"For example: us.{model_id} or global.{model_id}."
        close = get_close_matches(str(model_id), known_model_ids(), n=1, cutoff=0.6)
        near = f" Did you mean {close[0]!r}?" if close else ""
        return (
            f"(model id {model_id!r}){near} Ids offered in a region are listed by "
            "`aws bedrock list-foundation-models` and `aws bedrock list-inference-profiles`."
        )
    if isinstance(error, AccessDeniedError):
        return (
            f"Check the AWS credentials, that their policy allows bedrock:InvokeModel on "
            f"{model_id!r}, and that the account has access to the model."
        )
    return ""
