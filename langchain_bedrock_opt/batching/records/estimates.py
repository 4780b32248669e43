"""What a record is likely to cost in tokens, before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from langchain_bedrock_opt.batching.parts import JobKind
from langchain_bedrock_opt.batching.records.native.codec import most_output, parsed
from langchain_bedrock_opt.catalog.tokens import estimate_tokens

FILE_TOKENS: Final = 1600
"""What an image or another file counts for: what an image of the size that models scale to has."""

# Where the formats say how long an answer may get.
_LIMITS: Final = ("max_tokens", "max_completion_tokens", "max_gen_len")
_CONFIGS: Final = ("inferenceConfig", "textGenerationConfig")
_CONFIG_LIMITS: Final = ("maxTokens", "maxTokenCount")
# Under what the formats have base64: it is no text.
_FILES: Final = frozenset({"bytes", "data", "redactedContent", "url"})
_NO_TEXT: Final = frozenset({"role", "type", "anthropic_version", "schemaVersion"})


def estimate(body: bytes, kind: JobKind) -> tuple[int, int]:
    """Tokens of a record.

    Args:
        body: `modelInput`.
        kind: The kind of its job.

    Returns:
        The tokens its prompt is likely to have, and the most its answer can have.

    Example:
        >>> body = b'{"messages":[{"role":"user","content":[{"text":"What is the capital?"}]}],'
        >>> body += b'"inferenceConfig":{"maxTokens":50}}'
        >>> estimate(body, JobKind("amazon.nova-lite-v1:0", "Converse"))
        (5, 50)
    """
    document = parsed(body)
    texts: list[str] = []
    files = _collect(document, texts)
    return estimate_tokens("\n".join(texts)) + files * FILE_TOKENS, _limit(document, kind)


def _limit(document: Mapping[str, Any], kind: JobKind) -> int:
    for name in _LIMITS:
        if document.get(name):
            return int(document[name])
    for config in _CONFIGS:
        for name in _CONFIG_LIMITS:
            if (document.get(config) or {}).get(name):
                return int(document[config][name])
    return most_output(kind.model_id)


def _collect(value: Any, texts: list[str]) -> int:
    """Put all texts of a document into a list, and count its files."""
    if type(value) is str:
        texts.append(value)
        return 0
    if type(value) is list:
        return sum([_collect(item, texts) for item in value])
    if type(value) is not dict:
        return 0
    files = 0
    for key, item in value.items():
        if key in _FILES and type(item) is str and not _is_text(key, item, value):
            files += 1
        elif key not in _NO_TEXT:
            files += _collect(item, texts)
    return files


def _is_text(key: str, item: str, around: Mapping[str, Any]) -> bool:
    """Whether a text in the place of a file is one."""
    if key == "url":
        return not item.startswith("data:")
    return around.get("type") == "text"
