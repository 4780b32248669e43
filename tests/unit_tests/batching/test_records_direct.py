"""Records that no job takes are answered on demand, in the same formats."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from langchain_aws import ChatBedrockConverse
from langchain_core.messages import HumanMessage

from langchain_bedrock_opt import BedrockEmulator, ChatBedrockOptimized
from langchain_bedrock_opt.aws.clients import client_config
from langchain_bedrock_opt.aws.layers import Layer
from langchain_bedrock_opt.batching.records.direct import direct_for
from langchain_bedrock_opt.batching.records.reader import Reader
from langchain_bedrock_opt.batching.records.recorder import Recorder
from langchain_bedrock_opt.emulator import Fault
from langchain_bedrock_opt.errors import BedrockServiceError, ThrottledError

CLAUDE = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
MISTRAL = "mistral.mistral-large-2407-v1:0"
TOOL = {
    "name": "look",
    "description": "Looks something up",
    "inputSchema": {"json": {"type": "object", "properties": {"q": {"type": "string"}}}},
}
TOOLS = {"tools": [{"toolSpec": TOOL}], "tool_choice": {"any": {}}}


@pytest.fixture
def emulator() -> BedrockEmulator:
    return BedrockEmulator()


def chat(emulator: BedrockEmulator, model: str = CLAUDE, **settings: Any) -> ChatBedrockOptimized:
    client = emulator.client()
    return ChatBedrockOptimized(
        model=model, client=client, bedrock_client=client, max_tokens=50, **settings
    )


def test_a_converse_record_is_the_models_own_call(emulator: BedrockEmulator) -> None:
    """A record answered on demand gives the message of a call, image and all."""
    model = chat(emulator)
    picture = {"type": "image", "base64": base64.b64encode(b"x").decode(), "mime_type": "image/png"}
    messages = [HumanMessage([{"type": "text", "text": "What is it?"}, picture])]
    recorder, reader = Recorder(model), Reader(model)

    output = direct_for(model)(recorder.kind, recorder.record(messages), False)

    message, live = reader.message(recorder.kind, output), model.invoke(messages)
    assert message.content == live.content
    assert message.usage_metadata == live.usage_metadata
    assert "ResponseMetadata" not in json.loads(output)
    assert "batch" not in message.response_metadata["bedrock_opt"]


@pytest.mark.parametrize("model_id", [CLAUDE, MISTRAL])
def test_a_native_record_is_answered_natively(emulator: BedrockEmulator, model_id: str) -> None:
    """A record with tools goes through InvokeModel, and its tokens are known in any format."""
    model = chat(emulator, model_id)
    recorder, reader = Recorder(model, kwargs=TOOLS), Reader(model)

    output = direct_for(model)(recorder.kind, recorder.record([HumanMessage("Who?")]), False)

    message = reader.message(recorder.kind, output)
    assert message.tool_calls[0]["name"] == "look"
    assert message.usage_metadata is not None
    assert message.usage_metadata["input_tokens"] > 0
    assert message.usage_metadata["output_tokens"] > 0
    assert emulator.journal.count("InvokeModel") == 1


class KeepsTier:
    """A client that keeps what it is called with, in front of the emulator's."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.meta = client.meta
        self.tiers: list[Any] = []

    def converse(self, **request: Any) -> Any:
        self.tiers.append(request.pop("serviceTier", None))
        return self._client.converse(**request)

    def invoke_model(self, **request: Any) -> Any:
        self.tiers.append(request.pop("serviceTier", None))
        return self._client.invoke_model(**request)


def test_flex_is_asked_for_in_each_operations_way(emulator: BedrockEmulator) -> None:
    """The flex tier is a structure for Converse and a plain word for InvokeModel."""
    client = KeepsTier(emulator.client())
    model = ChatBedrockConverse(model=CLAUDE, client=client, bedrock_client=client, max_tokens=9)
    plain, native = Recorder(model), Recorder(model, invocation="InvokeModel")
    body = [HumanMessage("Hi")]
    direct = direct_for(model)

    for recorder in (plain, native):
        direct(recorder.kind, recorder.record(body), True)
        direct(recorder.kind, recorder.record(body), False)

    assert client.tiers == [{"type": "flex"}, None, "flex", None]


@pytest.mark.parametrize("invocation", ["Converse", "InvokeModel"])
def test_errors_are_this_packages(emulator: BedrockEmulator, invocation: Any) -> None:
    """A throttle is a ThrottledError that says its model, and a broken record is told as one."""
    model = chat(emulator)
    model.client = emulator.client(config=client_config(max_retries=0))
    recorder = Recorder(model, invocation=invocation)
    direct = direct_for(model)
    emulator.faults.add(Fault(code="ThrottlingException", times=99))

    with pytest.raises(ThrottledError) as caught:
        direct(recorder.kind, recorder.record([HumanMessage("Hi")]), False)

    assert caught.value.model_id == CLAUDE
    emulator.faults.clear()
    with pytest.raises(BedrockServiceError):
        direct(recorder.kind, b'{"messages":[]}', False)


def test_layers_do_not_see_records(emulator: BedrockEmulator) -> None:
    """A record goes to Bedrock as it is, past the layers of the user's model."""

    class Loud(Layer):
        def converse(self, request: Any, call_next: Any) -> Any:
            raise AssertionError("a layer was asked")

    model = chat(emulator, layers=[Loud()])
    recorder = Recorder(model)

    assert b"stopReason" in direct_for(model)(
        recorder.kind, recorder.record([HumanMessage("Hi")]), False
    )
