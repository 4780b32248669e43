"""Claude: the Messages API, and the text completions that came before it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from langchain_bedrock_opt.emulator.families.answers import (
    Body,
    Family,
    NativeCall,
    decoded,
    from_prompt,
    inference,
    json_output,
    malformed,
    required,
)
from langchain_bedrock_opt.emulator.replies.digests import token
from langchain_bedrock_opt.emulator.replies.pieces import json_pieces, text_pieces
from langchain_bedrock_opt.emulator.types import ServiceFailure

# The tags as recorded with their refusal of another one (CountTokens, Claude Sonnet 4).
_TOOL_TAGS: Final = (
    "bash_20250124",
    "custom",
    "text_editor_20250124",
    "text_editor_20250429",
    "text_editor_20250728",
)
_HUMAN: Final = "\n\nHuman:"
_TURN: Final = re.compile(r"\s*(Human|Assistant):")
# These ids don't carry the name that the answer gives.
_SHORT_NAMES: Final[Mapping[str, str]] = {
    "claude-v2": "claude-2.0",
    "claude-v2:1": "claude-2.1",
    "claude-instant-v1": "claude-instant-1.2",
}


def _to_converse(body: Mapping[str, Any]) -> Body:
    if "messages" not in body and "prompt" in body:
        return _completion(body)
    messages = required(body, "messages", list)
    if "max_tokens" not in body:
        raise ServiceFailure("ValidationException", "max_tokens: Field required")
    request: Body = {
        "messages": [_message(message) for message in messages],
        "inferenceConfig": inference(
            maxTokens=body["max_tokens"],
            temperature=body.get("temperature"),
            topP=body.get("top_p"),
            stopSequences=body.get("stop_sequences"),
        ),
    }
    if system := body.get("system"):
        request["system"] = _blocks(system)
    if tools := _tools(body):
        request["toolConfig"] = tools
    _add_fields(request, body)
    return request


def _completion(body: Mapping[str, Any]) -> Body:
    most = required(body, "max_tokens_to_sample", int)
    prompt = required(body, "prompt", str)
    turns = _TURN.split(prompt)
    # What stands before the first marker is the system prompt; without markers all is the user's.
    messages = [
        {"role": "user" if role == "Human" else "assistant", "content": [{"text": text.strip()}]}
        for role, text in zip(turns[1::2], turns[2::2], strict=True)
        if text.strip()
    ]
    stops = [stop for stop in body.get("stop_sequences") or () if stop != _HUMAN]
    config = inference(
        maxTokens=most,
        temperature=body.get("temperature"),
        topP=body.get("top_p"),
        stopSequences=stops,
    )
    if not messages:
        return from_prompt(prompt, config)
    request: Body = {"messages": messages, "inferenceConfig": config}
    if system := turns[0].strip():
        request["system"] = [{"text": system}]
    return request


def _message(message: Any) -> Body:
    if not isinstance(message, Mapping) or "content" not in message:
        raise malformed()
    return {"role": message.get("role"), "content": _blocks(message["content"])}


def _blocks(content: Any) -> list[Body]:
    """Content as Converse's blocks; a `cache_control` becomes the cache point behind its block."""
    if isinstance(content, str):
        return [{"text": content}]
    blocks: list[Body] = []
    for block in content:
        blocks.append(_block(block))
        blocks += _cache_point(block)
    return blocks


def _cache_point(block: Mapping[str, Any]) -> list[Body]:
    control = block.get("cache_control")
    if not control:
        return []
    point = {"type": "default", **({"ttl": control["ttl"]} if "ttl" in control else {})}
    return [{"cachePoint": point}]


