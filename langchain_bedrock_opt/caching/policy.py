"""Which requests a cache may answer, and which answers it may keep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from langchain_bedrock_opt.aws.layers import Request, Response
from langchain_bedrock_opt.contracts import TokenUsage

_FINISHED = frozenset({"end_turn", "stop_sequence", "tool_use"})
"""The stop reasons of an answer that came to its own end."""


def is_sampled(request: Request) -> bool:
    """Whether the request asks for chance: an explicit temperature above 0.

    A request that says nothing of temperature is not counted as sampled, although the model's
    own default is not 0: its author did not ask for variety, and it is LangChain's default.

    Example:
        >>> is_sampled({"inferenceConfig": {"temperature": 0.7}}), is_sampled({})
        (True, False)
    """
    for part in ("inferenceConfig", "additionalModelRequestFields"):
        fields = request.get(part)
        temperature = fields.get("temperature") if isinstance(fields, Mapping) else None
        if isinstance(temperature, (int, float)) and temperature > 0:
            return True
    return False


def is_worth_keeping(response: Response) -> bool:
    """Whether a response is whole: it ended by itself and says something.

    Answers that were cut by `max_tokens` or the context window, stopped by a guardrail or a
    filter, malformed or empty are given to their caller and asked for again the next time.
    """
    content = response.get("output", {}).get("message", {}).get("content", ())
    return response.get("stopReason") in _FINISHED and _says_something(content)


def _says_something(content: Iterable[Mapping[str, Any]]) -> bool:
    return any(
        bool(block["text"].strip()) if "text" in block else "reasoningContent" not in block
        for block in content
    )


def text_of(response: Response) -> str | None:
    """The text of a response that is nothing but text; None if there are calls of tools or media.

    Example:
        >>> text_of({"output": {"message": {"content": [{"text": "Hi"}, {"text": "!"}]}}})
        'Hi!'
    """
    content = response.get("output", {}).get("message", {}).get("content", ())
    texts = [block.get("text") for block in content if "reasoningContent" not in block]
    return "".join(texts) if texts and None not in texts else None


def token_usage(response: Response) -> TokenUsage:
    """The tokens that a Converse response says it has spent.

    Example:
        >>> token_usage({"usage": {"inputTokens": 10, "outputTokens": 5}}).total
        15
    """
    usage = response.get("usage", {})
    written = {detail.get("ttl"): detail for detail in usage.get("cacheDetails", ())}
    one_hour = written.get("1h", {}).get("inputTokens", 0)
    return TokenUsage(
        input=usage.get("inputTokens", 0),
        output=usage.get("outputTokens", 0),
        cache_read=usage.get("cacheReadInputTokens", 0),
        cache_write_5m=max(0, usage.get("cacheWriteInputTokens", 0) - one_hour),
        cache_write_1h=one_hour,
        reasoning=_reasoning_tokens(response.get("additionalModelResponseFields")),
    )


def _reasoning_tokens(fields: Any) -> int:
    """Anthropic's count of thinking tokens, where the model fields hold it."""
    try:
        return int(fields["usage"]["output_tokens_details"]["thinking_tokens"])
    except (KeyError, TypeError, ValueError):
        return 0
