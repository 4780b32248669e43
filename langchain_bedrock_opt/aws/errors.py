"""From botocore's errors to ours: which class, whether a retry is safe, and what to do.

Bedrock writes codes in two ways, `ThrottlingException` in an HTTP answer and
`throttlingException` inside an event stream, so codes are compared case-insensitively. Texts
are looked at only where one code stands for things a user must tell apart.
"""

from __future__ import annotations

import sys
from difflib import get_close_matches
from functools import cache
from typing import Any, TypeAlias, cast

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ReadTimeoutError,
)
from botocore.exceptions import ConnectionError as NoConnectionError
from urllib3.exceptions import HTTPError as BrokenStreamError
from urllib3.exceptions import ReadTimeoutError as StreamTimeoutError

from langchain_bedrock_opt.aws.attempts import Attempts
from langchain_bedrock_opt.catalog.model_ids import parse_model_id
from langchain_bedrock_opt.catalog.specs import known_model_ids, spec_of
from langchain_bedrock_opt.errors import (
    AccessDeniedError,
    BedrockServiceError,
    InvalidRequestError,
    ModelError,
    ModelIdError,
    ModelTimeoutError,
    RequestTooLargeOrOverQuotaError,
    ServiceUnavailableError,
    ThrottledError,
    UnknownModelError,
)

BotocoreError: TypeAlias = ClientError | BotoCoreError | BrokenStreamError
"""What a boto3 client raises. While a stream is read, urllib3's own errors come through."""

BOTOCORE_ERRORS = (ClientError, BotoCoreError, BrokenStreamError)
"""The same, for `except`."""

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

# No connection was made, so nothing was paid; or the answer was waited for too long. A connection
# that broke later may have carried a request that Bedrock answers and bills: not safe to repeat.
_WITHOUT_ANSWER: tuple[tuple[type[Exception], type[BedrockServiceError]], ...] = (
    (ParamValidationError, InvalidRequestError),
    (ConnectTimeoutError, ServiceUnavailableError),
    (EndpointConnectionError, ServiceUnavailableError),
    (ReadTimeoutError, ModelTimeoutError),
    (StreamTimeoutError, ModelTimeoutError),
    (NoCredentialsError, AccessDeniedError),
    (PartialCredentialsError, AccessDeniedError),
)


def error_class(error: BotocoreError) -> type[BedrockServiceError]:
    """The class of ours that an error of botocore's belongs to.

    Args:
        error: A `ClientError` (an in-stream `EventStreamError` too), a `BotoCoreError`, or an
            error of urllib3's.

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
    if isinstance(error, BOTOCORE_ERRORS):
        return error_class(error).retry_safe
    return False


def is_broken_connection(error: Exception) -> bool:
    """Whether a connection broke, so that nobody knows what became of the request.

    Args:
        error: Any exception, botocore's own or ours.

    Example:
        >>> from botocore.exceptions import ConnectionClosedError
        >>> is_broken_connection(ConnectionClosedError(endpoint_url="https://example.com"))
        True
    """
    if not isinstance(error, (NoConnectionError, HTTPClientError, BrokenStreamError)):
        return False
    return error_class(error) is BedrockServiceError


def service_error(
    error: BotocoreError,
    model_id: str | None,
    region: str | None = None,
    attempts: Attempts | None = None,
) -> BedrockServiceError:
    """The same error as ours: an instance of our class *and* of botocore's own.

    Args:
        error: What botocore raised, or urllib3 in the middle of a stream.
        model_id: The model that was called, for the message.
        region: The region it was called in, likewise.
        attempts: What was seen of the call's attempts; None if nobody looked.

    Returns:
        A new exception, to be raised `from error`. One that is ours already comes back as it is.
    """
    if isinstance(error, BedrockServiceError):
        return error
    said = " ".join(str(error).split())
    hint = advice_on(error, model_id, region)
    message = f"{said.rstrip('.')}. {hint}" if hint else said
    state = {**error.__dict__, "model_id": model_id, "region": region}
    if attempts is not None:
        state |= {"retries": attempts.retries, "throttles": attempts.throttles}
    return _rebuild(error_class(error), type(error), message, state)


def _rebuild(
    ours: type[BedrockServiceError], theirs: type[Exception], message: str, state: dict[str, Any]
) -> BedrockServiceError:
    combined = _combined_class(ours, theirs)  # type: ignore[arg-type] # classes are hashable
    rebuilt = combined.__new__(combined)
    rebuilt.__dict__.update(state)
    rebuilt.args = (message,)
    return rebuilt


@cache
def _combined_class(
    ours: type[BedrockServiceError], theirs: type[Exception]
) -> type[BedrockServiceError]:
    # Cached, so that two errors of one kind also have one class. Boto3 makes its modelled
    # exceptions anew for each client, but clients are shared, so there are few of them.
    # Theirs comes first: langchain-aws combines the class once more, with a ClientError of its
    # own for a prompt that is too long, and the order of bases must then be consistent.

    def reduce(self: BedrockServiceError) -> tuple[Any, ...]:
        # A class made here can't be found by its name, nor can boto3's modelled exceptions.
        message = str(self.args[0]) if self.args else ""
        return _rebuild, (ours, _importable(theirs), message, dict(self.__dict__))

    body = {"__module__": ours.__module__, "__str__": Exception.__str__, "__reduce__": reduce}
    return cast("type[BedrockServiceError]", type(ours.__name__, (theirs, ours), body))


def _importable(theirs: type[Exception]) -> type[Exception]:
    """The nearest class of an exception that another process finds by its name."""
    for kind in theirs.__mro__:
        if getattr(sys.modules.get(kind.__module__), kind.__qualname__, None) is kind:
            return cast("type[Exception]", kind)
    return Exception


def _names_a_model(message: str) -> bool:
    """Whether a ValidationException is about the model id and not about the request's body."""
    lowered = message.lower()
    return "model identifier is invalid" in lowered or "on-demand throughput isn" in lowered


