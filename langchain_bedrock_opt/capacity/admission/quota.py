"""`TokenQuota`: the layer that holds calls back until Bedrock's quota has room for them."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from langchain_bedrock_opt.aws.attempts import attempts_so_far
from langchain_bedrock_opt.aws.layers import (
    Call,
    Event,
    EventStream,
    Layer,
    Request,
    Response,
    close_events,
    report,
)
from langchain_bedrock_opt.capacity.admission.bucket import MinuteBucket
from langchain_bedrock_opt.capacity.admission.line import (
    Demand,
    Habits,
    Line,
    Reservation,
    Wait,
)
from langchain_bedrock_opt.capacity.admission.requests import (
    most_output,
    prompt_tokens,
    spec_behind,
)
from langchain_bedrock_opt.catalog.model_ids import parse_model_id
from langchain_bedrock_opt.contracts import UNSENT
from langchain_bedrock_opt.errors import (
    AccessDeniedError,
    BedrockServiceError,
    ConfigurationError,
    InvalidRequestError,
    ModelIdError,
    RequestTooLargeOrOverQuotaError,
    ServiceUnavailableError,
    ThrottledError,
)

logger = logging.getLogger(__name__)

Limit: TypeAlias = "int | Mapping[str, int] | None"
"""A limit a minute: one for all models together, or by model id."""

DEFAULT_MAX_WAIT: Final = 120.0

_PAUSE: Final = 5.0
"""Seconds that nobody is let in after Bedrock has refused a call, if it does not say how long."""

_ALL: Final = ""
"""The key of the one quota for all models."""

_REFUSALS: Final = (
    AccessDeniedError,
    InvalidRequestError,
    RequestTooLargeOrOverQuotaError,
    ServiceUnavailableError,
    ThrottledError,
)
"""Errors of calls that no model has worked on."""


class TokenQuota(Layer):
    """Holds calls back until there is room for them, instead of having Bedrock refuse them.

    Bedrock admits a call if its prompt and its `max_tokens` fit into what is left of the minute,
    and in the end charges output tokens several times over for newer Claude models. So a call
    waits here until both fit: what Bedrock holds at its start, and what the call is likely to
    take in the end, by what earlier answers had. What it did not use is given back when its
    answer says what it spent. Calls are let in first come, first served.

    A call that Bedrock throttles all the same goes back to the front of the line, and nobody is
    let in for a few seconds. It is sent again until `max_wait` is over: it cost nothing. botocore's
    own retries only disturb this: `ChatBedrockOptimized(max_retries=0, …)` turns them off.

    One object may be a layer of many models, and of all threads: its quota is theirs together.
    Other processes and accounts' other users are not seen; give it their part less. Stand it
    behind caches and other layers that answer by themselves.

    A call whose task is cancelled while it waits leaves the line and is not sent, nor billed.

    Only a call that can't fit is refused at once: by `max_tokens` alone, or by half of what its
    prompt is estimated at. Any other is sent once all of the quota is free, so that a wrong
    estimate keeps no call out.

    Args:
        tokens_per_minute: The quota of all calls through this object; or quotas by model id as it
            is called, such as "us.anthropic.claude-sonnet-4-5-20250929-v1:0": a model without one
            is not held back. None for no limit of tokens.
        requests_per_minute: The same for requests.
        max_wait: Seconds that a call may wait, all in all.
        burst_seconds: How many seconds' worth of tokens may go at once after a lull.
        share: The share of the quota that is made use of.
        count: Estimates the tokens of a request's prompt; corrected by what calls really had. A
            prompt of which it fails counts as 0 until its answer says more.
        clock: Seconds that only go forward.
        wait: Waits for so many seconds, or until an event is set.

    Raises:
        ConfigurationError: There is no limit, or a number is out of its range.

    Example:
        >>> from langchain_bedrock_opt import BedrockEmulator, ChatBedrockOptimized
        >>> client = BedrockEmulator().client()
        >>> model = ChatBedrockOptimized(
        ...     model="us.amazon.nova-lite-v1:0",
        ...     max_tokens=500,
        ...     layers=[TokenQuota(tokens_per_minute=200_000)],
        ...     client=client,
        ...     bedrock_client=client,
        ... )
        >>> model.invoke("Hello!").response_metadata["bedrock_opt"]["lane"]
        {'waited_seconds': 0.0}
    """

    def __init__(
        self,
        tokens_per_minute: Limit,
        requests_per_minute: Limit = None,
        *,
        max_wait: float = DEFAULT_MAX_WAIT,
        burst_seconds: float = 10.0,
        share: float = 0.95,
        count: Callable[[Mapping[str, Any]], int] = prompt_tokens,
        clock: Callable[[], float] = time.monotonic,
        wait: Wait = threading.Event.wait,
    ) -> None:
        if not max_wait >= 0:
            raise ConfigurationError(f"max_wait={max_wait!r} must be seconds from 0 up.")
        if not burst_seconds > 0:
            raise ConfigurationError(f"burst_seconds={burst_seconds!r} must be above 0.")
        if not 0 < share <= 1:
            raise ConfigurationError(f"share={share!r} must be above 0 and at most 1.")
        self.max_wait = max_wait
        self._count = count
        self._clock = clock
        self._habits: dict[str, Habits] = {}
        tokens = _by_model(tokens_per_minute, "tokens_per_minute")
        requests = _by_model(requests_per_minute, "requests_per_minute")
        if _ALL in {*tokens} ^ {*requests} and tokens and requests:
            raise ConfigurationError(
                "tokens_per_minute and requests_per_minute must both be numbers, or both by "
                "model id."
            )
        if not tokens and not requests:
            raise ConfigurationError(
                "A TokenQuota needs tokens_per_minute or requests_per_minute: Service Quotas in "
                "the AWS console names them."
            )

        def bucket(limit: int | None) -> MinuteBucket | None:
            if limit is None:
                return None
            return MinuteBucket(limit, share=share, burst_seconds=burst_seconds, now=clock())

        self._lines = {
            name: Line(bucket(tokens.get(name)), bucket(requests.get(name)), clock=clock, wait=wait)
            for name in {**tokens, **requests}
        }

    @property
    def waiting(self) -> int:
        """How many calls wait now."""
        return sum(line.waiting for line in self._lines.values())

    @property
    def reserved_tokens(self) -> int:
        """The tokens that calls under way hold now."""
        return sum(line.reserved for line in self._lines.values())

    def converse(self, request: Request, call_next: Call) -> Response:
        """Answer once there is room."""
        return self._admitted(request, call_next, _settled)

    def converse_stream(self, request: Request, call_next: Call) -> Response:
        """Stream once there is room; what was not used is given back at the stream's end."""
        return self._admitted(request, call_next, _settling)

    def _admitted(
        self,
        request: Request,
        call_next: Call,
        finish: Callable[[Response, Reservation], Response],
    ) -> Response:
        model_id = str(request.get("modelId", ""))
        line = self._line_of(model_id)
        if line is None:
            return call_next(request)
        demand = self._demand(request, model_id)
        _refuse_too_large(demand, line, model_id)
        started = self._clock()
        refused: ThrottledError | None = None
        waited = 0.0
        while True:
            began = self._clock()
            held = line.enter(demand, started + self.max_wait, again=refused is not None)
            waited += self._clock() - began
            if held is None:
                raise self._late(line, model_id) from refused
            try:
                response = finish(_asked(call_next, request, line), held)
            except ThrottledError as error:
                if _is_daily(error) or _is_too_large(demand, line):
                    held.release()
                    raise
                held.throttled(error.retry_after or _PAUSE)
                _count_retry()
                refused = error
            except BaseException as error:
                _give_up(held, error)
                raise
            else:
                report(response).setdefault("lane", {})["waited_seconds"] = round(waited, 3)
                return response

    def _demand(self, request: Request, model_id: str) -> Demand:
        spec = spec_behind(model_id)
        habits = self._habits.get(model_id)
        if habits is None:
            new = Habits(burndown=spec.output_burndown if spec else 1)
            habits = self._habits.setdefault(model_id, new)
        return Demand(habits, self._estimate(request, model_id), most_output(request, spec))

    def _estimate(self, request: Request, model_id: str) -> int:
        try:
            return max(0, int(self._count(request)))
        except Exception as error:  # noqa: BLE001 - whatever a user's own raises
            # No estimate must stop a call. The message may repeat the prompt.
            logger.warning(
                "model=<%s>, error=<%s>: the estimate of a prompt failed, it counts as 0 tokens",
                model_id,
                type(error).__name__,
            )
            return 0

    def _line_of(self, model_id: str) -> Line | None:
        line = self._lines.get(_ALL) or self._lines.get(model_id)
        if line is None:
            try:
                line = self._lines.get(parse_model_id(model_id).scoped_base or "")
            except ModelIdError:
                return None  # Bedrock says better what is wrong with it
        return line

    def _late(self, line: Line, model_id: str) -> ThrottledError:
        error = ThrottledError(
            f"{model_id} had no room within max_wait={self.max_wait:g} seconds, with "
            f"{line.waiting} more calls waiting: nothing was sent. Send less at once, lower "
            "max_tokens, or raise max_wait."
        )
        error.model_id = model_id
        setattr(error, UNSENT, True)
        return error


