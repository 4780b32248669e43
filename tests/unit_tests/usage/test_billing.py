"""Which errors cost nothing is told from the error alone."""

from __future__ import annotations

import asyncio

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    EventStreamError,
    ReadTimeoutError,
)

from langchain_bedrock_opt.contracts import UNSENT
from langchain_bedrock_opt.errors import (
    BudgetExceededError,
    BudgetStoreError,
    ConfigurationError,
    ModelTimeoutError,
    ThrottledError,
)
from langchain_bedrock_opt.usage.billing import was_refused


def answered(code: str, status: int) -> ClientError:
    response = {
        "Error": {"Code": code, "Message": "no"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(response, "Converse")  # type: ignore[arg-type] # a part of a response


def cancelled(*, unsent: bool) -> BaseException:
    error = asyncio.CancelledError()
    setattr(error, UNSENT, unsent)
    return error


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (BudgetExceededError("no"), True),
        (BudgetStoreError("down"), True),
        (ConfigurationError("no"), True),
        (ThrottledError("slow down"), True),
        (answered("ThrottlingException", 429), True),
        (answered("AccessDeniedException", 403), True),
        (EndpointConnectionError(endpoint_url="https://b"), True),
        (cancelled(unsent=True), True),
        (cancelled(unsent=False), False),
        (ModelTimeoutError("late"), False),
        (answered("ModelErrorException", 424), False),
        (ReadTimeoutError(endpoint_url="https://b"), False),
        (ConnectionClosedError(endpoint_url="https://b"), False),
        (
            EventStreamError({"Error": {"Code": "throttlingException"}}, "ConverseStream"),
            False,
        ),
        (KeyError("answer"), None),
        (GeneratorExit(), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_an_error_says(error: BaseException, refused: bool | None) -> None:  # noqa: FBT001 - a parameter
    """True if no model worked on the call, False if one may have, None if it says nothing."""
    assert was_refused(error) is refused
