"""The seam: layers between LangChain and boto3, and the client that is made of them.

`ChatBedrockConverse` calls two methods of its client, `converse` and `converse_stream`. A
`LayeredClient` has these two methods and hands each request through a chain of layers to a real
boto3 client. A layer sees what boto3 would get and returns what boto3 would return; it knows
nothing of LangChain.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, ClassVar, TypeAlias

from langchain_bedrock_opt.aws.attempts import (
    Attempts,
    attempts_so_far,
    count_attempts,
    stop_counting,
)
from langchain_bedrock_opt.aws.call_context import STAND_IN, conversation_for
from langchain_bedrock_opt.aws.errors import BOTOCORE_ERRORS, service_error
from langchain_bedrock_opt.aws.resolution import known_resolution
from langchain_bedrock_opt.contracts import REPORT_KEY

Request: TypeAlias = dict[str, Any]
"""The keyword arguments of one `converse` or `converse_stream` call."""

Response: TypeAlias = dict[str, Any]
"""A Converse response; for a stream `{"stream": events, "ResponseMetadata": …}`."""

Event: TypeAlias = dict[str, Any]
"""One event of a stream, such as `{"contentBlockDelta": …}`."""

Call: TypeAlias = Callable[[Request], Response]
"""The rest of the chain: the next layer, or in the end boto3."""


class NotAsked(Exception):  # noqa: N818 - no error: nobody was to answer
    """Raised in place of an answer by a client that only wants to know what layers have.

    A layer that has no answer of its own lets it pass, and counts nothing: the same request comes
    again, with its answer, if somebody else gives one.
    """


class Layer:
    """One step in the way of a request. Override what the layer is about; the rest passes.

    Rules:
        * Neither the request nor a response that came from `call_next` is changed in place
          unless it was made here: a layer that alters a request passes on a new dict.
        * Once returned, a response belongs to the caller, which takes it apart; a layer that
          keeps one keeps a copy.
        * A stream's events are read only as fast as the consumer asks for them. A layer that
          wraps them returns an `EventStream` over its own iterator and the wrapped events.
        * A layer is called by many threads at once.

    Example:
        >>> class CountCalls(Layer):
        ...     calls = 0
        ...
        ...     def converse(self, request, call_next):
        ...         self.calls += 1
        ...         return call_next(request)
    """

    replays: ClassVar[bool] = False
    """Whether it answers requests that it has seen before without asking Bedrock."""

    def converse(self, request: Request, call_next: Call) -> Response:
        """Answer a Converse request, usually by `call_next(request)`.

        Args:
            request: `modelId`, `messages` and the other arguments of boto3's `converse`.
            call_next: The rest of the chain.

        Returns:
            The response as boto3 gives it. `report(response)` adds what this layer did.
        """
        return call_next(request)

    def converse_stream(self, request: Request, call_next: Call) -> Response:
        """Answer a ConverseStream request, usually by `call_next(request)`.

        Args:
            request: The arguments of boto3's `converse_stream`.
            call_next: The rest of the chain.

        Returns:
            A dict with the iterable `stream` of events and, if known, `ResponseMetadata`.
        """
        return call_next(request)


def report(response: Response) -> dict[str, Any]:
    """The response's `CallReport`, made if there is none: a layer writes its part into it.

    Works on plain and on stream responses. Those of a stream reach LangChain with the stream's
    `metadata` event, so a part that is known only at the end may be written until then.

    Example:
        >>> response = {"output": {}}
        >>> report(response)["cache"] = {"status": "miss"}
        >>> response
        {'output': {}, 'bedrock_opt': {'cache': {'status': 'miss'}}}
    """
    return response.setdefault(REPORT_KEY, {})  # type: ignore[no-any-return]


class LayeredClient:
    """A bedrock-runtime client that sends Converse requests through layers.

    Everything that is not `converse` or `converse_stream` (`count_tokens`, `meta`, …) is the
    base client's own.

    Args:
        base: A boto3 bedrock-runtime client, or anything with its two methods.
        layers: From the outermost, which sees a request first, to the innermost.
        renew: Makes a base client for a forked process, which must not share its parent's
            connections. None keeps the base: it is the caller's own.
    """

    def __init__(
        self,
        base: Any,
        layers: Sequence[Layer] = (),
        *,
        renew: Callable[[], Any] | None = None,
    ) -> None:
        self.base = base
        self._renew = renew
        self._process = os.getpid()
        self.layers = tuple(layers)
        self._converse: Call = self.call_base
        self._converse_stream: Call = self.stream_base
        for layer in reversed(self.layers):
            self._converse = partial(layer.converse, call_next=self._converse)
            self._converse_stream = partial(layer.converse_stream, call_next=self._converse_stream)

    def converse(self, **request: Any) -> Response:
        """Send one request through the layers.

        Returns:
            boto3's response with one more key, the `CallReport` under `"bedrock_opt"`.

        Raises:
            BedrockServiceError: Bedrock answered with an error; also a botocore `ClientError`.
        """
        return self._through(self._converse, request)

    def converse_stream(self, **request: Any) -> Response:
        """Send one streaming request through the layers.

        Returns:
            boto3's response; the `metadata` event of its stream carries the `CallReport`.

        Raises:
            BedrockServiceError: Bedrock answered with an error. One that comes in the middle of
                the stream is raised by the iterator.
        """
        response = self._through(self._converse_stream, request)
        events = response["stream"]
        return {**response, "stream": EventStream(_reported(events, response), events)}

    def _through(self, layers: Call, request: Request) -> Response:
        """Send a request through the layers, and report on it."""
        attempts = Attempts()
        token = count_attempts(attempts)
        try:
            response = self._with_conversation(layers, request)
        finally:
            stop_counting(token)
        self._add_facts(report(response), request.get("modelId"), attempts)
        return response

    def _with_conversation(self, layers: Call, request: Request) -> Response:
        """Send a request through the layers, with the conversation that it is to have."""
        conversation = conversation_for(self)
        if conversation is None:
            _refuse_stand_in(request)
            return layers(request)
        with conversation.placed_in(request) as whole:
            return layers(whole)

    def _add_facts(self, told: dict[str, Any], model_id: str | None, attempts: Attempts) -> None:
        """Add to a report what no layer has to know; what a layer has said stands."""
        model_id = told.setdefault("model_id", model_id)  # a layer may have asked another one
        if "region" not in told:  # no model was asked
            _from_region({REPORT_KEY: told}, self.base)
        if model_id is not None and model_id.startswith("arn:"):
            resolution = known_resolution(model_id)
            if resolution is not None and resolution.resolved_id is not None:
                told.setdefault("resolved_id", resolution.resolved_id)
        if attempts.retries:
            told.setdefault("retries", attempts.retries)
        if attempts.throttles:
            told.setdefault("throttles", attempts.throttles)

    def call_base(self, request: Request) -> Response:
        """Ask the base client itself, with no layer between.

        Args:
            request: The arguments of boto3's `converse`.

        Raises:
            BedrockServiceError: Bedrock answered with an error.
        """
        base = self.own_base()
        try:
            response: Response = base.converse(**request)
        except BOTOCORE_ERRORS as error:
            raise service_error(
                error, request.get("modelId"), region_of(base), attempts_so_far()
            ) from error
        return _from_region(response, base)

    def stream_base(self, request: Request) -> Response:
        """Ask the base client itself for a stream, with no layer between.

        Args:
            request: The arguments of boto3's `converse_stream`.

        Raises:
            BedrockServiceError: Bedrock answered with an error; the stream's iterator raises it
                likewise.
        """
        base = self.own_base()
        try:
            response = base.converse_stream(**request)
        except BOTOCORE_ERRORS as error:
            raise service_error(
                error, request.get("modelId"), region_of(base), attempts_so_far()
            ) from error
        events = response["stream"]
        mapped = EventStream(_mapped(events, request.get("modelId")), events)
        return _from_region({**response, "stream": mapped}, base)

    def own_base(self) -> Any:
        """The base client of this process: in a forked one, a client of its own."""
        if self._renew is not None and self._process != os.getpid():
            self.base = self._renew()
            self._process = os.getpid()
        return self.base

    def __getattr__(self, name: str) -> Any:
        """Everything else is the base client's."""
        if name == "base":  # a half-built object, as copy and pickle make them
            raise AttributeError(name)
        return getattr(self.base, name)


