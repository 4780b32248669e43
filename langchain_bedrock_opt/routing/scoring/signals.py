"""From a request to numbers: what there is in it that makes work hard.

Every signal means the same in every language. English and Japanese have word lists; in other
languages length, questions, numbers, code, mathematics and the rest of the request speak alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from langchain_bedrock_opt.routing.scoring.lexicon import (
    CONSTRAINT,
    EASY,
    HARD,
    NEGATION,
    NUMBER,
    OPEN,
    REQUEST,
    SEVERAL,
    STEP,
    kinds_of_words,
)
from langchain_bedrock_opt.routing.scoring.reading import Conversation

_CHARS_PER_WORD: Final = 2.5
"""Characters of a script without spaces that say as much as one English word.

The median over the pairs of English and Japanese problems in MGSM."""

_SPACELESS: Final = re.compile(
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]+"
)
_DIGITS: Final = re.compile("[0-9\uff10-\uff19][0-9.,/:\uff10-\uff19]*")
_LISTED: Final = re.compile(
    "^\\s*(?:\\d{1,2}[.)\u3001\uff0e]|[-*\u2022\u30fb])\\s?\\S", re.MULTILINE
)
_QUESTION_MARKS: Final = ("?", "\uff1f", "\u061f")
_COMMAS: Final = (",", "\u3001", "\uff0c")
_BRACKETS: Final = ("(", "\uff08", "[")
_SYMBOL: Final = re.compile(r"[^\w\s]")
_NO_SYMBOLS: Final = bytes(code for code in range(128) if not _SYMBOL.match(chr(code)))
_CODE_WORDS: Final = (
    *("def ", "return ", "import ", "assert ", "public ", "SELECT "),
    *("self.", "Traceback"),
)
_CODE_MARKS: Final = (
    *("```", "()", "==", "!=", "=>", "->", "</", ");", "};", "&&", "||"),
    *("print(", "function(", "#include"),
)
_CODE_SYMBOLS: Final = frozenset("`()=<>;&|#")
_ASCII_MATHS: Final = ("\\", "^")
_MATHS_MARKS: Final = (*_ASCII_MATHS, "∑", "∫", "√", "∞", "≤", "≥", "≠", "∂", "∈", "π", "²")
_FORMULA: Final = re.compile(r"\$[^$\n]*[\\^=_{][^$\n]*\$")
_EQUATION: Final = re.compile(r"\b[a-zA-Z]\s?=\s?[^=]")


class Signals(NamedTuple):
    """What was seen in a request. All counts are of the scanned part of the question.

    A tuple, as it is made for every prompt: a frozen dataclass takes five times as long to make.

    Attributes:
        words: Length of the question in words; scripts without spaces count by the character.
        spaceless: Share of its characters that are of such a script.
        asks: Questions and requests, numbered or bulleted items among them.
        easy: Words that ask for look-up, translation, summary.
        open: Words that ask for an explanation, a text, a solution.
        hard: Words that ask for analysis, comparison, design, proof, a plan.
        constraints: Demands on the answer.
        steps: Words that tie steps or quantities together.
        numbers: Numbers.
        code: Marks of program code.
        maths: Marks of formulas.
        several: Words that ask for more than one thing at once.
        negations: Words that negate.
        commas: Commas, of any script.
        brackets: Opening brackets.
        symbols: Characters that are neither letters, digits nor spaces, in percent of all.
        background_tokens: Estimated tokens before the question.
        human_turns: Human turns.
        tools: Tools bound.
        images: Images.
        documents: Documents.
    """

    words: float = 0.0
    spaceless: float = 0.0
    asks: int = 0
    easy: int = 0
    open: int = 0
    hard: int = 0
    constraints: int = 0
    steps: int = 0
    numbers: int = 0
    code: int = 0
    maths: int = 0
    several: int = 0
    negations: int = 0
    commas: int = 0
    brackets: int = 0
    symbols: float = 0.0
    background_tokens: int = 0
    human_turns: int = 0
    tools: int = 0
    images: int = 0
    documents: int = 0


def extract_signals(conversation: Conversation, tools: Sequence[Any] | None = None) -> Signals:
    """Count the signals of a request.

    Args:
        conversation: The request, read.
        tools: The tools that are bound, in any form; only their number counts.

    Example:
        >>> from langchain_bedrock_opt.routing.scoring.reading import read_conversation
        >>> extract_signals(read_conversation("AとBを比較してください。")).hard
        1
    """
    ask = conversation.ask
    kinds = kinds_of_words(ask)
    symbols = _symbols(ask)
    words, spaceless = _words(ask, conversation.ask_chars)
    return Signals(
        words=words,
        spaceless=spaceless,
        asks=_asks(ask, symbols, kinds),
        easy=kinds[EASY],
        open=kinds[OPEN],
        hard=kinds[HARD],
        constraints=kinds[CONSTRAINT],
        steps=kinds[STEP],
        numbers=len(_DIGITS.findall(ask)) + kinds[NUMBER],
        code=_code(ask, symbols),
        maths=_maths(ask, symbols),
        several=kinds[SEVERAL],
        negations=kinds[NEGATION],
        commas=_count(symbols, _COMMAS),
        brackets=_count(symbols, _BRACKETS),
        symbols=100 * len(symbols) / max(len(ask), 1),
        background_tokens=conversation.background.tokens(),
        human_turns=conversation.human_turns,
        tools=len(tools or ()),
        images=conversation.with_ask.images,
        documents=conversation.with_ask.documents,
    )


def _words(ask: str, full_chars: int) -> tuple[float, float]:
    """Length in words, and the share of characters of scripts without spaces."""
    if not ask:
        return 0.0, 0.0
    spaceless = 0
    if ask.isascii():
        words = float(len(ask.split()))
    else:
        rest, runs = _SPACELESS.subn(" ", ask)
        spaceless = len(ask) - len(rest) + runs
        words = len(rest.split()) + spaceless / _CHARS_PER_WORD
    # A long text was scanned at its ends only; the rest is taken to be alike.
    return words * max(1.0, full_chars / len(ask)), spaceless / len(ask)


def _symbols(ask: str) -> str:
    """All that is neither letter, digit nor space. Few: what is looked for there is found fast."""
    if ask.isascii():
        return ask.encode().translate(None, _NO_SYMBOLS).decode()
    return "".join(_SYMBOL.findall(ask))


def _asks(ask: str, symbols: str, kinds: Mapping[str, int]) -> int:
    # On a single line there is one place to look, and most prompts are one.
    listed = len(_LISTED.findall(ask)) if "\n" in ask else bool(_LISTED.match(ask))
    return _count(symbols, _QUESTION_MARKS) + listed + kinds[REQUEST]


def _code(ask: str, symbols: str) -> int:
    words = _count(ask, _CODE_WORDS)
    return words if _CODE_SYMBOLS.isdisjoint(symbols) else words + _count(ask, _CODE_MARKS)


def _maths(ask: str, symbols: str) -> int:
    # Some of the marks count as letters: they are looked for where there is more than ASCII.
    marks = _count(symbols, _ASCII_MATHS) if ask.isascii() else _count(ask, _MATHS_MARKS)
    if "$" in symbols:
        marks += len(_FORMULA.findall(ask))
    if "=" in symbols:
        marks += len(_EQUATION.findall(ask))
    return marks


def _count(text: str, marks: Sequence[str]) -> int:
    count = text.count
    return sum([count(mark) for mark in marks]) if text else 0
