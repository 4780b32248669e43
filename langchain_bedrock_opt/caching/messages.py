"""LangChain's messages, as its JSON has them, in the form of a Converse request.

So both doors of the cache count the same things. System messages that come first become `system`,
tool results blocks of a user's message, and messages of one role that follow each other become
one, as in langchain-aws. Content blocks are read in LangChain's own forms (v0 and v1), in Bedrock's
and in Anthropic's and OpenAI's; a block that is none of these counts as it is.

Not taken over are ids, usage, response metadata, artifacts, caching marks, and of a tool's result
the name, which its call has already.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

Block: TypeAlias = dict[str, Any]

_ROLES: Final = {"HumanMessage": "user", "AIMessage": "assistant", "SystemMessage": "system"}
_MEDIA: Final = {"image": "image", "file": "document", "video": "video", "audio": "audio"}
_FORMATS: Final = {
    "application/msword": "doc",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "text/markdown": "md",
    "text/plain": "txt",
    "video/quicktime": "mov",
    "video/x-matroska": "mkv",
}
"""The types whose format is not their second half."""

_UNSEEN: Final = frozenset({"cache_control", "index", "id"})
"""Parts of a text or media block that a model does not see."""

_MEDIA_FIELDS: Final = _UNSEEN | {
    "base64",
    "data",
    "extras",
    "filename",
    "media_type",
    "metadata",
    "mime_type",
    "name",
    "source",
    "source_type",
    "type",
}
"""What `_media` has read, or knows to be unseen."""

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,(.+)", re.DOTALL)


def converse_form(messages: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Messages as the `messages` and `system` of a Converse request.

    Args:
        messages: As `langchain_core.load.dumpd` gives them.

    Returns:
        A part of a request; for `caching.canonical` only, since it may hold blocks and roles
        that Bedrock does not know.

    Raises:
        AttributeError, LookupError, TypeError, ValueError: These are no messages of LangChain's.

    Example:
        >>> human = {"type": "constructor", "id": ["HumanMessage"], "kwargs": {"content": "Hi"}}
        >>> converse_form([human])
        {'system': [], 'messages': [{'role': 'user', 'content': [{'text': 'Hi'}]}]}
    """
    system: list[Block] = []
    merged: list[dict[str, Any]] = []
    for message in messages:
        role, content = _message(message)
        if role == "system" and not merged:
            _append(system, content)
        elif merged and merged[-1]["role"] == role:
            _append(merged[-1]["content"], content)
        else:
            merged.append({"role": role, "content": content})
    return {"system": system, "messages": merged}


def _message(message: Mapping[str, Any]) -> tuple[str, list[Block]]:
    """The role and the content of one message."""
    kind = str(message["id"][-1]).removesuffix("Chunk")
    fields: Mapping[str, Any] = message["kwargs"]
    if kind == "ToolMessage":
        return "user", [_tool_result(fields)]
    content = _blocks(fields.get("content", ""))
    if kind == "AIMessage":
        content = _with_tool_calls(content, fields.get("tool_calls") or ())
    role = _ROLES.get(kind) or f"{kind}:{fields.get('role', '')}"
    # Not for Converse, but other models are shown these.
    more = {
        "name": fields.get("name"),
        "invalid_tool_calls": fields.get("invalid_tool_calls"),
        # OpenAI's older form of a tool call. All else in there repeats what is said elsewhere.
        "function_call": (fields.get("additional_kwargs") or {}).get("function_call"),
    }
    if any(more.values()):
        content.append({"more": more})
    return role, content


def _append(content: list[Block], more: list[Block]) -> None:
    """Add a message's content to that of the message before it, which has the same role."""
    if [block.keys() for block in (*content, *more)] == [{"text"}, {"text"}]:
        # langchain-core joins two messages of one text each by a line end.
        content[0] = {"text": f"{content[0]['text']}\n{more[0]['text']}"}
    else:
        content += more


def _tool_result(fields: Mapping[str, Any]) -> Block:
    return {
        "toolResult": {
            "toolUseId": fields.get("tool_call_id"),
            "status": fields.get("status") or "success",
            "content": _blocks(fields.get("content", "")),
        }
    }


def _with_tool_calls(content: list[Block], calls: Iterable[Mapping[str, Any]]) -> list[Block]:
    """Content with the message's tool calls: in the place of the blocks that tell them too."""
    told = {block["toolUse"].get("toolUseId"): block for block in content if "toolUse" in block}
    for call in calls:
        block = {
            "toolUse": {"toolUseId": call.get("id"), "name": call["name"], "input": call["args"]}
        }
        if call.get("id") and call["id"] in told:  # two calls without ids are two calls
            told[call["id"]].update(block)
        else:
            content.append(block)
    return content


def _blocks(content: Any) -> list[Block]:
    """Content as blocks, without empty texts and cache points."""
    if isinstance(content, str):
        return [{"text": content}] if content.strip() else []
    blocks = [{"text": block} if isinstance(block, str) else _block(block) for block in content]
    return [block for block in blocks if _is_seen(block)]


def _is_seen(block: Block) -> bool:
    return bool(block["text"].strip()) if block.keys() == {"text"} else "cachePoint" not in block


