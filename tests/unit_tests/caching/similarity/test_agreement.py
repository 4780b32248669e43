"""Streams of questions through the tier, where only near questions' answers tell right from wrong.

All questions are made up and alike: half are about clear topics, where each has one answer, and
half about mixed ones, where near questions have different answers.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration

from langchain_bedrock_opt import BedrockSemanticCache, InMemoryCacheStore
from langchain_bedrock_opt.caching.similarity.bound import BoundTier, Match, Question
from langchain_bedrock_opt.caching.similarity.features import FEATURES
from langchain_bedrock_opt.caching.similarity.index import Candidate, agreement
from langchain_bedrock_opt.caching.similarity.judges import same_answer
from langchain_bedrock_opt.caching.similarity.tier import SimilarityTier

DIMS, TOPICS = 48, 24


@dataclass(frozen=True)
class Asked:
    """A question about a topic, and its true answer."""

    text: str
    answer: str
    is_clear: bool


class Topics(Embeddings):
    """Makes up questions, and embeds them: those about one topic are near."""

    def __init__(self, seed: int = 0) -> None:
        self._dice = random.Random(seed)
        self._noise = np.random.default_rng(seed)
        self._centers = self._noise.normal(size=(TOPICS, DIMS)) / DIMS**0.5
        self._vectors: dict[str, list[float]] = {}
        self._words = [self._word() for _ in range(TOPICS)]

    def ask(self) -> Asked:
        topic = self._dice.randrange(TOPICS)
        is_clear = topic % 2 == 0
        answer = f"answer {topic}" if is_clear else f"answer {self._dice.random()}"
        text = f"please tell us something of {self._words[topic]} and {self._word()}"
        vector = self._centers[topic] + self._noise.normal(size=DIMS) * 0.3 / DIMS**0.5
        self._vectors[text] = [float(value) for value in vector]
        return Asked(text, answer, is_clear)

    def embed_query(self, text: str) -> list[float]:
        return self._vectors[text]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self._vectors[text] for text in texts]

    def _word(self) -> str:
        return "".join(
            self._dice.choice("bdfglmnprstvz") + self._dice.choice("aeiou") for _ in "123"
        )


@dataclass
class Requests:
    """What became of requests."""

    served: list[bool] = field(default_factory=list)
    wrong: int = 0
    served_mixed: int = 0


class Cache:
    """What a cache does with the tier: serve, or else ask the model, keep and judge."""

    def __init__(self, *, agreeing: bool = True, audit_rate: float = 0.03) -> None:
        self.topics = Topics()
        self.store = InMemoryCacheStore(max_entries=100_000)
        self.tier = SimilarityTier(
            self.topics,
            max_error_rate=0.05,
            judge=same_answer,
            audit_rate=audit_rate,
            judgements_per_minute=1e9,
            random=random.Random(1).random,
        ).bind(self.store, name="stream")
        self.answers: list[str] = []
        self._is_agreeing = agreeing

    def send(self, count: int) -> Requests:
        requests = Requests()
        for _ in range(count):
            asked = self.topics.ask()
            match = self.tier.find(Question("scope", asked.text))
            is_served = match is not None and match.served
            requests.served.append(is_served)
            if match is not None and is_served:
                requests.wrong += self.answers[int(match.entry_key)] != asked.answer
                requests.served_mixed += not asked.is_clear
            else:
                self._answer(asked, match)
        return requests

    def _answer(self, asked: Asked, match: Match | None) -> None:
        key = str(len(self.answers))
        self.answers.append(asked.answer)
        # What the tier is told without agreement: every answer is another one.
        told = asked.answer if self._is_agreeing else key
        question = Question("scope", asked.text)
        self.tier.add(question, key, 600, answer=told)
        if match is not None and self.tier.needs_label(match):
            self.tier.judge(question, match, self.answers[int(match.entry_key)], asked.answer)


def test_a_stream_opens_the_tier_and_is_served() -> None:
    """After enough judged questions, those whose near ones agree are served, and hardly another."""
    cache = Cache()

    first = cache.send(100)
    cache.send(300)
    later = cache.send(200)

    assert not any(first.served)
    assert sum(later.served) > 80  # of some 100 about clear topics
    assert later.wrong <= 0.05 * sum(later.served)
    assert later.served_mixed == later.wrong
    stats = cache.tier.stats()
    assert stats.error_bound is not None
    assert stats.error_bound <= 0.05
    assert stats.audits > 0


def test_agreement_opens_the_tier_further() -> None:
    """Of the same questions, fewer are served if the tier is not told which answers are equal."""
    told, not_told = Cache().send(600), Cache(agreeing=False).send(600)

    assert sum(told.served) > 1.5 * sum(not_told.served)


def test_wrong_feedback_closes_the_tier() -> None:
    """When audits and users say that answers are wrong now, the tier stops serving them."""
    cache = Cache(audit_rate=0.1)
    cache.send(400)
    served = None
    while served is None or not (served.served or served.audited):
        asked = cache.topics.ask()
        served = cache.tier.find(Question("scope", asked.text))
    before = cache.tier.stats()

    for _ in range(60):  # as when the answers have changed
        found = cache.tier.find(Question("scope", asked.text))
        assert found is not None
        cache.tier.learn(found, correct=False)

    again = cache.tier.find(Question("scope", asked.text))
    assert again is not None
    assert not again.served
    assert not again.audited
    assert cache.tier.stats().labels_wrong == before.labels_wrong + 60


def test_a_whole_cache_learns_and_is_corrected() -> None:
    """A cache with the tier serves what it has learned to, and takes back what a user says."""
    topics = Topics()
    tier = SimilarityTier(
        topics,
        max_error_rate=0.05,
        judge=same_answer,
        audit_rate=0.0,
        judgements_per_minute=1e9,
        random=random.Random(2).random,
    )
    cache = BedrockSemanticCache(similarity=tier)
    hits: list[tuple[str, Any]] = []
    for _ in range(400):
        asked = topics.ask()
        prompt = dumps([HumanMessage(asked.text)])
        found: Any = cache.lookup(prompt, "model")
        if found is not None:
            hits.append((prompt, found[0].message))
            continue
        cache.update(prompt, "model", [ChatGeneration(message=AIMessage(asked.answer))])
        cache.close()  # waits for the judge

    prompt, message = hits[-1]
    report = message.response_metadata["bedrock_opt"]["cache"]
    assert report["tier"] == "similar"
    assert report["similarity"] > 0.75
    before = cache.similarity_stats()
    assert before is not None
    assert before.hits == len(hits)

    assert cache.feedback(report["hit_id"], correct=False)

    after = cache.similarity_stats()
    assert after is not None
    assert after.labels_wrong == before.labels_wrong + 1
    again: Any = cache.lookup(prompt, "model")
    if again is not None:  # by another entry than the wrong one
        told = again[0].message.response_metadata["bedrock_opt"]["cache"]
        assert told["similarity"] < report["similarity"]


def agreement_told(match: Match | None) -> float:
    assert match is not None
    return match.features[FEATURES.index("agreement")]


def two_near(answers: tuple[str, str], *, secret: bytes = b"") -> tuple[BoundTier, Question]:
    """A tier that knows two questions of one topic, and a third one."""
    topics = Topics()
    made = [topics.ask() for _ in range(200)]
    word = made[0].text.split()[5]
    texts = [asked.text for asked in made if asked.text.split()[5] == word][:3]
    tier = SimilarityTier(topics).bind(InMemoryCacheStore(), name="two", secret=secret)
    for text, answer in zip(texts, answers, strict=False):
        tier.add(Question("scope", text), f"key of {text}", 60, answer=answer)
    return tier, Question("scope", texts[2])


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (("Yes.", "Yes."), 1.0),
        (("Yes.", " \uff39es. \r\n"), 1.0),  # no reader sees the difference
        (("Yes.", "No."), 0.0),
        (("10²", "102"), 0.0),
    ],
)
def test_answers_agree_by_their_canonical_text(answers: tuple[str, str], expected: float) -> None:
    """Equal answers agree, whatever their width and space; others do not."""
    tier, question = two_near(answers)

    assert agreement_told(tier.find(question)) == expected


def test_a_far_question_tells_and_is_not_served() -> None:
    """Candidates below `min_similarity` count for agreement, and are never a match themselves."""
    topics = Topics()
    asked = topics.ask()
    store = InMemoryCacheStore()
    loose = SimilarityTier(topics, min_similarity=-1).bind(store, name="far")
    others = [topics.ask() for _ in range(4)]
    for number, other in enumerate(others):
        loose.add(Question("scope", other.text), str(number), 60, answer="same")
    found = loose.find(Question("scope", asked.text))
    assert found is not None

    between = SimilarityTier(topics, min_similarity=found.similarity).bind(store, name="far")
    above = SimilarityTier(topics, min_similarity=found.similarity + 0.01).bind(store, name="far")

    assert agreement_told(between.find(Question("scope", asked.text))) == 1.0
    assert above.find(Question("scope", asked.text)) is None


def candidate(key: str, similarity: float, answer: bytes) -> Candidate:
    return Candidate(entry_key=key, similarity=similarity, facts=b"", answer=answer)


def test_near_candidates_count_most() -> None:
    """The others count by their similarity to the eighth power, and opposite ones not at all."""
    one = candidate("1", 0.9, b"yes")
    near, far = candidate("2", 0.9, b"yes"), candidate("3", 0.6, b"no")

    assert agreement(one, [one]) == 0.0
    assert agreement(one, [one, near, far]) == pytest.approx(0.9**8 / (0.9**8 + 0.6**8))
    assert agreement(one, [one, candidate("4", -0.5, b"yes")]) == 0.0
