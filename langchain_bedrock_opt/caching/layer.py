"""The cache in the way of a request: the door that our own chat models use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Literal, TypeAlias

from langchain_bedrock_opt.aws.call_context import call_context, run_metadata
from langchain_bedrock_opt.aws.layers import (
    Call,
    EventStream,
    Layer,
    NotAsked,
    Request,
    Response,
    close_events,
    report,
)
from langchain_bedrock_opt.caching.codec import EntryCodec
from langchain_bedrock_opt.caching.control import CallOptions
from langchain_bedrock_opt.caching.cuts import Cuts
from langchain_bedrock_opt.caching.desk import Desk
from langchain_bedrock_opt.caching.entries import Kept
from langchain_bedrock_opt.caching.events import StreamAssembler, replayed_events
from langchain_bedrock_opt.caching.flight import Flight
from langchain_bedrock_opt.caching.hits import exact_hit_id
from langchain_bedrock_opt.caching.keys import semantic_key, similarity_scope
from langchain_bedrock_opt.caching.leases import Claim
from langchain_bedrock_opt.caching.policy import (
    is_sampled,
    is_worth_keeping,
    text_of,
    token_usage,
)
from langchain_bedrock_opt.caching.recording import Recording
from langchain_bedrock_opt.caching.responses import (
    StoredResponse,
    encode_response,
    read_response,
)
from langchain_bedrock_opt.caching.similar import Similar
from langchain_bedrock_opt.caching.similarity.bound import Question
from langchain_bedrock_opt.catalog.prices import price_tier_of
from langchain_bedrock_opt.contracts import REPORT_KEY, CacheReport, TokenUsage

Status: TypeAlias = Literal["miss", "bypass", "refresh", "error"]
Form: TypeAlias = Callable[[StoredResponse], Response]
"""Makes the answer that was asked for, whole or streamed, of a stored one."""
Ask: TypeAlias = Callable[[Request], tuple[Response, Cuts | None]]
"""Asks the model, and waits for the whole answer; with its cuts, if it was streamed."""

RENEWAL_TAG: Final = "bedrock_opt_renewal"
"""Tag of the usage records of renewals."""

_COUNTED: Final = {"bypass": "bypassed", "refresh": "bypassed"}
"""What requests count as for which the model is asked; `misses` but for these."""

_NOTHING_SPENT = {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}


@dataclass(slots=True)
class _Asked:
    """One request on its way through the cache.

    Attributes:
        request: The request.
        options: What the caller asked of the cache.
        status: What will be reported if the model is asked.
        key: The request's key; empty if the cache stays out of it.
        stamps: The epochs that held before the model was asked; None if nobody could say.
        similar: What the similarity tier knows of its question, if it was asked.
        ttl: Seconds that its answer is fresh, where that is less than usual.
    """

    request: Request
    options: CallOptions
    status: Status
    key: str = ""
    stamps: Mapping[str, str] | None = None
    similar: Similar[_Answer] | None = None
    ttl: float | None = None

    @property
    def model(self) -> str:
        """The model id that the request names."""
        return str(self.request.get("modelId", ""))


@dataclass(slots=True)
class _Answer:
    """A stored answer in the form that was asked for.

    Attributes:
        meta: What was noted beside it.
        saved: The tokens that it does not spend.
        response: The answer.
        text: Its text, if it is nothing but text.
    """

    meta: Mapping[str, Any]
    saved: TokenUsage
    response: Response
    text: str | None


Read: TypeAlias = Callable[[bytes], _Answer]
"""Reads an opened entry as the answer to one request."""


class CacheLayer(Layer):
    """Answers requests from a cache, streaming ones too. Made by `BedrockSemanticCache.as_layer`.

    Args:
        desk: The parts of the cache.
        options: What the caller asks of it just now.
    """

    replays = True

    def __init__(self, desk: Desk, options: Callable[[], CallOptions]) -> None:
        self._desk = desk
        self._entries = desk.entries
        self._options = options

    def converse(self, request: Request, call_next: Call) -> Response:
        """Answer from the cache, or ask and keep the answer."""
        asked = self._plan(request)
        try:
            return self._converse(asked, call_next)
        except NotAsked:  # it comes again, and counts then
            if asked.key or asked.status == "bypass":
                self._entries.count(**{_COUNTED.get(asked.status, "misses"): -1})
            raise

    def _converse(self, asked: _Asked, call_next: Call) -> Response:
        request = asked.request
        if not asked.key:
            return _reported(_given(asked) or call_next(request), asked.status)
        with self._enter(asked) as flight:
            ask = partial(_ask_whole, call_next)
            found, claim = self._find(asked, flight, _whole, ask)
            if found is not None:
                return found
            response = _given(asked) or call_next(request)
            flight.land(self._keep(asked, claim, response))
        return _reported(response, asked.status)

    def converse_stream(self, request: Request, call_next: Call) -> Response:
        """Stream from the cache, or ask, pass the events on and keep the answer at their end."""
        asked = self._plan(request)
        if not asked.key:
            return _reported(call_next(request), asked.status)
        with self._enter(asked) as flight:
            ask = partial(_ask_streamed, call_next)
            found, claim = self._find(asked, flight, _streamed, ask)
            if found is not None:
                return found
            response = call_next(request)
            recording = Recording(response["stream"], flight, partial(self._keep, asked, claim))
            stream = EventStream(iter(recording), recording)
        return _reported({**response, "stream": stream}, asked.status)

    def _plan(self, request: Request) -> _Asked:
        """What is asked, and whether the cache has a part in it."""
        options = self._options()
        if options.mode == "bypass" or (is_sampled(request) and not self._desk.cache_sampled):
            self._entries.count(bypassed=1)
            return _Asked(request, options, "bypass")
        try:
            key = semantic_key(
                request, tenant=self._desk.tenant_of(options), namespace=self._desk.namespace
            )
        except TypeError as error:  # Bedrock will say better what is wrong with it
            self._entries.failed("making a key", error)
            return _Asked(request, options, "error")
        if options.mode == "refresh":
            self._entries.count(bypassed=1)
            return _Asked(request, options, "refresh", key)
        return _Asked(request, options, "miss", key)

    def _enter(self, asked: _Asked) -> Flight:
        """Lead, or come with the answer of the call that led."""
        return Flight() if asked.status == "refresh" else self._desk.flights.enter(asked.key)

    def _find(
        self, asked: _Asked, flight: Flight, form: Form, ask: Ask
    ) -> tuple[Response | None, Claim[Any]]:
        """The answer, if another call, the store or another process has it; or a claim to it."""
        nothing: Claim[Any] = Claim(self._entries.store, asked.key)
        if asked.status == "refresh":
            asked.stamps = self._desk.stamps(asked.options)
            return None, nothing
        read = partial(_read, form, asked.request)
        found = self._find_kept(asked, flight, read, ask) or self._find_similar(asked, flight, read)
        if found is not None:
            return found, nothing
        asked.stamps = self._desk.stamps(asked.options)
        if asked.stamps is None:
            asked.status = "error"
        claim = self._claim(asked, flight, read)
        if claim.found is not None:
            return self._hit(asked, claim.found, flight), claim
        self._entries.count(misses=1)
        return None, claim

    def _find_kept(self, asked: _Asked, flight: Flight, read: Read, ask: Ask) -> Response | None:
        """The answer to this very question."""
        kept, looked_up = self._entries.load(
            asked.key, read, wanted=self._desk.wanted(asked.options), flight=flight.value
        )
        if kept is None:
            if looked_up == "error":
                asked.status = "error"
            kept = self._migrated(asked, read)
        elif kept.is_stale:
            self._renew(asked, ask)
        return None if kept is None else self._hit(asked, kept, flight)

    def _find_similar(self, asked: _Asked, flight: Flight, read: Read) -> Response | None:
        """The answer to a similar question, where that may be served."""
        desk, options = self._desk, asked.options
        answers = desk.similar_for(options)
        if answers is None or asked.status == "error":
            return None
        scoped = similarity_scope(
            asked.request, tenant=desk.tenant_of(options), namespace=desk.namespace
        )
        if scoped is None:
            return None
        asked.similar = answers.find(Question(*scoped), read, wanted=desk.wanted(options))
        kept = asked.similar.kept
        cache_report = kept and answers.report(asked.similar, kept.entry.saved)
        if not kept or not cache_report:
            return None
        flight.land()  # not with this answer, since it is another question's: the others look too
        return self._reported_hit(asked, kept, cache_report)

    def _hit(self, asked: _Asked, kept: Kept[_Answer], flight: Flight) -> Response:
        flight.land(kept.opened)
        cache_report = kept.report(
            kept.entry.saved, hit_id=exact_hit_id(self._desk.namespace, asked.key)
        )
        return self._reported_hit(asked, kept, cache_report)

    def _reported_hit(
        self, asked: _Asked, kept: Kept[_Answer], cache_report: CacheReport
    ) -> Response:
        self._entries.count_hit(kept, kept.entry.saved, asked.model)
        response = kept.entry.response
        response[REPORT_KEY] = {"cache": cache_report}
        return response

    def _claim(self, asked: _Asked, flight: Flight, read: Read) -> Claim[Kept[_Answer]]:
        """The right to ask the model, or the answer of another process that has asked."""
        leases, entries, key = self._desk.leases, self._entries, asked.key
        wanted = self._desk.wanted(asked.options)
        if leases is None or asked.status == "error" or flight.is_alone:
            return Claim(entries.store, key)
        claim = leases.claim(key, lambda data: entries.read(key, data, read, wanted))
        flight.after_landing(partial(leases.end, claim))
        return claim

    def _keep(
        self, asked: _Asked, claim: Claim[Any], response: Response, cuts: Cuts | None = None
    ) -> bytes | None:
        """Store a response that is worth it, and return what may be shared of it."""

        def encode(codec: EntryCodec, key: str, meta: Mapping[str, Any]) -> bytes | None:
            if not is_worth_keeping(response):
                return None
            return encode_response(codec, key, response, meta=meta, cuts=cuts)

        data = self._entries.save(
            asked.key,
            encode,
            stamps=asked.stamps,
            model=asked.model,
            ttl=asked.ttl or asked.options.ttl,
            lease=claim.lease,
        )
        if data is None:
            return None
        self._learn(asked, response)
        return self._entries.opened(asked.key, data)

    def _learn(self, asked: _Asked, response: Response) -> None:
        """Tell the similarity tier that a question was answered."""
        answers, similar = self._desk.similar_for(asked.options), asked.similar
        text = text_of(response)
        if answers is None or similar is None or text is None:
            return

        def known_answer(key: str) -> str | None:
            known, _ = self._entries.load(key, partial(_read, _whole, asked.request))
            return None if known is None else known.entry.text

        answers.answered(similar, asked.key, text, ttl=asked.options.ttl, known_answer=known_answer)

    def _renew(self, asked: _Asked, ask: Ask) -> None:
        """Fetch a new answer for a stale one, while the stale one is served."""
        desk, key = self._desk, asked.key
        if not desk.renewals.may_begin(key):
            return
        metadata = run_metadata()

        def renew() -> None:
            claim = desk.leases.try_claim(key) if desk.leases is not None else None
            if desk.leases is not None and claim is None:
                return  # another process is at it
            claim = claim or Claim(self._entries.store, key)
            kept = None
            try:
                with call_context(metadata):  # inner layers may go by it
                    asked.stamps = desk.stamps(asked.options)
                    response, cuts = ask(asked.request)
                self._count_renewal(asked.request, response)
                kept = self._keep(asked, claim, response, cuts)
            finally:
                desk.renewals.ended(key, kept=kept is not None)
                claim.release()

        if not desk.background.run(f"renew {key}", "fetching a new answer", renew):
            desk.renewals.ended(key, kept=True)

    def _count_renewal(self, request: Request, response: Response) -> None:
        """Count what a new answer cost, where nobody's run tells of it."""
        spent, usage = token_usage(response), self._desk.usage
        self._entries.count_renewal(spent)
        if usage is None:
            return
        try:
            usage.observe(
                request["modelId"],
                spent,
                region=report(response).get("region"),
                price_tier=price_tier_of(response),
                tags=(RENEWAL_TAG,),
            )
        except Exception as error:  # noqa: BLE001 - who counts never costs an answer
            self._entries.failed("counting a renewal", error)

    def _migrated(self, asked: _Asked, read: Read) -> Kept[_Answer] | None:
        """The answer of an older cache, which this one takes over."""
        migration = self._desk.migration
        if migration is None:
            return None
        try:
            found_there = migration.take(asked.key, asked.request, asked.options)
            if found_there is None:
                return None
            text, asked.ttl = found_there
            asked.stamps = self._desk.stamps(asked.options)
            kept = self._keep(asked, Claim(self._entries.store, asked.key), _answer_of(text))
            found, _ = self._entries.load(asked.key, read, flight=kept)
            return None if found is None else replace(found, tier="migrated")
        except Exception as error:  # noqa: BLE001 - the call goes on without the older cache
            self._entries.failed("reading the older cache", error)
            return None


