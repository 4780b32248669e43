"""A record is what the user's own model would have sent, without its model id."""

from __future__ import annotations

import base64
import json
import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from botocore.serialize import create_serializer
from botocore.session import get_session
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_aws import ChatBedrockConverse
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.outputs import ChatResult
from pydantic import BaseModel

from langchain_bedrock_opt import BedrockEmulator, ChatBedrockOptimized
from langchain_bedrock_opt.aws.layers import Layer
from langchain_bedrock_opt.aws.replay import CaptureClient, request_from_json
from langchain_bedrock_opt.batching.records.recorder import Recorder
from langchain_bedrock_opt.errors import ConfigurationError

CLAUDE = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
NOVA = "amazon.nova-lite-v1:0"
PNG = base64.b64encode(b"\x89PNG not really").decode()
ACCOUNT = "arn:aws:bedrock:us-east-1:111122223333"
CONVERSE = get_session().get_service_model("bedrock-runtime").operation_model("Converse")

Messages = list[BaseMessage]


class Weather(BaseModel):
    """The weather of a city."""

    city: str


SCHEMA = {"name": "Weather", "schema": json.dumps(Weather.model_json_schema())}
OUTPUT = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": SCHEMA}}}

CONVERSATIONS: list[Messages] = [
    [HumanMessage("Hello")],
    [SystemMessage("Be brief."), HumanMessage("日本の首都は?")],
    [HumanMessage("Hi"), AIMessage("Hello!"), HumanMessage("Again")],
    [HumanMessage("One"), HumanMessage("two")],
    [HumanMessage(""), AIMessage("{ ")],
    [SystemMessage("Only this.")],
    [HumanMessage([{"type": "text", "text": "See"}, {"cachePoint": {"type": "default"}}])],
    [
        HumanMessage(
            [
                {"type": "text", "text": "What is this?"},
                {"type": "image", "base64": PNG, "mime_type": "image/png"},
            ]
        )
    ],
    [
        HumanMessage("Weather?"),
        AIMessage("", tool_calls=[{"name": "Weather", "args": {"city": "Kyoto"}, "id": "t1"}]),
        ToolMessage("Rain", tool_call_id="t1"),
    ],
]


def chat(model: str = CLAUDE, kind: Any = ChatBedrockConverse, **settings: Any) -> Any:
    client = CaptureClient()
    return kind(model=model, client=client, bedrock_client=client, **settings)


def tools_of(model: ChatBedrockConverse) -> Mapping[str, Any]:
    bound: Any = model.bind_tools([Weather])
    kwargs: Mapping[str, Any] = bound.kwargs
    return kwargs


def wire_body(request: Mapping[str, Any]) -> dict[str, Any]:
    """The body that botocore itself would put on the wire."""
    serialized = create_serializer("rest-json").serialize_to_request(dict(request), CONVERSE)
    body: dict[str, Any] = json.loads(serialized["body"])
    return body


def on_demand(model: Any, messages: Messages, **kwargs: Any) -> dict[str, Any]:
    client = CaptureClient()
    copy = model.model_copy(update={"client": client})
    copy._generate([message.model_copy() for message in messages], **kwargs)
    return wire_body(client.requests[0])


@pytest.mark.parametrize("messages", CONVERSATIONS)
@pytest.mark.parametrize("kind", [ChatBedrockConverse, ChatBedrockOptimized])
@pytest.mark.filterwarnings("ignore:Tool messages were passed")
def test_a_record_is_the_body_of_a_call(kind: Any, messages: Messages) -> None:
    """A Converse record is the very document that boto3 would have sent."""
    model = chat(kind=kind, max_tokens=50, temperature=0.2, system=["Speak plainly."])
    recorder = Recorder(model)

    records = [recorder.record(messages) for _ in range(3)]

    body = on_demand(model, messages)
    for record in records:
        assert json.loads(record) == body
        assert b"\n" not in record


@pytest.mark.parametrize(
    ("stop", "kwargs"),
    [
        (["END"], {}),
        (None, {"temperature": 0.9, "max_tokens": 7}),
        (None, {"cache_control": {"ttl": "1h"}}),
        (None, {"output_config": OUTPUT}),
        (None, {"guardrail_config": {"guardrailIdentifier": "g", "guardrailVersion": "1"}}),
        (None, {"additional_model_request_fields": {"top_k": 3}}),
    ],
)
def test_what_is_bound_to_a_model_is_in_its_records(
    stop: list[str] | None, kwargs: dict[str, Any]
) -> None:
    """Stop sequences, settings, schemas, cache points and guardrails are sent as on demand."""
    model = chat(max_tokens=50)
    messages: Messages = [SystemMessage("Be brief."), HumanMessage("Hi")]

    record = Recorder(model, stop=stop, kwargs=kwargs).record(messages)

    assert json.loads(record) == on_demand(model, messages, stop=stop, **kwargs)