def _by_model(limit: Limit, name: str) -> dict[str, int]:
    """Limits by model id; under `_ALL` one for all models."""
    if limit is None:
        return {}
    limits = dict(limit) if isinstance(limit, Mapping) else {_ALL: limit}
    for model_id, number in limits.items():
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            of = f" of {model_id}" if model_id else ""
            raise ConfigurationError(f"{name}{of} is {number!r}: it must be a whole number from 1.")
    return limits


def _refuse_too_large(demand: Demand, line: Line, model_id: str) -> None:
    """Refuse at once what Bedrock would refuse at any time.

    Raises:
        RequestTooLargeOrOverQuotaError: It asks for more than a minute's quota.
    """
    if line.tokens is None or demand.least <= line.tokens.limit:
        return
    error = RequestTooLargeOrOverQuotaError(
        f"{model_id} would reserve at least {demand.least:,} tokens, {demand.most_output:,} of "
        f"them for the answer, of a quota of {line.tokens.limit:,} a minute: nothing was sent. "
        "Set a lower max_tokens, or shorten the prompt."
    )
    error.model_id = model_id
    setattr(error, UNSENT, True)
    raise error


def _asked(call_next: Call, request: Request, line: Line) -> Response:
    """The answer, with throttles noted that botocore's own retries got over."""
    attempts = attempts_so_far()
    before = attempts.throttles if attempts else 0
    response = call_next(request)
    if attempts and attempts.throttles > before:
        line.throttled(_PAUSE)
    return response


