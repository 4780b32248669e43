"""What a router is worth: its quality at each share of strong calls, as RouteLLM defines it.

Prompts are sorted by the router's score and the top share goes to the strong model. What that
recovers of the gap between the weak and the strong model is the curve; APGR is its mean over all
shares, CPT50 and CPT80 are the shares at which it first reaches 50 % and 80 %. Prompts of one
score are taken in random order: the curve is the mean over all orders.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_bedrock_opt.routing.learning.worth import apgr, apgr_interval, recovered

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Worth:
    """A router's figures on one set of prompts.

    Attributes:
        apgr: Random is 0.5; the oracle is above 1 where the weak model is sometimes better.
        low: Lower end of its 95 % confidence interval, by bootstrap over prompts.
        high: Upper end.
        cpt50: Share of strong calls that recovers half of the gap, in percent.
        cpt80: Share that recovers 80 %.
    """

    apgr: float
    low: float
    high: float
    cpt50: float
    cpt80: float


def cpt(scores: Floats, gains: Floats, share: float) -> float:
    """Percent of strong calls needed to recover a share of the gap."""
    curve = recovered(scores, gains)
    reached = int(np.argmax(curve >= share - 1e-12))
    before = curve[reached - 1]
    part = (share - before) / (curve[reached] - before)
    return float(100 * (reached - 1 + part) / (len(curve) - 1))


def worth(scores: Floats, gains: Floats, *, seed: int = 0) -> Worth:
    """All figures, with a confidence interval."""
    low, high = apgr_interval(scores, gains, seed=seed)
    return Worth(
        apgr=apgr(scores, gains),
        low=low,
        high=high,
        cpt50=cpt(scores, gains, 0.5),
        cpt80=cpt(scores, gains, 0.8),
    )


def lift_over_coin(
    is_strong: NDArray[Any], gains: Floats, *, rounds: int = 200, seed: int = 0
) -> tuple[float, float]:
    """What a router's choices recover beyond a coin with the same share of strong calls.

    Returns:
        The lift in shares of the gap, and the lower end of its 95 % confidence interval.
    """
    chance = np.random.default_rng(seed)
    choice = is_strong.astype(float)

    def lift(rows: Any) -> float:
        chosen, gained = choice[rows], gains[rows]
        return float((chosen @ gained - chosen.mean() * gained.sum()) / abs(gained.sum()))

    everything = np.arange(len(gains))
    samples = [lift(chance.choice(everything, len(gains))) for _ in range(rounds)]
    return lift(everything), float(np.percentile(samples, 2.5))
