"""What a call costs in CPU: ours beside `ChatBedrockConverse`, and each empty layer."""

from __future__ import annotations

import time

from langchain_aws import ChatBedrockConverse

from benchmarks.harness import Result, compare
from langchain_bedrock_opt import BedrockEmulator, ChatBedrockOptimized
from langchain_bedrock_opt.aws.layers import Layer, LayeredClient
from langchain_bedrock_opt.aws.replay import ReplayClient

MODEL = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
CALLS = 50
ROUNDS = 61
LAYERS = 20
LAYER_CALLS = 5000


def run() -> Result:
    """Compare CPU times of equal calls over one in-process emulator."""
    emulator = BedrockEmulator()
    client = emulator.client()
    arguments = {"model": MODEL, "client": client, "bedrock_client": client, "max_tokens": 100}
    ours, theirs = ChatBedrockOptimized(**arguments), ChatBedrockConverse(**arguments)

    def cpu(model: ChatBedrockConverse) -> float:
        start = time.process_time()
        for _ in range(CALLS):
            model.invoke("What is the capital of Japan?")
        return (time.process_time() - start) / CALLS * 1e6

    cpu(ours), cpu(theirs)
    calls = compare(lambda: cpu(ours), lambda: cpu(theirs), rounds=ROUNDS)
    return Result(
        benchmark="call_overhead",
        figures={
            "invoke / ChatBedrockConverse, CPU ratio": calls.ratio,
            "invoke, CPU µs": calls.ours,
            "one empty layer, CPU µs": layer_cost(),
        },
        baselines={"ChatBedrockConverse invoke, CPU µs": calls.baseline},
        goals={
            "invoke / ChatBedrockConverse, CPU ratio": ("<=", 1.03),
            "one empty layer, CPU µs": ("<=", 10),
        },
    )


def layer_cost() -> float:
    """Microseconds of CPU that one layer which does nothing adds to a call."""
    base = ReplayClient({"output": {}})
    bare, layered = LayeredClient(base), LayeredClient(base, [Layer()] * LAYERS)

    def cpu(client: LayeredClient) -> float:
        start = time.process_time()
        for _ in range(LAYER_CALLS):
            client.converse(modelId=MODEL)
        return (time.process_time() - start) / LAYER_CALLS * 1e6

    result = compare(lambda: cpu(layered), lambda: cpu(bare), rounds=7)
    return (result.ours - result.baseline) / LAYERS