def _count_retry() -> None:
    attempts = attempts_so_far()
    if attempts is not None:
        attempts.retries += 1


def _is_daily(error: ThrottledError) -> bool:
    """Whether the quota of a day is used up: no wait of minutes helps."""
    return "per day" in str(error).lower()


def _is_too_large(demand: Demand, line: Line) -> bool:
    """Whether a call that was throttled had no chance, as far as its estimate tells."""
    limit = line.tokens.limit if line.tokens else None
    return limit is not None and demand.estimate + demand.most_output > limit


def _give_up(held: Reservation, error: BaseException) -> None:
    """End what a call holds that failed: all of it, unless a model may have worked on it."""
    is_unknown = isinstance(error, BedrockServiceError) and not isinstance(error, _REFUSALS)
    if getattr(error, UNSENT, False):
        held.release()
    elif is_unknown or not isinstance(error, Exception):
        held.settle(None)
    else:
        held.release()


def _settled(response: Response, held: Reservation) -> Response:
    """A whole answer, with what it spent settled."""
    held.settle(response.get("usage"))
    return response


def _settling(response: Response, held: Reservation) -> Response:
    """A stream that settles what it spent when its `metadata` event says it, or at its end."""
    events = response["stream"]
    watched = _watched(events, held)
    # One that is forgotten before its first event runs no `finally`.
    weakref.finalize(watched, held.drop).atexit = False
    return {**response, "stream": EventStream(watched, _Source(events, held))}


def _watched(events: Iterable[Event], held: Reservation) -> Iterator[Event]:
    try:
        for event in events:
            if "metadata" in event:
                held.settle(event["metadata"].get("usage"))
            yield event
    except ThrottledError as error:
        held.throttled(error.retry_after or _PAUSE)
        raise
    finally:
        held.drop()  # no effect if it was settled


class _Source:
    """What a stream is read from: closed before it was read, it has to end what it holds, too."""

    def __init__(self, events: Any, held: Reservation) -> None:
        self._events = events
        self._held = held

    def close(self) -> None:
        close_events(self._events)
        self._held.settle(None)
