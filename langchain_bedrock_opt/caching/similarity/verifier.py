"""Which candidates may be served, learned in place from labels.

A label says whether the answer of a candidate was right. Two things bring labels: a candidate that
was not served, once the model has answered (it stands for itself), and hits that are asked again
to see whether they were right (an audit, which stands for all the hits that were not asked again).
From them come a model that scores candidates and a threshold. A candidate is served if its score
reaches the threshold, and if it is no farther in similarity and shared words than the right ones
that prove the threshold: a model is not believed where it has seen nothing.

It fails closed: no labels, too few, no threshold that two fits in a row both prove, or audits that
find more errors than promised, and nothing is served. The bound on errors holds for each fit of
the threshold; that fits are repeated as labels come is not corrected for. The benchmark
`cache_similarity` counts how often whole streams break the promise.
"""

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
"""Changes with `FEATURES`. Labels of another version are refused, and learned anew."""

_ROW = struct.Struct(f"<{len(FEATURES)}e")
"""Features are kept in half precision: 5,000 labels take 260 KB."""

_LARGEST: Final = 60000.0  # of half precision
_RIDGE: Final = 10.0
_PRIOR: Final = 0.1
_REFIT_LEAST: Final = 25
_REFIT_SHARE: Final = 0.05
"""A fit for 25 labels at the start, and for each twentieth more: it takes milliseconds."""

_AUDITS_WATCHED: Final = 50
_ALARM: Final = 1e-3
"""How unlikely the errors among the last audits may be before the verifier closes."""

_SUPPORT: Final = tuple(
    map(FEATURES.index, ("similarity", "words_shared", "content_shared", "grams_shared"))
)


class _Label(NamedTuple):
    """A judgement. Labels stand in the order of `turn`; with `name` it tells them apart."""

    turn: int
    name: int
    weight: float
    correct: bool
    row: bytes

    @property
    def is_audit(self) -> bool:
        return self.weight > 1


class _Rule(NamedTuple):
    """What is served: a model, its threshold, and the least that was seen of some features."""

    model: LogisticModel
    proof: Proof | None
    least: tuple[float, ...]

    def serves(self, features: Sequence[float]) -> bool:
        if self.proof is None or not self.model.score(features) >= self.proof.threshold:
            return False
        return all(
            features[place] >= least for place, least in zip(_SUPPORT, self.least, strict=True)
        )


