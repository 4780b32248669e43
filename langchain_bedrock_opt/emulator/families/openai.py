"""The chat-completions format of OpenAI, which most newer families on Bedrock speak.

Also its older text completions (a `prompt` instead of `messages`), as imported models have them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from langchain_bedrock_opt.emulator.families.answers import (
    Body,
    Family,
    NativeCall,
    compact,
    decoded,
    from_prompt,
    inference,
    json_output,
    malformed,
    required,
)
from langchain_bedrock_opt.emulator.replies.pieces import text_pieces

_DATA_URL: Final = re.compile(r"data:image/(\w+);base64,(.*)", re.DOTALL)
_REASONS: Final = {"max_tokens": "length", "tool_use": "tool_calls"}
_CHOICES: Final[Mapping[str, Body]] = {
    "auto": {"auto": {}},
    "required": {"any": {}},
    "any": {"any": {}},
}


def to_converse(body: Mapping[str, Any]) -> Body:
    """A chat-completions (or completions) body as a Converse request."""
    stop = body.get("stop") or body.get("stop_sequences") or []
    config = inference(
        maxTokens=body.get("max_completion_tokens", body.get("max_tokens")),
        temperature=body.get("temperature"),
        topP=body.get("top_p", body.get("topP")),
        stopSequences=[stop] if isinstance(stop, str) else list(stop),
    )
    if "messages" not in body and "prompt" in body:
        return from_prompt(required(body, "prompt", str), config)
    request: Body = {"messages": [], "inferenceConfig": config}
    for message in required(body, "messages", list):
        _add(request, message)
    _add_tools(request, body)
    form = body.get("response_format") or {}
    if form.get("type") == "json_schema":
        request["outputConfig"] = json_output(form.get("json_schema", {}).get("schema", {}))
    return request


def _add(request: Body, message: Mapping[str, Any]) -> None:
    role = message.get("role")
    if role in ("system", "developer"):
        request.setdefault("system", []).extend(_blocks(message.get("content")))
    elif role == "tool":
        result = {
            "toolUseId": message.get("tool_call_id", ""),
            "content": _blocks(message.get("content")),
        }
        _append(request, "user", [{"toolResult": result}])
    elif role == "assistant":
        calls = [_tool_use(call) for call in message.get("tool_calls") or ()]
        _append(request, "assistant", [*_blocks(message.get("content")), *calls])
    elif role == "user":
        _append(request, "user", _blocks(message.get("content")))
    else:
        raise malformed()


def _append(request: Body, role: str, blocks: list[Body]) -> None:
    """Add a turn; Converse holds several messages of one role in one."""
    messages = request["messages"]
    if messages and messages[-1]["role"] == role:
        messages[-1]["content"].extend(blocks)
    else:
        messages.append({"role": role, "content": blocks})


def _blocks(content: Any) -> list[Body]:
    if content is None:
        return []
    if isinstance(content, str):
        return [{"text": content}] if content.strip() else []
    return [_block(part) for part in content]


def _block(part: Mapping[str, Any]) -> Body:
    if part.get("type") == "text":
        return {"text": part.get("text", "")}
    url = part.get("image_url", {})
    match = _DATA_URL.match(url.get("url", "") if isinstance(url, Mapping) else str(url))
    if not match:
        raise malformed()
    return {"image": {"format": match[1], "source": {"bytes": decoded(match[2])}}}


def _tool_use(call: Mapping[str, Any]) -> Body:
    function = call.get("function") or {}
    try:
        arguments = json.loads(function.get("arguments") or "{}")
    except ValueError as error:
        raise malformed() from error
    use = {"toolUseId": call.get("id", ""), "name": function.get("name", ""), "input": arguments}
    return {"toolUse": use}


def _add_tools(request: Body, body: Mapping[str, Any]) -> None:
    choice = body.get("tool_choice", "auto")
    if not body.get("tools") or choice == "none":
        return
    tools = [
        {
            "toolSpec": {
                "name": tool["function"]["name"],
                **_described(tool["function"]),
                "inputSchema": {"json": tool["function"].get("parameters") or {}},
            }
        }
        for tool in body["tools"]
    ]
    if isinstance(choice, Mapping):
        chosen: Body = {"tool": {"name": choice.get("function", {}).get("name", "")}}
    else:
        chosen = _CHOICES.get(choice, {"auto": {}})
    request["toolConfig"] = {"tools": tools, "toolChoice": chosen}
    if body.get("parallel_tool_calls") is False:
        fields = {"tool_choice": {"disable_parallel_tool_use": True}}
        request["additionalModelRequestFields"] = fields


def _described(function: Mapping[str, Any]) -> Body:
    """A tool's description; Converse takes none, but no empty one."""
    description = function.get("description")
    return {"description": description} if description else {}


def finish_reason(call: NativeCall) -> str:
    """Why the model stopped, in OpenAI's words."""
    return _REASONS.get(call.reply.stop_reason, "stop")


def message(call: NativeCall) -> Body:
    """The answer as an assistant message."""
    said: Body = {"role": "assistant", "content": call.text or None}
    if uses := call.tool_uses:
        said["tool_calls"] = [_tool_call(use) for use in uses]
    return said


def _tool_call(use: Mapping[str, Any]) -> Body:
    function = {"name": use["name"], "arguments": compact(use["input"])}
    return {"id": use["toolUseId"], "type": "function", "function": function}


def _usage(call: NativeCall) -> Body:
    return {
        "prompt_tokens": call.prompt_tokens,
        "completion_tokens": call.reply.output_tokens,
        "total_tokens": call.prompt_tokens + call.reply.output_tokens,
    }


def _to_body(call: NativeCall) -> Body:
    if "messages" not in call.body:
        return _completion(call, {"index": 0, "text": f" {call.text}", "logprobs": None})
    choice = {"finish_reason": finish_reason(call), "index": 0, "message": message(call)}
    return {
        "choices": [choice],
        "created": call.created,
        "id": f"chatcmpl-{call.uuid('chat')}",
        "model": call.model,
        "object": "chat.completion",
        "usage": _usage(call),
    }


def _completion(call: NativeCall, choice: Body) -> Body:
    return {
        "object": "text_completion",
        "id": "",
        "created": call.created,
        "model": call.model,
        "system_fingerprint": "emulated",
        "choices": [{**choice, "finish_reason": finish_reason(call)}],
        "usage": _usage(call),
    }


def _to_chunks(call: NativeCall) -> Iterator[Body]:
    key = "delta" if "messages" in call.body else "text"
    pieces: list[Any] = list(text_pieces(call.text))
    if key == "delta":
        pieces = [{"content": piece, "role": "assistant"} for piece in pieces]
        pieces += [
            {"tool_calls": [{"index": index, **_tool_call(use)}], "role": "assistant"}
            for index, use in enumerate(call.tool_uses)
        ]
    for piece in pieces:
        yield _chunk(call, {key: piece, "finish_reason": None, "index": 0})
    empty: Any = {} if key == "delta" else ""
    yield _chunk(call, {key: empty, "finish_reason": finish_reason(call), "index": 0})


def _chunk(call: NativeCall, choice: Body) -> Body:
    chat = "messages" in call.body
    return {
        "choices": [choice],
        "created": call.created,
        "id": f"chatcmpl-{call.uuid('chat')}",
        "model": call.model,
        "object": "chat.completion.chunk" if chat else "text_completion",
    }


OPENAI: Final = Family(
    name="openai", to_converse=to_converse, to_body=_to_body, to_chunks=_to_chunks
)
