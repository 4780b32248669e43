"""Dicts that forget their oldest entries, without a lock."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from typing import Any


def keep_newest(entries: OrderedDict[Any, Any], most: int) -> None:
    """Drop the oldest entries beyond a number, whoever else is at it.

    Example:
        >>> entries = OrderedDict(a=1, b=2, c=3)
        >>> keep_newest(entries, 2)
        >>> list(entries)
        ['b', 'c']
    """
    with suppress(KeyError):  # others took them out
        while len(entries) > most:
            entries.popitem(last=False)
