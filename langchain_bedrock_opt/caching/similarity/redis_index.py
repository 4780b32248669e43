"""`RedisVectorIndex`: near questions found by a server with vector search."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import ceil
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from langchain_bedrock_opt.caching.similarity.index import Candidate, Record, VectorIndex
from langchain_bedrock_opt.caching.similarity.packing import Packer
from langchain_bedrock_opt.errors import CacheStoreError, ConfigurationError, MissingExtraError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from langchain_bedrock_opt.caching.stores.redis import RedisCacheStore

_FIELDS: Final = ("entry_key", "facts", "answer", "ok", "errors", "distance")

_COUNT: Final = (
    "if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HINCRBY', KEYS[1], ARGV[1], 1) end"
)
"""Counts in a record that is there, and never makes one."""


class RedisVectorIndex:
    """Keeps records as hashes that a Redis with vector search indexes.

    For Redis 8, Redis Stack, and Valkey or ElastiCache 8.2 and later with search. All caches and
    tenants of a server share one index for each number of dimensions, since ElastiCache allows
    ten in all: it has a TAG field for the scope, a VECTOR field (HNSW, FLOAT32, COSINE) and no
    TEXT field. Scopes are told apart by the TAG filter, which the server applies before it looks
    for neighbours. A search is one round trip.

    Unverified against a server with search: the tests speak to a stand-in for it over the wire.

    Args:
        client: A `redis.Redis` or `redis.RedisCluster` that does not decode answers.
        prefix: What the names of hashes and index begin with.
        secret: Keys the ids.

    Raises:
        ConfigurationError: The client decodes answers, or the prefix is empty or has braces.
        MissingExtraError: redis-py is not installed.

    Example:
        >>> import redis
        >>> index = RedisVectorIndex(redis.Redis(), prefix="my-team")
        >>> index
        RedisVectorIndex(prefix='my-team')
    """

    def __init__(self, client: Any, *, prefix: str = "bedrock-opt", secret: bytes = b"") -> None:
        try:
            import redis  # noqa: F401 - only whether it is there
        except ImportError as error:
            raise MissingExtraError("vector search in Redis", "redis") from error
        if not prefix or set(prefix) & {"{", "}"}:
            raise ConfigurationError(f"prefix={prefix!r}: must be a text without braces")
        options = getattr(getattr(client, "connection_pool", None), "connection_kwargs", {})
        if options.get("decode_responses"):
            raise ConfigurationError("client decodes answers: make it with decode_responses=False")
        self._client = client
        self._prefix = prefix
        self._packer = Packer(secret)
        self._lock = Lock()
        self._made: set[int] = set()
        self._seen: set[int] = set()

    def is_supported(self) -> bool:
        """Whether the server has vector search.

        Raises:
            CacheStoreError: It could not be asked.
        """
        from redis.exceptions import ResponseError

        with _redis_errors():
            try:
                self._client.execute_command("FT._LIST")
            except ResponseError as error:
                if "unknown command" in str(error).lower():
                    return False
                raise
        return True

    def add(self, scope: str, record: Record, ttl: float | None) -> None:
        """Keep a record for `ttl` seconds, in one transaction."""
        dims = self._saw(record.vector)
        name = self._name(scope, record.entry_key, dims)
        fields: dict[str | bytes, bytes | float | int | str] = {
            "scope": _checked_scope(scope),
            "entry_key": record.entry_key,
            "facts": record.facts,
            "answer": record.answer,
            "vector": record.vector.astype("<f4").tobytes(),
            "ok": 0,
            "errors": 0,
        }
        with _redis_errors():
            self._make_index(dims)
            with self._client.pipeline(transaction=True) as pipeline:
                pipeline.delete(name)
                pipeline.hset(name, mapping=fields)
                if ttl is not None:
                    pipeline.pexpire(name, max(ceil(ttl * 1000), 1))
                pipeline.execute()

    def search(self, scope: str, vector: NDArray[np.float32], k: int) -> list[Candidate]:
        """The `k` nearest records, the nearest first."""
        from redis.exceptions import ResponseError

        dims = self._saw(vector)
        query = f"(@scope:{{{_checked_scope(scope)}}})=>[KNN {k} @vector $query AS distance]"
        blob = vector.astype("<f4").tobytes()
        arguments = ["PARAMS", 2, "query", blob, "RETURN", len(_FIELDS), *_FIELDS]
        with _redis_errors():
            try:
                answer = self._client.execute_command(
                    "FT.SEARCH", self._index(dims), query, *arguments, "LIMIT", 0, k, "DIALECT", 2
                )
            except ResponseError as error:
                if _is_missing_index(error):
                    return []
                raise
        found = [_candidate(fields) for fields in _hashes(answer)]
        return sorted(found, key=lambda each: -each.similarity)

    def is_empty(self, scope: str) -> bool:  # noqa: ARG002 - the protocol's
        """False: to know would cost the round trip that a search does."""
        return False

    def remove(self, scope: str, entry_key: str) -> None:
        """Forget a record."""
        with _redis_errors():
            for dims in self._all_dims():
                self._client.delete(self._name(scope, entry_key, dims))

    def learn(self, scope: str, entry_key: str, *, correct: bool) -> None:
        """Count that an answer was right or wrong for another question."""
        field = "ok" if correct else "errors"
        with _redis_errors():
            for dims in self._all_dims():
                self._client.eval(_COUNT, 1, self._name(scope, entry_key, dims), field)

    def __repr__(self) -> str:
        """The index with its prefix; the client's URL may hold a password."""
        return f"RedisVectorIndex(prefix={self._prefix!r})"

    def _make_index(self, dims: int) -> None:
        """Make the index of so many dimensions, unless it is there."""
        from redis.exceptions import ResponseError

        if dims in self._made:
            return
        vector = ["HNSW", 6, "TYPE", "FLOAT32", "DIM", dims, "DISTANCE_METRIC", "COSINE"]
        try:
            self._client.execute_command(
                *("FT.CREATE", self._index(dims), "ON", "HASH"),
                *("PREFIX", 1, self._hashes_prefix(dims)),
                *("SCHEMA", "scope", "TAG", "vector", "VECTOR", *vector),
            )
        except ResponseError as error:
            if "already exists" not in str(error).lower():
                raise
        with self._lock:
            self._made.add(dims)

    def _saw(self, vector: NDArray[np.float32]) -> int:
        """The dimensions of a vector, which are noted."""
        dims = len(vector)
        if dims not in self._seen:
            with self._lock:
                self._seen.add(dims)
        return dims

    def _all_dims(self) -> list[int]:
        """The dimensions of vectors seen here; before the first, of the server's indexes."""
        with self._lock:
            if self._seen:
                return list(self._seen)
        start = f"{self._prefix}:similar:"
        names = [
            name.decode() if isinstance(name, bytes) else str(name)
            for name in self._client.execute_command("FT._LIST")
        ]
        return [int(name.removeprefix(start)) for name in names if name.startswith(start)]

    def _index(self, dims: int) -> str:
        return f"{self._prefix}:similar:{dims}"

    def _hashes_prefix(self, dims: int) -> str:
        # The form of the store's own names, so that clearing the store clears these too.
        return f"{self._prefix}{{:sim:{dims}:"

    def _name(self, scope: str, entry_key: str, dims: int) -> str:
        return f"{self._hashes_prefix(dims)}{self._packer.digest(scope, entry_key)}}}"


