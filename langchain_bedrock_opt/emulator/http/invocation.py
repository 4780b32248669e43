"""What Bedrock adds to a model's own answer in InvokeModel and its streaming twin."""

from __future__ import annotations

from typing import Any, Final

from langchain_bedrock_opt.emulator.types import Reply

METRICS_KEY: Final = "amazon-bedrock-invocationMetrics"
"""The key under which the last chunk of a stream carries `invocation_metrics`."""


def invocation_headers(reply: Reply, latency_ms: int) -> dict[str, str]:
    """The headers that tell what an InvokeModel call cost.

    Args:
        reply: What the model said.
        latency_ms: How long it took.

    Example:
        >>> invocation_headers(Reply(content=(), input_tokens=5, output_tokens=10), 604)[
        ...     "X-Amzn-Bedrock-Input-Token-Count"
        ... ]
        '5'
    """
    counts = {
        "Cache-Read-Input-Token-Count": reply.cache_read_tokens,
        "Cache-Write-Input-Token-Count": reply.cache_write_tokens,
        "Input-Token-Count": reply.input_tokens,
        "Invocation-Latency": int(latency_ms),
        "Output-Token-Count": reply.output_tokens,
    }
    return {f"X-Amzn-Bedrock-{name}": str(count) for name, count in counts.items()}


def invocation_metrics(reply: Reply, latency_ms: int, first_byte_ms: int) -> dict[str, Any]:
    """The same figures for the last chunk of InvokeModelWithResponseStream.

    Args:
        reply: What the model said.
        latency_ms: How long the whole answer took.
        first_byte_ms: How long its first chunk took.

    Example:
        >>> invocation_metrics(Reply(content=(), output_tokens=10), 604, 60)["firstByteLatency"]
        60
    """
    return {
        "inputTokenCount": reply.input_tokens,
        "outputTokenCount": reply.output_tokens,
        "invocationLatency": int(latency_ms),
        "firstByteLatency": int(first_byte_ms),
        "cacheReadInputTokenCount": reply.cache_read_tokens,
        "cacheWriteInputTokenCount": reply.cache_write_tokens,
    }
