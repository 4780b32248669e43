"""Answers that cost nothing: marked so that what they name is counted as saved, not as spent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata

from langchain_bedrock_opt.contracts import REPORT_KEY, CacheReport, TokenUsage


def as_hit(message: AIMessage, tier: str) -> AIMessage:
    """A copy of an answer for which nothing was spent.

    Args:
        message: The answer. One that is marked as a hit already stays as it is.
        tier: Where it came from: a `CacheReport.tier`, or `langchain` for LangChain's own caches.

    Example:
        >>> usage = {"input_tokens": 9, "output_tokens": 2, "total_tokens": 11}
        >>> hit = as_hit(AIMessage("Kyoto", usage_metadata=usage), "flight")
        >>> hit.usage_metadata["total_tokens"]
        0
        >>> hit.response_metadata["bedrock_opt"]["cache"]["saved"]["input"]
        9
    """
    report = message.response_metadata.get(REPORT_KEY) or {}
    if (report.get("cache") or {}).get("status") == "hit":
        return message
    saved = _tokens(message.usage_metadata or {}).as_dict()
    cache: CacheReport = {"status": "hit", "tier": tier, "saved": saved}
    metadata = {**message.response_metadata, REPORT_KEY: {**report, "cache": cache}}
    nothing = UsageMetadata(input_tokens=0, output_tokens=0, total_tokens=0)
    return message.model_copy(update={"usage_metadata": nothing, "response_metadata": metadata})


def _tokens(usage: Mapping[str, Any]) -> TokenUsage:
    """The tokens of an answer by the kinds that Bedrock bills; LangChain's sum holds them all."""
    details = usage.get("input_token_details") or {}
    read = details.get("cache_read") or 0
    write_1h = details.get("ephemeral_1h_input_tokens") or 0
    write_5m = details.get("ephemeral_5m_input_tokens") or 0
    write_5m += max(0, (details.get("cache_creation") or 0) - write_5m - write_1h)
    total = usage.get("input_tokens") or 0
    return TokenUsage(
        input=max(0, total - read - write_5m - write_1h),
        output=usage.get("output_tokens") or 0,
        cache_read=read,
        cache_write_5m=write_5m,
        cache_write_1h=write_1h,
        reasoning=(usage.get("output_token_details") or {}).get("reasoning") or 0,
    )
