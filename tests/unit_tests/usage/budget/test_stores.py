"""What a budget does where its shared store is slow, gone, missing or asked twice."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Any

import pytest
import redis
from botocore.exceptions import EndpointConnectionError

from langchain_bedrock_opt import BedrockEmulator, ChatBedrockOptimized
from langchain_bedrock_opt.errors import BudgetExceededError, BudgetStoreError, ConfigurationError
from langchain_bedrock_opt.usage.budget import (
    Budget,
    DynamoDBBudgetStore,
    InMemoryBudgetStore,
    RedisBudgetStore,
)
from langchain_bedrock_opt.usage.budget.stores.base import Level
from langchain_bedrock_opt.usage.budget.stores.fallback import FallbackStore
from langchain_bedrock_opt.usage.budget.stores.late import LateSettlements, RequiredStore
from tests.dynamodb import FaultyClient, error, twice
from tests.redis_server import RedisServer
from tests.servers import free_port
from tests.unit_tests.usage.budget.conftest import spend_all
from tests.unit_tests.usage.conftest import FakeClock

Model = Callable[..., ChatBedrockOptimized]


class FailingStore(InMemoryBudgetStore):
    """A store of a server that can be down."""

    is_blocking = True

    def __init__(self) -> None:
        super().__init__()
        self.is_down = False
        self.asked = 0

    def _answer(self) -> None:
        self.asked += 1
        if self.is_down:
            raise BudgetStoreError("the server is down")

    def reserve(self, *args: Any, **kwargs: Any) -> Any:
        self._answer()
        return super().reserve(*args, **kwargs)

    def settle(self, *args: Any) -> Any:
        self._answer()
        return super().settle(*args)

    def level(self, key: str) -> Level:
        self._answer()
        return super().level(key)


def test_two_budgets_share_a_store(redis_url: str, model: Model) -> None:
    """Budgets of one name in one store are one budget, in whichever process."""
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    stores = [RedisBudgetStore(redis_url) for _ in range(2)]
    mine, theirs = (Budget(1, name="shared", store=store) for store in stores)
    other = Budget(1, name="other", store=stores[0])

    model().invoke("2+2?", {"callbacks": [mine]})

    assert mine.spent_usd == theirs.spent_usd > 0
    assert other.spent_usd == 0
    assert mine.headroom() == theirs.headroom() < 1
    for store in stores:
        store.close()


async def test_a_budget_on_dynamodb(chat: Callable[..., Any], moto_dynamodb: Any) -> None:
    """A call reserves and settles in the table, in async code too, and a full one refuses."""
    store = DynamoDBBudgetStore("budgets", client=moto_dynamodb)
    store.create_table()
    budget, full = Budget(1, store=store), Budget("0.0001", name="full", store=store)

    chat(max_tokens=100).invoke("2+2?", {"callbacks": [budget]})
    spent = budget.spent_usd
    await chat(max_tokens=100).ainvoke("2+2?", {"callbacks": [budget]})
    with pytest.raises(BudgetExceededError):
        await chat(max_tokens=100).ainvoke("2+2?", {"callbacks": [budget, full]})

    assert budget.spent_usd == 2 * spent > 0
    assert budget.reserved_usd == full.reserved_usd == full.spent_usd == 0


def test_old_windows_leave_redis(redis_url: str, clock: FakeClock, model: Model) -> None:
    """A window's budget expires a day after its end; one without an end stays."""
    store = RedisBudgetStore(redis_url, prefix="expiry")
    for per in ("hour", None):
        budget = Budget(1, per=per, store=store, clock=clock)
        model().invoke("2+2?", {"callbacks": [budget]})

    with redis.Redis.from_url(redis_url) as client:
        left = client.ttl("expiry:budget|2026-11-22T12")
        forever = client.ttl("expiry:budget|all")
    store.close()

    assert 24 * 3600 < left <= 25 * 3600
    assert forever == -1


