"""Amazon Nova: `messages-v1`, which is Converse with other names and base64."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from langchain_bedrock_opt.emulator.families.answers import (
    Body,
    Family,
    NativeCall,
    compact,
    decoded,
    inference,
    required,
)
from langchain_bedrock_opt.emulator.replies.pieces import text_pieces


def _to_converse(body: Mapping[str, Any]) -> Body:
    messages = required(body, "messages", list)
    config = body.get("inferenceConfig") or {}
    request: Body = {
        "messages": _with_bytes(messages),
        "inferenceConfig": inference(
            # Both spellings are on record.
            maxTokens=config.get("maxTokens", config.get("max_new_tokens")),
            temperature=config.get("temperature"),
            topP=config.get("topP", config.get("top_p")),
            stopSequences=config.get("stopSequences"),
        ),
    }
    for key in ("system", "toolConfig"):
        if body.get(key):
            request[key] = body[key]
    if "reasoningConfig" in config:
        fields = {"reasoningConfig": config["reasoningConfig"]}
        request["additionalModelRequestFields"] = fields
    return request


def _with_bytes(value: Any) -> Any:
    """The same document with the base64 of its files decoded."""
    if isinstance(value, list):
        return [_with_bytes(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: decoded(item) if key == "bytes" and isinstance(item, str) else _with_bytes(item)
        for key, item in value.items()
    }


def _to_body(call: NativeCall) -> Body:
    reply = call.reply
    total = call.prompt_tokens + reply.output_tokens
    return {
        "output": {"message": {"content": [dict(b) for b in reply.content], "role": "assistant"}},
        "stopReason": reply.stop_reason,
        "usage": {
            "inputTokens": reply.input_tokens,
            "outputTokens": reply.output_tokens,
            "totalTokens": total,
            "cacheReadInputTokenCount": reply.cache_read_tokens,
            "cacheWriteInputTokenCount": reply.cache_write_tokens,
        },
    }


def _to_chunks(call: NativeCall) -> Iterator[Body]:
    reply = call.reply
    yield {"messageStart": {"role": "assistant"}}
    index = 0
    for block in reply.content:
        if "toolUse" in block:
            use = block["toolUse"]
            start = {"toolUse": {"toolUseId": use["toolUseId"], "name": use["name"]}}
            yield {"contentBlockStart": {"start": start, "contentBlockIndex": index}}
            yield _delta({"toolUse": {"input": compact(use["input"])}}, index)
            yield {"contentBlockStop": {"contentBlockIndex": index}}
            index += 2  # recorded streams leave a number out after each tool call
        elif "reasoningContent" in block:
            yield _delta(dict(block), index)
            yield {"contentBlockStop": {"contentBlockIndex": index}}
            index += 1
        else:
            # Unlike ConverseStream, each piece of text is a block of its own here.
            for piece in text_pieces(block.get("text", "")):
                yield _delta({"text": piece}, index)
                yield {"contentBlockStop": {"contentBlockIndex": index}}
                index += 1
    yield {"messageStop": {"stopReason": reply.stop_reason}}
    usage = {
        "inputTokens": reply.input_tokens,
        "outputTokens": reply.output_tokens,
        "cacheReadInputTokenCount": reply.cache_read_tokens,
        "cacheWriteInputTokenCount": reply.cache_write_tokens,
    }
    yield {"metadata": {"usage": usage, "metrics": {}, "trace": {}}}


def _delta(delta: Body, index: int) -> Body:
    return {"contentBlockDelta": {"delta": delta, "contentBlockIndex": index}}


NOVA: Final = Family(
    name="nova",
    to_converse=_to_converse,
    to_body=_to_body,
    to_chunks=_to_chunks,
    cache_metrics=True,
)
