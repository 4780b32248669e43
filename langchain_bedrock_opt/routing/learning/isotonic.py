"""From a score to a probability: the best curve that falls as prompts get harder."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from langchain_bedrock_opt.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class FallingCurve:
    """How good a tier's answers are by the score of the prompt; never better for a higher score.

    Straight lines between the knots, flat beyond them.

    Attributes:
        scores: Where the knots stand, ascending.
        values: The share of good answers there, from 1 to 0, never rising.

    Raises:
        ConfigurationError: There is no knot, or they are not as said above.

    Example:
        >>> curve = FallingCurve.fit([0.1, 0.2, 0.8, 0.9], [1, 1, 0, 0])
        >>> curve.at(0.0), round(curve.at(0.5), 6), curve.at(1.0)
        (1.0, 0.5, 0.0)
    """

    scores: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check the knots."""
        falls = all(left >= right for left, right in pairwise(self.values))
        ascends = list(self.scores) == sorted(self.scores)
        within = all(0 <= value <= 1 for value in (*self.scores, *self.values))
        if not self.scores or len(self.scores) != len(self.values):
            raise ConfigurationError(
                f"{len(self.scores)} scores and {len(self.values)} values: a curve needs one value "
                "for each score, and one at least."
            )
        if not (falls and ascends and within):
            raise ConfigurationError(
                "A curve's scores must ascend and its values fall, all of them from 0 to 1."
            )

    @classmethod
    def fit(cls, scores: Sequence[float], labels: Sequence[float]) -> FallingCurve:
        """Isotonic regression: the falling curve with the least squared error.

        Args:
            scores: Of prompts, from 0 to 1.
            labels: How good the answers were, from 0 to 1.

        Raises:
            ConfigurationError: There is nothing to fit, or a number is not from 0 to 1.
        """
        blocks: list[_Block] = []
        for score, label in sorted(zip(scores, labels, strict=True)):
            block = _Block(start=score, end=score, total=label, count=1)
            if blocks and blocks[-1].end == score:
                block = blocks.pop().joined(block)
            # Pool adjacent violators: what would rise is averaged with what came before.
            while blocks and blocks[-1].mean <= block.mean:
                block = blocks.pop().joined(block)
            blocks.append(block)
        knots = {edge: block.mean for block in blocks for edge in (block.start, block.end)}
        return cls(scores=tuple(knots), values=tuple(knots.values()))

    def at(self, score: float) -> float:
        """The share of good answers at a score.

        Args:
            score: Of a prompt.
        """
        right = bisect_right(self.scores, score)
        if right == 0:
            return self.values[0]
        if right == len(self.scores):
            return self.values[-1]
        start, end = self.scores[right - 1], self.scores[right]
        high, low = self.values[right - 1], self.values[right]
        part = (score - start) / (end - start)
        # Within its ends, whatever rounding does.
        return min(high, max(low, high + (low - high) * part))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """Neighbours that share one value."""

    start: float
    end: float
    total: float
    count: int

    @property
    def mean(self) -> float:
        # Sums of labels may round to a hair above their count.
        return min(1.0, self.total / self.count)

    def joined(self, other: _Block) -> _Block:
        return _Block(
            start=self.start,
            end=other.end,
            total=self.total + other.total,
            count=self.count + other.count,
        )
