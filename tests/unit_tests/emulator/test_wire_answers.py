"""Answers as bytes: plain ones, raw ones, streams and errors."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from langchain_bedrock_opt.emulator.http.invocation import invocation_headers, invocation_metrics
from langchain_bedrock_opt.emulator.http.wire import Wire
from langchain_bedrock_opt.emulator.types import Call, Reply, ServiceFailure

Recordings = Callable[[str], list[dict[str, Any]]]

WIRE = Wire(clock=lambda: 0.0)


def _runtime_call(operation: str) -> Call:
    return Call(service="bedrock-runtime", operation=operation, params={}, request_id="id-1")


def test_answer_is_compact_json_in_the_given_order() -> None:
    """A plain answer is compact UTF-8 JSON with the service's headers."""
    response = WIRE.serialise(
        _runtime_call("Converse"), {"stopReason": "end_turn", "output": "東京"}
    )
    assert response.body == '{"stopReason":"end_turn","output":"東京"}'.encode()
    assert response.status == 200
    assert response.headers == {
        "Date": "Thu, 01 Jan 1970 00:00:00 GMT",
        "Content-Type": "application/json",
        "x-amzn-RequestId": "id-1",
    }


def test_answer_carries_blobs_and_times() -> None:
    """Bytes leave as base64 and times in UTC, whatever zone they were in."""
    call = Call(service="bedrock", operation="GetModelInvocationJob", params={}, request_id="i")
    tokyo = timezone(timedelta(hours=9))
    output = {"submitTime": datetime(2026, 1, 2, 12, tzinfo=tokyo), "blob": b"abc"}
    response = WIRE.serialise(call, output)
    assert response.body == b'{"submitTime":"2026-01-02T03:00:00Z","blob":"YWJj"}'


def test_lone_surrogates_do_not_break_the_answer() -> None:
    """Half a character that came in by a JSON escape leaves as a question mark."""
    response = WIRE.serialise(_runtime_call("Converse"), {"text": "a\ud83d"})
    assert response.body == b'{"text":"a?"}'


def test_created_resources_answer_201() -> None:
    """The status of a success is the one that the service model gives the operation."""
    call = Call(
        service="bedrock",
        operation="CreateProvisionedModelThroughput",
        params={},
        request_id="i",
    )
    assert WIRE.serialise(call, {"provisionedModelArn": "arn"}).status == 201


def test_invoke_model_answer_is_raw_with_token_counts() -> None:
    """InvokeModel answers with the model's own bytes and every header AWS was recorded to send."""
    call = _runtime_call("InvokeModel")
    reply = Reply(content=(), input_tokens=5, output_tokens=10, cache_read_tokens=3)
    output = {"body": b"\x00raw", "contentType": "image/png", "serviceTier": "flex"}
    response = WIRE.serialise(call, output, invocation_headers(reply, 604))
    assert response.body == b"\x00raw"
    assert response.headers["Content-Type"] == "image/png"
    assert response.headers["X-Amzn-Bedrock-Service-Tier"] == "flex"
    assert response.headers["X-Amzn-Bedrock-Input-Token-Count"] == "5"
    assert response.headers["X-Amzn-Bedrock-Cache-Read-Input-Token-Count"] == "3"


def test_invoke_model_headers_are_those_recorded(recordings: Recordings) -> None:
    """No Bedrock header on a recorded InvokeModel answer is missing in ours."""
    ours = {name.lower() for name in invocation_headers(Reply(content=()), 1)}
    for exchange in recordings("InvokeModel"):
        theirs = {n for n in exchange["response"]["headers"] if n.startswith("x-amzn-bedrock-")}
        assert theirs <= ours


def test_invocation_metrics_are_those_recorded(
    recorded_streams: Callable[[str], list[bytes]],
    decoded: Callable[[bytes], list[tuple[dict[str, Any], bytes]]],
) -> None:
    """The metrics of a recorded stream's last chunk have no key that ours lack."""
    ours = set(invocation_metrics(Reply(content=()), 1, 1))
    for stream in recorded_streams("InvokeModelWithResponseStream"):
        last = json.loads(decoded(stream)[-1][1])
        theirs = json.loads(b64decode(last["bytes"]))["amazon-bedrock-invocationMetrics"]
        assert set(theirs) <= ours


def test_stream_headers_are_those_recorded() -> None:
    """An InvokeModel stream names the type of its chunks, a Converse stream does not."""
    frames = iter([b"frame"])
    response = WIRE.serialise_stream(_runtime_call("InvokeModelWithResponseStream"), frames)
    assert response.headers["Content-Type"] == "application/vnd.amazon.eventstream"
    assert response.headers["X-Amzn-Bedrock-Content-Type"] == "application/json"
    assert response.body is frames
    response = WIRE.serialise_stream(_runtime_call("ConverseStream"), frames)
    assert "X-Amzn-Bedrock-Content-Type" not in response.headers


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("AccessDeniedException", 403),
        ("ThrottlingException", 429),
        ("ModelNotReadyException", 429),
        ("ModelTimeoutException", 408),
        ("ModelErrorException", 424),
        ("ModelStreamErrorException", 424),
        ("ValidationException", 400),
        ("ServiceQuotaExceededException", 400),
        ("ConflictException", 400),
        ("ResourceNotFoundException", 404),
        ("InternalServerException", 500),
        ("ServiceUnavailableException", 503),
        ("TooManyTagsException", 400),
        ("ExpiredTokenException", 403),
        ("UnrecognizedClientException", 403),
        ("SomethingNewException", 400),
    ],
)
def test_errors_have_their_status(code: str, status: int) -> None:
    """Each error code gets the status that the service answers with, unless told otherwise."""
    assert WIRE.serialise_failure(ServiceFailure(code, "No."), "id-1").status == status
    assert WIRE.serialise_failure(ServiceFailure(code, "No.", status=418), "id-1").status == 418


def test_errors_look_like_the_recorded_ones(recordings: Recordings) -> None:
    """Status, error type header and body of an error are those AWS was recorded to send."""
    compared = 0
    for exchange in recordings("errors"):
        recorded = exchange["response"]
        error_type = recorded["headers"].get("x-amzn-errortype")
        if error_type is None:
            continue
        document = json.loads(recorded["body"])
        failure = ServiceFailure(error_type.partition(":")[0], document["message"])
        response = WIRE.serialise_failure(failure, "id-1")
        assert response.status == recorded["status"]
        assert response.headers["x-amzn-ErrorType"] == error_type
        assert isinstance(response.body, bytes)
        assert json.loads(response.body) == document
        compared += 1
    assert compared > 0
