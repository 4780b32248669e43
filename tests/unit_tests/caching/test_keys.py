"""The semantic key: which requests are one, and which are not."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_aws import ChatBedrockConverse
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_bedrock_opt.caching.keys import canonical_schema, semantic_key

CALL = {"name": "weather", "args": {"city": "Kyoto", "unit": "C"}, "id": "call-1"}
TOOL = {
    "toolSpec": {
        "name": "weather",
        "description": "The weather of a city.",
        "inputSchema": {
            "json": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "unit": {"type": "string"}},
                "required": ["city", "unit"],
            }
        },
    }
}
OTHER_TOOL = {"toolSpec": {"name": "time", "inputSchema": {"json": {"type": "object"}}}}


def turns(**answer: Any) -> list[BaseMessage]:
    """A question, an answer with a tool call, the tool's result, all of one conversation."""
    fields = {"content": "I look.", "tool_calls": [CALL], **answer}
    return [
        HumanMessage("Weather?"),
        AIMessage(**fields),
        ToolMessage("20 degrees", tool_call_id=fields["tool_calls"][0]["id"]),
    ]


REPEATED_CALL = [
    {"type": "text", "text": "I look."},
    {"type": "tool_use", "name": "weather", "input": CALL["args"], "id": "call-1"},
]
USAGE = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
REORDERED = {**CALL, "args": {"unit": "C", "city": "Kyoto"}}

EQUIVALENT: dict[str, tuple[list[BaseMessage], list[BaseMessage]]] = {
    "text or block": ([HumanMessage("Hi")], [HumanMessage([{"type": "text", "text": "Hi"}])]),
    "outer space": ([HumanMessage("Hi")], [HumanMessage("\n Hi ")]),
    "line ends": ([HumanMessage("a\nb")], [HumanMessage("a\r\nb")]),
    "full width": ([HumanMessage("AWS 2026?")], [HumanMessage("\uff21\uff37\uff33 2026\uff1f")]),
    "half-width kana": ([HumanMessage("ガラス")], [HumanMessage("ｶﾞﾗｽ")]),
    "composition": ([HumanMessage("café が")], [HumanMessage("cafe\u0301 か\u3099")]),
    "ideographic space": ([HumanMessage("東京 天気")], [HumanMessage("東京\u3000天気")]),
    "ids of tool calls": (turns(), turns(tool_calls=[{**CALL, "id": "call-2"}])),
    "response metadata": (turns(), turns(response_metadata={"ResponseMetadata": {"a": "b"}})),
    "usage metadata": (turns(), turns(usage_metadata={**USAGE, "total_cost": 0})),
    "order of arguments": (turns(), turns(tool_calls=[REORDERED])),
    "additional kwargs": (turns(), turns(additional_kwargs={"seen": True})),
    "ids of messages": (turns(), turns(id="run-1")),
    "a tool call told twice": (turns(), turns(content=REPEATED_CALL)),
}

DISTINCT: dict[str, tuple[list[BaseMessage], list[BaseMessage]]] = {
    "superscript": ([HumanMessage("10² = ?")], [HumanMessage("102 = ?")]),
    "circled digits": ([HumanMessage("①②")], [HumanMessage("12")]),
    "case": ([HumanMessage("us")], [HumanMessage("US")]),
    "negation": ([HumanMessage("It is safe.")], [HumanMessage("It is not safe.")]),
    "unit": ([HumanMessage("5 mg")], [HumanMessage("5 µg")]),
    "space in code": (
        [HumanMessage("```\nif a:\n  b\n```")],
        [HumanMessage("```\nif a:\n b\n```")],
    ),
    "system": ([HumanMessage("Hi")], [SystemMessage("Be brief."), HumanMessage("Hi")]),
    "history": ([HumanMessage("Hi")], [*turns(), HumanMessage("Hi")]),
    "result of a tool": (turns(), [*turns()[:2], ToolMessage("9", tool_call_id="call-1")]),
    "failed tool": (
        turns(),
        [*turns()[:2], ToolMessage("20 degrees", tool_call_id="call-1", status="error")],
    ),
}


