"""What a local Bedrock refuses in a Converse request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_bedrock_opt.catalog.specs import spec_of
from langchain_bedrock_opt.emulator.types import ServiceFailure
from langchain_bedrock_opt.emulator.validation import check_converse

HAIKU_3 = "anthropic.claude-3-haiku-20240307-v1:0"
HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"
NOVA = "amazon.nova-lite-v1:0"
TITAN = "amazon.titan-text-express-v1"
LLAMA = "meta.llama4-maverick-17b-instruct-v1:0"

HELLO: dict[str, Any] = {"role": "user", "content": [{"text": "Hello"}]}
WEATHER: dict[str, Any] = {
    "toolSpec": {"name": "weather", "inputSchema": {"json": {"type": "object"}}}
}
TOOLS: dict[str, Any] = {"toolConfig": {"tools": [WEATHER]}}
CACHE_POINT: dict[str, Any] = {"cachePoint": {"type": "default"}}


def user(*blocks: Mapping[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Mapping[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def call(identifier: str, **fields: Any) -> dict[str, Any]:
    return {"toolUse": {"toolUseId": identifier, "name": "weather", "input": {}, **fields}}


def result(identifier: str, *blocks: Mapping[str, Any]) -> dict[str, Any]:
    content = list(blocks) or [{"text": "sunny"}]
    return {"toolResult": {"toolUseId": identifier, "content": content}}


def document(name: str, **source: Any) -> dict[str, Any]:
    return {"document": {"name": name, "format": "txt", "source": source or {"bytes": b"text"}}}


def media(kind: str, **source: Any) -> dict[str, Any]:
    return {kind: {"format": "any", "source": source or {"bytes": b"bytes"}}}


def talk(*messages: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    return {"messages": list(messages or [HELLO]), **fields}


def refusal(
    request: Mapping[str, Any], model_id: str | None = HAIKU, *, streaming: bool = False
) -> str:
    """The message with which a request is refused; empty if it is accepted."""
    try:
        check_converse(request, model_id, streaming=streaming)
    except ServiceFailure as failure:
        return failure.message
    return ""


S3 = {"s3Location": {"uri": "s3://bucket/key"}}

REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "no message": (
        {"messages": []},
        NOVA,
        (
            "A conversation must start with a user message. Try again with a conversation that "
            "starts with a user message."
        ),
    ),
    "assistant first": (
        talk(assistant({"text": "Hi"}), HELLO),
        NOVA,
        (
            "A conversation must start with a user message. Try again with a conversation that "
            "starts with a user message."
        ),
    ),
    "same role twice": (
        talk(HELLO, HELLO),
        NOVA,
        (
            "A conversation must alternate between user and assistant roles. Make sure the "
            "conversation alternates between user and assistant roles and try again."
        ),
    ),
    "empty content": (
        talk(user()),
        NOVA,
        (
            "The content field in the Message object at messages.0 is empty. Add a ContentBlock "
            "object to the content field and try again."
        ),
    ),
    "empty text": (
        talk(HELLO, assistant({"text": "Hi"}), user({"text": "So"}, {"text": ""})),
        HAIKU,
        (
            "The text field in the ContentBlock object at messages.2.content.1 is blank. Add text "
            "to the text field, and try again."
        ),
    ),
    "white space for Nova": (
        talk(user({"text": " "})),
        NOVA,
        (
            "The text field in the ContentBlock object at messages.0.content.0 is blank. Add text "
            "to the text field, and try again."
        ),
    ),
    "tool blocks without tools": (
        talk(HELLO, assistant(call("a")), user(result("a"))),
        NOVA,
        "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
    ),
    "call without result": (
        talk(HELLO, assistant(call("a"), call("b"), call("c")), user(result("b")), **TOOLS),
        HAIKU,
        "Expected toolResult blocks at messages.2.content for the following Ids: a, c",
    ),
    "call at the end": (
        talk(HELLO, assistant(call("a")), **TOOLS),
        HAIKU,
        "Expected toolResult blocks at messages.2.content for the following Ids: a",
    ),
    "more results than calls": (
        talk(HELLO, assistant(call("a")), user(result("a"), result("b")), **TOOLS),
        NOVA,
        (
            "The number of toolResult blocks at messages.2.content exceeds the number of toolUse "
            "blocks of previous turn."
        ),
    ),
    "result of nothing": (
        talk(user(result("a")), **TOOLS),
        NOVA,
        (
            "The number of toolResult blocks at messages.0.content exceeds the number of toolUse "
            "blocks of previous turn."
        ),
    ),
    "result twice": (
        talk(HELLO, assistant(call("a")), user(result("a"), result("a")), **TOOLS),
        HAIKU,
        "The toolResult blocks at messages.2.content contain duplicate Ids: a",
    ),
    "call twice": (
        talk(HELLO, assistant(call("a"), call("a")), user(result("a")), **TOOLS),
        HAIKU,
        "The toolUse blocks at messages.1.content contain duplicate Ids: a",
    ),
    "result is a list": (
        talk(HELLO, assistant(call("a")), user(result("a", {"json": [1]})), **TOOLS),
        HAIKU,
        (
            "The format of the value at messages.2.content.0.toolResult.content.0.json is invalid. "
            "Provide a json object for the field and try again."
        ),
    ),
    "input is a text": (
        talk(HELLO, assistant(call("a", input="{")), user(result("a")), **TOOLS),
        HAIKU,
        (
            "The format of the value at messages.1.content.0.toolUse.input is invalid. Provide a "
            "json object for the field and try again."
        ),
    ),
    "schema without type": (
        talk(toolConfig={"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {}}}}]}),
        NOVA,
        (
            "The value at toolConfig.tools.0.toolSpec.inputSchema.json.type must be one of the "
            "following: object."
        ),
    ),
    "tool name with a space": (
        talk(toolConfig={"tools": [{"toolSpec": {"name": "a b", "inputSchema": {}}}]}),
        NOVA,
        (
            "1 validation error detected: Value 'a b' at 'toolConfig.tools.1.member.toolSpec.name' "
            "failed to satisfy constraint: Member must satisfy regular expression pattern: "
            "[a-zA-Z0-9_-]+"
        ),
    ),
    "choice that Llama does not know": (
        talk(toolConfig={"tools": [WEATHER], "toolChoice": {"any": {}}}),
        LLAMA,
        (
            "This model doesn't support the toolConfig.toolChoice.any field. Remove "
            "toolConfig.toolChoice.any and try again."
        ),
    ),
    "tools for Titan": (talk(**TOOLS), TITAN, "This model doesn't support tool use."),
    "text beside a result for Llama": (
        talk(HELLO, assistant(call("a")), user(result("a"), {"text": "So?"}), **TOOLS),
        LLAMA,
        (
            "messages.2.content: Conversation blocks and tool result blocks cannot be provided in "
            "the same turn."
        ),
    ),
    "video for Claude": (
        talk(user(media("video"), {"text": "What is this?"})),
        HAIKU,
        (
            "This model doesn't support the video content block that you provided. Update the "
            "content block and try again."
        ),
    ),
    "image for Nova Micro": (
        talk(user(media("image"))),
        "amazon.nova-micro-v1:0",
        (
            "This model doesn't support the image content block that you provided. Update the "
            "content block and try again."
        ),
    ),
    "image in S3 for Claude": (
        talk(user(media("image", **S3))),
        HAIKU,
        "This model doesn't support the s3Uri field. Remove s3Uri and try again.",
    ),
    "document for Nova Micro": (
        talk(user({"text": "See"}, document("a"))),
        "amazon.nova-micro-v1:0",
        "This model doesn't support documents.",
    ),
    "document alone": (
        talk(user(document("a"))),
        NOVA,
        "A text block must be included when using documents.",
    ),
    "six documents": (
        talk(user({"text": "See"}, *(document(str(number)) for number in range(6)))),
        NOVA,
        "You can't include more than 5 documents in a request.",
    ),
    "two documents of one name": (
        talk(user({"text": "See"}, document("a"), document("a"))),
        NOVA,
        "Messages can't contain duplicate document names.",
    ),
    "system prompt for Titan": (
        talk(system=[{"text": "Be short."}]),
        TITAN,
        (
            "This model doesn't support system messages. Try again without a system message or use "
            "a model that supports system messages."
        ),
    ),
    "stop sequences for gpt-oss": (
        talk(inferenceConfig={"stopSequences": ["."]}),
        "openai.gpt-oss-120b-1:0",
        "This model doesn't support the stopSequences field. Remove stopSequences and try again.",
    ),
    "temperature above 1": (
        talk(inferenceConfig={"temperature": 1.5}),
        NOVA,
        (
            "1 validation error detected: Value '1.5' at 'inferenceConfig.temperature' failed to "
            "satisfy constraint: Member must have value less than or equal to 1"
        ),
    ),
    "topP below 0": (
        talk(inferenceConfig={"topP": -0.5}),
        NOVA,
        (
            "1 validation error detected: Value '-0.5' at 'inferenceConfig.topP' failed to satisfy "
            "constraint: Member must have value greater than or equal to 0"
        ),
    ),
    "schema for Nova": (
        talk(outputConfig={"textFormat": {"type": "json_schema"}}),
        NOVA,
        (
            "This model doesn't support the outputConfig.textFormat field. Remove "
            "outputConfig.textFormat and try again."
        ),
    ),
    "cache point among Nova's tools": (
        talk(toolConfig={"tools": [WEATHER, CACHE_POINT]}),
        NOVA,
        (
            "The model returned the following errors: Malformed input request: "
            "#/toolConfig/tools/1: extraneous key [cachePoint] is not permitted, please reformat "
            "your input and try again."
        ),
    ),
    "prefill for Llama": (
        talk(HELLO, assistant({"text": "{"})),
        LLAMA,
        (
            "The model that you are using requires the last turn in the conversation to be a user "
            "message. Add a user message to the conversation and try again."
        ),
    ),
    "reserved tier": (
        talk(serviceTier={"type": "reserved"}),
        NOVA,
        "Reservation not found.",
    ),
    "flex tier for Claude": (
        talk(serviceTier={"type": "flex"}),
        HAIKU,
        "The provided service tier flex is not supported for this model.",
    ),
    "optimized latency for Claude": (
        talk(performanceConfig={"latency": "optimized"}),
        HAIKU,
        "Latency performance configuration is not supported for this model.",
    ),
    "guardrail that can't be one": (
        talk(guardrailConfig={"guardrailIdentifier": "No!", "guardrailVersion": "1"}),
        NOVA,
        "The provided guardrail identifier is invalid.",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_request_is_refused_in_bedrocks_words(name: str) -> None:
    """A request that Bedrock refuses is refused locally, with the same message."""
    request, model_id, message = REFUSED[name]
    assert refusal(request, model_id) == message


ACCEPTED: dict[str, tuple[dict[str, Any], str | None]] = {
    "plain": (talk(), NOVA),
    "unknown model": (talk(user(media("video", **S3)), **TOOLS), None),
    "unknown family": (talk(**TOOLS), "acme.frontier-v9"),
    "white space beside an image": (talk(user(media("image"), {"text": " "})), HAIKU),
    "one tool round": (talk(HELLO, assistant(call("a")), user(result("a")), **TOOLS), HAIKU),
    "text beside a result": (
        talk(HELLO, assistant(call("a")), user(result("a"), {"text": "So?"}), **TOOLS),
        NOVA,
    ),
    "a tool of Bedrock's own": (
        talk(
            HELLO,
            assistant(call("a", type="server_tool_use"), result("a"), {"text": "sunny"}),
            HELLO,
            **TOOLS,
        ),
        NOVA,
    ),
    "a document in a result alone": (
        talk(HELLO, assistant(call("a")), user(result("a", document("a"))), **TOOLS),
        HAIKU,
    ),
    "media in S3 for Nova": (talk(user(media("video", **S3), {"text": "a"})), NOVA),
    "no system prompt for Titan": (talk(system=[]), TITAN),
    "no stop sequence for gpt-oss": (
        talk(inferenceConfig={"stopSequences": []}),
        "openai.gpt-oss-120b-1:0",
    ),
    "an underscore in a document's name": (
        talk(user({"text": "a"}, document("company_policy (1) [b]"))),
        NOVA,
    ),
    "a guardrail": (talk(guardrailConfig={"guardrailIdentifier": "5zwrmdlsra2e"}), NOVA),
    "a stored prompt": (
        {"modelId": "arn:aws:bedrock:us-east-1:123456789012:prompt/ABCDEFGHIJ:1"},
        None,
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_good_request_is_accepted(name: str) -> None:
    """A request that Bedrock takes, or that nothing is known about, is taken locally."""
    request, model_id = ACCEPTED[name]
    assert refusal(request, model_id) == ""


@pytest.mark.parametrize("name", ["report.pdf", "a  b", "tab\there", "全角", "a\u3000b", "a\n"])
def test_a_document_name_has_plain_characters(name: str) -> None:
    """A document name with other characters than Bedrock takes is refused."""
    message = refusal(talk(user({"text": "a"}, document(name))), NOVA)
    assert message.startswith("The document file name can only contain alphanumeric characters")


def test_more_tokens_than_the_model_writes_are_refused() -> None:
    """The message names the model's own limit, which itself may be asked for."""
    spec = spec_of(NOVA)
    assert spec is not None
    limit = spec.max_output_tokens or 0
    assert refusal(talk(inferenceConfig={"maxTokens": limit}), NOVA) == ""
    assert refusal(talk(inferenceConfig={"maxTokens": limit + 1}), NOVA) == (
        f"The maximum tokens you requested exceeds the model limit of {limit}. Try again with a "
        f"maximum tokens value that is lower than {limit}."
    )


