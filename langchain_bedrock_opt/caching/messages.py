"""LangChain's messages, as its JSON has them, in the form of a Converse request.

So both doors of the cache count the same things. System messages that come first become `system`,
tool results blocks of a user's message, and messages of one role that follow each other become
one, as in langchain-aws. Content blocks are read in LangChain's own forms (v0 and v1), in Bedrock's
and in Anthropic's and OpenAI's; a block that is none of these counts as it is.

What is not known to be unseen by a model counts. Known to be unseen are ids of messages and those
that LangChain gives to blocks, usage, response metadata, artifacts, caching marks, positions in a
stream, of a tool's result the name, which its call has already, and in an answer's
`additional_kwargs` what is told elsewhere. An id that may stand for something else, such as that of
an uploaded file, of OpenAI's audio or of its `item_reference`, counts.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Container, Iterable, Mapping
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

_UNSEEN: Final = frozenset({"cache_control", "index"})
"""Parts of any block that a model does not see: caching marks, and positions in a stream."""

_OWN_ID: Final = "lc_"
"""Begins the ids that langchain-core gives to blocks, new ones each time."""

_EMPTY: Final[tuple[Any, ...]] = (None, "", [], {})

_READ: Final = frozenset(
    {
        "additional_kwargs",
        "artifact",
        "chunk_position",
        "content",
        "example",
        "id",
        "response_metadata",
        "role",
        "status",
        "tool_call_chunks",
        "tool_call_id",
        "tool_calls",
        "type",
        "usage_metadata",
    }
)
"""Fields of a message that are read by themselves, or known to be unseen by a model."""

_TOLD_ELSEWHERE: Final = frozenset(
    {
        "__openai_function_call_ids__",
        "amazon-bedrock-invocationMetrics",
        "amazon-bedrock-trace",
        "model_id",
        "model_name",
        "parsed",
        "stop_reason",
        "token_usage",
        "tool_calls",
        "trace",
        "usage",
    }
)
"""What in an answer's `additional_kwargs` repeats its content or its tool calls, or tells of the
call that brought it: langchain-aws's and langchain-openai's habits."""

_MEDIA_FIELDS: Final = frozenset(
    {"base64", "data", "id", "media_type", "mime_type", "source", "source_type", "type"}
)
"""What `_media` has read. The id of media whose bytes are there stands for nothing else."""

_NAMES: Final = ("name", "filename")

_CALL_FIELDS: Final = ("type", "id", "name", "input", "args", "partial_json")
_RESULT_FIELDS: Final = (
    *("type", "tool_use_id", "tool_call_id", "toolUseId"),
    *("is_error", "isError", "status", "content", "output"),
)

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,(.+)", re.DOTALL)


def converse_form(
    messages: Iterable[Mapping[str, Any]], *, with_kwargs: bool = True
) -> dict[str, Any]:
    """Messages as the `messages` and `system` of a Converse request.

    Args:
        messages: As `langchain_core.load.dumpd` gives them.
        with_kwargs: Whether the model may be sent what is in `additional_kwargs`.

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
        role, content = _message(message, with_kwargs=with_kwargs)
        if role == "system" and not merged:
            _append(system, content)
        elif merged and merged[-1]["role"] == role:
            _append(merged[-1]["content"], content)
        else:
            merged.append({"role": role, "content": content})
    return {"system": system, "messages": merged}


def _message(message: Mapping[str, Any], *, with_kwargs: bool) -> tuple[str, list[Block]]:
    """The role and the content of one message."""
    kind = str(message["id"][-1]).removesuffix("Chunk")
    fields: Mapping[str, Any] = message["kwargs"]
    role = _ROLES.get(kind) or f"{kind}:{fields.get('role', '')}"
    unseen = _READ
    if kind == "ToolMessage":
        role, content, unseen = "user", [_tool_result(fields)], _READ | {"name"}
    else:
        content = [block for block in _blocks(fields.get("content", "")) if _is_seen(block)]
    if kind == "AIMessage":
        content = _with_tool_calls(content, fields.get("tool_calls") or ())
    # Most of it is not for Converse, but other models are shown it.
    more = {name: value for name, value in fields.items() if name not in unseen}
    if with_kwargs:
        more["additional_kwargs"] = _kwargs(kind, fields.get("additional_kwargs") or {})
    return role, _with(content, more)


