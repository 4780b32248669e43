"""The Redis store: what it refuses, and what it does when its server fails."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
import redis.asyncio

from langchain_bedrock_opt.caching.stores.redis import RedisCacheStore
from langchain_bedrock_opt.errors import CacheStoreError, ConfigurationError, MissingExtraError
from tests.extras import needs_fork

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def raw(redis_url: str) -> Iterator[redis.Redis]:
    """The server as others see it."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def prefix() -> str:
    """A prefix that no other test has."""
    return uuid4().hex


@pytest.fixture
def store(redis_url: str, prefix: str) -> Iterator[RedisCacheStore]:
    store = RedisCacheStore(redis_url, prefix=prefix)
    yield store
    store.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"url": "http://host"}, "scheme"),
        ({"url": "redis://host?decode_responses=true"}, "decode_responses"),
        ({"url": "redis://host?nonsense=1"}, "nonsense"),
        ({"url": "redis://host/3", "cluster": True}, "database 3"),
        ({"prefix": ""}, "prefix=''"),
        ({"prefix": "a{b}"}, "without braces"),
        ({"timeout": 0}, "timeout=0"),
        ({"max_connections": 0}, "max_connections=0"),
    ],
)
def test_mistakes_are_said_at_once(arguments: dict[str, Any], said: str) -> None:
    """What can't work is refused when the store is made, with the value."""
    with pytest.raises(ConfigurationError, match=said):
        RedisCacheStore(**arguments)


def test_clients_that_do_not_fit_are_refused() -> None:
    """A client must be redis-py's, synchronous, and give bytes; a URL beside it is one too many."""
    with pytest.raises(ConfigurationError, match="decode_responses=True"):
        RedisCacheStore(client=redis.Redis(decode_responses=True))
    with pytest.raises(ConfigurationError, match=r"redis\.asyncio\.client\.Redis"):
        RedisCacheStore(client=redis.asyncio.Redis())  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="leave out url"):
        RedisCacheStore("redis://localhost", client=redis.Redis())


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without redis-py the store says what to install; importing its name is no error."""
    monkeypatch.setitem(sys.modules, "redis", None)

    with pytest.raises(MissingExtraError, match=r"langchain-bedrock-opt\[redis\]"):
        RedisCacheStore()


def test_nothing_is_connected_before_the_first_use() -> None:
    """A store whose server does not exist can be made and closed."""
    RedisCacheStore("redis://127.0.0.1:1").close()
    RedisCacheStore("redis://127.0.0.1:1", cluster=True).close()


@pytest.mark.parametrize("cluster", [False, True])
def test_closing_closes_all_connections(*, cluster: bool, request: pytest.FixtureRequest) -> None:
    """After closing, no connection that a thread opened is left on the server."""
    url = request.getfixturevalue("redis_cluster_url" if cluster else "redis_url")
    with redis.Redis.from_url(url) as client:
        before = {one["id"] for one in client.client_list()}
        store = RedisCacheStore(url, cluster=cluster)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(store.get, ["key"] * 100))
        opened = {one["id"] for one in client.client_list()} - before
        assert opened

        store.close()

        while opened & {one["id"] for one in client.client_list()}:
            time.sleep(0.01)  # the server may see it a moment later; else the test's limit ends it


def test_a_password_is_not_shown() -> None:
    """Neither the store's text nor an error has the URL in it."""
    store = RedisCacheStore("redis://:secret@127.0.0.1:1")

    with pytest.raises(CacheStoreError) as caught:
        store.get("key")
    with pytest.raises(ConfigurationError) as refused:
        RedisCacheStore("http://:secret@host")

    assert "secret" not in f"{store!r} {caught.value} {refused.value}"


def test_a_client_of_one_s_own(redis_url: str, prefix: str) -> None:
    """A given client is used, and closing the store leaves it open."""
    with redis.Redis.from_url(redis_url, max_connections=1) as client:
        store = RedisCacheStore(client=client, prefix=prefix)
        store.put("key", b"value", 60)
        connections = client.connection_pool
        store.close()

        assert client.get(f"{prefix}{{:key}}") == b"value"
        assert client.connection_pool is connections
        assert store.get("key") == b"value"