@pytest.fixture
def key_of(
    bedrock: Any, make_model: Callable[..., ChatBedrockConverse], make_response: Any
) -> Callable[..., str]:
    """The key of the request that ChatBedrockConverse makes of messages."""

    def key(messages: list[BaseMessage]) -> str:
        fake = bedrock(make_response({"text": "Hello"}))
        make_model(fake).bind(tools=[TOOL]).invoke(copy.deepcopy(messages))
        return semantic_key(fake.requests[0])

    return key


@pytest.mark.parametrize("case", EQUIVALENT)
def test_equivalent_conversations_share_a_key(case: str, key_of: Callable[..., str]) -> None:
    """Messages that ask the same have one key, whatever they carry besides."""
    one, other = EQUIVALENT[case]

    assert key_of(one) == key_of(other)


@pytest.mark.parametrize("case", DISTINCT)
def test_different_conversations_have_different_keys(case: str, key_of: Callable[..., str]) -> None:
    """Messages that ask something else have another key, however alike they look."""
    one, other = DISTINCT[case]

    assert key_of(one) != key_of(other)


def request(**changes: Any) -> dict[str, Any]:
    """A Converse request with many of its parts."""
    fields = {
        "modelId": "us.anthropic.claude-haiku",
        "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
        "system": [{"text": "Be brief."}],
        "inferenceConfig": {"maxTokens": 100, "temperature": 0},
        "toolConfig": {"tools": [TOOL, OTHER_TOOL]},
        "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
        "additionalModelRequestFields": {"thinking": {"type": "enabled"}},
    }
    return {**fields, **changes}


def user(*content: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(content)}]


def image(data: bytes) -> dict[str, Any]:
    return {"image": {"format": "png", "source": {"bytes": data}}}


def without_schema_order(tool: dict[str, Any]) -> dict[str, Any]:
    changed = copy.deepcopy(tool)
    schema = changed["toolSpec"]["inputSchema"]["json"]
    schema["required"].reverse()
    schema["properties"] = dict(reversed(schema["properties"].items()))
    return changed


@pytest.mark.parametrize(
    "changes",
    [
        {"requestMetadata": {"team": "a"}},
        {"serviceTier": {"type": "flex"}},
        {"performanceConfig": {"latency": "optimized"}},
        {"inferenceConfig": {"temperature": 0.0, "maxTokens": 100, "topP": None}},
        {"toolConfig": {"tools": [OTHER_TOOL, TOOL, {"cachePoint": {"type": "default"}}]}},
        {"toolConfig": {"tools": [without_schema_order(TOOL), OTHER_TOOL]}},
        {"system": [{"text": "Be brief.\n"}, {"cachePoint": {"type": "default"}}]},
        {"messages": user({"text": " Hi"}, {"cachePoint": {"type": "default", "ttl": "1h"}})},
        {
            "guardrailConfig": {
                "guardrailIdentifier": "g",
                "guardrailVersion": "1",
                "trace": "enabled",
            }
        },
        {"additionalModelResponseFieldPaths": []},
    ],
)
def test_what_changes_no_answer_changes_no_key(changes: dict[str, Any]) -> None:
    """Tiers, metadata, cache points, traces and the order of tools are not in the key."""
    assert semantic_key(request(**changes)) == semantic_key(request())


