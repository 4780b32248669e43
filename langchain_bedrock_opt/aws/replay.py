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
from typing import Any

from botocore.parsers import EventStreamJSONParser, create_parser
from botocore.session import get_session

from langchain_bedrock_opt.aws.layers import Event, Request, Response


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


def response_from_json(text: str | bytes) -> Response:
    """A Converse response from its JSON, as boto3 gives it.

    Args:
        text: `to_json`'s text, or the body Bedrock sent.

    Returns:
        The response, without `ResponseMetadata` unless the text has it.

    Example:
        >>> response_from_json('{"stopReason": "end_turn", "unknown": 1}')
        {'stopReason': 'end_turn'}
    """
    body = text.encode() if isinstance(text, str) else text
    shape = _runtime_model().operation_model("Converse").output_shape
    parsed = _response_parser().parse({"body": body, "headers": {}, "status_code": 200}, shape)
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