def test_the_client_is_on_show(redis_url: str, prefix: str) -> None:
    """What else the server can do may be used through the store's client, opened when asked for."""
    store = RedisCacheStore(redis_url, prefix=prefix)
    first = store.client
    store.put("key", b"value", 60)

    assert first.get(f"{store.prefix}{{:key}}") == b"value"
    assert store.client is first
    store.close()
    assert store.client is not first
    store.close()
    with redis.Redis.from_url(redis_url) as client:
        assert RedisCacheStore(client=client).client is client
    with pytest.raises(CacheStoreError, match="Redis failed"):
        _ = RedisCacheStore("redis://127.0.0.1:1", cluster=True).client


def test_entries_expire_by_the_server(
    store: RedisCacheStore, prefix: str, raw: redis.Redis
) -> None:
    """Everything with a time has it on the server, so that nothing stays there for ever."""
    store.put("plain", b"value", 60)
    store.put("leased", b"value", 60, lease=store.lease("leased", 30))
    store.swap("swapped", None, b"old", None)
    store.swap("swapped", b"old", b"new", 60)
    store.lease("key", 60)
    store.put("short", b"value", 0.0001)

    names = set(raw.scan_iter(match=f"{prefix}*"))

    assert len(names) >= 4
    for name in names:
        assert raw.pttl(name) <= 60_000
        assert raw.pttl(name) != -1


def test_other_names_are_left_alone(store: RedisCacheStore, prefix: str, raw: redis.Redis) -> None:
    """Clearing drops names under the store's own prefix, not those that merely begin like it."""
    neighbour = RedisCacheStore(client=raw, prefix=f"{prefix}2")
    neighbour.put("key", b"value", 60)
    raw.set(f"{prefix}:theirs", b"value", ex=60)
    for index in range(1_200):
        store.put(str(index), b"value", 60)

    store.clear()

    assert set(raw.scan_iter(match=f"{prefix}*")) == {
        f"{prefix}2{{:key}}".encode(),
        f"{prefix}:theirs".encode(),
    }


def test_a_prefix_is_no_pattern(raw: redis.Redis, prefix: str) -> None:
    """Clearing under a prefix with marks of a pattern in it drops what has those marks."""
    marked = RedisCacheStore(client=raw, prefix=f"{prefix}[a*]?\\")
    plain = RedisCacheStore(client=raw, prefix=f"{prefix}a")
    marked.put("key", b"value", 60)
    plain.put("key", b"value", 60)

    marked.clear()

    assert marked.get("key") is None
    assert plain.get("key") == b"value"


@pytest.mark.parametrize("key", ["", "}", "{}", "a}b{c", "{a}{b}"])
def test_a_key_and_its_lease_share_a_slot(key: str, redis_cluster_url: str, prefix: str) -> None:
    """On a cluster, braces in a key do not tear its entry and its lease apart."""
    store = RedisCacheStore(redis_cluster_url, cluster=True, prefix=prefix)
    token = store.lease(key, 60)

    assert store.put(key, b"value", 60, lease=token)
    assert store.get_many([key, "another"]) == {key: b"value"}
    store.close()


def test_another_type_under_a_key(store: RedisCacheStore, prefix: str, raw: redis.Redis) -> None:
    """What is no text of ours is an error on reading, and gives way when the key is put."""
    raw.lpush(f"{prefix}{{:key}}", "a list")

    with pytest.raises(CacheStoreError, match="WRONGTYPE"):
        store.get("key")
    with pytest.raises(CacheStoreError, match="WRONGTYPE"):
        store.swap("key", b"old", b"new", 60)
    assert store.get_many(["key"]) == {}
    store.put("key", b"value", 60)

    assert store.get("key") == b"value"


def test_a_wrong_password(start_redis: Callable[..., Any]) -> None:
    """Refused credentials are an error of the store; the right ones work."""
    server = start_redis("--requirepass", "right")
    wrong = RedisCacheStore(server.url.replace("//", "//:wrong@"))
    right = RedisCacheStore(server.url.replace("//", "//:right@"))

    with pytest.raises(CacheStoreError, match="AuthenticationError"):
        wrong.get("key")
    right.put("key", b"value", 60)

    assert right.get("key") == b"value"
    wrong.close()
    right.close()


