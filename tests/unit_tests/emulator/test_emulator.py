"""`BedrockEmulator` as its users meet it: clients, faults, quotas, pace, journal, both fronts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage

from langchain_bedrock_opt import BedrockEmulator
from langchain_bedrock_opt.emulator import (
    DelegatingResponder,
    Fault,
    Pace,
    Quota,
    ScriptedResponder,
)
from langchain_bedrock_opt.errors import ConfigurationError, EmulatorError

NOVA = "us.amazon.nova-lite-v1:0"
HAIKU = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
HELLO = [{"role": "user", "content": [{"text": "Hello there, how are you today?"}]}]
ONCE = Config(retries={"total_max_attempts": 1})


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture(params=["in process", "over HTTP"])
def emulator(request: pytest.FixtureRequest) -> Iterator[BedrockEmulator]:
    """A local Bedrock, by either front."""
    emulator = BedrockEmulator()
    if request.param == "in process":
        yield emulator
        return
    with emulator:
        yield emulator


def text_of(response: dict[str, Any]) -> str:
    return "".join(block.get("text", "") for block in response["output"]["message"]["content"])


def test_the_same_question_gets_the_same_answer(emulator: BedrockEmulator) -> None:
    """Replies are deterministic, per model."""
    client = emulator.client()

    first, second = (client.converse(modelId=NOVA, messages=HELLO) for _ in range(2))
    other = client.converse(modelId=HAIKU, messages=HELLO)

    assert text_of(first) == text_of(second) != text_of(other)
    assert first["usage"] == second["usage"]
    assert first["usage"]["inputTokens"] > 0


def test_a_stream_says_what_converse_says(emulator: BedrockEmulator) -> None:
    """The deltas of a stream add up to the text of the plain call, with equal usage."""
    client = emulator.client()

    whole = client.converse(modelId=NOVA, messages=HELLO)
    events = list(client.converse_stream(modelId=NOVA, messages=HELLO)["stream"])

    deltas = [e["contentBlockDelta"]["delta"]["text"] for e in events if "contentBlockDelta" in e]
    assert "".join(deltas) == text_of(whole)
    assert events[-1]["metadata"]["usage"] == whole["usage"]


def test_tokens_can_be_counted(emulator: BedrockEmulator) -> None:
    """CountTokens says what the call will spend, and refuses models that do not count."""
    client = emulator.client()
    model = HAIKU.removeprefix("us.")

    counted = client.count_tokens(modelId=model, input={"converse": {"messages": HELLO}})

    spent = client.converse(modelId=HAIKU, messages=HELLO)["usage"]["inputTokens"]
    assert counted["inputTokens"] == spent
    with pytest.raises(ClientError, match="doesn't support counting tokens"):
        client.count_tokens(modelId=NOVA, input={"converse": {"messages": HELLO}})


def test_native_formats_are_spoken(emulator: BedrockEmulator) -> None:
    """InvokeModel and its stream answer in the family's own format, embeddings included."""
    client = emulator.client()
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 50}
    body["messages"] = [{"role": "user", "content": "Hello"}]

    plain = client.invoke_model(modelId=HAIKU, body=json.dumps(body))
    stream = client.invoke_model_with_response_stream(modelId=HAIKU, body=json.dumps(body))
    chunks = [json.loads(event["chunk"]["bytes"]) for event in stream["body"]]
    embedded = client.invoke_model(
        modelId="amazon.titan-embed-text-v2:0", body=json.dumps({"inputText": "Hello"})
    )

    assert json.loads(plain["body"].read())["type"] == "message"
    headers = plain["ResponseMetadata"]["HTTPHeaders"]
    assert int(headers["x-amzn-bedrock-output-token-count"]) > 0
    assert chunks[0]["type"] == "message_start"
    assert "amazon-bedrock-invocationMetrics" in chunks[-1]
    assert len(json.loads(embedded["body"].read())["embedding"]) == 1024


def test_what_bedrock_refuses_is_refused(emulator: BedrockEmulator) -> None:
    """A wrong conversation, an unknown model and a bare profile-only id get Bedrock's words."""
    client = emulator.client()
    for model_id, messages, words in (
        (NOVA, [*HELLO, *HELLO], "must alternate between user and assistant roles"),
        ("amazon.nonsense-v9", HELLO, "The provided model identifier is invalid."),
        (HAIKU.removeprefix("us."), HELLO, "on-demand throughput"),
    ):
        with pytest.raises(ClientError, match=words) as refused:
            client.converse(modelId=model_id, messages=messages)
        assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_the_region_of_the_client_counts(emulator: BedrockEmulator) -> None:
    """A profile of another geography can't be called from here, as in AWS."""
    with pytest.raises(ClientError, match="model identifier is invalid"):
        emulator.client().converse(modelId="eu.amazon.nova-lite-v1:0", messages=HELLO)


