"""The emulator's HTTP server: its life, its HTTP, and clients that misbehave."""

from __future__ import annotations

import http.client
import json
import logging
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from boto3.session import Session
from botocore.config import Config

from langchain_bedrock_opt.emulator.http.server import EmulatorServer
from langchain_bedrock_opt.emulator.types import HttpRequest, HttpResponse
from langchain_bedrock_opt.errors import EmulatorError, PortInUseError

BODY = json.dumps({"messages": [{"role": "user", "content": [{"text": "Hello"}]}]})
CONVERSE = "/model/amazon.nova-lite-v1%3A0/converse"
Exchange = Callable[[bytes], bytes]


@pytest.fixture
def server(stub: Any) -> Iterator[EmulatorServer]:
    with EmulatorServer(stub) as server:
        yield server


def _port(server: EmulatorServer) -> int:
    port = urlsplit(server.url).port
    assert port is not None
    return port


@pytest.fixture
def exchange(server: EmulatorServer) -> Exchange:
    """Sends raw bytes and reads until the server closes the connection."""

    def send(data: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", _port(server)), timeout=10) as connection:
            connection.sendall(data)
            received = b""
            while chunk := connection.recv(65_536):
                received += chunk
            return received

    return send


@pytest.fixture
def many_open_files() -> Iterator[None]:
    """Lets the process have more files open than the 256 or 1024 that are usual."""
    resource = pytest.importorskip("resource", reason="the limit is one of POSIX")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _emulator_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if "bedrock-emulator" in thread.name}


def test_url_needs_a_running_server(stub: Any) -> None:
    """Before the start and after the stop there is no URL, and the error says what to call."""
    server = EmulatorServer(stub)
    with pytest.raises(EmulatorError, match=r"call start\(\) first"):
        _ = server.url
    with server:
        assert server.url.startswith("http://127.0.0.1:")
    with pytest.raises(EmulatorError):
        _ = server.url


def test_taken_port_is_one_clear_error(server: EmulatorServer, stub: Any) -> None:
    """A port that is taken is named, in an OSError that says what to do."""
    port = _port(server)
    with pytest.raises(
        PortInUseError, match=rf"^Port {port} on 127\.0\.0\.1 is taken: .*port 0"
    ) as error:
        EmulatorServer(stub, port=port).start()
    assert isinstance(error.value, OSError)


def test_unknown_host_is_no_taken_port(stub: Any) -> None:
    """An address of another machine is named, and is no taken port."""
    with pytest.raises(EmulatorError) as error:
        EmulatorServer(stub, host="192.0.2.1").start()
    assert not isinstance(error.value, PortInUseError)


def test_stop_frees_the_port_and_ends_all_threads(stub: Any) -> None:
    """After a stop, the port can be taken again and no thread of the server is left."""
    of_others = _emulator_threads()
    server = EmulatorServer(stub)
    server.start()
    server.start()  # does nothing
    port = _port(server)
    idle = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    idle.request("POST", CONVERSE, BODY)
    assert idle.getresponse().read()
    server.stop()
    server.stop()
    assert _emulator_threads() <= of_others
    idle.close()
    with EmulatorServer(stub, port=port) as again:
        assert _port(again) == port


def test_stop_breaks_off_a_stream(stub: Any) -> None:
    """A stop does not wait for a stream that never ends."""
    of_others = _emulator_threads()
    stub.endless = True
    server = EmulatorServer(stub)
    server.start()
    connection = http.client.HTTPConnection("127.0.0.1", _port(server), timeout=10)
    connection.request("POST", f"{CONVERSE}-stream", BODY)
    response = connection.getresponse()
    assert response.read(10)
    server.stop()
    assert stub.wait_for_closed_stream()
    assert _emulator_threads() <= of_others
    response.close()
    connection.close()


