"""What may go wrong with provisioned throughput after its call was answered.

Calls themselves fail, and their answers get lost, by `emulator.faults`: see
`langchain_bedrock_opt.emulator.faults.Fault`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Literal

from langchain_bedrock_opt.emulator.planned import PlannedFaults
from langchain_bedrock_opt.errors import EmulatorError

Change = Literal["CreateProvisionedModelThroughput", "UpdateProvisionedModelThroughput"]
"""The operations after which a throughput is not InService at once."""

_CHANGES: Final = ("CreateProvisionedModelThroughput", "UpdateProvisionedModelThroughput")
_STATUSES: Final = ("Failed", "InService")


@dataclass(frozen=True, slots=True, kw_only=True)
class ThroughputFault:
    """How the creation or the update of some throughputs goes wrong.

    Attributes:
        name: A pattern of the throughputs' names, as file names have them: `chat-*`.
        operation: What goes wrong.
        status: How it ends: `Failed`, or `InService` after other than the usual time.
        message: Why it failed.
        seconds: How long it takes until then; None takes the pace's time.
        times: How often it happens; None for no end.

    Raises:
        EmulatorError: A value is none of these.

    Example:
        >>> ThroughputFault(message="There is no capacity left.").status
        'Failed'
    """

    name: str = "*"
    operation: Change = "CreateProvisionedModelThroughput"
    status: Literal["Failed", "InService"] = "Failed"
    message: str = "The service could not provide the model units."
    seconds: float | None = None
    times: int | None = None

    def __post_init__(self) -> None:
        """Refuse what can never happen, so that a typo does not pass as a green test."""
        for name, known in (("operation", _CHANGES), ("status", _STATUSES)):
            value = getattr(self, name)
            if value not in known:
                raise EmulatorError(f"{name}={value!r} is none of {', '.join(known)}.")
        if self.seconds is not None and not self.seconds >= 0:
            raise EmulatorError(f"seconds is {self.seconds}: it must be at least 0.")
        if self.times is not None and self.times < 1:
            raise EmulatorError(f"times is {self.times}: it must be at least 1.")

    def matches(self, operation: Change, name: str) -> bool:
        """Whether it is about an operation on a throughput of this name."""
        return operation == self.operation and fnmatchcase(name, self.name)


class ThroughputFaultPlan(PlannedFaults[ThroughputFault]):
    """The faults that a local Bedrock has in store for throughputs. Thread-safe.

    Example:
        >>> plan = ThroughputFaultPlan()
        >>> plan.add(ThroughputFault(name="chat-*", times=1))
        >>> creation = "CreateProvisionedModelThroughput"
        >>> [plan.next_for(creation, "chat-1") is not None for _ in range(2)]
        [True, False]
    """

    def next_for(self, operation: Change, name: str) -> ThroughputFault | None:
        """The fault that an operation meets, or None; each asking counts as one.

        Args:
            operation: The operation.
            name: The name of the throughput.
        """
        with self._lock:
            return self._first(lambda fault: fault.matches(operation, name))
