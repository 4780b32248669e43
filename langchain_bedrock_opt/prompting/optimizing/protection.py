"""Which lines of a prompt are left as they are, down to the last space.

Fenced code, raw HTML that blank lines do not end, front matter and here-documents are each a span
of lines. Code or data that stands in no fence has no such ends, so all from its first telling
line's block to its last one's is one span: whatever lies between, such as a text in triple
quotes, may be a part of it.

Where a text could be read in two ways, such as a fence whose end is indented otherwise or a
backtick without a second one, nothing more is touched to the end of the text. A span too many
costs a few spaces; one too few would change what somebody wrote.

All functions take a text that begins and ends with a newline, and give spans that begin and end
with lines, without the last newline.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

Span = tuple[int, int]
"""Where a span begins and where it ends, as in a slice."""

# Beginnings of what runs on over blank lines: a code fence (CommonMark 4.5), also as the first
# thing of a list item, and HTML of kinds 1 to 5 (4.6).
_FENCE: Final = (
    r"\n(?P<prefix>[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*)(?P<fence>`{3,}|~{3,})(?P<info>[^\n]*)"
)
_HTML: Final = (
    r"\n(?P<indent> {0,3})<"
    r"(?:(?P<tag>(?i:script|pre|style|textarea))(?=[\s>])|(?P<mark>!--|\?|!\[CDATA\[|![A-Za-z]))"
)
_OPENER: Final = re.compile(f"{_FENCE}|{_HTML}")
_ONLY_HTML: Final = re.compile(_HTML)
_HTML_ENDS: Final = {
    "!--": re.compile(r"-->"),
    "?": re.compile(r"\?>"),
    "![CDATA[": re.compile(r"\]\]>"),
    "tag": re.compile(r"</(?:script|pre|style|textarea)>", re.IGNORECASE),
    "declaration": re.compile(r">"),
}
_FRONT_MATTER: Final = re.compile(
    r"\n(---|\+\+\+)[ \t]*\n(?=[\w\"'-][^\n]*[:=])(?:(?!---|\.\.\.|\+\+\+)[^\n]*\n)*?"
    r"(?:\1|\.\.\.)[ \t]*(?=\n)"
)
_HEREDOC: Final = re.compile(r"<<(?<!<<<)[-~]? ?(['\"]?)([A-Za-z_]\w{1,40})\1[^\n]*(?=\n)")
_POWERSHELL: Final = re.compile(r"@[\"'][ \t]*\n")
_UNESCAPED: Final = re.compile(r"`(?<!\\`)")

# Lines that tell of code or data. Each alternative begins at a newline and looks at the line that
# ended there or at the one that begins: so the search leaps from newline to newline.
_LINE_ENDS: Final = (
    r"[{(\[\\]",
    r"=>",
    r"[)}\]\"'];",
    r": [|>]",
    r": [|>][-+]",
)
_LINE_BEGINNINGS: Final = (
    # An assignment or a call. The name is taken whole or not at all: nothing is tried again.
    (
        r"(?=(?P<name>[A-Za-z_][\w.]*))(?P=name)"
        r"(?:(?:\[[^\]\n]{0,80}\])? ?[-+*/|&:?]?=(?!=) ?\S|\([^\n]*\);?[ \t]*(?=\n))"
    ),
    r"import +[\w.]+(?:,| as |;|[ \t]*(?=\n))",
    r"from +[\w.]+ +import ",
    r"(?:async )?def \w",
    r"class \w+(?:\([^\n]*\))?[ \t]*[:{]",
    r"(?:const|let|var) [\w{\[][^\n=]*=",
    r"(?:export |async )*function\b ?\w*\(",
    r"(?:public|private|protected|static) \w",
    r"(?:fn|func) [\w(]+[(<)]",
    r"(?:elif [^\n]*|else|try|finally|except[^\n]*):",
    r"(?:end|fi|done|esac|then)[ \t]*(?=\n)",
    r"(?:SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE [A-Z]+|ALTER TABLE)\b",
    r"(?:FROM|RUN|COPY|ENTRYPOINT|WORKDIR|CMD) ",
    r"@[\w.]+(?:\(|[ \t]*(?=\n))",
    r"#(?:!|include\b|define\b|ifn?def\b)",
    r"//|/\*|\*/|>>> |\$ |\\[A-Za-z]",
    r"[\])}]+[;,]?[ \t]*(?=\n)",
    r"\[[\w.\- \"]+\][ \t]*(?=\n)",
    r"\"[^\"\n]{1,200}\"[ \t]*:|'[^'\n]{1,200}'[ \t]*:",
    r"diff --git |@@ -|(?:---|\+\+\+) \S|Index: |[<>=]{7}(?= |\n)",
    r"\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d",
)
_TELLING: Final = re.compile(
    r"\n(?:"
    + "|".join(rf"(?<={end}\n)" for end in _LINE_ENDS)
    + r"|(?P<begins> {0,3}(?:"
    + "|".join(_LINE_BEGINNINGS)
    + ")))"
)
# The same with spaces behind, which a rule would take out.
_SPACED_ENDS: Final = re.compile(
    rf"[{{(\[\\>;|+\-](?:{'|'.join(rf'(?<={end})' for end in _LINE_ENDS)})[ \t]+\n"
)
_WINDOW: Final = 4096
_HUNK: Final = re.compile(r"\n@@[^\n]*(?:\n[ +\-\\][^\n]*|\n(?=\n))*")
_BLANK: Final = re.compile(r"\n[ \t]*\n")


class Protection(NamedTuple):
    """What is to be left as it is.

    Attributes:
        spans: Spans of lines in order, none within another.
        code: The one that holds code or data outside of fences; None if there is none.
    """

    spans: list[Span]
    code: Span | None


def find_protected(text: str) -> Protection:
    r"""Find the lines of a text in which every space may matter.

    Example:
        >>> find_protected("\nRun this:\n```\nls  -l\n```\n").spans
        [(11, 25)]
    """
    spans = _marked(text)
    code = _unmarked(text, spans)
    if code is None:
        return Protection(spans, None)
    inside = [span for span in spans if span[1] > code[0] and span[0] < code[1]]
    if inside:
        code = (min(code[0], inside[0][0]), max(code[1], inside[-1][1]))
    before = [span for span in spans if span[1] <= code[0]]
    after = [span for span in spans if span[0] >= code[1]]
    return Protection([*before, code, *after], code)


def gaps(spans: list[Span], start: int, end: int) -> list[Span]:
    """What lies between spans, each with the newlines around it.

    Example:
        >>> gaps([(3, 5)], 0, 9)
        [(0, 3), (5, 9)]
    """
    found = []
    for span_start, span_end in spans:
        if span_start > start:
            found.append((start, span_start))
        start = span_end
    return [*found, (start, end)] if start < end else found


def _marked(text: str) -> list[Span]:
    """Spans that say themselves where they begin and end."""
    spans: list[Span] = []
    position = 0
    front = _FRONT_MATTER.match(text)
    if front is not None:
        if re.search("```|~~~|<", front.group()):
            return [(1, len(text) - 1)]
        spans.append((1, front.end()))
        position = front.end()
    opener_of = _OPENER if "```" in text or "~~~" in text else _ONLY_HTML
    has_heredocs = "<<" in text
    while opener := opener_of.search(text, position):
        found = opener.groupdict()
        if (found.get("fence") or "~")[0] == "`" and "`" in found["info"]:
            position = opener.end()  # inline code
            continue
        floor = spans[-1][1] if spans else 0
        if has_heredocs:
            spans += _heredocs(text, floor, opener.start())
            if spans and spans[-1][1] > opener.start():
                return spans
        spans.append(_span_from(opener, floor))
        position = spans[-1][1]
    if has_heredocs:
        spans += _heredocs(text, spans[-1][1] if spans else 0, len(text))
    return spans


def _span_from(opener: re.Match[str], floor: int) -> Span:
    """The span that an opener begins: to the end of the text unless its end is beyond doubt.

    Args:
        opener: A match of an opener.
        floor: Where the span before it ends.
    """
    text = opener.string
    start, everything = opener.start() + 1, len(text) - 1
    found = opener.groupdict()
    if found.get("fence"):
        prefix, fence = found["prefix"], found["fence"]
        close = _closing(fence[0], len(fence)).search(text, opener.end())
        is_regular = close is not None and len(close[1]) == len(prefix) and "\t" not in close[1]
    else:
        prefix = found["indent"]
        close = _html_end(found["mark"]).search(text, opener.end() - 2)
        is_regular = close is not None
    if close is None or not is_regular or _is_in_html(text, start, floor):
        return start, everything
    end = text.index("\n", close.end())
    if prefix and _outdented(len(prefix)).search(text, opener.end(), end):
        return start, everything
    return start, end


def _html_end(mark: str | None) -> re.Pattern[str]:
    """What ends HTML that was begun by a mark, or by a tag if there is no mark."""
    return _HTML_ENDS.get(mark or "tag", _HTML_ENDS["declaration"])


@lru_cache(maxsize=64)
def _closing(char: str, length: int) -> re.Pattern[str]:
    return re.compile(rf"\n([ \t]*){char}{{{length},}}[ \t]*(?=\n)")


@lru_cache(maxsize=64)
def _outdented(width: int) -> re.Pattern[str]:
    """A line that is indented less: it ends the list item that a fence stands in."""
    return re.compile(rf"\n(?! {{{width}}})(?![ \t]*(?:\n|\Z))")


def _is_in_html(text: str, start: int, floor: int) -> bool:
    """Whether lines of HTML stand before a line, without a blank one between."""
    first = _block_start(text, start, floor) - 1
    return re.search(r"\n {0,3}<", text[first:start]) is not None


def _block_start(text: str, line_start: int, floor: int = 0) -> int:
    """Where the lines begin that stand together with a line, without a blank one between."""
    while line_start > floor + 1:
        before = text.rfind("\n", 0, line_start - 1) + 1
        if not text[before : line_start - 1].strip(" \t"):
            break
        line_start = before
    return line_start


def _block_end(text: str, position: int) -> int:
    blank = _BLANK.search(text, position)
    return blank.start() if blank else len(text) - 1


def _heredocs(text: str, start: int, end: int) -> list[Span]:
    """Here-documents between two places; one without an end reaches to the end of the text."""
    spans = []
    while opener := _HEREDOC.search(text, start, end):
        line = _block_start(text, text.rfind("\n", 0, opener.start()) + 1, start)
        close = re.compile(rf"\n[ \t]*{opener[2]}[ \t]*(?=\n)").search(text, opener.end(), end)
        first = max(line, start)
        start = min(_block_end(text, close.end()), end) if close else len(text) - 1
        spans.append((first, start))
        if close is None:
            break
    return spans


def _unmarked(text: str, spans: list[Span]) -> Span | None:
    """From the first block of code or data outside of spans to the last one."""
    outside = gaps(spans, 0, len(text))
    firsts = (_TELLING.search(text, *gap) for gap in outside)
    first = next((_place(found) for found in firsts if found), len(text))
    last = -1
    if first < len(text):
        last = next(place for gap in reversed(outside) if (place := _last(text, *gap)) >= 0)
    for place, end in (*_quoted(text, outside), *_spaced(text, outside)):
        first, last = min(first, place), max(last, end)
    if last < 0:
        return None
    last = max(last, _patch_end(text, outside))
    first_line = text.rfind("\n", 0, first) + 1
    return _block_start(text, first_line), _block_end(text, last)


def _quoted(text: str, outside: list[Span]) -> Iterator[Span]:
    """Where texts of several lines may begin and end; those without an end reach to the last."""
    for quotes in ('"""', "'''"):
        places = (text.find(quotes, *gap) for gap in outside)
        opening = next((place for place in places if place >= 0), -1)
        if opening >= 0:  # to the last ones of all: fences may stand between
            yield opening, text.rfind(quotes)
    if "`" in text:
        yield from ((place, len(text) - 1) for gap in outside for place in _odd(text, *gap))
    if "@" in text:
        found = (_POWERSHELL.search(text, *gap) for gap in outside)
        yield from ((match.start(), len(text) - 1) for match in found if match)


