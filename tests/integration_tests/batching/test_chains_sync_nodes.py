"""Collected calls of sync functions: they wait in threads, of which an event loop has few."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.runnables import RunnableLambda

from langchain_bedrock_opt.batching.chains import as_batch, coalesced
from langchain_bedrock_opt.batching.chat_model import BedrockBatch
from langchain_bedrock_opt.errors import ConfigurationError
from tests.batch_models import batch_model, jobs_of, questions
from tests.batch_service import BatchService, make_batch_service

WINDOW = 0.05
THREADS = 4
SECONDS = 20


@pytest.fixture
def service(aws_environment: None) -> BatchService:
    return make_batch_service(min_records=THREADS)


@pytest.fixture
def model(service: BatchService) -> BedrockBatch:
    return batch_model(service)


@pytest.fixture
def llm_cache() -> Iterator[None]:
    set_llm_cache(InMemoryCache())
    yield
    set_llm_cache(None)


async def _answers(model: BedrockBatch, config: Any = None) -> int:
    """How many of three times as many sync nodes are answered as the loop has threads."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
    chain: Any = as_batch(
        RunnableLambda(lambda text: model.invoke(text).text), window=WINDOW, patience=2 * WINDOW
    )
    answers = await asyncio.wait_for(chain.abatch(questions(3 * THREADS), config), SECONDS)
    return len(answers)


async def test_more_sync_nodes_than_threads(service: BatchService, model: BedrockBatch) -> None:
    """Sync nodes that hold all threads of the loop are answered, and then the others."""
    assert await _answers(model) == 3 * THREADS
    assert len(jobs_of(service)) == 3


async def test_more_sync_nodes_than_threads_in_a_named_batch(model: BedrockBatch) -> None:
    """Looking up what a run has asked before takes no thread of the loop's."""
    assert await _answers(model, {"metadata": {"bedrock_opt_run_id": "nightly"}}) == 3 * THREADS


async def test_more_sync_nodes_than_threads_with_a_cache(
    model: BedrockBatch, llm_cache: None
) -> None:
    """Asking a cache takes no thread of the loop's."""
    assert await _answers(model) == 3 * THREADS


@pytest.mark.parametrize("is_chain", [False, True])
async def test_a_sync_batch_inside_of_a_block_is_refused(
    model: BedrockBatch, *, is_chain: bool
) -> None:
    """A sync batch would hold up the event loop that its answers come from: it says so instead."""
    asked: Any = as_batch(RunnableLambda(model.invoke)) if is_chain else model
    async with coalesced(window=WINDOW):
        with pytest.raises(ConfigurationError, match="abatch"):
            asked.batch(questions(THREADS))
        with pytest.raises(ConfigurationError, match="abatch"):
            next(asked.batch_as_completed(questions(THREADS)))
        assert len(await asked.abatch(questions(THREADS))) == THREADS


def test_a_sync_node_may_make_a_batch(service: BatchService, model: BedrockBatch) -> None:
    """A sync batch inside a sync node joins the others' calls."""
    chain: Any = as_batch(
        RunnableLambda(lambda text: len(model.batch([text, f"{text}!"]))), window=WINDOW
    )
    assert chain.batch(questions(THREADS)) == [2] * THREADS
    assert len(jobs_of(service)) == 1
