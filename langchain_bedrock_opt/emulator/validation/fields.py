"""Rules on the fields beside the messages: what the model takes, and how much of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from langchain_bedrock_opt.catalog.tokens import estimate_tokens
from langchain_bedrock_opt.emulator.types import ServiceFailure
from langchain_bedrock_opt.emulator.validation.answers import (
    Request,
    messages_of,
    refused,
    returned,
    unsupported_field,
)
from langchain_bedrock_opt.emulator.validation.features import Features

_MOST_TOKENS_A_CHARACTER: Final = 3
"""More than the token estimate ever counts: a short prompt need not be estimated."""


def system_is_supported(request: Request, features: Features) -> None:
    """Titan and the first Mistral models take no system prompt."""
    if request.get("system") and not features.system:
        # Mintplex-Labs/anything-llm#2486, 567-labs/instructor#1753
        raise refused(
            "This model doesn't support system messages. Try again without a system message or "
            "use a model that supports system messages."
        )


def stop_sequences_are_supported(request: Request, features: Features) -> None:
    """Some open-weight models take no stop sequences; an empty list is none."""
    if request.get("inferenceConfig", {}).get("stopSequences") and not features.stop_sequences:
        raise unsupported_field("stopSequences")


def output_format_is_supported(request: Request, features: Features) -> None:
    """Some models take no schema for their answer; the text is unverified against AWS."""
    if request.get("outputConfig", {}).get("textFormat") and not features.json_schema:
        raise unsupported_field("outputConfig.textFormat")


def max_tokens_fit(request: Request, features: Features) -> None:
    """No more tokens are asked for than the model writes."""
    wanted = request.get("inferenceConfig", {}).get("maxTokens")
    limit = features.max_output_tokens
    if wanted is not None and limit is not None and wanted > limit:
        # langgenius/dify#10390, sigoden/aichat#813
        raise refused(
            f"The maximum tokens you requested exceeds the model limit of {limit}. Try again with "
            f"a maximum tokens value that is lower than {limit}."
        )


def latency_is_supported(request: Request, features: Features) -> None:
    """Few models have an optimized latency; the text is unverified against AWS."""
    optimized = request.get("performanceConfig", {}).get("latency") == "optimized"
    if optimized and not features.latency_optimized:
        raise refused("Latency performance configuration is not supported for this model.")


def tier_is_available(request: Request, features: Features) -> None:
    """The account has no reserved capacity, and not every model is in every tier."""
    tier = request.get("serviceTier", {}).get("type", "default")
    if tier == "reserved":
        # NousResearch/hermes-agent#34476, envoyproxy/ai-gateway#1749
        raise refused("Reservation not found.")
    if tier not in features.tiers:
        # The text is unverified against AWS.
        raise refused(f"The provided service tier {tier} is not supported for this model.")


def prompt_fits(request: Request, features: Features) -> None:
    """The prompt's text is not longer than the context window, by estimate."""
    window = features.context_window
    if window is None:
        return
    texts = list(_texts(request))
    if sum(map(len, texts)) * _MOST_TOKENS_A_CHARACTER <= window:
        return
    tokens = sum(map(estimate_tokens, texts))
    if tokens > window:
        raise _too_long(features, tokens, window)


def _texts(request: Request) -> Iterator[str]:
    for block in request.get("system", ()):
        if "text" in block:
            yield block["text"]
    for message in messages_of(request):
        for block in message["content"]:
            if "text" in block:
                yield block["text"]
            elif "toolResult" in block:
                yield from (
                    part["text"] for part in block["toolResult"]["content"] if "text" in part
                )


def _too_long(features: Features, tokens: int, window: int) -> ServiceFailure:
    """Each family says it in its own words; langchain-aws tells them apart by model."""
    if features.family == "nova":
        return returned(
            "Input Tokens Exceeded: Number of input tokens exceeds maximum length. Please update "
            "the input to try again."
        )
    if features.family == "claude":
        if features.counts_overflow:
            return returned(f"prompt is too long: {tokens} tokens > {window} maximum")
        # continuedev/continue#6005, #9592
        return returned("Input is too long for requested model.")
    return returned(
        f"This model's maximum context length is {window} tokens. Please reduce the length of the "
        "prompt"
    )