def _odd(text: str, start: int, end: int) -> Iterator[int]:
    """The first backtick of the first block that opens one and does not close it."""
    while (place := text.find("`", start, end)) >= 0:
        start = min(end, _block_end(text, place))
        ticks = text.count("`", place, start)
        # A backslash stands for itself in Go, and not in JavaScript: both are odd to somebody.
        if ticks % 2 or len(_UNESCAPED.findall(text, place, start)) % 2:
            yield place
            return


def _spaced(text: str, outside: list[Span]) -> Iterator[Span]:
    """Ends of telling lines that have spaces behind them."""
    if " \n" in text or "\t\n" in text:
        for gap in outside:
            yield from (found.span() for found in _SPACED_ENDS.finditer(text, *gap))


def _patch_end(text: str, outside: list[Span]) -> int:
    """Where the last part of a patch ends; -1 if there is none. Its blank lines are counted."""
    for start, end in reversed(outside):
        hunk = text.rfind("\n@@ -", start, end)
        found = _HUNK.match(text, hunk, end) if hunk >= 0 else None
        if found is not None:
            return found.end() - 1
    return -1


def _place(found: re.Match[str]) -> int:
    """A place in a telling line: its end stands before the newline, its beginning behind it."""
    return found.start() + (1 if found["begins"] else -1)


def _last(text: str, start: int, end: int) -> int:
    """A place in the last telling line; -1 if there is none. It looks from the end, by windows."""
    window = end
    while window > start:
        window = max(start, text.rfind("\n", start, max(start, end - _WINDOW)))
        last = -1
        for found in _TELLING.finditer(text, window, end):
            last = _place(found)
        if last >= 0:
            return last
        end = window + 1
    return -1
