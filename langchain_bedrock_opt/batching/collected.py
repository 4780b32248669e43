"""Sync batches where single calls are collected: their calls wait for the event loop."""

from __future__ import annotations

import asyncio

from langchain_bedrock_opt.batching.parts import COALESCER
from langchain_bedrock_opt.errors import ConfigurationError


def is_collected() -> bool:
    """Whether somebody collects the calls that a sync batch is about to make in threads.

    Raises:
        ConfigurationError: An event loop runs in this thread: it could not answer while the batch
            waits here.

    Example:
        >>> is_collected()
        False
    """
    if COALESCER.get() is None:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return True
    raise ConfigurationError(
        "A sync batch (`batch`, `batch_as_completed`) inside an async function would wait for "
        "itself while calls are coalesced: call `await model.abatch(...)`."
    )
