"""The layer that takes calls from a provisioned throughput to on-demand while it is full."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Final, Literal

from langchain_bedrock_opt.aws.errors import is_broken_connection, is_retry_safe
from langchain_bedrock_opt.aws.layers import (
    Call,
    Layer,
    LayeredClient,
    Request,
    Response,
    report,
)
from langchain_bedrock_opt.capacity.lanes.gate import Gate, Turn
from langchain_bedrock_opt.capacity.lanes.opening import opened
from langchain_bedrock_opt.catalog.model_ids import ModelIdKind, parse_model_id
from langchain_bedrock_opt.errors import ConfigurationError, ThrottledError

logger = logging.getLogger(__name__)

DEFAULT_PROBE_AFTER: Final = 5.0
"""Seconds. Units count tokens by the minute, and nobody says when a new one begins: for so long at
the most they stand idle in it, while a probe that is refused costs one round trip."""

Why = Literal["throttled", "cooling", "unavailable"]
"""Why a call went on-demand, as in `LaneReport.overflow`."""


class Overflow(Layer):
    """Sends what a provisioned throughput has no room for to on-demand, at once.

    A call that it throttles goes to on-demand without any wait. For `probe_after` seconds all
    calls go there; then one call in so many seconds tries the provisioned throughput again, and
    the first that is served brings all back. Calls that it can't serve for other reasons that
    pass overflow likewise: it is not ready, Bedrock or the connection fails. Nothing is paid
    twice: what a provisioned throughput serves costs no tokens.

    A stream overflows until the first part of its answer is there; an error after that is raised.
    What on-demand refuses is raised, too.

    The answer's report says who served it: `lane.capacity`, why it overflowed in
    `lane.overflow`, and the `model_id` that a price goes by. A cache's keys know nothing of it:
    stand this layer last, behind all others, and give each provisioned throughput its own.

    botocore retries what is throttled before any layer hears of it. `overflow_model` makes a
    chat model whose provisioned throughput is asked once, and on-demand with the usual retries.

    Args:
        on_demand: The model id, profile id or profile ARN for what overflows.
        probe_after: Seconds until the provisioned throughput is tried again.
        clock: Seconds that only go forward.
        client: A boto3 bedrock-runtime client for on-demand calls; the model's own if None.

    Raises:
        ConfigurationError: `on_demand` is a provisioned throughput, or `probe_after` is not
            above 0.
        ModelIdError: `on_demand` is no model id.

    Example:
        >>> from langchain_bedrock_opt.aws.layers import LayeredClient
        >>> from langchain_bedrock_opt.emulator import BedrockEmulator, Quota
        >>> arn = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcd1234efgh"
        >>> bedrock = BedrockEmulator(
        ...     provisioned={arn: "amazon.nova-lite-v1:0"},
        ...     quotas={arn: Quota(tokens_per_minute=0)},
        ... )
        >>> client = LayeredClient(bedrock.client(), [Overflow("us.amazon.nova-lite-v1:0")])
        >>> hello = [{"role": "user", "content": [{"text": "Hello!"}]}]
        >>> client.converse(modelId=arn, messages=hello)["bedrock_opt"]["lane"]
        {'capacity': 'on_demand', 'overflow': 'throttled'}
    """

    def __init__(
        self,
        on_demand: str,
        *,
        probe_after: float = DEFAULT_PROBE_AFTER,
        clock: Callable[[], float] = time.monotonic,
        client: Any = None,
    ) -> None:
        if parse_model_id(on_demand).kind is ModelIdKind.PROVISIONED_MODEL:
            raise ConfigurationError(
                f"on_demand={on_demand!r} is a provisioned throughput: name the model's id or an "
                "inference profile, such as 'us.amazon.nova-lite-v1:0'."
            )
        if not probe_after > 0:
            raise ConfigurationError(
                f"probe_after={probe_after!r} is not above 0: give seconds, such as 60."
            )
        self.on_demand = on_demand
        self.probe_after = probe_after
        self._gate = Gate(probe_after, clock=clock)
        self._client: LayeredClient | None = None
        if client is not None:
            self._client = client if isinstance(client, LayeredClient) else LayeredClient(client)

    @property
    def is_cooling(self) -> bool:
        """Whether calls go on-demand now, but for probes."""
        return not self._gate.is_open

    def converse(self, request: Request, call_next: Call) -> Response:
        """Answer by the provisioned throughput, or on-demand."""
        client = self._client
        return self._answer(request, call_next, client.call_base if client else call_next)

    def converse_stream(self, request: Request, call_next: Call) -> Response:
        """The same for a stream, which is read up to the first part of its answer."""
        client = self._client
        on_demand = client.stream_base if client else call_next
        return self._answer(request, lambda asked: opened(call_next(asked)), on_demand)

    def _answer(self, request: Request, provisioned: Call, on_demand: Call) -> Response:
        turn = self._gate.enter()
        why: Why | None = "cooling"
        if turn is not Turn.SHUT:
            try:
                response = provisioned(request)
            except BaseException as error:
                why = _why(error)
                if why is None:
                    self._gate.left(turn)
                    raise
                if self._gate.refused(turn):
                    logger.info(
                        "model=<%s> is %s: calls go to model=<%s>, one in seconds=<%s> tries it",
                        request.get("modelId"),
                        why,
                        self.on_demand,
                        self.probe_after,
                    )
            else:
                self._gate.passed(turn)
                report(response).setdefault("lane", {})["capacity"] = "provisioned"
                return response
        response = on_demand({**request, "modelId": self.on_demand})
        told = report(response)
        told["model_id"] = self.on_demand
        told.setdefault("lane", {}).update(capacity="on_demand", overflow=why)
        return response


def _why(error: BaseException) -> Why | None:
    """Why a call overflows that ended in an error; None if it does not."""
    if isinstance(error, ThrottledError):
        return "throttled"
    if isinstance(error, Exception) and (is_retry_safe(error) or is_broken_connection(error)):
        return "unavailable"
    return None
