"""What a score is worth: how much of the gap between two tiers it recovers, as RouteLLM measures.

Prompts are sorted by their score and the top share goes to the stronger tier. APGR is the share of
the gap in quality that this recovers, averaged over all shares: 0.5 for a coin, above 1 for an
oracle where the weaker tier is sometimes better.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from langchain_bedrock_opt.errors import ConfigurationError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_ROUNDS: Final = 500
_ENDS: Final = (2.5, 97.5)
_MAX_DRAWS: Final = 20 * _ROUNDS


def recovered(scores: Floats, gains: Floats) -> Floats:
    """The share of the gap that is recovered by the 0, 1, … n strong calls the scores would make.

    Prompts of one score are taken in random order: the curve is the mean over all orders.

    Args:
        scores: Of each prompt; higher means the stronger tier.
        gains: What the stronger tier's answer is better by, for each prompt.

    Raises:
        ConfigurationError: On these prompts the stronger tier is not better, so there is no gap.
    """
    import numpy as np

    total = float(gains.sum())
    if total <= 0:
        raise ConfigurationError("The stronger tier gains nothing on these prompts.")
    _, place, count = np.unique(-scores, return_inverse=True, return_counts=True)
    mean = np.bincount(place, gains) / count
    return np.concatenate([[0.0], np.cumsum(np.repeat(mean, count))]) / total


def apgr(scores: Floats, gains: Floats) -> float:
    """The share of the gap that is recovered, averaged over all shares of strong calls.

    Args:
        scores: Of each prompt; higher means the stronger tier.
        gains: What the stronger tier's answer is better by, for each prompt.

    Raises:
        ConfigurationError: On these prompts the stronger tier is not better, so there is no gap.

    Example:
        >>> import numpy as np
        >>> apgr(np.array([0.1, 0.9]), np.array([0.0, 1.0]))
        0.75
    """
    curve = recovered(scores, gains)
    return float((curve[1:] + curve[:-1]).mean() / 2)


def apgr_interval(scores: Floats, gains: Floats, *, seed: int = 0) -> tuple[float, float]:
    """The 95 % confidence interval of APGR, by bootstrap over prompts.

    Args:
        scores: Of each prompt.
        gains: What the stronger tier's answer is better by.
        seed: Of the draws.
    """
    return _interval(lambda rows: apgr(scores[rows], gains[rows]), gains, seed)


def difference_interval(
    scores: Floats, others: Floats, gains: Floats, *, seed: int = 0
) -> tuple[float, float]:
    """The 95 % confidence interval of the difference of two scores' APGR, on the same draws.

    Args:
        scores: By one scorer.
        others: By the other, whose APGR is taken off.
        gains: What the stronger tier's answer is better by.
        seed: Of the draws.
    """
    return _interval(
        lambda rows: apgr(scores[rows], gains[rows]) - apgr(others[rows], gains[rows]), gains, seed
    )


def _interval(
    figure: Callable[[NDArray[np.int64]], float], gains: Floats, seed: int
) -> tuple[float, float]:
    import numpy as np

    chance = np.random.default_rng(seed)
    found: list[float] = []
    for _ in range(_MAX_DRAWS):
        rows = chance.integers(0, len(gains), len(gains))
        if gains[rows].sum() > 0:  # a draw without a gap has no figure
            found.append(figure(rows))
        if len(found) == _ROUNDS:
            break
    if not found:
        raise ConfigurationError("The stronger tier gains nothing on these prompts.")
    low, high = np.percentile(found, _ENDS)
    return float(low), float(high)