def advice_on(error: BotocoreError, model_id: str | None, region: str | None = None) -> str:
    """What the user can do about an error, in a sentence or two.

    Args:
        error: What botocore raised.
        model_id: The model that was called.
        region: The region it was called in.

    Returns:
        The advice; empty where Bedrock's own words say enough.
    """
    if isinstance(error, NoCredentialsError):
        return (
            "Run `aws configure` or `aws sso login`, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY."
        )
    kind = error_class(error)
    if kind is UnknownModelError and ":provisioned-model/" in str(model_id):
        return (
            "It was deleted, or is another account's or region's: manager.list() of a "
            "ProvisionedThroughputManager, or `bedrock-opt throughput list`, shows which there are."
        )
    if kind is UnknownModelError:
        return _about_model(str(model_id), region, needs_profile="on-demand" in str(error))
    if kind is AccessDeniedError:
        return (
            "Check the AWS credentials, that their policy allows bedrock:InvokeModel on "
            f"{model_id!r}, and that the account has access to the model."
        )
    return ""


def _about_model(model_id: str, region: str | None, *, needs_profile: bool) -> str:
    """Which ids there are for a model, or which model was likely meant."""
    place = f" in {region}" if region else ""
    spec = spec_of(model_id)
    if spec is not None:
        offered = [f"{scope}.{spec.id}" for scope in spec.profile_scopes]
        if not needs_profile and not spec.needs_profile:
            offered.insert(0, spec.id)
        # What was just refused is none of them, wherever else it may be offered.
        if offered := [other for other in offered if other != model_id]:
            return f"Take the one that is offered{place}: {', '.join(offered)}."
    if needs_profile:
        return f"For example us.{model_id} or global.{model_id}, where they are offered{place}."
    scope, _, _ = model_id.rpartition(_base_of(model_id))
    close = get_close_matches(_base_of(model_id), known_model_ids(), n=1, cutoff=0.6)
    is_other = bool(close) and scope + close[0] != model_id
    near = f"Did you mean {scope + close[0]!r}? " if is_other else ""
    return (
        f"(Model id {model_id!r}{place}.) {near}Ids are listed by "
        "`aws bedrock list-foundation-models` and `aws bedrock list-inference-profiles`."
    )


def _base_of(model_id: str) -> str:
    """The bare id in a model id, or the whole text if it has none."""
    try:
        return parse_model_id(model_id).base or model_id
    except ModelIdError:
        return model_id
