"""The operations of the runtime: Converse, InvokeModel, their streams, and CountTokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from langchain_bedrock_opt.catalog.model_ids import ModelIdKind, parse_model_id
from langchain_bedrock_opt.catalog.specs import spec_of
from langchain_bedrock_opt.contracts import TokenUsage
from langchain_bedrock_opt.emulator.engine import Operation, Parts, Visit
from langchain_bedrock_opt.emulator.families.invoke import (
    embed,
    is_embedding,
    read_body,
    to_body,
    to_chunks,
    to_converse,
)
from langchain_bedrock_opt.emulator.http.converse import converse_events, converse_output
from langchain_bedrock_opt.emulator.http.eventstream import (
    encode_chunk,
    encode_event,
    encode_exception,
    padded,
)
from langchain_bedrock_opt.emulator.http.invocation import invocation_headers
from langchain_bedrock_opt.emulator.http.jsontext import compact_json
from langchain_bedrock_opt.emulator.questions import (
    Question,
    converse_question,
    native_question,
)
from langchain_bedrock_opt.emulator.quota import QuotaMeter, Reservation
from langchain_bedrock_opt.emulator.replies.counting import input_tokens
from langchain_bedrock_opt.emulator.throughput.units import UnitMeter, UnitReservation
from langchain_bedrock_opt.emulator.types import HttpResponse, Pace, Reply, ServiceFailure
from langchain_bedrock_opt.emulator.validation import check_converse

# What a request asks for and the answer repeats: the tier and latency that served it.
_ECHOED: Final = ("serviceTier", "performanceConfig")

# Seen in public issues; CountTokens is offered for some models only.
_NO_COUNTING: Final = "The provided model doesn't support counting tokens."


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A request that was admitted and answered, and has not been delivered yet."""

    reply: Reply
    reservation: Reservation | UnitReservation
    pace: Pace | None

    def settle(self, reply: Reply | None = None) -> TokenUsage:
        """Charge the quota, and say what the call spent."""
        reply = reply or self.reply
        self.reservation.settle(reply.input_tokens, reply.cache_write_tokens, reply.output_tokens)
        return TokenUsage(
            input=reply.input_tokens,
            output=reply.output_tokens,
            cache_read=reply.cache_read_tokens,
            cache_write_5m=reply.cache_write_tokens,
        )


def converse(parts: Parts, visit: Visit) -> HttpResponse:
    """Answer a Converse call."""
    turn = _converse_turn(parts, visit, streaming=False)
    latency = _deliver_whole(parts, visit, turn)
    response = parts.wire.serialise(visit.call, converse_output(turn.reply, latency))
    visit.end(response.status, usage=turn.settle())
    return response


def converse_stream(parts: Parts, visit: Visit) -> HttpResponse:
    """Answer a ConverseStream call."""
    turn = _converse_turn(parts, visit, streaming=True)
    tokens = turn.reply.output_tokens
    events = converse_events(
        turn.reply, lambda: parts.timing.latency_ms(visit.started, turn.pace, tokens)
    )
    frames = (
        (encode_event(event.event_type, padded(event.payload, number)), event.tokens)
        for number, event in enumerate(events)
    )
    return parts.wire.serialise_stream(visit.call, _paced(parts, visit, turn, frames))


def invoke_model(parts: Parts, visit: Visit) -> HttpResponse:
    """Answer an InvokeModel call in the model family's own format."""
    base, body = _invoked(parts, visit)
    if is_embedding(base):
        return _embedding(parts, visit, base, body)
    turn = _turn(parts, visit, native_question(base, body))
    latency = _deliver_whole(parts, visit, turn)
    answer = compact_json(to_body(base, turn.reply, body))
    output = {"body": answer, "contentType": "application/json"}
    headers = invocation_headers(turn.reply, latency)
    response = parts.wire.serialise(visit.call, output, headers)
    visit.end(response.status, usage=turn.settle())
    return response


def invoke_model_stream(parts: Parts, visit: Visit) -> HttpResponse:
    """Answer an InvokeModelWithResponseStream call in the model family's own format."""
    base, body = _invoked(parts, visit)
    turn = _turn(parts, visit, native_question(base, body))
    chunks = list(to_chunks(base, turn.reply, body, pace=turn.pace))
    share = turn.reply.output_tokens / max(1, len(chunks))
    frames = (
        (encode_chunk(compact_json(chunk), number), share) for number, chunk in enumerate(chunks)
    )
    return parts.wire.serialise_stream(visit.call, _paced(parts, visit, turn, frames))


def count_tokens(parts: Parts, visit: Visit) -> HttpResponse:
    """Answer a CountTokens call with an estimate."""
    params = visit.call.params
    base = parts.directory.resolve(params["modelId"], invoke=False, region=visit.region)
    spec = spec_of(base)
    if spec is not None and not spec.count_tokens:
        raise ServiceFailure("ValidationException", _NO_COUNTING)
    given: Mapping[str, Any] = params["input"]
    if "invokeModel" in given:
        request: Mapping[str, Any] = to_converse(base, read_body(given["invokeModel"]["body"]))
    else:
        request = {"modelId": base, **given["converse"]}
        check_converse(request, base, without=parts.without_rules)
    response = parts.wire.serialise(visit.call, {"inputTokens": input_tokens(request)})
    visit.end(response.status)
    return response


