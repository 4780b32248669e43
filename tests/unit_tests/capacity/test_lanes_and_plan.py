"""What `plan_throughput` forecasts of overflow is what `Overflow` does, on the same load."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

import pytest

from langchain_bedrock_opt.aws.layers import LayeredClient
from langchain_bedrock_opt.capacity import Overflow, UnitCapacity, plan_throughput
from tests.throughput_service import NOVA, ThroughputService, make_throughput_service

CAPACITY = UnitCapacity(input_per_minute=60_000, output_per_minute=12_000)
ASK: dict[str, Any] = {
    "messages": [{"role": "user", "content": [{"text": "word " * 2200}]}],
    "inferenceConfig": {"maxTokens": 40},
}
MINUTES = 4


@pytest.fixture
def service() -> ThroughputService:
    return make_throughput_service(capacities={NOVA: CAPACITY})


def client_of(service: ThroughputService) -> LayeredClient:
    layer = Overflow("us.amazon.nova-lite-v1:0", clock=service.clock)
    return LayeredClient(service.runtime, [layer])


@pytest.mark.parametrize("load", [0.9, 1.05, 1.5])
def test_what_overflows_is_what_the_plan_says(service: ThroughputService, load: float) -> None:
    """At a steady load as much goes on-demand as planned, but for seconds of each minute."""
    arn = service.create(modelId=NOVA)
    service.get(arn)
    client = client_of(service)
    served, minutes = Counter[str](), [Counter[str]() for _ in range(MINUTES)]
    service.clock.now -= service.clock.now % 60
    start = service.clock.now
    while (minute := int((service.clock.now - start) // 60)) < MINUTES:
        response = client.converse(modelId=arn, **ASK)
        usage = response["usage"]
        served[response["bedrock_opt"]["lane"]["capacity"]] += usage["totalTokens"]
        minutes[minute].update(usage)
        service.clock.now += 60 * usage["inputTokens"] / (load * 60_000)

    pairs = [(minute["inputTokens"], minute["outputTokens"]) for minute in minutes]
    plan = plan_throughput(pairs, CAPACITY, "0.15", ("0.06", "0.24"), max_units=3)
    overflow = served["on_demand"] / served.total()
    assert overflow == pytest.approx(plan.row(1).overflow_share, abs=0.03)


def test_a_full_throughput_is_told_once(
    service: ThroughputService, caplog: pytest.LogCaptureFixture
) -> None:
    """However often it is tried in vain, one line says that calls go on-demand."""
    caplog.set_level(logging.INFO)
    arn = service.create(modelId=NOVA)
    service.get(arn)
    client = client_of(service)
    service.clock.now -= service.clock.now % 60

    for _ in range(90):
        client.converse(modelId=arn, **ASK)
        service.clock.now += 0.6

    assert [record.name.rpartition(".")[2] for record in caplog.records] == ["overflow"]
