"""However many calls run at once, in threads, tasks or processes, no limit is passed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
import redis

from langchain_bedrock_opt import BedrockEmulator, BedrockUsageCallbackHandler, ChatBedrockOptimized
from langchain_bedrock_opt.errors import BudgetExceededError
from langchain_bedrock_opt.usage.budget import (
    Budget,
    BudgetStore,
    DynamoDBBudgetStore,
    RedisBudgetStore,
)
from tests.dynamodb import patient_client
from tests.fresh_processes import forked_afresh
from tests.unit_tests.usage.budget.conftest import MODEL

LIMIT = Decimal("0.01")
"""Room for some nine calls at their worst, and some fifty at what they cost."""

Model = Callable[..., ChatBedrockOptimized]


def call(model: ChatBedrockOptimized, callbacks: list[Any]) -> bool:
    """Whether a call was made."""
    try:
        model.invoke("Tell me a story.", {"callbacks": callbacks})
    except BudgetExceededError:
        return False
    return True


def test_64_threads_on_one_budget(model: Model, emulator: BedrockEmulator) -> None:
    """Of 64 threads that call at once, those that are let in spend the limit and no more."""
    budget, usage = Budget(LIMIT), BedrockUsageCallbackHandler()
    chat = model()

    with ThreadPoolExecutor(64) as pool:
        made = sum(pool.map(lambda _: call(chat, [usage, budget]), range(640)))
    refused = budget.counts.refused
    assert made + refused == 640
    while call(chat, [usage, budget]):  # what a crowd's reservations left over
        made += 1

    assert usage.ledger.totals().cost_usd == budget.spent_usd
    assert LIMIT * Decimal("0.8") < budget.spent_usd <= LIMIT
    assert emulator.journal.count() == made
    assert budget.reserved_usd == 0


async def test_64_tasks_on_one_budget(model: Model) -> None:
    """So do tasks of one event loop."""
    budget = Budget(LIMIT)
    chat = model(max_concurrency=64)
    config: Any = {"callbacks": [budget]}

    calls = [chat.ainvoke("Tell me a story.", config) for _ in range(300)]
    answers = await asyncio.gather(*calls, return_exceptions=True)

    refused = [answer for answer in answers if isinstance(answer, BudgetExceededError)]
    assert 0 < len(refused) == budget.counts.refused < 300
    assert 0 < budget.spent_usd <= LIMIT
    assert budget.reserved_usd == 0


def open_store(kind: str, url: str) -> BudgetStore:
    if kind == "redis":
        return RedisBudgetStore(url, prefix="race")
    return DynamoDBBudgetStore("race", client=patient_client(url))


def spend_in_a_process(kind: str, url: str) -> tuple[int, str]:
    """Make calls in eight threads; how many were made, and what they cost."""
    client = BedrockEmulator().client()
    chat = ChatBedrockOptimized(model=MODEL, client=client, bedrock_client=client, max_tokens=200)
    usage = BedrockUsageCallbackHandler()
    budget = Budget(LIMIT, per=None, store=open_store(kind, url), on_store_error="refuse")
    with ThreadPoolExecutor(8) as pool:
        made = sum(pool.map(lambda _: call(chat, [usage, budget]), range(30)))
    return made, str(usage.ledger.totals().cost_usd)


@pytest.mark.parametrize("kind", ["redis", "dynamodb"])
def test_4_processes_on_one_budget(kind: str, request: pytest.FixtureRequest) -> None:
    """Processes that share a store share the limit, and what they spent is in it."""
    url = request.getfixturevalue("redis_url" if kind == "redis" else "dynamodb_local")
    store = open_store(kind, url)
    if isinstance(store, DynamoDBBudgetStore):
        store.create_table()
    with forked_afresh().Pool(4) as pool:
        results = pool.starmap(spend_in_a_process, [(kind, url)] * 4)

    spent = sum(Decimal(cost) for _, cost in results)
    status = Budget(LIMIT, per=None, store=store).status()
    assert status.spent_usd == spent
    assert 0 < spent <= LIMIT
    assert status.reserved_usd == 0
    assert 0 < sum(made for made, _ in results) < 4 * 30
    if isinstance(store, RedisBudgetStore):
        store.close()


def test_a_dead_process_leaves_its_reservation(redis_url: str) -> None:
    """What a process had reserved when it died counts as spent: it may have been."""
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    process = forked_afresh().Process(target=die_in_a_call, args=(redis_url,))

    process.start()
    process.join()

    store = RedisBudgetStore(redis_url, prefix="race")
    status = Budget(LIMIT, per=None, store=store).status()
    store.close()
    assert process.exitcode == 7
    assert status.reserved_usd > 0
    assert status.spent_usd == 0


def die_in_a_call(url: str) -> None:
    client = BedrockEmulator().client()
    chat = ChatBedrockOptimized(model=MODEL, client=client, bedrock_client=client, max_tokens=200)
    budget = Budget(LIMIT, per=None, store=open_store("redis", url))
    stream = chat.stream("2+2?", {"callbacks": [budget]})
    next(stream)
    os._exit(7)  # while the stream is open