OPERATIONS: Final[Mapping[str, Operation]] = {
    "Converse": converse,
    "ConverseStream": converse_stream,
    "InvokeModel": invoke_model,
    "InvokeModelWithResponseStream": invoke_model_stream,
    "CountTokens": count_tokens,
}
"""The runtime's operations by their name in botocore's model."""


def _converse_turn(parts: Parts, visit: Visit, *, streaming: bool) -> Turn:
    params = visit.call.params
    chosen, traced = _routed(parts, params)
    known = parts.directory.base_of(chosen, region=visit.region)
    extra = {key: params[key] for key in _ECHOED if params.get(key)} | traced
    question = converse_question(parts, params, known, streaming=streaming, extra=extra)
    return _turn(parts, visit, question)


def _routed(parts: Parts, params: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The id that is to answer, and what the answer says of it if a prompt router chose it."""
    model_id = params["modelId"]
    router = parts.directory.prompt_router(model_id)
    if router is None:
        return model_id, {}
    chosen = router.choose(input_tokens(params))
    return chosen, {"trace": {"promptRouter": {"invokedModelId": chosen}}}


def _turn(parts: Parts, visit: Visit, question: Question) -> Turn:
    """Admit a request, and have it answered."""
    base, request = question.base, question.request
    model_id = str(visit.call.model_id)
    meter = _meter(parts, model_id, base)
    reservation = meter.reserve(
        model_id,
        base,
        # Counting takes longer than the rest of admission, and most models have no quota here.
        input_tokens=input_tokens(request) if meter.is_limited(model_id, base) else 0,
        max_tokens=(request.get("inferenceConfig") or {}).get("maxTokens"),
    )
    try:
        reply = question.ask(parts.responder)
    except BaseException:
        reservation.release()
        raise
    return Turn(reply=reply, reservation=reservation, pace=parts.timing.pace(base, request))


def _meter(parts: Parts, model_id: str, base: str) -> QuotaMeter | UnitMeter:
    """What admits a call: a quota for its id, else the units of a provisioned throughput."""
    return parts.quota if parts.quota.is_limited(model_id, base) else parts.units


def _deliver_whole(parts: Parts, visit: Visit, turn: Turn) -> int:
    """Wait until the whole answer is there; its latency in milliseconds."""
    tokens = turn.reply.output_tokens
    if turn.pace is not None:
        parts.timing.wait_until(visit.started, turn.pace.seconds(tokens))
    return parts.timing.latency_ms(visit.started, turn.pace, tokens)


def _paced(
    parts: Parts, visit: Visit, turn: Turn, frames: Iterable[tuple[bytes, float]]
) -> Iterator[bytes]:
    """Frames as they come, each after the tokens before it; a planned fault among them."""
    sent = 0.0
    fault = visit.fault
    is_complete = False

    def end(error_code: str | None = None) -> None:
        reply = turn.reply if is_complete else replace(turn.reply, output_tokens=round(sent))
        visit.end(200, error_code=error_code, usage=turn.settle(reply))

    try:
        for number, (frame, tokens) in enumerate(frames):
            if fault is not None and number == fault.after_events:
                break
            sent += tokens
            if turn.pace is not None and number:
                parts.timing.wait_until(visit.started, turn.pace.seconds(0) + sent / _speed(turn))
            yield frame
        else:
            is_complete = True
        if fault is not None:
            parts.timing.wait(fault.delay)
            failure = fault.failure()
            end(failure.code)  # now: a reader stops at an exception and asks for nothing after it
            yield encode_exception(failure.code, failure.message)
    finally:
        end()


def _speed(turn: Turn) -> float:
    return turn.pace.tokens_per_second if turn.pace else float("inf")


def _invoked(parts: Parts, visit: Visit) -> tuple[str, dict[str, Any]]:
    params = visit.call.params
    model_id = params["modelId"]
    base = parts.directory.resolve(model_id, region=visit.region)
    if parse_model_id(model_id).kind is ModelIdKind.MARKETPLACE_ENDPOINT:
        base = ""  # whatever is deployed there speaks chat completions, as most servers do
    return base, read_body(params.get("body", b""))


def _embedding(parts: Parts, visit: Visit, base: str, body: Mapping[str, Any]) -> HttpResponse:
    answer = embed(base, body)
    tokens = answer.input_tokens
    model_id = str(visit.call.model_id)
    reservation = _meter(parts, model_id, base).reserve(
        model_id, base, input_tokens=tokens, max_tokens=0
    )
    turn = Turn(
        reply=Reply(content=(), input_tokens=tokens),
        reservation=reservation,
        pace=parts.timing.pace(base, {}),
    )
    latency = _deliver_whole(parts, visit, turn)
    output = {"body": compact_json(answer.body), "contentType": "application/json"}
    headers = invocation_headers(turn.reply, latency)
    response = parts.wire.serialise(visit.call, output, headers)
    visit.end(response.status, usage=turn.settle())
    return response
