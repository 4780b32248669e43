"""What a request asks of a token quota, and what its answer took of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from langchain_bedrock_opt.aws.resolution import known_resolution
from langchain_bedrock_opt.catalog.specs import ModelSpec, spec_of
from langchain_bedrock_opt.catalog.tokens import estimate_tokens

_FILE_TOKENS: Final = 1600
"""What an image or another file counts for: what an image of the size that models scale to has."""

_UNKNOWN_MAX_TOKENS: Final = 4096
"""For the answer of a model whose maximum is not known, if the request names none."""

_PROMPT: Final = ("system", "messages", "toolConfig")
_JSON: Final = frozenset({"json", "input"})
"""What holds JSON that the model reads: schemas of tools, their calls and results."""
_NO_TEXT: Final = frozenset({"role", "format", "status", "type", "toolUseId", "signature"})
_LIMITS: Final = ("max_tokens", "maxTokens", "max_completion_tokens")


def prompt_tokens(request: Mapping[str, Any]) -> int:
    """Estimate the tokens of a Converse request's prompt: system, messages and tools.

    Example:
        >>> prompt_tokens({"messages": [{"role": "user", "content": [{"text": "Hello there"}]}]})
        3
    """
    files = 0
    texts: list[str] = []
    for text in _texts([request.get(part) for part in _PROMPT]):
        if text is None:
            files += 1
        else:
            texts.append(text)
    return estimate_tokens("\n".join(texts)) + files * _FILE_TOKENS


def _texts(value: Any, *, in_json: bool = False) -> Iterator[str | None]:
    """All texts of a prompt, with the keys of its JSON; None for each file."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes | bytearray):
        yield None
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item, in_json=in_json)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if in_json:
                yield str(key)
            elif key == "s3Location":
                yield None
                continue
            elif key in _NO_TEXT:
                continue
            yield from _texts(item, in_json=in_json or key in _JSON)


def spec_behind(model_id: str) -> ModelSpec | None:
    """The spec of the model behind an id or ARN, as far as this process knows it."""
    resolution = known_resolution(model_id) if model_id.startswith("arn:") else None
    return spec_of((resolution and resolution.resolved_id) or model_id)


def most_output(request: Mapping[str, Any], spec: ModelSpec | None) -> int:
    """The tokens that Bedrock sets aside for an answer.

    They are the request's `maxTokens`; without one the model's own maximum, as Bedrock takes it.

    Example:
        >>> most_output({"inferenceConfig": {"maxTokens": 300}}, None)
        300
        >>> most_output({}, spec_of("us.anthropic.claude-haiku-4-5-20251001-v1:0"))
        64000
    """
    for part in ("inferenceConfig", "additionalModelRequestFields"):
        fields = request.get(part)
        for name in _LIMITS:
            value = fields.get(name) if isinstance(fields, Mapping) else None
            if isinstance(value, int) and value > 0:
                return value
    return (spec.max_output_tokens if spec else None) or _UNKNOWN_MAX_TOKENS


def quota_tokens(usage: Mapping[str, int], burndown: int) -> int:
    """What a call takes of a quota in the end.

    Reads from the prompt cache are free then, and output counts `burndown` times.

    Args:
        usage: The `usage` of its answer.
        burndown: Quota tokens of an output token.

    Example:
        >>> quota_tokens({"inputTokens": 10, "outputTokens": 4, "cacheReadInputTokens": 90}, 5)
        30
    """
    return (
        usage.get("inputTokens", 0)
        + usage.get("cacheWriteInputTokens", 0)
        + usage.get("outputTokens", 0) * burndown
    )


def whole_prompt(usage: Mapping[str, int]) -> int:
    """All tokens of a prompt, those from and to the prompt cache too."""
    names = ("inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
    return sum(usage.get(name, 0) for name in names)
