"""The error map: which class an AWS error becomes, and what it tells the user."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import boto3
import pytest
import urllib3.exceptions
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    EventStreamError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)
from botocore.session import get_session

from langchain_bedrock_opt import errors
from langchain_bedrock_opt.aws.errors import is_retry_safe, service_error


def client_error(code: str, message: str = "m", kind: type[ClientError] = ClientError) -> Any:
    metadata = {"HTTPStatusCode": 400, "RequestId": "r1", "HTTPHeaders": {"retry-after": "2.5"}}
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}
    return kind(response, "Converse")  # type: ignore[arg-type]


def ours_of(error: Exception) -> Any:
    """The most special class of the package's own that an error is an instance of."""
    return next(kind for kind in type(error).__mro__ if vars(errors).get(kind.__name__) is kind)


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

    assert ours_of(error) is expected
    assert error.retry_safe is retry_safe
    assert is_retry_safe(client_error(code)) is retry_safe


def test_every_error_of_the_runtime_model_is_mapped() -> None:
    """No error shape of botocore's bedrock-runtime model falls through to the unknown class."""
    model = get_session().get_service_model("bedrock-runtime")

    unmapped = [
        shape.name
        for shape in model.error_shapes
        if ours_of(service_error(client_error(shape.name), "m")) is errors.BedrockServiceError
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

    error = service_error(refusal, "us.amazon.nova-light-v1:0", "us-east-1")

    assert isinstance(error, errors.UnknownModelError)
    assert "Did you mean 'us.amazon.nova-lite-v1:0'?" in str(error)
    assert "us-east-1" in str(error)
    assert "\n" not in str(error)


def test_a_throughput_that_is_gone_is_not_taken_for_a_model() -> None:
    """A provisioned throughput that was deleted is told as that, with where to look."""
    refusal = client_error("ResourceNotFoundException", "The specified resource ARN was not found.")
    arn = "arn:aws:bedrock:us-east-1:111122223333:provisioned-model/abcdef123456"

    error = service_error(refusal, arn, "us-east-1")

    assert "bedrock-opt throughput list" in str(error)
    assert "list-foundation-models" not in str(error)


def test_a_profile_of_another_geography_names_those_that_are_offered() -> None:
    """A known model under a scope that is not callable here is answered with its other ids."""
    refusal = client_error("ValidationException", "The provided model identifier is invalid.")

    error = service_error(refusal, "us.amazon.nova-lite-v1:0", "ap-northeast-1")

    assert "offered in ap-northeast-1: amazon.nova-lite-v1:0, " in str(error)
    assert "us.amazon.nova-lite-v1:0" not in str(error)
    assert "apac.amazon.nova-lite-v1:0" in str(error)


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


@pytest.mark.parametrize("copy", [deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_survives_a_process_pool(copy: Callable[[Any], Any]) -> None:
    """An error that is pickled on its way between processes is what it was, hint and all."""
    modelled = boto3.Session("a", "b", region_name="us-east-1").client("bedrock-runtime")
    for kind in (ClientError, EventStreamError, modelled.exceptions.ThrottlingException):
        error = service_error(client_error("ThrottlingException", kind=kind), "m")

        copied = copy(error)

        assert isinstance(copied, ClientError)
        assert isinstance(copied, errors.ThrottledError)
        assert (copied.code, copied.model_id) == ("ThrottlingException", "m")
        assert str(copied) == str(error)
    modelled.close()


def test_a_request_that_is_no_request_is_refused_in_one_line() -> None:
    """What botocore itself refuses to send is an invalid request like one Bedrock refuses."""
    report = "Invalid value for parameter inferenceConfig.maxTokens\nvalue: 0"

    error = service_error(ParamValidationError(report=report), "m")

    assert isinstance(error, errors.InvalidRequestError)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        (urllib3.exceptions.ProtocolError("Connection broken"), errors.BedrockServiceError),
        (
            urllib3.exceptions.ReadTimeoutError(Any, "url", "timed out"),  # type: ignore[arg-type]
            errors.ModelTimeoutError,
        ),
    ],
)
def test_a_stream_that_breaks_in_the_network_is_ours(
    broken: urllib3.exceptions.HTTPError, expected: type[Exception]
) -> None:
    """The errors of urllib3 that botocore lets through while a stream is read are mapped, too."""
    error = service_error(broken, "m")

    assert isinstance(error, expected)
    assert isinstance(error, type(broken))
    assert not error.retry_safe


def test_no_credentials_says_how_to_get_some() -> None:
    """Missing credentials are about credentials, not about policies."""
    error = service_error(NoCredentialsError(), "m")

    assert str(error).startswith("Unable to locate credentials. Run `aws configure`")
