"""What a reader sees as one character is never taken apart.

A flag, a family of emoji, a letter with its accents, a Hangul syllable of single letters, a line
end of two characters: each is several code points. Only the few characters before a cut are
looked at, so it does not matter how long the text is.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from regex import Pattern


def boundary_before(text: str, position: int) -> int:
    """The last place at or before a position where no character is taken apart.

    Args:
        text: Any text.
        position: An index into it, or its length.

    Example:
        >>> boundary_before("か\u3099き", 1), boundary_before("か\u3099き", 2)
        (0, 2)
    """
    if not 0 < position < len(text):
        return position
    left, right = text[position - 1], text[position]
    if left < "\x80" and right < "\x80":
        return position - 1 if left == "\r" and right == "\n" else position
    if "\ud800" <= left <= "\udbff" and "\udc00" <= right <= "\udfff":
        return position - 1  # two halves of one character, as a careless decoder leaves them
    safe, cluster = _patterns()
    anchor = safe.search(text, 0, position)
    for match in cluster.finditer(text, anchor.start() if anchor else 0):
        if match.end() == position:
            return position
        if match.end() > position:
            return match.start()
    return position


def boundary_after(text: str, position: int) -> int:
    """The first place at or after a position where no character is taken apart.

    Example:
        >>> boundary_after("か\u3099き", 1)
        2
    """
    while boundary_before(text, position) != position:
        position += 1
    return position


@lru_cache(maxsize=1)
def _patterns() -> tuple[Pattern[str], Pattern[str]]:
    """A place where one certainly begins, looked for backwards; and one itself."""
    import regex

    joined = r"\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}"
    alone = r"\p{GCB=Other}\p{GCB=Control}\p{GCB=LF}"
    return regex.compile(rf"(?r)(?<=[{alone}])[^{joined}]"), regex.compile(r"\X")
