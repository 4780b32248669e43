"""A chat model on a provisioned throughput, with what overflows going on-demand."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from langchain_bedrock_opt.aws.clients import without_retries
from langchain_bedrock_opt.aws.resolution import resolve
from langchain_bedrock_opt.capacity.lanes.overflow import DEFAULT_PROBE_AFTER, Overflow
from langchain_bedrock_opt.chat_model import ChatBedrockOptimized


def overflow_model(
    arn: str,
    *,
    on_demand: str,
    probe_after: float = DEFAULT_PROBE_AFTER,
    clock: Callable[[], float] = time.monotonic,
    **settings: Any,
) -> ChatBedrockOptimized:
    """A chat model on a provisioned throughput that overflows to on-demand.

    The provisioned throughput is asked without retries: what it has no room for is answered
    on-demand without any wait, by a client of its own with the usual ones. See `Overflow`.

    Args:
        arn: The ARN of the provisioned throughput.
        on_demand: The model id, profile id or profile ARN for what overflows.
        probe_after: Seconds until the provisioned throughput is tried again after a refusal.
        clock: Seconds that only go forward.
        **settings: Any of `ChatBedrockOptimized`, such as `base_model`, `layers` or `cache`.
            `max_retries` and the retries of a `config` hold on-demand. With a `client` of your
            own both are asked by it, with its retries.

    Raises:
        ConfigurationError: As of `ChatBedrockOptimized` and `Overflow`.
        ModelIdError: One of the two is no model id.

    Example:
        ```python
        model = overflow_model(arn, on_demand="us.amazon.nova-lite-v1:0", max_tokens=500)
        answer = model.invoke("What is the capital of Japan?")
        answer.response_metadata["bedrock_opt"]["lane"]
        ```
    """
    layers = settings.pop("layers", ())
    if settings.get("client") is not None:
        overflow = Overflow(on_demand, probe_after=probe_after, clock=clock)
        model = ChatBedrockOptimized(model=arn, layers=[*layers, overflow], **settings)
        resolve(
            on_demand, model.bedrock_client
        )  # its price goes by what a profile's ARN stands for
        return model
    client = _on_demand_client(on_demand, settings)
    overflow = Overflow(on_demand, probe_after=probe_after, clock=clock, client=client)
    once = {
        **{name: value for name, value in settings.items() if name != "max_retries"},
        "config": without_retries(settings.get("config")),
    }
    return ChatBedrockOptimized(model=arn, layers=[*layers, overflow], **once)


def _on_demand_client(on_demand: str, settings: dict[str, Any]) -> Any:
    """The client that a chat model on the on-demand id has."""
    own = {"cache", "base_model", "base_model_id", "provider", "callbacks"}
    model = ChatBedrockOptimized(
        model=on_demand,
        **{name: value for name, value in settings.items() if name not in own},
    )
    return model.client
