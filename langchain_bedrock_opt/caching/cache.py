"""The response cache that users make: one cache with two doors."""

from __future__ import annotations

import random as random_module
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from langchain_core.caches import BaseCache
from langchain_core.outputs import Generation

from langchain_bedrock_opt.caching.codec import EntryCodec
from langchain_bedrock_opt.caching.control import cache_mode, current_mode
from langchain_bedrock_opt.caching.entries import CacheStats, Entries
from langchain_bedrock_opt.caching.flight import SingleFlight
from langchain_bedrock_opt.caching.generations import (
    are_worth_keeping,
    decode_generations,
    encode_generations,
    mark_hit,
)
from langchain_bedrock_opt.caching.keys import semantic_key
from langchain_bedrock_opt.caching.layer import CacheLayer
from langchain_bedrock_opt.caching.prompts import is_sampled_model, prompt_key
from langchain_bedrock_opt.caching.stores.base import CacheStore
from langchain_bedrock_opt.caching.stores.memory import InMemoryCacheStore
from langchain_bedrock_opt.errors import ConfigurationError


class BedrockSemanticCache(BaseCache):
    """Answers that were paid for once, for requests that mean the same.

    There are two doors to it:

    * **The layer**, for this package's chat models: `ChatBedrockOptimized(cache=cache)`, or
      `LayeredClient(client, [cache.as_layer()])` under a `ChatBedrockConverse`. It sees the very
      request that Bedrock would get, streams included, and 50 equal calls at once become one.
    * **LangChain's cache interface**, for any model: `set_llm_cache(cache)` or `cache=cache`. It
      can do no more than the interface shows. LangChain never asks it when streaming. Equal calls
      at once each ask the model. A model that was copied with other parameters
      (`model_copy(update=…)`) still describes itself as it was, and models that are not
      serializable describe themselves by class alone: give such models a cache each, with its
      own `namespace`. The order of bound tools counts.

    A hit through either door is a fresh message with zero usage; what it saved is in
    `response_metadata["bedrock_opt"]["cache"]`.

    Not kept are answers that were cut by `max_tokens`, stopped by a guardrail or a filter, or
    empty, streams that were broken off, and, unless `cache_sampled`, answers to requests with an
    explicit temperature above 0. A request that leaves the temperature to the model is kept.

    A store that fails never fails a call: the error is counted, logged at most once a minute, and
    the model is asked.

    Args:
        store: Where entries are kept; by default in memory.
        ttl: Seconds that an entry lives; None for as long as the store has room.
        ttl_jitter: The share of `ttl`, from 0 up to 1, by which an entry's life is shortened at
            random, so that entries made together do not all expire together.
        namespace: Which cache this is, of several in one store.
        tenant: Whose answers these are. No tenant is ever served another one's.
        cache_sampled: Keep answers to requests with a temperature above 0 too.
        wait_timeout: The longest, in seconds, that a call waits for an equal one under way.
        clock: Seconds since the epoch.
        random: Numbers from 0 to 1, for the jitter.

    Raises:
        ConfigurationError: An argument is out of its range, or the store is no `CacheStore`.

    Example:
        >>> cache = BedrockSemanticCache(ttl=600)
        >>> cache.update("Hi?", "model", [Generation(text="Hello!")])
        >>> cache.lookup("  Hi?  ", "model")
        [Generation(text='Hello!')]
        >>> cache.stats().hits
        1
    """

    def __init__(
        self,
        store: CacheStore | None = None,
        *,
        ttl: float | None = 3600.0,
        ttl_jitter: float = 0.1,
        namespace: str = "default",
        tenant: str = "",
        cache_sampled: bool = False,
        wait_timeout: float = 60.0,
        clock: Callable[[], float] = time.time,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        if store is None:
            store = InMemoryCacheStore()
        _check(store, ttl=ttl, ttl_jitter=ttl_jitter, wait_timeout=wait_timeout)
        self.namespace = namespace
        self.tenant = tenant
        self._cache_sampled = cache_sampled
        self._clock = clock
        self._codec = EntryCodec()
        self._entries = Entries(store, ttl=ttl, ttl_jitter=ttl_jitter, clock=clock, random=random)
        self._flights = SingleFlight(timeout=wait_timeout)

    def as_layer(self) -> CacheLayer:
        """The door for our own chat models: a layer over this cache's entries."""
        return CacheLayer(
            entries=self._entries,
            codec=self._codec,
            flights=self._flights,
            key=partial(semantic_key, tenant=self.tenant, namespace=self.namespace),
            mode=partial(current_mode, self),
            cache_sampled=self._cache_sampled,
        )

    def bypass(self) -> AbstractContextManager[None]:
        """Calls made inside the block neither look into this cache nor are kept.

        It reaches as far as a context variable: the block's own thread or task, and LangChain's
        threads for it. A stream counts where it is opened, which is when its first chunk is asked
        for.

        Example:
            >>> cache = BedrockSemanticCache()
            >>> with cache.bypass():
            ...     cache.update("Hi?", "model", [Generation(text="Hello!")])
            >>> cache.lookup("Hi?", "model") is None
            True
        """
        return cache_mode(self, "bypass")

    def refresh(self) -> AbstractContextManager[None]:
        """Calls made inside the block ask the model, and its answers replace what was kept.

        As for where it reaches, see `bypass`.
        """
        return cache_mode(self, "refresh")

    def stats(self) -> CacheStats:
        """What this cache has done since it was made, through both doors."""
        return self._entries.stats()

    def lookup(self, prompt: str, llm_string: str) -> list[Generation] | None:
        """The generations kept for a prompt, as LangChain asks for them.

        Args:
            prompt: The prompt, or the messages as LangChain's JSON.
            llm_string: LangChain's description of the model and its parameters.

        Returns:
            The generations, marked as a hit; None if there are none or the store failed.
        """
        if current_mode(self) is not None or self._stays_out(llm_string):
            self._entries.count(bypassed=1)
            return None
        key = self._prompt_key(prompt, llm_string)
        found, _ = self._entries.load(key, partial(decode_generations, self._codec, key))
        if found is None:
            self._entries.count(misses=1)
            return None
        self._entries.count_hit(found.saved)
        age = max(0.0, self._clock() - found.meta["at"])
        return mark_hit(
            found,
            {"status": "hit", "tier": "exact", "age_seconds": age, "saved": found.saved.as_dict()},
        )

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """Keep the generations for a prompt, if they are whole.

        Args:
            prompt: The prompt, or the messages as LangChain's JSON.
            llm_string: LangChain's description of the model and its parameters.
            return_val: What the model answered.
        """
        if current_mode(self) == "bypass" or self._stays_out(llm_string):
            return

        key = self._prompt_key(prompt, llm_string)

        def encode() -> bytes | None:
            if not are_worth_keeping(return_val):
                return None
            return encode_generations(self._codec, key, return_val, meta={"at": self._clock()})

        self._entries.save(key, encode)

    def clear(self, **_: Any) -> None:
        """Forget everything in the store, in all its namespaces.

        Raises:
            CacheStoreError: The store failed. This one is not passed over, because entries that
                should be gone would go on being served.
        """
        self._entries.store.clear()

    def close(self) -> None:
        """Give back the store's files and connections; the next use opens them again."""
        self._entries.store.close()

    def _stays_out(self, llm_string: str) -> bool:
        return not self._cache_sampled and is_sampled_model(llm_string)

    def _prompt_key(self, prompt: str, llm_string: str) -> str:
        return prompt_key(prompt, llm_string, tenant=self.tenant, namespace=self.namespace)


def _check(store: object, *, ttl: float | None, ttl_jitter: float, wait_timeout: float) -> None:
    if not isinstance(store, CacheStore):
        raise ConfigurationError(
            f"store={store!r}: not a cache store; pass InMemoryCacheStore(), "
            "DiskCacheStore(path) or an object with the methods of CacheStore"
        )
    if ttl is not None and ttl <= 0:
        raise ConfigurationError(f"ttl={ttl!r}: must be above 0, or None to keep entries")
    if not 0 <= ttl_jitter < 1:
        raise ConfigurationError(f"ttl_jitter={ttl_jitter!r}: must be from 0 up to 1")
    if wait_timeout < 0:
        raise ConfigurationError(f"wait_timeout={wait_timeout!r}: must be 0 or more")
