"""`SimilarityTier`: what a user sets up to have answers reused for questions that mean the same."""

from __future__ import annotations

import random as random_module
import time
from collections.abc import Callable
from typing import Literal

from langchain_core.embeddings import Embeddings

from langchain_bedrock_opt.caching.guard import GuardedStore
from langchain_bedrock_opt.caching.similarity.bound import BoundTier, Settings
from langchain_bedrock_opt.caching.similarity.cell_index import CellIndex
from langchain_bedrock_opt.caching.similarity.embedding import embedder_name
from langchain_bedrock_opt.caching.similarity.index import VectorIndex
from langchain_bedrock_opt.caching.similarity.judges import Judge
from langchain_bedrock_opt.caching.similarity.redis_index import AutoIndex
from langchain_bedrock_opt.caching.stores.base import CacheStore
from langchain_bedrock_opt.caching.stores.redis import RedisCacheStore
from langchain_bedrock_opt.errors import ConfigurationError


class SimilarityTier:
    """Reuses the answer to a question for another one that means the same.

    Only the last user text is compared; everything else in the request has to be equal. Of the
    stored questions whose embeddings are nearest, those that differ in a number, a date, a unit,
    a negation and the like are passed over, and of the rest the nearest is served if the verifier
    has proven that such reuse is right often enough. Other near questions with the same answer,
    word for word, speak for it: fixed answers are reused more often than freely worded ones. The
    verifier begins with no proof and serves nothing; it learns from a judge, and then from
    `BedrockSemanticCache.feedback` on what it served. Without a judge it never begins to serve.

    For Japanese take a multilingual model: `BedrockEmbeddings(
    model_id="amazon.titan-embed-text-v2:0")` or `cohere.embed-multilingual-v3`, both of
    `langchain_aws`. Its client's timeouts bound how long a look-up can take.

    Args:
        embeddings: Any LangChain embeddings.
        max_error_rate: The share of this tier's hits that may be wrong, above 0 and below 1.
        judge: Says whether a known answer would have done, where the model was asked anyway:
            `AnswerJudge(model)`, `same_answer`, or any such function.
        judge_error: The share of labels that are themselves wrong, as far as known, below 0.5.
            Give a low estimate: errors that the judge is said to make up are not held against
            this tier.
        audit_rate: The share of would-be hits for which the model is asked all the same, to check
            on the verifier. Without a judge or feedback on their answers they teach nothing.
        min_similarity: The cosine below which a stored question's answer is never reused.
        neighbours: How many stored questions are looked at.
        judgements_per_minute: How often the judge is asked at most, by one process.
        embedder: The name under which vectors are kept, for embeddings whose class, model and
            settings do not tell them apart.
        index: Where vectors are: `auto` uses the store's server if it has vector search, and
            cells in the store otherwise; `cells` always the latter; or an index of one's own.
        embedding_cache_size: How many vectors are held in memory.
        embedding_ttl: For how many seconds a vector is kept in the store for other processes.
        clock: Seconds since the epoch.
        random: Numbers from 0 to 1, which choose the audits.

    Raises:
        ConfigurationError: An argument is out of its range or of another kind.

    Example:
        >>> from langchain_core.embeddings import DeterministicFakeEmbedding
        >>> from langchain_bedrock_opt import InMemoryCacheStore
        >>> tier = SimilarityTier(DeterministicFakeEmbedding(size=64), max_error_rate=0.02)
        >>> bound = tier.bind(InMemoryCacheStore(), name="docs")
        >>> bound.stats().hits
        0
    """

    def __init__(
        self,
        embeddings: Embeddings,
        *,
        max_error_rate: float = 0.02,
        judge: Judge | None = None,
        judge_error: float = 0.0,
        audit_rate: float = 0.03,
        min_similarity: float = 0.75,
        neighbours: int = 5,
        judgements_per_minute: float = 60.0,
        embedder: str | None = None,
        index: Literal["auto", "cells"] | VectorIndex = "auto",
        embedding_cache_size: int = 1024,
        embedding_ttl: float | None = 7 * 86400.0,
        clock: Callable[[], float] = time.time,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        if not isinstance(embeddings, Embeddings):
            raise ConfigurationError(
                f"embeddings={embeddings!r}: give LangChain embeddings, such as BedrockEmbeddings"
            )
        if judge is not None and not callable(judge):
            raise ConfigurationError(f"judge={judge!r}: give AnswerJudge(model) or a function")
        if index not in {"auto", "cells"} and not isinstance(index, VectorIndex):
            raise ConfigurationError(f"index={index!r}: give 'auto', 'cells' or a VectorIndex")
        _check_range("max_error_rate", max_error_rate, above=0, below=1)
        _check_range("judge_error", judge_error, least=0, below=0.5)
        _check_range("audit_rate", audit_rate, least=0, below=1)
        _check_range("min_similarity", min_similarity, least=-1, most=1)
        _check_range("neighbours", neighbours, least=1)
        _check_range("judgements_per_minute", judgements_per_minute, above=0)
        _check_range("embedding_cache_size", embedding_cache_size, least=1)
        if embedding_ttl is not None:
            _check_range("embedding_ttl", embedding_ttl, above=0)
        self._index = index
        self._settings = Settings(
            embeddings=embeddings,
            embedder=embedder or embedder_name(embeddings),
            embedding_cache_size=embedding_cache_size,
            embedding_ttl=embedding_ttl,
            max_error_rate=max_error_rate,
            judge=judge,
            judge_error=judge_error,
            audit_rate=audit_rate,
            min_similarity=min_similarity,
            neighbours=neighbours,
            judgements_per_minute=judgements_per_minute,
            clock=clock,
            random=random,
        )

    def bind(self, store: CacheStore, *, name: str, secret: bytes = b"") -> BoundTier:
        """The tier of one cache, with its state in that cache's store.

        Args:
            store: The store.
            name: A digest of the cache's namespace and tenant: tiers of two names share nothing.
            secret: The cache's secret, if it has one: without it nobody can forge state.
        """
        # The length keeps the two apart.
        key = len(secret).to_bytes(4, "big") + secret + name.encode("utf-8", "surrogatepass")
        return BoundTier(
            self._settings, store, index=self._index_on(store, key), name=name, secret=key
        )

    def _index_on(self, store: CacheStore, secret: bytes) -> VectorIndex:
        if isinstance(self._index, VectorIndex):
            return self._index
        cells = CellIndex(
            store, secret=secret, clock=self._settings.clock, random=self._settings.random
        )
        kept_in = store.store if isinstance(store, GuardedStore) else store
        if self._index == "auto" and isinstance(kept_in, RedisCacheStore):
            return AutoIndex(kept_in, cells, secret=secret)
        return cells


def _check_range(
    name: str,
    value: float,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
) -> None:
    """Refuse a number that is out of its range."""
    bounds = [
        (f"{least} or more", least is None or value >= least),
        (f"above {above}", above is None or value > above),
        (f"{most} or less", most is None or value <= most),
        (f"below {below}", below is None or value < below),
    ]
    for rule, holds in bounds:
        if not holds:
            raise ConfigurationError(f"{name}={value!r}: must be {rule}")
