"""A job larger than its quota: admission control beside botocore's own retries.

Both run on the local Bedrock with its quota of tokens (5 for each token of output, windows of 60
seconds), in time that passes only while all threads sleep. botocore's retry code is its own; only
its sleeping is ours. The ideal is the job's quota tokens at the quota's own pace.
"""

from __future__ import annotations

import random
import statistics
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from botocore.config import Config

from benchmarks.harness import Result
from benchmarks.virtual_time import VirtualTime
from langchain_bedrock_opt.aws.layers import LayeredClient
from langchain_bedrock_opt.capacity.admission import TokenQuota
from langchain_bedrock_opt.emulator import BedrockEmulator, Pace, Quota
from langchain_bedrock_opt.emulator.types import Reply
from langchain_bedrock_opt.errors import ThrottledError

MODEL = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
TOKENS_PER_MINUTE = 400_000
BURNDOWN = 5
CALLS = 1600
THREADS = 32
PACE = Pace(time_to_first_token=0.5, tokens_per_second=80)
LINE = "The quick brown fox jumps over the lazy dog, and nobody minds at all. "


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one job."""

    succeeded: float
    throttles: int
    seconds: float
    ideal: float
    p95_wait: float


class Answers:
    """Answers of random length to prompts whose tokens nobody can estimate to the last one."""

    def __init__(self) -> None:
        self._random = random.Random(7)

    def reply(self, request: Mapping[str, Any]) -> Reply:
        """Answer one."""
        text = request["messages"][0]["content"][0]["text"]
        return Reply(
            content=({"text": "Done."},),
            input_tokens=round(len(text) / 4.1),
            output_tokens=self._random.randint(100, 300),
        )


def job(*, max_tokens: int, quota: bool, attempts: int) -> Outcome:
    """Make all calls of a job in a pool of threads.

    Args:
        max_tokens: The `maxTokens` of each call.
        quota: Whether a `TokenQuota` holds calls back.
        attempts: botocore's attempts of a call.
    """
    time, answers = VirtualTime(), Answers()
    emulator = BedrockEmulator(
        responder=answers,
        pace=PACE,
        quotas={MODEL: Quota(tokens_per_minute=TOKENS_PER_MINUTE)},
        clock=time.clock,
        sleep=time.sleep,
    )
    base = emulator.client(config=Config(retries={"total_max_attempts": attempts}))
    layer = TokenQuota(TOKENS_PER_MINUTE, max_wait=600, clock=time.clock, wait=time.wait)
    client = LayeredClient(base, [layer] if quota else [])
    draw = random.Random(3)
    prompts = deque(LINE * draw.randint(15, 45) for _ in range(CALLS))
    waits: list[float] = []

    def work() -> None:
        while True:
            try:
                text = prompts.popleft()
            except IndexError:
                return
            with suppress(ThrottledError):
                response = client.converse(
                    modelId=MODEL,
                    messages=[{"role": "user", "content": [{"text": text}]}],
                    inferenceConfig={"maxTokens": max_tokens},
                )
                waits.append(response["bedrock_opt"].get("lane", {}).get("waited_seconds", 0.0))

    with patch("botocore.endpoint.time", SimpleNamespace(sleep=time.sleep)):
        time.run([work] * THREADS)
    entries = emulator.journal.calls("Converse")
    spent = [entry.usage for entry in entries if entry.usage is not None]
    tokens = sum(usage.input + BURNDOWN * usage.output for usage in spent)
    return Outcome(
        succeeded=len(waits) / CALLS,
        throttles=sum(entry.status == 429 for entry in entries),
        seconds=time.clock(),
        ideal=tokens / TOKENS_PER_MINUTE * 60,
        p95_wait=statistics.quantiles(waits, n=20)[-1],
    )


def run() -> Result:
    """Compare the same job with and without admission control, with a fitting `maxTokens`."""
    ours = job(max_tokens=300, quota=True, attempts=1)
    loose = job(max_tokens=4096, quota=True, attempts=1)
    theirs = job(max_tokens=300, quota=False, attempts=3)
    return Result(
        benchmark="token_quota",
        figures={
            "calls answered, %": ours.succeeded * 100,
            "429s": ours.throttles,
            "makespan / ideal": ours.seconds / ours.ideal,
            "max_tokens 4096: calls answered, %": loose.succeeded * 100,
            "max_tokens 4096: 429s": loose.throttles,
            "max_tokens 4096: makespan / ideal": loose.seconds / loose.ideal,
        },
        baselines={
            "botocore, 3 attempts: calls answered, %": theirs.succeeded * 100,
            "botocore, 3 attempts: 429s": theirs.throttles,
        },
        goals={
            "calls answered, %": (">=", 100),
            "429s": ("<=", 16),
            "makespan / ideal": ("<=", 1.1),
            "max_tokens 4096: calls answered, %": (">=", 100),
        },
    )
