"""LangChain's generations as bytes, and back as hits.

A message is stored as the plain data of its pydantic model. It is rebuilt as an `AIMessage` and as
nothing else: no class is named by the data, as it is for `langchain_core.load.loads`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    BaseMessageChunk,
    message_chunk_to_message,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, Generation

from langchain_bedrock_opt.caching.codec import EntryCodec, read_opened
from langchain_bedrock_opt.contracts import REPORT_KEY, CacheReport, TokenUsage
from langchain_bedrock_opt.errors import CacheStoreError

GENERATIONS_TAG: Final = b"BRg2"
"""Begins the entry of a list of generations."""

_CUT = frozenset(
    {
        "content_filter",
        "content_filtered",
        "guardrail_intervened",
        "length",
        "malformed_model_output",
        "malformed_tool_use",
        "max_tokens",
        "model_context_window_exceeded",
        "safety",
    }
)
"""Reasons, in the words of several providers, why an answer is not whole."""
_REASONS = ("stopReason", "stop_reason", "finish_reason")
_FIELDS = (
    "content",
    "additional_kwargs",
    "response_metadata",
    "tool_calls",
    "invalid_tool_calls",
    "usage_metadata",
    "name",
)
"""What is kept of a message, where it is not empty; its id is not."""

_OF_ONE_CALL = "ResponseMetadata"
"""Where boto3 tells of one HTTP call: its request id, headers and date. A hit made none."""

_EMPTY_MESSAGE: Final = AIMessage("")
_EMPTY_GENERATION: Final = ChatGeneration(message=_EMPTY_MESSAGE)

_NOTHING_SPENT: UsageMetadata = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}


def are_worth_keeping(generations: Sequence[Generation]) -> bool:
    """Whether every generation is whole and says something.

    Example:
        >>> are_worth_keeping([Generation(text="Hi")]), are_worth_keeping([Generation(text="")])
        (True, False)
    """
    return bool(generations) and all(map(_is_worth_keeping, generations))


def _is_worth_keeping(generation: Generation) -> bool:
    facts = dict(generation.generation_info or {})
    tool_calls: Sequence[Any] = ()
    if isinstance(generation, ChatGeneration):
        facts |= generation.message.response_metadata
        tool_calls = getattr(generation.message, "tool_calls", ())
    whole = all(str(facts.get(name)).lower() not in _CUT for name in _REASONS)
    return whole and bool(tool_calls or generation.text.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredGenerations:
    """Generations out of a cache. They are the caller's own; `mark_hit` makes a hit of them.

    Attributes:
        generations: As the model gave them, but for the ids of their messages.
        saved: The tokens that they cost the first time.
        meta: What the cache noted about them.
    """

    generations: list[Generation]
    saved: TokenUsage
    meta: dict[str, Any]


def encode_generations(
    codec: EntryCodec, key: str, generations: Sequence[Generation], *, meta: Mapping[str, Any]
) -> bytes:
    """Generations as the bytes of a cache entry, without the ids of their messages.

    Args:
        codec: Makes the bytes.
        key: The cache key that the entry will have.
        generations: What a model answered.
        meta: What the cache notes about it: JSON-like.

    Raises:
        CacheStoreError: One holds something that can't be stored, or is no model's answer.

    Example:
        >>> codec = EntryCodec()
        >>> data = encode_generations(codec, "key", [Generation(text="Hi")], meta={"at": 7.0})
        >>> read_generations(codec.open("key", data)).generations
        [Generation(text='Hi')]
    """
    document = {
        "meta": dict(meta),
        "generations": [_stored(generation) for generation in generations],
        "saved": sum(map(_spent, generations), TokenUsage()).as_dict(),
    }
    return codec.encode(key, GENERATIONS_TAG, document)


def _stored(generation: Generation) -> dict[str, Any]:
    stored: dict[str, Any] = {}
    if generation.generation_info is not None:
        stored["info"] = generation.generation_info
    if not isinstance(generation, ChatGeneration):
        return {**stored, "text": generation.text}
    message: BaseMessage = generation.message
    if isinstance(message, BaseMessageChunk):
        message = message_chunk_to_message(message)
    if not isinstance(message, AIMessage):
        raise CacheStoreError(f"a {type(message).__name__} is no model's answer")
    fields: dict[str, Any] = dict(message.model_extra or ())
    for name in _FIELDS:
        value = getattr(message, name)
        # An empty text is not None, and for the content not an empty list.
        if value or isinstance(value, str) or name == "content":
            fields[name] = value
    metadata = fields.get("response_metadata")
    if metadata and _OF_ONE_CALL in metadata:
        kept = {name: value for name, value in metadata.items() if name != _OF_ONE_CALL}
        fields["response_metadata"] = kept
    stored["message"] = fields
    if generation.text != _first_text(message.content):
        stored["text"] = generation.text
    return stored


def _first_text(content: Any) -> str:
    """The first text of a message's content, which is most often all its text."""
    if isinstance(content, str):
        return content
    for block in content:
        if isinstance(block, dict) and "text" in block:
            return str(block["text"])
    return ""


