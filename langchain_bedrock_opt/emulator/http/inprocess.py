"""Bedrock without a socket: answers boto3 clients from within their own process.

Botocore asks the handlers of its `before-send` event before it opens a connection, and takes an
answer from them. The emulator registers there, on one client or on a session.

Under moto's `mock_aws` botocore asks *all* `before-send` handlers, and moto raises
`NotImplementedError` for operations it does not have, even where this emulator has answered. Let
it pass Bedrock by:

    mock_aws(config={"core": {"passthrough": {"services": ["bedrock", "bedrockruntime"]}}})
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol, cast
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ConnectionClosedError
from urllib3.exceptions import ProtocolError

from langchain_bedrock_opt.emulator.http.other_services import Gate, OtherServices, pass_on
from langchain_bedrock_opt.emulator.http.wsgi import WSGIApplication
from langchain_bedrock_opt.emulator.types import ConnectionCut, HttpRequest, HttpResponse
from langchain_bedrock_opt.errors import ConfigurationError

if TYPE_CHECKING:
    from typing_extensions import Self

Handler = Callable[[HttpRequest], HttpResponse]
"""Answers a request for Bedrock."""

_BEDROCK_EVENTS: Final = ("before-send.bedrock-runtime", "before-send.bedrock")


class EventEmitter(Protocol):
    """The part of botocore's event system that is needed; its sessions have it too."""

    def register(self, event_name: str, handler: Callable[..., Any], /) -> object:
        """Have a handler called for an event."""

    def unregister(self, event_name: str, handler: Callable[..., Any], /) -> object:
        """Undo it."""


class Attachment:
    """The handlers that `attach` has registered; a context manager that takes them back.

    Args:
        emitter: The event system of a client or session.
        hooks: Event names and their handlers.
    """

    def __init__(
        self, emitter: EventEmitter, hooks: Sequence[tuple[str, Callable[..., Any]]]
    ) -> None:
        self._emitter = emitter
        self._hooks = list(hooks)
        for event_name, hook in hooks:
            emitter.register(event_name, hook)

    def detach(self) -> None:
        """Let the client speak to AWS again.

        Clients that were made from an attached session keep its handlers: they were given a
        copy.
        """
        while self._hooks:
            self._emitter.unregister(*self._hooks.pop())

    def __enter__(self) -> Self:
        """The attachment itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Detach."""
        self.detach()


def attach(
    target: Any,
    handler: Handler,
    *,
    other_services: WSGIApplication | None = None,
    gate: Gate = pass_on,
) -> Attachment:
    """Answer a client's calls here instead of sending them.

    Args:
        target: A boto3 client; or a boto3 or botocore session, for all clients that are made
            from it afterwards.
        handler: Answers requests for `bedrock` and `bedrock-runtime`. An iterator body reaches
            the caller piece by piece.
        other_services: Answers the requests for all other services, and what the handler answers
            with 501, such as `moto_application()`; None leaves other services to AWS.
        gate: What requests for other services go through.

    Returns:
        The attachment, for `detach()` or a `with` statement.

    Example:
        >>> import botocore.session
        >>> session = botocore.session.get_session()
        >>> session.set_credentials("none", "none")
        >>> def handler(request):
        ...     return HttpResponse(status=200, headers={}, body=b'{"inputTokens": 3}')
        >>> with attach(session, handler):
        ...     client = session.create_client("bedrock-runtime", region_name="us-east-1")
        ...     message = {"role": "user", "content": [{"text": "Hello"}]}
        ...     answer = client.count_tokens(
        ...         modelId="m", input={"converse": {"messages": [message]}}
        ...     )
        >>> answer["inputTokens"]
        3
    """
    others = None if other_services is None else OtherServices(other_services, gate)

    def answer_bedrock(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        def complete(http_request: HttpRequest) -> HttpResponse:
            response = handler(http_request)
            return response if others is None else others.complete(http_request, response)

        return _exchange(request, complete)

    hooks: list[tuple[str, Callable[..., Any]]] = [
        (event_name, answer_bedrock) for event_name in _BEDROCK_EVENTS
    ]
    if others is not None:
        hooks.append(("before-send", _hook_of(others)))
    return Attachment(_emitter(target), hooks)


def _hook_of(others: OtherServices) -> Callable[..., AWSResponse | None]:
    bedrock = tuple(f"{event_name}." for event_name in _BEDROCK_EVENTS)

    def answer(request: AWSPreparedRequest, event_name: str, **_: Any) -> AWSResponse | None:
        if event_name.startswith(bedrock):
            return None
        return _exchange(request, others.answer)

    return answer


def _exchange(request: AWSPreparedRequest, answer: Handler) -> AWSResponse:
    """Have a request answered, as if by a connection."""
    try:
        return _aws_response(request, answer(_http_request(request)))
    except ConnectionCut as cut:
        raise ConnectionClosedError(endpoint_url=request.url) from cut


def _emitter(target: Any) -> EventEmitter:
    events = getattr(getattr(target, "meta", None), "events", None)
    emitter: Any = events or getattr(target, "events", None) or target
    if not hasattr(emitter, "register"):
        raise ConfigurationError(
            f"attach() needs a boto3 client or session, not {type(target).__name__!r}."
        )
    return cast("EventEmitter", emitter)


def _http_request(request: AWSPreparedRequest) -> HttpRequest:
    url = urlsplit(request.url)
    headers = {name.lower(): _text(value) for name, value in request.headers.items()}
    headers.setdefault("host", url.netloc)
    return HttpRequest(
        method=request.method,
        path=url.path or "/",
        query=url.query,
        headers=headers,
        body=_bytes(request.body),
    )


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _bytes(body: Any) -> bytes:
    if hasattr(body, "read"):
        body = body.read()
    return body.encode() if isinstance(body, str) else bytes(body or b"")


def _aws_response(request: AWSPreparedRequest, response: HttpResponse) -> AWSResponse:
    body = response.body
    raw: io.IOBase
    if not isinstance(body, bytes):
        raw = _PiecewiseBody(body)
    else:
        # Of a body that it reads at once botocore does not miss the end.
        is_missed = response.cut_at is not None and request.stream_output
        raw = (_CutBody if is_missed else _WholeBody)(body[: response.cut_at])
    headers = HTTPHeaders()
    for name, value in response.headers.items():
        headers[name] = value
    return AWSResponse(request.url, response.status, headers, raw)


class _WholeBody(io.BytesIO):
    """A body as botocore reads it from a connection: a file that also has `stream()`."""

    def stream(self) -> Iterator[bytes]:
        yield self.read()


class _CutBody(_WholeBody):
    """The same for a body whose connection breaks at its end, as urllib3 behaves there.

    Who reads piece by piece just gets no more: botocore then misses what `Content-Length` said.
    """

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:
            raise ProtocolError("Connection broken: the rest of the body did not come")
        return super().read(size)


class _PiecewiseBody(io.RawIOBase):
    """The same for a body that is still being made; closing it closes its source."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def stream(self) -> Iterator[bytes]:
        yield from self._pieces

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes | None:
        return super().read(-1 if size is None else size)

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size

    def close(self) -> None:
        close = getattr(self._pieces, "close", None)
        if close is not None:
            # A generator that another thread is running can't be closed: it ends by itself.
            with suppress(ValueError):
                close()
        super().close()
