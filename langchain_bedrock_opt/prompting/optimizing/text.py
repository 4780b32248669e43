"""One text without the white space that means nothing in it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from langchain_bedrock_opt.catalog.tokens import estimate_tokens
from langchain_bedrock_opt.prompting.optimizing.protection import (
    Protection,
    find_protected,
    gaps,
)
from langchain_bedrock_opt.prompting.optimizing.rules import (
    BLANK_LINES,
    Kind,
    Removal,
    blank_lines,
    in_block,
    next_gap,
    next_line_end,
)

_BOM: Final = "\ufeff"
_RUN: Final = re.compile(r"  (?<=\S  )")
_MARKUP: Final = re.compile(r"<\?xml|<!DOCTYPE|<html", re.IGNORECASE)
_INDENTED_OR_MARKED: Final = re.compile(
    r"[\n|\t](?:(?<=\n)(?:[ \t]+[^\s]|[`~<>])|(?<=\|)|(?<=\t) *[^\s])"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimized:
    """A text without the white space that meant nothing, and what that saved.

    Attributes:
        text: The text.
        removed_chars: How many characters are gone.
        saved_tokens: How many tokens that are: an estimate.
        removed: The characters by kind: `blank_lines` (blank lines beyond one, and spaces in
            them), `line_ends` (spaces at ends of lines), `runs` (the second space between
            sentences), `edges` (white space around the whole text), `line_breaks` (carriage
            returns and a byte order mark).
    """

    text: str
    removed_chars: int = 0
    saved_tokens: int = 0
    removed: Mapping[Kind, int] = field(default_factory=dict)


def optimize(text: str, *, edges: bool = True) -> Optimized:
    r"""Take out white space that means nothing, and say what that saved.

    Args:
        text: A prompt, or a part of one.
        edges: Whether white space around it means nothing either. It does where other text
            stands beside it.

    Example:
        >>> optimized = optimize("Read this.  Then answer.\n\n\n\nBe brief.\n")
        >>> optimized.text
        'Read this. Then answer.\n\nBe brief.'
        >>> optimized.removed_chars, optimized.removed
        (4, {'runs': 1, 'blank_lines': 2, 'edges': 1})
    """
    shorter, removed = shorten(text, edges=edges)
    if shorter is text:
        return Optimized(text=text)
    return Optimized(
        text=shorter,
        removed_chars=len(text) - len(shorter),
        saved_tokens=max(0, estimate_tokens(text) - estimate_tokens(shorter)),
        removed=removed,
    )


def shorten(text: str, *, edges: bool = True) -> tuple[str, dict[Kind, int]]:
    """The text without white space that means nothing, and the characters removed by kind.

    What has nothing to remove is returned as the same object.
    """
    if not _may_shorten(text, edges=edges) or _is_data(text):
        return text, {}
    if "\r" in text:
        return _shorten_crlf(text, edges=edges)
    return _shorten(text, *_framed(text), edges=edges)


def _may_shorten(text: str, *, edges: bool) -> bool:
    """A quick look: most texts have nothing to remove."""
    return (
        (edges and (text[:1].isspace() or text[-1:].isspace()))
        or any(sign in text for sign in ("\n\n\n", " \n", "\t\n", "\u3000\n", "\r", _BOM))
        or _RUN.search(text) is not None
    )


def _is_data(text: str) -> bool:
    """Whether a text is JSON or XML as a whole, or nothing but white space."""
    body = text.lstrip(_BOM).strip()
    if not body:
        return True
    return (body[0] in "[{" and body[-1] in "]}") or _MARKUP.match(body) is not None


def _shorten_crlf(text: str, *, edges: bool) -> tuple[str, dict[Kind, int]]:
    """As `_shorten`; the carriage returns go where no line is one of code, data or a table."""
    returns = text.count("\r")
    if text.count("\r\n") != returns:
        return text, {}
    plain = text.replace("\r\n", "\n")
    framed, protection = _framed(plain)
    is_prose = not (protection.spans or _INDENTED_OR_MARKED.search(framed))
    shorter, removed = _shorten(plain, framed, protection, edges=edges)
    if is_prose:
        return shorter, {**removed, "line_breaks": removed.get("line_breaks", 0) + returns}
    if returns != text.count("\n") or shorter is plain:
        return text, {}
    shorter = shorter.replace("\n", "\r\n")
    lost = len(text) - len(shorter) - sum(removed.values())
    return shorter, {**removed, "line_breaks": removed.get("line_breaks", 0) + lost}


def _framed(text: str) -> tuple[str, Protection]:
    """A text between two newlines, so that every line is, and what is to be left of it."""
    framed = f"\n{text.lstrip(_BOM)}\n"
    return framed, find_protected(framed)


def _shorten(
    text: str, framed: str, protection: Protection, *, edges: bool
) -> tuple[str, dict[Kind, int]]:
    marks = len(text) - (len(framed) - len("\n\n"))
    code = protection.code
    if marks and code is not None and code[0] == 1:
        return text, {}
    removals = sorted(_removals(framed, protection, edges=edges))
    if not removals and not marks:
        return text, {}
    removed: Counter[Kind] = Counter()
    for start, end, kind in removals:
        removed[kind] += end - start
    if marks:
        removed["line_breaks"] += marks
    return _without(framed, removals), dict(removed)


def _without(framed: str, removals: Iterable[Removal]) -> str:
    kept = []
    position = 1
    for start, end, _ in removals:
        kept.append(framed[position:start])
        position = end
    kept.append(framed[position:-1])
    return "".join(kept)


def _removals(text: str, protection: Protection, *, edges: bool) -> Iterator[Removal]:
    """All that is to be removed from a text between two newlines."""
    spans, code = protection
    leading = BLANK_LINES.match(text)
    start = leading.end() if leading else 1
    last = len(text.rstrip(" \t\n"))
    end = text.find("\n", last) if edges else last
    if edges:
        is_free = text[start] != _BOM and (code is None or code[0] > start)
        if start > 1 and is_free:
            yield 1, start, "edges"
        is_free = not spans or spans[-1][1] <= end
        if end < len(text) - 1 and is_free and (code is None or code[1] < end):
            yield end, len(text) - 1, "edges"
    for gap in gaps(spans, start - 1, end + 1):
        yield from _removals_between(text, *gap)


def _removals_between(text: str, start: int, end: int) -> Iterator[Removal]:
    """What is to be removed from one newline to another, with nothing protected in between."""
    position = start
    # Most blocks have nothing to remove and are not looked at: the next that may is known.
    line_end, gap = next_line_end(text, start, end), next_gap(text, start, end)
    for found in BLANK_LINES.finditer(text, start, end):
        first, last = found.span()
        if first > position and (line_end <= first or gap <= first):
            yield from in_block(text, position + 1, first)
            line_end = next_line_end(text, last - 1, end) if line_end < last else line_end
            gap = next_gap(text, last - 1, end) if gap < last else gap
        removal = blank_lines(text, first, last)
        if removal is not None:
            yield removal
        position = last - 1
    if end - 1 > position and (line_end < end or gap < end):
        yield from in_block(text, position + 1, end - 1)