def test_models_and_profiles_are_listed(emulator: BedrockEmulator) -> None:
    """The control plane knows the models, the system profiles and the user's own resources."""
    provisioned = emulator.models.register_provisioned("amazon.nova-lite-v1:0", "chat")
    control = emulator.client("bedrock")

    models = control.list_foundation_models(byProvider="Amazon")["modelSummaries"]
    profile = control.get_inference_profile(inferenceProfileIdentifier=NOVA)
    throughput = control.get_provisioned_model_throughput(provisionedModelId=provisioned)

    assert {m["providerName"] for m in models} == {"Amazon"}
    assert profile["type"] == "SYSTEM_DEFINED"
    assert throughput["foundationModelArn"].endswith("amazon.nova-lite-v1:0")
    answer = emulator.client().converse(modelId=provisioned, messages=HELLO)
    assert answer["stopReason"] == "end_turn"


def test_an_operation_it_does_not_have_says_so(emulator: BedrockEmulator) -> None:
    """An operation of Bedrock that is not emulated is named, with those that are."""
    with pytest.raises(ClientError, match="is not part of the local Bedrock"):
        emulator.client("bedrock", config=ONCE).list_marketplace_model_endpoints()


def test_faults_come_as_planned(emulator: BedrockEmulator) -> None:
    """A call fails as often as planned, with its wait, and then works."""
    emulator.faults.add(Fault(code="ThrottlingException", times=2, retry_after=1.5))
    client = emulator.client(config=ONCE)

    for _ in range(2):
        with pytest.raises(ClientError) as failed:
            client.converse(modelId=NOVA, messages=HELLO)
        metadata = failed.value.response["ResponseMetadata"]
        assert metadata["HTTPStatusCode"] == 429
        assert metadata["HTTPHeaders"]["retry-after"] == "1.5"

    assert client.converse(modelId=NOVA, messages=HELLO)["stopReason"] == "end_turn"
    assert [entry.error_code for entry in emulator.journal.calls()] == [
        "ThrottlingException",
        "ThrottlingException",
        None,
    ]


def test_a_fault_may_come_inside_a_stream(emulator: BedrockEmulator) -> None:
    """After so many events the stream ends in an exception, in its in-stream spelling."""
    emulator.faults.add(Fault(code="ModelStreamErrorException", after_events=3))
    stream = emulator.client().converse_stream(modelId=NOVA, messages=HELLO)["stream"]
    events = iter(stream)

    with closing(stream):
        kinds = [next(iter(next(events))) for _ in range(3)]
        with pytest.raises(EventStreamError) as failed:
            next(events)

    assert kinds[0] == "messageStart"
    assert failed.value.response["Error"]["Code"] == "modelStreamErrorException"
    (entry,) = emulator.journal.calls("ConverseStream")
    assert entry.error_code == "ModelStreamErrorException"


def test_a_script_says_what_a_test_needs() -> None:
    """Lines come in order, rules by what the prompt holds; an empty script is a clear failure."""
    script = ScriptedResponder(["first"]).when("weather").reply("Sunny.")
    client = BedrockEmulator(responder=script).client(config=ONCE)
    weather = [{"role": "user", "content": [{"text": "How is the weather?"}]}]

    assert text_of(client.converse(modelId=NOVA, messages=weather)) == "Sunny."
    assert text_of(client.converse(modelId=NOVA, messages=HELLO)) == "first"
    with pytest.raises(EmulatorError, match="script"):
        client.converse(modelId=NOVA, messages=HELLO)


def test_any_chat_model_can_be_the_brain() -> None:
    """With a delegate, another LangChain model's words come out of Bedrock's wire."""
    brain = GenericFakeChatModel(messages=iter([AIMessage("From another model.")]))
    client = BedrockEmulator(responder=DelegatingResponder(brain)).client()

    assert text_of(client.converse(modelId=NOVA, messages=HELLO)) == "From another model."


def test_a_quota_throttles_by_reservation_and_settlement() -> None:
    """A call that reserves too much is throttled; what was not used comes back; minutes pass."""
    clock = Clock()
    emulator = BedrockEmulator(
        quotas={HAIKU: Quota(tokens_per_minute=2000)}, clock=clock, sleep=clock.sleep
    )
    client = emulator.client(config=ONCE)
    small = {"maxTokens": 500}

    with pytest.raises(ClientError, match="Too many tokens"):
        client.converse(modelId=HAIKU, messages=HELLO, inferenceConfig={"maxTokens": 4000})
    usage = client.converse(modelId=HAIKU, messages=HELLO, inferenceConfig=small)["usage"]

    # Settled at input + output × 5: Claude's burndown.
    left = emulator.quota.remaining(HAIKU, HAIKU.removeprefix("us."))
    assert left == 2000 - usage["inputTokens"] - 5 * usage["outputTokens"]
    clock.now += 60
    assert emulator.quota.remaining(HAIKU, HAIKU.removeprefix("us.")) == 2000


