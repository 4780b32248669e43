"""An HTTP server on this machine: Bedrock, and the AWS services beside it, at one endpoint URL.

A thread serves each connection. Requests for Bedrock go to a handler; all others to moto, which
is imported when the first of them comes.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from langchain_bedrock_opt.emulator.http.http11 import BadRequestError, HttpConnection
from langchain_bedrock_opt.emulator.http.jsontext import compact_json
from langchain_bedrock_opt.emulator.http.other_services import Gate, OtherServices, pass_on
from langchain_bedrock_opt.emulator.http.routes import is_for_bedrock
from langchain_bedrock_opt.emulator.http.wsgi import WSGIApplication
from langchain_bedrock_opt.emulator.types import ConnectionCut, HttpRequest, HttpResponse
from langchain_bedrock_opt.errors import EmulatorError, PortInUseError

if TYPE_CHECKING:
    from typing_extensions import Self

Handler = Callable[[HttpRequest], HttpResponse]
"""Answers a request for Bedrock. Status 501 means: not served here, ask the other services."""

logger = logging.getLogger(__name__)

_POLL_SECONDS: Final = 0.05
_PATIENCE_SECONDS: Final = 5.0


class EmulatorServer:
    """Serves a handler, and moto beside it, over HTTP/1.1 with keep-alive.

    Args:
        handler: Answers requests for Bedrock, from many threads at a time.
        host: The address to listen on. The default lets nobody in from outside: the emulator
            checks no signature.
        port: The port; 0 picks a free one.
        other_services: Answers requests for other services; None means moto, if it is installed.
        gate: What requests for other services go through.

    Example:
        >>> def handler(request):
        ...     return HttpResponse(status=200, headers={}, body=b"{}")
        >>> with EmulatorServer(handler) as server:
        ...     print(server.url.rpartition(":")[0])
        http://127.0.0.1
    """

    def __init__(
        self,
        handler: Handler,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        other_services: WSGIApplication | None = None,
        gate: Gate = pass_on,
    ) -> None:
        self._handler = handler
        self._address = (host, port)
        self._others = OtherServices(other_services, gate)
        self._listener: _Listener | None = None
        self._acceptor: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The endpoint URL, for `AWS_ENDPOINT_URL` or `endpoint_url=`.

        Raises:
            EmulatorError: The server is not running.
        """
        if self._listener is None:
            raise EmulatorError("The emulator's server is not running: call start() first.")
        host, port = self._listener.server_address[:2]
        host_text = host if isinstance(host, str) else host.decode()
        return f"http://[{host_text}]:{port}" if ":" in host_text else f"http://{host_text}:{port}"

    def start(self) -> None:
        """Listen, and serve in threads of its own. Does nothing if it is running.

        Raises:
            PortInUseError: The port is taken.
            EmulatorError: The host can't be listened on for another reason.
        """
        if self._listener is not None:
            return
        self._listener = _listen(self._address, self._answer)
        self._acceptor = threading.Thread(
            target=self._listener.serve_forever,
            kwargs={"poll_interval": _POLL_SECONDS},
            name="bedrock-emulator",
            daemon=True,
        )
        self._acceptor.start()

    def stop(self) -> None:
        """Free the port, break off all connections and wait until their threads have ended.

        A handler that is at work for longer than 5 seconds is left behind, in a daemon thread.
        """
        listener, acceptor = self._listener, self._acceptor
        self._listener = self._acceptor = None
        if listener is None or acceptor is None:
            return
        listener.shutdown()
        acceptor.join()
        listener.server_close()
        listener.end_connections()

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    def _answer(self, request: HttpRequest) -> HttpResponse:
        try:
            if not is_for_bedrock(request):
                return self._others.answer(request)
            return self._others.complete(request, self._handler(request))
        except ConnectionCut:
            raise
        except Exception:
            logger.exception("The emulator failed on %s %s", request.method, request.path)
            return _failure(500, "InternalServerException", "The emulator failed; see its log.")


class _Listener(socketserver.TCPServer):
    """Accepts connections, and gives each a thread of its own."""

    request_queue_size = 1024  # 500 clients may connect in the same instant
    # On Windows the option would let two servers share a port.
    allow_reuse_address = os.name == "posix"

    def __init__(self, address: tuple[str, int], answer: Handler) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._answer = answer
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, HttpConnection] = {}
        super().__init__(address, socketserver.BaseRequestHandler)

    def process_request(self, request: Any, client_address: Any) -> None:
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        connection = HttpConnection(request)
        name = f"bedrock-emulator-{client_address[1]}"
        thread = threading.Thread(target=self._serve, args=(connection,), name=name, daemon=True)
        with self._lock:
            thread.start()
            self._open[thread] = connection

    def end_connections(self) -> None:
        with self._lock:
            still_open = dict(self._open)
        for connection in still_open.values():
            connection.abort()
        deadline = time.monotonic() + _PATIENCE_SECONDS
        for thread in still_open:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))

    def _serve(self, connection: HttpConnection) -> None:
        try:
            _serve_requests(connection, self._answer)
        finally:
            connection.close()
            with self._lock:
                del self._open[threading.current_thread()]


def _serve_requests(connection: HttpConnection, answer: Handler) -> None:
    try:
        while connection.keep_alive:
            request = connection.read_request()
            if request is None:
                return
            connection.send(request, answer(request))
    except BadRequestError as error:
        with suppress(OSError):
            connection.refuse(_failure(400, "ValidationException", f"Bad request: {error}."))
    except ConnectionCut:
        logger.debug("A planned fault breaks a connection")
    except OSError as error:
        logger.debug("A client went away: %s", error)
    except Exception:
        # The head is already sent: only an unfinished body can tell the client.
        logger.exception("The emulator failed in the middle of a streamed answer")


def _listen(address: tuple[str, int], answer: Handler) -> _Listener:
    try:
        return _Listener(address, answer)
    except (OSError, OverflowError) as error:
        host, port = address
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            raise PortInUseError(
                f"Port {port} on {host} is taken: stop what listens there, or take another one "
                "(port 0 is any that is free)."
            ) from error
        raise EmulatorError(f"Can't listen on port {port} of {host}: {error}.") from error


def _failure(status: int, code: str, message: str) -> HttpResponse:
    headers = {"Content-Type": "application/json", "x-amzn-ErrorType": code}
    return HttpResponse(status=status, headers=headers, body=compact_json({"message": message}))
