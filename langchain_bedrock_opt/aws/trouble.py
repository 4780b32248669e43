"""What kind of trouble a call of any AWS service is in: who waits for hours has to know.

`errors` says what an error of a model call means to a user. Here it is only: will the same call
work later on, will it work when somebody renews the credentials, or never.
"""

from __future__ import annotations

from typing import Final, Literal

from botocore.exceptions import ConnectionError as NoConnectionError
from botocore.exceptions import (
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    SSLError,
    SSOError,
    TokenRetrievalError,
)
from urllib3.exceptions import HTTPError as BrokenStreamError

from langchain_bedrock_opt.aws.attempts import THROTTLE_CODES
from langchain_bedrock_opt.aws.errors import BotocoreError

Trouble = Literal["throttled", "outage", "credentials", "refused"]
"""Too many calls; no answer, or one that says that the service is at fault; credentials that have
run out; anything else, which waiting does not mend."""

# Lower-cased. S3 and the rest of AWS have different words for the same.
_THROTTLED: Final = THROTTLE_CODES | {"slowdown", "requestlimitexceeded", "throttling"}
_OUTAGES: Final = frozenset(
    {
        "conditionalrequestconflict",  # S3: somebody writes this very key at this moment
        "internalerror",
        "internalserverexception",
        "operationaborted",
        "requesttimeout",
        "serviceunavailable",
        "serviceunavailableexception",
    }
)
_EXPIRED: Final = frozenset({"expiredtoken", "expiredtokenexception", "requestexpired"})
_NO_ANSWER: Final = (NoConnectionError, HTTPClientError, IncompleteReadError, BrokenStreamError)
_NO_TOKEN: Final = (CredentialRetrievalError, SSOError, TokenRetrievalError)
_TOO_MANY_REQUESTS: Final = 429
_SERVER_ERRORS: Final = 500


def trouble_of(error: BotocoreError) -> Trouble:
    """What kind of trouble an error means.

    Args:
        error: What a boto3 client raised, or urllib3 while a body was read.

    Example:
        >>> from botocore.exceptions import ClientError
        >>> trouble_of(ClientError({"Error": {"Code": "SlowDown"}}, "PutObject"))
        'throttled'
    """
    if isinstance(error, _NO_TOKEN):
        return "credentials"
    if isinstance(error, _NO_ANSWER):
        # A certificate that is not trusted will not be trusted later on.
        return "refused" if isinstance(error, SSLError) else "outage"
    code, status = error_code(error).lower(), status_code(error)
    if code in _EXPIRED:
        return "credentials"
    if code in _THROTTLED or status == _TOO_MANY_REQUESTS:
        return "throttled"
    if code in _OUTAGES or status >= _SERVER_ERRORS:
        return "outage"
    return "refused"


def lacks_credentials(error: BotocoreError) -> bool:
    """Whether there were no credentials to make the call with."""
    return isinstance(error, (NoCredentialsError, PartialCredentialsError))


def error_code(error: BotocoreError) -> str:
    """The service's code of an error, such as `NoSuchKey`; empty if it gave no answer."""
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def status_code(error: BotocoreError) -> int:
    """The HTTP status of an error; 0 if there was no answer."""
    response = getattr(error, "response", None) or {}
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def header(error: BotocoreError, name: str) -> str:
    """A header of the answer, by its name in lower case; empty if there is none."""
    response = getattr(error, "response", None) or {}
    return str(response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get(name, ""))


def said(error: BotocoreError) -> str:
    """The service's own words, in one line without a full stop."""
    response = getattr(error, "response", None) or {}
    words = response.get("Error", {}).get("Message") or str(error) or type(error).__name__
    return " ".join(str(words).split()).rstrip(".")
