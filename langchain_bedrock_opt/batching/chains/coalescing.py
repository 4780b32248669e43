"""`coalesced`: single calls of a user's own tasks become jobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from langchain_bedrock_opt.batching.chains.desk import Desk
from langchain_bedrock_opt.batching.chains.questions import Questions
from langchain_bedrock_opt.batching.chains.rounds import PostOffice
from langchain_bedrock_opt.batching.parts import COALESCER
from langchain_bedrock_opt.batching.run.threads import in_thread
from langchain_bedrock_opt.errors import ConfigurationError

WINDOW: Final = 1.0
"""Seconds without a new call after which the calls that wait are sent."""

PATIENCE: Final = 60.0
"""Seconds after which they are sent although an input is busy elsewhere, with a tool."""


def new_desk(
    office: PostOffice, *, window: float, patience: float, threads: int | None = None
) -> Desk:
    """A desk on the event loop that runs, whose rounds are runs of jobs.

    Args:
        office: Who sends the rounds.
        window: See `WINDOW`.
        patience: See `PATIENCE`.
        threads: How many sync calls can wait in threads at once.

    Raises:
        ConfigurationError: A value is out of its range.
    """
    for name, value in (("window", window), ("patience", patience)):
        if value <= 0:
            raise ConfigurationError(f"{name}={value} is no time: pass seconds above 0.")
    return Desk(Questions(), office, window=window, patience=patience, threads=threads)


@asynccontextmanager
async def coalesced(
    *, run_id: str | None = None, window: float = WINDOW, patience: float = PATIENCE
) -> AsyncIterator[Desk]:
    """Have the calls of a `BedrockBatch` that are made in this block join jobs.

    Chains, graphs and agents are run as they are, many at once; each call waits until no other
    comes for `window` seconds, and then all that wait become one run of jobs. At the end of the
    block nothing is left behind.

    What is started by `batch.start(...)` is known: while one of those is busy with something else
    nothing is sent, for `patience` seconds. Of other tasks nobody knows how many there are: what
    they ask waits as long if it is too few for a job, since it would be paid in full. Sync nodes
    call the model from threads: how many can wait at once, the event loop's pool says.

    Args:
        run_id: A name for the run. After a crash the same block with the same name finds the
            answers of its rounds, and asks only what was not asked before. A task that asks the
            very same twice and wants two answers is to be started by `batch.start`.
        window: Seconds without a new call after which the calls that wait are sent.
        patience: Seconds after which they are sent although a started task is busy, or although
            calls of other tasks are too few for a job.

    Raises:
        ConfigurationError: A value is out of its range.

    Example:
        ```python
        async with coalesced(run_id="tickets-2026-11-22") as batch:
            tasks = [batch.start(agent.ainvoke(ticket)) for ticket in tickets]
            states = await asyncio.gather(*tasks, return_exceptions=True)
        ```
    """
    office = PostOffice(run_id)
    desk = new_desk(office, window=window, patience=patience)
    token = COALESCER.set(desk)
    try:
        yield desk
        await desk.close()
    except asyncio.CancelledError:
        await in_thread(office.interrupted)
        raise
    finally:
        COALESCER.reset(token)
        desk.abandon()
