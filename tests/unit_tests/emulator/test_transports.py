"""What real boto3 clients see of the emulator, in process and over HTTP alike."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from langchain_bedrock_opt.emulator.http.inprocess import attach
from langchain_bedrock_opt.emulator.http.other_services import moto_application
from langchain_bedrock_opt.emulator.http.server import EmulatorServer
from langchain_bedrock_opt.emulator.types import Reply, ServiceFailure

MODEL_ID = "anthropic.claude-3-haiku-20240307-v1:0"
ARN = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0"
MESSAGES = [{"role": "user", "content": [{"text": "Hello"}]}]


@pytest.fixture(params=["in process", "over HTTP"])
def make_client(
    request: pytest.FixtureRequest, stub: Any, aws_session: Session
) -> Iterator[Callable[[str], Any]]:
    """Makes clients of any service that speak to the stub and to moto."""
    clients: list[Any] = []
    config = Config(retries={"mode": "standard", "total_max_attempts": 1})

    def make(service: str, endpoint_url: str | None) -> Any:
        session: Any = aws_session
        clients.append(session.client(service, endpoint_url=endpoint_url, config=config))
        return clients[-1]

    if request.param == "in process":
        with attach(aws_session, stub, other_services=moto_application()):
            yield lambda service: make(service, None)
    else:
        with EmulatorServer(stub) as server:
            yield lambda service: make(service, server.url)
    for client in clients:
        client.close()


@pytest.fixture
def client(make_client: Callable[[str], Any]) -> Any:
    return make_client("bedrock-runtime")


def test_converse(client: Any, stub: Any) -> None:
    """A Converse call gets the reply, its usage, and the id that the request was given."""
    response = client.converse(modelId=MODEL_ID, messages=MESSAGES)
    assert response["output"]["message"]["content"] == [{"text": "Hello from here"}]
    assert response["usage"] == {"inputTokens": 5, "outputTokens": 3, "totalTokens": 8}
    assert response["metrics"] == {"latencyMs": 7}
    assert response["ResponseMetadata"]["RequestId"] == "request-1"
    assert stub.calls[0].params == {"modelId": MODEL_ID, "messages": MESSAGES}


@pytest.mark.parametrize("model_id", [ARN, MODEL_ID, "my_imported-model"])
def test_model_id_arrives_whole(client: Any, stub: Any, model_id: str) -> None:
    """ARNs with slashes and ids with colons arrive as they were given."""
    client.converse(modelId=model_id, messages=MESSAGES)
    assert stub.calls[0].model_id == model_id


def test_bytes_and_unicode_arrive_whole(client: Any, stub: Any) -> None:
    """Image bytes and Japanese text arrive as they were given, and come back so."""
    stub.reply = Reply(content=({"text": "東京 🗼"},))
    content = [
        {"text": "これは何ですか"},
        {"image": {"format": "png", "source": {"bytes": b"\x89PNG\x00"}}},
    ]
    response = client.converse(modelId=MODEL_ID, messages=[{"role": "user", "content": content}])
    assert stub.calls[0].params["messages"][0]["content"] == content
    assert response["output"]["message"]["content"] == [{"text": "東京 🗼"}]


def test_converse_stream(client: Any) -> None:
    """A stream is decoded by botocore to the events of the reply."""
    response = client.converse_stream(modelId=MODEL_ID, messages=MESSAGES)
    events = list(response["stream"])
    assert [next(iter(event)) for event in events] == [
        "messageStart",
        "contentBlockDelta",
        "contentBlockDelta",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
    ]
    text = "".join(e["contentBlockDelta"]["delta"]["text"] for e in events[1:4])
    assert text == "Hello from here"
    assert events[-1]["metadata"]["usage"]["totalTokens"] == 8


def test_streamed_tool_call(client: Any, stub: Any) -> None:
    """A streamed tool call and redacted reasoning are decoded by botocore."""
    tool_use = {"toolUseId": "tooluse_1", "name": "weather", "input": {"city": "Oslo"}}
    stub.reply = Reply(
        content=({"reasoningContent": {"redactedContent": b"\x00\x01"}}, {"toolUse": tool_use}),
        stop_reason="tool_use",
    )
    events = list(client.converse_stream(modelId=MODEL_ID, messages=MESSAGES)["stream"])
    deltas = [e["contentBlockDelta"]["delta"] for e in events if "contentBlockDelta" in e]
    assert deltas[0] == {"reasoningContent": {"redactedContent": b"\x00\x01"}}
    assert json.loads("".join(d["toolUse"]["input"] for d in deltas[1:])) == {"city": "Oslo"}


def test_invoke_model(client: Any, stub: Any) -> None:
    """InvokeModel gets the raw body, its type, and the token counts in headers."""
    response = client.invoke_model(modelId=ARN, body=b'{"prompt": "Hi"}', accept="*/*")
    assert response["body"].read() == b'{"echo": true}'
    assert response["contentType"] == "application/json"
    headers = response["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amzn-bedrock-input-token-count"] == "5"
    assert headers["x-amzn-bedrock-invocation-latency"] == "7"
    assert stub.calls[0].params["body"] == b'{"prompt": "Hi"}'
    assert stub.calls[0].params["accept"] == "*/*"


def test_invoke_model_with_response_stream(client: Any) -> None:
    """A streamed InvokeModel answer arrives in its chunks."""
    response = client.invoke_model_with_response_stream(modelId=MODEL_ID, body=b"{}")
    assert response["contentType"] == "application/json"
    assert [event["chunk"]["bytes"] for event in response["body"]] == [b'{"n": 1}', b'{"n": 2}']


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ThrottlingException", 429),
        ("ValidationException", 400),
        ("ModelTimeoutException", 408),
        ("AccessDeniedException", 403),
        ("ExpiredTokenException", 403),
        ("ServiceUnavailableException", 503),
    ],
)
@pytest.mark.parametrize("operation", ["converse", "converse_stream"])
def test_error(client: Any, stub: Any, operation: str, code: str, status: int) -> None:
    """An error reaches the caller with its code, its text, its status and the request's id."""
    stub.failure = ServiceFailure(code, "Nicht so schnell: 遅く")
    with pytest.raises(ClientError) as error:
        getattr(client, operation)(modelId=MODEL_ID, messages=MESSAGES)
    response: Any = error.value.response
    assert response["Error"] == {"Code": code, "Message": "Nicht so schnell: 遅く"}
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert response["ResponseMetadata"]["RequestId"] == "request-1"


