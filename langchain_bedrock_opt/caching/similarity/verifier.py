"""Which candidates may be served, learned in place from labels."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from secrets import randbits
from threading import Lock
from typing import Any, Final, NamedTuple

from langchain_bedrock_opt.caching.similarity.bounds import at_most
from langchain_bedrock_opt.caching.similarity.features import FEATURES
from langchain_bedrock_opt.caching.similarity.logistic import LogisticModel, fit
from langchain_bedrock_opt.caching.similarity.thresholds import Proof, lowest_threshold
from langchain_bedrock_opt.errors import CacheStoreError, ConfigurationError

STATE_VERSION: Final = 1
"""Changes with the features; labels of another version are refused and learned anew."""

_ROW = struct.Struct(f"<{len(FEATURES)}e")
_RIDGE: Final = 10.0
_PRIOR: Final = 0.1
_REFIT_SHARE: Final = 0.05
_REFIT_LEAST: Final = 25
_AUDITS: Final = 50
_ALARM: Final = 1e-3
_SUPPORT: Final = tuple(
    FEATURES.index(name)
    for name in ("similarity", "words_shared", "content_shared", "grams_shared")
)


class _Label(NamedTuple):
    """A judgement. Labels are put in order by `turn`, and told apart by it and `name`."""

    turn: int
    name: int
    weight: float
    correct: bool
    row: bytes


class _Rule(NamedTuple):
    """What is served: a model, its threshold, and the least that was seen of some features."""

    model: LogisticModel
    proof: Proof | None
    least: tuple[float, ...]
    
    def serves(self, features: Sequence[float]) -> bool:
        if self.proof is None or self.model.score(features) < self.proof.threshold:
            return False
        return all(
            features[place] >= least for place, least in zip(_SUPPORT, self.least, strict=True)
        )


class Verifier:
    """Serves what it has proven to be right often enough, and nothing before.

    Args:
        max_error_rate: The share of hits that may be wrong.
        confidence: How sure the verifier has to be of that.
        judge_error: The share of labels that are themselves wrong, as far as known.
        max_labels: How many labels are kept, the newest.
        new_name: Gives random numbers that tell labels apart.
    """

    def __init__(
        self,
        *,
        max_error_rate: float,
        confidence: float = 0.9,
        judge_error: float = 0.0,
        max_labels: int = 5000,
        new_name: Callable[[], int] = lambda: randbits(63),
    ) -> None:
        self.max_error_rate = max_error_rate
        self.confidence = confidence
        self.judge_error = judge_error
        self.max_labels = max_labels
        self._new_name = new_name
        self._labels: list[_Label] = []
        self._rule: _Rule | None = None
        self._was_proven = False
        self._unlearned = 0
        self._lock = Lock()

    @property
    def threshold(self) -> float | None:
        """The lowest score that is served; None while nothing is."""
        proof = self._proof()
        return proof.threshold if proof else None

    @property
    def label_count(self) -> int:
        """How many labels the verifier holds."""
        return len(self._labels)

    @property
    def error_bound(self) -> float | None:
        """The upper bound on errors among hits at the threshold; None while nothing is served."""
        proof = self._proof()
        return proof.error_bound if proof else None

    def _proof(self) -> Proof | None:
        return self._rule.proof if self._rule else None

    def score(self, features: Sequence[float]) -> float:
        """How likely the known answer may be reused, 0 to 1; 0 before anything was learned."""
        return self._rule.model.score(features) if self._rule else 0.0

    def serves(self, features: Sequence[float]) -> bool:
        """Whether a candidate with these features may be served."""
        rule = self._rule
        return rule is not None and rule.serves(features)

    def learn(self, features: Sequence[float], *, correct: bool, weight: float = 1.0) -> None:
        row = _ROW.pack(*features)
        with self._lock:
            turn = self._labels[-1].turn + 1 if self._labels else 0
            self._labels.append(_Label(turn, self._new_name(), weight, correct, row))
            self._unlearned += 1
            self._check_drift()
            if self._unlearned >= max(_REFIT_LEAST, _REFIT_SHARE * len(self._labels)):
                self._refit()

    def _check_drift(self):
        audits = [l for l in self._labels if l.weight > 1][-_AUDITS:]
        if not self._labels[-1].weight > 1: return
        wrong = sum(not l.correct for l in audits)
        allowed = self.judge_error + self.max_error_rate * (1 - 2 * self.judge_error)
        if 1 - at_most(wrong - 1, len(audits), allowed) < _ALARM if wrong else False:
            self._labels = self._labels[self._labels.index(audits[0]):]
            self._rule = None; self.alarms = getattr(self, "alarms", 0) + 1

    def _refit(self):
        import numpy as np
        self._unlearned = 0
        del self._labels[:-self.max_labels]
        rows = np.frombuffer(b"".join(l.row for l in self._labels), dtype="<f2").reshape(len(self._labels), -1).astype(float)
        correct = np.array([l.correct for l in self._labels], dtype=float)
        weights = np.array([l.weight for l in self._labels])
        if not 0 < correct.sum() < len(correct): return
        model, left_out = fit(rows, correct, ridge=_RIDGE, prior=_PRIOR)
        proof = lowest_threshold(left_out, correct, weights, max_error_rate=self.max_error_rate, confidence=self.confidence, judge_error=self.judge_error)
        was, self._was_proven = self._was_proven, proof is not None
        if proof and not was: proof = None
        least = tuple(rows[(left_out >= proof.threshold)&(correct>0)][:, _SUPPORT].min(axis=0)) if proof else ()
        self._rule = _Rule(model, proof, least)