def test_client_that_leaves_in_the_middle_is_no_error(
    server: EmulatorServer, stub: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that goes away during a stream ends its generator, and nothing is logged."""
    caplog.set_level(logging.INFO)
    stub.endless = True
    connection = socket.create_connection(("127.0.0.1", _port(server)), timeout=10)
    head = f"POST {CONVERSE}-stream HTTP/1.1\r\nContent-Length: {len(BODY)}\r\n\r\n"
    connection.sendall(head.encode() + BODY.encode())
    assert connection.recv(100)
    connection.close()
    assert stub.wait_for_closed_stream()
    assert caplog.records == []


def test_connection_is_kept_alive(server: EmulatorServer) -> None:
    """Many requests, answered whole or in chunks, go over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", _port(server), timeout=10)
    connection.connect()
    first_socket = connection.sock
    for path, body in [(CONVERSE, BODY), (f"{CONVERSE}-stream", BODY), (CONVERSE, "[")] * 2:
        connection.request("POST", path, body)
        response = connection.getresponse()
        assert response.read()
        assert response.status == (200 if body == BODY else 400)
        assert connection.sock is first_socket
    connection.close()


@pytest.mark.usefixtures("many_open_files")
def test_500_connections_at_once(server: EmulatorServer, stub: Any) -> None:
    """500 connections that are open at the same time are all answered."""
    connections = [
        http.client.HTTPConnection("127.0.0.1", _port(server), timeout=60) for _ in range(500)
    ]
    for connection in connections:
        connection.request("POST", CONVERSE, BODY)
    statuses = {connection.getresponse().status for connection in connections}
    for connection in connections:
        connection.close()
    assert statuses == {200}
    assert len(stub.calls) == 500


@pytest.mark.usefixtures("many_open_files")
def test_clients_that_connect_in_the_same_instant_are_all_served(server: EmulatorServer) -> None:
    """200 threads that connect at once all get their answer."""
    barrier = threading.Barrier(200)
    statuses: list[int] = []

    def call() -> None:
        barrier.wait()
        connection = http.client.HTTPConnection("127.0.0.1", _port(server), timeout=60)
        connection.request("POST", CONVERSE, BODY)
        statuses.append(connection.getresponse().status)
        connection.close()

    threads = [threading.Thread(target=call) for _ in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 200


def test_http_10_is_answered_and_closed(exchange: Exchange) -> None:
    """An HTTP/1.0 client gets a stream without chunks, ended by the end of the connection."""
    head = f"POST {CONVERSE}-stream HTTP/1.0\r\ncontent-length: {len(BODY)}\r\n\r\n"
    answer = exchange(head.encode() + BODY.encode())
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Connection: close\r\n" in answer
    assert b"Transfer-Encoding" not in answer
    assert b"messageStop" in answer


def test_chunked_request_is_put_together(exchange: Exchange, stub: Any) -> None:
    """A body that is sent in chunks, with extensions and trailers, arrives whole."""
    half = len(BODY) // 2
    chunks = f"{half:x};a=b\r\n{BODY[:half]}\r\n{len(BODY) - half:X}\r\n{BODY[half:]}\r\n"
    head = f"POST {CONVERSE} HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = exchange(f"{head}{chunks}0\r\nx-trailer: 1\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert stub.requests[0].body == BODY.encode()


def test_waiting_client_is_told_to_continue(exchange: Exchange) -> None:
    """A client that waits for permission to send its body gets it."""
    head = (
        f"POST {CONVERSE} HTTP/1.1\r\nConnection: close\r\nExpect: 100-continue\r\n"
        f"Content-Length: {len(BODY)}\r\n\r\n"
    )
    answer = exchange(head.encode() + BODY.encode())
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    "request_",
    [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET /a b HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\n folded: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n: empty\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1, 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /" + b"a" * 70_000,
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 300,
    ],
)
def test_what_is_not_http_is_refused(exchange: Exchange, request_: bytes) -> None:
    """A malformed request is answered by 400 with the reason, and the connection is closed."""
    answer = exchange(request_)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"Connection: close" in answer
    assert b'{"message":"Bad request: ' in answer


def test_connection_that_says_nothing_is_closed_quietly(
    server: EmulatorServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that connects, sends half a request or nothing, and leaves, is no error."""
    for data in (b"", b"POST /model", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf"):
        connection = socket.create_connection(("127.0.0.1", _port(server)), timeout=10)
        connection.sendall(data)
        connection.close()
    server.stop()
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


def test_repeated_headers_and_absolute_targets(exchange: Exchange, stub: Any) -> None:
    """Repeated headers are joined, and the absolute form of a target is understood."""
    request = (
        f"POST http://localhost:1{CONVERSE}?a=b HTTP/1.1\r\nX-A: 1\r\nx-a: 2\r\n"
        f"Connection: close\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY}"
    )
    assert exchange(request.encode()).startswith(b"HTTP/1.1 200 OK\r\n")
    assert stub.requests[0].path == CONVERSE
    assert stub.requests[0].query == "a=b"
    assert stub.requests[0].headers["x-a"] == "1, 2"


@pytest.mark.parametrize(
    "path", ["/model/%2e%2e/converse", "/model/%00/converse", "/model/%FF/converse"]
)
def test_hostile_model_ids_are_answered(server: EmulatorServer, path: str) -> None:
    """Model ids of dots, zero bytes and broken UTF-8 get an answer in JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", _port(server), timeout=10)
    connection.request("POST", path, BODY)
    response = connection.getresponse()
    assert response.status in (200, 400)
    assert json.loads(response.read())
    connection.close()


def test_huge_body_is_answered(server: EmulatorServer) -> None:
    """A body of 26 MB is refused in an orderly way, and the connection lives on."""
    connection = http.client.HTTPConnection("127.0.0.1", _port(server), timeout=60)
    connection.request("POST", CONVERSE, b" " * 26_000_000)
    response = connection.getresponse()
    assert response.status == 400
    assert b"larger than" in response.read()
    connection.request("POST", CONVERSE, BODY)
    assert connection.getresponse().status == 200
    connection.close()


def test_failing_handler_is_an_internal_error(caplog: pytest.LogCaptureFixture) -> None:
    """A handler that raises is logged and answered by 500, without its text."""

    def handler(_request: HttpRequest) -> HttpResponse:
        raise ValueError("secret prompt")

    with EmulatorServer(handler) as server:
        connection = http.client.HTTPConnection("127.0.0.1", _port(server), timeout=10)
        connection.request("POST", CONVERSE, BODY)
        response = connection.getresponse()
        assert response.status == 500
        assert response.headers["x-amzn-ErrorType"] == "InternalServerException"
        assert b"secret" not in response.read()
        connection.close()
    assert "failed on POST" in caplog.text


def test_stream_that_fails_is_broken_off(caplog: pytest.LogCaptureFixture) -> None:
    """A stream whose generator raises ends without its last chunk, so the client can tell."""

    def pieces() -> Iterator[bytes]:
        yield b"one"
        raise ValueError("in the generator")

    def handler(_request: HttpRequest) -> HttpResponse:
        return HttpResponse(status=200, headers={}, body=pieces())

    with EmulatorServer(handler) as server:
        connection = http.client.HTTPConnection("127.0.0.1", _port(server), timeout=10)
        connection.request("POST", CONVERSE, BODY)
        with pytest.raises(http.client.IncompleteRead):
            connection.getresponse().read()
        connection.close()
    assert "in the middle of a streamed answer" in caplog.text


def _other(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    if environ["PATH_INFO"] == "/guardrails":
        raise NotImplementedError("list_guardrails")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "99")])
    return [f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}".encode()]


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/bucket/key", 200, b"GET /bucket/key"),
        ("GET", "/foundation-models", 200, b"GET /foundation-models"),
        ("GET", "/guardrails", 501, b'{"message": "not here"}'),
        ("HEAD", "/bucket/key", 200, b""),
    ],
)
def test_what_the_handler_does_not_serve_goes_on(
    stub: Any, method: str, path: str, status: int, body: bytes
) -> None:
    """Other services' requests, and Bedrock's with a 501, go on, if anyone has them."""
    with EmulatorServer(stub, other_services=_other) as server:
        connection = http.client.HTTPConnection("127.0.0.1", _port(server), timeout=10)
        connection.request(method, path)
        response = connection.getresponse()
        assert (response.status, response.read()) == (status, body)
        connection.close()


