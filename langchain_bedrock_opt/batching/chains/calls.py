"""One batch of a chain: its results, by stages or by collected calls."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, Protocol

from langchain_core.runnables import Runnable, RunnableConfig

from langchain_bedrock_opt.aws.layers import region_of
from langchain_bedrock_opt.batching.chains.coalescing import new_desk
from langchain_bedrock_opt.batching.chains.desk import Desk
from langchain_bedrock_opt.batching.chains.loops import drained
from langchain_bedrock_opt.batching.chains.rounds import PostOffice
from langchain_bedrock_opt.batching.chains.stages import ChainProgram, Line, line_of
from langchain_bedrock_opt.batching.guard import FullPriceWarning
from langchain_bedrock_opt.batching.parts import (
    BatchResult,
    BatchSettings,
    JobKind,
    Order,
    Services,
)
from langchain_bedrock_opt.batching.run.batch_run import BatchRun, submit
from langchain_bedrock_opt.batching.run.leaving import asubmitted
from langchain_bedrock_opt.batching.run.threads import in_thread
from langchain_bedrock_opt.errors import ConfigurationError

# Threads of a loop of ours, for chains whose functions are sync: most wait for a job's end.
_MOST_THREADS: Final = 1000
_SPARE_THREADS: Final = 8


class Call(Protocol):
    """One batch of a chain.

    Attributes:
        uri: Where the run's state lies, if it is one run.
    """

    uri: str

    def results(self, order: Order) -> Iterator[BatchResult]:
        """The results, when the jobs have ended."""

    def aresults(self, order: Order) -> AsyncIterator[BatchResult]:
        """As `results`, without holding up the event loop."""


def services_for(chain: Runnable[Any, Any]) -> Services:
    """The clients of the models of a chain that was submitted.

    Args:
        chain: What `program_of` takes.

    Raises:
        ConfigurationError: It can't be run in stages.
    """
    return shared(line_of(chain))[1]


def shared(line: Line) -> tuple[BatchSettings, Services]:
    """The settings and clients of all of a line's models.

    Args:
        line: The chain, cut at its models.

    Raises:
        ConfigurationError: Its models differ in them, so that they can't share a run.
    """
    models = [stage.model for stage in line.stages]
    first = models[0]
    settings, services = first.settings, first.services
    by_id = {model.model_id: model.services for model in models}
    for other in models[1:]:
        if other.settings != settings or region_of(other.model.client) != region_of(
            first.model.client
        ):
            raise ConfigurationError(
                f"The models {first.model_id} and {other.model_id} of the chain differ in their "
                "settings of batches or in their region, and stages are one run: give both the "
                "same, or take mode='coalesce'."
            )

    def direct(kind: JobKind, body: bytes, flex: bool) -> bytes:  # noqa: FBT001 - as `Direct` has it
        answer = by_id.get(kind.model_id, services).direct
        if answer is None:
            raise ConfigurationError(f"There is no model here to ask {kind.model_id}.")
        return answer(kind, body, flex)

    return settings, replace(services, direct=direct)


class StagedCall:
    """A batch of a chain that is run in stages.

    Args:
        line: The chain, cut at its models.
        inputs: The inputs.
        configs: The inputs' configs.
        run_id: The run's name, or None.
    """

    def __init__(
        self,
        line: Line,
        inputs: Sequence[Any],
        configs: Sequence[RunnableConfig],
        run_id: str | None,
    ) -> None:
        self._inputs = inputs
        self._run_id = run_id
        self._line = line
        self._configs = configs
        self._settings, self._services = shared(line)
        self._progress = line.stages[0].model.progress
        self.uri = ""

    def results(self, order: Order) -> Iterator[BatchResult]:
        """The results, when the jobs have ended."""
        program = ChainProgram(self._line, self._configs.__getitem__)
        try:
            run = self._submitted(program)
            run.wait(progress=self._progress)
            yield from map(program.told, run.results(order))
        except BaseException as error:
            program.abandon(error)
            raise

    async def aresults(self, order: Order) -> AsyncIterator[BatchResult]:
        """As `results`, without holding up the event loop."""
        loop = asyncio.get_running_loop()
        program = ChainProgram(self._line, self._configs.__getitem__, loop=loop)
        try:
            run = await asubmitted(partial(self._submitted, program))
            await run.await_(progress=self._progress)
            async for result in run.aresults(order):
                yield program.told(result)
        except BaseException as error:
            # In a thread: the handlers that are told run on this loop.
            await in_thread(partial(program.abandon, error))
            raise

    def _submitted(self, program: ChainProgram) -> BatchRun:
        run = submit(program, self._inputs, self._settings, self._services, run_id=self._run_id)
        self.uri = run.uri
        return run


class CoalescedCall:
    """A batch of any chain: all inputs run at once, and their single calls are collected.

    Args:
        chain: The chain, graph or agent.
        inputs: The inputs.
        configs: The inputs' configs.
        kwargs: The call's other arguments.
        run_id: The run's name, or None.
        window: See `coalescing.WINDOW`.
        patience: See `coalescing.PATIENCE`.
    """

    def __init__(
        self,
        chain: Runnable[Any, Any],
        inputs: Sequence[Any],
        configs: Sequence[RunnableConfig],
        kwargs: dict[str, Any],
        *,
        run_id: str | None,
        window: float,
        patience: float,
    ) -> None:
        self._chain = chain
        self._pairs = list(zip(inputs, configs, strict=True))
        self._kwargs = kwargs
        self._office = PostOffice(run_id)
        self._window = window
        self._patience = patience
        self.uri = ""

    def __len__(self) -> int:
        """How many inputs there are."""
        return len(self._pairs)

    @property
    def threads(self) -> int:
        """Threads of an event loop that is made for it alone."""
        return min(len(self._pairs), _MOST_THREADS) + _SPARE_THREADS

    def results(self, order: Order) -> Iterator[BatchResult]:
        """The results, when the jobs have ended."""
        yield from drained(lambda: self._aresults(order, self.threads), threads=self.threads)

    def aresults(self, order: Order) -> AsyncIterator[BatchResult]:
        """As `results`, on the event loop that runs."""
        return self._aresults(order, None)

    async def _aresults(self, order: Order, threads: int | None) -> AsyncIterator[BatchResult]:
        desk = new_desk(self._office, window=self._window, patience=self._patience, threads=threads)
        done: asyncio.Queue[BatchResult] = asyncio.Queue()
        tasks = self.start(desk, done)
        early: dict[int, BatchResult] = {}
        awaited = 0
        try:
            for _ in tasks:
                result = await done.get()
                if order == "any":
                    yield result
                    continue
                early[result.index] = result
                while awaited in early:
                    yield early.pop(awaited)
                    awaited += 1
        except asyncio.CancelledError:  # by Ctrl-C, also of the thread that `drained` serves
            await in_thread(self._office.interrupted)
            raise
        finally:
            for task in tasks:
                task.cancel()
            desk.abandon()
        if not desk.calls:
            warn_of_none()

    def start(self, desk: Desk, done: asyncio.Queue[BatchResult]) -> list[asyncio.Task[None]]:
        """Run all inputs as tasks whose calls a desk collects.

        Args:
            desk: The desk.
            done: Is given the results.
        """

        async def one(index: int, item: Any, config: RunnableConfig) -> None:
            try:
                output = await self._chain.ainvoke(item, config, **self._kwargs)
            except Exception as error:  # noqa: BLE001 - only this input fails
                done.put_nowait(BatchResult(index, error=error))
            else:
                done.put_nowait(BatchResult(index, output))

        return [
            desk.start(one(index, item, config)) for index, (item, config) in enumerate(self._pairs)
        ]


def warn_of_none() -> None:
    """Say that a batch made no job at all."""
    warnings.warn(
        "No BedrockBatch was asked by the chain, so that no job was made: build it around "
        "BedrockBatch(model=..., s3_uri=..., role_arn=...), or call the chain itself.",
        FullPriceWarning,
        stacklevel=3,
    )