def _refuse_stand_in(request: Request) -> None:
    """Make sure that nobody is asked what only stands for a conversation."""
    match request.get("messages"):
        case [{"content": [{"text": text}]}] if text == STAND_IN:
            raise RuntimeError("a request lost its conversation: please report this as a bug")


class EventStream:
    """The events of one stream, to be read once, with the source that must be closed.

    A generator alone is not enough: closing one that was never started closes nothing behind it,
    and the connection would stay open.

    Args:
        events: What the consumer reads.
        source: What `events` reads from; closed by `close` if it can be closed.
    """

    def __init__(self, events: Iterator[Event], source: Any) -> None:
        self._events = events
        self._source = source

    def __iter__(self) -> Iterator[Event]:
        """The events, each once."""
        return self._events

    def close(self) -> None:
        """Stop reading and give the connection back. May be called more than once."""
        close_events(self._events)
        close_events(self._source)


def close_events(events: Any) -> None:
    """Close a stream's events if they can be closed."""
    close = getattr(events, "close", None)
    if close is not None:
        close()


def _mapped(events: Iterable[Event], model_id: str | None) -> Iterator[Event]:
    """Pass events on, with an error inside the stream raised as ours."""
    try:
        yield from events
    except BOTOCORE_ERRORS as error:
        raise service_error(error, model_id) from error


def region_of(client: Any) -> str | None:
    """The region of a client; None for one that has none, such as a test's."""
    region: str | None = getattr(getattr(client, "meta", None), "region_name", None)
    return region


def _from_region(response: Response, base: Any) -> Response:
    """A response whose report names the region that was called: its price may depend on it."""
    region = region_of(base)
    if region is not None:
        report(response)["region"] = region
    return response


def _reported(events: Iterable[Event], response: Response) -> Iterator[Event]:
    """Pass events on, with the response's report written into the `metadata` event."""
    for event in events:
        if "metadata" in event:
            yield {**event, "metadata": {**event["metadata"], REPORT_KEY: report(response)}}
        else:
            yield event
