"""What the emulator's tests share: recordings, a stub of Bedrock, and boto3 sessions."""

from __future__ import annotations

import os
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from boto3.session import Session
from botocore.eventstream import EventStreamBuffer

from langchain_bedrock_opt.emulator.http.converse import converse_events, converse_output
from langchain_bedrock_opt.emulator.http.eventstream import (
    encode_chunk,
    encode_event,
    encode_exception,
    padded,
)
from langchain_bedrock_opt.emulator.http.invocation import invocation_headers
from langchain_bedrock_opt.emulator.http.wire import Wire
from langchain_bedrock_opt.emulator.types import (
    Call,
    HttpRequest,
    HttpResponse,
    Reply,
    ServiceFailure,
)


def _headers(message: Any) -> dict[str, Any]:
    return dict(message.headers)  # botocore's type stubs take them for a number


@pytest.fixture
def decoded() -> Callable[[bytes], list[tuple[dict[str, Any], bytes]]]:
    """Decodes an event stream by botocore into headers and payloads."""

    def decode(stream: bytes) -> list[tuple[dict[str, Any], bytes]]:
        buffer = EventStreamBuffer()
        buffer.add_data(stream)
        return [(_headers(message), message.payload) for message in buffer]

    return decode


@pytest.fixture
def recorded_streams(
    recordings: Callable[[str], list[dict[str, Any]]],
) -> Callable[[str], list[bytes]]:
    """Raw streams that no recorder has rewritten."""

    def read(name: str) -> list[bytes]:
        responses = [exchange["response"] for exchange in recordings(name)]
        return [
            b64decode(response["body_b64"])
            for response in responses
            if not response["body_reserialised_by_recorder"]
        ]

    return read


class StubBedrock:
    """A handler that answers four operations with what it is given, and fails as it is told."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.calls: list[Call] = []
        self.requests: list[HttpRequest] = []
        self.reply = Reply(
            content=({"text": "Hello from here"},),
            input_tokens=5,
            output_tokens=3,
        )
        self.failure: ServiceFailure | None = None
        self.failure_in_stream: tuple[str, str] | None = None
        self.endless = False
        self.events_made = 0
        self._stream_closed = threading.Event()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        try:
            if self.failure is not None:
                raise self.failure
            call = self.wire.parse(request, "request-1")
            self.calls.append(call)
            return self._answer(call)
        except ServiceFailure as failure:
            return self.wire.serialise_failure(failure, "request-1")

    def wait_for_closed_stream(self) -> bool:
        """Whether a stream's generator was ended, by its own thread perhaps a moment later."""
        return self._stream_closed.wait(timeout=10)

    def _answer(self, call: Call) -> HttpResponse:
        if call.operation == "Converse":
            return self.wire.serialise(call, converse_output(self.reply, 7))
        if call.operation == "InvokeModel":
            output = {"body": b'{"echo": true}', "contentType": "application/json"}
            return self.wire.serialise(call, output, invocation_headers(self.reply, 7))
        if call.operation in ("ConverseStream", "InvokeModelWithResponseStream"):
            return self.wire.serialise_stream(call, self._frames(call.operation))
        return HttpResponse(status=501, headers={}, body=b'{"message": "not here"}')

    def _frames(self, operation: str) -> Iterator[bytes]:
        try:
            for frame in self._all_frames(operation):
                self.events_made += 1
                yield frame
                if self.failure_in_stream is not None:
                    yield encode_exception(*self.failure_in_stream)
                    return
        finally:
            self._stream_closed.set()

    def _all_frames(self, operation: str) -> Iterator[bytes]:
        while self.endless:
            delta = {"contentBlockIndex": 0, "delta": {"text": "on and on"}}
            yield encode_event("contentBlockDelta", delta)
        if operation == "ConverseStream":
            for ordinal, event in enumerate(converse_events(self.reply, lambda: 7)):
                yield encode_event(event.event_type, padded(event.payload, ordinal))
        else:
            yield encode_chunk(b'{"n": 1}', 0)
            yield encode_chunk(b'{"n": 2}', 1)


@pytest.fixture
def stub() -> StubBedrock:
    return StubBedrock()


@pytest.fixture
def aws_session(monkeypatch: pytest.MonkeyPatch) -> Session:
    """A session with dummy credentials that nothing of the machine's settings gets into."""
    for name in ("AWS_ENDPOINT_URL", "AWS_BEARER_TOKEN_BEDROCK", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    return Session(
        aws_access_key_id="testing", aws_secret_access_key="testing", region_name="us-east-1"
    )