def test_a_broken_off_stream_gives_its_reservation_back() -> None:
    """What a stream had reserved and not said is free again once the consumer leaves."""
    clock = Clock()
    emulator = BedrockEmulator(quotas={NOVA: Quota(tokens_per_minute=5000)}, clock=clock)
    stream = emulator.client().converse_stream(
        modelId=NOVA, messages=HELLO, inferenceConfig={"maxTokens": 4000}
    )["stream"]

    next(iter(stream))
    held = emulator.quota.remaining(NOVA, NOVA.removeprefix("us."))
    stream.close()

    free = emulator.quota.remaining(NOVA, NOVA.removeprefix("us."))
    assert held is not None
    assert free is not None
    assert held < 1000 < free


def test_answers_take_their_models_time() -> None:
    """A plain answer waits for its last token, and reports the model's own latency."""
    clock = Clock()
    pace = Pace(time_to_first_token=0.5, tokens_per_second=100)
    emulator = BedrockEmulator(pace=pace, clock=clock, sleep=clock.sleep)

    answer = emulator.client().converse(modelId=NOVA, messages=HELLO)

    expected = 0.5 + answer["usage"]["outputTokens"] / 100
    assert clock.now == pytest.approx(expected)
    assert answer["metrics"]["latencyMs"] == round(expected * 1000)


def test_a_stream_comes_token_by_token() -> None:
    """The first delta comes after the time to first token, the last after all tokens."""
    clock = Clock()
    pace = Pace(time_to_first_token=0.5, tokens_per_second=100)
    emulator = BedrockEmulator(pace=pace, speed=2, clock=clock, sleep=clock.sleep)
    stream = emulator.client().converse_stream(modelId=NOVA, messages=HELLO)["stream"]

    times = {next(iter(event)): clock.now for event in stream if "metadata" not in event}

    assert times["messageStart"] == 0
    assert times["contentBlockDelta"] > 0.25
    assert times["messageStop"] == pytest.approx(times["contentBlockDelta"])


@pytest.mark.parametrize("pace", ["fast", -1, object()])
def test_a_pace_that_is_none_is_refused(pace: Any) -> None:
    """A pace is one of five things, and the message names them."""
    with pytest.raises(ConfigurationError, match="is none of None, 'models', seconds"):
        BedrockEmulator(pace=pace)


def test_bad_settings_are_refused() -> None:
    """A speed that is not positive and a rule that does not exist are named."""
    with pytest.raises(ConfigurationError, match="speed=0"):
        BedrockEmulator(speed=0)
    with pytest.raises(ConfigurationError, match=r"names no_such_rule: the rules are .*roles_alt"):
        BedrockEmulator(without_rules=["no_such_rule"])


def test_a_rule_can_be_left_out() -> None:
    """A request that one rule refuses is accepted by an emulator without that rule."""
    messages = [*HELLO, *HELLO]

    answer = (
        BedrockEmulator(without_rules=["roles_alternate"])
        .client()
        .converse(modelId=NOVA, messages=messages)
    )

    assert answer["stopReason"] == "end_turn"


def test_an_existing_session_can_be_attached() -> None:
    """Clients made from an attached session of the user's own are answered here."""
    session = boto3.Session(region_name="us-east-1")
    emulator = BedrockEmulator()
    emulator.attach(session.events)

    session.client("bedrock-runtime").converse(modelId=NOVA, messages=HELLO)

    assert emulator.journal.count("Converse") == 1


def test_the_journal_shows_no_prompt() -> None:
    """What was asked can be looked at, and does not slip into a log by itself."""
    emulator = BedrockEmulator()
    emulator.client().converse(modelId=NOVA, messages=HELLO)

    (entry,) = emulator.journal.calls(model_id=NOVA)

    assert entry.params["messages"] == HELLO
    assert entry.usage is not None
    assert "Hello" not in repr(emulator.journal) + repr(entry)


def test_another_process_finds_it_by_the_environment() -> None:
    """The environment variables send any AWS SDK to the served emulator."""
    with BedrockEmulator(region="eu-west-1") as aws:
        environment = aws.environment

        assert environment["AWS_ENDPOINT_URL"] == aws.endpoint_url
        assert environment["AWS_REGION"] == "eu-west-1"
    with pytest.raises(EmulatorError, match="not running"):
        _ = aws.endpoint_url


def test_a_bearer_token_in_the_environment_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Bedrock API key in the environment would demand HTTPS; the emulator's clients do not."""
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "token")
    with BedrockEmulator() as aws:
        answer = aws.client().converse(modelId=NOVA, messages=HELLO)

    assert answer["stopReason"] == "end_turn"
