"""White space that means nothing, block by block: blank lines, ends of lines, runs of spaces.

Markdown's rules (CommonMark and GitHub's tables) say what means nothing, and a text that is no
Markdown gets the benefit of the doubt: only lines that begin in the first column are touched,
never one of a table, a quotation or a form, and never spaces that could align columns.

Each rule looks only at what no rule removes. So what was optimized once is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

Kind = Literal["blank_lines", "line_ends", "runs", "edges", "line_breaks"]
"""What was removed: blank lines beyond one and the spaces in them; spaces at ends of lines;
spaces beyond one between words; white space around the whole text; carriage returns and the
byte order mark."""


class Removal(NamedTuple):
    """One stretch of white space to be removed."""

    start: int
    end: int
    kind: Kind


class Block(NamedTuple):
    """Lines that stand together, without the newlines around them.

    Attributes:
        start: Where its first line begins.
        end: Where its last line ends.
        before: Where the last line before the blank ones ends; -1 if there is none, or code.
        after: Where the next line begins after the blank ones; -1 likewise.
    """

    start: int
    end: int
    before: int
    after: int


SPACES: Final = " \t\u3000"
"""What is removed at the end of a line. The last one is Japanese; at its beginning it stays."""

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

_SPACE_BEFORE_END: Final = re.compile("\n(?<=[ \t\u3000]\n)")
_RUN: Final = re.compile(r"  (?<=[^\s]  ) *(?=[^\s])")
_CLOSED: Final = re.compile(r"[<|]|\t *[^ \t\n]")
"""HTML, a table, or columns set by tabs: the block is left."""
_NO_PARAGRAPH: Final = re.compile(r"[`\[\"]")
"""Code in a line, links with titles, quotations: their line ends are left."""
_NO_PROSE: Final = re.compile(r"[`>\[\]{}\\$\"=]")
_NO_SENTENCE: Final = re.compile(r"[^\n]*[,;][^\s]|[^\n:]{1,60}:[ \t]+[^\s]|\w{1,4}[.)] ")
_LETTER: Final = re.compile(r"[^\W\d_]")
_SENTENCE_END: Final = re.compile(r"\w[.!?。！？…][)'”’」』]*$")
_MAX_SENTENCE_GAP: Final = 3


def blank_lines(text: str, start: int, end: int) -> Removal | None:
    """What is too much of the blank lines between two newlines, both within the bounds."""
    if end == start + len("\n\n"):
        return None
    line = text[text.rfind("\n", 0, start) + 1 : start]
    if _EMPTY_ITEM.match(line) or (text[end] in " \t" and _may_go_on(line)):
        return None
    return Removal(start + 1, end - 1, "blank_lines")


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


def next_run(text: str, start: int, end: int) -> int:
    """The next run of spaces between words; `end` if there is none."""
    found = _RUN.search(text, start, end)
    return found.start() if found else end


def in_block(text: str, block: Block) -> Iterator[Removal]:
    """What means nothing inside a block, in no order."""
    start, end = block.start, block.end
    if _CLOSED.search(text, start, end):
        return
    ends = _SPACE_BEFORE_END.search(text, start, end + 1)
    if ends is not None:
        yield from _line_ends(text, block, ends.start())
    if _RUN.search(text, start, end) and not _NO_PROSE.search(text, start, end):
        yield from _runs(text, block)


def _line_ends(text: str, block: Block, first: int) -> Iterator[Removal]:
    """Spaces at ends of lines; two that break a line in Markdown stay."""
    is_plain = not _NO_PARAGRAPH.search(text, block.start, block.end)
    for found in _SPACE_BEFORE_END.finditer(text, first, block.end + 1):
        end = found.start()
        start = max(text.rfind("\n", 0, end) + 1, block.start)
        line = text[start:end]
        stripped = line.rstrip(SPACES)
        if not _may_be_stripped(line, stripped, is_plain=is_plain):
            continue
        keep = len(stripped)
        if not _HEADING.match(line) and not _PARAGRAPH_END.match(text, end + 1):
            if not is_plain:
                continue
            if line.endswith("  "):
                keep += 2
        if keep < len(line):
            # The two that stay are the last two.
            start += len(stripped)
            yield Removal(start, start + len(line) - keep, "line_ends")


def _may_be_stripped(line: str, stripped: str, *, is_plain: bool) -> bool:
    if not stripped or stripped[0] in " \t>" or stripped[-1] == "\\" or _DEEP_ITEM.match(stripped):
        return False
    # To Markdown the Japanese space is a character: with it three dashes are no rule.
    return "\u3000" not in line[len(stripped) :] or (
        is_plain and (stripped[-1].isalnum() or stripped[-1] in "。、！？）」』")
    )


class _Line(NamedTuple):
    start: int
    end: int
    sentences: list[tuple[int, int]]
    others: list[tuple[int, int]]


def _runs(text: str, block: Block) -> Iterator[Removal]:
    """Spaces beyond one between words of prose."""
    for line in _lines_with_runs(text, block):
        if not _is_sentence(text[line.start : line.end]):
            continue
        gone = line.sentences
        if line.others and _is_ragged(text, block, line):
            gone = gone + line.others
        for start, end in gone:
            yield Removal(start + 1, end, "runs")


def _is_ragged(text: str, block: Block, line: _Line) -> bool:
    """Whether a line's runs stand between words and align nothing with the lines around it."""
    return all(_is_between_words(text, *run) for run in line.others) and all(
        _is_prose(neighbour) for neighbour in _neighbours(text, block, line)
    )


def _lines_with_runs(text: str, block: Block) -> Iterator[_Line]:
    position = block.start
    while found := _RUN.search(text, position, block.end):
        start = max(text.rfind("\n", 0, found.start()) + 1, block.start)
        end = text.find("\n", found.end(), block.end)
        line = _read(text, start, block.end if end < 0 else end)
        yield line
        position = line.end


def _read(text: str, start: int, end: int) -> _Line:
    line = _Line(start, end, [], [])
    for found in _RUN.finditer(text, start, end):
        kind = line.sentences if _ends_sentence(text, start, *found.span()) else line.others
        kind.append(found.span())
    return line


def _ends_sentence(text: str, line: int, start: int, end: int) -> bool:
    """Whether a run follows a sentence, as typewriters did it, and not the first column."""
    if end - start > _MAX_SENTENCE_GAP or not _SENTENCE_END.search(
        text, max(line, start - 8), start
    ):
        return False
    return text.find(" ", line, start) >= 0 and _LETTER.match(text, end) is not None


def _is_sentence(line: str) -> bool:
    """Whether a line is prose by its beginning, and no row of values."""
    return _LETTER.match(line) is not None and _NO_SENTENCE.match(line) is None


def _is_between_words(text: str, start: int, end: int) -> bool:
    before = text[start - 1]
    return (before.islower() or before in ",;") and _LETTER.match(text, end) is not None


def _neighbours(text: str, block: Block, line: _Line) -> Iterator[str]:
    """The lines before and after a line, blank ones passed over."""
    before = line.start - 1 if line.start > block.start else block.before
    if before >= 0:
        yield text[text.rfind("\n", 0, before) + 1 : before]
    after = line.end + 1 if line.end < block.end else block.after
    if after >= 0:
        yield text[after : text.find("\n", after)]


def _is_prose(line: str) -> bool:
    """Whether a line beside another shows that no columns are aligned there."""
    return _LETTER.search(line) is not None and not _read(line, 0, len(line)).others
