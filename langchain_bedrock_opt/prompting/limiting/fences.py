"""Fenced blocks of code, in Markdown: which one a place is in.

What comes behind an open fence reads as code, so a block that is cut is closed, and one that is
entered in its middle is opened again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_MARKS: Final = ("```", "~~~")
_LINE: Final = re.compile(r"[ \t]*(`{3,}|~{3,})([^\n]*)")


class Fence(NamedTuple):
    """A fence that is open at some place.

    Attributes:
        start: Where its opening line begins.
        body: Where the line after that begins.
        opening: The opening line.
        marks: The characters that close it.
    """

    start: int
    body: int
    opening: str
    marks: str

    def is_closed_by(self, line: re.Match[str]) -> bool:
        """Whether a line ends the block: the same marks, no fewer, and nothing behind them."""
        return line[1].startswith(self.marks) and not line[2].strip()


def open_fence(text: str, position: int) -> Fence | None:
    r"""The fence that is open at a place in a text, if one is.

    Example:
        >>> open_fence("```python\nx = 1\n```\n", 12).opening
        '```python'
        >>> open_fence("```python\nx = 1\n```\n", 20) is None
        True
    """
    fence = None
    for line in _fence_lines(text, 0, position):
        if fence is None:
            # Backticks behind backticks are code within a line.
            if "`" not in line[2] or line[1][0] == "~":
                fence = Fence(line.start(), line.end() + 1, line.group(), line[1])
        elif line.end() <= position and fence.is_closed_by(line):
            fence = None
    return fence


def fence_end(text: str, fence: Fence, position: int) -> int:
    """Where the line ends that closes a fence, from a place on; the text's end if none does."""
    lines = _fence_lines(text, text.rfind("\n", 0, position) + 1, len(text))
    return next((line.end() for line in lines if fence.is_closed_by(line)), len(text))


def _fence_lines(text: str, start: int, stop: int) -> Iterator[re.Match[str]]:
    """Lines that begin, within a stretch, like a fence."""
    for place in _places(text, start, stop):
        begin = text.rfind("\n", 0, place) + 1
        line = _LINE.match(text, begin)
        if line and line.start(1) == place:
            yield line


def _places(text: str, start: int, stop: int) -> Iterator[int]:
    """Where a line's marks are, in order. `find` goes through megabytes in no time."""
    nearest = [text.find(marks, start, stop) for marks in _MARKS]
    while any(place >= 0 for place in nearest):
        place = min(place for place in nearest if place >= 0)
        yield place
        line_end = text.find("\n", place, stop)
        after = stop if line_end < 0 else line_end
        nearest = [
            text.find(marks, after, stop) if 0 <= found < after else found
            for marks, found in zip(_MARKS, nearest, strict=True)
        ]
