"""Claude: the Messages API.

How a blob of redacted reasoning and Claude's text for it correspond is unverified against AWS:
UTF-8 both ways here, and base64 for bytes that are no text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from langchain_bedrock_opt.batching.records.native.codec import (
    Codec,
    Document,
    Format,
    compact,
    encoded,
    json_schema,
    most_output,
    response,
    settings,
    usage_of,
    with_fields,
)

_FORMAT: Final = Format(
    "Claude", ("system", "toolConfig", "additionalModelRequestFields", "outputConfig")
)
_SETTINGS: Final = {
    "maxTokens": "max_tokens",
    "temperature": "temperature",
    "topP": "top_p",
    "stopSequences": "stop_sequences",
}
# Documents that are text travel as text; of the others Claude takes PDF alone.
_TEXTS: Final = ("txt", "md", "csv", "html")


def _to_body(request: Mapping[str, Any], base_model_id: str) -> Document:
    _FORMAT.check(request)
    body: Document = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": None,
        "messages": [
            {"role": message["role"], "content": _blocks(message["content"])}
            for message in request["messages"]
        ],
        **settings(request, _SETTINGS, _FORMAT),
    }
    if request.get("system"):
        body["system"] = _blocks(request["system"])
    if request.get("toolConfig"):
        body |= _tools(request["toolConfig"])
    wanted = json_schema(request)
    if wanted is not None:
        body["output_config"] = {"format": {"type": "json_schema", "schema": wanted["schema"]}}
    body = with_fields(body, request)
    body["max_tokens"] = body["max_tokens"] or most_output(base_model_id)
    return body


def _blocks(content: Iterable[Mapping[str, Any]]) -> list[Document]:
    blocks: list[Document] = []
    for block in content:
        kind, value = _FORMAT.block(block)
        if kind == "cachePoint":
            _mark(blocks, value)
        else:
            blocks.append(_block(kind, value))
    return blocks


def _mark(blocks: list[Document], point: Mapping[str, Any]) -> None:
    """Put a cache point onto the block before it, which is where Claude has it."""
    if not blocks:
        raise _FORMAT.refusal("A cachePoint with nothing before it")
    ttl = {"ttl": point["ttl"]} if "ttl" in point else {}
    blocks[-1]["cache_control"] = {"type": "ephemeral", **ttl}


def _block(kind: str, value: Any) -> Document:
    if kind == "text":
        return {"type": "text", "text": value}
    if kind == "image":
        data = encoded(_FORMAT.source(kind, value["source"]))
        source = {"type": "base64", "media_type": f"image/{value['format']}", "data": data}
        return {"type": "image", "source": source}
    if kind == "document":
        return _document(value)
    if kind == "toolUse":
        identity = {"id": value["toolUseId"], "name": value["name"]}
        return {"type": "tool_use", **identity, "input": value["input"]}
    if kind == "toolResult":
        return _tool_result(value)
    if kind == "reasoningContent":
        return _reasoning(value)
    raise _FORMAT.refusal(f"A content block {kind!r}")


def _document(value: Mapping[str, Any]) -> Document:
    source, form = value["source"], value["format"]
    block: Document = {"type": "document", "title": value["name"]}
    if "text" in source:
        block["source"] = {"type": "text", "media_type": "text/plain", "data": source["text"]}
    elif form in _TEXTS:
        text = _FORMAT.source("document", source).decode()
        block["source"] = {"type": "text", "media_type": "text/plain", "data": text}
    elif form == "pdf":
        data = encoded(_FORMAT.source("document", source))
        block["source"] = {"type": "base64", "media_type": "application/pdf", "data": data}
    else:
        raise _FORMAT.refusal(f"A document in the format {form!r}")
    for key in ("context", "citations"):
        if key in value:
            block[key] = value[key]
    return block


def _tool_result(value: Mapping[str, Any]) -> Document:
    content = [
        {"text": compact(item["json"])} if "json" in item else item for item in value["content"]
    ]
    result: Document = {
        "type": "tool_result",
        "tool_use_id": value["toolUseId"],
        "content": _blocks(content),
    }
    if value.get("status") == "error":
        result["is_error"] = True
    return result


def _reasoning(value: Mapping[str, Any]) -> Document:
    if "redactedContent" in value:
        return {"type": "redacted_thinking", "data": _redacted(value["redactedContent"])}
    thought = value["reasoningText"]
    signature = thought.get("signature", "")
    return {"type": "thinking", "thinking": thought["text"], "signature": signature}


def _redacted(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return encoded(data)


def _tools(config: Mapping[str, Any]) -> Document:
    tools: list[Document] = []
    for tool in config["tools"]:
        kind, value = _FORMAT.block(tool)
        if kind == "cachePoint":
            _mark(tools, value)
        elif kind == "toolSpec":
            tools.append(_tool(value))
        else:
            raise _FORMAT.refusal(f"A tool {kind!r}")
    if not config.get("toolChoice"):
        return {"tools": tools}
    kind, chosen = _FORMAT.block(config["toolChoice"])
    return {"tools": tools, "tool_choice": {"type": kind, **chosen}}


def _tool(spec: Mapping[str, Any]) -> Document:
    tool = {key: spec[key] for key in ("name", "description", "strict") if key in spec}
    return {**tool, "input_schema": spec["inputSchema"]["json"]}


def _to_response(answer: Mapping[str, Any]) -> Document:
    content = [_content(block) for block in answer["content"]]
    return response(content, answer.get("stop_reason"), _usage(answer))


def _content(block: Mapping[str, Any]) -> Document:
    kind = block["type"]
    if kind == "text":
        return {"text": block["text"]}
    if kind == "tool_use":
        identity = {"toolUseId": block["id"], "name": block["name"]}
        return {"toolUse": {**identity, "input": block["input"]}}
    if kind == "thinking":
        thought = {"text": block["thinking"], "signature": block.get("signature", "")}
        return {"reasoningContent": {"reasoningText": thought}}
    if kind == "redacted_thinking":
        return {"reasoningContent": {"redactedContent": block["data"].encode()}}
    raise ValueError(f"a content block of the type {kind!r}")


def _usage(answer: Mapping[str, Any]) -> Document:
    counts = answer.get("usage") or {}
    usage = usage_of(
        answer,
        counts.get("input_tokens"),
        counts.get("output_tokens"),
        counts.get("cache_read_input_tokens"),
        counts.get("cache_creation_input_tokens"),
    )
    written = counts.get("cache_creation") or {}
    details = [
        {"ttl": ttl, "inputTokens": written[f"ephemeral_{ttl}_input_tokens"]}
        for ttl in ("5m", "1h")
        if written.get(f"ephemeral_{ttl}_input_tokens")
    ]
    return {**usage, "cacheDetails": details} if details else usage


ANTHROPIC: Final = Codec(name="Claude", to_body=_to_body, to_response=_to_response)