def test_modelled_error_has_its_class(client: Any, stub: Any) -> None:
    """A modelled error is raised as the client's own exception class."""
    stub.failure = ServiceFailure("ThrottlingException", "Too many requests")
    with pytest.raises(client.exceptions.ThrottlingException):
        client.converse(modelId=MODEL_ID, messages=MESSAGES)


def test_error_in_the_middle_of_a_stream(client: Any, stub: Any) -> None:
    """An error inside a stream is raised as EventStreamError after the events before it."""
    stub.failure_in_stream = ("ModelStreamErrorException", "The model lost its thread.")
    stream = client.converse_stream(modelId=MODEL_ID, messages=MESSAGES)["stream"]
    events = iter(stream)
    assert "messageStart" in next(events)
    with pytest.raises(EventStreamError, match=r"modelStreamErrorException.*lost its thread"):
        next(events)
    stream.close()


def test_early_close_of_a_stream_ends_its_source(client: Any, stub: Any) -> None:
    """Closing a stream after its first event ends the endless generator behind it."""
    stub.endless = True
    stream = client.converse_stream(modelId=MODEL_ID, messages=MESSAGES)["stream"]
    assert "contentBlockDelta" in next(iter(stream))
    stream.close()
    assert stub.wait_for_closed_stream()


def test_client_works_on_after_an_early_close(client: Any, stub: Any) -> None:
    """After a stream was left early, the same client's next call gets its own answer."""
    stub.endless = True
    client.converse_stream(modelId=MODEL_ID, messages=MESSAGES)["stream"].close()
    stub.endless = False
    response = client.converse(modelId=MODEL_ID, messages=MESSAGES)
    assert response["output"]["message"]["content"] == [{"text": "Hello from here"}]


def test_other_services_are_at_the_same_place(make_client: Callable[[str], Any]) -> None:
    """S3, DynamoDB and CloudWatch answer beside Bedrock."""
    name = f"test-{uuid4()}"  # moto keeps its state as long as the process lives
    s3 = make_client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="a b/日本.jsonl", Body=b'{"recordId": "1"}\n')
    s3.upload_fileobj(io.BytesIO(b"x" * 9_000_000), name, "large")  # in several parts
    assert s3.get_object(Bucket=name, Key="a b/日本.jsonl")["Body"].read()[:5] == b'{"rec'
    assert s3.head_object(Bucket=name, Key="large")["ContentLength"] == 9_000_000
    listed = s3.list_objects_v2(Bucket=name)["Contents"]
    assert [entry["Key"] for entry in listed] == ["a b/日本.jsonl", "large"]
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=name, Key="missing")

    dynamodb = make_client("dynamodb")
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.put_item(TableName=name, Item={"key": {"S": "a"}, "value": {"B": b"\x00"}})
    item = dynamodb.get_item(TableName=name, Key={"key": {"S": "a"}})["Item"]
    assert item["value"] == {"B": b"\x00"}

    cloudwatch = make_client("cloudwatch")
    cloudwatch.put_metric_data(Namespace=name, MetricData=[{"MetricName": "Cost", "Value": 1.5}])
    assert cloudwatch.list_metrics(Namespace=name)["Metrics"][0]["MetricName"] == "Cost"

    runtime = make_client("bedrock-runtime")
    assert runtime.converse(modelId=MODEL_ID, messages=MESSAGES)["stopReason"] == "end_turn"


def test_control_plane_that_is_not_emulated_is_motos(make_client: Callable[[str], Any]) -> None:
    """An operation that the handler answers with 501 is answered by moto, if moto has it."""
    control = make_client("bedrock")
    assert control.list_custom_models()["modelSummaries"] == []
    with pytest.raises(ClientError) as error:
        control.list_prompt_routers()
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