def _block(block: Mapping[str, Any]) -> Body:
    kind = block.get("type")
    if kind == "text":
        return {"text": block.get("text", "")}
    if kind in ("image", "document"):
        return _file(kind, block)
    if kind == "tool_use":
        use = {"toolUseId": block["id"], "name": block["name"], "input": block.get("input", {})}
        return {"toolUse": use}
    if kind == "tool_result":
        result: Body = {
            "toolUseId": block["tool_use_id"],
            "content": _blocks(block.get("content") or []),
        }
        return {"toolResult": {**result, "status": "error" if block.get("is_error") else "success"}}
    if kind == "thinking":
        thought = {"text": block.get("thinking", ""), "signature": block.get("signature", "")}
        return {"reasoningContent": {"reasoningText": thought}}
    if kind == "redacted_thinking":
        return {"reasoningContent": {"redactedContent": str(block.get("data", "")).encode()}}
    raise malformed()


def _file(kind: str, block: Mapping[str, Any]) -> Body:
    source = block.get("source") or {}
    # Converse wants a name for each document; here a title is a choice.
    named = {"name": block.get("title") or "document"} if kind == "document" else {}
    if source.get("type") == "text":
        return {kind: {**named, "format": "txt", "source": {"text": source.get("data", "")}}}
    if source.get("type") != "base64":
        raise malformed()
    form = str(source.get("media_type", "")).rpartition("/")[2]
    return {kind: {**named, "format": form, "source": {"bytes": decoded(source.get("data"))}}}


def _tools(body: Mapping[str, Any]) -> Body | None:
    choice = body.get("tool_choice") or {}
    if not body.get("tools") or choice.get("type") == "none":
        return None
    tools: list[Body] = []
    for index, tool in enumerate(body["tools"]):
        tools.append({"toolSpec": _tool(tool, index)})
        tools += _cache_point(tool)
    kind = choice.get("type", "auto")
    chosen = {"name": choice.get("name", "")} if kind == "tool" else {}
    return {"tools": tools, "toolChoice": {kind: chosen}}


def _tool(tool: Mapping[str, Any], index: int) -> Body:
    tag = tool.get("type", "custom")
    if tag not in _TOOL_TAGS:
        expected = ", ".join(f"'{known}'" for known in _TOOL_TAGS)
        raise ServiceFailure(
            "ValidationException",
            f"tools.{index}: Input tag '{tag}' found using 'type' does not match any of the "
            f"expected tags: {expected}",
        )
    spec: Body = {"name": tool.get("name", "")}
    if "description" in tool:
        spec["description"] = tool["description"]
    return {**spec, "inputSchema": {"json": tool.get("input_schema", {})}}


def _add_fields(request: Body, body: Mapping[str, Any]) -> None:
    """Thinking, parallel tool calls and the output format, where Converse has them."""
    fields = {key: body[key] for key in ("thinking", "top_k") if key in body}
    if (body.get("tool_choice") or {}).get("disable_parallel_tool_use"):
        fields["tool_choice"] = body["tool_choice"]
    if fields:
        request["additionalModelRequestFields"] = fields
    output = (body.get("output_config") or {}).get("format") or body.get("output_format") or {}
    if output.get("type") == "json_schema":
        request["outputConfig"] = json_output(output.get("schema", {}))


def _to_body(call: NativeCall) -> Body:
    if "messages" not in call.body:
        return {"type": "completion", "completion": f" {call.text}", **_completion_end(call)}
    return {
        **_head(call),
        "content": [_content(block) for block in call.reply.content],
        "stop_reason": call.reply.stop_reason,
        "stop_sequence": _stop_sequence(call),
        "usage": _usage(call),
    }


def _completion_end(call: NativeCall) -> Body:
    """A completion that ends by itself says that it would have gone on as the human."""
    reason = call.reply.stop_reason
    if reason == "max_tokens":
        return {"stop_reason": "max_tokens", "stop": None}
    stop = _stop_sequence(call) if reason == "stop_sequence" else _HUMAN
    return {"stop_reason": "stop_sequence", "stop": stop}


