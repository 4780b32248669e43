"""What is in messages, tools and requests that a model counts: texts, images, files, marks.

Blocks come in many forms: Converse's own, Anthropic's, OpenAI's and LangChain's standard ones. A
block is read by its `type`, or else by its one key, as Converse names it.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from langchain_bedrock_opt.catalog.tokens.classes import Counts, class_counts
from langchain_bedrock_opt.catalog.tokens.families import TokenFamily
from langchain_bedrock_opt.catalog.tokens.images import image_size

TOOL_CALL_TOKENS: Final = 12
"""The marks around a tool call or its result. A rule of thumb."""

PAGE_TOKENS: Final = 1_500
"""A page of a PDF. A rule of thumb: Anthropic's guide says 1,500 to 3,000 with its text."""

MEDIA_TOKENS: Final = 3_000
"""A video or an audio clip, whose length is not read: ten seconds of video for Nova."""

FILE_TOKENS: Final = 1_500
"""A file that is only named, as by an S3 location, or of a format that is not read."""

_BYTES_A_PAGE: Final = 50_000
"""A PDF's pages may be out of sight in compressed streams; then its size tells."""

_BYTES_A_TOKEN: Final = 20
"""Of an office document, which is compressed and full of markup."""

_TEXT_FORMATS: Final = frozenset({"txt", "md", "csv", "html", "text", "plain", "markdown"})
_PAGE: Final = re.compile(rb"/Type\s*/Page\b")


class Measured(NamedTuple):
    """What an estimate is made of.

    Attributes:
        counts: The characters of all its texts, by class.
        flat: Tokens of what is no text: images, files, and the marks around everything.
    """

    counts: Counts
    flat: float


