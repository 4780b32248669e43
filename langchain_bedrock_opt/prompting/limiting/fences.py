"""Fenced blocks of code, in Markdown: which one a place is in.

What comes behind an open fence reads as code, so a block that is cut is closed, and one that is
entered in its middle is opened again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_FIRST_LINE: Final = re.compile(r"([ \t]*(`{3,}|~{3,})([^\n]*))")
# Of all the patterns that find such lines this is the quickest: it looks for line ends first.
_LATER_LINE: Final = re.compile(r"\n([ \t]*(`{3,}|~{3,})([^\n]*))")


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
        return line[2].startswith(self.marks) and not line[3].strip()


def open_fence(text: str, position: int) -> Fence | None:
    r"""The fence that is open at a place in a text, if one is.

    Example:
        >>> open_fence("```python\nx = 1\n```\n", 12).opening
        '```python'
        >>> open_fence("```python\nx = 1\n```\n", 20) is None
        True
    """
    fence = None
    for line in _fence_lines(text, 0):
        if line.start(1) >= position:
            break
        if fence is None:
            # Backticks behind backticks are code within a line.
            if "`" not in line[3] or line[2][0] == "~":
                fence = Fence(line.start(1), line.end() + 1, line[1], line[2])
        elif line.end() <= position and fence.is_closed_by(line):
            fence = None
    return fence


def fence_end(text: str, fence: Fence, position: int) -> int:
    """Where the line ends that closes a fence, from a place on; the text's end if none does."""
    lines = _fence_lines(text, text.rfind("\n", 0, position) + 1)
    return next((line.end() for line in lines if fence.is_closed_by(line)), len(text))


def _fence_lines(text: str, start: int) -> Iterator[re.Match[str]]:
    """Lines like a fence: the whole line, its marks, and what is behind them."""
    first = _FIRST_LINE.match(text, start)
    if first:
        yield first
    yield from _LATER_LINE.finditer(text, start)
