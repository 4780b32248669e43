"""`BoundTier`: the similarity tier at work in one cache."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from threading import Lock
from typing import Final

from langchain_core.embeddings import Embeddings

from langchain_bedrock_opt.caching.similarity.embedding import QuestionEmbedder
from langchain_bedrock_opt.caching.similarity.facts import TextFacts, read_facts
from langchain_bedrock_opt.caching.similarity.features import features
from langchain_bedrock_opt.caching.similarity.index import (
    Candidate,
    Record,
    VectorIndex,
    agreement,
)
from langchain_bedrock_opt.caching.similarity.judges import Judge
from langchain_bedrock_opt.caching.similarity.labels import SharedVerifier
from langchain_bedrock_opt.caching.similarity.packing import Packer
from langchain_bedrock_opt.caching.similarity.verifier import Verifier
from langchain_bedrock_opt.caching.similarity.vetoes import veto
from langchain_bedrock_opt.caching.stores.base import CacheStore
from langchain_bedrock_opt.caching.text import canonical_text
from langchain_bedrock_opt.errors import CacheStoreError

logger = logging.getLogger(__name__)

_JUDGE_LOG_SECONDS: Final = 60.0
_ANSWER_BYTES: Final = 8  # two answers of one scope are never taken for each other by chance


@dataclass(frozen=True, slots=True)
class Question:
    """What is compared with what was asked before.

    Attributes:
        scope: A digest of the whole request but its last user text: tenant, model, parameters,
            system, tools, history.
        text: That text, in its canonical form.
    """

    scope: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A stored answer that may fit a question. It holds no text.

    Attributes:
        scope: The question's scope.
        entry_key: The key of the stored answer.
        similarity: The cosine between the two questions' embeddings.
        score: How likely the answer may be reused, as the verifier sees it, 0 to 1.
        served: Whether the answer is to be given.
        audited: Whether it would be given, and the model is asked all the same to check.
        features: What the verifier was told of the pair.
    """

    scope: str
    entry_key: str
    similarity: float
    score: float
    served: bool
    audited: bool
    features: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarityStats:
    """What a tier has done in this process, and how far its verifier is.

    Attributes:
        lookups: Questions it was asked about.
        candidates: Stored questions that were near enough to be looked at.
        vetoed: How many of them were passed over, by the name of the difference.
        hits: Answers to be given.
        audits: Answers that would have been given, had they not been drawn for an audit.
        embedded: Texts that the embeddings were asked for; the others were known.
        judged: Labels that the judge gave.
        judge_failures: Times it failed or could not say.
        labels_ok: Labels by which a stored answer was right, from judge and users.
        labels_wrong: Labels by which it was wrong.
        known_labels: Labels that the verifier holds, those of other processes included.
        threshold: The lowest score that is served; None while nothing is.
        error_bound: What the verifier promises: at most this share of hits is wrong.
        broken: Documents of the index and facts in them that could not be read.
    """

    lookups: int = 0
    candidates: int = 0
    vetoed: Mapping[str, int] = field(default_factory=dict)
    hits: int = 0
    audits: int = 0
    embedded: int = 0
    judged: int = 0
    judge_failures: int = 0
    labels_ok: int = 0
    labels_wrong: int = 0
    known_labels: int = 0
    threshold: float | None = None
    error_bound: float | None = None
    broken: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a user gave to `SimilarityTier`, whose docstring tells what each is."""

    embeddings: Embeddings
    embedder: str
    embedding_cache_size: int
    embedding_ttl: float | None
    max_error_rate: float
    judge: Judge | None
    judge_error: float
    audit_rate: float
    min_similarity: float
    neighbours: int
    judgements_per_minute: float
    clock: Callable[[], float]
    random: Callable[[], float]


class BoundTier:
    """The similarity tier of one cache; made by `SimilarityTier.bind`.

    All of it may be used by many threads at once.

    Args:
        settings: The user's.
        store: The cache's store.
        index: Where records of questions are.
        name: Tells this cache's state from others' in the store.
        secret: Keys every hash and checksum.
    """

    def __init__(
        self,
        settings: Settings,
        store: CacheStore,
        *,
        index: VectorIndex,
        name: str,
        secret: bytes,
    ) -> None:
        self._settings = settings
        self._index = index
        self._packer = Packer(secret)
        self._facts_key = blake2b(secret, digest_size=32, person=b"bedrock-opt fct").digest()
        self._embedder = QuestionEmbedder(
            settings.embeddings,
            store,
            self._packer,
            name=settings.embedder,
            size=settings.embedding_cache_size,
            ttl=settings.embedding_ttl,
        )
        self._verifier = SharedVerifier(
            Verifier(max_error_rate=settings.max_error_rate, judge_error=settings.judge_error),
            store,
            self._packer,
            # Similarities of two embedding models are no labels for one another.
            key=f"sim:l:{self._packer.digest(name, settings.embedder)}",
            clock=settings.clock,
        )
        self._lock = Lock()
        self._counts: Counter[str] = Counter()
        self._vetoes: Counter[str] = Counter()
        self._allowance = settings.judgements_per_minute
        self._allowed_at = settings.clock()
        self._next_log = 0.0

    def find(self, question: Question) -> Match | None:
        """The best stored answer for a question, and whether it is to be given.

        Raises:
            CacheStoreError: The store, the index or the embeddings failed.
        """
        self._count("lookups")
        scope = self._scope(question.scope)
        if self._index.is_empty(scope):  # as most conversations are: no embedding is needed
            return None
        vector = self._embedder.vector(question.text)
        nearest = self._nearest(
            question, self._index.search(scope, vector, self._settings.neighbours)
        )
        if nearest is None:
            return None
        candidate, told = nearest
        score, may_serve = self._verifier.judge(told)
        is_audited = may_serve and self._settings.random() < self._settings.audit_rate
        if may_serve:
            self._count("audits" if is_audited else "hits")
        return Match(
            scope=question.scope,
            entry_key=candidate.entry_key,
            similarity=candidate.similarity,
            score=score,
            served=may_serve and not is_audited,
            audited=is_audited,
            features=told,
        )

    def add(self, question: Question, entry_key: str, ttl: float | None, *, answer: str) -> None:
        """Keep a question whose answer was stored.

        Args:
            question: The question.
            entry_key: The key of its answer.
            ttl: For how many seconds, as for the answer; None for as long as there is room.
            answer: The text of the answer. Kept is a keyed digest, by which near questions with
                the same answer are seen to agree.

        Raises:
            CacheStoreError: The store, the index or the embeddings failed.
        """
        record = Record(
            entry_key=entry_key,
            vector=self._embedder.vector(question.text),
            facts=read_facts(question.text, key=self._facts_key).to_bytes(),
            answer=self._answer_digest(answer),
        )
        self._index.add(self._scope(question.scope), record, ttl)

    def remove(self, question_scope: str, entry_key: str) -> None:
        """Forget a question, as when its answer is wrong.

        Raises:
            CacheStoreError: The index failed.
        """
        self._index.remove(self._scope(question_scope), entry_key)

    def needs_label(self, match: Match) -> bool:
        """Whether the judge should be asked about a match, once the model has answered.

        True for matches that are not served, if there is a judge and `judgements_per_minute` has
        room, which this call takes. Audits and others are treated alike there, so that a label's
        weight stays what it is.
        """
        if match.served or self._settings.judge is None:
            return False
        per_minute = self._settings.judgements_per_minute
        with self._lock:
            now = self._settings.clock()
            earned = max(now - self._allowed_at, 0.0) * per_minute / 60
            self._allowance = min(self._allowance + earned, max(per_minute, 1.0))
            self._allowed_at = now
            if self._allowance < 1:
                return False
            self._allowance -= 1
        return True

    def judge(
        self, question: Question, match: Match, known_answer: str, new_answer: str
    ) -> bool | None:
        """Ask the judge whether the known answer would have done, and learn from what it says.

        Args:
            question: The question.
            match: What `find` gave for it.
            known_answer: The text of the stored answer.
            new_answer: The text of the model's answer to this question.

        Returns:
            What the judge says; None if there is none, it failed, or could not say.

        Raises:
            CacheStoreError: What it said could not be stored; it is learned in this process.
        """
        if self._settings.judge is None:
            return None
        try:
            verdict = self._settings.judge(question.text, known_answer, new_answer)
        except Exception as error:  # noqa: BLE001 - a judge is the user's; a call never fails for it
            self._judge_failed(error)
            return None
        if verdict is None:
            self._count("judge_failures")
            return None
        self._count("judged")
        self.learn(match, correct=verdict)
        return verdict

    def learn(self, match: Match, *, correct: bool) -> None:
        """Take in whether the answer of a match was right.

        Raises:
            CacheStoreError: It could not be stored; it is learned in this process.
        """
        self._count("labels_ok" if correct else "labels_wrong")
        weight = 1 / self._settings.audit_rate if match.audited else 1.0
        self._verifier.learn(match.features, correct=correct, weight=weight)
        self._index.learn(self._scope(match.scope), match.entry_key, correct=correct)

    def stats(self) -> SimilarityStats:
        """What this tier has done so far."""
        threshold, error_bound, known_labels = self._verifier.state()
        with self._lock:
            counts = self._counts + Counter(broken=getattr(self._index, "broken", 0))
            return SimilarityStats(
                **counts,
                vetoed=dict(self._vetoes),
                embedded=self._embedder.made,
                known_labels=known_labels,
                threshold=threshold,
                error_bound=error_bound,
            )

    def close(self) -> None:
        """Store what was learned and is not stored yet; the tier goes on working.

        Raises:
            CacheStoreError: It could not be stored.
        """
        self._verifier.flush()

    def _nearest(
        self, question: Question, found: list[Candidate]
    ) -> tuple[Candidate, tuple[float, ...]] | None:
        """The nearest candidate without a veto, and the features of the pair."""
        near = [each for each in found if each.similarity >= self._settings.min_similarity]
        self._count("candidates", len(near))
        if not near:
            return None
        asked = read_facts(question.text, key=self._facts_key)
        for candidate in near:
            known = self._facts_of(candidate)
            if known is None or self._is_vetoed(asked, known):
                continue
            return candidate, features(
                asked,
                known,
                candidate.similarity,
                # Those that are not near enough to be served tell all the same.
                agreement=agreement(candidate, found),
                ok=candidate.ok,
                errors=candidate.errors,
            )
        return None

    def _facts_of(self, candidate: Candidate) -> TextFacts | None:
        """The facts of a stored question; None, and counted, if they can't be read."""
        try:
            return TextFacts.from_bytes(candidate.facts)
        except CacheStoreError:
            self._count("broken")
            return None

    def _is_vetoed(self, asked: TextFacts, known: TextFacts) -> bool:
        name = veto(asked, known)
        if name is not None:
            with self._lock:
                self._vetoes[name] += 1
        return name is not None

    def _answer_digest(self, answer: str) -> bytes:
        return bytes.fromhex(self._packer.digest("answer", canonical_text(answer)))[:_ANSWER_BYTES]

    def _scope(self, scope: str) -> str:
        """The scope in the index: vectors of two embedding models never meet."""
        return self._packer.digest(self._settings.embedder, scope)

    def _count(self, name: str, number: int = 1) -> None:
        with self._lock:
            self._counts[name] += number

    def _judge_failed(self, error: Exception) -> None:
        """Count it, and tell its kind once a minute; its message may quote a text."""
        now = self._settings.clock()
        with self._lock:
            self._counts["judge_failures"] += 1
            is_due = now >= self._next_log
            if is_due:
                self._next_log = now + _JUDGE_LOG_SECONDS
        if is_due:
            logger.warning("the judge of similar answers failed: %s", type(error).__name__)
