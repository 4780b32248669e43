"""The key of a lookup through LangChain's own cache interface."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from langchain_aws import ChatBedrockConverse
from langchain_core.caches import BaseCache
from langchain_core.language_models import FakeListChatModel
from langchain_core.load import dumps
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_bedrock_opt.caching.canonical import canonical_request
from langchain_bedrock_opt.caching.messages import converse_form
from langchain_bedrock_opt.caching.prompts import is_sampled_model, prompt_key, prompt_scope

MODEL = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
PNG = base64.b64encode(b"an image").decode()
PDF = base64.b64encode(b"a document").decode()
WEATHER = {
    "name": "weather",
    "description": "The weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"enum": ["C", "F"]}},
        "required": ["city", "unit"],
    },
}
TIME = {"name": "time", "description": "The time.", "parameters": {"type": "object"}}


class Asked(BaseCache):
    """A cache that notes what it was asked for and knows nothing."""

    def __init__(self) -> None:
        self.lookups: list[tuple[str, str]] = []

    def lookup(self, prompt: str, llm_string: str) -> None:
        self.lookups.append((prompt, llm_string))

    def update(self, prompt: str, llm_string: str, return_val: Any) -> None:
        pass

    def clear(self, **kwargs: Any) -> None:
        pass


Lookup = Callable[..., tuple[str, str]]


@pytest.fixture
def lookup(bedrock: Any, make_response: Any) -> Lookup:
    """What LangChain asks a cache for when ChatBedrockConverse is invoked."""

    def asked(
        messages: list[BaseMessage] | str = "Hi",
        bound: dict[str, Any] | None = None,
        **arguments: Any,
    ) -> tuple[str, str]:
        fake, cache = bedrock(make_response({"text": "Hello"})), Asked()
        model = ChatBedrockConverse(
            client=fake, bedrock_client=fake, cache=cache, **{"model": MODEL, **arguments}
        )
        # Deeply copied, since langchain-aws takes tools and contents apart.
        model.bind(**copy.deepcopy(bound or {})).invoke(copy.deepcopy(messages))
        (one,) = cache.lookups
        return one

    return asked


def openai_tool(tool: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": tool}


def anthropic_tool(tool: dict[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in tool.items() if name != "parameters"}
    return {**rest, "input_schema": tool["parameters"]}


def converse_tool(tool: dict[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in tool.items() if name != "parameters"}
    return {"toolSpec": {**rest, "inputSchema": {"json": tool["parameters"]}}}


def shuffled(tool: dict[str, Any]) -> dict[str, Any]:
    changed = copy.deepcopy(tool)
    changed["parameters"]["required"].reverse()
    changed["parameters"]["properties"]["unit"]["enum"].reverse()
    return dict(reversed(changed.items()))


SAME: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"tools": [openai_tool(WEATHER), openai_tool(TIME)]},
        {"tools": [openai_tool(TIME), openai_tool(WEATHER)]},
    ),
    ({"tools": [openai_tool(WEATHER)]}, {"tools": [openai_tool(shuffled(WEATHER))]}),
    ({"tools": [openai_tool(WEATHER)]}, {"tools": [converse_tool(WEATHER)]}),
    ({"stop": ["a", "b"]}, {"stop": ["b", "a"]}),
    ({"temperature": 0}, {"temperature": 0.0}),
    ({"service_tier": "flex"}, {}),
    ({"stop": None}, {}),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_calls_that_ask_the_same(
    one: dict[str, Any], other: dict[str, Any], lookup: Lookup
) -> None:
    """The order and the form of tools, of sets and of numbers do not change a call's key."""
    assert prompt_key(*lookup(bound=one)) == prompt_key(*lookup(bound=other))


def test_a_tool_in_anthropics_form_is_the_same_tool() -> None:
    """What other models are given in Anthropic's form counts as it does in OpenAI's."""
    one, other = (str([("tools", [form(WEATHER)])]) for form in (openai_tool, anthropic_tool))

    assert one != other
    assert prompt_key("Hi", one) == prompt_key("Hi", other)


