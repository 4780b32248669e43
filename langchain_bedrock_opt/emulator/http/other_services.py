"""The AWS services beside Bedrock: moto's, asked for only when a request for one of them comes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final
from xml.sax.saxutils import escape

from langchain_bedrock_opt.emulator.http.jsontext import compact_json
from langchain_bedrock_opt.emulator.http.wsgi import WSGIApplication, answer_by_wsgi
from langchain_bedrock_opt.emulator.types import HttpRequest, HttpResponse
from langchain_bedrock_opt.errors import MissingExtraError

NOT_IMPLEMENTED: Final = 501
"""The status of an answer that says: this is not served here."""


Gate = Callable[[HttpRequest, Callable[[HttpRequest], HttpResponse]], HttpResponse]
"""Stands before the other services: answers a request itself, or has the function answer it."""


def pass_on(request: HttpRequest, answer: Callable[[HttpRequest], HttpResponse]) -> HttpResponse:
    """The gate that is always open."""
    return answer(request)


def moto_application() -> WSGIApplication:
    """Moto's services as one WSGI application; what they hold is this process's, in memory.

    Raises:
        MissingExtraError: moto, or what its server needs, is not installed.
    """
    try:
        # Moto warns before it raises where one of these is missing, so they are tried first.
        import flask  # noqa: F401 - only tried
        import flask_cors  # noqa: F401 - only tried
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    except ImportError as error:
        raise MissingExtraError("S3, DynamoDB and CloudWatch beside Bedrock", "local") from error
    application: WSGIApplication = DomainDispatcherApplication(create_backend_app)
    return application


class OtherServices:
    """Answers requests for services other than Bedrock.

    Args:
        application: Answers them; None means moto, imported at the first request.
        gate: What requests go through.
    """

    def __init__(self, application: WSGIApplication | None = None, gate: Gate = pass_on) -> None:
        self._application = application
        self._gate = gate
        self._lock = threading.Lock()

    def answer(self, request: HttpRequest) -> HttpResponse:
        """Answer a request.

        Args:
            request: The request.

        Returns:
            The answer; one with status 501 and the reason where moto is not installed, or does
            not have the operation.

        Raises:
            ConnectionCut: The gate loses the answer.
        """
        return self._gate(request, self._ask)

    def _ask(self, request: HttpRequest) -> HttpResponse:
        try:
            return answer_by_wsgi(self._loaded(), request)
        except (MissingExtraError, NotImplementedError) as error:
            return _not_implemented(request, str(error))

    def complete(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Fill the gaps that Bedrock's handler leaves in its control plane.

        Args:
            request: A request for Bedrock.
            response: What the handler answered.

        Returns:
            The same response; or, where its status is 501, the answer of the other services, if
            they have the operation.
        """
        if response.status != NOT_IMPLEMENTED:
            return response
        other = self.answer(request)
        return response if other.status == NOT_IMPLEMENTED else other

    def _loaded(self) -> WSGIApplication:
        with self._lock:
            if self._application is None:
                self._application = moto_application()
            return self._application


def _not_implemented(request: HttpRequest, message: str) -> HttpResponse:
    if "x-amz-target" in request.headers:  # a JSON protocol, such as DynamoDB's
        content_type = "application/x-amz-json-1.0"
        body = compact_json({"__type": "NotImplemented", "message": message})
    else:
        content_type = "application/xml"
        error = f"<Error><Code>NotImplemented</Code><Message>{escape(message)}</Message></Error>"
        body = error.encode()
    return HttpResponse(status=NOT_IMPLEMENTED, headers={"Content-Type": content_type}, body=body)
