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
    safe, cluster, flags = _patterns()
    half_flags = flags.match(text, 0, position)
    if half_flags:  # two make one, and a run of them may be long
        anchor = position - 2 + len(half_flags.group()) % 2
    else:
        found = safe.search(text, 0, position)
        anchor = found.start() if found else 0
    for match in cluster.finditer(text[anchor : position + 1]):
        if anchor + match.end() == position:
            return position
        if anchor + match.end() > position:
            return anchor + match.start()
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
def _patterns() -> tuple[Pattern[str], Pattern[str], Pattern[str]]:
    """A place where one certainly begins, one itself, and halves of flags.

    The first and the last look backwards.
    """
    import regex

    half = r"\p{GCB=Regional_Indicator}"
    joined = r"\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}"
    alone = r"\p{GCB=Other}\p{GCB=Control}\p{GCB=LF}"
    return (
        regex.compile(rf"(?r)(?<=[{alone}])[^{joined}]|(?<={half})[^{half}{joined}]"),
        regex.compile(r"\X"),
        regex.compile(rf"(?r){half}+"),
    )
