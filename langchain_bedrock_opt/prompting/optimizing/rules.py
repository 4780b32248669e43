"""White space that means nothing, block by block: blank lines, ends of lines, runs of spaces.

Markdown's rules (CommonMark and GitHub's tables) say what means nothing, and a text that is no
Markdown gets the benefit of the doubt: only lines that begin in the first column are touched,
never one of a table, a quotation or a form. Of spaces within a line only the second one behind a
sentence goes, as typewriters set it; all others could align columns, or be a gap to fill in.

Each rule looks only at what no rule removes. So what was optimized once is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

Kind = Literal["blank_lines", "line_ends", "runs", "edges", "line_breaks"]
"""What was removed: blank lines beyond one and the spaces in them; spaces at ends of lines; the
second space between sentences; white space around the whole text; carriage returns and the byte
order mark."""


Removal: TypeAlias = tuple[int, int, Kind]
"""One stretch of white space to be removed: where it begins and ends, as in a slice."""

SPACES: Final = " \u3000"
"""What is removed at the end of a line: no tab, behind which TSV has an empty column. The last one
is Japanese; at the beginning of a line it stays."""

BLANK_LINES: Final = re.compile(r"\n(?:[ \t]*\n)+")
"""From the newline that ends a line to the one before the next line."""

# A list item that begins with more than one space, with a quotation, or with nothing: what
# follows may be code.
_DEEP_ITEM: Final = re.compile(
    r"(?:(?:[-*+]|\d{1,9}[.)])[ \t])*(?:[-*+]|\d{1,9}[.)])(?:[ \t][ \t>]|$)"
)
# A parser or two tell an empty item with one blank line behind it from one with more.
_EMPTY_ITEM: Final = re.compile(r"[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])(?:[ \t]+|$))+$")
_KEY: Final = re.compile(r"[ \t]*(?:- +)*[^\s:#][^\n:]{0,100}:(?:[ \t]|$)")
_HEADING: Final = re.compile(r"#{1,6} ")
# What ends a paragraph, so that no line break can be meant before it.
_PARAGRAPH_END: Final = re.compile(r"[ \t]*(?:\n|\Z)|[-*+] +[^\s]|#{1,6} +[^\s]")

_SPACE_BEFORE_END: Final = re.compile("\n(?<=[ \u3000]\n)")
# Spaces between words beyond one; the group is there if they are two behind a sentence.
_GAP: Final = re.compile(
    r"  (?<=[^\s]  )"
    r"(?:((?:(?<=\w[.!?。！？…]  )|(?<=\w[.!?。！？…][)'”’」』]  ))(?=[^\W\d_]))| *(?=[^\s]))"
)
_CLOSED: Final = re.compile(r"[<|\t](?:(?<=[<|])|(?<=\t) *[^ \t\n])")
"""HTML, a table, or columns set by tabs: the block is left."""
_NO_PARAGRAPH: Final = re.compile(r"[`\[\"]")
"""Code in a line, links with titles, quotations: their line ends are left."""
_NO_PROSE: Final = re.compile(r"[`>\[\]{}\\$\"=,;](?:(?<=[^,;])|[^\s])")
# A line that is indented; one with its gap behind the first word; or one with a gap that begins
# with no letter, or as that of a form or a list.
_NO_SENTENCES: Final = re.compile(
    r"\n(?:[ \t\u3000]|[^ \n]*  [^\s]"
    r"|(?:(?![^\W\d_])|(?=[^\n:]{1,60}:[ \t]+[^\s])|(?=\w{1,4}[.)] ))[^\n]*  [^\s])"
)
# What parts the values of CSV, in which spaces are a part of a value.
_VALUES: Final = re.compile(r"[,;](?:[^\s]|(?<= .)|[ \u3000]*(?=\n))")


def blank_lines(text: str, start: int, end: int) -> Removal | None:
    """What is too much of the blank lines between two newlines, both within the bounds."""
    if end == start + len("\n\n"):
        return None
    line = text[text.rfind("\n", 0, start) + 1 : start]
    if "\t" in line and text.find("\t", start, end) > 0:
        return None  # a row of TSV with nothing in it
    if _EMPTY_ITEM.match(line) or (text[end] in " \t" and _may_go_on(line)):
        return None
    return start + 1, end - 1, "blank_lines"


def _may_go_on(line: str) -> bool:
    """Whether blank lines between a line and an indented one may be a part of code or a value."""
    return line.startswith((" ", "\t")) or any(
        (
            _DEEP_ITEM.match(line.rstrip(SPACES)),
            _KEY.match(line),
            "<" in line,
            "```" in line,
            "~~~" in line,
        )
    )


def next_line_end(text: str, start: int, end: int) -> int:
    """The next newline that has spaces before it; `end` if there is none."""
    found = _SPACE_BEFORE_END.search(text, start, end)
    return found.start() if found else end


def next_gap(text: str, start: int, end: int) -> int:
    """The next spaces between words beyond one; `end` if there are none."""
    found = _GAP.search(text, start, end)
    return found.start() if found else end


def in_block(text: str, start: int, end: int) -> list[Removal]:
    """What means nothing in lines that stand together, in no order.

    Args:
        text: It has a newline before and behind them.
        start: Where the first line begins.
        end: Where the last line ends.
    """
    if _CLOSED.search(text, start, end):
        return []
    removals = _sentence_gaps(text, start, end)
    if _SPACE_BEFORE_END.search(text, start, end + 1):
        removals += _line_ends(text, start, end)
    return removals


def _sentence_gaps(text: str, start: int, end: int) -> list[Removal]:
    """The second space behind each sentence, if no other gap could make these a column's."""
    removals: list[Removal] = []
    for found in _GAP.finditer(text, start, end):
        if not found.lastindex:
            return []
        space = found.end()
        removals.append((space - 1, space, "runs"))
    if (
        not removals
        or _NO_PROSE.search(text, start, end)
        or _NO_SENTENCES.search(text, start - 1, end)
    ):
        return []
    return removals


