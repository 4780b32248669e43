"""Faults on demand: which calls of a local Bedrock fail, how, and how often."""

from __future__ import annotations

import random as random_module
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from langchain_bedrock_opt.catalog.model_ids import parse_model_id
from langchain_bedrock_opt.emulator.types import Call, ConnectionCut, ServiceFailure
from langchain_bedrock_opt.errors import EmulatorError, ModelIdError

_UNEXPECTED: Final = (
    "The system encountered an unexpected error during processing. Try your request again."
)

DEFAULT_MESSAGES: Final[Mapping[str, str]] = {
    # anthropics/claude-code#562 and others; for 429 recorded
    "ThrottlingException": "Too many requests, please wait before trying again.",
    # darko-mesaros/bedrust#47
    "ServiceUnavailableException": "Bedrock is unable to process your request.",
    # recorded, InvokeModel with a body that is no JSON
    "ValidationException": ("Malformed input request, please reformat your input and try again."),
    # recorded
    "ExpiredTokenException": "The security token included in the request is expired",
    # The rest is unverified against AWS.
    "UnrecognizedClientException": "The security token included in the request is invalid.",
    "AccessDeniedException": "You don't have access to the model with the specified model ID.",
    "InternalServerException": _UNEXPECTED,
    "ModelErrorException": _UNEXPECTED,
    "ModelStreamErrorException": _UNEXPECTED,
    "ModelNotReadyException": (
        "Model is not ready for inference. Wait and try your request again."
    ),
    "ModelTimeoutException": (
        "Model has timed out in processing the request. Try your request again."
    ),
    "ResourceNotFoundException": (
        "The specified resource ARN was not found. Check the ARN and try your request again."
    ),
    # botocore's text of the shape
    "ConflictException": "Error occurred because of a conflict while performing an operation.",
    "ServiceQuotaExceededException": ("Your request exceeds the service quota for your account."),
}
"""What Bedrock says with each of its codes, for a fault without a message of its own."""

STREAM_OPERATIONS: Final = frozenset({"ConverseStream", "InvokeModelWithResponseStream"})
"""The operations that answer with a stream of events."""

