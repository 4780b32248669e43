"""Provisioned throughput for tests: a local Bedrock on a clock that only tests move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.config import Config

from langchain_bedrock_opt.catalog.model_units import UnitCapacity
from langchain_bedrock_opt.emulator import (
    BedrockEmulator,
    ThroughputFault,
    ThroughputPace,
    ThroughputSettings,
)
from tests.batch_service import ManualClock

SONNET = "anthropic.claude-3-sonnet-20240229-v1:0"
"""The guide's model: a unit takes 180,000 tokens of input and 36,000 of output a minute."""

NOVA = "amazon.nova-lite-v1:0"
"""A model that the guide has no capacity of: not limited, unless a test says so."""

CUSTOM = (
    "arn:aws:bedrock:us-east-1:123456789012:custom-model/amazon.nova-lite-v1:0:300k/abcdefabcdef"
)
"""A custom model of NOVA's variant with 300k tokens of context."""

DAY = 24 * 3600.0

TAKES_MINUTES = ThroughputPace(creating=300, updating=60)
"""A throughput that is five minutes in Creating, so that the status can be seen."""


@dataclass(frozen=True, kw_only=True)
class ThroughputService:
    """A local Bedrock for provisioned throughput, with its clients.

    Neither client tries again by itself: that would take real seconds, and hide faults.
    """

    emulator: BedrockEmulator
    clock: ManualClock
    bedrock: Any
    runtime: Any

    def create(self, name: str = "chat", **changes: Any) -> str:
        """Buy one unit of the guide's model without a commitment; its ARN."""
        request = {"modelUnits": 1, "provisionedModelName": name, "modelId": SONNET, **changes}
        arn: str = self.bedrock.create_provisioned_model_throughput(**request)[
            "provisionedModelArn"
        ]
        return arn

    def get(self, identifier: str) -> dict[str, Any]:
        """What GetProvisionedModelThroughput says, without the answer's metadata."""
        answer: dict[str, Any] = self.bedrock.get_provisioned_model_throughput(
            provisionedModelId=identifier
        )
        return {key: value for key, value in answer.items() if key != "ResponseMetadata"}

    def names(self, **filters: Any) -> list[str]:
        """The names that ListProvisionedModelThroughputs has, page by page."""
        pages = self.bedrock.get_paginator("list_provisioned_model_throughputs").paginate(**filters)
        return [
            each["provisionedModelName"]
            for page in pages
            for each in page["provisionedModelSummaries"]
        ]

    def update(self, identifier: str, **changes: Any) -> None:
        """Call UpdateProvisionedModelThroughput."""
        self.bedrock.update_provisioned_model_throughput(provisionedModelId=identifier, **changes)

    def delete(self, identifier: str) -> None:
        """Call DeleteProvisionedModelThroughput."""
        self.bedrock.delete_provisioned_model_throughput(provisionedModelId=identifier)

    def say(self, model_id: str, text: str = "Hello!", max_tokens: int = 100) -> dict[str, Any]:
        """Call Converse."""
        answer: dict[str, Any] = self.runtime.converse(
            modelId=model_id,
            messages=[{"role": "user", "content": [{"text": text}]}],
            inferenceConfig={"maxTokens": max_tokens},
        )
        return answer

    def fail(self, **fault: Any) -> None:
        """Have the next creation fail, or what the fault says."""
        self.emulator.throughput.faults.add(ThroughputFault(**{"times": 1, **fault}))


def make_throughput_service(
    *,
    pace: ThroughputPace | None = None,
    capacities: Mapping[str, UnitCapacity | None] | None = None,
    account_units: int | None = None,
    **emulator: Any,
) -> ThroughputService:
    """A service of a test's own.

    Args:
        pace: How long statuses last; by default a throughput is InService at once.
        capacities: What one unit of a model takes in a minute.
        account_units: How many units the account may have.
        emulator: Other arguments of the emulator.
    """
    clock = ManualClock()
    settings = ThroughputSettings(
        clock=clock,
        pace=pace or ThroughputPace(),
        capacities=capacities or {},
        account_units=account_units,
    )
    local = BedrockEmulator(throughput=settings, **emulator)
    once = Config(retries={"total_max_attempts": 1})
    return ThroughputService(
        emulator=local,
        clock=clock,
        bedrock=local.client("bedrock", config=once),
        runtime=local.client(config=once),
    )
