"""The similarity tier at work for both doors: served answers, questions to learn from."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock
from typing import Final, Generic

from langchain_bedrock_opt.caching.background import Background
from langchain_bedrock_opt.caching.entries import ANY, AnyEntry, Entries, Kept, Wanted
from langchain_bedrock_opt.caching.hits import SimilarHit, SimilarHits
from langchain_bedrock_opt.caching.similarity.bound import BoundTier, Match, Question
from langchain_bedrock_opt.contracts import CacheReport, TokenUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class Similar(Generic[AnyEntry]):
    """What is known of a question that was not asked before in these words.

    Attributes:
        question: The question.
        match: The question that was asked before and comes nearest, if there is one.
        kept: Its answer, if that may be served.
    """

    question: Question
    match: Match | None = None
    kept: Kept[AnyEntry] | None = None


MOST_TENANTS: Final = 1000
"""Tenants whose state is held in the process."""


class SimilarAnswers:
    """Answers to similar questions of one tenant. Errors are counted, and raised by `learn` only.

    Args:
        tenant: The tenant.
        tier: What finds them, and learns.
        entries: The answers.
        hits: What hits went by.
        background: Where the judge is asked.
    """

    def __init__(
        self,
        tenant: str,
        tier: BoundTier,
        *,
        entries: Entries,
        hits: SimilarHits,
        background: Background,
    ) -> None:
        self.tenant = tenant
        self.tier = tier
        self._entries = entries
        self._hits = hits
        self._background = background

    def find(
        self, question: Question, read: Callable[[bytes], AnyEntry], *, wanted: Wanted
    ) -> Similar[AnyEntry]:
        """Look for a similar question whose answer may be served."""
        try:
            match = self.tier.find(question)
        except Exception as error:  # noqa: BLE001 - embeddings and stores fail in their own ways
            self._entries.failed("looking for a similar question", error)
            return Similar(question=question)
        if match is None or not match.served:
            return Similar(question=question, match=match)
        kept, looked_up = self._entries.load(match.entry_key, read, wanted=wanted)
        if looked_up == "miss" and wanted is ANY:
            self._forget(question, match)  # expired, evicted or made invalid, for everybody
        if kept is None or kept.is_stale:
            return Similar(question=question)
        return Similar(question=question, match=match, kept=replace(kept, tier="similar"))

    def report(self, similar: Similar[AnyEntry], saved: TokenUsage) -> CacheReport | None:
        """What is said of a hit; None if it could not be noted, so that it must not be one."""
        if similar.kept is None or similar.match is None:
            return None
        try:
            hit_id = self._hits.note(self.tenant, similar.match)
        except Exception as error:  # noqa: BLE001 - a hit that nobody could correct is not served
            self._entries.failed("noting a similar hit", error)
            return None
        report = similar.kept.report(saved, hit_id=hit_id)
        report["similarity"] = similar.match.similarity
        return report

    def answered(
        self,
        similar: Similar[AnyEntry],
        key: str,
        answer: str,
        *,
        ttl: float | None,
        known_answer: Callable[[str], str | None],
    ) -> None:
        """Learn from an answer that the model gave to a question.

        Args:
            similar: What was known of the question.
            key: The entry with the answer.
            answer: Its text.
            ttl: For how long the entry is in the store.
            known_answer: The text of the answer under another key, if it is still there.
        """
        question, match = similar.question, similar.match
        try:
            self.tier.add(question, key, self._entries.lifetime(ttl), answer=answer)
            if match is None or not self.tier.needs_label(match):
                return
        except Exception as error:  # noqa: BLE001 - the answer is there all the same
            self._entries.failed("keeping a question", error)
            return

        def ask_the_judge() -> None:
            known = known_answer(match.entry_key)
            if known is not None:
                self.tier.judge(question, match, known, answer)

        self._background.run(f"judge {key}", "asking the judge", ask_the_judge)

    def learn(self, hit: SimilarHit, *, correct: bool) -> None:
        """Learn whether a hit was right; after a wrong one its answer serves no other question.

        Raises:
            CacheStoreError: The store failed.
        """
        if hit.is_new:
            self.tier.learn(hit.match, correct=correct)
        if not correct:
            self.tier.remove(hit.match.scope, hit.match.entry_key)

    def _forget(self, question: Question, match: Match) -> None:
        try:
            self.tier.remove(question.scope, match.entry_key)
        except Exception as error:  # noqa: BLE001 - it will be tried again at the next match
            self._entries.failed("forgetting a question", error)


class SimilarByTenant:
    """The similar answers of each tenant of a cache: no tenant learns from another one's.

    Args:
        bind: Makes those of a tenant.
        failed: Told of errors that fail no call.
    """

    def __init__(
        self,
        bind: Callable[[str], SimilarAnswers],
        *,
        failed: Callable[[str, Exception], None],
    ) -> None:
        self._bind = bind
        self._failed = failed
        self._lock = Lock()
        self._bound: OrderedDict[str, SimilarAnswers] = OrderedDict()

    def of(self, tenant: str) -> SimilarAnswers:
        """Those of one tenant."""
        with self._lock:
            answers = self._bound.get(tenant)
            if answers is None:
                answers = self._bound[tenant] = self._bind(tenant)
            self._bound.move_to_end(tenant)
            unused = self._bound.popitem(last=False)[1] if len(self._bound) > MOST_TENANTS else None
        if unused is not None:
            self._flush(unused)
        return answers

    def forget(self) -> None:
        """Forget what was learned in this process: the store has been cleared."""
        with self._lock:
            self._bound.clear()

    def flush(self) -> None:
        """Store what was learned and is not stored yet."""
        with self._lock:
            bound = list(self._bound.values())
        for answers in bound:
            self._flush(answers)

    def _flush(self, answers: SimilarAnswers) -> None:
        try:
            answers.tier.close()
        except Exception as error:  # noqa: BLE001 - what was learned is lost, and nothing else
            self._failed("storing what was learned", error)
