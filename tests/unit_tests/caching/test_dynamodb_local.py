"""The store on Amazon's own DynamoDB: several processes at once, and LangChain's suites."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from langchain_core.caches import BaseCache
from langchain_tests.integration_tests.cache import AsyncCacheTestSuite, SyncCacheTestSuite

from langchain_bedrock_opt.caching import BedrockSemanticCache, DynamoDBCacheStore
from langchain_bedrock_opt.errors import CacheStoreError
from tests.extras import needs_fork

REPOSITORY = Path(__file__).parents[3]
OPEN = """
    import sys
    from langchain_bedrock_opt.caching import DynamoDBCacheStore
    store = DynamoDBCacheStore(
        "processes", endpoint_url=sys.argv[1], region_name="us-east-1", prefix=sys.argv[2]
    )
"""


@pytest.fixture
def open_store(dynamodb_local: str) -> Callable[..., DynamoDBCacheStore]:
    """Opens a store on DynamoDB Local, under a prefix of this test's own."""
    prefix = uuid4().hex

    def open_one(**options: object) -> DynamoDBCacheStore:
        return DynamoDBCacheStore(
            "processes",
            endpoint_url=dynamodb_local,
            region_name="us-east-1",
            prefix=prefix,
            create_table=True,
            **options,  # type: ignore[arg-type]
        )

    return open_one


@pytest.fixture
def store(open_store: Callable[..., DynamoDBCacheStore]) -> Iterator[DynamoDBCacheStore]:
    store = open_store()
    yield store
    store.close()


@pytest.fixture
def start(store: DynamoDBCacheStore, dynamodb_local: str) -> Callable[..., subprocess.Popen[str]]:
    """Starts a script in a process of its own, with `store` open in it."""
    store.create_table()

    def start_one(script: str) -> subprocess.Popen[str]:
        code = textwrap.dedent(OPEN) + textwrap.dedent(script)
        command = [sys.executable, "-c", code, dynamodb_local, store._prefix]
        return subprocess.Popen(
            command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    return start_one


def test_one_of_four_processes_gets_the_lease(
    start: Callable[..., subprocess.Popen[str]], store: DynamoDBCacheStore
) -> None:
    """Of processes that ask for the same leases at the same time, each lease has one holder."""
    processes = [
        start("""
            store.get("connects")
            print("ready", flush=True)
            sys.stdin.readline()
            taken = [key for key in map(str, range(30)) if store.lease(key, 60)]
            print(*taken)
        """)
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    # Only now, so that all of them begin at one moment.
    outputs = []
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        outputs.append(process.communicate(timeout=60)[0])
        assert process.returncode == 0

    holders = Counter(key for output in outputs for key in output.split())
    assert holders == {str(key): 1 for key in range(30)}
    assert store.lease("0", 60) is None


def test_a_writer_that_is_killed_leaves_the_old_value(
    start: Callable[..., subprocess.Popen[str]], store: DynamoDBCacheStore
) -> None:
    """A process that is killed between the parts and the head has changed nothing."""
    store.put("key", b"old", 60)
    process = start("""
        import os, signal
        put_items = store._calls.put_items
        def put_and_die(items):
            put_items(items)
            os.kill(os.getpid(), signal.SIGKILL)
        store._calls.put_items = put_and_die
        store.put("key", bytes(900_000), 60)
    """)
    process.communicate(timeout=60)

    assert process.returncode == -9
    assert store.get("key") == b"old"


@needs_fork
def test_a_forked_process_has_its_own_connections(
    start: Callable[..., subprocess.Popen[str]], store: DynamoDBCacheStore
) -> None:
    """A child made by fork reads and writes what its parent sees, through a client of its own."""
    process = start("""
        import os
        store.put("parent", b"1", 60)
        clients = {id(store._calls._client())}
        child = os.fork()
        if child == 0:
            assert id(store._calls._client()) not in clients
            assert store.get("parent") == b"1"
            store.put("child", b"2", 60)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert store.get("child") == b"2"
    """)
    process.communicate(timeout=60)

    assert process.returncode == 0
    assert store.get("child") == b"2"


def test_large_values_are_never_torn(open_store: Callable[..., DynamoDBCacheStore]) -> None:
    """While two writers replace a value of 800 KB, readers see one or the other, whole."""
    values = {letter.encode() * 800_000 for letter in "ab"}
    seen = []
    store = open_store()
    store.put("key", min(values), 60)
    over = threading.Event()

    def write(value: bytes) -> None:
        writer = open_store()
        for _ in range(4):
            writer.put("key", value, 60)

    def read() -> None:
        reader = open_store()
        while not over.is_set():
            seen.append(reader.get("key"))

    reading = threading.Thread(target=read)
    writing = [threading.Thread(target=write, args=(value,)) for value in values]
    for thread in [reading, *writing]:
        thread.start()
    for thread in writing:
        thread.join()
    over.set()
    reading.join()

    assert set(seen) <= values
    assert seen


def test_the_table_is_made_as_it_is_described(
    dynamodb_local: str, open_store: Callable[..., DynamoDBCacheStore]
) -> None:
    """Amazon's own server makes the table, and refuses one with another key in its own words."""
    table = f"made-{uuid4().hex}"
    options = {"endpoint_url": dynamodb_local, "region_name": "us-east-1"}
    store = DynamoDBCacheStore(table, **options, create_table=True)  # type: ignore[arg-type]
    assert store.get("key") is None

    client = store._calls._client()
    ttl = client.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    assert ttl == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}

    client.create_table(
        TableName=f"{table}-2",
        KeySchema=[{"AttributeName": "cache_key", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "cache_key", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for call in (
        lambda: DynamoDBCacheStore(f"{table}-2", client=client).get("key"),
        lambda: DynamoDBCacheStore(f"{table}-2", client=client).get_many(["key"]),
        lambda: DynamoDBCacheStore(f"{table}-2", client=client).put("key", b"value", 60),
        lambda: DynamoDBCacheStore(f"{table}-2", client=client).create_table(),
    ):
        with pytest.raises(CacheStoreError, match=r"key cache_key \(S, HASH\), and needs pk"):
            call()


class TestCache(SyncCacheTestSuite):
    """LangChain's suite for a cache in DynamoDB."""

    @pytest.fixture
    def cache(self, store: DynamoDBCacheStore) -> BaseCache:
        """An empty cache."""
        return BedrockSemanticCache(store)


class TestCacheAsync(AsyncCacheTestSuite):
    """LangChain's asynchronous suite for a cache in DynamoDB."""

    @pytest.fixture
    async def cache(self, store: DynamoDBCacheStore) -> AsyncIterator[BaseCache]:
        """An empty cache."""
        cache = BedrockSemanticCache(store)
        yield cache
        cache.close()