class AutoIndex:
    """The vector search of the store's server if it has one, cells in the store otherwise.

    The server is asked at the first use, and again after the store was closed and opened anew.

    Args:
        store: The store.
        cells: The index in the store.
        secret: Keys the ids.
    """

    def __init__(self, store: RedisCacheStore, cells: VectorIndex, *, secret: bytes = b"") -> None:
        self._store = store
        self._cells = cells
        self._secret = secret
        self._chosen: tuple[object, VectorIndex] | None = None

    @property
    def broken(self) -> int:
        """How many documents could not be read since the index was made."""
        return int(getattr(self._cells, "broken", 0))

    def add(self, scope: str, record: Record, ttl: float | None) -> None:
        """As `VectorIndex` has it."""
        self._index().add(scope, record, ttl)

    def search(self, scope: str, vector: NDArray[np.float32], k: int) -> list[Candidate]:
        """As `VectorIndex` has it."""
        return self._index().search(scope, vector, k)

    def is_empty(self, scope: str) -> bool:
        """As `VectorIndex` has it."""
        return self._index().is_empty(scope)

    def remove(self, scope: str, entry_key: str) -> None:
        """As `VectorIndex` has it."""
        self._index().remove(scope, entry_key)

    def learn(self, scope: str, entry_key: str, *, correct: bool) -> None:
        """As `VectorIndex` has it."""
        self._index().learn(scope, entry_key, correct=correct)

    def _index(self) -> VectorIndex:
        # Two threads may both ask; they get the same answer.
        client = self._store.client
        if self._chosen is None or self._chosen[0] is not client:
            server = RedisVectorIndex(client, prefix=self._store.prefix, secret=self._secret)
            self._chosen = client, server if server.is_supported() else self._cells
        return self._chosen[1]


def _checked_scope(scope: str) -> str:
    """A scope that has no sign with a meaning in a query."""
    if not scope or not scope.isalnum() or not scope.isascii():
        raise CacheStoreError(f"scope={scope!r}: must be letters and digits")
    return scope


def _hashes(answer: Any) -> Iterator[Mapping[bytes, bytes]]:
    """The hashes in an answer to FT.SEARCH, of either version of the protocol."""
    if isinstance(answer, Mapping):
        for result in answer[b"results"]:
            yield result[b"extra_attributes"]
    else:
        for fields in answer[2::2]:
            yield dict(zip(fields[::2], fields[1::2], strict=True))


def _candidate(fields: Mapping[bytes, bytes]) -> Candidate:
    try:
        return Candidate(
            entry_key=fields[b"entry_key"].decode(),
            similarity=max(-1.0, min(1.0, 1.0 - float(fields[b"distance"]))),
            facts=fields[b"facts"],
            answer=fields[b"answer"],
            ok=int(fields[b"ok"]),
            errors=int(fields[b"errors"]),
        )
    except (KeyError, ValueError) as error:
        raise CacheStoreError("the vector search found a hash that is no record") from error


def _is_missing_index(error: Exception) -> bool:
    text = str(error).lower()
    return "no such index" in text or "not found" in text or "unknown index" in text


@contextmanager
def _redis_errors() -> Iterator[None]:
    """Raise what can go wrong with the server as a `CacheStoreError`."""
    from redis.exceptions import RedisError

    try:
        yield
    except (RedisError, OSError) as error:
        raise CacheStoreError(
            f"the vector search failed: {type(error).__name__}: {error}"
        ) from error
