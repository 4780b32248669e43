"""Whether a request that failed may have arrived all the same: sent again, it would count twice."""

from __future__ import annotations

from enum import Enum
from typing import Final

from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ParamValidationError,
    ProxyConnectionError,
    ReadTimeoutError,
    ResponseStreamingError,
    SSLError,
)
from botocore.parsers import ResponseParserError

_NEVER_CONNECTED: Final = (
    ConnectTimeoutError,
    EndpointConnectionError,
    ProxyConnectionError,
    SSLError,
    ConnectionRefusedError,
)
_NO_ANSWER: Final = (
    ReadTimeoutError,
    ConnectionClosedError,
    HTTPClientError,
    ResponseStreamingError,
    ResponseParserError,
    TimeoutError,
    ConnectionResetError,
    BrokenPipeError,
)
# The request itself is at fault: sent again it fails again. Credentials, permissions and limits
# of rate may be mended while it waits.
_REFUSALS: Final = frozenset(
    {
        "InvalidFormat",
        "InvalidParameterCombination",
        "InvalidParameterCombinationException",
        "InvalidParameterValue",
        "InvalidParameterValueException",
        "MissingParameter",
        "MissingRequiredParameterException",
        "RequestEntityTooLarge",
        "SerializationException",
        "ValidationError",
        "ValidationException",
    }
)


class Arrival(Enum):
    """What became of a request that raised an error."""

    NOT_TAKEN = "not taken"
    """It did not arrive, or was answered with an error that may pass: send it again."""
    REFUSED = "refused"
    """It arrived and is wrong: it will never be taken."""
    UNKNOWN = "unknown"
    """It was sent and no answer came: it may have been taken."""


def arrival_of(error: Exception) -> Arrival:
    """What became of a request of a boto3 client.

    Args:
        error: What the client raised.

    Example:
        >>> arrival_of(ConnectionRefusedError()), arrival_of(TimeoutError())
        (<Arrival.NOT_TAKEN: 'not taken'>, <Arrival.UNKNOWN: 'unknown'>)
    """
    if isinstance(error, ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        return Arrival.REFUSED if code in _REFUSALS else Arrival.NOT_TAKEN
    if isinstance(error, ParamValidationError):
        return Arrival.REFUSED
    if isinstance(error, _NEVER_CONNECTED):
        return Arrival.NOT_TAKEN
    return Arrival.UNKNOWN if isinstance(error, _NO_ANSWER) else Arrival.NOT_TAKEN