def test_a_server_that_goes_away_and_comes_back(start_redis: Callable[..., Any]) -> None:
    """While it is away every call is an error, then the same store works again, scripts too."""
    server = start_redis()
    store = RedisCacheStore(server.url)
    calls: list[Callable[[], object]] = [
        lambda: store.get("key"),
        lambda: store.get_many(["key"]),
        lambda: store.put("key", b"value", 60),
        lambda: store.put("key", b"value", 60, lease="token"),
        lambda: store.swap("key", b"old", b"new", 60),
        lambda: store.delete("key"),
        lambda: store.lease("key", 60),
        lambda: store.release("key", "token"),
        store.clear,
    ]
    for call in calls:
        call()
    server.stop()

    for call in calls:
        with pytest.raises(CacheStoreError, match="Redis failed: ConnectionError"):
            call()
    server.start()

    assert store.put("key", b"value", 60, lease=store.lease("key", 60))
    assert store.get("key") == b"value"
    store.close()


def test_a_server_that_does_not_answer(start_redis: Callable[..., Any]) -> None:
    """A server that hangs is an error after the time limit, not a call that hangs."""
    server = start_redis()
    store = RedisCacheStore(server.url, timeout=0.2)
    with redis.Redis.from_url(server.url) as client:
        client.client_pause(5_000)

    with pytest.raises(CacheStoreError, match="TimeoutError"):
        store.get("key")
    store.close()


def test_a_full_server(start_redis: Callable[..., Any]) -> None:
    """Where nothing may be dropped, a write is an error, changes nothing and keeps its lease."""
    server = start_redis("--maxmemory-policy", "noeviction")
    store = RedisCacheStore(server.url)
    store.put("key", b"value", 60)
    token = store.lease("key", 60)
    assert token is not None
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory", 1)
        writes: list[Callable[[], object]] = [
            lambda: store.put("key", b"new", 60),
            lambda: store.put("key", b"new", 60, lease=token),
            lambda: store.swap("key", b"value", b"new", 60),
            lambda: store.lease("another", 60),
        ]
        for write in writes:
            with pytest.raises(CacheStoreError, match="OutOfMemoryError"):
                write()
        assert store.get("key") == b"value"
        store.delete("another")
        client.config_set("maxmemory", 0)

    assert store.put("key", b"new", 60, lease=token)
    assert store.get("key") == b"new"
    store.close()


@pytest.mark.parametrize("cluster", [False, True])
def test_more_threads_than_connections(
    *, cluster: bool, prefix: str, request: pytest.FixtureRequest
) -> None:
    """Threads wait for a connection rather than fail, and there are never more than allowed."""
    url = request.getfixturevalue("redis_cluster_url" if cluster else "redis_url")
    store = RedisCacheStore(url, cluster=cluster, prefix=prefix, max_connections=2)
    with redis.Redis.from_url(url) as client, ThreadPoolExecutor(16) as pool:
        before = len(client.client_list())
        list(pool.map(lambda number: store.put(str(number), b"value", 60), range(200)))
        opened = len(client.client_list()) - before

    assert len(store.get_many([str(number) for number in range(200)])) == 200
    assert opened <= 2
    store.close()


@needs_fork
def test_a_forked_process_has_its_own_connection(redis_url: str, prefix: str) -> None:
    """A child made by fork does not read its parent's answers."""
    script = f"""
        import os
        from langchain_bedrock_opt.caching.stores.redis import RedisCacheStore
        store = RedisCacheStore({redis_url!r}, prefix={prefix!r})
        name = "parent"
        store.put(name, name.encode(), 60)
        child = os.fork()
        if child == 0:
            name = "child"
            store.put(name, name.encode(), 60)
        for _ in range(500):
            assert store.get(name) == name.encode()
        if child == 0:
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        store.close()
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    assert subprocess.run(command, check=False, cwd=REPOSITORY, timeout=60).returncode == 0
