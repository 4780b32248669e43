"""The records the emulator's parts hand to each other.

A call's way: `HttpRequest` → (wire) → `Call` → faults, availability, validation, quota →
`Responder` → `Reply` → (wire) → `HttpResponse`. Nothing here knows a socket.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

Service = Literal["bedrock", "bedrock-runtime"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One HTTP request, as it came.

    Attributes:
        method: `GET`, `POST`, …
        path: The raw path, still percent-encoded: a model id may be an ARN with slashes in it.
        query: The raw query string, without its question mark.
        headers: Header values by lower-case name.
        body: The whole body.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """One HTTP response.

    Attributes:
        status: Its status.
        headers: Its headers.
        body: Its body. One that is an iterator is sent piece by piece, as it comes.
        cut_at: The connection breaks after so many bytes of a body that is whole; None: never.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes | Iterator[bytes]
    cut_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One operation with its parameters, in the types boto3 users know (bytes, not base64).

    Attributes:
        service: The service whose model names the operation.
        operation: Its name in botocore's model, such as `ConverseStream`.
        params: Its parameters by their name in botocore's model, `modelId` among them.
        request_id: The id that the answer's `x-amzn-RequestId` will carry.
    """

    service: Service
    operation: str
    params: Mapping[str, Any]
    request_id: str

    @property
    def model_id(self) -> str | None:
        """The model id of a runtime operation."""
        model_id: str | None = self.params.get("modelId")
        return model_id


class ServiceFailure(Exception):  # noqa: N818 - it becomes an answer, not an error of ours
    """An answer that is an AWS error; every part of the emulator refuses a call by raising it.

    Args:
        code: AWS's code in its HTTP spelling, such as `ValidationException`.
        message: AWS's text. Where it is one of Bedrock's own, the place it was seen is in a
            comment beside it.
        status: The HTTP status; None takes it from botocore's error shapes.
    """

    def __init__(self, code: str, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


class ConnectionCut(Exception):  # noqa: N818 - it is what happens, not an error of ours
    """No answer at all: the connection breaks, whatever was done before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a model says to a Converse request, before it is put on the wire.

    Attributes:
        content: Converse content blocks of the answer: `{"text": …}`, `{"toolUse": …}`,
            `{"reasoningContent": …}`, in order.
        stop_reason: `end_turn`, `tool_use`, `max_tokens`, `stop_sequence`, …
        input_tokens: Tokens of the prompt that were neither read from nor written to a cache.
        output_tokens: Tokens of the answer. Both are estimates, and documented so.
        cache_read_tokens: Tokens read from the prompt cache.
        cache_write_tokens: Tokens written to it.
        extra: More top-level keys of the response, such as `trace`.
    """

    content: tuple[Mapping[str, Any], ...]
    stop_reason: str = "end_turn"
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Responder(Protocol):
    """The brain behind a model id."""

    def reply(self, request: Mapping[str, Any]) -> Reply:
        """Answer a Converse request that has passed validation.

        Args:
            request: Converse's parameters, `modelId` and `messages` among them.

        Raises:
            ServiceFailure: The call shall fail, with this answer.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a model answers, in its own time (the emulator may speed the clock up).

    Attributes:
        time_to_first_token: Seconds until the first token.
        tokens_per_second: Tokens a second after that.
    """

    time_to_first_token: float = 0.0
    tokens_per_second: float = float("inf")

    def seconds(self, tokens: int) -> float:
        """Seconds until a whole answer of so many tokens is there."""
        return self.time_to_first_token + tokens / self.tokens_per_second