@pytest.mark.parametrize(
    "bound",
    [
        {"tools": [openai_tool(WEATHER)]},
        {"tools": [openai_tool({**WEATHER, "description": "The weather."})]},
        {"tools": [openai_tool(TIME), openai_tool(WEATHER)]},
        {"tools": [openai_tool(TIME)], "tool_choice": "any"},
        {"stop": ["a"]},
        {"temperature": 0.5},
        {"max_tokens": 5},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"title": "A"}}}},
    ],
)
def test_calls_that_ask_otherwise(bound: dict[str, Any], lookup: Lookup) -> None:
    """Tools, stop sequences and every parameter of the answer are in a call's key."""
    assert prompt_key(*lookup(bound=bound)) != prompt_key(
        *lookup(bound={"tools": [openai_tool(TIME)]})
    )


@pytest.mark.parametrize(
    "arguments",
    [
        {"region_name": "eu-west-1"},
        {"max_retries": 7},
        {"name": "a name"},
        {"disable_streaming": True},
        {
            "model": f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{MODEL}",
            "provider": "anthropic",
        },
    ],
)
def test_models_that_answer_the_same(arguments: dict[str, Any], lookup: Lookup) -> None:
    """Region, retries, names and the ARN of the same profile do not change a model's key."""
    plain = {"provider": "anthropic"} if "provider" in arguments else {}
    assert prompt_key(*lookup(**arguments)) == prompt_key(*lookup(**plain))


@pytest.mark.parametrize(
    "arguments",
    [
        {"model": "global.anthropic.claude-haiku-4-5-20251001-v1:0"},
        {"temperature": 0.1},
        {"max_tokens": 9},
        {"stop_sequences": ["."]},
        {"additional_model_request_fields": {"thinking": {"type": "enabled"}}},
        {"guardrail_config": {"guardrailIdentifier": "g", "guardrailVersion": "1"}},
    ],
)
def test_models_that_answer_otherwise(arguments: dict[str, Any], lookup: Lookup) -> None:
    """The model and every parameter of its answer are in its key."""
    assert prompt_key(*lookup(**arguments)) != prompt_key(*lookup())


def test_secrets_of_the_host_do_not_count(lookup: Lookup, monkeypatch: pytest.MonkeyPatch) -> None:
    """A laptop with keys in its environment and a server with a role share their entries."""
    without = prompt_key(*lookup())
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")

    assert prompt_key(*lookup()) == without


