"""A stream of questions through the similarity gate, with labels only where a cache gets them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.cache_data import facts
from benchmarks.routing_metrics import Floats
from langchain_bedrock_opt.caching.similarity.features import features
from langchain_bedrock_opt.caching.similarity.verifier import Verifier
from langchain_bedrock_opt.caching.similarity.vetoes import veto

AUDIT_RATE = 0.03
CANDIDATES = 5


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


@dataclass
class _Entry:
    text: str
    answer: str
    ok: int = 0
    errors: int = 0


@dataclass
class Stream:
    """Questions with known answers; two with the same answer may share it.

    Attributes:
        texts: The questions.
        answers: The answer of each.
        vectors: The embedding of each.
    """

    texts: Sequence[str]
    answers: Sequence[str]
    vectors: Floats = field(repr=False)

    def through_gate(self, verifier: Verifier, *, seed: int, judge_noise: float = 0.0) -> Outcome:
        """Send all questions, in a random order, through the gate.

        A candidate that is not served costs a call, and the judge labels it; of the hits,
        `AUDIT_RATE` are asked again and judged, and count as calls. A question that was answered
        by the model becomes an entry.

        Args:
            verifier: A new one; it learns on the way.
            seed: Of the order, the audits and the judge's slips.
            judge_noise: How often the judge, else an oracle, says the opposite.
        """
        dice, outcome = random.Random(seed), Outcome(requests=len(self.texts))
        entries: list[_Entry] = []
        known = np.empty_like(self.vectors)
        for number in np.random.default_rng(seed).permutation(len(self.texts)).tolist():
            text, answer, vector = self.texts[number], self.answers[number], self.vectors[number]
            found = _candidate(text, entries, known[: len(entries)] @ vector)
            if found is not None:
                entry, row = found
                is_right = entry.answer == answer
                serves = verifier.serves(row)
                if serves and dice.random() >= AUDIT_RATE:
                    outcome.hits += 1
                    outcome.wrong += not is_right
                    continue
                verdict = is_right != (dice.random() < judge_noise)
                verifier.learn(row, correct=verdict, weight=1 / AUDIT_RATE if serves else 1.0)
                outcome.judged += 1
                entry.ok, entry.errors = entry.ok + verdict, entry.errors + (not verdict)
            known[len(entries)] = vector
            entries.append(_Entry(text, answer))
        return outcome

    def through_cosine(self, threshold: float, *, seed: int) -> Outcome:
        """The same with a fixed threshold on the cosine, as shipped elsewhere."""
        outcome = Outcome(requests=len(self.texts))
        known, answers = np.empty_like(self.vectors), list[str]()
        for number in np.random.default_rng(seed).permutation(len(self.texts)).tolist():
            similarity = known[: len(answers)] @ self.vectors[number]
            best = int(similarity.argmax()) if answers else 0
            if answers and similarity[best] >= threshold:
                outcome.hits += 1
                outcome.wrong += answers[best] != self.answers[number]
                continue
            known[len(answers)] = self.vectors[number]
            answers.append(self.answers[number])
        return outcome


def _candidate(
    text: str, entries: Sequence[_Entry], similarity: Floats
) -> tuple[_Entry, tuple[float, ...]] | None:
    """The nearest entry without a veto, of the five nearest, and its features."""
    count = min(CANDIDATES, len(entries))
    if not count:
        return None
    near = np.argpartition(-similarity, count - 1)[:count]
    near = near[np.argsort(-similarity[near])]
    weights = {int(place): max(0.0, float(similarity[place])) ** 8 for place in near}
    for place in weights:
        entry = entries[place]
        if veto(facts(text), facts(entry.text)) is not None:
            continue
        others = {other: weight for other, weight in weights.items() if other != place}
        agreeing = sum(
            weight for other, weight in others.items() if entries[other].answer == entry.answer
        )
        return entry, features(
            facts(text),
            facts(entry.text),
            float(similarity[place]),
            agreement=agreeing / sum(others.values()) if any(others.values()) else 0.0,
            ok=entry.ok,
            errors=entry.errors,
        )
    return None