@pytest.mark.parametrize(
    ("model_id", "words"),
    [
        (HAIKU_3, "Input is too long for requested model."),
        (HAIKU, "prompt is too long: "),
        (NOVA, "Input Tokens Exceeded: Number of input tokens exceeds maximum length."),
    ],
)
def test_a_prompt_longer_than_the_window_is_refused(model_id: str, words: str) -> None:
    """A prompt that can't fit is refused in the words of the model's family."""
    spec = spec_of(model_id)
    assert spec is not None
    long_text = "word " * (spec.context_window or 0) * 2
    message = refusal(talk(user({"text": long_text})), model_id)
    assert message.startswith(f"The model returned the following errors: {words}")


def test_a_cache_point_for_a_model_without_cache_is_denied() -> None:
    """A cache point on a model without prompt cache is an access error, not a validation one."""
    with pytest.raises(ServiceFailure) as caught:
        check_converse(talk(user({"text": "a"}, CACHE_POINT)), "nvidia.nemotron-nano-12b-v2")
    assert (caught.value.code, caught.value.status) == ("AccessDeniedException", 403)


def test_tools_in_a_stream_are_refused_where_only_whole_answers_have_them() -> None:
    """Llama takes tools in Converse and refuses them in ConverseStream."""
    assert refusal(talk(**TOOLS), LLAMA) == ""
    assert refusal(talk(**TOOLS), LLAMA, streaming=True) == (
        "This model doesn't support tool use in streaming mode."
    )


def test_the_first_mistake_in_bedrocks_order_is_named() -> None:
    """Of several mistakes, a conversation's order is named before what the model can't do."""
    message = refusal(talk(HELLO, HELLO, system=[{"text": "a"}], **TOOLS), TITAN)
    assert message.startswith("A conversation must alternate")


@given(
    rounds=st.lists(st.tuples(st.text("ab \n", min_size=1), st.integers(0, 3)), max_size=6),
    model_id=st.sampled_from([HAIKU, NOVA, None]),
)
def test_a_conversation_of_an_agent_is_always_accepted(
    rounds: list[tuple[str, int]], model_id: str | None
) -> None:
    """However many rounds and parallel calls, answered calls and spoken turns are taken."""
    messages = [HELLO]
    for number, (text, calls) in enumerate(rounds):
        ids = [f"{number}-{each}" for each in range(calls)]
        messages.append(assistant({"text": f"I say {text}."}, *map(call, ids)))
        messages.append(user(*map(result, ids), {"text": f"You say {text}."}))
    assert refusal(talk(*messages, **TOOLS), model_id) == ""