texts = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(
    ["%s %b", "\ue0b00\ue0b1", '"', "\u2028", "x ", " x", "\\u0041"]
)
plain = st.one_of(texts.map(HumanMessage), texts.map(SystemMessage), texts.map(AIMessage))


@settings(deadline=None)
@given(st.lists(plain, min_size=1, max_size=5))
def test_the_short_way_is_the_long_way(messages: Messages) -> None:
    """Records that are patched together are equal to those that upstream made whole."""
    recorder = Recorder(MODEL)
    other: Messages = [type(message)("other") for message in messages]

    recorder.record(other)

    assert recorder.record(messages) == recorder.record_slowly(messages)


MODEL = chat(max_tokens=50)


def test_the_short_way_is_taken_and_stays_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many conversations of one shape upstream converts only the first ones."""
    model = chat(max_tokens=50)
    recorder = Recorder(model)
    slow = [recorder.record_slowly([HumanMessage(f"Nr. {n}")]) for n in range(50)]
    recorder.record([HumanMessage("first")])
    monkeypatch.setattr(recorder._skeletons, "_slow", pytest.fail)

    assert [recorder.record([HumanMessage(f"Nr. {n}")]) for n in range(50)] == slow


class Counting(ChatBedrockConverse):
    """A user's own model that looks at the text of its messages."""

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, *args: Any, **kwargs: Any
    ) -> ChatResult:
        shown = [
            HumanMessage(str(message.content).replace("secret", "***")) for message in messages
        ]
        return super()._generate([*shown], stop, *args, **kwargs)


def test_a_models_own_rules_hold_for_each_record() -> None:
    """A subclass that changes messages by what they say sees every one of them."""
    recorder = Recorder(chat(kind=Counting))

    recorder.record([HumanMessage("nothing")])
    record = recorder.record([HumanMessage("a secret")])

    assert b"a ***" in record


def test_half_a_surrogate_pair_is_sent_as_on_demand() -> None:
    """A text that UTF-8 can't hold is escaped, on the first record and on later ones."""
    recorder = Recorder(chat())
    recorder.record([HumanMessage("fine")])

    record = recorder.record([HumanMessage("broken \ud83d")])

    assert json.loads(record)["messages"][0]["content"] == [{"text": "broken \ud83d"}]


def test_images_become_base64_and_come_back() -> None:
    """Bytes of an image travel as base64, and a call made of the record has the bytes."""
    record = Recorder(chat()).record(CONVERSATIONS[7])

    image = json.loads(record)["messages"][0]["content"][1]["image"]
    assert image["source"]["bytes"] == PNG
    request = request_from_json(record)
    assert request["messages"][0]["content"][1]["image"]["source"]["bytes"] == base64.b64decode(PNG)


def test_tools_make_records_native() -> None:
    """With tools bound, records are in the model's own format, since Converse jobs refuse tools."""
    model = chat(max_tokens=50)

    recorder = Recorder(model, kwargs=tools_of(model))
    body = json.loads(recorder.record([HumanMessage("Weather in Kyoto?")]))

    assert recorder.kind.invocation == "InvokeModel"
    assert body["tools"][0]["name"] == "Weather"
    assert body["anthropic_version"] == "bedrock-2023-05-31"
    assert body["max_tokens"] == 50


def test_the_format_can_be_chosen() -> None:
    """A user may ask for the model's own format without tools, and for Converse."""
    messages = [HumanMessage("Hi")]
    native = Recorder(chat(NOVA), invocation="InvokeModel")
    converse = Recorder(chat(NOVA), invocation="Converse")

    assert native.kind == (NOVA, "InvokeModel")
    assert json.loads(native.record(messages))["schemaVersion"] == "messages-v1"
    assert converse.kind == (NOVA, "Converse")


@pytest.mark.parametrize(
    ("model", "settings", "said"),
    [
        ("meta.llama3-1-70b-instruct-v1:0", {}, 'method="json_schema"'),
        ("amazon.titan-text-express-v1", {}, "Titan Text"),
        ("deepseek.r1-v1:0", {}, "deepseek.r1-v1:0"),
    ],
)
def test_tools_of_a_family_without_them_are_refused(
    model: str, settings: dict[str, Any], said: str
) -> None:
    """Tools on a model whose own format has none are refused at once, with what to do."""
    tools = tools_of(chat())

    with pytest.raises(ConfigurationError, match="tools") as caught:
        Recorder(chat(model, **settings), kwargs={"tools": tools["tools"]})

    assert said in str(caught.value)


def test_settings_without_a_place_are_told_at_once() -> None:
    """A setting that the model's own format can't carry is refused before there is a record."""
    guardrail = {"guardrailIdentifier": "g", "guardrailVersion": "1"}
    model = chat(guardrail_config=guardrail)

    with pytest.raises(ConfigurationError, match="guardrailConfig has no place"):
        Recorder(model, kwargs=tools_of(model))


