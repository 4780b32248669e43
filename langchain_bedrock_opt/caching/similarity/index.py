"""What an index of questions can do: find those whose embeddings are near."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_NEARNESS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Record:
    """A question whose answer is stored.

    Attributes:
        entry_key: The key of the answer. A scope has one record for each.
        vector: The question's embedding, a unit vector.
        facts: What the gate needs of the question (`TextFacts.to_bytes`).
        answer: A digest of the answer, equal for equal answers and no others.
    """

    entry_key: str
    vector: NDArray[np.float32]
    facts: bytes
    answer: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A record that a search found.

    Attributes:
        entry_key: The key of the answer.
        similarity: The cosine between the two embeddings, up to 1.
        facts: What the gate needs of the stored question.
        answer: A digest of the answer, equal for equal answers and no others.
        ok: How often the answer was found right for another question.
        errors: How often it was found wrong.
    """

    entry_key: str
    similarity: float
    facts: bytes
    answer: bytes
    ok: int = 0
    errors: int = 0


def agreement(candidate: Candidate, found: Sequence[Candidate]) -> float:
    """How far the other candidates agree with one, 0 to 1.

    The nearer they are the more they count, by the eighth power of their similarity.

    Args:
        candidate: One of the candidates.
        found: All of them.

    Returns:
        The share of the others' weight that is of those with the same answer; 0 without others.

    Example:
        >>> one, two, three = (
        ...     Candidate(entry_key=key, similarity=0.9, facts=b"", answer=answer)
        ...     for key, answer in (("1", b"yes"), ("2", b"yes"), ("3", b"no"))
        ... )
        >>> agreement(one, [one, two, three])
        0.5
    """
    others = [
        (max(0.0, other.similarity) ** _NEARNESS, other.answer == candidate.answer)
        for other in found
        if other.entry_key != candidate.entry_key
    ]
    weight = sum(weight for weight, _ in others)
    return sum(weight for weight, agrees in others if agrees) / weight if weight else 0.0


@runtime_checkable
class VectorIndex(Protocol):
    """Records of questions, each in one scope, for a limited time.

    A search never finds a record of another scope. It may miss a record, and it may find one whose
    answer is gone; it is used by many threads at once. Whatever goes wrong is raised as
    `CacheStoreError`.
    """

    def add(self, scope: str, record: Record, ttl: float | None) -> None:
        """Keep a record, in place of one with the same `entry_key` in this scope.

        Args:
            scope: Hexadecimal digits that name the scope.
            record: The record.
            ttl: For how many seconds; None for as long as there is room.

        Raises:
            CacheStoreError: It could not be kept.
        """

    def search(self, scope: str, vector: NDArray[np.float32], k: int) -> list[Candidate]:
        """The nearest records of a scope.

        Args:
            scope: The scope.
            vector: A unit vector.
            k: How many to find at most.

        Returns:
            The candidates, the nearest first.

        Raises:
            CacheStoreError: The index could not be read, or its vectors have other dimensions.
        """

    def is_empty(self, scope: str) -> bool:
        """Whether a scope holds nothing, so that no embedding is needed to search it.

        Raises:
            CacheStoreError: The index could not be read.
        """

    def remove(self, scope: str, entry_key: str) -> None:
        """Forget a record; nothing happens if it is not there.

        Raises:
            CacheStoreError: It could not be removed.
        """

    def learn(self, scope: str, entry_key: str, *, correct: bool) -> None:
        """Count that an answer was right or wrong for another question.

        Args:
            scope: The scope.
            entry_key: The key of the answer; nothing happens if there is no record of it.
            correct: Whether it was right.

        Raises:
            CacheStoreError: It could not be counted.
        """
