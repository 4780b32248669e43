"""Entries in Redis, Valkey or ElastiCache, shared by machines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from math import ceil
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast
from uuid import uuid4

from langchain_bedrock_opt.caching.stores.base import StoreSize
from langchain_bedrock_opt.caching.stores.redis_scripts import (
    END_LEASE,
    EXTEND_LEASE,
    SET_IF_EQUAL,
    SET_LEASED,
    Script,
)
from langchain_bedrock_opt.errors import CacheStoreError, ConfigurationError, MissingExtraError

if TYPE_CHECKING:
    from redis import Redis, RedisCluster

    Client: TypeAlias = Redis | RedisCluster

_BATCH: Final = 500
"""How many names are asked for, and dropped, in one go when the store is cleared."""


class RedisCacheStore:
    """Keeps entries in Redis, Valkey or ElastiCache, under names that begin with a prefix.

    It needs the extra `redis`, and of the server no module but the commands GET, MGET, SET, DEL,
    PEXPIRE, UNLINK, SCAN, EVAL and EVALSHA. Entries and leases expire by the server's clock, one
    for all who share it. What goes first when its memory is full is its `maxmemory-policy`; with
    `noeviction` writes fail then.

    On a cluster the names of a key's entry and lease have a hash tag in common, so that they are
    in one slot. ElastiCache Serverless is a cluster.

    Args:
        url: Where the server is, such as `redis://localhost:6379/0` (which is the default), or
            `rediss://:password@host:6379` for TLS.
        client: A `redis.Redis` or `redis.RedisCluster` of your own, in place of a URL; its time
            limits and pool are yours, and `close` leaves it open.
        cluster: The URL is one node of a cluster, or its configuration endpoint.
        prefix: What the names of all entries begin with. Stores with equal prefixes are one.
        timeout: Seconds to wait for a connection, and for each answer.
        max_connections: How many connections are open at once at most; of a cluster, to each
            node. Further threads wait for one as long as `timeout`.

    Raises:
        ConfigurationError: The URL can't be read, URL and client are both given, the client is
            not one of redis-py's or decodes answers, or an argument is out of its range.
        MissingExtraError: redis-py is not installed.

    Example:
        >>> store = RedisCacheStore("redis://localhost:6379/0", prefix="my-team")
        >>> store
        RedisCacheStore(prefix='my-team')
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        client: Client | None = None,
        cluster: bool = False,
        prefix: str = "bedrock-opt",
        timeout: float = 2.0,
        max_connections: int = 64,
    ) -> None:
        _check_redis()
        if not prefix or set(prefix) & {"{", "}"}:
            raise ConfigurationError(f"prefix={prefix!r}: must be a text without braces")
        if timeout <= 0 or max_connections < 1:
            raise ConfigurationError(
                f"timeout={timeout!r}, max_connections={max_connections!r}: must be above 0"
            )
        if client is not None:
            if url is not None or cluster:
                raise ConfigurationError("client= is given: leave out url and cluster")
            _check_client(client)
        self._given = client
        self._url = "redis://localhost:6379/0" if url is None else url
        self._cluster = cluster
        self._prefix = prefix
        self._timeout = timeout
        self._max_connections = max_connections
        if client is None:
            _check_pool(self._pool(), cluster=cluster)
        self._lock = Lock()
        self._own: Client | None = None

    @property
    def client(self) -> Client:
        """The client in use, to be asked for anew when it is needed: `close` ends one's own.

        Raises:
            CacheStoreError: It is of a cluster, which could not be reached.
        """
        with _store_errors():
            return self._opened()

    @property
    def prefix(self) -> str:
        """What the names of all entries begin with."""
        return self._prefix

    def get(self, key: str) -> bytes | None:
        """The bytes under a key, or None."""
        with _store_errors():
            return cast("bytes | None", self._opened().get(self._entry(key)))

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The bytes under each of several keys, of those that are there; one MGET for each slot."""
        wanted = list(dict.fromkeys(keys))
        if not wanted:
            return {}
        with _store_errors():
            client: Any = self._opened()
            # A cluster has it only as one MGET for each slot, in a pipeline to each node.
            read = getattr(client, "mget_nonatomic", client.mget)
            values: list[bytes | None] = read([self._entry(key) for key in wanted])
        return {key: value for key, value in zip(wanted, values, strict=True) if value is not None}

    def put(self, key: str, value: bytes, ttl: float | None, *, lease: str | None = None) -> bool:
        """Keep bytes under a key for `ttl` seconds, if the lease on it still holds."""
        with _store_errors():
            if lease is None:
                self._opened().set(self._entry(key), value, px=_lifetime(ttl))
                return True
            names = [self._entry(key), self._lease(key)]
            return self._run(SET_LEASED, names, lease, value, _lifetime(ttl) or "")

    def swap(self, key: str, old: bytes | None, new: bytes, ttl: float | None) -> bool:
        """Keep bytes under a key for `ttl` seconds, if `old` is what is there."""
        name = self._entry(key)
        with _store_errors():
            if old is None:
                return bool(self._opened().set(name, new, px=_lifetime(ttl), nx=True))
            return self._run(SET_IF_EQUAL, [name], old, new, _lifetime(ttl) or "")

    def delete(self, key: str) -> None:
        """Forget a key."""
        with _store_errors():
            self._opened().delete(self._entry(key))

    def lease(self, key: str, seconds: float, *, held: str | None = None) -> str | None:
        """Take the lease on a key, or extend one's own."""
        name = self._lease(key)
        with _store_errors():
            px = _milliseconds(seconds)
            if held is not None:
                return held if self._run(EXTEND_LEASE, [name], held, px) else None
            token = uuid4().hex
            return token if self._opened().set(name, token, px=px, nx=True) else None

    def release(self, key: str, lease: str) -> None:
        """End a lease that is still held."""
        with _store_errors():
            self._run(END_LEASE, [self._lease(key)], lease)

    def clear(self) -> None:
        """Forget all entries and leases under this prefix; other names are left alone."""
        with _store_errors():
            client = self._opened()
            names = client.scan_iter(match=self._pattern(), count=_BATCH)
            while batch := list(islice(names, _BATCH)):
                # One command a name: those of a cluster are in slots of their own.
                with client.pipeline(transaction=False) as pipeline:
                    for name in batch:
                        pipeline.unlink(name)
                    pipeline.execute()

    def size(self) -> StoreSize:
        """How many entries and leases are under this prefix; walks all names of the database.

        Raises:
            CacheStoreError: The store could not be read.
        """
        with _store_errors():
            names = self._opened().scan_iter(match=self._pattern(), count=_BATCH)
            return StoreSize(sum(1 for _ in names))

    def close(self) -> None:
        """Close the connections, unless the client was given; the next use opens new ones."""
        client: Any
        with self._lock:
            client, self._own = self._own, None
        if client is not None:
            if self._cluster:
                # redis-py's own `close` leaves the connections open of a cluster made by URL.
                client.disconnect_connection_pools()
            client.close()

    def __repr__(self) -> str:
        """The store with its prefix; the URL may hold a password."""
        return f"RedisCacheStore(prefix={self._prefix!r})"

    def _pattern(self) -> str:
        return re.sub(r"([*?\[\]\\])", r"\\\1", self._prefix) + "{:*"

    def _entry(self, key: str) -> str:
        # What stands in the first braces decides on the slot. The colon is there because Redis
        # takes empty braces for none.
        return f"{self._prefix}{{:{key}}}"

    def _lease(self, key: str) -> str:
        return f"{self._prefix}{{:{key}}}:lease"

    def _run(self, script: Script, names: list[str], *arguments: str | bytes | float) -> bool:
        from redis.exceptions import NoScriptError

        client: Any = self._opened()
        try:
            done = client.evalsha(script.sha, len(names), *names, *arguments)
        except NoScriptError:  # the server has not seen it yet, or has been started anew
            done = client.eval(script.text, len(names), *names, *arguments)
        return bool(done)

    def _opened(self) -> Client:
        client = self._own if self._given is None else self._given
        if client is None:
            with self._lock:
                client = self._own
                if client is None:
                    client = self._own = self._open()
        return client

    def _open(self) -> Client:
        from redis import BlockingConnectionPool, Redis, RedisCluster

        if not self._cluster:
            return Redis.from_pool(self._pool())
        return RedisCluster.from_url(
            self._url,
            # redis-py makes one of these for each node, and has no other way to say how long
            # threads wait for a connection.
            connection_pool_class=partial(BlockingConnectionPool, timeout=self._timeout),
            socket_timeout=self._timeout,
            socket_connect_timeout=self._timeout,
            max_connections=self._max_connections,
        )

    def _pool(self) -> Any:
        """A pool for the URL. Nothing is connected before its first use."""
        from redis import BlockingConnectionPool
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        try:
            return BlockingConnectionPool.from_url(
                self._url,
                timeout=self._timeout,
                max_connections=self._max_connections,
                socket_timeout=self._timeout,
                socket_connect_timeout=self._timeout,
                # A command that got no answer may have been carried out: taken again, one's own
                # lease would look like somebody else's. Connections that the server has closed
                # are replaced by the pool.
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError as error:
            # Not the URL itself, which may hold a password.
            raise ConfigurationError(f"url: {error}") from None


def _lifetime(ttl: float | None) -> int | None:
    return None if ttl is None else _milliseconds(ttl)


def _milliseconds(seconds: float) -> int:
    return max(1, ceil(seconds * 1000))  # Redis refuses 0


def _check_redis() -> None:
    try:
        import redis  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise MissingExtraError("a cache in Redis", "redis") from error


def _check_client(client: object) -> None:
    from redis import Redis, RedisCluster

    if not isinstance(client, (Redis, RedisCluster)):
        raise ConfigurationError(
            f"client is a {type(client).__module__}.{type(client).__name__}: "
            "must be a redis.Redis or redis.RedisCluster, which are not asyncio's"
        )
    if client.get_connection_kwargs().get("decode_responses"):
        raise ConfigurationError(
            "client has decode_responses=True, but entries are bytes: make it without"
        )


def _check_pool(pool: Any, *, cluster: bool) -> None:
    settings = pool.connection_kwargs
    if settings.get("decode_responses"):
        raise ConfigurationError("url has decode_responses, but entries are bytes: leave it out")
    if cluster and settings.get("db"):
        raise ConfigurationError(f"url names database {settings['db']}: a cluster has only 0")
    try:
        pool.connection_class(**settings)
    except TypeError as error:
        raise ConfigurationError(
            f"url has an option that redis-py does not know: {error}"
        ) from None


@contextmanager
def _store_errors() -> Iterator[None]:
    """Raise what can go wrong with a server as a `CacheStoreError`."""
    from redis.exceptions import RedisClusterException, RedisError

    try:
        yield
    except (RedisError, RedisClusterException, OSError, ValueError, OverflowError) as error:
        raise CacheStoreError(f"Redis failed: {type(error).__name__}: {error}") from error
