"""Chat completions, which gpt-oss, DeepSeek, Qwen, Mistral and most newer families speak.

Where gpt-oss puts its reasoning is as users report it (in `<reasoning>` marks before the answer),
and that a history's reasoning is taken as `reasoning_content` is unverified against AWS.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from langchain_bedrock_opt.batching.records.native.codec import (
    Codec,
    Document,
    Format,
    compact,
    encoded,
    json_schema,
    parsed,
    response,
    settings,
    usage_of,
    with_fields,
)

_KEYS: Final = ("system", "toolConfig", "additionalModelRequestFields", "outputConfig")
_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "model_length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "content_filtered",
}
_THOUGHT: Final = re.compile(r"\s*<reasoning>(.*?)</reasoning>", re.DOTALL)


class ChatCompletions:
    """One flavour of the format.

    Args:
        name: What errors call it.
        max_tokens: The name of the limit of output.
        any_tool: What says that some tool must be called.
        names_tool: Whether the tool that must be called can be named.
        marks_reasoning: Whether an answer's reasoning stands in marks in front of it.
    """

    def __init__(
        self,
        name: str,
        *,
        max_tokens: str = "max_tokens",
        any_tool: str = "required",
        names_tool: bool = True,
        marks_reasoning: bool = False,
    ) -> None:
        self.name = name
        self._format = Format(name, _KEYS)
        self._any_tool = any_tool
        self._names_tool = names_tool
        self._marks_reasoning = marks_reasoning
        self._settings = {
            "maxTokens": max_tokens,
            "temperature": "temperature",
            "topP": "top_p",
            "stopSequences": "stop",
        }

    def to_body(self, request: Mapping[str, Any], _base_model_id: str) -> Document:
        """A Converse request as a chat-completions body."""
        self._format.check(request)
        messages: list[Document] = []
        if request.get("system"):
            messages.append({"role": "system", "content": self._content(request["system"])})
        for message in request["messages"]:
            messages.extend(self._messages(message))
        body: Document = {
            "messages": messages,
            **settings(request, self._settings, self._format),
        }
        if request.get("toolConfig"):
            body |= self._tools(request["toolConfig"])
        wanted = json_schema(request)
        if wanted is not None:
            schema = {"name": wanted.get("name", "output"), "schema": wanted["schema"]}
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {**schema, "strict": True},
            }
        return with_fields(body, request)

    def _messages(self, message: Mapping[str, Any]) -> Iterator[Document]:
        """The messages that one of Converse's becomes: each tool's result is one of its own."""
        if message["role"] == "assistant":
            yield self._assistant(message["content"])
            return
        rest: list[Mapping[str, Any]] = []
        for block in message["content"]:
            kind, value = self._format.block(block)
            if kind != "toolResult":
                rest.append(block)
                continue
            if rest:  # in the order they are said
                yield {"role": "user", "content": self._content(rest)}
                rest = []
            yield self._tool_result(value)
        if rest:
            yield {"role": "user", "content": self._content(rest)}

    def _tool_result(self, value: Mapping[str, Any]) -> Document:
        # The format has no place for a result's status: its text says what went wrong.
        parts = [
            {"text": compact(item["json"])} if "json" in item else item for item in value["content"]
        ]
        identity = {"role": "tool", "tool_call_id": value["toolUseId"]}
        return {**identity, "content": self._format.text(parts)}

    def _assistant(self, content: Sequence[Mapping[str, Any]]) -> Document:
        texts: list[Mapping[str, Any]] = []
        calls: list[Document] = []
        thoughts: list[str] = []
        for block in content:
            kind, value = self._format.block(block)
            if kind == "toolUse":
                function = {"name": value["name"], "arguments": compact(value["input"])}
                calls.append({"id": value["toolUseId"], "type": "function", "function": function})
            elif kind == "reasoningContent" and "reasoningText" in value:
                thoughts.append(value["reasoningText"]["text"])
            else:
                texts.append(block)
        said: Document = {"role": "assistant", "content": self._content(texts) if texts else None}
        if calls:
            said["tool_calls"] = calls
        if thoughts:
            said["reasoning_content"] = "\n".join(thoughts)
        return said

    def _content(self, blocks: Sequence[Mapping[str, Any]]) -> Any:
        """One text as a string; anything else as parts."""
        parts = [self._part(*self._format.block(block)) for block in blocks]
        if len(parts) == 1 and parts[0]["type"] == "text":
            return parts[0]["text"]
        return parts

    def _part(self, kind: str, value: Any) -> Document:
        if kind == "text":
            return {"type": "text", "text": value}
        if kind == "image":
            data = encoded(self._format.source(kind, value["source"]))
            url = {"url": f"data:image/{value['format']};base64,{data}"}
            return {"type": "image_url", "image_url": url}
        raise self._format.refusal(f"A content block {kind!r}")

    def _tools(self, config: Mapping[str, Any]) -> Document:
        tools = []
        for tool in config["tools"]:
            kind, spec = self._format.block(tool)
            if kind != "toolSpec":
                raise self._format.refusal(f"A tool {kind!r}")
            function = {key: spec[key] for key in ("name", "description", "strict") if key in spec}
            function["parameters"] = spec["inputSchema"]["json"]
            tools.append({"type": "function", "function": function})
        if not config.get("toolChoice"):
            return {"tools": tools}
        return {"tools": tools, "tool_choice": self._tool_choice(config["toolChoice"], len(tools))}

    def _tool_choice(self, choice: Mapping[str, Any], tools: int) -> Any:
        kind, chosen = self._format.block(choice)
        if kind == "auto":
            return "auto"
        if kind == "any" or (tools == 1 and not self._names_tool):
            return self._any_tool
        if not self._names_tool:
            raise self._format.refusal("A choice of one tool of several")
        return {"type": "function", "function": {"name": chosen["name"]}}

    def to_response(self, answer: Mapping[str, Any]) -> Document:
        """A chat completion as a Converse response."""
        choice = answer["choices"][0]
        said = choice["message"]
        content = [*_thoughts(said), *_texts(said, is_marked=self._marks_reasoning)]
        uses = [_tool_use(call) for call in said.get("tool_calls") or ()]
        reason = choice.get("finish_reason", choice.get("stop_reason"))
        stop_reason = _REASONS.get(reason, reason)
        if any("text" in use for use in uses):
            stop_reason = "malformed_tool_use"
        return response([*content, *uses], stop_reason, _usage(answer))


def _thoughts(said: Mapping[str, Any]) -> Iterator[Document]:
    thought = said.get("reasoning_content") or said.get("reasoning")
    if isinstance(thought, str) and thought:
        yield {"reasoningContent": {"reasoningText": {"text": thought}}}


def _texts(said: Mapping[str, Any], *, is_marked: bool) -> Iterator[Document]:
    content = said.get("content")
    if isinstance(content, list):
        content = "".join(part.get("text", "") for part in content)
    text: str = content or ""
    marked = _THOUGHT.match(text) if is_marked else None
    if marked is not None:
        yield {"reasoningContent": {"reasoningText": {"text": marked[1]}}}
        text = text[marked.end() :]
    if text:
        yield {"text": text}


def _tool_use(call: Mapping[str, Any]) -> Document:
    function = call["function"]
    arguments = function.get("arguments") or "{}"
    try:
        given = parsed(arguments) if isinstance(arguments, str) else arguments
    except ValueError:
        given = None
    if not isinstance(given, dict):  # paid for all the same: shown as the text that it is
        return {"text": str(arguments)}
    return {"toolUse": {"toolUseId": call["id"], "name": function["name"], "input": given}}


def _usage(answer: Mapping[str, Any]) -> Document:
    counts = answer.get("usage") or {}
    read = (counts.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    given = counts.get("prompt_tokens")
    fresh = None if given is None else given - read
    return usage_of(answer, fresh, counts.get("completion_tokens"), read)


def _codec(speaker: ChatCompletions) -> Codec:
    return Codec(name=speaker.name, to_body=speaker.to_body, to_response=speaker.to_response)


OPENAI: Final = _codec(ChatCompletions("chat completions"))
GPT_OSS: Final = _codec(
    ChatCompletions("gpt-oss", max_tokens="max_completion_tokens", marks_reasoning=True)
)
MISTRAL: Final = _codec(ChatCompletions("Mistral's chat", any_tool="any", names_tool=False))
