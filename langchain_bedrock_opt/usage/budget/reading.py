"""What a request can cost at most, read from what a callback is told when a run starts.

Token counts are upper bounds, not estimates: text and images by `catalog.tokens.bounds`, the rest
by the flat rules below, which lie above what models charge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from langchain_core.messages import AIMessage, BaseMessage

from langchain_bedrock_opt.catalog.specs import spec_of
from langchain_bedrock_opt.catalog.tokens.bounds import Most, most_around, most_tokens
from langchain_bedrock_opt.usage.recording.records import asked_tier, model_id_at_start

MESSAGE_TOKENS: Final = 8
"""The role and the marks around one message."""

KEY_TOKENS: Final = 3
"""A key with its marks where a model reads JSON."""

_IMAGES: Final = frozenset({"image", "image_url", "input_image"})
_MEDIA: Final = frozenset({"document", "file", "input_file", "video", "audio", "input_audio"})
_TOOL_CALLS: Final = frozenset({"tool_use", "toolUse", "tool_call"})
_CONTENT: Final = frozenset({"bytes", "data", "base64", "text", "file_data"})
"""Keys under which a document's block holds what is in it."""

_READ_BY_THE_MODEL: Final = (
    "tools",
    "tool_config",
    "toolConfig",
    "response_format",
    "output_config",
    "outputConfig",
)
"""Parameters of a call that become a part of its prompt."""

_NOTHING: Final[Mapping[str, Any]] = {}


@dataclass(slots=True)
class _Size:
    """What a prompt holds.

    Attributes:
        most: What the model can count for images, tools and what is around a prompt.
        tokens: Text and images.
        media: Documents, video and audio: a token for each of their bytes, which is far more
            than models charge.
        is_bounded: False if a document is only named, as by an S3 location.
    """

    most: Most
    tokens: int = 0
    media: int = 0
    is_bounded: bool = True

    def add_content(self, content: Any) -> None:
        """Count what stands in a message: a text, or blocks."""
        if not isinstance(content, list):
            self.add_plain(content)
            return
        for block in content:
            if isinstance(block, dict):
                self._add_block(block)
            else:
                self.add_plain(block)

    def add_plain(self, value: Any) -> None:
        """Count what the model reads as text or JSON, whatever its keys are called."""
        if isinstance(value, str):
            self.tokens += most_tokens(value)
        elif isinstance(value, dict):
            self.tokens += KEY_TOKENS * len(value)
            for key, item in value.items():
                self.add_plain(str(key))
                self.add_plain(item)
        elif isinstance(value, (list, tuple)):
            for item in value:
                self.add_plain(item)
        elif isinstance(value, (bytes, bytearray)):
            self.media += len(value)
        elif value is not None:
            self.tokens += most_tokens(str(value))

    def _add_block(self, block: dict[str, Any]) -> None:
        # LangChain's blocks name their type; Converse's have one key, which is the type.
        kind = str(block.get("type") or next(iter(block), ""))
        if kind in _IMAGES:
            self.tokens += self.most.image
            return
        if kind in _MEDIA:
            inline = sum(_inline_bytes(block))
            self.media += inline
            self.is_bounded &= inline > 0
            return
        self.tokens += KEY_TOKENS * len(block)
        for key, value in block.items():
            self.add_plain(str(key))
            if key == "content":
                self.add_content(value)
            elif key == "toolResult" and isinstance(value, dict):
                self._add_block(value)
            else:
                self.add_plain(value)


