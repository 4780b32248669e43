"""How much of a text fits into a number of tokens, without counting it over and over."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Final, TypeAlias

CountText: TypeAlias = Callable[[str], int]

SLACK: Final = 64
"""Tokens by which the sum of the parts may be above the count of the whole: two each."""

_PARTS: Final = 32
_SHORTEST: Final = 1024


class Fitting:
    """Counts a text from one of its ends in parts, each of them once.

    Parts put together may be a little less than their sum, so what is said to fit does, and not
    quite all that fits is said to. A text of less than 1,024 characters is one part.

    Args:
        text: Any text.
        count: Counts the tokens of a text; more text is never fewer tokens.
        from_end: Whether to count from the text's end.
        room: The most tokens that will be asked for.

    Example:
        >>> Fitting("one two three four", lambda text: len(text.split()), room=4).within(3)
        14
    """

    def __init__(self, text: str, count: CountText, *, room: int, from_end: bool = False) -> None:
        self._text = text
        self._count = count
        self._from_end = from_end
        # A budget that takes in little of a long text shall not have all of a part counted.
        self._part = max(_SHORTEST, min(len(text) // _PARTS, 8 * room))
        self._sums = [0]

    def within(self, room: int) -> int:
        """How many characters at this end have at most so many tokens, or nearly so many."""
        size, sums, room = len(self._text), self._sums, max(0, room)
        while sums[-1] <= room and (start := self._part * (len(sums) - 1)) < size:
            sums.append(sums[-1] + self._count(self._piece(start, start + self._part)))
        index = bisect_right(sums, room) - 1
        start = low = min(self._part * index, size)
        left, high = room - sums[index], min(low + self._part, size) + 1
        while high - low > 1:
            middle = (low + high) // 2
            if self._count(self._piece(start, middle)) <= left:
                low = middle
            else:
                high = middle
        return low

    def _piece(self, start: int, stop: int) -> str:
        if not self._from_end:
            return self._text[start:stop]
        size = len(self._text)
        return self._text[max(0, size - stop) : size - start]
