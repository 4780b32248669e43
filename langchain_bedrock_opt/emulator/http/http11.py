"""HTTP/1.1 on one connection: as much of it as SDKs, browsers and `curl` speak to a local server.

The standard library parses headers with its e-mail parser, which takes longer than all the rest
of a small call; and it sends headers and body in two packets, which a client's delayed
acknowledgement can hold up for 40 ms. Here headers are split by hand, and go out with the body.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Final

from langchain_bedrock_opt.emulator.types import HttpRequest, HttpResponse

_MAX_LINE: Final = 65_536
_MAX_HEADERS: Final = 200
_REQUEST_LINE_WORDS: Final = 3
_CHUNK_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,8}")
_REASONS: Final[Mapping[int, str]] = {status.value: status.phrase for status in HTTPStatus}
# Set by this module; what a handler says about them is dropped.
_OWN_HEADERS: Final = frozenset({"content-length", "transfer-encoding", "connection"})
_WITHOUT_BODY: Final = frozenset({204, 304})


class BadRequestError(Exception):
    """What came is not HTTP/1.x as it should be; the connection can't go on."""


class HttpConnection:
    """A connection of a server.

    Args:
        connection: A connected socket. It is closed by `close`.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._reader = connection.makefile("rb")
        self._http_11 = True
        self._keep_alive = True

    @property
    def keep_alive(self) -> bool:
        """Whether another request may come on this connection."""
        return self._keep_alive

    def read_request(self) -> HttpRequest | None:
        """Wait for a request and read it whole.

        Returns:
            The request; None if the client has closed the connection.

        Raises:
            BadRequestError: It can't be understood.
            OSError: The connection broke.
        """
        line = self._line()
        while line == b"\r\n":
            line = self._line()
        if not line:
            return None
        method, target = self._request_line(line)
        headers = self._headers()
        connection = headers.get("connection", "").lower()
        self._keep_alive = connection != "close" if self._http_11 else connection == "keep-alive"
        if headers.get("expect", "").lower() == "100-continue":
            self._socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        path, _, query = target.partition("?")
        body = self._body(headers)
        return HttpRequest(method=method, path=path, query=query, headers=headers, body=body)

    def send(self, request: HttpRequest, response: HttpResponse) -> None:
        """Send a response. An iterator body goes out piece by piece, and is closed at the end.

        Args:
            request: What it answers.
            response: The response.

        Raises:
            OSError: The client is gone.
            Exception: What an iterator body raises. The connection can't be used after either.
        """
        body = response.body
        if not isinstance(body, bytes):
            self._send_pieces(response, body)
        elif request.method == "HEAD" or response.status in _WITHOUT_BODY:
            # A HEAD request asks for the length of a body that it does not get.
            framing = _given_length(response) if request.method == "HEAD" else {}
            self._socket.sendall(self._head(response, framing))
        else:
            if response.cut_at is not None:
                self._keep_alive = False
            framing = {"Content-Length": str(len(body))}
            self._socket.sendall(self._head(response, framing) + body[: response.cut_at])

    def refuse(self, response: HttpResponse) -> None:
        """Send a response to what could not be read as a request; it is the last.

        Args:
            response: The response, with its whole body.

        Raises:
            OSError: The client is gone.
        """
        self._keep_alive = False
        body = response.body if isinstance(response.body, bytes) else b""
        framing = {"Content-Length": str(len(body))}
        self._socket.sendall(self._head(response, framing) + body)

    def abort(self) -> None:
        """Break the connection off; safe while another thread reads from or writes to it."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection, by the thread that uses it."""
        self.abort()
        self._reader.close()
        self._socket.close()

    def _line(self) -> bytes:
        line = self._reader.readline(_MAX_LINE + 1)
        if len(line) > _MAX_LINE:
            raise BadRequestError("a line of the request's head is too long")
        return line

    def _request_line(self, line: bytes) -> tuple[str, str]:
        words = line.decode("latin-1").split()
        if len(words) != _REQUEST_LINE_WORDS or words[2] not in ("HTTP/1.1", "HTTP/1.0"):
            raise BadRequestError("the request line is not one of HTTP/1.1")
        method, target, version = words
        self._http_11 = version == "HTTP/1.1"
        if not target.startswith("/"):
            # The absolute form, which is sent to proxies.
            target = "/" + target.partition("://")[2].partition("/")[2]
        return method, target

    def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        for _ in range(_MAX_HEADERS):
            line = self._line()
            if line in (b"\r\n", b"\n"):
                return headers
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon or not name or name != name.strip():
                raise BadRequestError("a header is malformed")
            key, value = name.lower(), value.strip()
            headers[key] = f"{headers[key]}, {value}" if key in headers else value
        raise BadRequestError(f"there are more than {_MAX_HEADERS} headers")

    def _body(self, headers: Mapping[str, str]) -> bytes:
        if "transfer-encoding" in headers:
            if headers["transfer-encoding"].lower() != "chunked":
                raise BadRequestError("no transfer encoding but chunked is understood")
            return b"".join(self._chunks())
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdecimal()):
            raise BadRequestError(f"the content length {length!r} is not a number")
        return self._exactly(int(length))

    def _chunks(self) -> Iterator[bytes]:
        while True:
            size = self._line().partition(b";")[0].strip()
            if not _CHUNK_SIZE.fullmatch(size):
                raise BadRequestError("the size of a chunk is malformed")
            chunk = self._exactly(int(size, 16))
            if not chunk:
                break
            yield chunk
            self._exactly(len(b"\r\n"))
        while self._line().strip():
            pass  # trailers say nothing that is needed here

    def _exactly(self, size: int) -> bytes:
        data = self._reader.read(size)
        if len(data) < size:
            raise BadRequestError("the connection ended in the middle of a request")
        return data

    def _send_pieces(self, response: HttpResponse, pieces: Iterator[bytes]) -> None:
        try:
            if not self._http_11:
                self._keep_alive = False
            framing = {"Transfer-Encoding": "chunked"} if self._http_11 else {}
            # The head goes out at once: a client may wait for it before the first piece is made.
            self._socket.sendall(self._head(response, framing))
            for piece in pieces:
                if piece:
                    chunk = b"%x\r\n%b\r\n" % (len(piece), piece) if self._http_11 else piece
                    self._socket.sendall(chunk)
            if self._http_11:
                self._socket.sendall(b"0\r\n\r\n")
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()

    def _head(self, response: HttpResponse, framing: Mapping[str, str]) -> bytes:
        reason = _REASONS.get(response.status, "")
        lines = [f"HTTP/1.1 {response.status} {reason}"]
        lines += [
            f"{name}: {value}"
            for name, value in response.headers.items()
            if name.lower() not in _OWN_HEADERS
        ]
        lines += [f"{name}: {value}" for name, value in framing.items()]
        lines.append(f"Connection: {'keep-alive' if self._keep_alive else 'close'}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def _given_length(response: HttpResponse) -> dict[str, str]:
    return {
        name: value for name, value in response.headers.items() if name.lower() == "content-length"
    }
