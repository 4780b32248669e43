"""Whether what is foretold comes true: of the prompts said to be 80 % safe, are 80 % good?"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from langchain_bedrock_opt.routing.learning.isotonic import FallingCurve

_MOST_BINS: Final = 10
_LEAST_IN_BIN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """Prompts of which about the same was foretold.

    Attributes:
        predicted: The mean of the probabilities that were foretold.
        observed: The mean of the labels.
        prompts: How many they are.
    """

    predicted: float
    observed: float
    prompts: int


def foretell(
    scores: Sequence[float], labels: Sequence[float], folds: Sequence[Hashable]
) -> list[float]:
    """The probability of a good answer to each prompt, by a curve that has not seen its fold.

    Args:
        scores: Of the prompts.
        labels: How good the answers were.
        folds: The fold each prompt is in.
    """
    rows = list(zip(scores, labels, folds, strict=True))
    curves = {}
    for fold in dict.fromkeys(folds):
        others = [(score, label) for score, label, each in rows if each != fold]
        # All prompts in one fold: there is nothing else to learn from.
        seen = others or [(score, label) for score, label, _ in rows]
        curves[fold] = FallingCurve.fit(*zip(*seen, strict=True))
    return [curves[fold].at(score) for score, _, fold in rows]


def reliability(predicted: Sequence[float], labels: Sequence[float]) -> tuple[ReliabilityBin, ...]:
    """Foretold and observed, in up to ten bins of about equal size.

    Args:
        predicted: Probabilities.
        labels: What came of it, from 0 to 1.

    Example:
        >>> [one] = reliability([0.5, 0.75], [0, 1])
        >>> one.predicted, one.observed, one.prompts
        (0.625, 0.5, 2)
    """
    rows = sorted(zip(predicted, labels, strict=True))
    count = max(1, min(_MOST_BINS, len(rows) // _LEAST_IN_BIN))
    edges = [round(len(rows) * place / count) for place in range(count + 1)]
    return tuple(_bins(rows, edges))


def _bins(rows: Sequence[tuple[float, float]], edges: Sequence[int]) -> Iterator[ReliabilityBin]:
    for start, end in pairwise(edges):
        part = rows[start:end]
        yield ReliabilityBin(
            predicted=sum(probability for probability, _ in part) / len(part),
            observed=sum(label for _, label in part) / len(part),
            prompts=len(part),
        )


def brier(predicted: Sequence[float], labels: Sequence[float]) -> float:
    """The mean squared error of what was foretold: 0 is perfect, "half of them" gets 0.25.

    Args:
        predicted: Probabilities.
        labels: What came of it, from 0 to 1.

    Example:
        >>> brier([1.0, 0.5], [1, 0])
        0.125
    """
    rows = zip(predicted, labels, strict=True)
    return sum((probability - label) ** 2 for probability, label in rows) / len(predicted)


def calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """The mean distance of foretold and observed, each bin by its prompts.

    Args:
        bins: As `reliability` gives them.
    """
    prompts = sum(each.prompts for each in bins)
    return sum(abs(each.predicted - each.observed) * each.prompts for each in bins) / prompts
