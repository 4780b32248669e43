"""Stand-ins for a bedrock-runtime client: one keeps the request, one gives a stored answer.

With them a chat model of the user's own turns LangChain messages into a Converse request, and a
stored Converse answer into an `AIMessage`, by langchain-aws's own rules and without a network:

* `CaptureClient` keeps what boto3 would have sent;
* `ReplayClient` answers with what boto3 once gave.

Answers are stored as Bedrock's own JSON (`to_json`), in which bytes are base64. They are read
back by botocore's parser, the one that reads live answers, so a stored answer is a live one.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from copy import deepcopy
from datetime import datetime
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, Final

import orjson
from botocore.parsers import EventStreamJSONParser, ResponseParserError, create_parser
from botocore.session import get_session

from langchain_bedrock_opt.aws.layers import Event, Request, Response

# Types that json does not know go to `_to_wire`, which says so.
_AS_JSON_DOES: Final = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME


class CaptureClient:
    """Keeps the requests it gets and answers each with an empty message.

    Attributes:
        requests: The keyword arguments of each call, in order.

    Args:
        region_name: What `meta.region_name` says.

    Example:
        >>> client = CaptureClient()
        >>> _ = client.converse(modelId="m", messages=[])
        >>> client.requests
        [{'modelId': 'm', 'messages': []}]
    """

    def __init__(self, region_name: str = "us-east-1") -> None:
        self.meta = SimpleNamespace(region_name=region_name)
        self.requests: list[Request] = []

    def converse(self, **request: Any) -> Response:
        """Keep the request."""
        self.requests.append(request)
        return {
            "output": {"message": {"role": "assistant", "content": []}},
            "stopReason": "end_turn",
            "usage": {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0},
            "metrics": {"latencyMs": 0},
        }

    def converse_stream(self, **request: Any) -> Response:
        """Keep the request."""
        self.requests.append(request)
        return {
            "stream": [
                {"messageStart": {"role": "assistant"}},
                {"messageStop": {"stopReason": "end_turn"}},
            ]
        }


class ReplayClient:
    """Answers every call with the same stored answer.

    Args:
        response: A Converse response, for `converse`.
        events: The events of a ConverseStream answer, for `converse_stream`.
        region_name: What `meta.region_name` says.

    Raises:
        LookupError: On a call for whose kind nothing is stored.
    """

    def __init__(
        self,
        response: Mapping[str, Any] | None = None,
        *,
        events: Iterable[Mapping[str, Any]] | None = None,
        region_name: str = "us-east-1",
    ) -> None:
        self.meta = SimpleNamespace(region_name=region_name)
        self._response = response
        self._events = None if events is None else tuple(events)

    def converse(self, **_request: Any) -> Response:
        """The stored response; a copy, since LangChain takes it apart."""
        if self._response is None:
            raise LookupError("no Converse response is stored; only a stream is")
        return deepcopy(dict(self._response))

    def converse_stream(self, **_request: Any) -> Response:
        """The stored events."""
        if self._events is None:
            raise LookupError("no stream is stored; only a Converse response is")
        return {"stream": (deepcopy(dict(event)) for event in self._events)}


def to_json(document: Mapping[str, Any] | list[Any]) -> str:
    """A response, or a list of events, as JSON text the way Bedrock writes it.

    Args:
        document: What boto3 gave; its bytes become base64.

    Raises:
        TypeError: It holds something Bedrock's JSON does not.

    Example:
        >>> to_json({"redactedContent": b"abc"})
        '{"redactedContent":"YWJj"}'
    """
    return json.dumps(document, default=_to_wire, ensure_ascii=False, separators=(",", ":"))


def to_json_bytes(document: Mapping[str, Any] | list[Any]) -> bytes:
    """The same as `to_json`, in UTF-8 and ten times as fast: for records by the ten thousand.

    Args:
        document: What boto3 gave or would get; its bytes become base64.

    Returns:
        One line of JSON. What UTF-8 has no bytes for, half a surrogate pair, is escaped.

    Raises:
        TypeError: It holds something Bedrock's JSON does not.

    Example:
        >>> to_json_bytes({"image": {"source": {"bytes": b"abc"}}})
        b'{"image":{"source":{"bytes":"YWJj"}}}'
    """
    try:
        return orjson.dumps(document, default=_to_wire, option=_AS_JSON_DOES)
    except TypeError:  # what it can't write, such as very large numbers, the standard library can
        return json.dumps(document, default=_to_wire, separators=(",", ":")).encode("ascii")


def request_from_json(text: str | bytes) -> Request:
    """A Converse request from its JSON, as boto3's `converse` takes it.

    Args:
        text: The request as Bedrock's JSON, without its model id.

    Returns:
        The arguments: base64 is bytes where Converse has bytes, and nowhere else.

    Raises:
        ValueError: It is not JSON, or has no base64 where bytes belong.

    Example:
        >>> image = '{"image": {"format": "png", "source": {"bytes": "YQ=="}}}'
        >>> body = f'{{"messages": [{{"role": "user", "content": [{image}]}}]}}'
        >>> request_from_json(body)["messages"][0]["content"][0]["image"]["source"]
        {'bytes': b'a'}
    """
    shape = _runtime_model().operation_model("Converse").input_shape
    return dict(_with_blobs(json.loads(text), shape))


def _with_blobs(value: Any, shape: Any) -> Any:
    """The same value with its blobs decoded, by botocore's shapes."""
    kind = shape.type_name
    if kind == "blob":
        return base64.b64decode(value, validate=True)
    if kind == "list" and isinstance(value, list):
        return [_with_blobs(item, shape.member) for item in value]
    if kind == "map" and isinstance(value, dict):
        return {key: _with_blobs(item, shape.value) for key, item in value.items()}
    # A document is the user's own JSON: what looks like base64 there is text.
    if kind == "structure" and isinstance(value, dict) and not shape.is_document_type:
        members = shape.members
        return {
            key: _with_blobs(item, members[key]) if key in members else item
            for key, item in value.items()
        }
    return value


