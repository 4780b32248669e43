"""Many agents at once whose single calls become jobs, on the local Bedrock.

Each agent asks the model, calls a tool, and asks again. Coalesced, all first calls are one run of
jobs and all second calls another. A job's records are answered in the same process, so the cost
of a call is that beside plain `ainvoke` calls of the same agents, emulator included in both.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from langchain.agents import create_agent
from langchain_aws import ChatBedrockConverse
from langchain_core.messages import HumanMessage

from benchmarks.harness import Result
from langchain_bedrock_opt import BedrockEmulator
from langchain_bedrock_opt.batching.chains import coalesced
from langchain_bedrock_opt.batching.chat_model import BedrockBatch

MODEL = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
ROLE = "arn:aws:iam::123456789012:role/bedrock-batch"
AGENTS = 10_000
SAMPLE = 200
WINDOW = 1.0


def look_up(city: str) -> str:
    """Look up the population of a city."""
    return f"{city} has {len(city) * 100_000} inhabitants."


def run(agents: int = AGENTS, window: float = WINDOW) -> Result:
    """Run agents by jobs, and some of them on demand.

    Args:
        agents: How many agents.
        window: Seconds without a new call after which a round is sent.
    """
    return asyncio.run(_run(agents, window))


async def _run(agents: int, window: float) -> Result:
    emulator = BedrockEmulator()
    s3, bedrock, runtime = (emulator.client(name) for name in ("s3", "bedrock", "bedrock-runtime"))
    s3.create_bucket(Bucket="batch-agents")
    calls: list[str] = []
    runtime.meta.events.register(
        "before-call.bedrock-runtime", lambda model, **_: calls.append(model.name)
    )
    model = ChatBedrockConverse(model=MODEL, client=runtime, bedrock_client=bedrock, max_tokens=200)
    batch_model = BedrockBatch(
        model=model,
        s3_uri="s3://batch-agents/runs/",
        role_arn=ROLE,
        s3_client=s3,
        bedrock_client=bedrock,
        on_invoke="error",
    )
    sample = min(agents, SAMPLE)
    plain = create_agent(model, tools=[look_up])
    start = time.process_time()
    expected = await asyncio.gather(*(_ask(plain, number) for number in range(sample)))
    plain_cpu = (time.process_time() - start) / sample / 2 * 1e6
    plain_calls = len(calls)
    calls.clear()

    agent = create_agent(batch_model, tools=[look_up])
    start, begun = time.process_time(), time.perf_counter()
    async with coalesced(window=window) as batch:
        tasks = [batch.start(_ask(agent, number)) for number in range(agents)]
        answers = await asyncio.gather(*tasks)
    cpu = (time.process_time() - start) / agents / 2 * 1e6
    seconds = time.perf_counter() - begun
    jobs = bedrock.list_model_invocation_jobs(maxResults=1000)["invocationJobSummaries"]
    same = sum(left == right for left, right in zip(answers, expected, strict=False))
    return Result(
        benchmark="batch_agents",
        figures={
            "model calls of agents": batch.calls,
            "jobs": len(jobs),
            "rounds": batch.rounds,
            "on-demand calls": len(calls),
            "other answers than on demand, of the sample": sample - same,
            "CPU µs a call / plain ainvoke, ratio": cpu / plain_cpu,
            "CPU µs a call": cpu,
            "seconds": seconds,
        },
        baselines={
            "plain ainvoke, CPU µs a call": plain_cpu,
            "sample": sample,
            "calls of the sample on demand": plain_calls,
        },
        goals={
            "jobs": ("<=", 10),
            "on-demand calls": ("<=", 0),
            "other answers than on demand, of the sample": ("<=", 0),
        },
    )


async def _ask(agent: Any, number: int) -> list[str]:
    """What an agent says, with what its tool said."""
    question = f"What is the population of city{number}? Look it up."
    state = await agent.ainvoke({"messages": [HumanMessage(question)]})
    return [message.text for message in state["messages"]]


if __name__ == "__main__":
    print(run(int(sys.argv[1]) if len(sys.argv) > 1 else AGENTS).as_table())
