"""The emulator without a socket: attaching to clients and sessions, laziness, what is passed on."""

from __future__ import annotations

import gc
import io
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from boto3.session import Session
from moto import mock_aws

from langchain_bedrock_opt.emulator.http.inprocess import attach
from langchain_bedrock_opt.emulator.types import HttpRequest, HttpResponse
from langchain_bedrock_opt.errors import ConfigurationError

MESSAGES = [{"role": "user", "content": [{"text": "Hello"}]}]


@pytest.fixture
def client(aws_session: Session) -> Iterator[Any]:
    session: Any = aws_session
    client = session.client("bedrock-runtime")
    yield client
    client.close()


def test_one_client_is_attached(client: Any, aws_session: Session, stub: Any) -> None:
    """Attaching to a client answers its calls, until it is detached."""
    attachment = attach(client, stub)
    client.converse(modelId="m", messages=MESSAGES)
    attachment.detach()
    attachment.detach()

    def refuse(**_: Any) -> None:
        raise ConnectionError("this would have gone to AWS")

    client.meta.events.register("before-send.bedrock-runtime", refuse)
    with pytest.raises(ConnectionError, match="to AWS"):
        client.converse(modelId="m", messages=MESSAGES)
    assert len(stub.calls) == 1


def test_session_is_attached_for_its_later_clients(aws_session: Session, stub: Any) -> None:
    """Attaching to a boto3 session answers all Bedrock clients that are made from it later."""
    session: Any = aws_session
    with attach(session, stub):
        runtime, control = session.client("bedrock-runtime"), session.client("bedrock")
    runtime.converse(modelId="m", messages=MESSAGES)
    with pytest.raises(control.exceptions.ClientError, match="501"):
        control.list_foundation_models()
    assert [request.path for request in stub.requests] == [
        "/model/m/converse",
        "/foundation-models",
    ]


def test_botocore_session_is_attached(aws_session: Session, stub: Any) -> None:
    """A session of botocore's is as good as one of boto3's."""
    session = botocore.session.get_session()
    session.set_credentials("testing", "testing")
    with attach(session, stub):
        client: Any = session.create_client("bedrock-runtime", region_name="us-east-1")
    assert client.converse(modelId="m", messages=MESSAGES)["stopReason"] == "end_turn"


def test_wrong_target_is_named(stub: Any) -> None:
    """Attaching to something else is an error that says what is needed."""
    with pytest.raises(ConfigurationError, match="boto3 client or session, not 'str'"):
        attach("bedrock-runtime", stub)


def test_stream_is_made_as_it_is_read(client: Any, stub: Any) -> None:
    """No event of a stream is made before the client asks for it."""
    with attach(client, stub):
        stream = client.converse_stream(modelId="m", messages=MESSAGES)["stream"]
        assert stub.events_made == 0
        events = iter(stream)
        next(events)
        assert stub.events_made == 1
        next(events)
        assert stub.events_made == 2
        assert len(list(events)) == 5
        stream.close()


def test_stream_left_unread_is_no_leak(client: Any, stub: Any) -> None:
    """A stream that nobody reads or closes ends quietly when it is forgotten."""
    with attach(client, stub):
        events = iter(client.converse_stream(modelId="m", messages=MESSAGES)["stream"])
        next(events)
        del events
        gc.collect()  # botocore's stream refers to itself
    assert stub.wait_for_closed_stream()


def test_body_in_pieces_can_be_read_as_a_file(client: Any) -> None:
    """An InvokeModel body that comes in pieces is read in any size."""

    def handler(_request: HttpRequest) -> HttpResponse:
        return HttpResponse(status=200, headers={}, body=iter([b"one ", b"", b"two ", b"three"]))

    with attach(client, handler):
        body = client.invoke_model(modelId="m", body=b"{}")["body"]
        assert body.read(2) == b"on"
        assert body.read() == b"e two three"
        body.close()


@pytest.mark.parametrize("body", [b"raw", "text", io.BytesIO(b"file"), bytearray(b"array")])
def test_any_request_body_arrives(client: Any, stub: Any, body: Any) -> None:
    """Bytes, text and files arrive as bytes."""
    with attach(client, stub):
        client.invoke_model(modelId="m", body=body)
    assert stub.calls[0].params["body"] in (b"raw", b"text", b"file", b"array")


def test_exception_of_the_handler_is_raised_to_the_caller(client: Any) -> None:
    """What goes wrong inside a handler is not hidden in a response."""

    def handler(_request: HttpRequest) -> HttpResponse:
        raise ZeroDivisionError("in the handler")

    with attach(client, handler), pytest.raises(ZeroDivisionError, match="in the handler"):
        client.converse(modelId="m", messages=MESSAGES)


def test_other_services_go_to_the_given_application(aws_session: Session, stub: Any) -> None:
    """With an application for other services, their requests reach it with host and query."""
    seen: list[tuple[str, str, str]] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append((environ["HTTP_HOST"], environ["PATH_INFO"], environ["QUERY_STRING"]))
        start_response("200 OK", [("Content-Type", "application/xml")])
        return [b"<ListBucketResult/>"]

    session: Any = aws_session
    with attach(session, stub, other_services=application):
        session.client("s3").list_objects_v2(Bucket="prompts", Prefix="a b")
        session.client("bedrock-runtime").converse(modelId="m", messages=MESSAGES)
    [(host, path, query)] = seen
    assert (host, path) == ("prompts.s3.amazonaws.com", "/")
    assert "prefix=a%20b" in query
    assert len(stub.calls) == 1


def test_mock_aws_with_bedrock_passed_through(aws_session: Session, stub: Any) -> None:
    """Beside moto's mock_aws, which is told to leave Bedrock alone, both answer their own."""
    services = ["bedrock", "bedrockruntime"]
    session: Any = aws_session
    with mock_aws(config={"core": {"passthrough": {"services": services}}}):
        runtime = session.client("bedrock-runtime")
        with attach(runtime, stub):
            answer = runtime.converse(modelId="m", messages=MESSAGES)
        session.client("s3").create_bucket(Bucket="prompts")
    assert answer["stopReason"] == "end_turn"
