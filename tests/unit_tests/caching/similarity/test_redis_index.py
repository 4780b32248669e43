"""The index on a server with vector search.

No such server is at hand, so a real Redis keeps the hashes, and the commands of its search module
are answered in Python from what it holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import redis
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.load import dumps
from langchain_core.messages import HumanMessage
from langchain_core.outputs import Generation
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError
from redis.retry import Retry

from langchain_bedrock_opt import BedrockSemanticCache, InMemoryCacheStore, RedisCacheStore
from langchain_bedrock_opt.caching.similarity.bound import Question
from langchain_bedrock_opt.caching.similarity.cell_index import CellIndex
from langchain_bedrock_opt.caching.similarity.index import Record, VectorIndex
from langchain_bedrock_opt.caching.similarity.redis_index import AutoIndex, RedisVectorIndex
from langchain_bedrock_opt.caching.similarity.tier import SimilarityTier
from langchain_bedrock_opt.caching.similarity.vectors import unit_vector
from langchain_bedrock_opt.errors import CacheStoreError, ConfigurationError

SCOPE = "5c0be"
QUERY = re.compile(r"\(@scope:\{([0-9a-z]+)\}\)=>\[KNN (\d+) @vector \$query AS distance\]")


class SearchingRedis(redis.Redis):
    """A client of a real server, with the commands of a search module on top.

    It takes the commands in the order that RediSearch documents and refuses any other.
    """

    indexes: dict[str, tuple[str, int]]
    listed: int
    shape = 2

    def execute_command(self, *args: Any, **options: Any) -> Any:
        command: dict[str, Callable[..., Any]] = {
            "FT._LIST": self._list,
            "FT.CREATE": self._create,
            "FT.SEARCH": self._search,
        }
        if args[0] not in command:
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        self.indexes = getattr(self, "indexes", {})
        return command[args[0]](*args[1:])

    def _list(self) -> list[bytes]:
        self.listed = getattr(self, "listed", 0) + 1
        return [name.encode() for name in self.indexes]

    def _create(self, name: str, *rest: Any) -> bytes:
        if name in self.indexes:
            raise ResponseError("Index already exists")
        assert rest[:4] == ("ON", "HASH", "PREFIX", 1)
        assert rest[5:14] == (
            "SCHEMA",
            "scope",
            "TAG",
            "vector",
            "VECTOR",
            "HNSW",
            6,
            "TYPE",
            "FLOAT32",
        )
        assert (rest[14], *rest[16:]) == ("DIM", "DISTANCE_METRIC", "COSINE")
        self.indexes[name] = (rest[4], rest[15])
        return b"OK"

    def _search(self, name: str, query: str, *rest: Any) -> Any:
        if name not in self.indexes:
            raise ResponseError(f"{name}: no such index")
        prefix, dims = self.indexes[name]
        match = QUERY.fullmatch(query)
        assert match is not None
        assert (rest[:3], rest[4:6]) == (("PARAMS", 2, "query"), ("RETURN", 6))
        k = int(match[2])
        assert rest[12:] == ("LIMIT", 0, k, "DIALECT", 2)
        asked = np.frombuffer(rest[3], dtype="<f4")
        assert len(asked) == dims
        rows = []
        for key in self.scan_iter(match=prefix.replace("{", "\\{") + "*"):
            fields: dict[bytes, bytes] = self.hgetall(key)  # type: ignore[assignment]
            if fields[b"scope"].decode() == match[1]:
                distance = 1 - float(asked @ np.frombuffer(fields[b"vector"], dtype="<f4"))
                fields[b"distance"] = str(distance).encode()
                rows.append((distance, key, {n.encode(): fields[n.encode()] for n in rest[6:12]}))
        return self._answer(sorted(rows, key=lambda row: row[0])[:k])

    def _answer(self, rows: list[tuple[float, bytes, dict[bytes, bytes]]]) -> Any:
        if self.shape == 3:
            return {b"results": [{b"id": key, b"extra_attributes": hit} for _, key, hit in rows]}
        flat: list[Any] = [len(rows)]
        for _, key, hit in rows:
            flat += [key, [part for pair in hit.items() for part in pair]]
        return flat


@pytest.fixture(params=[2, 3])
def client(request: pytest.FixtureRequest, redis_url: str) -> Any:
    """A client whose searches are answered in each version of the protocol."""
    client: Any = SearchingRedis.from_url(redis_url)
    client.flushdb()
    client.shape = request.param
    yield client
    client.close()


@pytest.fixture
def index(client: Any) -> RedisVectorIndex:
    return RedisVectorIndex(client, prefix="team")


def record(key: str, *vector: float, facts: bytes = b"\x00facts\xff") -> Record:
    return Record(entry_key=key, vector=unit_vector(vector), facts=facts, answer=b"\xffanswer")


def found(index: VectorIndex, *vector: float, k: int = 5, scope: str = SCOPE) -> list[str]:
    return [each.entry_key for each in index.search(scope, unit_vector(vector), k)]


def test_is_an_index(index: RedisVectorIndex) -> None:
    """It has the methods of the protocol."""
    assert isinstance(index, VectorIndex)


def test_the_nearest_are_found(index: RedisVectorIndex) -> None:
    """Records of the scope come back, the nearest first, with cosine and facts."""
    assert found(index, 1, 0) == []
    index.add(SCOPE, record("far", 0, 1), 60)
    index.add(SCOPE, record("near", 1, 0.1), 60)
    index.add("0ther", record("other", 1, 0), 60)

    near, far = index.search(SCOPE, unit_vector([1, 0]), 5)

    assert (near.entry_key, far.entry_key) == ("near", "far")
    assert near.similarity == pytest.approx(0.995, abs=1e-3)
    assert (near.facts, near.answer) == (b"\x00facts\xff", b"\xffanswer")
    assert found(index, 1, 0, k=1) == ["near"]


def test_records_expire(index: RedisVectorIndex, client: Any) -> None:
    """A record has the time it was given, to the millisecond; none if it was given none."""
    index.add(SCOPE, record("short", 1, 0), 60)
    index.add(SCOPE, record("long", 1, 0), None)

    times = sorted(client.pttl(key) for key in client.scan_iter(match="team*"))

    assert times[0] == -1
    assert 50_000 < times[1] <= 60_000


def test_records_are_removed_and_counted(index: RedisVectorIndex, client: Any) -> None:
    """Labels are counted with their record, keep its time, and never make one."""
    index.add(SCOPE, record("a", 1, 0), 60)
    for correct in (True, False, True):
        index.learn(SCOPE, "a", correct=correct)

    (candidate,) = index.search(SCOPE, unit_vector([1, 0]), 5)
    assert (candidate.ok, candidate.errors) == (2, 1)
    (name,) = client.scan_iter(match="team*")
    assert client.pttl(name) > 0

    RedisVectorIndex(client, prefix="team").learn(SCOPE, "a", correct=True)  # of another process
    assert index.search(SCOPE, unit_vector([1, 0]), 5)[0].ok == 3
    assert client.listed == 1  # by that one, which had not seen a vector

    index.remove(SCOPE, "a")
    index.learn(SCOPE, "a", correct=True)
    assert list(client.scan_iter(match="team*")) == []


def test_one_index_for_each_number_of_dimensions(index: RedisVectorIndex, client: Any) -> None:
    """Scopes share an index; vectors of another length have one of their own."""
    index.add(SCOPE, record("a", 1, 0), 60)
    index.add("0ther", record("b", 1, 0), 60)
    RedisVectorIndex(client, prefix="team").add(SCOPE, record("c", 1, 0, 0), 60)

    assert sorted(client.indexes) == ["team:similar:2", "team:similar:3"]
    assert found(index, 1, 0) == ["a"]
    assert found(index, 1, 0, 0) == ["c"]


def test_a_scope_can_not_change_the_query(index: RedisVectorIndex) -> None:
    """A scope with a sign of the query language is refused."""
    with pytest.raises(CacheStoreError, match="letters and digits"):
        found(index, 1, 0, scope="a} | @scope:{b")


def test_a_server_that_is_away(index: RedisVectorIndex) -> None:
    """What goes wrong with the server is a store's error."""
    at_once = Retry(NoBackoff(), 0)
    away = RedisVectorIndex(redis.Redis(port=1, socket_connect_timeout=1, retry=at_once))

    for act in (away.is_supported, lambda: found(away, 1, 0), lambda: away.remove(SCOPE, "a")):
        with pytest.raises(CacheStoreError, match="vector search failed"):
            act()


