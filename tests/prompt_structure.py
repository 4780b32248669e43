"""What a document means, read by parsers: equal before and after, or its structure was changed."""

from __future__ import annotations

import ast
import csv
import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import yaml  # type: ignore[import-untyped, unused-ignore] # stubs are no dependency
from markdown_it import MarkdownIt
from markdown_it.token import Token

_MARKDOWN: Final = MarkdownIt("commonmark").enable(["table", "strikethrough"])
_BOM: Final = "\ufeff"
_NOISE: Final = 0.1
_SPACES: Final = re.compile(r"[ \t\n]+")
_LINE_END: Final = re.compile(r"[ \t\u3000]+(?=\n|\Z)")
_GAP: Final = re.compile(r"(?<=\S)[ \u3000]{2,}(?=\S)")
_CLOSING: Final = ")'”’」』"
_SENTENCE_ENDS: Final = (".", "!", "?", "…", "。", "！", "？")
_VERBATIM: Final = frozenset({"fence", "code_block", "code_inline", "html_block", "html_inline"})


def markdown(text: str) -> list[Any]:
    """Markdown's tokens: types, marks, nesting, attributes and contents.

    Code and raw HTML byte for byte; other text as HTML shows it, with runs of white space as one.
    """
    return [_token(token) for token in _MARKDOWN.parse(text.lstrip(_BOM))]


def _token(token: Token) -> Any:
    content: Any = token.content
    if token.type == "inline":
        content = [_token(child) for child in _joined(token.children or [])]
    elif token.type == "html_block":
        content = content.rstrip(" \t\n")  # the blank lines behind it
    elif token.type not in _VERBATIM:
        content = _SPACES.sub(" ", _LINE_END.sub("", content))
    return (token.type, token.tag, token.nesting, token.markup, token.info, token.attrs, content)


def _joined(children: list[Token]) -> Iterator[Token]:
    """Inline tokens with text on both sides of a line break as one: white space is white space."""
    text = ""
    for child in children:
        if child.type in {"text", "softbreak"}:
            text += child.content if child.type == "text" else "\n"
            continue
        if text:
            yield Token("text", "", 0, content=text)
        text = ""
        yield child
    if text:
        yield Token("text", "", 0, content=text.rstrip("\u3000 "))


def python(text: str) -> str | None:
    """Python's syntax tree; None if it is no Python."""
    try:
        return ast.dump(ast.parse(text))
    except (SyntaxError, ValueError):
        return None


def json_value(text: str) -> Any:
    """JSON's value; None if it is no JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def yaml_value(text: str) -> Any:
    """YAML's values; None if it is no YAML, or one that needs classes."""
    try:
        return repr(list(yaml.safe_load_all(text)))
    except (yaml.YAMLError, ValueError, TypeError, AttributeError):
        return None


def words(text: str) -> list[str]:
    """A text's words: all that no white space is."""
    return text.lstrip(_BOM).split()


def rows(text: str) -> list[str]:
    """The lines of tables, byte for byte: with a bar or a tab in them."""
    return [line for line in _lines(text) if line.strip() and ("|" in line or "\t" in line)]


def columns(text: str) -> list[str]:
    """The lines with a gap of two spaces or more that stands behind no sentence."""
    return [line.rstrip(" \u3000") for line in _lines(text) if _has_columns(line)]


def _has_columns(line: str) -> bool:
    gaps = _GAP.finditer(line)
    return any(not line[: gap.start()].rstrip(_CLOSING).endswith(_SENTENCE_ENDS) for gap in gaps)


def _lines(text: str) -> list[str]:
    return text.lstrip(_BOM).replace("\r\n", "\n").split("\n")


def csv_rows(text: str) -> list[list[str]]:
    """The rows of CSV or TSV, with each value as it is; rows of white space alone are none."""
    rows = csv.reader(text.lstrip(_BOM).splitlines(), delimiter="\t" if "\t" in text else ",")
    return [row for row in rows if len(row) > 1 or "".join(row).strip()]


READERS: Final[dict[str, tuple[Callable[[str], Any], ...]]] = {
    ".py": (python, markdown),
    ".json": (json_value, str),
    ".csv": (csv_rows, markdown),
    ".tsv": (csv_rows, markdown),
    ".yml": (yaml_value, markdown),
    ".yaml": (yaml_value, markdown),
    ".ipynb": (json_value, str),
}
"""What must be equal by kind of document; Markdown's tokens for all that are not listed."""


def violations(kind: str, before: str, after: str) -> list[str]:
    """The names of the readers that see another document."""
    readers = (words, rows, columns, *READERS.get(kind, (markdown,)))
    seen = ((reader.__name__, reader(before), reader(after)) for reader in readers)
    return [name for name, old, new in seen if old is not None and old != new]


def untidy(text: str, chance: random.Random) -> str:
    """The document with idle white space put in at random places, in code as well as in prose.

    Some of it means something where it lands, so it is the untidy document that is compared.
    """

    def noise(found: re.Match[str]) -> str:
        if chance.random() > _NOISE:
            return found.group()
        if found.group() == " ":
            return "  "
        return chance.choice((" \n", "  \n", "\n\n\n", "\n \n\n", "\t\n", "\u3000\n"))

    return re.sub(r"(?<=\S) (?=\S)|\n", noise, text)
