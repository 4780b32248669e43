"""Each family through a whole job: records by the recorder, answers by the reader."""

from __future__ import annotations

import base64
import json
from typing import Any

import orjson
import pytest
from langchain_aws import ChatBedrockConverse
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from langchain_bedrock_opt.batching.jobs.output import error_of
from langchain_bedrock_opt.batching.parts import place_of, record_id
from langchain_bedrock_opt.batching.records.direct import direct_for
from langchain_bedrock_opt.batching.records.reader import Reader
from langchain_bedrock_opt.batching.records.recorder import Recorder
from tests.batch_service import HAIKU, BatchService

FAMILIES = [
    HAIKU,
    "us.amazon.nova-lite-v1:0",
    "amazon.titan-text-express-v1",
    "us.meta.llama3-3-70b-instruct-v1:0",
    "mistral.mistral-large-2407-v1:0",
    "mistral.mixtral-8x7b-instruct-v0:1",
    "cohere.command-r-v1:0",
    "openai.gpt-oss-20b-1:0",
    "deepseek.v3-v1:0",
    "qwen.qwen3-32b-v1:0",
]
WITH_TOOLS = [HAIKU, "us.amazon.nova-lite-v1:0", "openai.gpt-oss-20b-1:0", "qwen.qwen3-32b-v1:0"]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"name": "weather", "description": "The weather", "inputSchema": {"json": PARAMETERS}}
TOOLS = {"tools": [{"toolSpec": TOOL}], "tool_choice": {"any": {}}}
SCHEMA = {"name": "Place", "schema": orjson.dumps(PARAMETERS).decode()}
OUTPUT = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": SCHEMA}}}


def chat(service: BatchService, model: str) -> ChatBedrockConverse:
    return ChatBedrockConverse(
        model=model, client=service.runtime, bedrock_client=service.bedrock, max_tokens=60
    )


def through_a_job(
    service: BatchService, model: ChatBedrockConverse, recorder: Recorder, messages: Any
) -> list[AIMessage]:
    """Messages through one job, back in their order."""
    lines = [
        b'{"recordId":"%b","modelInput":%b}' % (record_id(place).encode(), recorder.record(said))
        for place, said in enumerate(messages)
    ]
    service.put("in/0.jsonl", [line.decode() for line in lines])
    kind = recorder.kind
    arn = service.create(modelId=kind.model_id, modelInvocationType=kind.invocation)
    assert service.get(arn)["status"] == "Completed", service.get(arn)
    reader, answers = Reader(model), {}
    for line in service.output(arn):
        assert error_of(line) is None, line["error"]
        output = orjson.dumps(line["modelOutput"])
        answers[place_of(line["recordId"])] = reader.message(kind, output, job_arn=arn)
    return [answers[place] for place in range(len(messages))]


@pytest.mark.parametrize("model_id", FAMILIES)
@pytest.mark.parametrize("invocation", ["Converse", "InvokeModel"])
def test_text_goes_through_a_job(
    batch_service: BatchService, model_id: str, invocation: Any
) -> None:
    """Each family takes its records in both formats, and each answer is that of its question."""
    model = chat(batch_service, model_id)
    recorder = Recorder(model, invocation=invocation)
    messages: list[list[BaseMessage]] = [
        [HumanMessage(f"Question {number}: what is {number} + 1?")] for number in range(6)
    ]

    answers = through_a_job(batch_service, model, recorder, messages)

    direct, reader = direct_for(model), Reader(model)
    for said, answer in zip(messages, answers, strict=True):
        output = direct(recorder.kind, recorder.record(said), False)
        live = reader.message(recorder.kind, output)
        assert answer.text
        assert answer.content == live.content
        if invocation == "Converse":
            assert answer.content == model.invoke(said).content
            assert answer.usage_metadata == live.usage_metadata


@pytest.mark.parametrize("model_id", WITH_TOOLS)
def test_tools_go_through_a_job(batch_service: BatchService, model_id: str) -> None:
    """Tools that are bound to a model are called by the answers of its job."""
    model = chat(batch_service, model_id)
    recorder = Recorder(model, kwargs=TOOLS)
    messages = [[SystemMessage("Look it up."), HumanMessage(f"City {n}?")] for n in range(5)]

    answers = through_a_job(batch_service, model, recorder, messages)

    assert [answer.tool_calls[0]["name"] for answer in answers] == ["weather"] * 5
    assert all("city" in answer.tool_calls[0]["args"] for answer in answers)


@pytest.mark.parametrize("invocation", ["Converse", "InvokeModel"])
def test_schemas_and_images_go_through_a_job(batch_service: BatchService, invocation: Any) -> None:
    """Claude answers by a JSON schema, and sees images, in both formats."""
    model = chat(batch_service, HAIKU)
    recorder = Recorder(model, kwargs={"output_config": OUTPUT}, invocation=invocation)
    data = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
    picture = {"type": "image", "base64": data, "mime_type": "image/png"}
    messages = [
        [HumanMessage([{"type": "text", "text": f"Where is {n}?"}, picture])] for n in range(5)
    ]

    answers = through_a_job(batch_service, model, recorder, messages)

    assert all(set(json.loads(answer.text)) == {"city"} for answer in answers)
