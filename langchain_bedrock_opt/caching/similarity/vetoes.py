"""Differences between two texts that forbid giving one's answer to the other.

A veto is symmetric, and a text never has one against itself. What merely makes reuse less likely,
such as another order of words, is a feature (`caching.similarity.features`) and no veto.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from langchain_bedrock_opt.caching.similarity.facts import TextFacts


def veto(asked: TextFacts, known: TextFacts) -> str | None:
    """The name of the first difference that forbids reuse, or None if there is none.

    Args:
        asked: Facts of the new question.
        known: Facts of the question whose answer is stored, read with the same key.

    Example:
        >>> from langchain_bedrock_opt.caching.similarity.facts import read_facts
        >>> facts = [read_facts(text, key=b"k") for text in ("Add 2 eggs", "Add two eggs", "Add 3")]
        >>> veto(facts[0], facts[1]), veto(facts[0], facts[2])
        (None, 'numbers')
    """
    for name, differs in VETOES.items():
        if differs(asked, known):
            return name
    return None


def _quotes(asked: TextFacts, known: TextFacts) -> bool:
    """Other words are quoted, and not just the same words with and without quotation marks."""
    if asked.quotes == known.quotes:
        return False
    return not (asked.quoted <= known.every and known.quoted <= asked.every)


def _exclude(asked: frozenset[tuple[int, int]], known: frozenset[tuple[int, int]]) -> bool:
    """Whether each side has a value that the other has not, in some group that both name."""
    if asked == known:
        return False
    only_asked, only_known = asked - known, known - asked
    return not {group for group, _ in only_asked}.isdisjoint(group for group, _ in only_known)


VETOES: Final[dict[str, Callable[[TextFacts, TextFacts], bool]]] = {
    "length": lambda asked, known: asked.cut != known.cut,
    "script": lambda asked, known: bool(
        asked.script and known.script and asked.script != known.script
    ),
    "numbers": lambda asked, known: asked.numbers != known.numbers,
    "dates": lambda asked, known: asked.dates != known.dates,
    "units": lambda asked, known: _exclude(asked.units, known.units),
    "ids": lambda asked, known: asked.ids != known.ids,
    "quotes": _quotes,
    "negation": lambda asked, known: asked.negations % 2 != known.negations % 2,
    "opposites": lambda asked, known: _exclude(asked.contrasts, known.contrasts),
}
"""The vetoes by name, cheap ones first."""
