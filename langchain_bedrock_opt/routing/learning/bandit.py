"""A bandit over thresholds: from feedback it learns whether they stand too high or too low.

Its arms are a few shifts of all thresholds at once. Each has a normal posterior of its utility,
and is taken with the probability that it is the best (Thompson sampling), which is worked out
when feedback comes. So a decision costs microseconds, and its probability is known exactly.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from langchain_bedrock_opt.contracts import Reason, RouteDecision
from langchain_bedrock_opt.errors import ConfigurationError, UnknownTierError
from langchain_bedrock_opt.routing.json_values import load_json, many, named, number, save_json

if TYPE_CHECKING:
    from numpy.random import Generator

SIGNAL: Final = "bandit"
"""Signal of the reason that holds the shift of a decision."""

FORMAT: Final = "threshold-bandit/1"
"""What a saved state says it is."""

_SAMPLES: Final = 4000
"""Draws by which the probabilities are worked out: each is right to about one in a hundred."""

_PRIOR_COUNT: Final = 2.0
"""Feedback that the prior counts for: in it, every arm is as good as all of them together."""

_PRIOR_VARIANCE: Final = 0.25
"""The most that labels from 0 to 1 can vary."""

_LEAST_ARMS: Final = 3
_DIGITS: Final = 6


class ThresholdBandit:
    """Moves the thresholds of a policy up or down by what feedback says.

    The utility of an answer is its label less `price_weight` times the tier's cost as a share of
    the strongest tier's. A lower shift of the thresholds sends more prompts to stronger tiers.
    Only decisions count on which the arms disagree: there, and only there, the reasons of a
    decision name the shift, under the signal `bandit`.

    Each feedback counts as new evidence. A prompt that comes again has the same draw, so the same
    arm for as long as the odds stay: where few prompts make up most of the traffic, an arm may win
    by theirs, and the odds are surer than they should be. `ChatBedrockRouter.calibrate` makes it
    begin anew, as the shifts are then of other thresholds.

    Safe to use from several threads. It remembers no decisions, only sums for each arm; the shift
    is read from the decision that feedback is given on, which may come from another process.

    Args:
        max_shift: How far the thresholds are moved at most, up or down.
        arms: How many positions there are, evenly spread, the thresholds' own among them.
        price_weight: What the strongest tier's price is worth, in units of the label: 0.15 has it
            asked where it is better by 15 points or more (against a tier that costs nothing).
        floor: The least probability of each arm: what is spent on learning, for good.
        discount: What earlier feedback counts for at each new one; below 1 for a world that
            changes. 0.999 looks back on about 1,000.
        rng: Draws from the posteriors.

    Raises:
        ConfigurationError: An argument is not what it can be.

    Example:
        >>> bandit = ThresholdBandit(max_shift=0.1, arms=3)
        >>> bandit.odds
        ((-0.1, 0.3333333333333333), (0.0, 0.3333333333333333), (0.1, 0.3333333333333333))
    """

    _counts: list[float]
    _sums: list[float]
    _squares: float
    _odds: tuple[tuple[float, float], ...]

    def __init__(
        self,
        *,
        max_shift: float = 0.1,
        arms: int = 5,
        price_weight: float = 0.15,
        floor: float = 0.05,
        discount: float = 1.0,
        rng: Generator | None = None,
    ) -> None:
        _check_settings(max_shift, arms, price_weight, floor, discount)
        half = arms // 2
        self._shifts = tuple(
            round(max_shift * step / half, _DIGITS) for step in range(-half, half + 1)
        )
        self.price_weight = price_weight
        self._floor = floor
        self._discount = discount
        self._rng = rng
        self._lock = threading.Lock()
        self._enabled = True
        self._frozen = False
        self._start_anew()

    def __repr__(self) -> str:
        """Its settings."""
        return (
            f"ThresholdBandit(max_shift={self._shifts[-1]}, arms={len(self._shifts)}, "
            f"price_weight={self.price_weight}, floor={self._floor}, discount={self._discount})"
        )

    # --- What a policy asks ---

    @property
    def odds(self) -> tuple[tuple[float, float], ...]:
        """The shifts of the thresholds with their probabilities; no shift while switched off."""
        return self._odds if self._enabled else ((0.0, 1.0),)

    @property
    def enabled(self) -> bool:
        """Whether the thresholds are moved. False puts them back at once; nothing is forgotten."""
        return self._enabled

    @enabled.setter
    def enabled(self, value: bool) -> None:
        self._enabled = value

    # --- Learning ---

    def learn(
        self, decision: RouteDecision, label: float, *, cost_shares: Mapping[str, float]
    ) -> bool:
        """Take in how good an answer was.

        A router does this by its `feedback`, which knows the tiers' prices. The same answer's
        feedback counts as often as it is given.

        Args:
            decision: The decision that led to the answer.
            label: From 0 (useless) to 1 (good); True and False will do.
            cost_shares: What each tier costs, by its name, as a share of the dearest one's price.

        Returns:
            Whether it counted. It does not if the arms had no say, another tier was tried or stood
            in for one that was not to be reached, the decision was made in shadow mode or by other
            arms, or the bandit is frozen.

        Raises:
            ConfigurationError: The label is not from 0 to 1.
            UnknownTierError: The decision is for a tier that `cost_shares` does not have.
        """
        label = _checked_label(label)
        arm = self._arm_of(decision)
        if arm is None or self._frozen:
            return False
        # An escalated answer has cost what was asked first, too.
        asked = {decision.tier, decision.escalated_from or decision.tier}
        if unknown := asked.difference(cost_shares):
            raise UnknownTierError(
                f"Feedback on tier {', '.join(map(repr, unknown))}: the tiers here are "
                f"{', '.join(cost_shares)}. Give it to the router that decided."
            )
        self._add(arm, label - self.price_weight * sum(cost_shares[tier] for tier in asked))
        return True

    def _add(self, arm: int, utility: float) -> None:
        with self._lock:
            for index in range(len(self._shifts)):
                self._counts[index] *= self._discount
                self._sums[index] *= self._discount
            self._squares = self._squares * self._discount + utility**2
            self._counts[arm] += 1
            self._sums[arm] += utility
            self._odds = self._worked_out()

    def freeze(self) -> None:
        """Stop learning: the probabilities stay as they are, and feedback does not count."""
        self._frozen = True

    def unfreeze(self) -> None:
        """Go on learning."""
        self._frozen = False

    def reset(self) -> None:
        """Forget all feedback."""
        with self._lock:
            self._start_anew()

    @property
    def best(self) -> float:
        """The shift with the highest mean utility so far; 0 before any feedback."""
        with self._lock:
            means = self._means()
        return max(
            zip(means, self._shifts, strict=True), key=lambda each: (each[0], -abs(each[1]))
        )[1]

    def stats(self) -> list[dict[str, float]]:
        """Each arm's shift, probability, feedback (discounted) and mean utility, JSON-ready."""
        with self._lock:
            means, counts, odds = self._means(), list(self._counts), self._odds
        return [
            {"shift": shift, "probability": probability, "count": count, "mean": mean}
            for (shift, probability), count, mean in zip(odds, counts, means, strict=True)
        ]

    # --- Keeping ---

    def save(self, path: str | Path) -> None:
        """Write what was learned to a file of JSON, all of it or nothing.

        Args:
            path: The file; one that is there is replaced.

        Raises:
            ConfigurationError: It can't be written.
        """
        with self._lock:
            state = {
                "format": FORMAT,
                "shifts": list(self._shifts),
                "price_weight": self.price_weight,
                "counts": list(self._counts),
                "sums": list(self._sums),
                "squares": self._squares,
            }
        save_json(Path(path), state)

    def load(self, path: str | Path) -> None:
        """Take what was learned from a file in place of what this bandit has.

        Args:
            path: The file that `save` wrote.

        Raises:
            ConfigurationError: It is missing, damaged, something else, or of other arms.
        """

        def read(values: Any) -> tuple[list[float], list[float], float]:
            return _state(values, self._shifts, self.price_weight)

        counts, sums, squares = load_json(Path(path), read, "state of a bandit")
        with self._lock:
            self._counts, self._sums, self._squares = counts, sums, squares
            self._odds = self._worked_out()

    # --- Posteriors; the lock is held ---

    def _start_anew(self) -> None:
        self._counts = [0.0] * len(self._shifts)
        self._sums = [0.0] * len(self._shifts)
        self._squares = 0.0
        self._odds = self._worked_out()

    def _means(self) -> list[float]:
        """The posterior mean of each arm: drawn towards that of all feedback."""
        total = sum(self._counts)
        overall = sum(self._sums) / total if total else 0.0
        return [
            (each_sum + _PRIOR_COUNT * overall) / (count + _PRIOR_COUNT)
            for each_sum, count in zip(self._sums, self._counts, strict=True)
        ]

    def _worked_out(self) -> tuple[tuple[float, float], ...]:
        """The probabilities by which the arms are taken."""
        number, total = len(self._shifts), sum(self._counts)
        if not total:
            return tuple((shift, 1 / number) for shift in self._shifts)
        import numpy as np

        rng = self._rng = self._rng or np.random.default_rng()
        scatter = max(self._squares - sum(self._sums) ** 2 / total, 0.0)
        variance = (scatter + _PRIOR_COUNT * _PRIOR_VARIANCE) / (total + _PRIOR_COUNT)
        deviations = np.sqrt(variance / (np.array(self._counts) + _PRIOR_COUNT))
        draws = rng.normal(self._means(), deviations, (_SAMPLES, number))
        wins = np.bincount(draws.argmax(axis=1), minlength=number) / _SAMPLES
        mixed = self._floor + (1 - number * self._floor) * wins
        return tuple(zip(self._shifts, mixed.tolist(), strict=True))

    def _arm_of(self, decision: RouteDecision) -> int | None:
        """The index of the arm that a decision was made by, if its outcome tells of the arm."""
        notes = decision.notes
        told = notes.get(SIGNAL)
        if told is None or "explore" in notes or decision.forced:
            return None
        if decision.shadow is not None or decision.fallback_from is not None:
            return None
        shift = _shift_of(told)
        return self._shifts.index(shift) if shift in self._shifts else None


