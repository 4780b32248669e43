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
from langchain_bedrock_opt.caching.codec import EntryCodec
from langchain_bedrock_opt.caching.control import Mode
from langchain_bedrock_opt.caching.cuts import Cuts
from langchain_bedrock_opt.caching.entries import Entries
from langchain_bedrock_opt.caching.events import replayed_events
from langchain_bedrock_opt.caching.flight import Flight, SingleFlight
from langchain_bedrock_opt.caching.policy import is_sampled, is_worth_keeping, token_usage
from langchain_bedrock_opt.caching.recording import Recording
from langchain_bedrock_opt.caching.responses import (
    StoredResponse,
    decode_response,
    encode_response,
)
from langchain_bedrock_opt.contracts import REPORT_KEY, CacheReport, TokenUsage

Status: TypeAlias = Literal["miss", "bypass", "refresh", "error"]

_NOTHING_SPENT = {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}


class CacheLayer(Layer):
    """Answers requests from a cache, streaming ones too. Made by `BedrockSemanticCache.as_layer`.

    Args:
        entries: The store behind it.
        codec: Makes bytes of answers.
        flights: The calls under way, shared by all layers over the same store.
        key: The key of a request.
        mode: What the caller wants of the cache just now.
        cache_sampled: Whether requests with a temperature above 0 are answered too.
    """

    def __init__(
        self,
        *,
        entries: Entries,
        codec: EntryCodec,
        flights: SingleFlight,
        key: Callable[[Mapping[str, Any]], str],
        mode: Callable[[], Mode | None],
        cache_sampled: bool,
    ) -> None:
        self._entries = entries
        self._codec = codec
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
        form: Callable[[StoredResponse], Response],
    ) -> tuple[Response | None, Status]:
        """The answer in the form that was asked for, if another call or the store has it."""
        if status == "refresh":
            return None, status

        def decode(data: bytes) -> tuple[bytes, Response, CacheReport]:
            stored = decode_response(self._codec, key, data)
            cache_report = self._hit(stored, request)
            return data, form(stored), cache_report

        found, looked_up = self._entries.load(key, decode, data=flight.value)
        if found is None:
            self._entries.count(misses=1)
            return None, "error" if looked_up == "error" else "miss"
        data, response, cache_report = found
        flight.land(data)
        self._entries.count_hit(TokenUsage.from_dict(cache_report["saved"]))
        response[REPORT_KEY] = {"cache": cache_report}
        return response, status

    def _hit(self, stored: StoredResponse, request: Request) -> CacheReport:
        """Make of a stored response the answer to this request, for which nothing was spent."""
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
        age = max(0.0, self._entries.clock() - stored.meta["at"])
        return {
            "status": "hit",
            "tier": "exact",
            "age_seconds": age,
            "saved": saved.as_dict(),
        }

    def _keep(self, key: str, response: Response, cuts: Cuts | None = None) -> bytes | None:
        """Store a response that is worth it, and return what may be shared of it."""

        def encode() -> bytes | None:
            if not is_worth_keeping(response):
                return None
            meta = {"at": self._entries.clock()}
            return encode_response(self._codec, key, response, meta=meta, cuts=cuts)

        return self._entries.save(key, encode)


def _whole(stored: StoredResponse) -> Response:
    return stored.response


def _streamed(stored: StoredResponse) -> Response:
    return {"stream": EventStream(iter(replayed_events(stored.response, stored.cuts)), None)}


def _reported(response: Response, status: Status) -> Response:
    report(response)["cache"] = {"status": status}
    return response