def _head(call: NativeCall) -> Body:
    name = call.model.partition(".")[2] or call.model
    return {
        "id": f"msg_bdrk_01{call.name('message')}",
        "type": "message",
        "role": "assistant",
        "model": _SHORT_NAMES.get(name) or re.sub(r"-v\d+(?::\w+)*$", "", name),
    }


def _stop_sequence(call: NativeCall) -> str | None:
    """The sequence that stopped it; a reply does not say which, so of several the first."""
    sequences: Sequence[str] = call.body.get("stop_sequences") or ()
    return sequences[0] if call.reply.stop_reason == "stop_sequence" and sequences else None


def _usage(call: NativeCall) -> Body:
    reply = call.reply
    usage: Body = {"input_tokens": reply.input_tokens}
    if reply.cache_read_tokens or reply.cache_write_tokens or _marks_cache(call.body):
        usage["cache_creation_input_tokens"] = reply.cache_write_tokens
        usage["cache_read_input_tokens"] = reply.cache_read_tokens
    return {**usage, "output_tokens": reply.output_tokens}


def _marks_cache(value: Any) -> bool:
    """Whether anything in a body is marked for the prompt cache."""
    if isinstance(value, Mapping):
        return "cache_control" in value or any(map(_marks_cache, value.values()))
    return isinstance(value, list) and any(map(_marks_cache, value))


def _content(block: Mapping[str, Any]) -> Body:
    if "toolUse" in block:
        use = block["toolUse"]
        return {
            "type": "tool_use",
            "id": _tool_id(use["toolUseId"]),
            "name": use["name"],
            "input": use["input"],
        }
    if "reasoningContent" in block:
        thought = block["reasoningContent"].get("reasoningText", {})
        signature = thought.get("signature", "")
        return {"type": "thinking", "thinking": thought.get("text", ""), "signature": signature}
    return {"type": "text", "text": block.get("text", "")}


def _tool_id(converse_id: str) -> str:
    return f"toolu_bdrk_01{token(converse_id)}"


def _to_chunks(call: NativeCall) -> Iterator[Body]:
    if "messages" not in call.body:
        yield from _completion_chunks(call)
        return
    usage = {**_usage(call), "output_tokens": min(2, call.reply.output_tokens)}
    start = {**_head(call), "content": [], "stop_reason": None, "stop_sequence": None}
    yield {"type": "message_start", "message": {**start, "usage": usage}}
    for index, block in enumerate(call.reply.content):
        content = _content(block)
        yield {"type": "content_block_start", "index": index, "content_block": _opened(content)}
        for delta in _deltas(content):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": call.reply.stop_reason, "stop_sequence": _stop_sequence(call)},
        "usage": {"output_tokens": call.reply.output_tokens},
    }
    yield {"type": "message_stop"}


def _opened(content: Body) -> Body:
    """A block as it starts: empty."""
    if content["type"] == "tool_use":
        return {**content, "input": {}}
    return {key: value if key == "type" else "" for key, value in content.items()}


def _deltas(content: Body) -> Iterator[Body]:
    if content["type"] == "tool_use":
        for piece in json_pieces(content["input"]):
            yield {"type": "input_json_delta", "partial_json": piece}
    elif content["type"] == "thinking":
        for piece in text_pieces(content["thinking"]):
            yield {"type": "thinking_delta", "thinking": piece}
        yield {"type": "signature_delta", "signature": content["signature"]}
    else:
        for piece in text_pieces(content["text"]):
            yield {"type": "text_delta", "text": piece}


def _completion_chunks(call: NativeCall) -> Iterator[Body]:
    for piece in text_pieces(f" {call.text}"):
        yield {"type": "completion", "completion": piece, "stop_reason": None, "stop": None}
    yield {"type": "completion", "completion": "", **_completion_end(call)}


ANTHROPIC: Final = Family(
    name="anthropic", to_converse=_to_converse, to_body=_to_body, to_chunks=_to_chunks
)
