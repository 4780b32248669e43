"""An answer of a job is read as the user's own model would have read it live."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_aws import ChatBedrockConverse
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatResult

from langchain_bedrock_opt import BedrockEmulator, ChatBedrockOptimized
from langchain_bedrock_opt.aws.replay import response_from_json, to_json_bytes
from langchain_bedrock_opt.batching.parts import JobKind
from langchain_bedrock_opt.batching.records.reader import Reader, plain_response
from langchain_bedrock_opt.catalog.model_ids import parse_model_id
from langchain_bedrock_opt.errors import BatchRecordError, ConfigurationError

Document = dict[str, Any]
Recordings = Callable[[str], list[Document]]

CLAUDE = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
NOVA = "amazon.nova-lite-v1:0"
ACCOUNT = "arn:aws:bedrock:eu-west-1:111122223333"
JOB = f"{ACCOUNT}:model-invocation-job/abcdefabcdef"
CONVERSE = JobKind(CLAUDE, "Converse")
NATIVE = JobKind(CLAUDE, "InvokeModel")


class OneAnswer:
    """A bedrock-runtime client with one answer."""

    meta = SimpleNamespace(region_name="us-west-2")

    def __init__(self, answer: bytes = b"{}") -> None:
        self.answer = answer

    def converse(self, **_request: Any) -> Document:
        return response_from_json(self.answer)


def chat(model: str = CLAUDE, kind: Any = ChatBedrockConverse, answer: bytes = b"{}") -> Any:
    client = OneAnswer(answer)
    return kind(model=model, client=client, bedrock_client=client, max_tokens=50)


def answer(*content: Document, **more: Any) -> bytes:
    message = {"role": "assistant", "content": list(content)}
    usage = {"inputTokens": 9, "outputTokens": 2, "totalTokens": 11}
    response = {"output": {"message": message}, "stopReason": "end_turn", "usage": usage}
    return to_json_bytes({**response, **more})


CALL = {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"data": "YQ==", "n": None}}}
ANSWERS = [
    answer({"text": "Kyoto"}),
    answer({"text": "Kyoto"}, {"text": "Nara"}, metrics={"latencyMs": 7}),
    answer(),
    answer(CALL, stopReason="tool_use"),
    answer({"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "s"}}}),
    answer({"reasoningContent": {"redactedContent": b"abc"}}, {"text": "Kyoto"}),
    answer({"text": "Kyo"}, stopReason="max_tokens"),
    answer({"text": "No."}, stopReason="guardrail_intervened", trace={"guardrail": {}}),
    answer({"text": "Kyoto"}, additionalModelResponseFields={"usage": {}}, unknown=1),
    answer({"text": "<thinking>Hm</thinking>Kyoto"}),
]


@pytest.mark.parametrize("text", ANSWERS)
@pytest.mark.parametrize("kind", [ChatBedrockConverse, ChatBedrockOptimized])
@pytest.mark.parametrize("model", [CLAUDE, NOVA])
def test_an_answer_is_read_as_a_live_one(text: bytes, kind: Any, model: str) -> None:
    """Content, tool calls, reasoning, stop reason and usage are those of a live call."""
    user = chat(model, kind, text)
    (live,) = user._generate([HumanMessage("Hi")]).generations

    message = Reader(user).message(JobKind(model, "Converse"), text, job_arn=JOB)

    expected = live.message
    expected.response_metadata["bedrock_opt"] = message.response_metadata["bedrock_opt"]
    assert message == expected


def test_recorded_answers_are_read_as_live_ones(recordings: Recordings) -> None:
    """Each recorded answer of Converse gives the message that it gives live."""
    texts = [exchange["response"]["body"] for exchange in recordings("Converse")]
    texts = [text for text in texts if "output" in text]
    assert len(texts) > 40
    for text in texts:
        user = chat(answer=text.encode())
        (live,) = user._generate([HumanMessage("Hi")]).generations

        message = Reader(user).message(CONVERSE, text.encode())

        message.response_metadata.pop("bedrock_opt")
        assert message == live.message


json_texts = st.text(st.characters(codec="utf-8"))
contents = st.lists(
    st.fixed_dictionaries({"text": json_texts})
    | st.just(CALL)
    | st.just({"text": None})
    | st.just({"text": "a", "unknown": {}}),
    max_size=3,
)
responses: st.SearchStrategy[Document] = st.fixed_dictionaries(
    {
        "output": st.fixed_dictionaries(
            {"message": st.fixed_dictionaries({"role": json_texts, "content": contents})}
        )
    },
    optional={
        "stopReason": json_texts | st.none(),
        "usage": st.dictionaries(
            st.sampled_from(["inputTokens", "totalTokens", "cacheReadInputTokens", "cacheDetails"]),
            st.integers(0, 10**6) | st.none(),
        )
        | st.none(),
        "metrics": st.just({"latencyMs": 3}) | st.just({}) | st.just([]),
        "trace": st.just({}),
    },
)


@settings(deadline=None)
@given(responses)
def test_plain_answers_are_what_botocore_makes_of_them(document: Document) -> None:
    """Where the short way is taken, botocore's parser would have given the same."""
    text = json.dumps(document).encode()

    plain = plain_response(text)

    assert plain is None or plain == response_from_json(text)


