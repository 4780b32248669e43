"""What a batch of a chain would be, when the chain can't be cut into stages: its first round."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from langchain_bedrock_opt.batching.chains.asking import Asked, Post, Spot
from langchain_bedrock_opt.batching.chains.calls import CoalescedCall, warn_of_none
from langchain_bedrock_opt.batching.chains.desk import Desk
from langchain_bedrock_opt.batching.chains.loops import drained
from langchain_bedrock_opt.batching.chains.questions import Questions
from langchain_bedrock_opt.batching.chains.rounds import RoundProgram
from langchain_bedrock_opt.batching.chat_model import BedrockBatch
from langchain_bedrock_opt.batching.parts import BatchResult, Outcome
from langchain_bedrock_opt.batching.run.plan import BatchPlan, plan
from langchain_bedrock_opt.errors import ConfigurationError


def first_round_plan(call: CoalescedCall, *, window: float, patience: float) -> BatchPlan:
    """The plan of what all inputs ask first. Nothing is sent, but the steps before are done.

    Args:
        call: The batch.
        window: See `coalescing.WINDOW`.
        patience: See `coalescing.PATIENCE`.

    Raises:
        ConfigurationError: The chain asks no model.
    """

    async def made() -> AsyncIterator[_FirstRound]:
        first = _FirstRound()
        desk = Desk(
            Questions(), first.post_of, window=window, patience=patience, threads=call.threads
        )
        await first.collect(call, desk)
        yield first

    (first,) = drained(made, threads=call.threads)
    if first.model is None:
        warn_of_none()
        raise ConfigurationError("There is nothing to plan: no input asks a BedrockBatch.")
    made_of = plan(RoundProgram(), first.questions, first.model.settings)
    told = (
        f"{len(call):,} inputs ask {made_of.inputs:,} questions in their first round, which "
        "this plan is of; what they ask next depends on the answers."
    )
    return replace(made_of, warnings=(told, *made_of.warnings))


class _FirstRound:
    """Takes down what would be sent, and answers nothing. A `asking.Post`."""

    min_records = 1
    max_records = 2**62

    def __init__(self) -> None:
        self.questions: list[Asked] = []
        self.model: BedrockBatch | None = None
        self._loop = asyncio.get_running_loop()
        self._taken = 0
        self._news = asyncio.Event()

    def post_of(self, model: BedrockBatch) -> Post:
        """Itself, for any model."""
        self.model = self.model or model
        return self

    def known(self) -> Mapping[bytes, Spot]:
        """There are no earlier rounds."""
        return {}

    def send(self, questions: Sequence[Asked], stopped: threading.Event) -> Iterator[Outcome]:
        """Take a round down."""
        self._loop.call_soon_threadsafe(self._take, questions)
        stopped.wait()
        return iter(())

    def again(self, number: int, stopped: threading.Event) -> Iterator[Outcome]:  # noqa: ARG002 - `Post` has it
        """There are no earlier rounds.

        Raises:
            LookupError: Always.
        """
        raise LookupError(f"there is no round {number}")

    async def collect(self, call: CoalescedCall, desk: Desk) -> None:
        """Run all inputs until each waits for its first answer or has ended."""
        done: asyncio.Queue[BatchResult] = asyncio.Queue()
        tasks = call.start(desk, done)
        ended = asyncio.gather(*tasks, return_exceptions=True)
        ended.add_done_callback(self._over)
        try:
            await self._news.wait()
            while self._taken < desk.rounds:  # one for each kind of job
                self._news.clear()
                await self._news.wait()
        finally:
            ended.cancel()
            desk.abandon()

    def _over(self, ended: asyncio.Future[Any]) -> None:
        if not ended.cancelled():
            ended.exception()  # or asyncio complains that nobody has looked at it
        self._news.set()

    def _take(self, questions: Sequence[Asked]) -> None:
        self.questions.extend(questions)
        self._taken += 1
        self._news.set()
