"""The lowest score at which errors among hits are proven to be rare enough.

Thresholds are tried from strict to lax and the first that can't be proven ends the search (fixed
sequence testing, as in "Learn then Test", Angelopoulos et al., 2021). So however many are tried,
the chance that any of them is wrongly believed stays at 1 - confidence. Where the steps lie depends
on how many labels there are and not on what they say; the first is proven even if one label above
it is an error, so that a single slip of a judge does not keep the cache closed for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Final

from langchain_bedrock_opt.caching.similarity.bounds import at_most, upper_bound

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_STEP: Final = 1.15


@dataclass(frozen=True, slots=True)
class Proof:
    """A threshold that holds.

    Attributes:
        threshold: The lowest score that may be served.
        error_bound: The upper bound on errors among hits there.
    """

    threshold: float
    error_bound: float


def lowest_threshold(
    scores: Floats,
    correct: Floats,
    weights: Floats,
    *,
    max_error_rate: float,
    confidence: float,
    judge_error: float = 0.0,
) -> Proof | None:
    """Search the lowest threshold that is proven.

    Where a label stands for many requests, its weight says for how many. Scores are put into
    layers; the weights say how much of what is served comes from a layer, and all labels of the
    layer, whatever their weight, say how often it is wrong. That wastes none of the labels that
    were cheap, which the plain weighted mean would.

    Args:
        scores: A score for each label, by a model that did not see it.
        correct: 1 or 0 for each label.
        weights: For how many requests each label stands.
        max_error_rate: The share of hits that may be wrong.
        confidence: How sure the proof has to be.
        judge_error: The share of labels that are themselves wrong. Errors that the judge makes up
            are taken off the bound.

    Returns:
        The threshold, or None if not even the strictest is proven.
    """
    import numpy as np

    allowed = judge_error + max_error_rate * (1 - 2 * judge_error)
    order = np.argsort(-scores, kind="stable")
    scores, wrong, weights = scores[order], 1 - correct[order], weights[order]
    proof = None
    for end, errors, trials in _layers(
        scores, wrong, weights, _first_step(allowed, confidence, judge_error)
    ):
        if at_most(errors, trials, allowed) > 1 - confidence:
            break
        bound = (upper_bound(errors, trials, confidence) - judge_error) / (1 - 2 * judge_error)
        proof = Proof(float(scores[end - 1]), max(0.0, bound))
    return proof


def _first_step(allowed: float, confidence: float, judge_error: float) -> int:
    """How many labels are needed to prove anything, with some slips allowed."""
    count = 10
    while at_most(_slips(count, judge_error), count, allowed) > 1 - confidence:
        count = int(count * 1.05) + 1
    return count


def _slips(count: int, judge_error: float) -> float:
    """The errors that the first threshold survives: one, and what a judge makes up, with luck."""
    expected = judge_error * count
    return 1 + expected + sqrt(expected)


def _layers(
    scores: Floats, wrong: Floats, weights: Floats, first: int
) -> list[tuple[int, float, float]]:
    """For each threshold: how many labels are above it, and errors and trials by layers."""
    import numpy as np

    ends: list[int] = []
    size = float(first)
    while size <= len(scores):
        # Equal scores are served together.
        end = int(np.searchsorted(-scores, -scores[int(size) - 1], side="right"))
        if not ends or end > ends[-1]:
            ends.append(end)
        size *= _STEP
    if not ends:
        return []
    starts = [0, *ends[:-1]]
    counts = np.diff([0, *ends]).astype(float)
    mass, errors = np.add.reduceat(weights, starts), np.add.reduceat(wrong, starts)
    last = ends[-1]
    if last < len(scores):  # reduceat runs on to the end
        mass[-1], errors[-1] = weights[starts[-1] : last].sum(), wrong[starts[-1] : last].sum()
    total = np.cumsum(mass)
    rate = np.cumsum(mass * errors / counts) / total
    trials = np.minimum(total**2 / np.cumsum(mass**2 / counts), np.cumsum(counts))
    return [
        (end, float(share * trial), float(trial))
        for end, share, trial in zip(ends, rate, trials, strict=True)
    ]
