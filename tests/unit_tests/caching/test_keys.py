"""The semantic key: which requests are one, and which are not."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_bedrock_opt.caching.keys import semantic_key, similarity_scope
from langchain_bedrock_opt.caching.schemas import canonical_schema

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


ARN = "arn:aws:bedrock:eu-west-1:123456789012:"


def output_config(schema: dict[str, Any]) -> dict[str, Any]:
    """The response format of a request."""
    named = {"schema": json.dumps(schema), "name": "out"}
    return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": named}}}


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
        "outputConfig": output_config({"type": "object", "required": ["b", "a"]}),
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
        {"modelId": f"{ARN}inference-profile/us.anthropic.claude-haiku"},
        {"outputConfig": output_config({"required": ["a", "b"], "type": "object"})},
    ],
)
def test_what_changes_no_answer_changes_no_key(changes: dict[str, Any]) -> None:
    """Tiers, metadata, cache points, traces and the order of tools are not in the key."""
    assert semantic_key(request(**changes)) == semantic_key(request())


@pytest.mark.parametrize(
    "changes",
    [
        {"modelId": "global.anthropic.claude-haiku"},
        {"modelId": "anthropic.claude-haiku"},
        {"modelId": f"{ARN}foundation-model/anthropic.claude-haiku"},
        {"modelId": f"{ARN}application-inference-profile/abc"},
        {"outputConfig": output_config({"required": ["a"], "type": "object"})},
        {"inferenceConfig": {"maxTokens": 101, "temperature": 0}},
        {"inferenceConfig": {"maxTokens": 100, "temperature": 0, "stopSequences": ["."]}},
        {"system": [{"text": "Be long."}]},
        {"toolConfig": {"tools": [TOOL]}},
        {"toolConfig": {"tools": [TOOL, OTHER_TOOL], "toolChoice": {"any": {}}}},
        {"guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "2"}},
        {"additionalModelRequestFields": {"thinking": {"type": "disabled"}}},
        {"additionalModelResponseFieldPaths": ["/usage"]},
        {"outputConfig": {}},
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
    """A key is its version and 64 hexadecimal digits, the same in every process."""
    ask = {"modelId": "m", "messages": user({"text": "Hi"})}

    digest = "d8facd90f5e445775ad87eb69419ae841cdb4da6bf4dd27490a8c938d02d1cf2"
    assert semantic_key(ask) == f"v2:{digest}"


@pytest.mark.parametrize(
    "broken",
    [{"messages": 1}, {"messages": user({"text": 1})}, {"x": {1, 2}}, {"messages": [{}]}],
)
def test_a_broken_request_is_refused(broken: dict[str, Any]) -> None:
    """What Bedrock would refuse anyway is a TypeError, without a word of the prompt."""
    with pytest.raises(TypeError):
        semantic_key(request(**broken))


def test_only_sets_of_a_schema_are_sorted() -> None:
    """Names of properties, defaults, examples and alternatives keep their order; sets do not."""
    schema = {
        "properties": {
            "required": {"type": ["string", "null"], "default": ["b", "a"]},
            "enum": {"enum": ["b", "a"], "examples": ["b", "a"], "description": "enum: b, a"},
            "items": {
                "type": "array",
                "items": {"enum": [2, 1]},
                "prefixItems": [{"type": ["b", "a"]}],
            },
        },
        "anyOf": [{"required": ["d", "c"]}, True],
        "$defs": {"d": {"required": ["d", "c"]}},
        "dependentRequired": {"a": ["c", "b"]},
        "additionalProperties": False,
    }

    assert canonical_schema(schema) == {
        "properties": {
            "required": {"type": ["null", "string"], "default": ["b", "a"]},
            "enum": {"enum": ["a", "b"], "examples": ["b", "a"], "description": "enum: b, a"},
            "items": {
                "type": "array",
                "items": {"enum": [1, 2]},
                "prefixItems": [{"type": ["a", "b"]}],
            },
        },
        "anyOf": [{"required": ["c", "d"]}, True],
        "$defs": {"d": {"required": ["c", "d"]}},
        "dependentRequired": {"a": ["b", "c"]},
        "additionalProperties": False,
    }


def test_what_a_model_reads_of_a_tool_counts() -> None:
    """A description or a title in a tool's schema is a part of what is asked."""
    tools = []
    for part in ("description", "title"):
        changed = copy.deepcopy(TOOL)
        changed["toolSpec"]["inputSchema"]["json"]["properties"]["city"][part] = "x"  # type: ignore[index]
        tools.append(changed)

    keys = {semantic_key(request(toolConfig={"tools": [tool]})) for tool in (TOOL, *tools)}
    assert len(keys) == 3


def asked(text: str, **changes: Any) -> tuple[str, str] | None:
    return similarity_scope(request(messages=[*HISTORY, *user({"text": text})], **changes))


HISTORY = [*user({"text": "Hi"}), {"role": "assistant", "content": [{"text": "Hello"}]}]


def test_a_scope_is_all_but_the_last_text() -> None:
    """Requests that differ in their last text only share a scope, with the text as it counts."""
    one, other = asked(" \uff11 + 1?"), asked("What is one and one?")

    assert one is not None
    assert other is not None
    assert one[0] == other[0]
    assert (one[1], other[1]) == ("1 + 1?", "What is one and one?")


@pytest.mark.parametrize(
    "changes",
    [
        {"modelId": "global.anthropic.claude-haiku"},
        {"system": [{"text": "Be long."}]},
        {"inferenceConfig": {"maxTokens": 101}},
        {"toolConfig": {"tools": [TOOL]}},
        {"aParameterOfNextYear": "on"},
    ],
)
def test_all_else_makes_another_scope(changes: dict[str, Any]) -> None:
    """Whatever is asked of another model, with another system text or otherwise is not compared."""
    one, other = asked("Hi"), asked("Hi", **changes)

    assert one is not None
    assert other is not None
    assert one[0] != other[0]


def test_another_history_makes_another_scope() -> None:
    """The same words after another conversation, or of another tenant, are not compared."""
    bare = request(messages=user({"text": "Hi"}))
    scopes = [
        asked("Hi"),
        similarity_scope(bare),
        similarity_scope(bare, tenant="a"),
        similarity_scope(bare, namespace="a"),
    ]

    assert len({scope[0] for scope in scopes if scope}) == 4


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [*user({"text": "Hi"}), {"role": "assistant", "content": [{"text": "So"}]}],
        user({"text": "See:"}, image(b"1")),
        user({"text": "One."}, {"text": "Two."}),
        user({"toolResult": {"toolUseId": "t", "content": [{"text": "Hi"}]}}),
        user({"toolResult": {"toolUseId": "t", "content": []}}, {"text": "And?"}),
        user({"text": "  "}),
    ],
)
def test_what_is_more_than_a_text_has_no_scope(messages: list[Any]) -> None:
    """A tool's result, an image, an answer to be continued: none of these is ever similar."""
    assert similarity_scope(request(messages=messages)) is None


def test_cache_points_do_not_count_for_a_scope() -> None:
    """A cache point beside the last text leaves it a text alone."""
    point = {"cachePoint": {"type": "default"}}

    assert similarity_scope(request(messages=user({"text": "Hi"}, point))) is not None


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