def test_bearer_token_goes_to_bedrock(server: EmulatorServer, stub: Any) -> None:
    """A request with an API key instead of a signature is one for Bedrock."""
    connection = http.client.HTTPConnection("127.0.0.1", _port(server), timeout=10)
    connection.request("POST", CONVERSE, BODY, {"Authorization": "Bearer bedrock-api-key"})
    assert connection.getresponse().status == 200
    connection.close()
    assert len(stub.calls) == 1


def test_bedrock_needs_no_moto(
    monkeypatch: pytest.MonkeyPatch, aws_session: Session, server: EmulatorServer
) -> None:
    """Without moto, Bedrock is served, and other services say which extra they need."""
    monkeypatch.setitem(sys.modules, "flask", None)
    session: Any = aws_session
    config = Config(retries={"total_max_attempts": 1})
    runtime, s3, dynamodb = (
        session.client(name, endpoint_url=server.url, config=config)
        for name in ("bedrock-runtime", "s3", "dynamodb")
    )
    messages = json.loads(BODY)["messages"]
    assert runtime.converse(modelId="m", messages=messages)["stopReason"] == "end_turn"
    for call in (s3.list_buckets, dynamodb.list_tables):
        with pytest.raises(s3.exceptions.ClientError, match=r"pip install .*\[local\]"):
            call()
    for client in (runtime, s3, dynamodb):
        client.close()


def test_aws_chunked_upload_reaches_s3(exchange: Exchange, server: EmulatorServer) -> None:
    """An upload in aws-chunked encoding, as other SDKs send it, is stored decoded."""
    credential = "Credential=AKID/20260102/us-east-1/s3/aws4_request"
    head = (
        f"Host: 127.0.0.1:{_port(server)}\r\nConnection: close\r\n"
        f"Authorization: AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=0\r\n"
    )
    encoded = "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"
    chunked = (
        "Content-Encoding: aws-chunked\r\nx-amz-decoded-content-length: 5\r\n"
        "x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\n"
    )
    bucket = f"PUT /chunked-uploads HTTP/1.1\r\n{head}Content-Length: 0\r\n\r\n"
    assert b" 200 " in exchange(bucket.encode())
    plain = (
        f"PUT /chunked-uploads/a HTTP/1.1\r\n{head}{chunked}"
        f"Content-Length: {len(encoded)}\r\n\r\n{encoded}"
    )
    assert b" 200 " in exchange(plain.encode())
    twice = (
        f"PUT /chunked-uploads/b HTTP/1.1\r\n{head}{chunked}Transfer-Encoding: chunked\r\n\r\n"
        f"{len(encoded):x}\r\n{encoded}\r\n0\r\n\r\n"
    )
    assert b" 200 " in exchange(twice.encode())
    for key in ("a", "b"):
        answer = exchange(f"GET /chunked-uploads/{key} HTTP/1.1\r\n{head}\r\n".encode())
        assert answer.endswith(b"\r\n\r\nhello")
