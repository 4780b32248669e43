"""The response cache that users make: one cache with two doors."""

from __future__ import annotations

import random as random_module
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from langchain_core.caches import BaseCache
from langchain_core.outputs import Generation
from langchain_core.runnables import Runnable

from langchain_bedrock_opt.caching.background import Background
from langchain_bedrock_opt.caching.codec import EntryCipher, EntryCodec
from langchain_bedrock_opt.caching.control import (
    checked_tags,
    current_options,
    current_options_by_config,
    options_block,
)
from langchain_bedrock_opt.caching.desk import Desk
from langchain_bedrock_opt.caching.door import GenerationDoor
from langchain_bedrock_opt.caching.entries import Entries, Lifetimes
from langchain_bedrock_opt.caching.epochs import Epochs, epoch_name
from langchain_bedrock_opt.caching.flight import SingleFlight
from langchain_bedrock_opt.caching.guard import GuardedStore
from langchain_bedrock_opt.caching.guide_table import GuideTable
from langchain_bedrock_opt.caching.hits import SimilarHits, entry_key_of
from langchain_bedrock_opt.caching.layer import CacheLayer
from langchain_bedrock_opt.caching.leases import Leases
from langchain_bedrock_opt.caching.migration import Migration
from langchain_bedrock_opt.caching.renewals import Renewals
from langchain_bedrock_opt.caching.similar import SimilarAnswers, SimilarByTenant
from langchain_bedrock_opt.caching.similarity.bound import SimilarityStats
from langchain_bedrock_opt.caching.similarity.tier import SimilarityTier
from langchain_bedrock_opt.caching.stats import CacheStats
from langchain_bedrock_opt.caching.stores.base import CacheStore
from langchain_bedrock_opt.caching.stores.memory import InMemoryCacheStore
from langchain_bedrock_opt.caching.warm_up import WarmUp, warm_up
from langchain_bedrock_opt.contracts import UsageObserver
from langchain_bedrock_opt.errors import ConfigurationError

_CLOSING_SECONDS: Final = 5.0
"""How long `close` waits for what is under way in the background."""


