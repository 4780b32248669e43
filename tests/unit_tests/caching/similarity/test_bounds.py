"""The exact binomial bound, and the thresholds that rest on it."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_bedrock_opt.caching.similarity.bounds import at_most, upper_bound
from langchain_bedrock_opt.caching.similarity.thresholds import lowest_threshold

PROMISE = {"max_error_rate": 0.05, "confidence": 0.9}


@given(st.integers(1, 60), st.integers(-1, 60), st.floats(0.001, 0.999))
def test_at_most_is_the_binomial_distribution(trials: int, errors: int, rate: float) -> None:
    """The distribution function is the sum of its terms."""
    terms = [
        comb(trials, count) * rate**count * (1 - rate) ** (trials - count)
        for count in range(min(errors, trials) + 1)
    ]

    assert at_most(errors, trials, rate) == pytest.approx(sum(terms), abs=1e-9)


@pytest.mark.parametrize(
    ("errors", "trials", "bound"),
    [(0, 10, 0.2057), (1, 10, 0.3368), (0, 114, 0.0200), (5, 500, 0.0185), (10, 10, 1.0)],
)
def test_upper_bound_is_clopper_and_pearsons(errors: int, trials: int, bound: float) -> None:
    """Bounds at 90 % are those of the tables."""
    assert upper_bound(errors, trials, 0.9) == pytest.approx(bound, abs=1e-3)


def scored(count: int, *, seed: int, slope: float) -> tuple[np.ndarray, np.ndarray]:
    """Scores from 0 to 1, right with a chance that rises with the score."""
    dice = np.random.default_rng(seed)
    scores = dice.random(count)
    return scores, (dice.random(count) < 1 - slope * (1 - scores)).astype(float)


def test_the_promise_holds_where_thresholds_are_searched() -> None:
    """Of 200 searches over dozens of thresholds, no more than one in ten breaks the promise."""
    broken = found = 0
    for seed in range(200):
        scores, correct = scored(1500, seed=seed, slope=0.5)
        proof = lowest_threshold(scores, correct, np.ones(1500), **PROMISE)
        if proof is not None:
            found += 1
            broken += 0.5 * (1 - proof.threshold) / 2 > 0.05  # the mean error above it

    assert found > 100
    assert broken <= 0.1 * 200


def test_audits_count_for_the_hits_they_stand_for() -> None:
    """Where most of what is served is known to be right, a little of what is not is allowed."""
    scores = np.repeat([0.9, 0.5], 300)
    correct = np.concatenate([np.ones(300), np.tile([1, 1, 1, 1, 0], 60)])
    cheap, audits = np.ones(600), np.repeat([33.0, 1.0], 300)

    lax = lowest_threshold(scores, correct, audits, **PROMISE)
    strict = lowest_threshold(scores, correct, cheap, **PROMISE)

    assert lax is not None
    assert strict is not None
    assert (lax.threshold, strict.threshold) == (0.5, 0.9)


def test_errors_that_the_judge_makes_up_are_not_held_against_the_cache() -> None:
    """A judge who is wrong in 5 % of cases, and said to be, keeps few good caches closed."""

    def opened(judge_error: float) -> int:
        proofs = []
        for seed in range(40):
            dice = np.random.default_rng(seed)
            scores, correct = dice.random(4000), (dice.random(4000) > 0.055).astype(float)
            proofs.append(
                lowest_threshold(scores, correct, np.ones(4000), **PROMISE, judge_error=judge_error)
            )
        return sum(proof is not None for proof in proofs)

    assert opened(0.0) <= 4
    assert opened(0.05) >= 20


def test_few_labels_prove_nothing() -> None:
    """Ten right answers are no proof of one error in twenty."""
    assert lowest_threshold(np.ones(10), np.ones(10), np.ones(10), **PROMISE) is None
