"""Cohere: Command (a prompt) and Command R (a message and its history)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from langchain_bedrock_opt.emulator.families.answers import (
    Body,
    Family,
    NativeCall,
    from_prompt,
    inference,
    required,
)
from langchain_bedrock_opt.emulator.replies.pieces import text_pieces

_REASONS: Final = {"max_tokens": "MAX_TOKENS", "stop_sequence": "STOP_SEQUENCE"}
_TYPES: Final = {
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "list": "array",
    "dict": "object",
}


def _config(body: Mapping[str, Any]) -> Body:
    return inference(
        maxTokens=body.get("max_tokens"),
        temperature=body.get("temperature"),
        topP=body.get("p"),
        stopSequences=body.get("stop_sequences"),
    )


def _reason(call: NativeCall) -> str:
    return _REASONS.get(call.reply.stop_reason, "COMPLETE")


def _command_to_converse(body: Mapping[str, Any]) -> Body:
    return from_prompt(required(body, "prompt", str), _config(body))


def _command_to_body(call: NativeCall) -> Body:
    generation = {
        "id": call.uuid("generation"),
        "text": f" {call.text}",
        "finish_reason": _reason(call),
    }
    return {"id": call.uuid("call"), "generations": [generation], "prompt": call.body["prompt"]}


def _command_to_chunks(call: NativeCall) -> Iterator[Body]:
    for piece in text_pieces(f" {call.text}"):
        yield {"is_finished": False, "text": piece}
    yield {"finish_reason": _reason(call), "is_finished": True}


def _chat_to_converse(body: Mapping[str, Any]) -> Body:
    roles = {"USER": "user", "CHATBOT": "assistant"}
    history = body.get("chat_history") or []
    messages = [
        {"role": roles[turn["role"]], "content": [{"text": turn.get("message", "")}]}
        for turn in history
        if turn.get("role") in roles
    ]
    request = from_prompt(required(body, "message", str), _config(body))
    request["messages"] = [*messages, *request["messages"]]
    if preamble := body.get("preamble"):
        request["system"] = [{"text": preamble}]
    if tools := body.get("tools"):
        request["toolConfig"] = {"tools": [_tool(tool) for tool in tools]}
    return request


def _tool(tool: Mapping[str, Any]) -> Body:
    """Command R describes parameters by Python's type names."""
    parameters: Mapping[str, Any] = tool.get("parameter_definitions") or {}
    properties = {
        name: {
            "type": _TYPES.get(str(parameter.get("type", "str")).lower(), "string"),
            "description": parameter.get("description", ""),
        }
        for name, parameter in parameters.items()
    }
    needed = [name for name, parameter in parameters.items() if parameter.get("required")]
    schema = {"type": "object", "properties": properties, "required": needed}
    return {
        "toolSpec": {
            "name": tool.get("name", ""),
            "description": tool.get("description") or "-",
            "inputSchema": {"json": schema},
        }
    }


def _chat_to_body(call: NativeCall) -> Body:
    turns = [
        *(call.body.get("chat_history") or []),
        {"role": "USER", "message": call.body["message"]},
        {"role": "CHATBOT", "message": call.text},
    ]
    body: Body = {
        "response_id": call.uuid("response"),
        "text": call.text,
        "generation_id": call.uuid("generation"),
        "chat_history": turns,
        "finish_reason": _reason(call),
    }
    if uses := call.tool_uses:
        body["tool_calls"] = [{"name": use["name"], "parameters": use["input"]} for use in uses]
    return body


def _chat_to_chunks(call: NativeCall) -> Iterator[Body]:
    whole = _chat_to_body(call)
    yield {
        "is_finished": False,
        "event_type": "stream-start",
        "generation_id": whole["generation_id"],
    }
    for piece in text_pieces(call.text):
        yield {"is_finished": False, "event_type": "text-generation", "text": piece}
    if "tool_calls" in whole:
        yield {
            "is_finished": False,
            "event_type": "tool-calls-generation",
            "tool_calls": whole["tool_calls"],
        }
    yield {
        "is_finished": True,
        "event_type": "stream-end",
        "response": whole,
        "finish_reason": _reason(call),
    }


COHERE_COMMAND: Final = Family(
    name="cohere-command",
    to_converse=_command_to_converse,
    to_body=_command_to_body,
    to_chunks=_command_to_chunks,
)
COHERE_CHAT: Final = Family(
    name="cohere-chat",
    to_converse=_chat_to_converse,
    to_body=_chat_to_body,
    to_chunks=_chat_to_chunks,
)
