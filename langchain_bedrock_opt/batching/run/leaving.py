"""A run that is begun for a task of an event loop, which may be cancelled meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import Event
from typing import TypeVar

from langchain_bedrock_opt.batching.run.batch_run import BatchRun
from langchain_bedrock_opt.batching.run.threads import in_thread

_Run = TypeVar("_Run", BatchRun, BatchRun | None)


async def asubmitted(begin: Callable[[], _Run]) -> _Run:
    """Begin a run without holding up the event loop.

    If the task is cancelled, the submission is not broken off in the middle: as soon as there is
    a run, it is said how to come back to it, as on Ctrl-C.

    Args:
        begin: Submits the run, if there is to be one.
    """
    is_left = Event()

    def work() -> _Run:
        run = begin()
        if run is not None and is_left.is_set():
            run.interrupted()
        return run

    try:
        return await in_thread(work)
    except asyncio.CancelledError:
        is_left.set()
        raise