def response_from_json(text: str | bytes) -> Response:
    """A Converse response from its JSON, as boto3 gives it.

    Args:
        text: `to_json`'s text, or the body Bedrock sent.

    Returns:
        The response, without `ResponseMetadata` unless the text has it.

    Raises:
        ValueError: It is not a Converse response.

    Example:
        >>> response_from_json('{"stopReason": "end_turn", "unknown": 1}')
        {'stopReason': 'end_turn'}
    """
    body = text.encode() if isinstance(text, str) else text
    shape = _runtime_model().operation_model("Converse").output_shape
    try:
        parsed = _response_parser().parse({"body": body, "headers": {}, "status_code": 200}, shape)
    except ResponseParserError as error:
        raise ValueError(f"not a Converse response: {error}") from error
    parsed.pop("ResponseMetadata", None)
    return dict(parsed)


def events_from_json(text: str | bytes) -> list[Event]:
    """The events of a ConverseStream answer from their JSON, as boto3 gives them.

    Args:
        text: `to_json`'s text of a list of events.
    """
    shape = _runtime_model().operation_model("ConverseStream").output_shape.members["stream"]
    parser = EventStreamJSONParser()
    events: list[Event] = []
    for event in json.loads(text):
        ((name, payload),) = event.items()
        headers = {":event-type": name, ":message-type": "event"}
        body = json.dumps(payload).encode()
        events.append(parser.parse({"body": body, "headers": headers, "status_code": 200}, shape))
    return events


def _to_wire(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not part of a Converse response")


@lru_cache(maxsize=1)
def _runtime_model() -> Any:
    return get_session().get_service_model("bedrock-runtime")


@lru_cache(maxsize=1)
def _response_parser() -> Any:
    return create_parser("rest-json")