def reason_of(shift: float) -> Reason:
    """The reason of a decision that was made by an arm.

    Args:
        shift: How far the arm moves the thresholds.
    """
    return Reason(signal=SIGNAL, weight=0.0, detail=f"thresholds moved by {shift:+}")


def _shift_of(reason: Reason) -> float | None:
    try:
        return float(reason.detail.rpartition(" ")[2])
    except ValueError:
        return None  # another version's words


def _checked_label(label: float) -> float:
    if not isinstance(label, (bool, int, float)) or not 0 <= label <= 1:
        raise ConfigurationError(f"Label {label!r}: give a number from 0 to 1, True or False.")
    return float(label)


def _check_settings(
    max_shift: float, arms: int, price_weight: float, floor: float, discount: float
) -> None:
    if not 0 < max_shift < 1:
        raise ConfigurationError(f"max_shift={max_shift!r}: give a number between 0 and 1.")
    if not isinstance(arms, int) or arms < _LEAST_ARMS or not arms % 2:
        raise ConfigurationError(f"arms={arms!r}: give an odd number from 3 on, such as 5.")
    if not 0 <= price_weight < math.inf:
        raise ConfigurationError(f"price_weight={price_weight!r}: give a number from 0 on.")
    if not 0 < floor <= 1 / arms:
        raise ConfigurationError(
            f"floor={floor!r}: give a probability above 0 and up to {1 / arms:g}, as there are "
            f"{arms} arms."
        )
    if not 0 < discount <= 1:
        raise ConfigurationError(f"discount={discount!r}: give a number above 0 and up to 1.")


def _state(
    values: Any, shifts: Sequence[float], price_weight: float
) -> tuple[list[float], list[float], float]:
    """The sums in a saved state, checked."""
    values = named(values, "the file")
    expected = {"format": FORMAT, "shifts": list(shifts), "price_weight": price_weight}
    for name, value in expected.items():
        if values.get(name) != value:
            raise ConfigurationError(
                f"{name} is {values.get(name)!r}, not {value!r}: load it into a bandit like the "
                "one that saved it."
            )
    count_of = partial(number, low=0)
    counts = many(values.get("counts"), "counts", count_of, count=len(shifts))
    sums = many(values.get("sums"), "sums", number, count=len(shifts))
    return [*counts], [*sums], number(values.get("squares"), "squares", low=0)