def test_old_windows_leave_dynamodb(moto_dynamodb: Any) -> None:
    """An item carries the time at which DynamoDB may remove it, for which its table is set up."""
    store = DynamoDBBudgetStore("budgets", client=moto_dynamodb, clock=lambda: 1_000.0)
    store.create_table()
    store.create_table()  # one that is there is left as it is

    store.reserve("day", "a", 5, limit=10, ttl=60)
    store.reserve("all", "a", 5, limit=10, ttl=None)

    items = {item["budget"]["S"]: item for item in moto_dynamodb.scan(TableName="budgets")["Items"]}
    assert items["day"]["ttl"] == {"N": "1060"}
    assert "ttl" not in items["all"]
    expiry = moto_dynamodb.describe_time_to_live(TableName="budgets")["TimeToLiveDescription"]
    assert expiry == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}


def test_old_windows_leave_memory() -> None:
    """Windows that are over are forgotten when new ones begin."""
    clock = FakeClock()
    store = InMemoryBudgetStore(clock=clock)
    store.reserve("monday", "a", 5, limit=10, ttl=60)
    store.reserve("always", "a", 5, limit=10, ttl=None)

    clock.advance(61)
    store.reserve("tuesday", "a", 5, limit=10, ttl=60)

    assert store.level("monday") == Level(0, 0)
    assert store.level("always") == store.level("tuesday") == Level(5, 5)


def test_a_repeated_request_counts_once(faulty_dynamodb: FaultyClient) -> None:
    """Where DynamoDB's answer is lost and botocore asks again, nothing counts twice."""
    store = DynamoDBBudgetStore("budgets", client=faulty_dynamodb)
    store.create_table()
    faulty_dynamodb.plan("update_item", twice, twice)

    assert store.reserve("day", "a", 60, limit=100, ttl=60) == (True, Level(60, 60))
    store.settle("day", "a", 60, 25)

    assert store.level("day") == Level(25, 0)


def test_a_missing_table_is_said(moto_dynamodb: Any) -> None:
    """The error names the table and how to make it."""
    store = DynamoDBBudgetStore("budgets", client=moto_dynamodb)

    with pytest.raises(BudgetStoreError, match=r"'budgets'.*create_table\(\) makes it"):
        store.reserve("day", "a", 60, limit=100, ttl=60)


def test_a_table_that_never_becomes_active_is_said(faulty_dynamodb: FaultyClient) -> None:
    """Making a table ends with an error where DynamoDB never makes it."""
    waits: list[float] = []
    store = DynamoDBBudgetStore("budgets", client=faulty_dynamodb, sleep=waits.append)
    creating = {"Table": {"TableStatus": "CREATING"}}
    faulty_dynamodb.plan("describe_table", *[lambda _request, _method: creating] * 60)

    with pytest.raises(BudgetStoreError, match="is not active after 60 s"):
        store.create_table()

    assert len(waits) == 60


@pytest.mark.parametrize(
    "failure",
    [error("ThrottlingException", "UpdateItem"), EndpointConnectionError(endpoint_url="x")],
)
def test_dynamodb_errors_are_ours(failure: Exception, faulty_dynamodb: FaultyClient) -> None:
    """Whatever boto3 raises comes as a store error that names the table."""
    store = DynamoDBBudgetStore("budgets", client=faulty_dynamodb)
    faulty_dynamodb.plan("update_item", failure)

    with pytest.raises(BudgetStoreError, match="'budgets' failed"):
        store.reserve("day", "a", 60, limit=100, ttl=60)


def test_redis_errors_are_ours() -> None:
    """A server that is not there is a store error."""
    store = RedisBudgetStore(f"redis://127.0.0.1:{free_port()}/0")

    with pytest.raises(BudgetStoreError, match="Redis failed: ConnectionError"):
        store.level("day")


def test_a_redis_that_was_started_anew(start_redis: Callable[..., RedisServer]) -> None:
    """A server that has forgotten the scripts is sent them again."""
    server = start_redis()
    store = RedisBudgetStore(server.url)
    store.reserve("day", "a", 60, limit=100, ttl=60)

    server.stop()
    server.start()

    assert store.reserve("day", "b", 60, limit=100, ttl=60).granted
    store.close()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: DynamoDBBudgetStore(""), "table=''"),
        (lambda: RedisBudgetStore("http://localhost"), "url: "),
        (lambda: RedisBudgetStore("redis://h", client=redis.Redis()), "leave out url"),
    ],
)
def test_mistakes_are_said_at_once(build: Callable[[], object], message: str) -> None:
    """A store that can't work says so when it is made."""
    with pytest.raises(ConfigurationError, match=message):
        build()


