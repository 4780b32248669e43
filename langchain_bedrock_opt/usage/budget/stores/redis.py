"""Budgets in Redis, Valkey or ElastiCache, shared by machines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha1
from math import ceil
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from langchain_bedrock_opt.errors import BudgetStoreError, ConfigurationError, MissingExtraError
from langchain_bedrock_opt.usage.budget.stores.base import Grant, Level

if TYPE_CHECKING:
    from redis import Redis, RedisCluster

    Client: TypeAlias = Redis | RedisCluster


@dataclass(frozen=True, slots=True)
class _Script:
    """A script and the hash that the server knows it by."""

    text: str
    sha: str


def _script(text: str) -> _Script:
    return _Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


# Lua's numbers are doubles, exact up to 2^53: nine thousand dollars in pico-USD. So amounts stay
# decimal texts: HINCRBY adds them as 64-bit integers, and of two without a sign the longer one is
# the larger, and of two as long the one that sorts later.
_RESERVE: Final = _script(
    """
local name, field, amount, room, ttl = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local committed = redis.call('HGET', name, 'committed') or '0'
local granted = 1
if redis.call('HEXISTS', name, field) == 0 then
  if room == '' or #committed < #room or (#committed == #room and committed <= room) then
    redis.call('HSET', name, field, amount)
    committed = redis.call('HINCRBY', name, 'committed', amount)
    redis.call('HINCRBY', name, 'reserved', amount)
    if ttl ~= '' then redis.call('PEXPIRE', name, ttl) end
  else
    granted = 0
  end
end
return {
  granted,
  redis.call('HGET', name, 'committed') or '0',
  redis.call('HGET', name, 'reserved') or '0',
}
"""
)
"""Name: the budget. Arguments: the reservation's field, the amount, what may be committed at most
before it (or nothing), milliseconds (or nothing)."""

_SETTLE: Final = _script(
    """
local name, field, amount = KEYS[1], ARGV[1], ARGV[2]
local held = redis.call('HGET', name, field)
if not held then return {0, '0', '0'} end
redis.call('HDEL', name, field)
if held ~= '0' then
  redis.call('HINCRBY', name, 'committed', '-' .. held)
  redis.call('HINCRBY', name, 'reserved', '-' .. held)
end
redis.call('HINCRBY', name, 'committed', amount)
return {1, redis.call('HGET', name, 'committed'), redis.call('HGET', name, 'reserved')}
"""
)
"""Name: the budget. Arguments: the reservation's field, what the call cost."""


class RedisBudgetStore:
    """Counts budgets in Redis, Valkey or ElastiCache, one hash for each, on a cluster too.

    It needs the extra `redis`, and of the server the commands EVAL, EVALSHA, HGET, HMGET, HSET,
    HEXISTS, HDEL, HINCRBY and PEXPIRE. Each change is one script, so one round trip. A server
    that evicts keys forgets budgets: give it the `maxmemory-policy` `noeviction`.

    Args:
        url: Where the server is, such as `redis://localhost:6379/0` (which is the default), or
            `rediss://:password@host:6379` for TLS.
        client: A `redis.Redis` or `redis.RedisCluster` of your own, in place of a URL.
        prefix: What the names of all budgets begin with.
        timeout: Seconds to wait for a connection, and for each answer.

    Raises:
        ConfigurationError: The URL can't be read, or URL and client are both given.
        MissingExtraError: redis-py is not installed.

    Example:
        >>> RedisBudgetStore("redis://localhost:6379/0", prefix="my-team")
        RedisBudgetStore(prefix='my-team')
    """

    is_blocking = True

    def __init__(
        self,
        url: str | None = None,
        *,
        client: Client | None = None,
        prefix: str = "bedrock-opt-budget",
        timeout: float = 2.0,
    ) -> None:
        if client is not None and url is not None:
            raise ConfigurationError("client= is given: leave out url.")
        self._prefix = prefix
        self._is_given = client is not None
        self._client: Any = client or _open(url or "redis://localhost:6379/0", timeout)

    def reserve(
        self, key: str, reservation: str, amount: int, *, limit: int | None, ttl: float | None
    ) -> Grant:
        """Reserve an amount if what is committed stays within the limit with it."""
        if limit is not None and amount > limit:
            return Grant(granted=False, level=self.level(key))
        room = "" if limit is None else limit - amount
        milliseconds = "" if ttl is None else max(1, ceil(ttl * 1000))
        granted, level = self._run(_RESERVE, key, reservation, amount, room, milliseconds)
        return Grant(granted=granted, level=level)

    def settle(self, key: str, reservation: str, reserved: int, amount: int) -> Level | None:  # noqa: ARG002 - the server knows what it holds
        """Put what a call cost in the place of what was reserved for it, once."""
        settled, level = self._run(_SETTLE, key, reservation, amount)
        return level if settled else None

    def level(self, key: str) -> Level:
        """How full a budget is; empty if it is not known."""
        with _store_errors():
            committed, reserved = self._client.hmget(self._name(key), "committed", "reserved")
        return Level(int(committed or 0), int(reserved or 0))

    def close(self) -> None:
        """Close the connections, unless the client was given; the next use opens new ones."""
        if not self._is_given:
            self._client.close()

    def __repr__(self) -> str:
        """The store with its prefix; the URL may hold a password."""
        return f"RedisBudgetStore(prefix={self._prefix!r})"

    def _name(self, key: str) -> str:
        return f"{self._prefix}:{key}"

    def _run(
        self, script: _Script, key: str, reservation: str, *arguments: str | int
    ) -> tuple[bool, Level]:
        from redis.exceptions import NoScriptError

        values = (self._name(key), f"r:{reservation}", *arguments)
        with _store_errors():
            try:
                done, committed, reserved = self._client.evalsha(script.sha, 1, *values)
            except NoScriptError:  # the server has not seen it yet, or has been started anew
                done, committed, reserved = self._client.eval(script.text, 1, *values)
        return bool(done), Level(int(committed), int(reserved))


def _open(url: str, timeout: float) -> Any:
    """A client for a URL. Nothing is connected before its first use."""
    try:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError as error:
        raise MissingExtraError("a budget in Redis", "redis") from error
    try:
        return Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            # Reserving and settling may be repeated, and an idle connection may be stale.
            retry=Retry(NoBackoff(), 1),
        )
    except ValueError as error:
        # Not the URL itself, which may hold a password.
        raise ConfigurationError(f"url: {error}") from None


@contextmanager
def _store_errors() -> Iterator[None]:
    """Raise what can go wrong with a server as a `BudgetStoreError`."""
    from redis.exceptions import RedisClusterException, RedisError

    try:
        yield
    except (RedisError, RedisClusterException, OSError, ValueError) as error:
        raise BudgetStoreError(f"Redis failed: {type(error).__name__}: {error}") from error
