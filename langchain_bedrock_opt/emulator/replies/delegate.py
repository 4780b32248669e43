"""A brain that asks a LangChain chat model: real answers behind a local Bedrock."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.runnables import Runnable

from langchain_bedrock_opt.emulator.replies.digests import token
from langchain_bedrock_opt.emulator.replies.rules import limited
from langchain_bedrock_opt.emulator.types import Reply


class DelegatingResponder:
    """Answers with a chat model's words, as a `Responder`.

    Messages, tools and stop sequences are handed on, so is a forced tool; `maxTokens` cuts the
    answer afterwards, since chat models have no common name for it. Whatever the chat model
    raises passes through.

    Args:
        chat_model: Any LangChain chat model. It must be safe to call from several threads if the
            emulator is.

    Example:
        >>> from langchain_core.language_models import GenericFakeChatModel
        >>> brain = DelegatingResponder(GenericFakeChatModel(messages=iter(["Paris."])))
        >>> ask = {
        ...     "modelId": "m",
        ...     "messages": [{"role": "user", "content": [{"text": "Capital?"}]}],
        ... }
        >>> brain.reply(ask).content
        ({'text': 'Paris.'},)
    """

    def __init__(self, chat_model: BaseChatModel) -> None:
        self._chat_model = chat_model

    def reply(self, request: Mapping[str, Any]) -> Reply:
        """Answer a Converse request with the chat model's answer."""
        stop = (request.get("inferenceConfig") or {}).get("stopSequences") or None
        message = self._model(request).invoke(to_messages(request), stop=stop)
        reply = limited(request, list(_content(message, request)))
        usage = message.usage_metadata
        if not usage:
            return reply
        was_cut = reply.stop_reason in ("max_tokens", "stop_sequence")
        details = usage.get("input_token_details") or {}
        read, write = details.get("cache_read", 0) or 0, details.get("cache_creation", 0) or 0
        return replace(
            reply,
            # LangChain's input count includes the cache's part, Converse's does not.
            input_tokens=max(0, usage["input_tokens"] - read - write),
            # What was cut off is not billed here, though the chat model has written it.
            output_tokens=reply.output_tokens if was_cut else usage["output_tokens"],
            cache_read_tokens=read,
            cache_write_tokens=write,
        )

    def _model(self, request: Mapping[str, Any]) -> Runnable[Any, AIMessage]:
        config = request.get("toolConfig") or {}
        tools = [_tool(tool["toolSpec"]) for tool in config.get("tools", ()) if "toolSpec" in tool]
        if not tools:
            return self._chat_model
        choice = config.get("toolChoice") or {}
        if "tool" in choice:
            return self._chat_model.bind_tools(tools, tool_choice=choice["tool"]["name"])
        if "any" in choice:
            return self._chat_model.bind_tools(tools, tool_choice="any")
        return self._chat_model.bind_tools(tools)


def to_messages(request: Mapping[str, Any]) -> list[BaseMessage]:
    """A Converse request's system prompt and messages, as LangChain's messages.

    Example:
        >>> [
        ...     message.type
        ...     for message in to_messages(
        ...         {
        ...             "system": [{"text": "Be kind."}],
        ...             "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
        ...         }
        ...     )
        ... ]
        ['system', 'human']
    """
    messages: list[BaseMessage] = []
    system = "\n".join(block["text"] for block in request.get("system") or () if "text" in block)
    if system:
        messages.append(SystemMessage(system))
    for message in request.get("messages") or ():
        blocks = message.get("content", ())
        if message.get("role") == "assistant":
            messages.append(_assistant(blocks))
        else:
            messages += _user(blocks)
    return messages


def _assistant(blocks: Sequence[Mapping[str, Any]]) -> AIMessage:
    calls = [block["toolUse"] for block in blocks if "toolUse" in block]
    return AIMessage(
        content="".join(block.get("text", "") for block in blocks),
        tool_calls=[
            {"name": call["name"], "args": call["input"], "id": call["toolUseId"]} for call in calls
        ],
    )


def _user(blocks: Sequence[Mapping[str, Any]]) -> Iterator[BaseMessage]:
    """Tool results become messages of their own, ahead of what the user says."""
    for block in blocks:
        if result := block.get("toolResult"):
            yield ToolMessage(
                content=_parts(result.get("content", ())),
                tool_call_id=result["toolUseId"],
                status="error" if result.get("status") == "error" else "success",
            )
    rest = _parts([block for block in blocks if "toolResult" not in block])
    if rest:
        yield HumanMessage(rest)


def _parts(blocks: Sequence[Mapping[str, Any]]) -> Any:
    """Content blocks as LangChain's standard ones; plain text alone as a string."""
    parts = [part for part in map(_part, blocks) if part is not None]
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


def _part(block: Mapping[str, Any]) -> dict[str, Any] | None:
    if "text" in block:
        return {"type": "text", "text": block["text"]}
    if "json" in block:
        return {"type": "text", "text": json.dumps(block["json"], ensure_ascii=False)}
    if "image" in block:
        return _file("image", f"image/{block['image'].get('format', 'png')}", block["image"])
    if "document" in block:
        return _document(block["document"])
    return None


def _document(document: Mapping[str, Any]) -> dict[str, Any] | None:
    source = document.get("source", {})
    if "text" in source:
        return {"type": "text", "text": source["text"]}
    if document.get("format") == "pdf":
        return _file("file", "application/pdf", document)
    if "bytes" in source:
        return {"type": "text", "text": source["bytes"].decode("utf-8", "replace")}
    return None


def _file(kind: str, mime_type: str, block: Mapping[str, Any]) -> dict[str, Any] | None:
    data = block.get("source", {}).get("bytes")
    if data is None:
        return None
    return {"type": kind, "base64": base64.b64encode(data).decode(), "mime_type": mime_type}


def _tool(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A tool in the form that every chat model's `bind_tools` takes."""
    return {
        "type": "function",
        "function": {
            "name": spec["name"],
            "description": spec.get("description", ""),
            "parameters": spec.get("inputSchema", {}).get("json", {}),
        },
    }


def _content(message: AIMessage, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The answer's blocks as Converse has them; blocks of other kinds are left out."""
    for index, block in enumerate(message.content_blocks):
        if block["type"] == "text" and block["text"].strip():
            yield {"text": block["text"]}
        elif block["type"] == "reasoning" and block.get("reasoning"):
            yield {"reasoningContent": {"reasoningText": {"text": block["reasoning"]}}}
        elif block["type"] == "tool_call":
            yield {
                "toolUse": {
                    "toolUseId": block["id"] or f"tooluse_{token(request, index)}",
                    "name": block["name"],
                    "input": block["args"],
                }
            }
