"""Where a text may be cut: best at the end of a sentence, at worst between two characters.

Only the neighbourhood of a cut is looked at: its last 30 %, and of a long text 2,000 characters.
There the first of these that is found wins, and of its kind the one that keeps the most:

1. the end of a sentence, in English, Korean, Japanese or Chinese, or of a line that the next one
   does not go on in lower case;
2. the end of any line;
3. the end of a clause: a comma, a semicolon, a colon;
4. the end of a word, which in Japanese and Chinese is any character that may end a line;
5. a place between two characters as a reader sees them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from langchain_bedrock_opt.prompting.limiting.graphemes import boundary_after, boundary_before

SPAN: Final = 2000
"""Characters around a cut that are looked at, at the most."""

_CONTEXT: Final = 32  # characters around that stretch which say what stands at its edges
_CJK: Final = r"\u3005-\u3007\u3041-\u30ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f"
_CLOSING: Final = r"""[」』）】〕］｝〉》”’"')\]}»*_`]*"""
_SENTENCE: Final = re.compile(
    rf"""
    (?: [。！？｡] | ．(?![0-9０-９]) )+ (?P<closed>{_CLOSING})
    | [.!?…！？।؟۔]+ {_CLOSING} (?=\s)
    | (?<=\S) (?=[^\S\n]*\n (?: [^\S\n]*\n | (?![^\S\n]*[a-zà-öø-ÿ]) ) )
    """,
    re.VERBOSE,
)
_LINE: Final = re.compile(r"(?<=\S)(?=[^\S\n]*\n)")
_CLAUSE: Final = re.compile(r"[、，；：]|[,;:](?=\s)")
_NEVER_FIRST: Final = (
    "、。，．！？：；…ー々」』）】〕］｝〉》”’ぁぃぅぇぉっゃゅょァィゥェォッャュョ"
)
_NEVER_LAST: Final = "「『（【〔［｛〈《“‘"
_WORD: Final = re.compile(
    rf"(?<=\S)(?=\s)|(?<=[{_CJK}])(?=[^\s{_NEVER_FIRST}])"
    rf"|(?<=[^\s{_NEVER_LAST}])(?=[{_CJK}])(?=[^{_NEVER_FIRST}])"
)
_SPACE: Final = re.compile(r"\s*\n|[^\S\n]+")
_LAST_WORD: Final = re.compile(r"[\w.]+\Z")
# After a closing quote: the sentence around the quoted one goes on, 「はい。」と答えた。
_GOES_ON: Final = frozenset("とっをがはもでにの、，")
_ABBREVIATION: Final = re.compile(
    r"""(?: mr|mrs|ms|dr|prof|rev|gen|gov|capt|lt|col|sgt|st|mt|jr|sr  # people and places
    | vol|figs?|eq|sec|ch|pp|eds?|vs|cf|al|approx|est|e\.g|i\.e        # papers
    | dept|inc|ltd|co|corp|ph\.d|u\.s|u\.k|a\.m|p\.m
    | jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec )\Z""",
    re.VERBOSE | re.IGNORECASE,
)


def end_before(text: str, limit: int) -> int:
    """Where to end a beginning of a text that has at most `limit` characters.

    White space at its end is left out.

    Example:
        >>> text = "Mr. Sato paid 3.50 dollars. Then he left the shop."
        >>> text[: end_before(text, 36)]
        'Mr. Sato paid 3.50 dollars.'
        >>> text = "東京は晴れです。大阪は雨で、風も強いです。"
        >>> text[: end_before(text, 11)]
        '東京は晴れです。'
    """
    if limit >= len(text):
        return len(text)
    low = limit - reach(limit)
    cut = next((max(ends) for ends in _ends(text, low, limit) if ends), limit)
    cut = boundary_before(text, cut)
    return boundary_before(text, len(text[:cut].rstrip()))


def start_after(text: str, limit: int) -> int:
    """Where to begin an ending of a text, at index `limit` or later.

    White space at its beginning is left out; a line keeps its indentation.

    Example:
        >>> text = "Mr. Sato paid 3.50 dollars. Then he left the shop."
        >>> text[start_after(text, 20) :]
        'Then he left the shop.'
    """
    if limit <= 0:
        return 0
    high = limit + reach(len(text) - limit)
    cut = next((min(ends) for ends in _ends(text, limit, high) if ends), limit)
    space = _SPACE.match(text, cut)
    return boundary_after(text, space.end() if space else cut)


def reach(length: int) -> int:
    """How many of so many characters a cut may leave out for a better place."""
    return min(length * 3 // 10, SPAN)


def _ends(text: str, low: int, high: int) -> Iterator[list[int]]:
    """The places of each kind from one index to another, kind by kind."""
    for pattern in (_SENTENCE, _LINE, _CLAUSE, _WORD):
        matches = pattern.finditer(text, max(0, low - _CONTEXT), min(len(text), high + _CONTEXT))
        yield [
            match.end()
            for match in matches
            if low <= match.end() <= high and (pattern is not _SENTENCE or _is_end(text, match))
        ]


def _is_end(text: str, match: re.Match[str]) -> bool:
    """Whether what looks like the end of a sentence is one."""
    marks = match.group()
    if not marks:
        return True  # of a line
    if match["closed"] is not None:
        return not match["closed"] or text[match.end() : match.end() + 1] not in _GOES_ON
    following = text[match.end() : match.end() + _CONTEXT].lstrip()
    if following[:1].islower():
        return False
    return marks[0] != "." or not _is_abbreviation(text, match.start())


def _is_abbreviation(text: str, dot: int) -> bool:
    """Whether the word before a full stop has it for another reason: "Mr.", "J.", "1."."""
    start = max(0, dot - _CONTEXT)
    found = _LAST_WORD.search(text[start:dot])
    if found is None:
        return False
    word = found.group()
    is_first_of_line = not text[start : start + found.start()].rpartition("\n")[2].strip()
    if word.isdecimal():
        return is_first_of_line  # the number of an item
    is_initial = len(word) == 1 and word.isupper()
    return is_initial or _ABBREVIATION.match(word) is not None