def test_plain_answers_take_the_short_way() -> None:
    """An answer of text alone needs no more than a JSON parser; one with a tool call does."""
    assert plain_response(ANSWERS[0]) is not None
    assert plain_response(ANSWERS[3]) is None
    assert plain_response(b"[]") is None
    assert plain_response(b"{") is None


def test_the_report_names_the_job() -> None:
    """What a bill needs is with the answer: model, region and job, or no job if there was none."""
    reader = Reader(chat())

    of_job = reader.message(CONVERSE, ANSWERS[0], job_arn=JOB)
    direct = reader.message(CONVERSE, ANSWERS[0])
    elsewhere = reader.message(CONVERSE, ANSWERS[0], job_arn=JOB, region="us-east-2")

    report = of_job.response_metadata["bedrock_opt"]
    assert report == {"model_id": CLAUDE, "batch": JOB, "region": "eu-west-1"}
    assert direct.response_metadata["bedrock_opt"] == {"model_id": CLAUDE, "region": "us-west-2"}
    assert elsewhere.response_metadata["bedrock_opt"]["region"] == "us-east-2"


@pytest.mark.parametrize("usage", [None, {}])
def test_an_answer_without_usage_is_read(usage: Any) -> None:
    """An answer that counts no tokens has zeros, where a live one would fail."""
    document = json.loads(ANSWERS[0])
    document["usage"] = usage

    message = Reader(chat()).message(CONVERSE, json.dumps(document).encode())

    assert message.content == "Kyoto"
    assert message.usage_metadata is not None
    assert message.usage_metadata["total_tokens"] == 0


def test_a_native_answer_is_the_message_of_the_converse_one() -> None:
    """Claude's own format gives text, tool calls, thoughts and usage in the same message."""
    native = {
        "content": [
            {"type": "thinking", "thinking": "Hm", "signature": "s"},
            {"type": "text", "text": "Kyoto"},
            {"type": "tool_use", "id": "t1", "name": "f", "input": {"snakeCase": 1}},
        ],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 9, "output_tokens": 2},
    }
    converse = answer(
        {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "s"}}},
        {"text": "Kyoto"},
        {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"snakeCase": 1}}},
        stopReason="tool_use",
    )
    reader = Reader(chat())

    message = reader.message(NATIVE, to_json_bytes(native))

    assert message == reader.message(CONVERSE, converse)
    assert message.tool_calls[0]["args"] == {"snakeCase": 1}