class Reader:
    """Reads content, and adds up what is in it.

    Args:
        family: Says what images and marks count for.
    """

    def __init__(self, family: TokenFamily) -> None:
        self._family = family
        self._texts: list[str] = []
        self._flat = 0.0

    def measured(self) -> Measured:
        """What has been read so far."""
        return Measured(class_counts(" ".join(self._texts)), self._flat)

    def request(self, request: Mapping[str, Any]) -> None:
        """Read a Converse request: tools, system and messages."""
        self._flat += self._family.request
        config = request.get("toolConfig")
        self.tools(config.get("tools") or () if isinstance(config, Mapping) else ())
        self.content(request.get("system") or ())
        if output := request.get("outputConfig"):
            self._json(output)
        for message in request.get("messages") or ():
            self.message(message)

    def messages(self, messages: Iterable[Any]) -> None:
        """Read messages: LangChain's, or anything that it takes for one."""
        self._flat += self._family.request
        for message in messages:
            self.message(message)

    def message(self, message: Any) -> None:
        """Read one message."""
        self._flat += self._family.message
        if isinstance(message, str):
            self.content(message)
        elif isinstance(message, Mapping):
            self.content(message.get("content"))
            self._calls(message.get("tool_calls"), message.get("content"))
        elif isinstance(message, (tuple, list)):
            self.content(message[-1])
        else:
            self.content(message.content)
            self._calls(getattr(message, "tool_calls", None), message.content)

    def _calls(self, calls: Any, content: Any) -> None:
        """Tool calls beside a message's content, unless that has them as blocks."""
        if calls and not any(_kind(block) in _CALLS for block in _blocks(content)):
            for call in calls:
                self.call(call)

    def content(self, content: Any) -> None:
        """Read what stands in a message: a text, or blocks."""
        if isinstance(content, str):
            self._texts.append(content)
            return
        for block in _blocks(content):
            if isinstance(block, str):
                self._texts.append(block)
            elif isinstance(block, Mapping):
                read = _READERS.get(_kind(block))
                if read is None:
                    self._json(block)
                else:
                    read(self, block)

    def text(self, block: Mapping[str, Any]) -> None:
        """A block of text; its citations are marks of the service's own."""
        text = block.get("text")
        if isinstance(text, str):
            self._texts.append(text)

    def image(self, block: Mapping[str, Any]) -> None:
        """An image, by its size if that can be read."""
        data = next(_inline(block), None)
        self._flat += self._family.image.tokens(None if data is None else image_size(data))

    def media(self, _block: Mapping[str, Any]) -> None:
        """A video or an audio clip."""
        self._flat += MEDIA_TOKENS

    def document(self, block: Mapping[str, Any]) -> None:
        """A document: as text if it is one, else by its pages or its size."""
        document = _inner(block, "document")
        source = document.get("source")
        source = source if isinstance(source, Mapping) else document
        for name in ("name", "title", "context"):
            if isinstance(document.get(name), str):
                self._texts.append(document[name])
        if isinstance(source.get("text"), str):
            self._texts.append(source["text"])
        elif isinstance(source.get("content"), (str, list)):
            self.content(source["content"])
        elif source.get("type") == "text" and isinstance(source.get("data"), str):
            self._texts.append(source["data"])  # Anthropic's form of a text: no base64
        else:
            self._file(next(_inline(block), None), _format(document, source))

    def _file(self, data: bytes | str | None, kind: str) -> None:
        if data is None:
            self._flat += FILE_TOKENS
        elif kind in _TEXT_FORMATS:
            self._texts.append(_decoded(data).decode("utf-8", "replace"))
        else:
            # Base64 has four characters for three bytes.
            size = len(data) * 3 // 4 if isinstance(data, str) else len(data)
            if kind == "pdf":
                pages = 0 if isinstance(data, str) else len(_PAGE.findall(data))
                self._flat += PAGE_TOKENS * max(1, pages or size // _BYTES_A_PAGE)
            else:
                self._flat += FILE_TOKENS + size // _BYTES_A_TOKEN

    def call(self, block: Mapping[str, Any]) -> None:
        """A tool call."""
        function = _inner(_inner(block, "toolUse", "tool_use"), "function")
        self._flat += TOOL_CALL_TOKENS
        self._texts.append(str(function.get("name") or ""))
        for name in ("input", "args", "arguments"):
            if function.get(name):
                self._json(function[name])

    def result(self, block: Mapping[str, Any]) -> None:
        """The result of a tool call."""
        self._flat += TOOL_CALL_TOKENS
        self.content(_inner(block, "toolResult", "tool_result").get("content"))

    def reasoning(self, block: Mapping[str, Any]) -> None:
        """Reasoning; its signature is the service's own mark, and redacted it can't be read."""
        inner = _inner(block, "reasoningContent", "reasoning_content")
        inner = _inner(inner, "reasoningText", "reasoning_text")
        for name in ("text", "reasoning", "reasoning_content", "thinking"):
            if isinstance(inner.get(name), str):
                self._texts.append(inner[name])

    def inside(self, block: Mapping[str, Any]) -> None:
        """A block that holds others: text for a guardrail, or with citations."""
        self.text(block)
        for value in block.values():
            if isinstance(value, Mapping):
                inner = value.get("text", value.get("content"))
                self.content([inner] if isinstance(inner, Mapping) else inner)

    def wrapped(self, block: Mapping[str, Any]) -> None:
        """A block of a provider's own, as LangChain passes it on."""
        self.content([block.get("value")])

    def json_result(self, block: Mapping[str, Any]) -> None:
        """A result that is JSON."""
        self._json(block.get("json"))

    def nothing(self, _block: Mapping[str, Any]) -> None:
        """A cache point: no part of what the model reads."""

    def tools(self, tools: Iterable[Any]) -> None:
        """Read tools: of LangChain, of Converse, of OpenAI or of Anthropic, or functions."""
        found = [tool for tool in tools if _kind(tool) not in _NO_TOOLS]
        if not found:
            return
        self._flat += self._family.tools + len(found) * self._family.tool
        for tool in found:
            self._json(_tool(tool))

    def _json(self, value: Any) -> None:
        """What the model reads as JSON; bytes in it cost nothing."""
        if isinstance(value, str):
            self._texts.append(value)
        else:
            text = json.dumps(value, ensure_ascii=False, skipkeys=True, default=_no_json)
            self._texts.append(text)


def _decoded(data: bytes | str) -> bytes:
    """The bytes of a file; a text that is no base64 stands for itself."""
    if isinstance(data, bytes):
        return data
    try:
        return base64.b64decode(data, validate=True)
    except ValueError:
        return data.encode("utf-8", "surrogatepass")


def _no_json(value: Any) -> str:
    return "" if isinstance(value, (bytes, bytearray)) else str(value)


_READERS: Final[Mapping[str, Callable[[Reader, Mapping[str, Any]], None]]] = {
    **dict.fromkeys(("text", "input_text", "text-plain"), Reader.text),
    **dict.fromkeys(("image", "image_url", "input_image"), Reader.image),
    **dict.fromkeys(("video", "audio", "input_audio"), Reader.media),
    **dict.fromkeys(("document", "file", "input_file"), Reader.document),
    **dict.fromkeys(("toolUse", "tool_use", "tool_call", "function"), Reader.call),
    **dict.fromkeys(("server_tool_use", "invalid_tool_call"), Reader.call),
    **dict.fromkeys(("toolResult", "tool_result", "server_tool_result"), Reader.result),
    **dict.fromkeys(
        (
            "reasoningContent",
            "reasoning_content",
            "reasoning",
            "thinking",
            "redacted_thinking",
        ),
        Reader.reasoning,
    ),
    **dict.fromkeys(
        ("guardContent", "guard_content", "citationsContent", "citations_content"), Reader.inside
    ),
    "json": Reader.json_result,
    "non_standard": Reader.wrapped,
    **dict.fromkeys(("cachePoint", "cache_point"), Reader.nothing),
}

_CALLS: Final = frozenset({"toolUse", "tool_use", "tool_call", "server_tool_use"})
_NO_TOOLS: Final = frozenset({"cachePoint", "cache_point"})


def _blocks(content: Any) -> Iterable[Any]:
    return content if isinstance(content, (list, tuple)) else ()


def _kind(block: Any) -> str:
    """What a block is, by its type or by its first key that says it."""
    if not isinstance(block, Mapping):
        return ""
    kind = block.get("type")
    if isinstance(kind, str) and kind in _READERS:
        return kind
    return next((key for key in block if key in _READERS), "")


def _inner(block: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """What stands in a block under one of the names, as Converse nests it; else the block."""
    found = (block[name] for name in names if isinstance(block.get(name), Mapping))
    return next(found, block)


_DATA: Final = ("bytes", "data", "base64", "file_data", "url")


def _inline(block: Any) -> Iterator[bytes | str]:
    """The bytes, or the base64, that stand somewhere in an image's or a document's block."""
    if not isinstance(block, Mapping):
        return
    for key, value in block.items():
        if isinstance(value, Mapping):
            yield from _inline(value)
        elif isinstance(value, (bytes, bytearray)):
            yield bytes(value)
        elif isinstance(value, str) and key in _DATA:
            head, mark, data = value.partition(";base64,")
            if mark:
                yield data
            elif key != "url" and not head.startswith("data:"):
                yield value


def _format(document: Mapping[str, Any], source: Mapping[str, Any]) -> str:
    for place in (document, source):
        for name in ("format", "media_type", "mime_type"):
            if isinstance(place.get(name), str):
                return str(place[name]).partition(";")[0].rpartition("/")[2]
    return ""


def _tool(tool: Any) -> Any:
    """A tool as its model is told of it: name, description and schema; an unknown one as it is."""
    spec = _spec(tool)
    if not isinstance(spec, Mapping):
        return tool
    schema = spec.get("inputSchema") or spec.get("input_schema") or spec.get("parameters") or {}
    schema = schema.get("json", schema) if isinstance(schema, Mapping) else schema
    return {"name": spec.get("name"), "description": spec.get("description"), "schema": schema}


def _spec(tool: Any) -> Any:
    """Where a tool's name and schema stand; None if that is not known."""
    if isinstance(tool, Mapping):
        if "toolSpec" in tool:
            return tool["toolSpec"]
        if "input_schema" in tool:
            return tool
    from langchain_core.utils.function_calling import convert_to_openai_tool

    try:
        return convert_to_openai_tool(tool).get("function")
    except Exception:  # noqa: BLE001 - by the dozen, and their messages repeat the tool
        return None  # Bedrock's own tools, and whatever else says nothing of itself