def test_a_store_that_fails_does_not_stop_calls(
    model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    """By default this process counts alone while the store is down, within the same limit."""
    store = FailingStore()
    store.is_down = True
    budget = Budget("0.003", store=store)

    with caplog.at_level(logging.WARNING):
        spend_all(model(), {"callbacks": [budget]})

    assert 0 < budget.spent_usd <= budget.status().limit_usd
    assert store.asked == 1
    assert sum("counts alone" in message for message in caplog.messages) == 1


def test_a_store_may_be_required(model: Model, emulator: BedrockEmulator) -> None:
    """With `on_store_error="refuse"` no call is made that the store does not know of."""
    store = FailingStore()
    store.is_down = True

    with pytest.raises(BudgetStoreError, match="the server is down"):
        model().invoke("2+2?", {"callbacks": [Budget(1, store=store, on_store_error="refuse")]})

    assert emulator.journal.count() == 0


def test_an_answer_comes_though_it_can_not_be_settled(
    model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    """A store that fails while the model answers costs no answer; it is told with the next call."""
    store = FailingStore()
    budget = Budget(1, store=store, on_store_error="refuse")
    stream = model().stream("2+2?", {"callbacks": [budget]})
    next(stream)
    store.is_down = True

    list(stream)

    assert budget.counts.unsettled == 1
    assert any("could not settle" in message for message in caplog.messages)
    store.is_down = False
    model().invoke("2+2?", {"callbacks": [budget]})
    assert budget.counts.unsettled == budget.reserved_usd == 0
    assert budget.spent_usd > 0


@pytest.mark.parametrize("build", [FallbackStore, RequiredStore])
def test_what_was_not_settled_is_settled_later(build: Callable[..., Any]) -> None:
    """One late answer holds no money back for good: all that failed is repeated, and once."""
    clock, shared = FakeClock(), FailingStore()
    store = build(shared, clock=clock)
    for number in range(50):
        assert store.reserve("day", str(number), 2, limit=100, ttl=None).granted
    shared.is_down = True
    for number in range(50):
        with contextlib.suppress(BudgetStoreError):
            store.settle("day", str(number), 2, 1)
    assert store.unsettled == 50

    shared.is_down = False
    clock.advance(31)
    for _ in range(2):
        store.level("day")

    assert store.unsettled == 0
    assert store.level("day") == shared.level("day") == Level(50, 0)


def test_a_settlement_that_fails_again_waits_again() -> None:
    """Repeating costs one question a pause, and keeps what it could not settle."""
    clock, shared = FakeClock(), FailingStore()
    late = LateSettlements(shared, max_waiting=2, pause=30, clock=clock)
    for name in ("a", "b", "c"):
        shared.reserve("day", name, 2, limit=None, ttl=None)
        late.add("day", name, 2, 1)
    shared.is_down, shared.asked = True, 0

    for _ in range(3):
        late.repeat()
    assert (len(late), shared.asked) == (3, 1)

    shared.is_down = False
    clock.advance(31)
    late.repeat()
    assert len(late) == 1  # one more than may wait: it stays reserved, and counted
    assert shared.level("day") == Level(4, 2)


def test_the_store_is_asked_again_after_a_while() -> None:
    """After a pause the shared store counts again, and what this process held settles here."""
    clock, store = FakeClock(), FailingStore()
    fallback = FallbackStore(store, pause=30, clock=clock)
    store.is_down = True
    assert fallback.reserve("day", "a", 60, limit=100, ttl=None).granted
    assert not fallback.reserve("day", "b", 60, limit=100, ttl=None).granted

    store.is_down = False
    clock.advance(31)

    assert fallback.settle("day", "a", 60, 20) == Level(20, 0)
    assert fallback.reserve("day", "c", 60, limit=100, ttl=None) == (True, Level(60, 60))
    assert fallback.level("day") == store.level("day") == Level(60, 60)
    assert fallback.errors == 1