@pytest.mark.parametrize("kind", [CONVERSE, NATIVE])
def test_a_text_that_is_cut_within_a_character_is_read(kind: JobKind) -> None:
    """Half of a surrogate pair, as models now and then write it, does not lose the answer."""
    native = b'{"content":[{"type":"text","text":"cut \\ud83d"}]}'
    text = answer({"text": "CUT"}).replace(b"CUT", b"cut \\ud83d") if kind is CONVERSE else native

    assert Reader(chat()).message(kind, text).content == "cut \ud83d"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (CONVERSE, b"{}"),
        (CONVERSE, b"not json: my secret"),
        (CONVERSE, b'{"output":{}}'),
        (CONVERSE, b'{"output":{"message":{"role":"assistant"}}}'),
        (NATIVE, b"{}"),
        (NATIVE, b"[]"),
        (NATIVE, b"secret"),
        (NATIVE, b'{"content":[{"type":"secret"}]}'),
        (JobKind("amazon.titan-text-lite-v1", "InvokeModel"), b'{"results":[]}'),
    ],
)
def test_what_is_no_answer_is_an_error_of_its_record(kind: JobKind, text: bytes) -> None:
    """Something else in an answer's place is one record's error, which does not repeat it."""
    with pytest.raises(BatchRecordError, match="not in the format") as caught:
        Reader(chat()).message(kind, text, job_arn=JOB)

    assert caught.value.job_arn == JOB
    assert "secret" not in str(caught.value)


def test_a_models_own_reading_holds() -> None:
    """A subclass that reads answers in its own way does so here, knowing what is bound to it."""

    class Shouting(ChatBedrockConverse):
        def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
            loud = kwargs.pop("loud", False)
            result = super()._generate(messages, *args, **kwargs)
            if loud:
                said = result.generations[0].message
                said.content = str(said.content).upper()
            return result

    user = chat(kind=Shouting)

    assert Reader(user).message(CONVERSE, ANSWERS[0]).content == "Kyoto"
    assert Reader(user, kwargs={"loud": True}).message(CONVERSE, ANSWERS[0]).content == "KYOTO"


@pytest.mark.parametrize(
    "model_id",
    [
        CLAUDE,
        NOVA,
        "in.amazon.nova-lite-v1:0",
        f"{ACCOUNT}:inference-profile/{CLAUDE}",
        f"{ACCOUNT}:application-inference-profile/abc",
        f"{ACCOUNT}:custom-model/anthropic.claude-3-haiku-20240307-v1:0:200k/abcdefabcdef",
        "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0",
    ],
)
def test_answers_are_read_without_the_users_model(model_id: str) -> None:
    """A model id or an ARN is enough to read Converse answers, without asking anybody."""
    message = Reader.for_model_id(model_id).message(JobKind(model_id, "Converse"), ANSWERS[3])

    assert message.tool_calls[0]["args"] == {"data": "YQ==", "n": None}
    assert message.response_metadata["bedrock_opt"]["model_id"] == model_id


def test_native_answers_need_to_know_their_model() -> None:
    """Native answers of an ARN that hides its model are read once the model is named."""
    arn = f"{ACCOUNT}:application-inference-profile/abc"
    kind = JobKind(arn, "InvokeModel")
    text = b'{"content":[{"type":"text","text":"Kyoto"}]}'
    base = parse_model_id(CLAUDE).base

    told = Reader.for_model_id(arn, base_model=base)

    assert told.message(kind, text).content == "Kyoto"
    with pytest.raises(ConfigurationError, match="base_model="):
        Reader.for_model_id(arn).message(kind, text)


def test_a_profile_that_was_resolved_has_its_price() -> None:
    """The id by which an application profile is priced is in the report once it is known."""
    emulator = BedrockEmulator(application_profiles={"team": NOVA})
    (arn,) = [
        profile["inferenceProfileArn"]
        for profile in emulator.client("bedrock").list_inference_profiles(typeEquals="APPLICATION")[
            "inferenceProfileSummaries"
        ]
    ]
    model = ChatBedrockOptimized(
        model=arn, client=emulator.client(), bedrock_client=emulator.client("bedrock")
    )

    message = Reader(model).message(JobKind(arn, "Converse"), ANSWERS[0], job_arn=JOB)

    assert isinstance(message, AIMessage)
    assert message.response_metadata["bedrock_opt"]["resolved_id"] == NOVA
