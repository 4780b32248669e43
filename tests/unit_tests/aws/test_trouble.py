"""Which errors pass by themselves, which by new credentials, and which never."""

from __future__ import annotations

import pytest
from botocore.exceptions import (
    ConnectTimeoutError,
    EndpointConnectionError,
    IncompleteReadError,
    NoCredentialsError,
    SSLError,
    TokenRetrievalError,
)
from urllib3.exceptions import ProtocolError

from langchain_bedrock_opt.aws.errors import BotocoreError
from langchain_bedrock_opt.aws.trouble import error_code, header, said, status_code, trouble_of
from tests.faulty_clients import service_says

URL = "https://service.invalid"


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (service_says("ThrottlingException", 400), "throttled"),
        (service_says("SlowDown", 503), "throttled"),
        (service_says("Whatever", 429), "throttled"),
        (service_says("InternalServerException", 500), "outage"),
        (service_says("503", 503), "outage"),
        (service_says("RequestTimeout", 400), "outage"),
        (service_says("ConditionalRequestConflict", 409), "outage"),
        (ConnectTimeoutError(endpoint_url=URL), "outage"),
        (EndpointConnectionError(endpoint_url=URL), "outage"),
        (IncompleteReadError(actual_bytes=1, expected_bytes=2), "outage"),
        (ProtocolError("Connection broken"), "outage"),
        (service_says("ExpiredToken", 400), "credentials"),
        (service_says("ExpiredTokenException", 403), "credentials"),
        (TokenRetrievalError(provider="sso", error_msg="expired"), "credentials"),
        (service_says("AccessDeniedException", 403), "refused"),
        (service_says("ValidationException", 400), "refused"),
        (NoCredentialsError(), "refused"),
        (SSLError(endpoint_url=URL, error=OSError("unknown certificate")), "refused"),
    ],
)
def test_errors_are_told_apart_by_what_mends_them(error: BotocoreError, trouble: str) -> None:
    """An error is a throttle, an outage, a matter of credentials, or a refusal."""
    assert trouble_of(error) == trouble


def test_an_answer_is_read_for_what_it_says() -> None:
    """Code, status, headers and words of an answer are there, and empty where there is none."""
    answered = service_says("SlowDown", 503, "Please  wait.\n", region="here")
    unanswered = ConnectTimeoutError(endpoint_url=URL)

    assert (error_code(answered), status_code(answered)) == ("SlowDown", 503)
    assert (header(answered, "region"), said(answered)) == ("here", "Please wait")
    assert (error_code(unanswered), status_code(unanswered)) == ("", 0)
    assert header(unanswered, "region") == ""
    assert URL in said(unanswered)
