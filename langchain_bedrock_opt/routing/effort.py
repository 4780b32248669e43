"""Reasoning effort: a step before a bigger model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_RAISED_FROM: Final = 0.5
"""The part of a tier's band, from its bottom, that is answered without more effort."""


def effort_at(score: float, start: float, end: float, levels: Sequence[str]) -> str | None:
    """The effort for a score within a tier's band.

    The lower half of the band makes none; the upper half is shared out among the levels.

    Args:
        score: The prompt's complexity.
        start: Where the tier's band begins.
        end: Where the next tier's begins; 1 for the strongest.
        levels: The levels, from the least. The most of them also holds above the band, where the
            stronger tiers can't serve a request.

    Returns:
        A level, or None to leave the model as it is set up.

    Example:
        >>> [effort_at(score, 0.4, 0.8, ["low", "high"]) for score in (0.5, 0.65, 0.75, 0.9)]
        [None, 'low', 'high', 'high']
    """
    width = end - start
    if not levels or score < start:
        return None
    position = (score - start) / width if width > 0 else 1.0
    if position < _RAISED_FROM:
        return None
    step = int((position - _RAISED_FROM) / (1 - _RAISED_FROM) * len(levels))
    return levels[min(step, len(levels) - 1)]
