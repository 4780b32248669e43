"""What one model unit of provisioned throughput can do: data of the user's, with an example.

AWS's account manager names a unit's capacity and price for an account; no API tells them. The
rows here are those of the guide that this project set out from. They are an example to plan
with, and what the emulator goes by unless it is told otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Final

from langchain_bedrock_opt.catalog.specs import spec_of
from langchain_bedrock_opt.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitCapacity:
    """The tokens a minute that one model unit can take; None where there is no such limit.

    Attributes:
        input_per_minute: Tokens of prompts.
        output_per_minute: Tokens of answers.
        total_per_minute: Tokens of both together.

    Raises:
        ConfigurationError: None of them is given, or one is not above 0.

    Example:
        >>> UnitCapacity(input_per_minute=180_000, output_per_minute=36_000).units(90_000, 36_000)
        1.0
        >>> UnitCapacity(total_per_minute=300_000).units(100_000, 50_000)
        0.5
    """

    input_per_minute: int | None = None
    output_per_minute: int | None = None
    total_per_minute: int | None = None

    def __post_init__(self) -> None:
        """Refuse a unit without a capacity."""
        given = {each.name: getattr(self, each.name) for each in fields(self)}
        if all(value is None for value in given.values()):
            raise ConfigurationError("A model unit needs at least one capacity in tokens a minute.")
        for name, value in given.items():
            if value is not None and not value > 0:
                raise ConfigurationError(f"{name}={value!r} is not above 0.")

    def units(self, input_tokens: float, output_tokens: float) -> float:
        """How many units a minute with so many tokens fills.

        Args:
            input_tokens: Tokens of the minute's prompts.
            output_tokens: Tokens of its answers.
        """
        loads = (
            (input_tokens, self.input_per_minute),
            (output_tokens, self.output_per_minute),
            (input_tokens + output_tokens, self.total_per_minute),
        )
        return max(tokens / limit for tokens, limit in loads if limit is not None)


GUIDE_CAPACITIES: Final[Mapping[str, UnitCapacity]] = MappingProxyType(
    {
        "anthropic.claude-3-sonnet-20240229-v1:0": UnitCapacity(
            input_per_minute=180_000, output_per_minute=36_000
        ),
        "anthropic.claude-3-haiku-20240307-v1:0": UnitCapacity(
            input_per_minute=400_000, output_per_minute=80_000
        ),
        "amazon.titan-text-express-v1": UnitCapacity(total_per_minute=300_000),
        "amazon.titan-text-lite-v1": UnitCapacity(total_per_minute=300_000),
        "amazon.titan-text-premier-v1:0": UnitCapacity(total_per_minute=300_000),
    }
)
"""The guide's table, by model id: an example, checked against nothing of AWS's."""


def guide_capacity(model_id: str) -> UnitCapacity | None:
    """The guide's row of a model; None if it has none.

    Args:
        model_id: A bare id, also of a provisioned variant such as `…-v1:0:28k`, or an ARN that
            names its model.

    Example:
        >>> guide_capacity("anthropic.claude-3-haiku-20240307-v1:0:48k").output_per_minute
        80000
    """
    spec = spec_of(model_id)
    return GUIDE_CAPACITIES.get(spec.id) if spec else None
