"""A tier for a score, for certain or at random, with the probability of what was taken.

Whoever logs only what one policy does can't tell what another would have got. So a small part of
the requests may go one tier up or down, and each decision says how probable it was.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, NamedTuple, Protocol

from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing.learning.turns import Turn

MOST_EXPLORED: Final = 0.5
"""Beyond half of the requests, the exception would be the rule."""

_KEY_BYTES: Final = 16
_DIGITS: Final = 12
"""Of a probability: sums of probabilities are exact to about 15."""


class RandomBits(Protocol):
    """A source of randomness, such as a `random.Random`."""

    def getrandbits(self, k: int, /) -> int:
        """A whole number of `k` random bits."""


class Arms(Protocol):
    """Whoever moves the thresholds of a policy, such as a `ThresholdBandit`."""

    @property
    def odds(self) -> Sequence[tuple[float, float]]:
        """The shifts of the thresholds, each with its probability; these add up to 1."""


class Pick(NamedTuple):
    """A tier for a score.

    Attributes:
        tier: Its index.
        score: The score by which it was taken, as far as the thresholds were moved.
        by_score: The index of the tier that the score alone gives.
        wanted: The same, raised to the tier the conversation is with.
        greedy: The index of the tier without exploration.
        shift: How far the thresholds were moved, if that made a difference; else None.
        propensity: The probability with which such a request gets this tier.
    """

    tier: int
    score: float
    by_score: int
    wanted: int
    greedy: int
    shift: float | None = None
    propensity: float = 1.0


class Ladder(NamedTuple):
    """The tiers as one request meets them.

    Attributes:
        starts: The score at which each tier begins, the first at 0.
        able: The indices of the tiers that may answer.
        at_least: The index of the tier its conversation is with; 0 for none.
    """

    starts: Sequence[float]
    able: Sequence[int]
    at_least: int = 0

    def pick(self, score: float) -> Pick:
        """The tier for a score: the first from there upwards that is able, else the last.

        Example:
            >>> Ladder((0.0, 0.3, 0.6), (0, 2)).pick(0.4).tier
            2
        """
        by_score = max(bisect_right(self.starts, score) - 1, 0)
        wanted = max(by_score, self.at_least)
        tier = next((index for index in self.able if index >= wanted), self.able[-1])
        return Pick(tier, score, by_score, wanted, tier)

    def neighbours(self, pick: Pick) -> list[int]:
        """The tiers that may be tried in place of a pick: the next one up, and the next one down.

        None where the conversation keeps the request up, and none below the conversation's tier.
        """
        if pick.wanted > pick.by_score:
            return []
        place = self.able.index(pick.tier)
        below = [index for index in self.able[:place][-1:] if index >= self.at_least]
        return [*below, *self.able[place + 1 :][:1]]


class _Branch(NamedTuple):
    """What one position of the thresholds leads to."""

    probability: float
    shift: float
    pick: Pick
    others: list[int]


class Dice:
    """Draws tiers. The same turn has the same draw, for as long as this object lives.

    Args:
        explore: The probability with which a request goes to a neighbouring tier.
        arms: Moves the thresholds; None leaves them.
        rng: Asked once, here, for the key of all draws. With the same seed, several processes
            draw alike.

    Raises:
        ConfigurationError: `explore` is not between 0 and a half.

    Example:
        >>> dice = Dice(0.1, rng=random.Random(7))
        >>> dice.probabilities(Ladder((0.0, 0.3, 0.6), (0, 1, 2)), 0.4)
        {0: 0.05, 1: 0.9, 2: 0.05}
    """

    def __init__(
        self, explore: float, arms: Arms | None = None, rng: RandomBits | None = None
    ) -> None:
        is_number = isinstance(explore, (int, float)) and not isinstance(explore, bool)
        if not is_number or not 0 <= explore <= MOST_EXPLORED:
            raise ConfigurationError(
                f"explore={explore!r}: give a probability from 0 (off) to {MOST_EXPLORED}, such "
                "as 0.05."
            )
        self._explore = explore
        self._arms = arms
        bits = (rng or random.SystemRandom()).getrandbits(8 * _KEY_BYTES)
        self._key = bits.to_bytes(_KEY_BYTES, "big")

    @property
    def is_on(self) -> bool:
        """Whether there is anything to draw."""
        return self._explore > 0 or self._arms is not None

    def pick(self, ladder: Ladder, score: float, turn: Turn) -> Pick:
        """Draw a tier.

        Args:
            ladder: The tiers.
            score: The prompt's complexity.
            turn: What the draw rests on.
        """
        branches = self._branches(ladder, score)
        which, whether = self._uniforms(turn.key)
        branch = _drawn(branches, which)
        tier = branch.pick.tier
        if branch.others and whether < self._explore:
            tier = branch.others[int(whether / self._explore * len(branch.others))]
        is_contested = len({each.pick.tier for each in branches}) > 1
        return branch.pick._replace(
            tier=tier,
            shift=branch.shift if is_contested else None,
            propensity=self._summed(branches)[tier],
        )

    def probabilities(self, ladder: Ladder, score: float) -> dict[int, float]:
        """The probability of each tier that may be taken.

        Args:
            ladder: The tiers.
            score: The prompt's complexity.
        """
        return self._summed(self._branches(ladder, score))

    def _branches(self, ladder: Ladder, score: float) -> list[_Branch]:
        odds = ((0.0, 1.0),) if self._arms is None else self._arms.odds
        branches = []
        for shift, probability in odds:
            # Thresholds that move up are a score that moves down.
            pick = ladder.pick(min(max(score - shift, 0.0), 1.0) if shift else score)
            others = ladder.neighbours(pick) if self._explore else []
            branches.append(_Branch(probability, shift, pick, others))
        return branches

    def _summed(self, branches: Sequence[_Branch]) -> dict[int, float]:
        sums: dict[int, float] = {}
        for probability, _, pick, others in branches:
            explored = self._explore if others else 0.0
            sums[pick.tier] = sums.get(pick.tier, 0.0) + probability * (1 - explored)
            for other in others:
                sums[other] = sums.get(other, 0.0) + probability * explored / len(others)
        return {tier: round(sums[tier], _DIGITS) for tier in sorted(sums)}

    def _uniforms(self, key: bytes) -> tuple[float, float]:
        """Two numbers from 0 to below 1: which thresholds, and whether another tier."""
        digest = blake2b(key, key=self._key, digest_size=16).digest()
        first, second = digest[:8], digest[8:]
        # 53 bits, as a float has: more could round up to 1.
        return tuple(math.ldexp(int.from_bytes(half, "big") >> 11, -53) for half in (first, second))  # type: ignore[return-value]


def _drawn(branches: Sequence[_Branch], uniform: float) -> _Branch:
    for branch in branches:
        uniform -= branch.probability
        if uniform < 0:
            return branch
    return branches[-1]
