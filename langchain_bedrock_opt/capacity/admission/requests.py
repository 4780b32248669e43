"""What a request asks of a token quota, and what its answer took of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from langchain_bedrock_opt.aws.resolution import known_resolution
from langchain_bedrock_opt.catalog.specs import ModelSpec, spec_of
from langchain_bedrock_opt.catalog.tokens import estimate_tokens

_UNKNOWN_MAX_TOKENS: Final = 4096
"""For the answer of a model whose maximum is not known, if the request names none."""

_LIMITS: Final = ("max_tokens", "maxTokens", "max_completion_tokens")


def prompt_tokens(request: Mapping[str, Any]) -> int:
    """Estimate the tokens of a Converse request's prompt: system, messages and tools.

    Example:
        >>> hello = [{"role": "user", "content": [{"text": "Hello there"}]}]
        >>> 2 < prompt_tokens({"messages": hello}) < 15
        True
    """
    return estimate_tokens(request, request.get("modelId"))


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
