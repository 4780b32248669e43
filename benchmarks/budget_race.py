"""A budget that 64 threads race on: what it overspends, and what it costs a call in CPU.

The baseline is what a callback with a ledger does: look at what was spent, then call.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from langchain_aws import ChatBedrockConverse
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler

from benchmarks.harness import Result, compare
from langchain_bedrock_opt import BedrockUsageCallbackHandler
from langchain_bedrock_opt.errors import BudgetExceededError
from langchain_bedrock_opt.usage.budget import Budget

MODEL = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
PROMPT = "What is the capital of Japan? " * 20
LIMIT = Decimal("0.05")
THREADS = 64
CALLS = 600
PAUSE = 0.02
OVERHEAD_CALLS = 50
ROUNDS = 41


class Bedrock:
    """A client that answers after a while, and then says what it cost."""

    meta = SimpleNamespace(region_name="us-east-1")

    def __init__(self, pause: float) -> None:
        self._pause = pause

    def converse(self, **_: Any) -> dict[str, Any]:
        """An answer of 150 tokens to a prompt of 150."""
        if self._pause:
            time.sleep(self._pause)
        return {
            "output": {"message": {"role": "assistant", "content": [{"text": "Tokyo."}]}},
            "stopReason": "end_turn",
            "usage": {"inputTokens": 150, "outputTokens": 150, "totalTokens": 300},
            "metrics": {"latencyMs": 20},
        }


class CheckThenCall(BaseCallbackHandler):
    """Refuses a call once the limit is spent: what is under way, it does not see."""

    run_inline = True
    raise_error = True

    def __init__(self, usage: BedrockUsageCallbackHandler) -> None:
        self._usage = usage

    def on_chat_model_start(self, *_: Any, run_id: UUID, **__: Any) -> None:
        """Refuse if the limit is reached."""
        if self._usage.ledger.totals().cost_usd >= LIMIT:
            raise BudgetExceededError(f"{run_id} is over the limit")


def model(pause: float) -> ChatBedrockConverse:
    """A chat model over the client in memory."""
    client = Bedrock(pause)
    return ChatBedrockConverse(model=MODEL, client=client, bedrock_client=client, max_tokens=200)


def overspend(threads: int, make: Callable[[BedrockUsageCallbackHandler], Any]) -> float:
    """By how many percent of the limit threads that race spend too much; negative if less."""
    usage, chat = BedrockUsageCallbackHandler(), model(PAUSE)
    callbacks = [usage, make(usage)]

    def call(_: int) -> None:
        try:
            chat.invoke(PROMPT, {"callbacks": callbacks})
        except BudgetExceededError:
            time.sleep(PAUSE)  # a caller that comes again later

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(call, range(CALLS)))
    return float((usage.ledger.totals().cost_usd / LIMIT - 1) * 100)


def cpu(chat: ChatBedrockConverse, callbacks: Sequence[BaseCallbackHandler]) -> float:
    """Microseconds of CPU that a call takes."""
    config: Any = {"callbacks": list(callbacks)}
    start = time.process_time()
    for _ in range(OVERHEAD_CALLS):
        chat.invoke(PROMPT, config)
    return (time.process_time() - start) / OVERHEAD_CALLS * 1e6


def run() -> Result:
    """Race with both, and compare CPU times of equal calls."""
    # LangChain logs every handler that raises, as a budget does on purpose.
    logging.getLogger("langchain_core.callbacks.manager").setLevel(logging.ERROR)
    ours = {n: overspend(n, lambda _: Budget(LIMIT, thresholds=())) for n in (1, 8, THREADS)}
    theirs = {n: overspend(n, CheckThenCall) for n in (1, 8, THREADS)}
    chat, budget = model(0), Budget(1_000_000)
    cpu(chat, [budget]), cpu(chat, ())
    call = compare(lambda: cpu(chat, [budget]), lambda: cpu(chat, ()), rounds=ROUNDS)
    rival = compare(
        lambda: cpu(chat, [UsageMetadataCallbackHandler()]), lambda: cpu(chat, ()), rounds=ROUNDS
    )
    return Result(
        benchmark="budget_race",
        figures={
            **{f"overspent by {n} threads, %": percent for n, percent in ours.items()},
            "invoke / no callback, CPU ratio": call.ratio,
            "invoke, CPU µs": call.ours,
        },
        baselines={
            **{
                f"check-then-call, overspent by {n} threads, %": percent
                for n, percent in theirs.items()
            },
            "no callback, CPU µs": call.baseline,
            "UsageMetadataCallbackHandler / no callback, CPU ratio": rival.ratio,
        },
        goals={
            f"overspent by {THREADS} threads, %": ("<=", 0),
        },
    )