def _inline_bytes(value: Any) -> Iterator[int]:
    """The sizes of the texts and bytes in a document's block."""
    if isinstance(value, str):
        yield len(value.encode("utf-8", "surrogatepass"))
    elif isinstance(value, (bytes, bytearray)):
        yield len(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in _CONTENT or isinstance(item, (dict, list)):
                yield from _inline_bytes(item)
    elif isinstance(value, list):
        for item in value:
            yield from _inline_bytes(item)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is known of a call before it is made.

    Attributes:
        model_ids: The ids to look a price up by, the called one first; behind it the model that
            an ARN stands for, if the chat model was told.
        tier: The price tier that it asks for.
        region: The region it calls; None if not known.
        tags: The run's tags.
        metadata: The run's metadata.
        input_tokens: The most that its prompt can count; None if that is not known.
        output_tokens: The most that its answer can count; None if that is not known.
    """

    model_ids: tuple[str, ...]
    tier: str
    region: str | None
    tags: tuple[str, ...]
    metadata: Mapping[str, Any]
    input_tokens: int | None
    output_tokens: int | None


def read_request(
    serialized: Mapping[str, Any] | None,
    prompt: Sequence[BaseMessage] | str,
    event: Mapping[str, Any],
    *,
    margin: float,
    max_tokens: int | None,
) -> Request:
    """Read a call that is about to be made.

    Args:
        serialized: The model, as LangChain serializes it for callbacks.
        prompt: The messages, or the text.
        event: The other keyword arguments of the start event.
        margin: By how much an estimate of tokens may be too low.
        max_tokens: The longest answer where neither the call, the model nor the catalog says.
    """
    fields: Mapping[str, Any] = (serialized or _NOTHING).get("kwargs") or _NOTHING
    params: Mapping[str, Any] = event.get("invocation_params") or _NOTHING
    metadata: Mapping[str, Any] = event.get("metadata") or _NOTHING
    called = model_id_at_start(serialized, params, metadata)
    base = params.get("base_model_id") or fields.get("base_model_id") or fields.get("base_model")
    model_ids = (called, base) if base else (called,)
    specs = [spec for name in model_ids if (spec := spec_of(name)) is not None]
    size = _Size(most_around(base or called))
    size.tokens += size.most.request
    _add_prompt(size, prompt, fields, params)
    return Request(
        model_ids=model_ids,
        tier=asked_tier(serialized, params),
        region=(metadata.get("ls_invocation_params") or _NOTHING).get("region_name"),
        tags=tuple(event.get("tags") or ()),
        metadata=metadata,
        input_tokens=_bounded(size, specs[0].context_window if specs else None, margin),
        output_tokens=_asked_tokens(fields, params, metadata)
        or (specs[0].max_output_tokens if specs else None)
        or max_tokens,
    )


def _add_prompt(
    size: _Size,
    prompt: Sequence[BaseMessage] | str,
    fields: Mapping[str, Any],
    params: Mapping[str, Any],
) -> None:
    size.add_content(fields.get("system"))
    for name in _READ_BY_THE_MODEL:
        if value := params.get(name):
            size.add_plain(value)
            size.tokens += size.most.tools
    if isinstance(prompt, str):
        size.add_plain(prompt)
        return
    for message in prompt:
        size.tokens += MESSAGE_TOKENS
        size.add_content(message.content)
        # Blocks of Converse hold the calls; a message that is a text has them beside it.
        if isinstance(message, AIMessage) and message.tool_calls and not _has_calls(message):
            size.add_plain(message.tool_calls)


def _has_calls(message: AIMessage) -> bool:
    return any(
        isinstance(block, dict) and (block.get("type") or next(iter(block), "")) in _TOOL_CALLS
        for block in message.content
    )


def _bounded(size: _Size, window: int | None, margin: float) -> int | None:
    """The most that a prompt can count. What does not fit the context window is never answered.

    The margin does not carry an estimate beyond the window; one that lies beyond it without is
    left as it is, since some models take more where they are asked to.
    """
    tokens = size.tokens
    with_margin = -int(-tokens * margin // 1)
    if window is None:
        return with_margin + size.media if size.is_bounded else None
    media = min(size.media, window) if size.is_bounded else window
    return max(tokens, min(with_margin + media, window))


def _asked_tokens(
    fields: Mapping[str, Any], params: Mapping[str, Any], metadata: Mapping[str, Any]
) -> int | None:
    """The longest answer that the call or its model asks for; None if neither says."""
    extra = _first(
        ("additional_model_request_fields", "additionalModelRequestFields"), params, fields
    )
    reasoning = extra.get("reasoningConfig") if isinstance(extra, Mapping) else None
    if isinstance(reasoning, Mapping) and reasoning.get("maxReasoningEffort") == "high":
        return None  # langchain-aws sends no limit then
    config = _first(("inference_config", "inferenceConfig"), params)
    if isinstance(config, Mapping):
        return config.get("maxTokens")
    asked: int | None = (
        _first(("max_tokens", "maxTokens"), params)
        or metadata.get("ls_max_tokens")
        or _first(("max_tokens",), fields)
    )
    return asked


def _first(names: Sequence[str], *places: Mapping[str, Any]) -> Any:
    """The first value under any of the names, in the first place that has one."""
    for place in places:
        for name in names:
            if place.get(name) is not None:
                return place[name]
    return None
