"""Tool arguments and structured answers: they validate, and they come from the prompt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_bedrock_opt.emulator.replies.schemas import fill

_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "array": (list,),
    "object": (dict,),
}


def is_valid(schema: Any, value: Any, root: Any) -> bool:
    """A small JSON schema checker, independent of the code under test."""
    if not isinstance(schema, dict):
        return bool(schema)
    if "$ref" in schema:
        target = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return is_valid(target, value, root)
    checks = [
        "const" not in schema or value == schema["const"],
        "enum" not in schema or value in schema["enum"],
        "anyOf" not in schema or any(is_valid(s, value, root) for s in schema["anyOf"]),
        all(is_valid(s, value, root) for s in schema.get("allOf", ())),
        "type" not in schema or _has_type(schema["type"], value),
    ]
    return all(checks) and bool(_fits(schema, value, root))


def _has_type(kinds: Any, value: Any) -> bool:
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if isinstance(value, bool):
        return "boolean" in kinds
    return any(isinstance(value, _TYPES[kind]) for kind in kinds)


def _fits(schema: Mapping[str, Any], value: Any, root: Any) -> bool:
    if isinstance(value, str):
        return bool(schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 10**9))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        low, high = schema.get("minimum", value), schema.get("maximum", value)
        above = schema.get("exclusiveMinimum", value - 1)
        below = schema.get("exclusiveMaximum", value + 1)
        steps = value / schema.get("multipleOf", value or 1)
        return bool(low <= value <= high and above < value < below and steps == round(steps))
    if isinstance(value, list):
        size = schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 10**9)
        unique = not schema.get("uniqueItems") or all(
            v not in value[:i] for i, v in enumerate(value)
        )
        items = schema.get("items", True)
        return size and unique and all(is_valid(items, item, root) for item in value)
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        return set(schema.get("required", ())) <= value.keys() and all(
            is_valid(properties[name], inner, root) if name in properties else True
            for name, inner in value.items()
        )
    return True


def _bounded(low_key: str, high_key: str, most: int) -> st.SearchStrategy[dict[str, int]]:
    return st.tuples(st.integers(0, most), st.integers(0, most)).map(
        lambda pair: {low_key: min(pair), high_key: max(pair)}
    )


_NAMES = st.sampled_from(["a", "b", "city", "max_results", "userName", "数量", "query", "note"])
_ANY: st.SearchStrategy[dict[str, Any]] = st.just({})
_STRINGS = st.one_of(
    _ANY,
    _bounded("minLength", "maxLength", 40),
    st.sampled_from([{"format": "date"}, {"format": "email"}, {"format": "uuid"}]),
).map(lambda extra: {"type": "string", **extra})
_WHOLE = st.tuples(
    st.sampled_from(["integer", "number"]),
    st.one_of(
        st.just({}),
        st.tuples(st.integers(-50, 50), st.integers(0, 50)).map(
            lambda b: {"minimum": b[0], "maximum": b[0] + b[1]}
        ),
        st.integers(-50, 50).map(
            lambda low: {"exclusiveMinimum": low, "exclusiveMaximum": low + 10}
        ),
        st.integers(1, 9).map(lambda step: {"multipleOf": step, "minimum": 3, "maximum": 30}),
    ),
).map(lambda pair: {"type": pair[0], **pair[1]})
_SCALARS = st.one_of(
    _STRINGS,
    _WHOLE,
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.just({"type": ["string", "null"]}),
    st.just({"enum": ["red", "green", 3, None]}),
    st.just({"const": {"kind": "fixed"}}),
    st.just({"$ref": "#/$defs/Point"}),
    st.just({"$ref": "#/$defs/Tree"}),
    st.just({}),
)


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    arrays = st.tuples(inner, _bounded("minItems", "maxItems", 4)).map(
        lambda pair: {"type": "array", "items": pair[0], **pair[1]}
    )
    unique = st.tuples(st.sampled_from(["string", "integer"]), st.integers(1, 5)).map(
        lambda pair: {
            "type": "array",
            "items": {"type": pair[0]},
            "minItems": pair[1],
            "uniqueItems": True,
        }
    )
    objects = st.dictionaries(_NAMES, inner, max_size=4).flatmap(
        lambda properties: st.lists(st.sampled_from([*properties, "extra"]), unique=True).map(
            lambda needed: {"type": "object", "properties": properties, "required": needed}
        )
    )
    either = st.lists(inner, min_size=1, max_size=3).map(lambda options: {"anyOf": options})
    return st.one_of(arrays, unique, objects, either)


_SCHEMAS = st.recursive(_SCALARS, _containers, max_leaves=8).map(
    lambda schema: {
        **schema,
        "$defs": {
            "Point": {
                "type": "object",
                "properties": {"x": {"type": "number"}, "y": {"type": "number", "minimum": 5}},
                "required": ["x", "y"],
            },
            "Tree": {
                "type": "object",
                "properties": {
                    "label": {"type": "string"},
                    "left": {"anyOf": [{"$ref": "#/$defs/Tree"}, {"type": "null"}]},
                    "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
                },
                "required": ["label", "left", "children"],
            },
        },
    }
)
_PROMPTS = st.one_of(
    st.sampled_from(
        [
            "",
            "What is 3 + 4?",
            "Create 'Acme' and “東京商事” with max_results = 7, city: Paris, in red",
            "東京と大阪の天気を、数量は12で教えてください。",
            "-2.5 user_name is bob@example.com",
        ]
    ),
    st.text(max_size=80),
)


@given(schema=_SCHEMAS, prompt=_PROMPTS)
@settings(max_examples=300, deadline=None)
def test_whatever_the_schema_the_value_is_valid(schema: Any, prompt: str) -> None:
    """A tool gets arguments that its schema accepts, whatever the prompt says."""
    value = fill(schema, prompt)

    assert is_valid(schema, value, schema), value
    assert json.loads(json.dumps(value)) == value


@given(schema=_SCHEMAS, prompt=_PROMPTS)
@settings(max_examples=50, deadline=None)
def test_the_same_prompt_gives_the_same_value(schema: Any, prompt: str) -> None:
    """A test on the arguments of a tool call gives the same result on every run."""
    assert fill(schema, prompt) == fill(schema, prompt)


@pytest.mark.parametrize(
    ("schema", "prompt", "expected"),
    [
        ({"type": "integer"}, "magic_function(3)", 3),
        ({"type": "integer"}, "全部で１２個", 12),
        ({"type": "number"}, "set it to -2.5", -2.5),
        ({"type": "integer", "maximum": 10}, "give me 25", 10),
        ({"type": "string"}, "Create 'こんにちは株式会社' now", "こんにちは株式会社"),
        ({"type": "string", "enum": ["low", "high"]}, "priority: HIGH", "high"),
        ({"type": "string", "enum": ["low", "high"]}, "whatever", "low"),
        ({"type": "array", "items": {"type": "integer"}}, "sum 1, 2 and 3", [1, 2, 3]),
        ({"type": "array", "items": {"type": "string"}}, "tag 'a' and 'b'", ["a", "b"]),
        ({"type": "string", "format": "email"}, "write to x@example.org", "x@example.org"),
        ({"type": ["null", "integer"]}, "5 of them", 5),
        ({"type": "object", "properties": {}}, "anything", {}),
        ({"oneOf": [{"type": "null"}, {"type": "boolean"}]}, "", False),
        ({"type": "string", "pattern": "^[A-Z]{3}$", "examples": ["NRT"]}, "fly", "NRT"),
    ],
)
def test_values_come_from_the_prompt(schema: Any, prompt: str, expected: Any) -> None:
    """Numbers, quotes and options in a prompt turn up in the arguments."""
    assert fill(schema, prompt) == expected


def test_optional_properties_wait_to_be_asked_for() -> None:
    """A tool call holds an optional argument only if the prompt speaks of it."""
    schema = {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            "days": {"type": "integer"},
        },
        "required": ["city"],
    }

    assert fill(schema, "Weather in Paris") == {"city": "Paris"}
    assert fill(schema, "Weather in Paris in Fahrenheit, days: 3") == {
        "city": "Paris",
        "unit": "fahrenheit",
        "days": 3,
    }


def test_what_the_prompt_excludes_is_left_out() -> None:
    """An optional property that the prompt says no to is not filled."""
    schema = {
        "type": "object",
        "properties": {"setup": {"type": "string"}, "punchline": {"type": "string"}},
        "required": ["setup"],
    }

    assert "punchline" in fill(schema, "A joke about cats with a punchline")
    assert "punchline" not in fill(schema, "A joke about cats, no punchline")


def test_defaults_stand_unless_the_prompt_names_the_property() -> None:
    """A required property keeps its default while the prompt's numbers are about other things."""
    schema = {
        "type": "object",
        "properties": {"limit": {"type": "integer", "default": 10}},
        "required": ["limit"],
    }

    assert fill(schema, "hotels for 2 people") == {"limit": 10}
    assert fill(schema, "hotels for 2 people, limit: 5") == {"limit": 5}