class BedrockSemanticCache(BaseCache):
    """Answers that were paid for once, for requests that mean the same.

    There are two doors to it:

    * **The layer**, for this package's chat models: `ChatBedrockOptimized(cache=cache)`, or
      `LayeredClient(client, [cache.as_layer()])` under a `ChatBedrockConverse`. It sees the very
      request that Bedrock would get, streams included, and 50 equal calls at once become one, in
      threads, tasks and processes that share the store.
    * **LangChain's cache interface**, for any model: `set_llm_cache(cache)` or `cache=cache`. It
      can do no more than the interface shows. LangChain never asks it when streaming. Equal calls
      at once each ask the model. Options for a call reach it from a block or from the config of a
      chain around the model, not from the model's own config. A model that was copied with other
      parameters (`model_copy(update=…)`) still describes itself as it was, and models that are
      not serializable describe themselves by class alone: give such models a cache each, with
      its own `namespace`.

    A hit through either door is a fresh message with zero usage; what it saved, how old it is and
    where it came from is in `response_metadata["bedrock_opt"]["cache"]`.

    Not kept are answers that were cut by `max_tokens`, stopped by a guardrail or a filter, or
    empty, streams that were broken off, and, unless `cache_sampled`, answers to requests with an
    explicit temperature above 0. A request that leaves the temperature to the model is kept.

    A store that fails never fails a call: the error is counted, logged at most once a minute, and
    the model is asked. After five errors in a row the store is left alone for 15 seconds.

    Args:
        store: Where entries are kept; by default in memory.
        ttl: Seconds that an entry is fresh; None for as long as the store has room.
        ttl_jitter: The share of `ttl`, from 0 up to 1, by which an entry's life is shortened at
            random, so that entries made together do not all expire together.
        stale_while_revalidate: For how many seconds after its `ttl` an entry is still served,
            while one call in the background fetches a new answer.
        namespace: Which cache this is, of several in one store.
        tenant: Whose answers these are. No tenant is ever served another one's.
        cache_sampled: Keep answers to requests with a temperature above 0 too.
        similarity: Serve answers to questions that mean the same in other words. Off by default.
        secret: Signs entries (HMAC), so that entries that somebody else put into the store are
            refused. Of several, the first signs and all are accepted; what the similarity tier
            has learned begins anew with a new first one. Without a secret, entries are only
            checked for damage.
        encryption: Encrypts entries, with a key of your own or one of AWS KMS.
        local_entries: How many of the last entries the process keeps, not to ask the store.
        local_ttl: For how many seconds it keeps them: for that long it may serve an entry that
            another process has deleted as wrong.
        migrate_from: The table of a cache like the guide's, whose answers are taken over, each
            once: for calls without tenant and tags, until the namespace is made invalid.
        wait_timeout: The longest, in seconds, that a call waits for an equal one under way; and
            once more as long for the one that asks in its place.
        usage: Counts what background renewals spend, which no LangChain run tells of: a
            `BedrockUsageCallbackHandler`. Without it only `stats().spent_renewing` does.
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
        stale_while_revalidate: float = 0.0,
        namespace: str = "default",
        tenant: str = "",
        cache_sampled: bool = False,
        similarity: SimilarityTier | None = None,
        secret: bytes | str | Sequence[bytes | str] | None = None,
        encryption: EntryCipher | None = None,
        local_entries: int = 256,
        local_ttl: float = 10.0,
        migrate_from: GuideTable | None = None,
        wait_timeout: float = 60.0,
        usage: UsageObserver | None = None,
        clock: Callable[[], float] = time.time,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        store = _checked_store(store)
        lifetimes = Lifetimes(
            ttl=ttl,
            jitter=ttl_jitter,
            stale=stale_while_revalidate,
            local=local_ttl if local_entries else 0.0,
        )
        _check_numbers(local_entries=local_entries, local_ttl=local_ttl, wait_timeout=wait_timeout)
        # A store in this process is as near as a copy of it, and known to no other process.
        is_shared = not isinstance(store, InMemoryCacheStore)
        copies = InMemoryCacheStore(max_entries=local_entries or 1, clock=clock)
        guarded = GuardedStore(store, clock=clock)
        self._entries = Entries(
            guarded,
            codec=EntryCodec(secret=secret, encryption=encryption),
            epochs=Epochs(guarded, clock=clock),
            local=copies if is_shared and lifetimes.local > 0 else None,
            lifetimes=lifetimes,
            clock=clock,
            random=random,
        )
        failed = self._entries.failed
        self._hits = SimilarHits(guarded, self._entries.codec)
        self._background = Background(failed=failed)
        self._desk = Desk(
            entries=self._entries,
            flights=SingleFlight(timeout=wait_timeout),
            leases=Leases(guarded, timeout=wait_timeout, failed=failed) if is_shared else None,
            background=self._background,
            similar=None
            if similarity is None
            else SimilarByTenant(partial(self._bind, similarity), failed=failed),
            renewals=Renewals(clock=clock),
            migration=Migration.of(migrate_from, self._entries, namespace, tenant),
            namespace=namespace,
            tenant=tenant,
            cache_sampled=cache_sampled,
            usage=_checked_observer(usage),
        )
        self._door = GenerationDoor(self._desk, partial(current_options_by_config, self))

    @property
    def namespace(self) -> str:
        """Which cache this is, of several in one store."""
        return self._desk.namespace

    @property
    def tenant(self) -> str:
        """Whose answers these are, unless a call says otherwise."""
        return self._desk.tenant

    def as_layer(self) -> CacheLayer:
        """The door for our own chat models: a layer over this cache's entries."""
        return CacheLayer(self._desk, partial(current_options, self))

    def options(
        self,
        *,
        tags: Iterable[str] | None = None,
        ttl: float | None = None,
        tenant: str | None = None,
        answer: str | None = None,
    ) -> AbstractContextManager[None]:
        """Calls made inside the block are answered and kept so.

        An answer is served only if it carries all these tags and is no older than `ttl`. Inside
        of another block, what is left out stays as there, and tags add up.

        The same can be said for one call in its config, `{"metadata": {"bedrock_opt_cache": {
        "tags": ["prices"]}}}`. A block reaches as far as a context variable: its own thread or
        task, and LangChain's threads for it. A stream counts where it is opened, which is when
        its first chunk is asked for.

        Args:
            tags: What the answers are about, for `invalidate`.
            ttl: Seconds that they are fresh.
            tenant: Whose answers they are.
            answer: What the model would answer, so that it is not asked.

        Raises:
            ConfigurationError: A value is out of its range.
        """
        return options_block(self, tags=tags, ttl=ttl, tenant=tenant, answer=answer)

    def bypass(self) -> AbstractContextManager[None]:
        """Calls made inside the block neither look into this cache nor are kept.

        As for where it reaches, see `options`. For one call: `{"metadata": {"bedrock_opt_cache":
        "bypass"}}` in its config.

        Example:
            >>> cache = BedrockSemanticCache()
            >>> with cache.bypass():
            ...     cache.update("Hi?", "model", [Generation(text="Hello!")])
            >>> cache.lookup("Hi?", "model") is None
            True
        """
        return options_block(self, mode="bypass")

    def refresh(self) -> AbstractContextManager[None]:
        """Calls made inside the block ask the model, and its answers replace what was kept.

        As for where it reaches, see `options`; for one call, say `"refresh"` in its config.
        """
        return options_block(self, mode="refresh")

    def stats(self) -> CacheStats:
        """What this cache has done since it was made, through both doors."""
        return self._entries.stats()

    def similarity_stats(self, tenant: str | None = None) -> SimilarityStats | None:
        """What the similarity tier has done in this process, and how far it has learned.

        Args:
            tenant: Of which tenant; by default the cache's own.

        Returns:
            None if this cache has no similarity tier.
        """
        if self._desk.similar is None:
            return None
        return self._desk.similar.of(self.tenant if tenant is None else tenant).tier.stats()

    def feedback(self, hit_id: str, correct: bool) -> bool:  # noqa: FBT001 - the one thing to say
        """Say whether a hit was right.

        A wrong answer is not served again: an exact hit's entry is deleted; after a similar hit,
        the answer serves no question but its own, and the similarity tier learns from it. Also
        what was right is learned from, for similar hits.

        Args:
            hit_id: The hit's `hit_id`, in `response_metadata["bedrock_opt"]["cache"]`.
            correct: Whether the answer was right for the question.

        Returns:
            Whether the hit is known. What similar hits went by is kept for a week; saying the same
            of a hit again teaches nothing more.

        Raises:
            CacheStoreError: The store failed, and a wrong answer may still be served.
        """
        key = entry_key_of(self.namespace, hit_id)
        if key is not None:
            is_known = self._entries.store.get(key) is not None
            if is_known and not correct:
                self._entries.forget(key)
            return is_known
        if self._desk.similar is None:
            return False
        hit = self._hits.label(hit_id, correct=correct)
        if hit is None:
            return False
        self._desk.similar.of(hit.tenant).learn(hit, correct=correct)
        return True

    def invalidate(self, *, tags: Iterable[str] | None = None, tenant: str | None = None) -> None:
        """Serve none of the answers that there are: one write, whatever their number.

        Other processes go by it within a second. An answer that is being waited for just now is
        not served again either.

        Args:
            tags: Only answers with at least one of these tags, of all tenants.
            tenant: Only this tenant's answers. With neither, all of this namespace.

        Raises:
            ConfigurationError: Both are given, or `tags` is no list of texts.
            CacheStoreError: The store failed, and they may still be served.
        """
        if tags is not None and tenant is not None:
            raise ConfigurationError("tags= and tenant=: give one of them, or neither")
        if tags is not None:
            names = [epoch_name("tag", self.namespace, tag) for tag in checked_tags(tags)]
        elif tenant is not None:
            names = [epoch_name("tenant", self.namespace, tenant)]
        else:
            names = [epoch_name("namespace", self.namespace)]
        self._entries.epochs.renew(names)

    def warm_up(
        self, rows: str | Path | Iterable[Mapping[str, Any]], model: Runnable[Any, Any]
    ) -> WarmUp:
        """Fill the cache with questions and their answers.

        Each question goes through `model`, so that its request is the very one that will be made
        later; where the row has an answer, Bedrock is not asked.

        Args:
            rows: A file of JSON lines or dicts, each with a `prompt` (a text, or messages as
                `[["system", "…"], ["user", "…"]]`) and, as you like, its `answer`, `tags` and
                `ttl`. Rows without an answer are answered by the model, and paid for.
            model: A chat model of this package over this cache, or a chain with one call of it.

        Returns:
            How many answers were known or stored, and which rows failed or are not kept.

        Raises:
            ConfigurationError: The file can't be read, or a row is none; nothing was stored. Or a
                row was paid for that a cache does not keep, as its model samples.
            CacheStoreError: The store does not work, or has failed: this is not passed over, so
                that no more answers are paid for than are kept.
        """
        return warm_up(self, rows, model, self._entries.store)

    def lookup(self, prompt: str, llm_string: str) -> list[Generation] | None:
        """The generations kept for a prompt, as LangChain asks for them.

        Args:
            prompt: The prompt, or the messages as LangChain's JSON.
            llm_string: LangChain's description of the model and its parameters.

        Returns:
            The generations, marked as a hit; None if there are none or the store failed.
        """
        return self._door.lookup(prompt, llm_string)

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """Keep the generations for a prompt, if they are whole.

        Args:
            prompt: The prompt, or the messages as LangChain's JSON.
            llm_string: LangChain's description of the model and its parameters.
            return_val: What the model answered.
        """
        self._door.update(prompt, llm_string, return_val)

    def clear(self, **_: Any) -> None:
        """Forget everything in the store, in all its namespaces. See also `invalidate`.

        Raises:
            CacheStoreError: The store failed. This one is not passed over, because entries that
                should be gone would go on being served.
        """
        self._entries.clear()
        if self._desk.similar is not None:
            self._desk.similar.forget()

    def close(self) -> None:
        """Give back the store's files and connections; the next use opens them again.

        What is under way in the background is waited for, for a few seconds.
        """
        self._background.join(_CLOSING_SECONDS)
        if self._desk.similar is not None:
            self._desk.similar.flush()
        self._entries.store.close()

    def _bind(self, similarity: SimilarityTier, tenant: str) -> SimilarAnswers:
        """The similar answers of one tenant."""
        scope = f"{self.namespace}\0{tenant}".encode("utf-8", "surrogatepass")
        name = blake2b(scope, digest_size=16, person=b"bedrock-opt sim").hexdigest()
        store, codec = self._entries.store, self._entries.codec
        return SimilarAnswers(
            tenant,
            similarity.bind(store, name=name, secret=codec.signing_key),
            entries=self._entries,
            hits=self._hits,
            background=self._background,
        )


def _checked_store(store: object) -> CacheStore:
    if store is None:
        return InMemoryCacheStore()
    if not isinstance(store, CacheStore):
        raise ConfigurationError(
            f"store={store!r}: not a cache store; pass InMemoryCacheStore(), "
            "DiskCacheStore(path) or an object with the methods of CacheStore"
        )
    return store


def _checked_observer(usage: object) -> UsageObserver | None:
    if usage is None or isinstance(usage, UsageObserver):
        return usage
    raise ConfigurationError(
        f"usage={usage!r}: has no observe(); pass a BedrockUsageCallbackHandler"
    )


def _check_numbers(**numbers: float) -> None:
    for name, value in numbers.items():
        if value < 0:
            raise ConfigurationError(f"{name}={value!r}: must be 0 or more")
