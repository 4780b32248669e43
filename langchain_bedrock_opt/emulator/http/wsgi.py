"""Asking a WSGI application, such as moto's, for the answer to a request."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from langchain_bedrock_opt.emulator.types import HttpRequest, HttpResponse

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
"""A WSGI application; the standard library names the type only since Python 3.11."""

_WITHOUT_PREFIX: Final = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}


def answer_by_wsgi(application: WSGIApplication, request: HttpRequest) -> HttpResponse:
    """Have a WSGI application answer a request.

    Args:
        application: The application. Its answer is collected whole.
        request: Any request.

    Example:
        >>> def hello(environ, start_response):
        ...     start_response("200 OK", [("Content-Type", "text/plain")])
        ...     return [environ["PATH_INFO"].encode()]
        >>> answer_by_wsgi(hello, HttpRequest(method="GET", path="/a%20b")).body
        b'/a b'
    """
    started: list[tuple[str, Iterable[tuple[str, str]]]] = []

    def start_response(
        status: str, headers: Iterable[tuple[str, str]], *_exc_info: object
    ) -> Callable[[bytes], object]:
        started.append((status, headers))
        return _refuse_to_write

    chunks = application(_environ(request), start_response)
    try:
        body = b"".join(chunks)
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
    # The last call counts: an application may start anew when it fails.
    status, headers = started[-1]
    return HttpResponse(status=int(status.split()[0]), headers=dict(headers), body=body)


def _refuse_to_write(_data: bytes) -> object:
    raise NotImplementedError("the write() callable of WSGI's early days is not offered")


def _environ(request: HttpRequest) -> dict[str, Any]:
    target = f"{request.path}?{request.query}" if request.query else request.path
    host, _, port = request.headers.get("host", "localhost").partition(":")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(request.path).decode("latin-1"),
        "RAW_URI": target,
        "REQUEST_URI": target,
        "QUERY_STRING": request.query,
        "SERVER_NAME": host,
        "SERVER_PORT": port or "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.headers.items():
        if name != "transfer-encoding":  # the body is whole already
            key = _WITHOUT_PREFIX.get(name) or "HTTP_" + name.upper().replace("-", "_")
            environ[key] = value
    environ["CONTENT_LENGTH"] = str(len(request.body))
    return environ
