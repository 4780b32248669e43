"""LangChain's suites for a cache, on a real Redis server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
from langchain_core.caches import BaseCache
from langchain_tests.integration_tests.cache import AsyncCacheTestSuite, SyncCacheTestSuite

from langchain_bedrock_opt import BedrockSemanticCache, RedisCacheStore


class TestOnRedis(SyncCacheTestSuite):
    """LangChain's suite for a cache on Redis."""

    @pytest.fixture
    def cache(self, redis_url: str) -> Iterator[BaseCache]:
        """An empty cache."""
        cache = BedrockSemanticCache(RedisCacheStore(redis_url, prefix=uuid4().hex))
        yield cache
        cache.close()


class TestOnRedisAsync(AsyncCacheTestSuite):
    """LangChain's asynchronous suite for a cache on Redis."""

    @pytest.fixture
    async def cache(self, redis_url: str) -> AsyncIterator[BaseCache]:
        """An empty cache."""
        cache = BedrockSemanticCache(RedisCacheStore(redis_url, prefix=uuid4().hex))
        yield cache
        cache.close()
