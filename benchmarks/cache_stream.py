"""A stream of questions through the similarity tier, with labels only where a cache gets them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from langchain_core.embeddings import Embeddings

from benchmarks.routing_metrics import Floats
from langchain_bedrock_opt import InMemoryCacheStore
from langchain_bedrock_opt.caching.similarity.bound import BoundTier, Question
from langchain_bedrock_opt.caching.similarity.tier import SimilarityTier

SCOPE: Final = "banking"
_UNLIMITED: Final = 1e9
_MOST_DOCUMENTS: Final = 1_000_000


class OurEmbeddings(Embeddings):
    """A function that embeds texts, as LangChain's embeddings.

    Args:
        embed: Gives a vector for each text, as rows.
    """

    def __init__(self, embed: Callable[[Sequence[str]], Floats]) -> None:
        self._embed = embed

    def embed_query(self, text: str) -> list[float]:
        """The vector of a text."""
        return self.embed_documents([text])[0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """The vectors of texts."""
        return [list(map(float, row)) for row in self._embed(texts)]


@dataclass(kw_only=True)
class Outcome:
    """What became of a stream: shares of all requests, and of hits."""

    requests: int = 0
    hits: int = 0
    wrong: int = 0
    judged: int = 0

    @property
    def hit_rate(self) -> float:
        """The share of requests that were answered from the cache."""
        return self.hits / self.requests

    @property
    def error_rate(self) -> float:
        """The share of hits whose answer was wrong."""
        return self.wrong / self.hits if self.hits else 0.0


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Whom a tier can trust, and what it promises.

    Attributes:
        promise: The share of hits that may be wrong.
        judge_noise: How often the judge, else an oracle, says the opposite.
        judge_error: What the tier is told of that.
        same_words: Whether answers that mean the same are the same word for word.
    """

    promise: float
    judge_noise: float = 0.0
    judge_error: float = 0.0
    same_words: bool = True


@dataclass
class Stream:
    """Questions with known answers; two with the same answer may share it.

    Attributes:
        texts: The questions.
        answers: The answer of each.
        embed: Gives a unit vector for each text, as rows.
    """

    texts: Sequence[str]
    answers: Sequence[str]
    embed: Callable[[Sequence[str]], Floats]

    def through_tier(self, settings: Settings, *, seed: int) -> tuple[Outcome, BoundTier]:
        """Send all questions, in a random order, through the shipped tier over a store in memory.

        A hit is given as it is. Everything else costs a call, audits too; then the answer is
        kept, and the judge is asked about the candidate, as a cache does it.

        Args:
            settings: What the tier promises, and its judge.
            seed: Of the order, the audits and the judge's slips.

        Returns:
            What became of the stream, and the tier at its end.
        """
        outcome, tier = Outcome(requests=len(self.texts)), self._tier(settings, seed)
        for number in np.random.default_rng(seed).permutation(len(self.texts)).tolist():
            question, answer = Question(SCOPE, self.texts[number]), self.answers[number]
            match = tier.find(question)
            known = "" if match is None else self.answers[int(match.entry_key)]
            if match is not None and match.served:
                outcome.hits += 1
                outcome.wrong += known != answer
                continue
            words = answer if settings.same_words else f"{answer} {number}"
            tier.add(question, str(number), None, answer=words)
            if match is not None and tier.needs_label(match):
                tier.judge(question, match, known, answer)
                outcome.judged += 1
        return outcome, tier

    def through_cosine(self, threshold: float, *, seed: int) -> Outcome:
        """The same with a fixed threshold on the cosine, as shipped elsewhere."""
        outcome, vectors = Outcome(requests=len(self.texts)), self.embed(self.texts)
        known, answers = np.empty_like(vectors), list[str]()
        for number in np.random.default_rng(seed).permutation(len(self.texts)).tolist():
            similarity = known[: len(answers)] @ vectors[number]
            best = int(similarity.argmax()) if answers else 0
            if answers and similarity[best] >= threshold:
                outcome.hits += 1
                outcome.wrong += answers[best] != self.answers[number]
                continue
            known[len(answers)] = vectors[number]
            answers.append(self.answers[number])
        return outcome

    def _tier(self, settings: Settings, seed: int) -> BoundTier:
        dice = random.Random(seed)

        def judge(question: str, known_answer: str, new_answer: str) -> bool:  # noqa: ARG001
            return (known_answer == new_answer) != (dice.random() < settings.judge_noise)

        tier = SimilarityTier(
            OurEmbeddings(self.embed),
            max_error_rate=settings.promise,
            judge=judge,
            judge_error=settings.judge_error,
            judgements_per_minute=_UNLIMITED,
            random=dice.random,
        )
        store = InMemoryCacheStore(max_entries=_MOST_DOCUMENTS)
        return tier.bind(store, name="benchmark")
