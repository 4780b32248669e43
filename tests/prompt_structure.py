"""What a document means, read by parsers: equal before and after, or its structure was changed."""

from __future__ import annotations

import ast
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
    """The lines of tables, byte for byte."""
    lines = text.lstrip(_BOM).replace("\r\n", "\n").split("\n")
    return [line for line in lines if "|" in line or "\t" in line.strip()]


READERS: Final[dict[str, tuple[Callable[[str], Any], ...]]] = {
    ".py": (python, markdown),
    ".json": (json_value, str),
    ".yml": (yaml_value, markdown),
    ".yaml": (yaml_value, markdown),
    ".ipynb": (json_value, str),
}
"""What must be equal by kind of document; Markdown's tokens for all that are not listed."""


def violations(kind: str, before: str, after: str) -> list[str]:
    """The names of the readers that see another document."""
    readers = (words, rows, *READERS.get(kind, (markdown,)))
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
