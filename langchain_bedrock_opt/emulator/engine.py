"""The local Bedrock itself: from an HTTP request to an HTTP response, without a socket.

A request is read by the wire, met by a planned fault, resolved, validated, admitted by the quota,
answered by a responder at its model's pace, written by the wire, and remembered by the journal.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Final

from langchain_bedrock_opt.contracts import TokenUsage
from langchain_bedrock_opt.emulator.faults import Fault, FaultPlan
from langchain_bedrock_opt.emulator.http.jsontext import compact_json
from langchain_bedrock_opt.emulator.http.other_services import NOT_IMPLEMENTED
from langchain_bedrock_opt.emulator.http.wire import Wire, status_of
from langchain_bedrock_opt.emulator.journal import Journal, JournalEntry
from langchain_bedrock_opt.emulator.models import CONTROL_PLANE, ModelDirectory
from langchain_bedrock_opt.emulator.quota import QuotaMeter
from langchain_bedrock_opt.emulator.throughput.units import UnitMeter
from langchain_bedrock_opt.emulator.timing import Timing
from langchain_bedrock_opt.emulator.types import (
    Call,
    ConnectionCut,
    HttpRequest,
    HttpResponse,
    Responder,
    ServiceFailure,
)

NO_STATUS: Final = 0
"""What the journal has for a call whose connection broke before an answer."""

_SCOPE: Final = re.compile(r"/\d{8}/(?P<region>[a-z0-9-]+)/[a-z0-9-]+/aws4_request")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What an engine is made of. Each part is thread-safe.

    Attributes:
        without_rules: Names of validation rules that do not hold.
    """

    directory: ModelDirectory
    responder: Responder
    quota: QuotaMeter
    units: UnitMeter
    faults: FaultPlan
    journal: Journal
    timing: Timing
    wire: Wire
    without_rules: frozenset[str] = frozenset()


class Visit:
    """One call from its arrival to its end: what an operation needs to answer it.

    Attributes:
        call: The call.
        region: The region whose endpoint it was signed for.
        fault: A fault that shall come inside the stream, or None.
        lost_to: A fault that shall come instead of the answer when the work is done, or None.
        started: When it came, on the timing's clock.
    """

    def __init__(self, parts: Parts, call: Call, region: str, fault: Fault | None) -> None:
        self.call = call
        self.region = region
        self.fault = None if fault is None or fault.after_events is None else fault
        self.lost_to = fault if fault is not None and fault.after_work else None
        self.started = parts.timing.clock()
        self._parts = parts
        self._started_at = datetime.now(timezone.utc)
        self._is_over = False

    def end(
        self, status: int, *, error_code: str | None = None, usage: TokenUsage | None = None
    ) -> None:
        """Write the call into the journal; a second end is none.

        What is spent stands there even if the answer gets lost.
        """
        if self._is_over:
            return
        if self.lost_to is not None and error_code is None:
            status, error_code = _told(self.lost_to)
        self._is_over = True
        self._parts.journal.add(
            JournalEntry(
                operation=self.call.operation,
                model_id=self.call.model_id,
                params=self.call.params,
                status=status,
                error_code=error_code,
                started_at=self._started_at,
                seconds=self._parts.timing.clock() - self.started,
                usage=usage,
            )
        )


Operation = Callable[[Parts, Visit], HttpResponse]
"""Answers one operation, and ends its visit unless it raises."""


class Engine:
    """Answers HTTP requests as Amazon Bedrock does.

    Args:
        parts: What it is made of.
        operations: The operations of the runtime, of invocation jobs and of provisioned
            throughput, by name.
    """

    def __init__(self, parts: Parts, operations: Mapping[str, Operation]) -> None:
        self._parts = parts
        self._operations = operations

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one request.

        Args:
            request: The request.

        Returns:
            The answer. Its status is 501 for an operation the emulator does not have.

        Raises:
            ConnectionCut: A planned fault loses the answer.
        """
        request_id = str(uuid.uuid4())
        parts = self._parts
        visit: Visit | None = None
        try:
            call = parts.wire.parse(request, request_id)
            fault = parts.faults.next_for(call)
            visit = Visit(parts, call, _region_of(request, parts.directory.region), fault)
            if fault is None or fault.after_events is not None:
                return self._answer(visit)
            if fault.after_work:
                self._do(visit)
            return self._fail(visit, fault)
        except ServiceFailure as failure:
            response = parts.wire.serialise_failure(failure, request_id)
            if visit is not None:
                visit.end(response.status, error_code=failure.code)
            return response
        except ConnectionCut:
            if visit is not None:
                visit.end(NO_STATUS)
            raise

    def _answer(self, visit: Visit) -> HttpResponse:
        parts, call = self._parts, visit.call
        operation = self._operations.get(call.operation)
        if operation is not None:
            return operation(parts, visit)
        control = CONTROL_PLANE.get(call.operation)
        if control is None:
            known = ", ".join(sorted({*self._operations, *CONTROL_PLANE}))
            return not_served(call.operation, f"It has {known}.")
        response = parts.wire.serialise(call, control(parts.directory, call.params))
        visit.end(response.status)
        return response

    def _do(self, visit: Visit) -> None:
        """Do what a call asks for, and drop the answer."""
        body = self._answer(visit).body
        if not isinstance(body, bytes):
            for _ in body:  # a stream is written while it is read
                pass

    def _fail(self, visit: Visit, fault: Fault) -> HttpResponse:
        """Answer with a planned fault."""
        self._parts.timing.wait(fault.delay)
        failure = fault.failure()
        response = self._parts.wire.serialise_failure(failure, visit.call.request_id)
        visit.end(response.status, error_code=failure.code)
        if fault.retry_after is None:
            return response
        headers = {**response.headers, "Retry-After": f"{fault.retry_after:g}"}
        return HttpResponse(status=response.status, headers=headers, body=response.body)


def _told(fault: Fault) -> tuple[int, str | None]:
    """The status and the code that a caller gets of a fault."""
    if fault.cut:
        return NO_STATUS, None
    failure = fault.failure()
    return status_of(failure), failure.code


def _region_of(request: HttpRequest, default: str) -> str:
    """The region that a request is signed for."""
    scope = _SCOPE.search(request.headers.get("authorization", ""))
    return scope["region"] if scope else default


def not_served(operation: str, instead: str) -> HttpResponse:
    """The answer to what the local Bedrock does not have; the services beside it may have it.

    Args:
        operation: What was asked for.
        instead: A sentence on what there is.
    """
    message = {"message": f"{operation} is not part of the local Bedrock. {instead}"}
    headers = {"Content-Type": "application/json", "x-amzn-ErrorType": "NotImplemented"}
    return HttpResponse(status=NOT_IMPLEMENTED, headers=headers, body=compact_json(message))
