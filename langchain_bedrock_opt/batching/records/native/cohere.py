"""Cohere's Command R: a message and its history."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from langchain_bedrock_opt.batching.records.native.codec import (
    Codec,
    Document,
    Format,
    response,
    settings,
    usage_of,
    with_fields,
)

_FORMAT: Final = Format(
    "Cohere Command R", ("system", "toolConfig", "additionalModelRequestFields")
)
_SETTINGS: Final = {
    "maxTokens": "max_tokens",
    "temperature": "temperature",
    "topP": "p",
    "stopSequences": "stop_sequences",
}
_ROLES: Final = {"user": "USER", "assistant": "CHATBOT"}
# Parameters are described by Python's names of types, and only one level deep.
_TYPES: Final = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "array": "list",
    "object": "dict",
}
_REASONS: Final = {
    "COMPLETE": "end_turn",
    "MAX_TOKENS": "max_tokens",
    "STOP_SEQUENCE": "stop_sequence",
    "ERROR_TOXIC": "content_filtered",
}
_NOT_IN_AN_ID: Final = re.compile(r"[^a-zA-Z0-9_-]")


def _to_body(request: Mapping[str, Any], _base_model_id: str) -> Document:
    _FORMAT.check(request)
    *history, last = request["messages"]
    if last["role"] != "user":
        raise _FORMAT.refusal("A conversation that ends with the model's words")
    body: Document = {
        "message": _FORMAT.text(last["content"]),
        **settings(request, _SETTINGS, _FORMAT),
    }
    if history:
        body["chat_history"] = [
            {"role": _ROLES[turn["role"]], "message": _FORMAT.text(turn["content"])}
            for turn in history
        ]
    if request.get("system"):
        body["preamble"] = _FORMAT.text(request["system"])
    if request.get("toolConfig"):
        body["tools"] = _tools(request["toolConfig"])
    return with_fields(body, request)


def _tools(config: Mapping[str, Any]) -> list[Document]:
    if set(config.get("toolChoice") or {}) - {"auto"}:
        raise _FORMAT.refusal("A tool choice other than auto")
    return [_tool(*_FORMAT.block(tool)) for tool in config["tools"]]


def _tool(kind: str, spec: Mapping[str, Any]) -> Document:
    if kind != "toolSpec":
        raise _FORMAT.refusal(f"A tool {kind!r}")
    schema = spec["inputSchema"]["json"]
    needed = schema.get("required", ())
    tool: Document = {"name": spec["name"], "description": spec.get("description", "")}
    tool["parameter_definitions"] = {
        name: {**_parameter(name, described), "required": name in needed}
        for name, described in schema.get("properties", {}).items()
    }
    return tool


def _parameter(name: str, described: Mapping[str, Any]) -> Document:
    rest = set(described) - {"type", "description", "title"}  # a title only repeats the name
    kind = described.get("type")
    if rest or kind not in _TYPES:
        lost = sorted(rest) or [f"type {kind!r}"]
        raise _FORMAT.refusal(f"The parameter {name!r} of a tool with {', '.join(lost)}")
    return {"description": described.get("description", ""), "type": _TYPES[kind]}


def _to_response(answer: Mapping[str, Any]) -> Document:
    text, calls = answer.get("text", ""), answer.get("tool_calls") or ()
    # Calls have no ids here; LangChain joins results to them by one.
    stem = _NOT_IN_AN_ID.sub("-", str(answer.get("generation_id", "call")))
    uses = [
        {"toolUse": {"toolUseId": f"{stem}-{index}", "name": call["name"], "input": given}}
        for index, call in enumerate(calls)
        for given in [call.get("parameters") or {}]
    ]
    reason = answer.get("finish_reason")
    stop_reason = "tool_use" if uses else _REASONS.get(reason or "", reason)
    content = [{"text": text}] if text else []
    return response([*content, *uses], stop_reason, _usage(answer))


def _usage(answer: Mapping[str, Any]) -> Document:
    billed = (answer.get("meta") or {}).get("billed_units") or {}
    return usage_of(answer, billed.get("input_tokens"), billed.get("output_tokens"))


COHERE: Final = Codec(name=_FORMAT.name, to_body=_to_body, to_response=_to_response)