CALL = {"name": "weather", "args": {"city": "Kyoto"}, "id": "call-1", "type": "tool_call"}
CONVERSATIONS: dict[str, list[BaseMessage]] = {
    "text": [
        SystemMessage("Be brief."),
        HumanMessage("Hi"),
        AIMessage("Hello"),
        HumanMessage("So?"),
    ],
    "tools": [
        HumanMessage("Weather?"),
        AIMessage("I look.", tool_calls=[CALL, {**CALL, "id": "call-2"}]),
        ToolMessage("20 degrees", tool_call_id="call-1", name="weather"),
        ToolMessage("no such city", tool_call_id="call-2", status="error"),
        HumanMessage("Thanks."),
    ],
    "a tool call told twice": [
        HumanMessage("Weather?"),
        AIMessage(
            [
                {"type": "text", "text": "I look."},
                {
                    "type": "tool_use",
                    "name": "weather",
                    "input": '{"city": "Kyoto"}',
                    "id": "call-1",
                },
            ],
            tool_calls=[CALL],
        ),
        ToolMessage([{"type": "text", "text": "20"}, {"json": {"a": 1}}], tool_call_id="call-1"),
    ],
    "messages of one role": [SystemMessage("One."), HumanMessage("a"), HumanMessage("b")],
    "v0 image": [
        HumanMessage(
            [
                {"type": "text", "text": "See:"},
                {"type": "image", "source_type": "base64", "data": PNG, "mime_type": "image/png"},
            ]
        )
    ],
    "v1 image": [HumanMessage([{"type": "image", "base64": PNG, "mime_type": "image/png"}])],
    "image of OpenAI's": [
        HumanMessage([{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}])
    ],
    "image of Anthropic's": [
        HumanMessage(
            [
                {
                    "type": "image",
                    "source": {"type": "base64", "media_type": "image/png", "data": PNG},
                }
            ]
        )
    ],
    "file": [
        HumanMessage(
            [
                {
                    "type": "file",
                    "base64": PDF,
                    "mime_type": "application/pdf",
                    "extras": {"name": "the report"},
                },
                {"type": "text", "text": "Sum it up."},
            ]
        )
    ],
    "reasoning": [
        HumanMessage("Think."),
        AIMessage(
            [
                {
                    "type": "reasoning_content",
                    "reasoning_content": {"text": "Hmm.", "signature": "c2ln"},
                },
                {"type": "text", "text": "Yes."},
            ]
        ),
        HumanMessage("Why?"),
    ],
    "v1 answer": [
        HumanMessage("Think."),
        AIMessage(
            [
                {"type": "reasoning", "reasoning": "Hmm.", "extras": {"signature": "c2ln"}},
                {"type": "text", "text": "Yes."},
                {"type": "tool_call", "name": "weather", "args": {"city": "Kyoto"}, "id": "call-1"},
            ],
            tool_calls=[CALL],
            response_metadata={"output_version": "v1", "model_provider": "bedrock_converse"},
        ),
        ToolMessage("20", tool_call_id="call-1"),
    ],
    "Bedrock's own blocks": [
        SystemMessage([{"text": "Be brief."}, {"cachePoint": {"type": "default"}}]),
        HumanMessage(
            [
                {"guardContent": {"text": {"text": "check this"}}},
                {"text": "Hi"},
                {"cachePoint": {"type": "default"}},
            ]
        ),
    ],
}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_both_doors_see_the_same_messages(
    name: str, bedrock: Any, make_response: Any, lookup: Lookup
) -> None:
    """LangChain's JSON has the same canonical form as the Converse request made of the messages."""
    fake = bedrock(make_response({"text": "Hello"}))
    model = ChatBedrockConverse(model=MODEL, client=fake, bedrock_client=fake)
    model.bind(tools=[converse_tool(TIME)]).invoke(copy.deepcopy(CONVERSATIONS[name]))
    request = fake.requests[0]

    prompt, _ = lookup(CONVERSATIONS[name], bound={"tools": [converse_tool(TIME)]})
    form = converse_form(json.loads(prompt))

    expected = {part: request[part] for part in ("messages", "system") if request.get(part)}
    assert canonical_request(form) == canonical_request(expected)


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "[]",
        "[1]",
        "[{}]",
        '[{"type": "constructor"}]',
        '[{"type": "constructor", "id": [], "kwargs": {}}]',
        '[{"type": "constructor", "id": ["AIMessage"], "kwargs": {"content": [1]}}]',
        '[{"type": "constructor", "id": ["AIMessage"], "kwargs": {"content": null}}]',
        '[{"type": "constructor", "id": ["AIMessage"], "kwargs": {"tool_calls": [{}]}}]',
        '[{"type": "constructor", "id": ["ToolMessage"], "kwargs": {"tool_call_id": []}}]',
        "[" * 100_000,
    ],
)
def test_what_only_looks_like_messages_is_a_text(prompt: str) -> None:
    """Any prompt has a key of its own, and a text has no scope to be similar in."""
    assert prompt_key(prompt, "m") != prompt_key(prompt + "x", "m")
    assert prompt_scope(prompt, "m") is None


@pytest.mark.parametrize(
    "llm_string",
    [
        "",
        "model",
        "[1, 2]",
        "[('a',)]",
        "[(1, 2)]",
        "[('a', <class 'int'>)]",
        "[('tools', [{1, 2}])]",
        "[('tools', [{1: 2, 'a': 3}])]",
        "[('tools', 'all')]",
        '{"kwargs": {}}---[',
        '{"kwargs": {"tools": [1]}}---[]',
        '{"kwargs": []}',
        "(" * 10_000,
    ],
)
def test_any_description_of_a_model_has_a_key(llm_string: str) -> None:
    """A description that can't be read counts as it is."""
    assert prompt_key("Hi", llm_string) != prompt_key("Hi", llm_string + " or another")
    assert not is_sampled_model(llm_string)


def test_sampling_is_seen(lookup: Lookup) -> None:
    """A temperature above 0 is seen in the constructor and in the call, which goes first."""
    assert is_sampled_model(lookup(temperature=0.5)[1])
    assert is_sampled_model(lookup(bound={"temperature": 0.5}, temperature=0)[1])
    assert is_sampled_model("[('tools', [<class 'int'>]), ('temperature', 0.5)]")
    assert not is_sampled_model(lookup(bound={"temperature": 0}, temperature=0.5)[1])
    assert not is_sampled_model(lookup()[1])