def test_a_server_without_search_means_cells(redis_url: str, client: Any) -> None:
    """`auto` asks the server once: it takes its vector search, or else cells in the store."""
    plain = redis.Redis.from_url(redis_url)
    for server, searches in ((plain, False), (client, True)):
        cells = CellIndex(InMemoryCacheStore())
        auto = AutoIndex(RedisCacheStore(client=server, prefix="auto"), cells)
        assert isinstance(auto, VectorIndex)

        auto.add(SCOPE, record("a", 1, 0), 60)
        auto.learn(SCOPE, "a", correct=True)

        assert found(auto, 1, 0) == ["a"]
        assert cells.is_empty(SCOPE) is searches
        auto.remove(SCOPE, "a")
        assert found(auto, 1, 0) == []
    plain.close()


def test_a_cache_uses_the_vector_search_of_its_server(client: Any) -> None:
    """A cache over Redis asks its server once whether it has vector search, and then uses it."""
    store = RedisCacheStore(client=client, prefix="cache")
    tier = SimilarityTier(DeterministicFakeEmbedding(size=16))
    cache = BedrockSemanticCache(store, similarity=tier)

    for text in ("How are you?", "Who are you?", "How are they?"):
        prompt = dumps([HumanMessage(text)])
        assert cache.lookup(prompt, "model") is None
        cache.update(prompt, "model", [Generation(text="Fine.")])

    assert list(client.indexes) == ["cache:similar:16"]
    assert len(list(client.scan_iter(match="cache{:sim:16:*"))) == 3
    assert client.listed == 1
    assert cache.stats().errors == 0
    cache.close()


def test_a_store_that_was_closed_is_asked_anew(redis_url: str) -> None:
    """After the store was closed, the index uses the connections that the store opens then."""
    store = RedisCacheStore(redis_url, prefix="closed")
    tier = SimilarityTier(DeterministicFakeEmbedding(size=16)).bind(store, name="cache")
    tier.add(Question("scope", "How are you?"), "key", 60, answer="Fine.")
    before = store.client

    store.close()

    match = tier.find(Question("scope", "How are you?"))
    assert match is not None
    assert match.entry_key == "key"
    assert store.client is not before
    store.close()


def test_mistakes_of_setup(redis_url: str) -> None:
    """A client that decodes answers, or a prefix that breaks names, is refused."""
    with pytest.raises(ConfigurationError, match="decode_responses=False"):
        RedisVectorIndex(redis.Redis.from_url(redis_url, decode_responses=True))
    with pytest.raises(ConfigurationError, match="braces"):
        RedisVectorIndex(redis.Redis.from_url(redis_url), prefix="a{b}")
