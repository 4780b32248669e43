"""How a local Bedrock treats provisioned throughput: its clock, its pace, what a unit can do."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields

from langchain_bedrock_opt.catalog.model_units import UnitCapacity, guide_capacity
from langchain_bedrock_opt.catalog.specs import spec_of
from langchain_bedrock_opt.errors import EmulatorError


@dataclass(frozen=True, slots=True, kw_only=True)
class ThroughputPace:
    """How many seconds of its clock a throughput stays in each status. All 0: nobody waits.

    Attributes:
        creating: Seconds in Creating; `math.inf` for one that never gets ready.
        updating: Seconds in Updating.

    Raises:
        EmulatorError: A number is below 0.
    """

    creating: float = 0.0
    updating: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a time that runs backwards."""
        for name in (each.name for each in fields(self)):
            value = getattr(self, name)
            if not value >= 0:
                raise EmulatorError(
                    f"ThroughputPace.{name} is {value}: it must be at least 0 seconds."
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class ThroughputSettings:
    """How a local Bedrock treats provisioned throughput.

    Attributes:
        clock: Seconds since 1970: when throughputs are created, how far they are, when their
            commitments end, and in which minute their tokens count.
        pace: How long a throughput stays in each status. By default it is InService when it is
            first looked at.
        capacities: What one model unit takes in a minute, by bare model id; None for no limit. A
            model that is not named has the guide's example row, or no limit if there is none. A
            `Quota` that the emulator has for a throughput's ARN holds instead.
        account_units: How many model units the account may have in all throughputs of a region;
            None for no limit. An account of AWS's own starts with none for commitments.

    Raises:
        EmulatorError: The number of units is below 0.

    Example:
        >>> capacities = {"amazon.nova-lite-v1:0": UnitCapacity(total_per_minute=100_000)}
        >>> settings = ThroughputSettings(capacities=capacities)
        >>> settings.capacity_of("amazon.nova-lite-v1:0:300k").total_per_minute
        100000
    """

    clock: Callable[[], float] = time.time
    pace: ThroughputPace = field(default_factory=ThroughputPace)
    capacities: Mapping[str, UnitCapacity | None] = field(default_factory=dict)
    account_units: int | None = None

    def __post_init__(self) -> None:
        """Refuse a quota below zero."""
        if self.account_units is not None and self.account_units < 0:
            raise EmulatorError(
                f"account_units is {self.account_units}: a number of units can't be negative."
            )

    def capacity_of(self, model_id: str) -> UnitCapacity | None:
        """What one unit of a model takes in a minute; None for no limit.

        Args:
            model_id: A bare id, also of a variant such as `…-v1:0:28k`.
        """
        spec = spec_of(model_id)
        for name in (model_id, spec.id if spec else model_id):
            if name in self.capacities:
                return self.capacities[name]
        return guide_capacity(model_id)
