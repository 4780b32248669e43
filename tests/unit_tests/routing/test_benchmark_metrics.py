"""The figures of the routing benchmark, on curves that can be drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.routing_metrics import cpt, lift_over_coin, worth
from langchain_bedrock_opt.routing.learning.worth import apgr, recovered

GAINS = np.array([1.0, 1.0, 0.0, 0.0])


def test_the_perfect_order_recovers_the_gap_first() -> None:
    """A router that ranks the gains right has the whole gap after half of the calls."""
    scores = np.array([4.0, 3.0, 2.0, 1.0])

    assert recovered(scores, GAINS).tolist() == [0, 0.5, 1, 1, 1]
    assert apgr(scores, GAINS) == 0.75
    assert cpt(scores, GAINS, 0.5) == 25
    assert cpt(scores, GAINS, 0.8) == pytest.approx(40)


def test_the_worst_order_is_its_mirror() -> None:
    """The reverse order has what the perfect one lacks."""
    assert apgr(np.array([1.0, 2.0, 3.0, 4.0]), GAINS) == 0.25


@given(st.permutations(range(8)))
def test_equal_scores_are_random(order: list[int]) -> None:
    """Where all scores are equal, the order of the rows does not matter: the figure is 0.5."""
    gains = np.array([1.0, 0, 1, -1, 1, 0, 0, 1])[order]

    assert apgr(np.zeros(8), gains) == pytest.approx(0.5)
    assert cpt(np.zeros(8), gains, 0.8) == pytest.approx(80)


def test_without_a_gap_there_is_no_figure() -> None:
    """Where the strong model is not better, asking for a share of the gap is an error."""
    with pytest.raises(ValueError, match="gains nothing"):
        apgr(np.arange(2.0), np.array([1.0, -1.0]))


def test_the_interval_holds_the_figure() -> None:
    """The confidence interval is around the figure, and the same in each run."""
    gains = np.tile(GAINS, 50)
    scores = np.arange(200.0)

    found = worth(scores, gains)

    assert found.low < found.apgr < found.high
    assert found == worth(scores, gains)


def test_a_coin_has_no_lift() -> None:
    """Choices that know the gains lift, and a blind share does not."""
    gains = np.tile(GAINS, 50)

    lift, low = lift_over_coin(gains > 0, gains)

    assert lift == pytest.approx(0.5)
    assert low > 0.3
    assert lift_over_coin(np.tile([True, False], 100), gains)[0] == pytest.approx(0)