def read_generations(opened: bytes) -> StoredGenerations:
    """Generations out of an entry that was opened (`EntryCodec.open`).

    Raises:
        CacheStoreError: It is no entry of this kind and version.
    """
    document = read_opened(GENERATIONS_TAG, opened)
    try:
        return StoredGenerations(
            generations=[_generation(stored) for stored in document["generations"]],
            saved=TokenUsage(**document["saved"]),
            meta=document["meta"],
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CacheStoreError("a cache entry holds no generations") from error


def _generation(stored: Mapping[str, Any]) -> Generation:
    fields = stored.get("message")
    info = stored.get("info")
    if fields is None:
        return Generation(text=stored["text"], generation_info=info)
    content = fields["content"]
    if not isinstance(content, (str, list)):
        raise TypeError(type(content).__name__)
    # Validating again would take five times as long. What is in the entry came out of a valid
    # message, and nobody has changed it since: that is what its seal says.
    message = _EMPTY_MESSAGE.model_copy(
        update={
            "additional_kwargs": {},
            "response_metadata": {},
            "tool_calls": [],
            "invalid_tool_calls": [],
            **fields,
        }
    )
    text = stored["text"] if "text" in stored else _first_text(content)
    return _EMPTY_GENERATION.model_copy(
        update={"message": message, "text": text, "generation_info": info}
    )


def mark_hit(stored: StoredGenerations, report: CacheReport) -> list[Generation]:
    """Make a hit of generations that were just decoded; they are changed in place.

    Each message has no id, so that it is a new one for whoever keeps messages apart by id, and
    no tokens spent: the zero that LangChain adds as `total_cost` then says no more. The report is
    in `response_metadata["bedrock_opt"]["cache"]`, beside what else the first call was told.

    Args:
        stored: From `read_generations`. Read again for another hit.
        report: What the cache did; each message gets its own copy.

    Returns:
        The generations.
    """
    for generation in stored.generations:
        if isinstance(generation, ChatGeneration):
            message = generation.message
            metadata = message.response_metadata
            told = metadata.get(REPORT_KEY)
            kept = told if isinstance(told, dict) else {}
            metadata[REPORT_KEY] = {**kept, "cache": {**report}}
            if getattr(message, "usage_metadata", None):
                message.usage_metadata = UsageMetadata(**_NOTHING_SPENT)  # type: ignore[attr-defined]
    return stored.generations


def _spent(generation: Generation) -> TokenUsage:
    """LangChain's usage metadata in the kinds that Bedrock bills."""
    message = getattr(generation, "message", None)
    usage: Mapping[str, Any] = getattr(message, "usage_metadata", None) or {}
    details = usage.get("input_token_details") or {}
    read = details.get("cache_read", 0)
    written_5m = details.get("cache_creation", 0) + details.get("ephemeral_5m_input_tokens", 0)
    written_1h = details.get("ephemeral_1h_input_tokens", 0)
    return TokenUsage(
        input=max(0, usage.get("input_tokens", 0) - read - written_5m - written_1h),
        output=usage.get("output_tokens", 0),
        cache_read=read,
        cache_write_5m=written_5m,
        cache_write_1h=written_1h,
        reasoning=(usage.get("output_token_details") or {}).get("reasoning", 0),
    )
