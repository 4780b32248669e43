"""The cache as LangChain's own interface asks it: the door for any model.

LangChain asks before a call and tells after it, in two calls that know nothing of each other. What
the first one found out (the epochs that held, what similar questions there are) is kept here
until the second one comes, if it does: a call that fails never tells.
"""

from __future__ import annotations

from collections import OrderedDict, deque
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


@dataclass(slots=True, kw_only=True)
class _Open:
    """Calls for one prompt that found nothing, and whose answers are awaited.

    Attributes:
        stamps: The epochs that held when each of them asked, from the first on. Those of a call
            that failed go with the next answer, which then counts as older than it is.
        similar: What the similarity tier knew of the question.
    """

    stamps: deque[Mapping[str, str] | None]
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
        self._keys: dict[tuple[bytes, bytes, str], str] = {}
        self._open: OrderedDict[str, _Open] = OrderedDict()

    def lookup(self, prompt: str, llm_string: str) -> list[Generation] | None:
        """The generations for a prompt, marked as a hit; None if there are none."""
        options = self._options()
        if options.mode != "use" or self._stays_out(llm_string):
            self._entries.count(bypassed=1)
            return None
        key = self._key(prompt, llm_string, options)
        kept, looked_up = self._entries.load(
            key, read_generations, wanted=self._desk.wanted(options)
        )
        if kept is not None and not (kept.is_stale and self._desk.renewals.may_begin(key)):
            hit_id = exact_hit_id(self._desk.namespace, key)
            return self._hit(kept, kept.report(kept.entry.saved, hit_id=hit_id))
        similar = None
        if looked_up == "miss":
            similar = self._similar(prompt, llm_string, options)
            hit = similar and self._similar_hit(similar, options)
            if hit:
                return hit
        self._entries.count(misses=1)
        self._remember(key, self._desk.stamps(options), similar)
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
        asked = self._recall(key)
        # A call that was told to refresh has never looked.
        stamps, similar = asked or (self._desk.stamps(options), None)
        data = self._entries.save(key, encode, stamps=stamps, ttl=options.ttl)
        if data is not None and similar is not None:
            self._learn(similar, key, generations, options)

    def _key(self, prompt: str, llm_string: str, options: CallOptions) -> str:
        """The key of a prompt, made once for the look-up and the update that follows it."""
        desk = self._desk
        tenant = desk.tenant_of(options)
        asked = (_digest(prompt), _digest(llm_string), tenant)
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
        if scoped is None:
            return None
        wanted = desk.wanted(options)
        return answers.find(Question(*scoped), read_generations, wanted=wanted)

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

    def _remember(
        self,
        key: str,
        stamps: Mapping[str, str] | None,
        similar: Similar[StoredGenerations] | None,
    ) -> None:
        with self._lock:
            calls = self._open.setdefault(key, _Open(stamps=deque(), similar=similar))
            calls.stamps.append(stamps)
            while len(self._open) > MOST_OPEN:
                self._open.popitem(last=False)

    def _recall(
        self, key: str
    ) -> tuple[Mapping[str, str] | None, Similar[StoredGenerations] | None] | None:
        """What the oldest call for a key found out; whose answer comes first can't be told."""
        self._desk.renewals.ended(key, kept=True)
        with self._lock:
            calls = self._open.get(key)
            if calls is None:
                return None
            stamps = calls.stamps.popleft()
            if not calls.stamps:
                del self._open[key]
            return stamps, calls.similar


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=32).digest()


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
