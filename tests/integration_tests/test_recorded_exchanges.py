"""The emulator answers every recorded request as the real service did: over the whole engine."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.eventstream import EventStreamBuffer

from langchain_bedrock_opt import BedrockEmulator
from langchain_bedrock_opt.emulator.types import HttpRequest, HttpResponse

Recordings = Callable[[str], list[dict[str, Any]]]

OPERATIONS = ("Converse", "ConverseStream", "InvokeModel", "InvokeModelWithResponseStream")

# What a local Bedrock can't know: whether credentials have expired.
NOT_OURS = ("ExpiredTokenException", "UnrecognizedClientException")


def replay(emulator: BedrockEmulator, record: dict[str, Any]) -> HttpResponse:
    """Send a recorded request, signed for the region its model id belongs to."""
    request = record["request"]
    url = urlsplit(request["path"])
    region = _region(url.path)
    headers = {
        **{name.lower(): value for name, value in request["headers"].items()},
        "authorization": "AWS4-HMAC-SHA256 Credential=local/20260101/"
        f"{region}/bedrock/aws4_request, SignedHeaders=host, Signature=0",
    }
    return emulator.handle(
        HttpRequest(
            method=request["method"],
            path=url.path,
            query=url.query,
            headers=headers,
            body=(request["body"] or "").encode(),
        )
    )


def _region(path: str) -> str:
    """A region from which the model may be called; the recordings do not keep it."""
    scopes = {"eu.": "eu-west-1", "apac.": "ap-northeast-1", "jp.": "ap-northeast-1"}
    scopes |= {"au.": "ap-southeast-2", "us-gov.": "us-gov-west-1"}
    model = path.removeprefix("/model/")
    return next((r for scope, r in scopes.items() if model.startswith(scope)), "us-east-1")


def drained(response: HttpResponse) -> bytes:
    return response.body if isinstance(response.body, bytes) else b"".join(response.body)


def events(data: bytes) -> Iterator[Any]:
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    yield from buffer


@pytest.mark.parametrize("operation", OPERATIONS)
def test_recorded_requests_are_accepted(recordings: Recordings, operation: str) -> None:
    """Every request that the real service answered is answered here, with status 200."""
    emulator = BedrockEmulator()
    refused = {}
    for record in recordings(operation):
        response = replay(emulator, record)
        body = drained(response)
        if response.status != record["response"]["status"]:
            refused[record["id"]] = body.decode()

    assert refused == {}


def test_recorded_refusals_are_repeated(recordings: Recordings) -> None:
    """Every request that the real service refused is refused here, with its status and words."""
    emulator = BedrockEmulator()
    compared = 0
    for record in recordings("errors"):
        theirs = record["response"]
        error_type = theirs["headers"].get("x-amzn-errortype", "")
        if error_type.partition(":")[0] in NOT_OURS:
            continue
        ours = replay(emulator, record)

        assert ours.status == theirs["status"], record["id"]
        assert json.loads(drained(ours)) == json.loads(theirs["body"]), record["id"]
        if error_type:
            headers = {name.lower(): value for name, value in ours.headers.items()}
            assert headers["x-amzn-errortype"] == error_type, record["id"]
        compared += 1

    assert compared >= 9


def test_an_expired_token_can_be_played(recordings: Recordings) -> None:
    """The recorded refusal of old credentials comes out of a planned fault to the letter."""
    from langchain_bedrock_opt.emulator import Fault

    emulator = BedrockEmulator()
    for record in recordings("errors"):
        theirs = record["response"]
        error_type = theirs["headers"].get("x-amzn-errortype", "")
        code = error_type.partition(":")[0]
        if code not in NOT_OURS:
            continue
        emulator.faults.add(Fault(code=code))

        ours = replay(emulator, record)

        headers = {name.lower(): value for name, value in ours.headers.items()}
        assert (ours.status, headers["x-amzn-errortype"]) == (theirs["status"], error_type)
        assert json.loads(drained(ours)) == json.loads(theirs["body"])


def test_streams_have_the_recorded_form(recordings: Recordings) -> None:
    """Our streams begin and end as recorded ones, with their headers, sorted keys and padding."""
    emulator = BedrockEmulator()
    for record in recordings("ConverseStream"):
        ours = list(events(drained(replay(emulator, record))))
        theirs = list(events(base64.b64decode(record["response"]["body_b64"])))

        for mine, recorded in ((ours[0], theirs[0]), (ours[-1], theirs[-1])):
            assert list(mine.headers) == list(recorded.headers), record["id"]
            assert mine.headers == recorded.headers, record["id"]
        for event in ours:
            payload = json.loads(event.payload)
            assert list(payload) == sorted(payload)
            assert payload["p"].startswith("ab")


def test_answers_have_the_recorded_headers(recordings: Recordings) -> None:
    """Every header of a recorded answer that says something about the call is on ours too."""
    emulator = BedrockEmulator()
    # `server-timing` was on one recording only, of a tool that Nova runs on the server.
    of_the_connection = {"connection", "content-length", "transfer-encoding", "server-timing"}
    for operation in OPERATIONS:
        for record in recordings(operation):
            ours = {name.lower() for name in replay(emulator, record).headers}
            theirs = {name.lower() for name in record["response"]["headers"]}

            assert theirs - of_the_connection <= ours, record["id"]


def test_converse_answers_have_the_recorded_keys(recordings: Recordings) -> None:
    """An answer of ours has the keys that all recorded answers have, down to usage."""
    emulator = BedrockEmulator()
    for record in recordings("Converse"):
        ours = json.loads(drained(replay(emulator, record)))
        theirs = json.loads(record["response"]["body"])

        assert {"metrics", "output", "stopReason", "usage"} <= set(ours) & set(theirs)
        assert {"inputTokens", "outputTokens", "totalTokens"} <= set(ours["usage"])
        assert isinstance(ours["metrics"]["latencyMs"], int)


def test_an_application_profile_is_described_as_recorded(recordings: Recordings) -> None:
    """GetInferenceProfile answers for a registered profile with the recorded keys."""
    (record,) = recordings("GetInferenceProfile")
    theirs = json.loads(record["response"]["body"])
    emulator = BedrockEmulator(
        application_profiles={theirs["inferenceProfileArn"]: theirs["models"][0]["modelArn"]}
    )

    ours = json.loads(drained(replay(emulator, record)))

    assert ours["inferenceProfileArn"] == theirs["inferenceProfileArn"]
    assert (ours["status"], ours["type"]) == (theirs["status"], theirs["type"])
    assert set(theirs) - {"toolboxArn"} <= set(ours) | {"description"}
