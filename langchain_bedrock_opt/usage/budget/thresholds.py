"""Says when a budget is half spent, nearly spent, spent: once a window each."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final

from langchain_bedrock_opt.catalog.prices import usd
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.usage.bounded import keep_newest

logger = logging.getLogger(__name__)

_MAX_TOLD: Final = 4096


class Thresholds:
    """Logs each threshold that is passed, and tells a function of the user's.

    It has no lock: the garbage collector may close an abandoned stream at any point, which settles
    a call inside `check`.

    Args:
        fractions: Parts of the limit, above 0 and at most 1.
        on_threshold: Called with the budget's key, the threshold and what is used, in US dollars.

    Raises:
        ConfigurationError: A fraction is out of range.
    """

    def __init__(
        self,
        fractions: Sequence[float],
        on_threshold: Callable[[str, float, Decimal], object] | None,
    ) -> None:
        if not all(0 < fraction <= 1 for fraction in fractions):
            raise ConfigurationError(
                f"thresholds={fractions!r}: give parts of the limit, above 0 and at most 1."
            )
        self._fractions = sorted(fractions)
        self._on_threshold = on_threshold
        # By budget and number of the threshold, who told it: of many callers one finds itself.
        self._told: OrderedDict[tuple[str, int], object] = OrderedDict()

    def check(self, key: str, used: int, limit: int) -> None:
        """Say which thresholds are newly passed.

        Args:
            key: The budget, with its window.
            used: What is used of it, in pico-USD.
            limit: Its limit, likewise.
        """
        reached = sum(used >= fraction * limit for fraction in self._fractions)
        me = object()
        passed: list[float] = []
        # Downwards: below one that was told, all were.
        for number in range(reached, 0, -1):
            if self._told.setdefault((key, number), me) is not me:
                break
            passed.append(self._fractions[number - 1])
        if not passed:
            return
        keep_newest(self._told, _MAX_TOLD)
        for fraction in reversed(passed):
            self._say(key, fraction, usd(used), usd(limit))

    def _say(self, key: str, fraction: float, used: Decimal, limit: Decimal) -> None:
        logger.warning("Budget=<%s> is at %.0f %%: $%s of $%s", key, fraction * 100, used, limit)
        if self._on_threshold is None:
            return
        try:
            self._on_threshold(key, fraction, used)
        except Exception:  # whatever the user's function does, the call goes on
            logger.warning("on_threshold failed for budget=<%s>", key, exc_info=True)
