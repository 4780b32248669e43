"""What a lane costs: `Lane` and `Overflow` beside a layer that does nothing, in CPU a call."""

from __future__ import annotations

import time

from benchmarks.harness import Result, compare
from langchain_bedrock_opt.aws.layers import Layer, LayeredClient, Request, Response
from langchain_bedrock_opt.capacity.lanes.lane import Lane
from langchain_bedrock_opt.capacity.lanes.overflow import Overflow

MODEL = "us.amazon.nova-pro-v1:0"
ARN = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcd1234efgh"
CALLS = 5_000
ROUNDS = 31


class Base:
    """A client that answers at once, with a response of its own each time."""

    def converse(self, **_request: Request) -> Response:
        """Nothing but the answer."""
        return {"output": {}}


def run() -> Result:
    """Compare one layer each: a lane, and an overflow that has room."""
    empty = LayeredClient(Base(), [Layer()])
    lane = LayeredClient(Base(), [Lane(service_tier="flex", performance="optimized")])
    overflow = LayeredClient(Base(), [Overflow(MODEL)])

    def cpu(client: LayeredClient, model_id: str) -> float:
        start = time.process_time()
        for _ in range(CALLS):
            client.converse(modelId=model_id, messages=[])
        return (time.process_time() - start) / CALLS * 1e6

    lanes = compare(lambda: cpu(lane, MODEL), lambda: cpu(empty, MODEL), rounds=ROUNDS)
    overflows = compare(lambda: cpu(overflow, ARN), lambda: cpu(empty, ARN), rounds=ROUNDS)
    return Result(
        benchmark="lanes",
        figures={
            "Lane / empty layer, CPU ratio": lanes.ratio,
            "Overflow / empty layer, CPU ratio": overflows.ratio,
            "Lane adds, CPU µs": lanes.ours - lanes.baseline,
            "Overflow adds, CPU µs": overflows.ours - overflows.baseline,
        },
        baselines={"client with an empty layer, CPU µs": lanes.baseline},
        goals={
            "Lane adds, CPU µs": ("<=", 10),
            "Overflow adds, CPU µs": ("<=", 10),
        },
    )