def _block(block: Block) -> Block:
    """A content block as Converse has it; one that is not known, as it is."""
    kind = block.get("type")
    try:
        if kind in _READERS:
            return _READERS[kind](block)
        if kind in _MEDIA:
            return _media(_MEDIA[kind], block)
        # Bedrock's own blocks have no type, or one that only names them.
        if kind is None or kind in block:
            return {name: value for name, value in block.items() if name != "type"}
    except (AttributeError, LookupError, TypeError, ValueError):
        pass  # it only looks like one of these
    return _unread(block)


def _unread(block: Block) -> Block:
    return {"block": {name: value for name, value in block.items() if name not in _UNSEEN}}


def _text(block: Block) -> Block:
    said = {name: value for name, value in block.items() if name not in _UNSEEN and value}
    text = said.pop("text", "")
    said.pop("type")
    return {"text": text, **said}


def _media(kind: str, block: Block) -> Block:
    """Media by their bytes; those that are only named, by an address or an id, by their name."""
    if kind in block:  # Bedrock's own form with a type beside it
        return {kind: block[kind]}
    source = block.get("source")
    fields = {**block, **source} if isinstance(source, Mapping) else block  # Anthropic's form
    data = fields.get("base64") or fields.get("data")
    mime_type = fields.get("mime_type") or fields.get("media_type")
    if not data or not mime_type:
        return _unread(block)
    media: Block = {"format": _format(mime_type), "source": {"bytes": _decoded(data)}}
    name = _name(block)
    if name:
        media["name"] = name
    more = {name: value for name, value in block.items() if name not in _MEDIA_FIELDS and value}
    return {kind: {**media, **more}}


def _name(block: Block) -> Any:
    """The name of a document, which a model sees."""
    more = block.get("extras") or block.get("metadata") or {}
    names = (block.get("name"), block.get("filename"), more.get("name"), more.get("filename"))
    return next(filter(None, names), None)


def _media_url(block: Block) -> Block:
    """OpenAI's images and videos; one that is not in the URL itself is named by it."""
    kind = str(block["type"]).removesuffix("_url")
    said = block[f"{kind}_url"]
    fields = {"url": said} if isinstance(said, str) else dict(said)
    match = _DATA_URL.fullmatch(fields.pop("url"))
    if match is None:
        return _unread(block)
    mime_type, data = match.groups()
    return {kind: {"format": _format(mime_type), "source": {"bytes": _decoded(data)}, **fields}}


def _format(mime_type: str) -> str:
    return _FORMATS.get(mime_type) or mime_type.partition("/")[2]


def _decoded(data: str) -> bytes | str:
    try:
        return b64decode(data, validate=True)
    except (Base64Error, ValueError):
        return data


def _tool_use(block: Block) -> Block:
    name, said = block["name"], block.get("input", block.get("args"))
    if isinstance(said, str) and said:  # as it came in a stream
        said = json.loads(said)
    return {"toolUse": {"toolUseId": block.get("id"), "name": name, "input": said or {}}}


def _result(block: Block) -> Block:
    tool_use_id = block.get("tool_use_id") or block.get("tool_call_id") or block.get("toolUseId")
    failed = block.get("is_error") or block.get("isError") or block.get("status") == "error"
    return {
        "toolResult": {
            "toolUseId": tool_use_id,
            "status": "error" if failed else "success",
            "content": _blocks(block.get("content", block.get("output", ""))),
        }
    }


def _reasoning(block: Block) -> Block:
    """Reasoning in LangChain's, langchain-aws's and Anthropic's form."""
    said = block.get("reasoning_content") or block.get("reasoningContent") or block
    if not isinstance(said, Mapping):
        said = {"text": said}
    redacted = said.get("redactedContent") or said.get("redacted_content")
    if redacted:
        return {"reasoningContent": {"redactedContent": redacted}}
    text = said.get("text") or said.get("reasoning") or said.get("thinking") or ""
    extras = dict(block.get("extras") or {})
    signature = said.get("signature") or extras.pop("signature", None)
    if not text and not signature:
        return _unread(block)
    signed = {"signature": signature} if signature else {}
    read: Block = {"reasoningContent": {"reasoningText": {"text": text, **signed}}}
    return {**read, "extras": extras} if extras else read


def _non_standard(block: Block) -> Block:
    """What LangChain wraps because it does not know it: most often a block of Bedrock's own."""
    value = block["value"]
    return _block(value) if isinstance(value, dict) else _unread(block)


_READERS: Final[dict[Any, Callable[[Block], Block]]] = {
    "text": _text,
    "image_url": _media_url,
    "video_url": _media_url,
    "tool_use": _tool_use,
    "server_tool_use": _tool_use,
    "tool_call": _tool_use,
    "server_tool_call": _tool_use,
    "tool_result": _result,
    "server_tool_result": _result,
    "reasoning": _reasoning,
    "reasoning_content": _reasoning,
    "thinking": _reasoning,
    "guard_content": lambda block: {"guardContent": {"text": {"text": block["text"]}}},
    "non_standard": _non_standard,
}
