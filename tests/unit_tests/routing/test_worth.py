"""The arithmetic behind a calibration: falling curves, APGR and reliability."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing.learning.isotonic import FallingCurve
from langchain_bedrock_opt.routing.learning.reliability import (
    brier,
    calibration_error,
    foretell,
    reliability,
)
from langchain_bedrock_opt.routing.learning.worth import apgr, apgr_interval, difference_interval

points = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=40)


# --- Falling curves ---


@given(points, st.floats(0, 1), st.floats(0, 1))
def test_a_harder_prompt_is_never_expected_to_go_better(
    rows: list[tuple[float, float]], one: float, other: float
) -> None:
    """Whatever the labels, the curve falls and stays within them."""
    curve = FallingCurve.fit(*zip(*rows, strict=True))

    easy, hard = sorted((one, other))
    labels = [label for _, label in rows]
    assert curve.at(easy) >= curve.at(hard)
    assert min(labels) - 1e-9 <= curve.at(hard) <= max(labels) + 1e-9


@given(points)
def test_the_curve_has_the_mean_of_the_labels(rows: list[tuple[float, float]]) -> None:
    """Over the prompts it was fitted to, it expects as much as there was."""
    curve = FallingCurve.fit(*zip(*rows, strict=True))

    expected = np.mean([curve.at(score) for score, _ in rows])
    assert expected == pytest.approx(np.mean([label for _, label in rows]), abs=1e-6)


@given(points)
def test_no_straight_guess_is_nearer(rows: list[tuple[float, float]]) -> None:
    """Its squared error is at most that of the mean of the labels, which falls nowhere."""
    curve = FallingCurve.fit(*zip(*rows, strict=True))

    labels = np.array([label for _, label in rows])
    error = sum((curve.at(score) - label) ** 2 for score, label in rows)
    assert error <= float(((labels - labels.mean()) ** 2).sum()) + 1e-6


@given(points, st.randoms())
def test_the_order_of_the_rows_does_not_matter(
    rows: list[tuple[float, float]], chance: object
) -> None:
    """The curve is the same however the labels are sorted."""
    turned = rows[::-1]

    one, other = (FallingCurve.fit(*zip(*each, strict=True)) for each in (rows, turned))

    assert one == other


def test_the_curve_of_a_known_example() -> None:
    """Neighbours that would rise share their mean; between the blocks the curve is straight."""
    curve = FallingCurve.fit([0.1, 0.2, 0.3, 0.4], [1.0, 0.0, 1.0, 0.0])

    assert curve == FallingCurve(scores=(0.1, 0.2, 0.3, 0.4), values=(1.0, 0.5, 0.5, 0.0))
    assert curve.at(0.35) == pytest.approx(0.25)


def test_a_curve_of_nothing_is_refused() -> None:
    """Without a label there is no curve."""
    with pytest.raises(ConfigurationError, match="0 scores and 0 values"):
        FallingCurve.fit([], [])


# --- APGR ---


def test_apgr_of_known_orders() -> None:
    """The right order has the most, the wrong one the least, and equal scores half."""
    gains = np.array([0.0, 0.0, 1.0, 1.0])

    assert apgr(np.array([0.1, 0.2, 0.8, 0.9]), gains) == 0.75
    assert apgr(np.array([0.9, 0.8, 0.2, 0.1]), gains) == 0.25
    assert apgr(np.zeros(4), gains) == 0.5


def test_the_interval_holds_the_figure() -> None:
    """A confidence interval lies about its figure, is the same each time, and narrows with data."""
    chance = np.random.default_rng(1)
    scores = chance.random(400)
    gains = (scores + chance.random(400) > 1).astype(float)

    low, high = apgr_interval(scores, gains)
    few_low, few_high = apgr_interval(scores[:50], gains[:50])

    assert low < apgr(scores, gains) < high
    assert high - low < few_high - few_low
    assert (low, high) == apgr_interval(scores, gains)
    assert difference_interval(scores, scores, gains) == (0.0, 0.0)


@pytest.mark.parametrize("figure", [apgr, apgr_interval])
def test_without_a_gap_there_is_no_figure(figure: object) -> None:
    """Where the stronger tier gains nothing, that is said."""
    with pytest.raises(ConfigurationError, match="gains nothing"):
        figure(np.array([0.1, 0.2]), np.array([0.0, -1.0]))  # type: ignore[operator]


# --- Reliability ---


def test_nothing_is_foretold_by_the_label_itself() -> None:
    """A prompt's own fold has no part in what is foretold of it."""
    scores, folds = [0.1, 0.2, 0.3, 0.4], [0, 0, 1, 1]

    predicted = foretell(scores, [1, 1, 0, 0], folds)

    assert predicted == [0.0, 0.0, 1.0, 1.0]
    assert brier(predicted, [1, 1, 0, 0]) == 1.0


def test_bins_are_of_equal_size_and_hold_every_prompt() -> None:
    """Of 200 prompts each of ten bins has 20, with the means of both sides."""
    predicted = [index / 200 for index in range(200)]
    labels = [0.5] * 200

    bins = reliability(predicted, labels)

    assert [each.prompts for each in bins] == [20] * 10
    assert bins[0].predicted == pytest.approx(9.5 / 200)
    assert calibration_error(bins) == pytest.approx(0.25)
