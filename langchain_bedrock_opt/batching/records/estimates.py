"""What a record is likely to cost in tokens, before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from langchain_bedrock_opt.batching.parts import JobKind
from langchain_bedrock_opt.batching.records.native.codec import most_output, parsed
from langchain_bedrock_opt.catalog.tokens import estimate_tokens

# Where the formats say how long an answer may get.
_LIMITS: Final = ("max_tokens", "max_completion_tokens", "max_gen_len")
_CONFIGS: Final = ("inferenceConfig", "textGenerationConfig")
_CONFIG_LIMITS: Final = ("maxTokens", "maxTokenCount")


def estimate(body: bytes, kind: JobKind) -> tuple[int, int]:
    """Tokens of a record.

    Args:
        body: `modelInput`.
        kind: The kind of its job.

    Returns:
        The tokens its prompt is likely to have, as its model counts them, and the most its answer
        can have.

    Example:
        >>> body = b'{"messages":[{"role":"user","content":[{"text":"What is the capital?"}]}],'
        >>> body += b'"inferenceConfig":{"maxTokens":50}}'
        >>> estimate(body, JobKind("amazon.nova-lite-v1:0", "Converse"))
        (6, 50)
    """
    document = parsed(body)
    if "messages" in document:
        # A body of OpenAI's or Anthropic's format has its tools beside the messages.
        tools = document.get("tools") or ()
        tokens = estimate_tokens(document, kind.model_id, tools=tools)
    else:
        tokens = estimate_tokens("\n".join(_texts(document)), kind.model_id)
    return tokens, _limit(document, kind)


def _limit(document: Mapping[str, Any], kind: JobKind) -> int:
    for name in _LIMITS:
        if document.get(name):
            return int(document[name])
    for config in _CONFIGS:
        for name in _CONFIG_LIMITS:
            if (document.get(config) or {}).get(name):
                return int(document[config][name])
    return most_output(kind.model_id)


def _texts(value: Any) -> Iterator[str]:
    """All texts of a document that is one prompt: Llama's, Titan's, Cohere's."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
