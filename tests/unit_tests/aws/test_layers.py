"""Layers: the order they see a request in, what they may do, and what the seam guarantees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EventStreamError

from langchain_bedrock_opt.aws.layers import (
    Call,
    EventStream,
    Layer,
    LayeredClient,
    Request,
    Response,
    report,
)
from langchain_bedrock_opt.errors import BedrockServiceError, ThrottledError

ANSWER = {"output": {"message": {"role": "assistant", "content": [{"text": "hi"}]}}}
EVENTS: list[dict[str, Any]] = [
    {"messageStart": {"role": "assistant"}},
    {"metadata": {"usage": {"inputTokens": 1}}},
]
FACTS = {"model_id": "m", "region": "eu-west-1"}


class Base:
    """A bedrock-runtime client that answers from memory."""

    meta = SimpleNamespace(region_name="eu-west-1")

    def __init__(self, events: Callable[[], Iterator[Any]] = lambda: iter(EVENTS)) -> None:
        self.requests: list[Request] = []
        self.closed = 0
        self.events = events

    def converse(self, **request: Any) -> Response:
        self.requests.append(request)
        return dict(ANSWER)

    def converse_stream(self, **request: Any) -> Response:
        self.requests.append(request)
        return {"stream": self, "ResponseMetadata": {"RequestId": "r1"}}

    def count_tokens(self, **_request: Any) -> dict[str, int]:
        return {"inputTokens": 7}

    def __iter__(self) -> Iterator[Any]:
        return self.events()

    def close(self) -> None:
        self.closed += 1


class Named(Layer):
    """Writes its name down on the way in and on the way out."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log

    def converse(self, request: Request, call_next: Call) -> Response:
        self.log.append(f"{self.name} in")
        response = call_next({**request, "seen": [*request.get("seen", []), self.name]})
        self.log.append(f"{self.name} out")
        report(response)[self.name] = True
        return response


def test_the_first_layer_is_the_outermost() -> None:
    """A request passes the layers in the order they are given, an answer in the reverse."""
    log: list[str] = []
    base = Base()

    response = LayeredClient(base, [Named("a", log), Named("b", log)]).converse(modelId="m")

    assert log == ["a in", "b in", "b out", "a out"]
    assert base.requests == [{"modelId": "m", "seen": ["a", "b"]}]
    assert response["bedrock_opt"] == {"a": True, "b": True, **FACTS}


def test_a_layer_that_overrides_nothing_changes_nothing() -> None:
    """An empty layer passes plain and streaming calls as they are."""
    with_layer = LayeredClient(Base(), [Layer()])
    without = LayeredClient(Base())

    assert with_layer.converse(modelId="m") == without.converse(modelId="m")
    assert list(with_layer.converse_stream(modelId="m")["stream"]) == list(
        without.converse_stream(modelId="m")["stream"]
    )


def test_a_stream_carries_its_report_in_the_metadata_event() -> None:
    """LangChain finds the report of a stream in the last event, and the other events untouched."""
    response = LayeredClient(Base()).converse_stream(modelId="m")

    assert response["ResponseMetadata"] == {"RequestId": "r1"}
    assert list(response["stream"]) == [
        EVENTS[0],
        {"metadata": {"usage": {"inputTokens": 1}, "bedrock_opt": FACTS}},
    ]


@pytest.mark.parametrize("read", [0, 1, 2])
def test_closing_a_stream_closes_the_connection(read: int) -> None:
    """The source of a stream is closed however much of it was read, even if nothing was."""
    base = Base()
    stream = LayeredClient(base, [Layer()]).converse_stream(modelId="m")["stream"]

    for _ in zip(range(read), stream, strict=False):
        pass
    stream.close()
    stream.close()

    assert base.closed >= 1


def test_what_is_not_converse_is_the_base_clients_own() -> None:
    """CountTokens and the client's meta data pass a layered client untouched."""
    client = LayeredClient(Base(), [Layer()])

    assert client.count_tokens() == {"inputTokens": 7}
    assert client.meta.region_name == "eu-west-1"
    with pytest.raises(AttributeError):
        _ = client.nonsense


def throttled(_self: Any, **_request: Any) -> Response:
    error = {"Error": {"Code": "ThrottlingException", "Message": "Too many requests"}}
    raise ClientError(error, "Converse")  # type: ignore[arg-type]


def test_an_error_of_bedrock_is_raised_as_ours_and_as_botocores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A throttled call can be caught by either class, and says that it may be retried."""
    monkeypatch.setattr(Base, "converse", throttled)
    monkeypatch.setattr(Base, "converse_stream", throttled)
    client = LayeredClient(Base(), [Layer()])

    for call in (client.converse, client.converse_stream):
        with pytest.raises(ThrottledError) as caught:
            call(modelId="m")
        assert isinstance(caught.value, ClientError)
        assert caught.value.retry_safe
        assert caught.value.model_id == "m"


def test_an_error_inside_a_stream_is_ours_too() -> None:
    """A throttling event in the middle of a stream comes after the events before it, mapped."""

    def events() -> Iterator[Any]:
        yield EVENTS[0]
        error = {"Error": {"Code": "throttlingException", "Message": "slow down"}}
        raise EventStreamError(error, "ConverseStream")  # type: ignore[arg-type]

    stream = iter(LayeredClient(Base(events)).converse_stream(modelId="m")["stream"])

    assert next(stream) == EVENTS[0]
    with pytest.raises(BedrockServiceError) as caught:
        next(stream)
    assert isinstance(caught.value, ThrottledError)
    assert isinstance(caught.value, EventStreamError)


def test_an_event_stream_without_a_closable_source_closes_quietly() -> None:
    """A stream over a plain list can be closed like any other."""
    stream = EventStream(iter(EVENTS), EVENTS)

    stream.close()

    assert list(stream) == EVENTS
