"""The cache as LangChain's own interface asks it: the door for any model.

LangChain asks before a call and tells after it, in two calls that know nothing of each other. What
the first one found out (the epochs that held, what similar questions there are) is kept here
until the second one comes, if it does: a call that fails never tells.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from threading import Lock
from typing import Any, Final

from langchain_core.outputs import ChatGeneration, Generation

from langchain_bedrock_opt.caching.codec import EntryCodec
from langchain_bedrock_opt.caching.control import CallOptions
from langchain_bedrock_opt.caching.desk import Desk
from langchain_bedrock_opt.caching.entries import Kept
from langchain_bedrock_opt.caching.generations import (
    StoredGenerations,
    are_worth_keeping,
    encode_generations,
    mark_hit,
    read_generations,
)
from langchain_bedrock_opt.caching.hits import exact_hit_id
from langchain_bedrock_opt.caching.prompts import is_sampled_model, prompt_key, prompt_scope
from langchain_bedrock_opt.caching.similar import Similar
from langchain_bedrock_opt.caching.similarity.bound import Question
from langchain_bedrock_opt.contracts import CacheReport

MOST_OPEN: Final = 4096
"""Calls whose answer is awaited, of which something is remembered."""

MOST_KEYS: Final = 512
"""Prompts whose keys are remembered, by their digests."""

RENEWAL_SECONDS: Final = 60.0
"""For how long others are served a stale answer while one caller fetches a new one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Open:
    """A call that found nothing."""

    stamps: Mapping[str, str] | None
    similar: Similar[StoredGenerations] | None


class GenerationDoor:
    """Looks up and keeps LangChain's generations.

    Args:
        desk: The parts of the cache.
        options: What the caller asks of it just now.
    """

    def __init__(self, desk: Desk, options: Callable[[], CallOptions]) -> None:
        self._desk = desk
        self._entries = desk.entries
        self._options = options
        self._lock = Lock()
        self._keys: dict[tuple[bytes, str, str], str] = {}
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._renewed: OrderedDict[str, float] = OrderedDict()

    def lookup(self, prompt: str, llm_string: str) -> list[Generation] | None:
        """The generations for a prompt, marked as a hit; None if there are none."""
        options = self._options()
        if options.mode != "use" or self._stays_out(llm_string):
            self._entries.count(bypassed=1)
            return None
        key = self._key(prompt, llm_string, options)
        kept, looked_up = self._entries.load(key, read_generations)
        if kept is not None and not (kept.is_stale and self._is_first_to_renew(key)):
            return self._hit(kept, kept.report(kept.entry.saved, hit_id=exact_hit_id(key)))
        similar = None
        if looked_up == "miss":
            similar = self._similar(prompt, llm_string, options)
            hit = similar and self._similar_hit(similar, options)
            if hit:
                return hit
        self._entries.count(misses=1)
        self._remember(key, _Open(stamps=self._desk.stamps(options), similar=similar))
        return None

    def update(self, prompt: str, llm_string: str, generations: Sequence[Generation]) -> None:
        """Keep the generations for a prompt, if they are whole."""
        options = self._options()
        if options.mode == "bypass" or self._stays_out(llm_string):
            return

        def encode(codec: EntryCodec, key: str, meta: Mapping[str, Any]) -> bytes | None:
            if not are_worth_keeping(generations):
                return None
            return encode_generations(codec, key, generations, meta=meta)

        key = self._key(prompt, llm_string, options)
        asked = self._recall(key) or _Open(stamps=self._desk.stamps(options), similar=None)
        data = self._entries.save(key, encode, stamps=asked.stamps, ttl=options.ttl)
        if data is not None and asked.similar is not None:
            self._learn(asked.similar, key, generations, options)

    def _key(self, prompt: str, llm_string: str, options: CallOptions) -> str:
        """The key of a prompt, made once for the look-up and the update that follows it."""
        desk = self._desk
        tenant = desk.tenant_of(options)
        asked = (blake2b(prompt.encode("utf-8", "surrogatepass")).digest(), llm_string, tenant)
        key = self._keys.get(asked)
        if key is None:
            key = prompt_key(prompt, llm_string, tenant=tenant, namespace=desk.namespace)
            with self._lock:
                if len(self._keys) >= MOST_KEYS:
                    self._keys.pop(next(iter(self._keys)))
                self._keys[asked] = key
        return key

    def _stays_out(self, llm_string: str) -> bool:
        return not self._desk.cache_sampled and is_sampled_model(llm_string)

    def _hit(self, kept: Kept[StoredGenerations], report: CacheReport) -> list[Generation]:
        self._entries.count_hit(kept, kept.entry.saved, _model_of(kept.entry.generations))
        return mark_hit(kept.entry, report)

    def _similar(
        self, prompt: str, llm_string: str, options: CallOptions
    ) -> Similar[StoredGenerations] | None:
        """What is known of questions like this one, if there may be any."""
        answers, desk = self._desk.similar_for(options), self._desk
        if answers is None:
            return None
        tenant = desk.tenant_of(options)
        scoped = prompt_scope(prompt, llm_string, tenant=tenant, namespace=desk.namespace)
        return None if scoped is None else answers.find(Question(*scoped), read_generations)

    def _similar_hit(
        self, similar: Similar[StoredGenerations], options: CallOptions
    ) -> list[Generation] | None:
        answers, kept = self._desk.similar_for(options), similar.kept
        if answers is None or kept is None:
            return None
        report = answers.report(similar, kept.entry.saved)
        return None if report is None else self._hit(kept, report)

    def _learn(
        self,
        similar: Similar[StoredGenerations],
        key: str,
        generations: Sequence[Generation],
        options: CallOptions,
    ) -> None:
        answers, text = self._desk.similar_for(options), _text_of(generations)
        if answers is None or text is None:
            return

        def known_answer(known_key: str) -> str | None:
            kept, _ = self._entries.load(known_key, read_generations)
            return None if kept is None else _text_of(kept.entry.generations)

        answers.answered(similar, key, text, ttl=options.ttl, known_answer=known_answer)

    def _remember(self, key: str, call: _Open) -> None:
        with self._lock:
            self._open[key] = call
            while len(self._open) > MOST_OPEN:
                self._open.popitem(last=False)

    def _recall(self, key: str) -> _Open | None:
        with self._lock:
            self._renewed.pop(key, None)
            return self._open.pop(key, None)

    def _is_first_to_renew(self, key: str) -> bool:
        """Whether this caller should miss, so that it brings a new answer for a stale one."""
        now = self._entries.clock()
        with self._lock:
            if self._renewed.get(key, 0.0) > now:
                return False
            self._renewed[key] = now + RENEWAL_SECONDS
            while len(self._renewed) > MOST_OPEN:
                self._renewed.popitem(last=False)
            return True


def _text_of(generations: Sequence[Generation]) -> str | None:
    """The text of a single generation that is nothing but text."""
    if len(generations) != 1:
        return None
    message = getattr(generations[0], "message", None)
    return None if getattr(message, "tool_calls", ()) else generations[0].text


def _model_of(generations: Sequence[Generation]) -> str:
    """The model that a stored answer says it is from; empty if it does not."""
    for generation in generations:
        if isinstance(generation, ChatGeneration):
            return str(generation.message.response_metadata.get("model_name") or "")
    return ""