def _read(form: Form, request: Request, opened: bytes) -> _Answer:
    """A stored response as the answer to this request, for which nothing was spent."""
    stored = read_response(opened)
    response = stored.response
    saved, text = token_usage(response), text_of(response)
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
    return _Answer(stored.meta, saved, form(stored), text)


def _whole(stored: StoredResponse) -> Response:
    return stored.response


def _streamed(stored: StoredResponse) -> Response:
    return {"stream": EventStream(iter(replayed_events(stored.response, stored.cuts)), None)}


def _ask_whole(call_next: Call, request: Request) -> tuple[Response, None]:
    return call_next(request), None


def _ask_streamed(call_next: Call, request: Request) -> tuple[Response, Cuts | None]:
    assembler = StreamAssembler()
    events = call_next(request)["stream"]
    try:
        for event in events:
            assembler.add(event)
    finally:
        close_events(events)
    return assembler.response(), assembler.cuts


def _given(asked: _Asked) -> Response | None:
    """The answer that the caller has brought along, where the cache is being warmed up."""
    given = asked.options.answer
    return None if given is None else _answer_of(given)


def _answer_of(text: str) -> Response:
    """A response that says a text, and of which nothing else is known."""
    message = {"role": "assistant", "content": [{"text": text}]}
    usage = dict(_NOTHING_SPENT)
    return {"output": {"message": message}, "stopReason": "end_turn", "usage": usage}


def _reported(response: Response, status: Status) -> Response:
    report(response)["cache"] = {"status": status}
    return response
