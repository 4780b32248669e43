"""The error map: which class an AWS error becomes, and what it tells the user."""

from __future__ import annotations

import pickle
from typing import Any

import boto3
import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    EventStreamError,
    NoCredentialsError,
    ReadTimeoutError,
)
from botocore.session import get_session

from langchain_bedrock_opt import errors
from langchain_bedrock_opt.aws.errors import is_retry_safe, service_error


def client_error(code: str, message: str = "m", kind: type[ClientError] = ClientError) -> Any:
    metadata = {"HTTPStatusCode": 400, "RequestId": "r1", "HTTPHeaders": {"retry-after": "2.5"}}
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}
    return kind(response, "Converse")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "expected", "retry_safe"),
    [
        ("ThrottlingException", errors.ThrottledError, True),
        ("throttlingException", errors.ThrottledError, True),
        ("ModelNotReadyException", errors.ServiceUnavailableError, True),
        ("ServiceUnavailableException", errors.ServiceUnavailableError, True),
        ("internalServerException", errors.ServiceUnavailableError, True),
        ("ModelTimeoutException", errors.ModelTimeoutError, False),
        ("ModelErrorException", errors.ModelError, False),
        ("modelStreamErrorException", errors.ModelError, False),
        ("ValidationException", errors.InvalidRequestError, False),
        ("ResourceNotFoundException", errors.UnknownModelError, False),
        ("AccessDeniedException", errors.AccessDeniedError, False),
        ("ExpiredTokenException", errors.AccessDeniedError, False),
        ("ServiceQuotaExceededException", errors.RequestTooLargeOrOverQuotaError, False),
        ("SomethingNewException", errors.BedrockServiceError, False),
    ],
)
def test_codes(code: str, expected: type[Exception], retry_safe: bool) -> None:  # noqa: FBT001
    """Each code has one class, in either spelling, and the class says whether to retry."""
    error = service_error(client_error(code), "m")

    assert type(error).__mro__[1] is expected
    assert error.retry_safe is retry_safe
    assert is_retry_safe(client_error(code)) is retry_safe


def test_every_error_of_the_runtime_model_is_mapped() -> None:
    """No error shape of botocore's bedrock-runtime model falls through to the unknown class."""
    model = get_session().get_service_model("bedrock-runtime")

    unmapped = [
        shape.name
        for shape in model.error_shapes
        if type(service_error(client_error(shape.name), "m")).__mro__[1]
        is errors.BedrockServiceError
    ]

    assert unmapped == []


def test_the_error_keeps_what_aws_said() -> None:
    """Code, status, request id, the wait AWS asks for and the response are there to be read."""
    error = service_error(client_error("ThrottlingException", "Too many tokens"), "m")

    assert error.code == "ThrottlingException"
    assert error.status_code == 400
    assert error.request_id == "r1"
    assert error.retry_after == 2.5
    assert error.response["Error"]["Message"] == "Too many tokens"  # type: ignore[attr-defined]
    assert "Too many tokens" in str(error)


def test_a_modelled_exception_of_boto3_can_still_be_caught() -> None:
    """Code that catches `client.exceptions.ThrottlingException` goes on working."""
    client = boto3.Session(region_name="us-east-1").client("bedrock-runtime")
    modelled = client.exceptions.ThrottlingException

    error = service_error(client_error("ThrottlingException", kind=modelled), "m")

    assert isinstance(error, modelled)
    assert isinstance(error, errors.ThrottledError)
    client.close()


def test_an_unknown_model_is_told_from_other_refusals() -> None:
    """A wrong model id says so in one line, with the nearest id this package knows."""
    refusal = client_error("ValidationException", "The provided model identifier is invalid.")

    error = service_error(refusal, "amazon.nova-lite-v1")

    assert isinstance(error, errors.UnknownModelError)
    assert "Did you mean 'amazon.nova-lite-v1:0'?" in str(error)
    assert "\n" not in str(error)


def test_a_model_without_on_demand_names_a_profile() -> None:
    """A model that needs an inference profile is answered with the ids of two."""
    refusal = client_error(
        "ValidationException",
        "Invocation of model ID anthropic.x with on-demand throughput isn\u2019t supported.",
    )

    error = service_error(refusal, "anthropic.x")

    assert isinstance(error, errors.UnknownModelError)
    assert "us.anthropic.x" in str(error)


def test_denied_access_says_what_to_check() -> None:
    """A refusal of access names the permission and the model."""
    error = service_error(client_error("AccessDeniedException", "no"), "amazon.nova-lite-v1:0")

    assert isinstance(error, PermissionError)
    assert "bedrock:InvokeModel" in str(error)


URL = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("error", "expected", "retry_safe"),
    [
        (ConnectTimeoutError(endpoint_url=URL), errors.ServiceUnavailableError, True),
        (EndpointConnectionError(endpoint_url=URL), errors.ServiceUnavailableError, True),
        (ConnectionClosedError(endpoint_url=URL), errors.BedrockServiceError, False),
        (ReadTimeoutError(endpoint_url=URL), errors.ModelTimeoutError, False),
        (NoCredentialsError(), errors.AccessDeniedError, False),
    ],
)
def test_no_answer_at_all(
    error: BotoCoreError,
    expected: type[Exception],
    retry_safe: bool,  # noqa: FBT001
) -> None:
    """A call without an answer is an error of ours too; after a read time-out it may be paid."""
    ours = service_error(error, "m")

    assert isinstance(ours, expected)
    assert isinstance(ours, type(error))
    assert ours.retry_safe is retry_safe
    assert ours.status_code is None


def test_an_error_of_ours_is_not_wrapped_twice() -> None:
    """Mapping an error that is mapped already gives the same object."""
    error = service_error(client_error("ThrottlingException"), "m")

    assert service_error(error, "other") is error  # type: ignore[arg-type]
    assert is_retry_safe(error)
    assert not is_retry_safe(ValueError("something else"))


def test_an_error_survives_a_process_pool() -> None:
    """An error that is pickled on its way between processes is still AWS's."""
    error = service_error(client_error("ThrottlingException", kind=EventStreamError), "m")

    copied = pickle.loads(pickle.dumps(error))

    assert isinstance(copied, ClientError)
    assert copied.response["Error"]["Code"] == "ThrottlingException"
