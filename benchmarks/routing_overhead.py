"""What routing costs: a router's `invoke` beside the `invoke` of the tier that answers.

Once over HTTP against a Bedrock that takes 100 ms, which is what a user waits for, and once in
process, in CPU alone: there the tier's call is all Python, and the router's share of it is as
large as it can be.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr

from benchmarks.concurrency import emulator_process
from benchmarks.harness import Comparison, Result, compare
from langchain_bedrock_opt import BedrockEmulator, ChatBedrockRouter

TIERS = {
    "simple": "us.amazon.nova-lite-v1:0",
    "complex": "us.anthropic.claude-haiku-4-5-20251001-v1:0",
}
PROMPT = "What is the capital of Japan?"
RECOVERING = {"escalate": True, "fallback": "next"}
LATENCY, CALLS, ROUNDS = "0.1", 5, 15
CPU_CALLS, CPU_ROUNDS = 50, 41


def run() -> Result:
    """Compare wall times over HTTP, and CPU times in process."""
    with emulator_process("--latency", LATENCY) as url:
        plain = _compare(lambda **kwargs: _over_http(url, **kwargs), _wall, ROUNDS)
        recovering = _compare(lambda **kw: _over_http(url, **RECOVERING, **kw), _wall, ROUNDS)
    cpu = _compare(_in_process, _cpu, CPU_ROUNDS)
    cpu_recovering = _compare(lambda **kw: _in_process(**RECOVERING, **kw), _cpu, CPU_ROUNDS)
    return Result(
        benchmark="routing_overhead",
        figures={
            "router invoke / its tier's, 100 ms": plain.ratio,
            "with escalate and fallback, 100 ms": recovering.ratio,
            "router invoke / its tier's, CPU": cpu.ratio,
            "with escalate and fallback, CPU": cpu_recovering.ratio,
            "routing, CPU µs": cpu.ours - cpu.baseline,
            "routing with escalate and fallback, CPU µs": (
                cpu_recovering.ours - cpu_recovering.baseline
            ),
        },
        baselines={"the tier's invoke over HTTP, ms": plain.baseline * 1e3},
        goals={
            "router invoke / its tier's, 100 ms": ("<=", 1.05),
            "with escalate and fallback, 100 ms": ("<=", 1.05),
        },
    )


def _compare(
    make: Callable[..., ChatBedrockRouter],
    measure: Callable[[BaseChatModel], float],
    rounds: int,
) -> Comparison:
    """A router beside the very model that it asks, in turn."""
    router = make()
    tier = router.models["simple"]
    assert router.decide(PROMPT).tier == "simple"
    measure(router), measure(tier)
    return compare(lambda: measure(router), lambda: measure(tier), rounds=rounds)


def _over_http(url: str, **kwargs: Any) -> ChatBedrockRouter:
    return ChatBedrockRouter(
        tiers=TIERS,
        base_url=url,
        region_name="us-east-1",
        aws_access_key_id=SecretStr("testing"),
        aws_secret_access_key=SecretStr("testing"),
        **kwargs,
    )


def _in_process(**kwargs: Any) -> ChatBedrockRouter:
    client = BedrockEmulator().client()
    clients = {"client": client, "bedrock_client": client}
    return ChatBedrockRouter(tiers=TIERS, **clients, **kwargs)


def _wall(model: BaseChatModel) -> float:
    """Seconds that one call takes."""
    start = time.perf_counter()
    for _ in range(CALLS):
        model.invoke(PROMPT)
    return (time.perf_counter() - start) / CALLS


def _cpu(model: BaseChatModel) -> float:
    """Microseconds of CPU that one call takes."""
    start = time.process_time()
    for _ in range(CPU_CALLS):
        model.invoke(PROMPT)
    return (time.process_time() - start) / CPU_CALLS * 1e6
