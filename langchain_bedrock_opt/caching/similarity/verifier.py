"""Which candidates may be served, learned in place from labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class Verifier:
    """Serves what it has proven to be right often enough, and nothing before.

    Args:
        max_error_rate: The share of hits that may be wrong.
        confidence: How sure the verifier has to be of that.
        judge_error: The share of labels that are themselves wrong, as far as known.
        max_labels: How many labels are kept, the newest.
    """

    def __init__(
        self,
        *,
        max_error_rate: float,
        confidence: float = 0.9,
        judge_error: float = 0.0,
        max_labels: int = 5000,
    ) -> None:
        raise NotImplementedError

    @property
    def threshold(self) -> float | None:
        """The lowest score that is served; None while nothing is."""

    @property
    def label_count(self) -> int:
        """How many labels the verifier holds."""
        raise NotImplementedError

    @property
    def error_bound(self) -> float | None:
        """The upper bound on errors among hits at the threshold; None while nothing is served."""

    def score(self, features: Sequence[float]) -> float:
        """How likely the known answer may be reused, 0 to 1."""
        raise NotImplementedError

    def serves(self, features: Sequence[float]) -> bool:
        """Whether a candidate with these features may be served."""
        raise NotImplementedError

    def learn(self, features: Sequence[float], *, correct: bool, weight: float = 1.0) -> None:
        """Take in one judgement.

        Args:
            features: Of the candidate that was judged.
            correct: Whether its answer was right for the question.
            weight: For how many requests this one stands: 1 for a candidate that was judged
                because it was not served, 1 / `audit_rate` for an audited hit.
        """
        raise NotImplementedError

    def merge(self, state: Mapping[str, Any]) -> None:
        """Take in the labels of another process, each label once.

        Args:
            state: What the other's `to_dict` gave.

        Raises:
            CacheStoreError: It is no state of a verifier, or of another version.
        """
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """The labels as data for msgpack (numbers, texts and bytes); bounded by `max_labels`."""
        raise NotImplementedError

    @classmethod
    def from_dict(
        cls, state: Mapping[str, Any], *, max_error_rate: float, confidence: float = 0.9
    ) -> Verifier:
        """A verifier that has learned the labels of a state; settings are the caller's.

        Raises:
            CacheStoreError: It is no state of a verifier, or of another version.
        """
        raise NotImplementedError