def _kwargs(kind: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """A message's `additional_kwargs`, without what an answer tells elsewhere."""
    told = _TOLD_ELSEWHERE if kind == "AIMessage" else frozenset()
    return {
        name: value
        for name, value in kwargs.items()
        if name not in told | _UNSEEN and value not in _EMPTY
    }


def _with(content: list[Block], more: Mapping[str, Any]) -> list[Block]:
    """Content with a block of what else the message holds, if it holds more."""
    rest = {name: value for name, value in more.items() if value not in _EMPTY}
    return [*content, {"more": rest}] if rest else content


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
    """Content as blocks."""
    if isinstance(content, str):
        return [{"text": content}]
    return [{"text": block} if isinstance(block, str) else _block(block) for block in content]


def _is_seen(block: Block) -> bool:
    """Whether a block of a message is no cache point and no empty text."""
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
    return {"block": _rest(block, ())}


def _rest(block: Mapping[str, Any], read: Container[str]) -> Block:
    """What a block holds beside the parts that are read, without what no model sees."""
    return {
        name: value
        for name, value in block.items()
        if name not in read
        and name not in _UNSEEN
        and value not in _EMPTY
        and not (name == "id" and str(value).startswith(_OWN_ID))
    }


def _beside(read: Block, rest: Block) -> Block:
    """A block that was read, with the rest of it, if there is one."""
    return {**read, "more": rest} if rest else read


def _text(block: Block) -> Block:
    # Its id, such as that of OpenAI's message, stands for nothing but this text.
    return {"text": block.get("text") or "", **_rest(block, ("type", "text", "id"))}


def _media(kind: str, block: Block) -> Block:
    """Media by their bytes; those that are only named, by an address or an id, by their name."""
    if kind in block:  # Bedrock's own form with a type beside it
        return _beside({kind: block[kind]}, _rest(block, ("type", kind)))
    said = block.get("source")
    source: Mapping[str, Any] = said if isinstance(said, Mapping) else {}  # Anthropic's form
    fields = {**block, **source}
    data = fields.get("base64") or fields.get("data")
    mime_type = fields.get("mime_type") or fields.get("media_type")
    is_inline = {block.get("source_type"), source.get("type")} <= {None, "base64"}
    if not data or not mime_type or not is_inline:
        return _unread(block)
    media: Block = {"format": _format(mime_type), "source": {"bytes": _decoded(data)}}
    name = _name(block)
    if name:
        media["name"] = name
    more = {**_rest(source, _MEDIA_FIELDS), **_rest(block, _MEDIA_FIELDS)}
    return {kind: {**media, **_without_name(more, name)}}


def _name(block: Block) -> Any:
    """The name of a document, which a model sees."""
    places = (block, block.get("metadata") or {}, block.get("extras") or {})
    return next((place[name] for place in places for name in _NAMES if place.get(name)), None)


def _without_name(more: Block, name: Any) -> Block:
    """What media hold beside their bytes, without the name that was read; other names count."""
    kept: Block = {}
    for part, value in more.items():
        if part in {"extras", "metadata"} and isinstance(value, Mapping):
            kept[part] = {k: v for k, v in value.items() if k not in _NAMES or v != name}
        elif part not in _NAMES or value != name:
            kept[part] = value
    return _rest(kept, ())


def _media_url(block: Block) -> Block:
    """OpenAI's images and videos; one that is not in the URL itself is named by it."""
    kind = str(block["type"]).removesuffix("_url")
    said = block[f"{kind}_url"]
    fields = {"url": said} if isinstance(said, str) else dict(said)
    match = _DATA_URL.fullmatch(fields.pop("url"))
    if match is None:
        return _unread(block)
    mime_type, data = match.groups()
    media = {"format": _format(mime_type), "source": {"bytes": _decoded(data)}, **fields}
    return _beside({kind: media}, _rest(block, ("type", f"{kind}_url", "id")))


def _format(mime_type: str) -> str:
    return _FORMATS.get(mime_type) or mime_type.partition("/")[2]


def _decoded(data: str) -> bytes | str:
    try:
        return b64decode(data, validate=True)
    except (Base64Error, ValueError):
        return data


def _tool_use(block: Block) -> Block:
    said = block.get("input") or block.get("args") or block.get("partial_json")
    if isinstance(said, str) and said:  # as it came in a stream
        said = json.loads(said)
    call = {"toolUseId": block.get("id"), "name": block["name"], "input": said or {}}
    return _beside({"toolUse": call}, _rest(block, _CALL_FIELDS))


def _result(block: Block) -> Block:
    tool_use_id = block.get("tool_use_id") or block.get("tool_call_id") or block.get("toolUseId")
    failed = block.get("is_error") or block.get("isError") or block.get("status") == "error"
    result = {
        "toolUseId": tool_use_id,
        "status": "error" if failed else "success",
        "content": _blocks(block.get("content", block.get("output", ""))),
    }
    return _beside({"toolResult": result}, _rest(block, _RESULT_FIELDS))


def _reasoning(block: Block) -> Block:
    """Reasoning in LangChain's, langchain-aws's and Anthropic's form."""
    fields = _rest(block, ("type", "reasoning_content", "reasoningContent"))
    said = block.get("reasoning_content") or block.get("reasoningContent") or {}
    fields |= said if isinstance(said, Mapping) else {"text": said}
    extras = dict(fields.pop("extras", {}))
    redacted = _first_of(fields, ("redactedContent", "redacted_content"))
    if redacted:
        rest = _rest({**fields, "extras": extras}, ())
        return _beside({"reasoningContent": {"redactedContent": redacted}}, rest)
    text = _first_of(fields, ("text", "reasoning", "thinking"))
    signature = _first_of(fields, ("signature",)) or _first_of(extras, ("signature",))
    if not text and not signature:
        return _unread(block)
    signed = {"signature": signature} if signature else {}
    read = {"reasoningContent": {"reasoningText": {"text": text or "", **signed}}}
    return _beside(read, _rest({**fields, "extras": extras}, ()))


def _first_of(fields: Block, names: Iterable[str]) -> Any:
    """The first field of these names that is not empty, which is taken out; None if none is."""
    return next((fields.pop(name) for name in names if fields.get(name)), None)


def _guard_content(block: Block) -> Block:
    read = {"guardContent": {"text": {"text": block["text"]}}}
    return _beside(read, _rest(block, ("type", "text")))


def _non_standard(block: Block) -> Block:
    """What LangChain wraps because it does not know it: most often a block of Bedrock's own."""
    value = block["value"]
    if not isinstance(value, dict):
        return _unread(block)
    read, rest = _block(value), _rest(block, ("type", "value"))
    return {"wrapped": read, "more": rest} if rest else read


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
    "guard_content": _guard_content,
    "non_standard": _non_standard,
}
