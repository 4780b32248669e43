"""What became of a request that raised an error."""

from __future__ import annotations

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)

from langchain_bedrock_opt.aws.arrival import Arrival, arrival_of


def answered(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "PutMetricData")


@pytest.mark.parametrize(
    ("error", "arrival"),
    [
        (answered("Throttling"), Arrival.NOT_TAKEN),
        (answered("InternalServiceError"), Arrival.NOT_TAKEN),
        (answered("ExpiredToken"), Arrival.NOT_TAKEN),
        (answered("InvalidParameterValue"), Arrival.REFUSED),
        (ParamValidationError(report="no"), Arrival.REFUSED),
        (ConnectTimeoutError(endpoint_url="u"), Arrival.NOT_TAKEN),
        (EndpointConnectionError(endpoint_url="u"), Arrival.NOT_TAKEN),
        (NoCredentialsError(), Arrival.NOT_TAKEN),
        (KeyError("x"), Arrival.NOT_TAKEN),
        (ReadTimeoutError(endpoint_url="u"), Arrival.UNKNOWN),
        (ConnectionClosedError(endpoint_url="u"), Arrival.UNKNOWN),
        (BrokenPipeError(), Arrival.UNKNOWN),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, Exception) else each.value,
)
def test_only_a_request_without_an_answer_may_have_arrived(
    error: Exception, arrival: Arrival
) -> None:
    """An error that was answered, or came before the request was sent, leaves no doubt."""
    assert arrival_of(error) is arrival