def test_tools_in_a_converse_job_are_refused() -> None:
    """Asking for Converse with tools bound is a mistake that is told before anything is sent."""
    model = chat()

    with pytest.raises(ConfigurationError, match="Converse jobs refuse tools"):
        Recorder(model, kwargs=tools_of(model), invocation="Converse")


@pytest.mark.parametrize(
    "arn",
    [
        f"{ACCOUNT}:provisioned-model/abcdef123456",
        f"{ACCOUNT}:prompt-router/abcdef123456",
        f"{ACCOUNT}:default-prompt-router/anthropic.claude:1",
        f"{ACCOUNT}:imported-model/abcdef123456",
    ],
)
def test_what_no_job_takes_is_refused(arn: str) -> None:
    """Provisioned models, routers and imported models are refused with the id to take instead."""
    model = chat(arn, provider="anthropic", base_model_id=NOVA)

    with pytest.raises(ConfigurationError, match="inference profile"):
        Recorder(model)


def test_an_arn_that_hides_its_model_needs_a_hint_for_tools() -> None:
    """Without tools any profile's ARN will do; with tools the model behind it must be known."""
    arn = f"{ACCOUNT}:custom-model/anthropic.claude-3-haiku-20240307-v1:0:200k/abcdefabcdef"
    model = chat(arn, provider="anthropic")
    told = chat(arn, provider="anthropic", base_model_id="anthropic.claude-3-haiku-20240307-v1:0")
    tools = tools_of(chat())

    assert Recorder(model).kind.invocation == "Converse"
    assert Recorder(told, kwargs=tools).kind == (arn, "InvokeModel")
    with pytest.raises(ConfigurationError, match="base_model="):
        Recorder(model, kwargs=tools)


def test_a_jobs_price_is_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """A service tier and a latency setting are left out of records, with one warning each."""
    model = chat(service_tier="flex", performance_config={"latency": "optimized"})

    with caplog.at_level(logging.WARNING):
        recorder = Recorder(model)
        bodies = [json.loads(recorder.record([HumanMessage(f"{n}")])) for n in range(3)]

    assert not any({"serviceTier", "performanceConfig"} & body.keys() for body in bodies)
    assert len(caplog.records) == 2


def test_layers_and_the_users_client_are_left_alone() -> None:
    """Recording calls neither the layers nor the client of the user's model."""

    class Loud(Layer):
        def converse(self, request: Any, call_next: Any) -> Any:
            raise AssertionError("a layer was asked")

    model = chat(kind=ChatBedrockOptimized, layers=[Loud()])

    record = Recorder(model).record([HumanMessage("Hi")])

    assert b"Hi" in record
    assert model.client.requests == []


def test_messages_are_not_changed() -> None:
    """The caller's list holds the messages that it held before."""
    messages: Messages = [HumanMessage("One"), HumanMessage("two"), AIMessage("three")]
    copies = [message.model_copy(deep=True) for message in messages]

    Recorder(chat()).record(messages)

    assert messages == copies


def test_another_model_in_a_record_is_refused() -> None:
    """A record that names another model than its job's is an error of its own."""

    class Fickle(ChatBedrockConverse):
        def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
            if messages[0].content == "other":
                kwargs["model_id"] = NOVA
            return super()._generate(messages, *args, **kwargs)

    recorder = Recorder(chat(kind=Fickle))

    recorder.record([HumanMessage("Hi")])
    with pytest.raises(ConfigurationError, match="one job asks one model"):
        recorder.record([HumanMessage("other")])


def test_a_bound_model_id_decides_the_job() -> None:
    """A model id that is bound to the model is the one its job asks."""
    assert Recorder(chat(), kwargs={"model_id": NOVA}).kind.model_id == NOVA


def test_errors_of_conversion_are_upstreams() -> None:
    """What can't be converted raises what it raises on demand, and the next record is made."""
    recorder = Recorder(chat())
    broken: Sequence[Any] = [HumanMessage([{"type": "no such type"}])]

    with pytest.raises(ValueError, match="no such type"):
        recorder.record(broken)

    assert b"Hi" in recorder.record([HumanMessage("Hi")])


def test_a_recorder_serves_many_threads() -> None:
    """Each thread gets the record of its own messages."""
    recorder = Recorder(chat())
    wrong: list[int] = []

    def work(number: int) -> None:
        for turn in range(50):
            content: Any = [{"type": "text", "text": f"{number}-{turn}"}]
            if f'{number}-{turn}"'.encode() not in recorder.record([HumanMessage(content)]):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_a_record_is_answered_as_the_call_would_be() -> None:
    """The emulator gives the same answer to a record as to the model's own call."""
    client = BedrockEmulator().client()
    model = ChatBedrockConverse(model=NOVA, client=client, bedrock_client=client, max_tokens=50)
    messages = [HumanMessage("What is the capital of Japan?")]

    request = request_from_json(Recorder(model).record(messages))
    answer = client.converse(modelId=NOVA, **request)

    said = answer["output"]["message"]["content"][0]["text"]
    assert said == model.invoke(messages).content