@pytest.mark.parametrize("temperature", [0.0, 1.0, 1e-05])
@pytest.mark.parametrize(
    "part", ["additional_model_request_fields", "inference_config", "inferenceConfig"]
)
def test_sampling_in_a_part_of_the_request_is_seen(part: str, temperature: float) -> None:
    """A temperature that is bound within a part of the request counts as one bound by itself."""
    fields = {part: {"temperature": temperature}}

    assert is_sampled_model(str([*fields.items(), ("stop", None)])) is (temperature > 0)
    assert is_sampled_model(str([*fields.items(), ("tools", [int])])) is (temperature > 0)


def test_sampling_in_a_part_of_the_constructor_is_seen(lookup: Lookup) -> None:
    """A temperature is seen wherever a model's constructor takes it, however deep."""
    deep = {"kwargs": {"model_kwargs": {"inferenceConfig": {"temperature": 0.9}}}}

    assert is_sampled_model(json.dumps(deep) + "---[]")
    assert is_sampled_model(lookup(additional_model_request_fields={"temperature": 1.0})[1])
    assert not is_sampled_model(lookup(additional_model_request_fields={"top_k": 5})[1])


def test_a_part_does_not_speak_for_the_constructor() -> None:
    """A temperature of 0 within a part that can't be read leaves the constructor's as it is."""
    call = str([("model_kwargs", {"temperature": 0}), ("tools", [int])])

    assert is_sampled_model(json.dumps({"kwargs": {"temperature": 0.5}}) + f"---{call}")


def test_a_schema_with_a_temperature_is_not_sampled(lookup: Lookup) -> None:
    """A tool or a response format that has a field of this name says nothing of sampling."""
    schema = {"type": "object", "properties": {"temperature": {"type": "number", "minimum": 1}}}
    tool = openai_tool({**TIME, "parameters": schema})
    form = {"type": "json_schema", "json_schema": {"name": "t", "schema": schema}}

    assert not is_sampled_model(lookup(bound={"tools": [tool]})[1])
    assert not is_sampled_model(str([("response_format", form)]))


def test_models_of_other_providers(lookup: Lookup) -> None:
    """A model that is not serializable is told apart by what it says of itself."""
    cache = Asked()
    for responses in (["a"], ["b"]):
        FakeListChatModel(responses=responses, cache=cache).invoke("Hi")

    assert len({prompt_key(*one) for one in cache.lookups}) == 2


def scope(*messages: BaseMessage, llm_string: str = "m", **apart: str) -> tuple[str, str] | None:
    return prompt_scope(dumps(list(messages)), llm_string, **apart)


def test_a_scope_is_all_but_the_last_text() -> None:
    """Prompts that differ in their last text only share a scope, with the text as it counts."""
    start = (SystemMessage("Be brief."), HumanMessage("Hi"), AIMessage("Hello", id="1"))
    one = scope(*start, HumanMessage(" １ + 1? "))
    other = scope(*start[:2], AIMessage("Hello"), HumanMessage([{"type": "text", "text": "Sum?"}]))

    assert one is not None
    assert other is not None
    assert one[0] == other[0]
    assert (one[1], other[1]) == ("1 + 1?", "Sum?")


def test_scopes_are_apart() -> None:
    """Another model, system, history, tenant or namespace is another scope."""
    ask = HumanMessage("Hi")
    scopes = [
        scope(ask),
        scope(ask, llm_string="n"),
        scope(SystemMessage("Be brief."), ask),
        scope(HumanMessage("Hi"), AIMessage("Hello"), ask),
        scope(ask, tenant="a"),
        scope(ask, namespace="a"),
    ]

    assert len({one[0] for one in scopes if one}) == len(scopes)


def test_what_is_more_than_a_text_has_no_scope() -> None:
    """After a tool's result, beside an image, or said by a named person: never similar."""
    call = AIMessage("", tool_calls=[CALL])
    result = ToolMessage("20", tool_call_id="call-1")
    for messages in (
        [AIMessage("Hi")],
        [SystemMessage("Hi")],
        [HumanMessage("Weather?"), call, result],
        [HumanMessage("Weather?"), call, result, HumanMessage("And?")],
        [HumanMessage([{"type": "image", "base64": PNG, "mime_type": "image/png"}, "See?"])],
        [HumanMessage("Hi", name="Ann")],
    ):
        assert scope(*messages) is None
