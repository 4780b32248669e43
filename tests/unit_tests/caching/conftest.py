"""Fakes and recorded exchanges for the tests of the response cache."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import botocore.session
import pytest
from botocore.eventstream import EventStream
from botocore.parsers import EventStreamJSONParser, create_parser
from langchain_aws import ChatBedrockConverse

from langchain_bedrock_opt.aws.layers import LayeredClient
from langchain_bedrock_opt.caching.cache import BedrockSemanticCache
from langchain_bedrock_opt.caching.stores.memory import InMemoryCacheStore
from tests.extras import SHARED

MODEL_ID = "anthropic.claude-3-haiku-20240307-v1:0"
WIRE = SHARED / "data" / "wire"


class FakeBedrock:
    """A bedrock-runtime client in memory that gives its replies in turn, the last one for ever.

    A reply is a response, an exception to raise, or a function of the request that gives either.
    `closed` counts the streams whose connection was given back.
    """

    def __init__(self, *replies: Any) -> None:
        self.meta = SimpleNamespace(region_name="us-east-1")
        self.replies = list(replies)
        self.requests: list[dict[str, Any]] = []
        self.closed = 0

    def converse(self, **request: Any) -> Any:
        return copy.deepcopy(self._reply(request))

    def converse_stream(self, **request: Any) -> Any:
        events = self._reply(request)
        return {"stream": FakeStream(self, copy.deepcopy(events)), "ResponseMetadata": {}}

    def _reply(self, request: dict[str, Any]) -> Any:
        self.requests.append(request)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if callable(reply):
            reply = reply(request)
        if isinstance(reply, Exception):
            raise reply
        return reply


class FakeStream:
    """The events of one stream; an exception among them is raised in its turn."""

    def __init__(self, client: FakeBedrock, events: list[Any]) -> None:
        self._client = client
        self._events = events

    def __iter__(self) -> Iterator[Any]:
        for event in self._events:
            if isinstance(event, Exception):
                raise event
            yield event

    def close(self) -> None:
        self._client.closed += 1


class FakeClock:
    """Seconds that pass when a test says so."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def response(*content: dict[str, Any], stop: str = "end_turn") -> dict[str, Any]:
    """A Converse response."""
    return {
        "output": {"message": {"role": "assistant", "content": list(content)}},
        "stopReason": stop,
        "usage": {"inputTokens": 11, "outputTokens": 7, "totalTokens": 18},
        "metrics": {"latencyMs": 900},
        "ResponseMetadata": {"RequestId": "r-1", "HTTPStatusCode": 200},
    }


def events(*texts: str, stop: str = "end_turn") -> list[dict[str, Any]]:
    """The events of a stream that says these texts."""
    return [
        {"messageStart": {"role": "assistant"}},
        *({"contentBlockDelta": {"delta": {"text": t}, "contentBlockIndex": 0}} for t in texts),
        {"contentBlockStop": {"contentBlockIndex": 0}},
        {"messageStop": {"stopReason": stop}},
        {
            "metadata": {
                "usage": {"inputTokens": 11, "outputTokens": 7, "totalTokens": 18},
                "metrics": {"latencyMs": 900},
            }
        },
    ]


@pytest.fixture
def bedrock() -> type[FakeBedrock]:
    """The class of the fake client."""
    return FakeBedrock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def make_response() -> Callable[..., dict[str, Any]]:
    return response


@pytest.fixture
def make_events() -> Callable[..., list[dict[str, Any]]]:
    return events


@pytest.fixture
def cache(clock: FakeClock) -> BedrockSemanticCache:
    """A cache in memory on the fake clock, without jitter."""
    return BedrockSemanticCache(
        InMemoryCacheStore(clock=clock), ttl=60, ttl_jitter=0, clock=clock, wait_timeout=30
    )


@pytest.fixture
def make_model() -> Callable[..., ChatBedrockConverse]:
    """Makes LangChain's own model over a fake client, with the layers of these caches."""

    def make(fake: Any, *caches: BedrockSemanticCache, **arguments: Any) -> ChatBedrockConverse:
        client = LayeredClient(fake, [cache.as_layer() for cache in caches])
        return ChatBedrockConverse(model=MODEL_ID, client=client, bedrock_client=fake, **arguments)

    return make


@pytest.fixture
def wire_response() -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Parses a recorded Converse answer as boto3 would."""

    def parse(record: dict[str, Any]) -> dict[str, Any]:
        answer = record["response"]
        body = answer["body"] if isinstance(answer["body"], str) else json.dumps(answer["body"])
        raw = {"status_code": 200, "headers": answer["headers"], "body": body.encode()}
        shape = _service_model().operation_model("Converse").output_shape
        parsed: dict[str, Any] = create_parser("rest-json").parse(raw, shape)
        return parsed

    return parse


@pytest.fixture
def wire_events() -> Callable[[dict[str, Any]], list[dict[str, Any]]]:
    """Parses the recorded events of a stream as boto3 would."""

    def parse(record: dict[str, Any]) -> list[dict[str, Any]]:
        body = base64.b64decode(record["response"]["body_b64"])
        raw = SimpleNamespace(stream=lambda: iter([body]), close=lambda: None)
        output = _service_model().operation_model("ConverseStream").output_shape
        shape = output.members["stream"]
        return list(EventStream(raw, shape, EventStreamJSONParser(), "ConverseStream"))

    return parse


def _service_model() -> Any:
    return botocore.session.get_session().get_service_model("bedrock-runtime")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each recorded exchange, named by its id."""
    for fixture, operation in {"recorded": "Converse", "recorded_stream": "ConverseStream"}.items():
        if fixture in metafunc.fixturenames:
            metafunc.parametrize(fixture, _records(operation))


def _records(operation: str) -> list[Any]:
    path = WIRE / f"{operation}.jsonl"
    if not path.exists():
        reason = f"the recorded exchanges are not in {WIRE}: set BEDROCK_OPT_SHARED"
        return [pytest.param(None, marks=pytest.mark.skip(reason=reason))]
    records = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [pytest.param(record, id=record["id"]) for record in records]
