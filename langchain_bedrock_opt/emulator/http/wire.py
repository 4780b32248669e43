"""Bedrock's HTTP on the wire: from a request to a `Call`, and from an answer to a response.

All of it follows botocore's service models: paths, where each parameter travels, types,
constraints, and the statuses of errors. What a model can't say (which conversations are
acceptable, which models exist) is not checked here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from email.utils import formatdate
from functools import cache
from typing import Any, Final

from botocore.model import OperationModel

from langchain_bedrock_opt.emulator.http import eventstream
from langchain_bedrock_opt.emulator.http.jsontext import compact_json
from langchain_bedrock_opt.emulator.http.parameters import ParameterReader
from langchain_bedrock_opt.emulator.http.routes import error_statuses, match_route, service_model
from langchain_bedrock_opt.emulator.types import (
    Call,
    HttpRequest,
    HttpResponse,
    Service,
    ServiceFailure,
)

_JSON: Final = "application/json"
_ERROR_TYPE: Final = "x-amzn-ErrorType"

# Codes of AWS's front door, which answers before a service is reached; the services' models do
# not have them. Seen on recorded answers: ExpiredTokenException (403).
_FRONT_DOOR_STATUSES: Final[Mapping[str, int]] = {
    "ExpiredTokenException": 403,
    "InvalidSignatureException": 403,
    "MissingAuthenticationTokenException": 403,
    "UnrecognizedClientException": 403,
    "SerializationException": 400,
    "UnknownOperationException": 404,
}
_FRONT_DOOR: Final = "http://internal.amazon.com/coral/com.amazon.coral.service/"
_SERVICE: Final = "http://internal.amazon.com/coral/com.amazon.bedrock/"


class Wire:
    """Reads requests and writes responses.

    It keeps no state between calls and may be used from many threads.

    Args:
        clock: Seconds since the epoch, for the `Date` header.

    Example:
        >>> wire = Wire()
        >>> body = b'{"messages": [{"role": "user", "content": [{"text": "Hello"}]}]}'
        >>> request = HttpRequest(method="POST", path="/model/m/converse", body=body)
        >>> wire.parse(request, "id-1").params["messages"]
        [{'role': 'user', 'content': [{'text': 'Hello'}]}]
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def parse(self, request: HttpRequest, request_id: str) -> Call:
        """Find out what is asked, and check it against the service model.

        Args:
            request: The request as it came.
            request_id: The id that its answer will carry.

        Raises:
            ServiceFailure: `UnknownOperationException` (404), `SerializationException` for what
                is not JSON, `ValidationException` for what breaks the model (both 400).
        """
        matched = match_route(request.method, request.path)
        if matched is None:
            raise ServiceFailure(
                "UnknownOperationException",
                f"No operation of Amazon Bedrock is at {request.method} {request.path}.",
            )
        route, labels = matched
        reader = _parameter_reader(route.service, route.operation)
        return Call(
            service=route.service,
            operation=route.operation,
            params=reader.read(request, labels),
            request_id=request_id,
        )

    def parse_document(self, service: Service, operation: str, document: Any) -> dict[str, Any]:
        """Read a request's body that has come by another way than a call.

        Args:
            service: The service whose model names the operation.
            operation: The operation whose body it is.
            document: The body's JSON.

        Returns:
            The parameters in it, blobs as bytes.

        Raises:
            ServiceFailure: `ValidationException` for what breaks the model.
        """
        return _parameter_reader(service, operation).read_document(document)

    def serialise(
        self, call: Call, output: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> HttpResponse:
        """Write a plain answer.

        Args:
            call: The call that is answered.
            output: The operation's output, in boto3's types and in any order. For `InvokeModel`,
                `body` holds the raw bytes and `contentType` their type.
            headers: More headers, such as `invocation_headers`.

        Returns:
            A response with compact JSON, or with the raw body where the model has one.
        """
        operation = _operation(call.service, call.operation)
        sent = self._headers(call.request_id, _JSON)
        payload, in_headers = _output_places(call.service, call.operation)
        for member, header in in_headers.items():
            if output.get(member) is not None:
                sent[header] = str(output[member])
        document: Any = {name: value for name, value in output.items() if name not in in_headers}
        if payload is not None:
            document = output.get(payload, b"")
        body = document if isinstance(document, bytes) else compact_json(document)
        sent.update(headers or {})
        return HttpResponse(status=operation.http["responseCode"], headers=sent, body=body)

    def serialise_stream(
        self, call: Call, frames: Iterator[bytes], content_type: str = _JSON
    ) -> HttpResponse:
        """Write an answer that is an event stream.

        Args:
            call: The call that is answered.
            frames: Encoded frames. They are asked for one by one, as they are sent.
            content_type: The type of an `InvokeModelWithResponseStream` chunk's bytes.
        """
        sent = self._headers(call.request_id, eventstream.CONTENT_TYPE)
        _, in_headers = _output_places(call.service, call.operation)
        if "contentType" in in_headers:
            sent[in_headers["contentType"]] = content_type
        return HttpResponse(status=200, headers=sent, body=frames)

    def serialise_failure(self, failure: ServiceFailure, request_id: str) -> HttpResponse:
        """Write an error.

        Args:
            failure: The error. Its status is its own, else the one botocore's models give its
                code, else 400.
            request_id: The id of the request that failed.

        Example:
            >>> failure = ServiceFailure("ThrottlingException", "Too many requests")
            >>> Wire().serialise_failure(failure, "id-1").status
            429
        """
        code = failure.code
        statuses = error_statuses()
        sent = self._headers(request_id, _JSON)
        sent[_ERROR_TYPE] = f"{code}:{_SERVICE if code in statuses else _FRONT_DOOR}"
        status = status_of(failure)
        body = compact_json({"message": failure.message})
        return HttpResponse(status=status, headers=sent, body=body)

    def _headers(self, request_id: str, content_type: str) -> dict[str, str]:
        return {
            "Date": formatdate(self._clock(), usegmt=True),
            "Content-Type": content_type,
            "x-amzn-RequestId": request_id,
        }


def status_of(failure: ServiceFailure) -> int:
    """The HTTP status of an error: its own, else botocore's for its code, else 400."""
    code = failure.code
    return failure.status or error_statuses().get(code) or _FRONT_DOOR_STATUSES.get(code, 400)


def _operation(service: Service, name: str) -> OperationModel:
    # Botocore's model caches its operations itself.
    return service_model(service).operation_model(name)


@cache
def _parameter_reader(service: Service, name: str) -> ParameterReader:
    return ParameterReader(_operation(service, name))


@cache
def _output_places(service: Service, name: str) -> tuple[str | None, Mapping[str, str]]:
    """The output member that is the body itself, if any, and the header of each that is one."""
    shape = _operation(service, name).output_shape
    if shape is None:
        return None, {}
    in_headers = {
        member: str(member_shape.serialization["name"])
        for member, member_shape in shape.members.items()
        if member_shape.serialization.get("location") == "header"
    }
    payload: str | None = shape.serialization.get("payload")
    return payload, in_headers
