"""LangChain's generations as bytes, and back as hits.

A message is stored as the plain data of its pydantic model, and rebuilt by validating them.
Nothing is instantiated by a name in the data, as `langchain_core.load.loads` would do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    BaseMessageChunk,
    message_chunk_to_message,
)
from langchain_core.outputs import ChatGeneration, Generation
from pydantic import ValidationError

from langchain_bedrock_opt.caching.codec import decode_document, encode_document
from langchain_bedrock_opt.contracts import REPORT_KEY, CacheReport, TokenUsage
from langchain_bedrock_opt.errors import CacheStoreError

GENERATIONS_TAG: Final = b"BRg1"
"""Begins the entry of a list of generations."""

Hit: TypeAlias = tuple[list[Generation], TokenUsage]

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
_NOTHING_SPENT = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}


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


def encode_generations(generations: Sequence[Generation], *, stored_at: float) -> bytes:
    """Generations as the bytes of a cache entry, without the ids of their messages.

    Raises:
        CacheStoreError: One holds something that can't be stored, or is no model's answer.
    """
    stored = [_stored(generation) for generation in generations]
    return encode_document(GENERATIONS_TAG, {"at": stored_at, "generations": stored})


def _stored(generation: Generation) -> dict[str, Any]:
    stored: dict[str, Any] = {"info": generation.generation_info}
    if not isinstance(generation, ChatGeneration):
        return {**stored, "text": generation.text}
    message: BaseMessage = generation.message
    if isinstance(message, BaseMessageChunk):
        message = message_chunk_to_message(message)
    if not isinstance(message, AIMessage):
        raise CacheStoreError(f"a {type(message).__name__} is no model's answer")
    return {**stored, "message": message.model_dump(exclude={"id"})}


def decode_generations(data: bytes, *, now: float) -> Hit:
    """Generations out of a cache entry, marked as a hit.

    Each message has no id, so that it is a new one for whoever keeps messages apart by id, no
    tokens spent, and a report of what was saved in its response metadata.

    Args:
        data: The entry.
        now: Seconds since the epoch.

    Returns:
        The generations, and the tokens that they did not spend.

    Raises:
        CacheStoreError: The bytes are broken, or no entry of this kind and version.
    """
    document = decode_document(GENERATIONS_TAG, data)
    try:
        age = max(0.0, now - document["at"])
        hits = [_hit(stored, age) for stored in document["generations"]]
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise CacheStoreError("a cache entry holds no generations") from error
    return [generation for generation, _ in hits], sum((saved for _, saved in hits), TokenUsage())


def _hit(stored: Mapping[str, Any], age: float) -> tuple[Generation, TokenUsage]:
    if "message" not in stored:
        return Generation(text=stored["text"], generation_info=stored["info"]), TokenUsage()
    fields = stored["message"]
    saved = _spent(fields.get("usage_metadata") or {})
    if fields.get("usage_metadata"):
        fields["usage_metadata"] = dict(_NOTHING_SPENT)
    metadata = fields["response_metadata"]
    cache_report = CacheReport(status="hit", tier="exact", age_seconds=age, saved=saved.as_dict())
    metadata[REPORT_KEY] = {**(metadata.get(REPORT_KEY) or {}), "cache": cache_report}
    message = AIMessage.model_validate(fields)
    return ChatGeneration(message=message, generation_info=stored["info"]), saved


def _spent(usage: Mapping[str, Any]) -> TokenUsage:
    """LangChain's usage metadata in the kinds that Bedrock bills."""
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
