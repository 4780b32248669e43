"""Processes that share nothing with the test, and do not each import the package anew."""

from __future__ import annotations

import multiprocessing
from multiprocessing.context import ForkServerContext, SpawnContext
from typing import Final

_IMPORTED: Final = [
    "langchain_bedrock_opt.caching",
    "langchain_bedrock_opt.chat_model",
    "langchain_bedrock_opt.usage",
    "redis",
]


def forked_afresh() -> ForkServerContext | SpawnContext:
    """A context whose processes are forked from one that has imported the package and no more.

    Importing takes a second or two of each process that is spawned. Where there is no fork, they
    are spawned.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    return context