STREAM_CODES: Final = frozenset(
    {
        "InternalServerException",
        "ModelStreamErrorException",
        "ModelTimeoutException",
        "ServiceUnavailableException",
        "ThrottlingException",
        "ValidationException",
    }
)
"""The codes that botocore's model has as events of a stream (ModelTimeoutException only for
InvokeModelWithResponseStream)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How some calls fail.

    Attributes:
        code: AWS's code in its HTTP spelling, such as `ThrottlingException`; None with `cut`.
        message: AWS's text; None takes Bedrock's own for the code.
        status: The HTTP status; None takes it from botocore's error shapes.
        operation: The operation that fails, such as `Converse`; None for all.
        model_id: The model id that fails: as it is called, or the bare id behind it; None for all.
        times: How many calls fail; None for no end.
        every: Only every so many-th of the matching calls fails.
        probability: With what chance a call fails whose turn it is.
        after_events: Fail inside the stream, after so many events; None fails before the answer.
            Calls that do not stream are left alone then.
        delay: Seconds that pass before the failure.
        retry_after: Seconds the answer asks the caller to wait; None says nothing.
        cut: The connection breaks, and there is no answer at all.
        after_work: The service does what it was asked before it fails, so that only the answer
            is lost. A call that it refuses gets its refusal.

    Raises:
        EmulatorError: Values do not go together, or are out of range.

    Example:
        >>> fault = Fault(code="ThrottlingException", operation="Converse", times=2)
        >>> fault.failure().message
        'Too many requests, please wait before trying again.'
    """

    code: str | None = None
    message: str | None = None
    status: int | None = None
    operation: str | None = None
    model_id: str | None = None
    times: int | None = 1
    every: int = 1
    probability: float = 1.0
    after_events: int | None = None
    delay: float = 0.0
    retry_after: float | None = None
    cut: bool = False
    after_work: bool = False

    def __post_init__(self) -> None:
        """Refuse what can never happen, so that a typo does not pass as a green test."""
        if self.cut is (self.code is not None):
            raise EmulatorError(
                f"A Fault has a code, or else cut=True: code={self.code!r}, cut={self.cut}."
            )
        self._check_code()
        if self.after_work and self.after_events is not None:
            raise EmulatorError("A Fault comes after the work or inside a stream, not both.")
        for name, low in (("times", 1), ("every", 1), ("after_events", 0), ("delay", 0)):
            value = getattr(self, name)
            if value is not None and value < low:
                raise EmulatorError(f"{name} is {value}: it must be at least {low}.")
        if not 0.0 <= self.probability <= 1.0:
            raise EmulatorError(f"probability is {self.probability}: it must be within 0 and 1.")

    def _check_code(self) -> None:
        if not self.cut and self.message is None and self.code not in DEFAULT_MESSAGES:
            raise EmulatorError(
                f"{self.code!r} is not one of Bedrock's codes ({', '.join(DEFAULT_MESSAGES)}): "
                "correct it, or give a message with it."
            )
        if self.after_events is not None and self.code not in STREAM_CODES:
            raise EmulatorError(
                f"{self.code!r} can't come inside a stream. "
                f"What can: {', '.join(sorted(STREAM_CODES))}."
            )

    def failure(self) -> ServiceFailure:
        """The answer as every part of the emulator raises it.

        Raises:
            ConnectionCut: There is none.
        """
        if self.code is None:
            raise ConnectionCut
        message = DEFAULT_MESSAGES[self.code] if self.message is None else self.message
        return ServiceFailure(self.code, message, self.status)

    def matches(self, call: Call) -> bool:
        """Whether a call is one of those that this fault is about."""
        if self.operation is not None and call.operation != self.operation:
            return False
        if self.after_events is not None and call.operation not in STREAM_OPERATIONS:
            return False
        return self.model_id is None or self.model_id in (call.model_id, _base(call.model_id))


@dataclass(slots=True)
class _Planned:
    """A fault with its place in time."""

    fault: Fault
    seen: int = field(default=0)
    fired: int = field(default=0)

    def is_due(self, chance: random_module.Random) -> bool:
        self.seen += 1
        if self.fault.times is not None and self.fired >= self.fault.times:
            return False
        if self.seen % self.fault.every:
            return False
        if self.fault.probability < 1.0 and chance.random() >= self.fault.probability:
            return False
        self.fired += 1
        return True


class FaultPlan:
    """The faults that a local Bedrock has in store. Safe to use from several threads.

    Args:
        faults: The first faults; `add` takes more.
        chance: Where probabilities come from. The default is seeded: a run can be repeated.

    Example:
        >>> plan = FaultPlan([Fault(code="ThrottlingException")])
        >>> call = Call(service="bedrock-runtime", operation="Converse", params={}, request_id="1")
        >>> plan.next_for(call).code
        'ThrottlingException'
        >>> plan.next_for(call) is None
        True
    """

    def __init__(
        self, faults: Iterable[Fault] = (), *, chance: random_module.Random | None = None
    ) -> None:
        self._lock = threading.Lock()
        self._chance = random_module.Random(0) if chance is None else chance  # noqa: S311 - no secret
        self._planned = [_Planned(fault) for fault in faults]

    def add(self, fault: Fault) -> Fault:
        """Plan one more fault; of several that are due, the one planned first comes."""
        with self._lock:
            self._planned.append(_Planned(fault))
        return fault

    def clear(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._planned.clear()

    def next_for(self, call: Call) -> Fault | None:
        """The fault that a call meets, or None. Each asking counts as one call.

        Args:
            call: The call, before it is answered.
        """
        with self._lock:
            for planned in self._planned:
                if planned.fault.matches(call) and planned.is_due(self._chance):
                    return planned.fault
        return None


def _base(model_id: str | None) -> str | None:
    """The bare id in a model id, or None where the id does not say it."""
    if model_id is None:
        return None
    try:
        return parse_model_id(model_id).base
    except ModelIdError:
        return None