def _line_ends(text: str, block: int, block_end: int) -> Iterator[Removal]:
    """Spaces at ends of lines; two that break a line in Markdown stay."""
    values = len(_VALUES.findall(text, block, block_end + 1))
    if _are_values(text, block, block_end, values):
        return
    is_plain = not _NO_PARAGRAPH.search(text, block, block_end)
    is_simple = is_plain and not values
    for found in _SPACE_BEFORE_END.finditer(text, block, block_end + 1):
        end = found.start()
        start = text.rfind("\n", 0, end) + 1
        # One space behind a line that begins with a letter: most lines are such.
        if (
            is_simple
            and text[start].isalpha()
            and text[end - 1] == " "
            and text[end - 2] not in " \t\u3000\\"
        ):
            yield end - 1, end, "line_ends"
        elif not (values and _VALUES.search(text, start, end + 1)):
            first, last = _end_of(text, start, end, is_plain=is_plain)
            if first < last:
                yield first, last, "line_ends"


def _end_of(text: str, start: int, end: int, *, is_plain: bool) -> tuple[int, int]:
    """The spaces at the end of one line that go; those of a line break are the last two."""
    line = text[start:end]
    stripped = line.rstrip(SPACES)
    if not _may_be_stripped(line, stripped, is_plain=is_plain):
        return end, end
    first = start + len(stripped)
    if _HEADING.match(line) or _PARAGRAPH_END.match(text, end + 1):
        return first, end
    if not is_plain:
        return end, end
    return first, end - 2 if line.endswith("  ") else end


def _may_be_stripped(line: str, stripped: str, *, is_plain: bool) -> bool:
    # The last is the mark of a signature in a mail.
    if not stripped or stripped[0] in " \t>" or stripped[-1] in "\\\t" or stripped == "--":
        return False
    if not stripped[0].isalpha() and _DEEP_ITEM.match(stripped):
        return False
    # To Markdown the Japanese space is a character: with it three dashes are no rule.
    return "\u3000" not in line[len(stripped) :] or (
        is_plain and (stripped[-1].isalnum() or stripped[-1] in "。、！？）」』")
    )


def _are_values(text: str, start: int, end: int, values: int) -> bool:
    """Whether lines look like CSV: as many values as lines, or as many commas in each line."""
    if not values and text.find(",", start, end) < 0:
        return False
    lines = text[start:end].split("\n")
    return values >= len(lines) or len({line.count(",") for line in lines}) == 1 < len(lines)
