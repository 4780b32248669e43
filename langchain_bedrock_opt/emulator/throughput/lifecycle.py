"""How a throughput goes from one status to the next, when somebody looks."""

from __future__ import annotations

from langchain_bedrock_opt.emulator.throughput.faults import (
    Change,
    ThroughputFault,
    ThroughputFaultPlan,
)
from langchain_bedrock_opt.emulator.throughput.settings import ThroughputPace
from langchain_bedrock_opt.emulator.throughput.throughput import ProvidedModel, Throughput


class Lifecycle:
    """Takes throughputs through their statuses. The caller holds the service's lock.

    Args:
        pace: How long each status lasts.
        faults: What is to go wrong.
    """

    def __init__(self, pace: ThroughputPace, faults: ThroughputFaultPlan) -> None:
        self._pace = pace
        self._faults = faults

    def create(self, throughput: Throughput) -> None:
        """Begin with Creating."""
        fault = self._faults.next_for("CreateProvisionedModelThroughput", throughput.name)
        throughput.status = "Creating"
        _plan(throughput, throughput.created, self._pace.creating, fault)

    def update(self, throughput: Throughput, model: ProvidedModel | None, now: float) -> None:
        """Begin with Updating.

        Args:
            throughput: One that is InService.
            model: The model that is to answer behind it; None changes nothing. The former one
                answers until then, which is unverified against AWS.
            now: Seconds since 1970.
        """
        change: Change = "UpdateProvisionedModelThroughput"
        fault = self._faults.next_for(change, throughput.name)
        throughput.status = "Updating"
        throughput.modified = now
        throughput.next_model = model
        _plan(throughput, now, self._pace.updating, fault)

    def advance(self, throughput: Throughput, now: float) -> None:
        """Do all that was due until now, at the time at which it was due."""
        if throughput.due is None or throughput.due > now:
            return
        throughput.status, throughput.message = throughput.next_status, throughput.next_message
        throughput.modified, throughput.due = throughput.due, None
        if throughput.status == "InService" and throughput.next_model is not None:
            throughput.model = throughput.next_model
        throughput.next_model = None


def _plan(throughput: Throughput, now: float, pace: float, fault: ThroughputFault | None) -> None:
    seconds = pace if fault is None or fault.seconds is None else fault.seconds
    throughput.due = now + seconds
    throughput.next_status = "InService" if fault is None else fault.status
    is_failing = throughput.next_status == "Failed"
    throughput.next_message = fault.message if fault is not None and is_failing else None
