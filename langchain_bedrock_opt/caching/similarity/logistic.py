"""Logistic regression that knows beforehand which way each feature points.

Where `FEATURE_SIGNS` says which way a feature points, its coefficient starts there, labels have to
argue it away (a ridge around that), and it never points the other way: a verifier that has seen
only near questions must not find a far one better than those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from typing import TYPE_CHECKING, Any, Final

from langchain_bedrock_opt.caching.similarity.features import FEATURE_SIGNS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_STEPS: Final = 25
_CLOSE: Final = 1e-6
_EXTREME: Final = 30.0
_BIAS_RIDGE: Final = 0.01
"""Next to nothing, but it keeps the bias finite where all labels are equal."""


@dataclass(frozen=True, slots=True)
class LogisticModel:
    """A fitted model: plain floats, since one score is faster without numpy."""

    bias: float
    coefficients: tuple[float, ...]

    def score(self, features: Sequence[float]) -> float:
        """The probability that the answer may be reused."""
        line = self.bias + sum(
            coefficient * feature
            for coefficient, feature in zip(self.coefficients, features, strict=True)
        )
        # In this order a NaN scores next to nothing.
        return 1 / (1 + exp(-min(_EXTREME, max(-_EXTREME, line))))


def fit(
    rows: Floats, correct: Floats, *, ridge: float, prior: float
) -> tuple[LogisticModel, Floats]:
    """Fit a model, and score each row by a model that did not see it.

    The scores left one out come from the one fit, by a Newton step for each row (the approximate
    leave-one-out of Beirami et al., 2017), so that no folds have to be fitted.

    Args:
        rows: Features, a row for each label.
        correct: 1 or 0 for each row.
        ridge: How strongly coefficients of scaled features are held to their prior.
        prior: The size of an expected coefficient.

    Returns:
        The model, and the left-out score of each row.
    """
    import numpy as np

    mean, scale = rows.mean(axis=0), rows.std(axis=0)
    scale[scale < _CLOSE] = 1.0
    scaled: Floats = np.hstack([np.ones((len(rows), 1)), (rows - mean) / scale])
    signs: Floats = np.array([0.0, *FEATURE_SIGNS])
    centre = signs * prior
    centre[0] = _log_odds(float(correct.mean()), len(correct))
    penalty: Floats = np.full(len(signs), ridge)
    penalty[0] = _BIAS_RIDGE
    beta, free = _newton(scaled, correct, centre, penalty, signs)
    left_out = _left_out(scaled, correct, beta, free, penalty)
    coefficients = beta[1:] / scale
    bias = float(beta[0] - coefficients @ mean)
    return LogisticModel(bias, tuple(map(float, coefficients))), left_out


def _newton(x: Floats, y: Floats, centre: Floats, penalty: Floats, signs: Floats) -> Any:
    """Newton steps; a coefficient that turns the wrong way is held at zero from then on."""
    import numpy as np

    beta = centre.copy()
    free = np.ones(len(beta), dtype=bool)
    for _ in range(_STEPS):
        p = _sigmoid(x @ beta)
        gradient = x.T @ (y - p) - penalty * (beta - centre)
        part = x[:, free]
        hessian = (part * (p * (1 - p))[:, None]).T @ part + np.diag(penalty[free])
        step = np.zeros(len(beta))
        step[free] = np.linalg.solve(hessian, gradient[free])
        longest = float(np.abs(step).max())
        beta += step * min(1.0, 3.0 / longest) if longest else 0.0
        wrong = free & (beta * signs < 0)
        beta[wrong] = 0.0
        free &= ~wrong
        if longest < 1e-3 and not wrong.any():  # noqa: PLR2004 - scores agree to three digits
            break
    return beta, free


def _left_out(x: Floats, y: Floats, beta: Floats, free: Any, penalty: Floats) -> Floats:
    import numpy as np

    line = x @ beta
    p = _sigmoid(line)
    weight = p * (1 - p)
    part = x[:, free]
    hessian = (part * weight[:, None]).T @ part + np.diag(penalty[free])
    spread = np.einsum("ij,ij->i", part @ np.linalg.inv(hessian), part)
    room = np.maximum(1 - weight * spread, _CLOSE)
    scores: Floats = _sigmoid(line + spread * (p - y) / room)
    return scores


def _sigmoid(line: Floats) -> Floats:
    import numpy as np

    found: Floats = 1 / (1 + np.exp(-np.clip(line, -_EXTREME, _EXTREME)))
    return found


def _log_odds(share: float, count: int) -> float:
    share = (share * count + 0.5) / (count + 1)
    return log(share / (1 - share))