@pytest.mark.parametrize(
    "changes",
    [
        {"modelId": "global.anthropic.claude-haiku"},
        {"inferenceConfig": {"maxTokens": 101, "temperature": 0}},
        {"inferenceConfig": {"maxTokens": 100, "temperature": 0, "stopSequences": ["."]}},
        {"system": [{"text": "Be long."}]},
        {"toolConfig": {"tools": [TOOL]}},
        {"toolConfig": {"tools": [TOOL, OTHER_TOOL], "toolChoice": {"any": {}}}},
        {"guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "2"}},
        {"additionalModelRequestFields": {"thinking": {"type": "disabled"}}},
        {"additionalModelResponseFieldPaths": ["/usage"]},
        {"outputConfig": {"textFormat": {"type": "json_schema"}}},
        {"messages": user({"text": "Hi"}, image(b"one"))},
        {"aParameterOfNextYear": "on"},
    ],
)
def test_what_may_change_an_answer_changes_the_key(changes: dict[str, Any]) -> None:
    """The model with its scope and every parameter of the answer are in the key."""
    assert semantic_key(request(**changes)) != semantic_key(request())


def test_media_count_by_their_bytes() -> None:
    """Two images share a key only if they are the same image."""
    keys = {semantic_key(request(messages=user(image(data)))) for data in (b"1", b"1", b"2")}

    assert len(keys) == 2


def test_tenants_and_namespaces_are_apart() -> None:
    """The same request has another key for each tenant and namespace, however they are split."""
    scopes = [("", ""), ("a", ""), ("", "a"), ("a", "b"), ("ab", ""), ("b", "a")]

    keys = {semantic_key(request(), tenant=t, namespace=n) for t, n in scopes}

    assert len(keys) == len(scopes)


def test_space_between_blocks_is_kept() -> None:
    """White space that stands between two blocks of a message separates them."""
    apart = semantic_key(request(messages=user({"text": "10 "}, {"text": "20"})))
    joined = semantic_key(request(messages=user({"text": "10"}, {"text": "20"})))

    assert apart != joined


def test_results_belong_to_their_calls() -> None:
    """Two results that change places between two calls make another request."""

    def conversation(first: str, second: str) -> dict[str, Any]:
        ids = ("x", "y")
        calls: list[Any] = [{"toolUse": {"toolUseId": i, "name": "f", "input": {}}} for i in ids]
        results = [
            {"toolResult": {"toolUseId": i, "content": [{"text": t}]}}
            for i, t in ((first, "1"), (second, "2"))
        ]
        return request(messages=[{"role": "assistant", "content": calls}, *user(*results)])

    assert semantic_key(conversation("x", "y")) != semantic_key(conversation("y", "x"))


def test_a_key_names_its_version() -> None:
    """A key is a version and 64 hexadecimal digits, the same in every process."""
    ask = {"modelId": "m", "messages": user({"text": "Hi"})}

    digest = "0cd0bc02f6b960c7057f3a4eec6264c6c3cfc2ace40cfb6e68b9400a17375690"
    assert semantic_key(ask) == f"v1:{digest}"


@pytest.mark.parametrize(
    "broken",
    [{"messages": 1}, {"messages": user({"text": 1})}, {"x": {1, 2}}, {"messages": [{}]}],
)
def test_a_broken_request_is_refused(broken: dict[str, Any]) -> None:
    """What Bedrock would refuse anyway is a TypeError, without a word of the prompt."""
    with pytest.raises(TypeError):
        semantic_key(request(**broken))


def test_only_sets_of_a_schema_are_sorted() -> None:
    """A property that is called `required` and a list of defaults keep their order."""
    schema = {
        "properties": {"required": {"type": "array", "default": ["b", "a"]}},
        "anyOf": [{"required": ["d", "c"]}],
    }

    assert canonical_schema(schema) == {
        "properties": {"required": {"type": "array", "default": ["b", "a"]}},
        "anyOf": [{"required": ["c", "d"]}],
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def reversed_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: reversed_keys(value[name]) for name in reversed(value)}
    return [reversed_keys(item) for item in value] if isinstance(value, list) else value


@given(JSON)
def test_the_order_of_keys_never_counts(document: Any) -> None:
    """Any JSON that a request carries counts by its content, not by the order of its keys."""
    one = request(additionalModelRequestFields={"x": document})

    assert semantic_key(reversed_keys(one)) == semantic_key(one)


@given(st.text(st.characters(codec=None)))
def test_every_text_has_a_key(text: str) -> None:
    """Any text can be asked, lone surrogates and control characters included."""
    assert semantic_key(request(messages=user({"text": text})))


@given(st.lists(st.text("abc", min_size=1), min_size=1, unique=True))
def test_ids_of_tool_calls_never_count(ids: list[str]) -> None:
    """Whatever ids the model gave to its tool calls, the next turn has the same key."""

    def conversation(names: list[str]) -> dict[str, Any]:
        calls = [{"toolUse": {"toolUseId": n, "name": "f", "input": {}}} for n in names]
        results = [{"toolResult": {"toolUseId": n, "content": [{"text": "r"}]}} for n in names]
        return request(messages=[{"role": "assistant", "content": calls}, *user(*results)])

    renamed = [f"tooluse_{index}" for index, _ in enumerate(ids)]
    assert semantic_key(conversation(ids)) == semantic_key(conversation(renamed))
