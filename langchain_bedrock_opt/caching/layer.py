"""The cache in the way of a request: the door that our own chat models use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, TypeAlias

from langchain_bedrock_opt.aws.layers import (
    Call,
    EventStream,
    Layer,
    Request,
    Response,
    report,
)
from langchain_bedrock_opt.caching.codec import StoredResponse, decode_response, encode_response
from langchain_bedrock_opt.caching.control import Mode
from langchain_bedrock_opt.caching.entries import Entries
from langchain_bedrock_opt.caching.events import replayed_events
from langchain_bedrock_opt.caching.flight import Flight, SingleFlight
from langchain_bedrock_opt.caching.policy import is_sampled, is_worth_keeping, token_usage
from langchain_bedrock_opt.caching.recording import Recording
from langchain_bedrock_opt.contracts import REPORT_KEY, CacheReport, TokenUsage

Status: TypeAlias = Literal["miss", "bypass", "refresh", "error"]

_NOTHING_SPENT = {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}


class CacheLayer(Layer):
    """Answers requests from a cache, streaming ones too. Made by `BedrockSemanticCache.as_layer`.

    Args:
        entries: The store behind it.
        flights: The calls under way, shared by all layers over the same store.
        key: The key of a request.
        mode: What the caller wants of the cache just now.
        cache_sampled: Whether requests with a temperature above 0 are answered too.
    """

    replays = True

    def __init__(
        self,
        *,
        entries: Entries,
        flights: SingleFlight,
        key: Callable[[Mapping[str, Any]], str],
        mode: Callable[[], Mode | None],
        cache_sampled: bool,
    ) -> None:
        self._entries = entries
        self._flights = flights
        self._key = key
        self._mode = mode
        self._cache_sampled = cache_sampled

    def converse(self, request: Request, call_next: Call) -> Response:
        """Answer from the cache, or ask and keep the answer."""
        key, status = self._plan(request)
        if key is None:
            return _reported(call_next(request), status)
        with self._enter(key, status) as flight:
            found, status = self._find(key, status, flight, request, _whole)
            if found is not None:
                return found
            response = call_next(request)
            flight.land(self._keep(key, response))
        return _reported(response, status)

    def converse_stream(self, request: Request, call_next: Call) -> Response:
        """Stream from the cache, or ask, pass the events on and keep the answer at their end."""
        key, status = self._plan(request)
        if key is None:
            return _reported(call_next(request), status)
        with self._enter(key, status) as flight:
            found, status = self._find(key, status, flight, request, _streamed)
            if found is not None:
                return found
            response = call_next(request)
            recording = Recording(response["stream"], flight, partial(self._keep, key))
            stream = EventStream(iter(recording), recording)
        return _reported({**response, "stream": stream}, status)

    def _plan(self, request: Request) -> tuple[str | None, Status]:
        """The request's key, or None if the cache stays out of it, and what to report."""
        mode = self._mode()
        if mode == "bypass" or (is_sampled(request) and not self._cache_sampled):
            self._entries.count(bypassed=1)
            return None, "bypass"
        try:
            key = self._key(request)
        except TypeError as error:  # Bedrock will say better what is wrong with it
            self._entries.failed("making a key", error)
            return None, "error"
        if mode == "refresh":
            self._entries.count(bypassed=1)
            return key, "refresh"
        return key, "miss"

    def _enter(self, key: str, status: Status) -> Flight:
        return Flight() if status == "refresh" else self._flights.enter(key)

    def _find(
        self,
        key: str,
        status: Status,
        flight: Flight,
        request: Request,
        form: Callable[[Response], Response],
    ) -> tuple[Response | None, Status]:
        """The answer in the form that was asked for, if another call or the store has it."""
        if status == "refresh":
            return None, status

        def decode(data: bytes) -> tuple[bytes, Response, CacheReport]:
            hit, cache_report = self._hit(decode_response(data), request)
            return data, form(hit), cache_report

        found, looked_up = self._entries.load(key, decode, data=flight.value)
        if found is None:
            self._entries.count(misses=1)
            return None, "error" if looked_up == "error" else "miss"
        data, response, cache_report = found
        flight.land(data)
        self._entries.count_hit(TokenUsage.from_dict(cache_report["saved"]))
        response[REPORT_KEY] = {"cache": cache_report}
        return response, status

    def _hit(self, stored: StoredResponse, request: Request) -> tuple[Response, CacheReport]:
        """A stored response as the answer to this request, for which nothing was spent."""
        response = stored.response
        saved = token_usage(response)
        response["usage"] = dict(_NOTHING_SPENT)
        response["metrics"] = {"latencyMs": 0}
        fields = response.get("additionalModelResponseFields")
        if isinstance(fields, dict):
            fields.pop("usage", None)  # or its reasoning tokens would count for this call
        # The tier is this request's, on which the worth of what it saved depends.
        for name in ("serviceTier", "performanceConfig"):
            response.pop(name, None)
            if name in request:
                response[name] = request[name]
        age = max(0.0, self._entries.clock() - stored.stored_at)
        return response, {
            "status": "hit",
            "tier": "exact",
            "age_seconds": age,
            "saved": saved.as_dict(),
        }

    def _keep(self, key: str, response: Response) -> bytes | None:
        """Store a response that is worth it, and return what may be shared of it."""

        def encode() -> bytes | None:
            if not is_worth_keeping(response):
                return None
            return encode_response(response, stored_at=self._entries.clock())

        return self._entries.save(key, encode)


def _whole(response: Response) -> Response:
    return response


def _streamed(response: Response) -> Response:
    return {"stream": EventStream(iter(replayed_events(response)), None)}


def _reported(response: Response, status: Status) -> Response:
    report(response)["cache"] = {"status": status}
    return response