class Verifier:
    """Serves what it has proven to be right often enough, and nothing before.

    Safe to use from many threads. Learning a label takes microseconds, and some milliseconds when
    the model is fitted anew.

    Args:
        max_error_rate: The share of hits that may be wrong, between 0 and 1.
        confidence: How sure the verifier has to be of that, between 0 and 1.
        judge_error: The share of labels that are themselves wrong, as far as known, below 0.5.
            Give a low estimate: errors that the judge is said to make up are not held against
            the cache.
        max_labels: How many labels are kept, the newest.
        new_name: Gives random numbers of 63 bits that tell labels of processes apart.

    Raises:
        ConfigurationError: A rate is out of its range, or too few labels are kept.

    Example:
        >>> verifier = Verifier(max_error_rate=0.02)
        >>> verifier.serves([1.0] * len(FEATURES)), verifier.threshold
        (False, None)
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
        _check_rate("max_error_rate", max_error_rate, 0, 1)
        _check_rate("confidence", confidence, 0.5, 1)
        _check_rate("judge_error", judge_error, -1e-9, 0.5)
        if max_labels < _REFIT_LEAST:
            raise ConfigurationError(f"max_labels is {max_labels}: give {_REFIT_LEAST} or more")
        self._allowed = judge_error + max_error_rate * (1 - 2 * judge_error)
        self._promise = {
            "max_error_rate": max_error_rate,
            "confidence": confidence,
            "judge_error": judge_error,
        }
        self._max_labels = max_labels
        self._new_name = new_name
        self._lock = Lock()
        self._labels: list[_Label] = []
        self._rule: _Rule | None = None
        self._was_proven = False
        self._unlearned = 0
        self._since = 0

    @property
    def threshold(self) -> float | None:
        """The lowest score that is served; None while nothing is."""
        proof = self._proof
        return proof.threshold if proof else None

    @property
    def label_count(self) -> int:
        """How many labels the verifier holds."""
        return len(self._labels)

    @property
    def error_bound(self) -> float | None:
        """The upper bound on errors among hits at the threshold; None while nothing is served."""
        proof = self._proof
        return proof.error_bound if proof else None

    @property
    def _proof(self) -> Proof | None:
        rule = self._rule
        return rule.proof if rule else None

    def score(self, features: Sequence[float]) -> float:
        """How likely the known answer may be reused, 0 to 1; 0 before anything was learned.

        Args:
            features: The features of a candidate, in the order of `FEATURES`.
        """
        rule = self._rule
        return rule.model.score(features) if rule else 0.0

    def serves(self, features: Sequence[float]) -> bool:
        """Whether a candidate with these features may be served.

        Args:
            features: The features of a candidate, in the order of `FEATURES`.
        """
        rule = self._rule
        return rule is not None and rule.serves(features)

    def learn(self, features: Sequence[float], *, correct: bool, weight: float = 1.0) -> None:
        """Take in one judgement.

        Args:
            features: Of the candidate that was judged.
            correct: Whether its answer was right for the question.
            weight: For how many requests this one stands: 1 for a candidate that was judged
                because it was not served, 1 / `audit_rate` for an audited hit.

        Raises:
            ValueError: The features are not those of `FEATURES`, or a number is not finite.
        """
        if not all(map(isfinite, features)) or not 1 <= weight <= _LARGEST:
            raise ValueError("features have to be finite numbers, and the weight 1 or more")
        row = _packed(features)
        with self._lock:
            turn = self._labels[-1].turn + 1 if self._labels else 0
            label = _Label(turn, self._new_name(), float(weight), correct, row)
            self._labels.append(label)
            self._unlearned += 1
            if label.is_audit:
                self._watch()
            if self._unlearned >= max(_REFIT_LEAST, _REFIT_SHARE * len(self._labels)):
                self._refit()

    def merge(self, state: Mapping[str, Any]) -> None:
        """Take in the labels of another process, each label once.

        Args:
            state: What the other's `to_dict` gave.

        Raises:
            CacheStoreError: It is no state of a verifier, or of another version.
        """
        labels, since, was_proven = _read_state(state)
        with self._lock:
            self._since = max(self._since, since)
            self._was_proven = self._was_proven or was_proven
            every = sorted({*self._labels, *labels})
            self._labels = [label for label in every if label.turn >= self._since]
            self._refit()

    def to_dict(self) -> dict[str, Any]:
        """The labels as data for msgpack (numbers and bytes); bounded by `max_labels`."""
        with self._lock:
            labels = self._labels[-self._max_labels :]
        return {
            "version": STATE_VERSION,
            "since": self._since,
            "proven": self._was_proven,
            "turns": [label.turn for label in labels],
            "names": [label.name for label in labels],
            "weights": [label.weight for label in labels],
            "correct": bytes(label.correct for label in labels),
            "rows": b"".join(label.row for label in labels),
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any], **settings: Any) -> Verifier:
        """A verifier that has learned the labels of a state.

        Args:
            state: What `to_dict` gave.
            settings: The arguments of the constructor; they are not part of the state.

        Raises:
            CacheStoreError: It is no state of a verifier, or of another version.
            ConfigurationError: As the constructor.
        """
        verifier = cls(**settings)
        verifier.merge(state)
        return verifier

    def _watch(self) -> None:
        """Close, and forget what was before, if the last audits break the promise."""
        audits = [label for label in self._labels if label.is_audit][-_AUDITS_WATCHED:]
        wrong = sum(not label.correct for label in audits)
        if at_most(wrong - 1, len(audits), self._allowed) <= 1 - _ALARM:
            return
        self._since = audits[0].turn
        self._labels = [label for label in self._labels if label.turn >= self._since]
        self._rule, self._was_proven = None, False

    def _refit(self) -> None:
        """Fit model and threshold; a first threshold has to be proven twice."""
        import numpy as np

        self._unlearned = 0
        del self._labels[: -self._max_labels]
        if not self._labels:
            self._rule = None
            return
        packed = b"".join(label.row for label in self._labels)
        rows = np.frombuffer(packed, "<f2").reshape(-1, len(FEATURES)).astype(np.float64)
        correct = np.array([label.correct for label in self._labels], np.float64)
        weights = np.array([label.weight for label in self._labels], np.float64)
        model, left_out = fit(rows, correct, ridge=_RIDGE, prior=_PRIOR)
        proof = lowest_threshold(left_out, correct, weights, **self._promise)
        is_first, self._was_proven = not self._was_proven, proof is not None
        if proof is None or is_first:
            self._rule = _Rule(model, None, ())
            return
        proven = rows[(left_out >= proof.threshold) & (correct > 0)][:, _SUPPORT]
        # Rows were rounded to half precision, maybe up: what was proven itself has to pass.
        least = np.nextafter(proven.min(axis=0).astype(np.float16), np.float16(-np.inf))
        self._rule = _Rule(model, proof, tuple(map(float, least)))


def _check_rate(name: str, value: float, low: float, high: float) -> None:
    if not low < value < high:
        raise ConfigurationError(f"{name} is {value}: give a number between {low} and {high}")


def _packed(features: Sequence[float]) -> bytes:
    try:
        return _ROW.pack(*features)
    except (struct.error, OverflowError) as error:
        raise ValueError(f"features have to be {len(FEATURES)} small numbers: {error}") from error


def _read_state(state: Mapping[str, Any]) -> tuple[list[_Label], int, bool]:
    import numpy as np

    try:
        if state["version"] != STATE_VERSION:
            raise ValueError(state["version"])  # noqa: TRY301 - one message for all
        rows_are_finite = np.isfinite(np.frombuffer(state["rows"], "<f2")).all()
        if not rows_are_finite or not all(1 <= weight <= _LARGEST for weight in state["weights"]):
            raise ValueError("not finite")  # noqa: TRY301
        rows = [row for (row,) in struct.iter_unpack(f"{_ROW.size}s", state["rows"])]
        columns = state["turns"], state["names"], state["weights"], state["correct"], rows
        labels = [
            _Label(int(turn), int(name), float(weight), bool(correct), row)
            for turn, name, weight, correct, row in zip(*columns, strict=True)
        ]
        return labels, int(state["since"]), bool(state["proven"])
    except (KeyError, TypeError, ValueError, struct.error) as error:
        raise CacheStoreError("a cache entry holds no labels of this version") from error
