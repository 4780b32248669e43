"""A boto3 client that fails when a test says so: before a call is made, or after it was."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable
from io import BytesIO
from typing import Any, NoReturn

from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError


def service_says(code: str, status: int = 400, message: str = "Said so", **headers: str) -> Any:
    """An error of a service's, as botocore raises it."""
    response = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers},
    }
    return ClientError(response, "Operation")  # type: ignore[arg-type] # a part of an answer


def no_connection() -> Exception:
    """The error of a network that is down."""
    return EndpointConnectionError(endpoint_url="https://service.invalid")


def lost_answer() -> Exception:
    """The error of an answer that never came."""
    return ReadTimeoutError(endpoint_url="https://service.invalid")


class FaultyClient:
    """Passes calls on to a client, and fails those that a test names.

    Attributes:
        calls: How often each operation was called.
        requests: The arguments of each call, by operation.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._before: defaultdict[str, deque[Exception]] = defaultdict(deque)
        self._after: defaultdict[str, deque[Exception]] = defaultdict(deque)
        self.calls: Counter[str] = Counter()
        self.requests: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)

    @property
    def meta(self) -> Any:
        return self._client.meta

    def fail(self, operation: str, *errors: Exception) -> None:
        """Have the next calls end in these errors, without being made."""
        self._before[operation] += errors

    def lose(self, operation: str, *errors: Exception) -> None:
        """Have the next calls be made and end in these errors."""
        self._after[operation] += errors

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**request: Any) -> Any:
            self.calls[operation] += 1
            self.requests[operation].append(request)
            if self._before[operation]:
                raise self._before[operation].popleft()
            response = getattr(self._client, operation)(**request)
            if self._after[operation]:
                raise self._after[operation].popleft()
            return response

        return call


class BreakingBody:
    """A body that gives so many bytes and then breaks."""

    def __init__(self, data: bytes, whole: int, error: Exception) -> None:
        self._data = BytesIO(data[:whole])
        self._error = error

    def read(self, amount: int = -1) -> bytes:
        return self._data.read(amount) or self._broken()

    def close(self) -> None:
        self._data.close()

    def _broken(self) -> NoReturn:
        raise self._error
