"""What speaks for and against reusing an answer, as numbers."""

from __future__ import annotations

from bisect import bisect_left
from math import log1p
from typing import Final

from langchain_bedrock_opt.caching.similarity.facts import TextFacts

FEATURES: Final[tuple[str, ...]] = (
    "similarity",
    "distance_root",
    "words_shared",
    "content_shared",
    "grams_shared",
    "pairs_shared",
    "content_changed",
    "content_added",
    "function_changed",
    "function_added",
    "moved",
    "moved_any",
    "roles_changed",
    "roles_shared",
    "names_changed",
    "names_added",
    "names_shared",
    "asks_changed",
    "contrasts_added",
    "values_shared",
    "negations",
    "length",
    "length_ratio",
    "agreement",
    "ok",
    "errors",
)

_SIGNS = {"similarity": 1, "distance_root": -1, "agreement": 1, "ok": 1, "errors": -1}

FEATURE_SIGNS: Final[tuple[int, ...]] = tuple(_SIGNS.get(name, 0) for name in FEATURES)
"""Whether more of a feature speaks for reuse (1), against it (-1), or may do either (0)."""


def features(
    asked: TextFacts,
    known: TextFacts,
    similarity: float,
    *,
    agreement: float = 0.0,
    ok: int = 0,
    errors: int = 0,
) -> tuple[float, ...]:
    a, b = asked.content, known.content
    shared = a & b
    only_a, only_b = len(a) - len(shared), len(b) - len(shared)
    every_shared = len(asked.every & known.every)
    f_a = len(asked.every) - every_shared - only_a
    f_b = len(known.every) - every_shared - only_b
    moved = _moved([known.order[w] for w in asked.order if w in known.order])
    roles_a, roles_b = asked.roles - known.roles, known.roles - asked.roles
    names_a, names_b = len(asked.names - known.every), len(known.names - asked.every)
    pairs = len(asked.follow & known.follow)
    grams = (asked.sketch & known.sketch).bit_count()
    numbers = len(asked.numbers) + len(asked.dates) + len(asked.ids) + len(asked.quotes)
    size_a, size_b = len(asked.words), len(known.words)
    return (
        similarity,
        max(0.0, 1.0 - similarity) ** 0.5,
        _share(every_shared, len(asked.every) + len(known.every) - every_shared),
        _share(len(shared), len(a) + len(b) - len(shared)),
        _share(grams, asked.bits + known.bits - grams),
        _share(pairs, len(asked.follow) + len(known.follow) - pairs),
        log1p(min(only_a, only_b)),
        log1p(max(only_a, only_b)),
        log1p(max(0, min(f_a, f_b))),
        log1p(max(0, f_a, f_b)),
        _share(moved, len(shared)) if shared else 0.0,
        float(moved > 0),
        log1p(len({w for w, _ in roles_a} & {w for w, _ in roles_b})),
        _share(len(asked.roles & known.roles), min(len(asked.roles), len(known.roles))),
        log1p(min(names_a, names_b)),
        log1p(max(names_a, names_b)),
        log1p(len(asked.names & known.names)),
        float(asked.asks != known.asks),
        log1p(len(asked.contrasts ^ known.contrasts)),
        log1p(numbers),
        float(asked.negations + known.negations > 0),
        log1p(min(size_a, size_b)),
        _share(min(size_a, size_b), max(size_a, size_b)),
        agreement,
        log1p(ok),
        log1p(errors),
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def _moved(places: list[int]) -> int:
    """How many words would have to move: all but the longest run in rising order."""
    tails: list[int] = []
    for place in places:
        at = bisect_left(tails, place)
        tails[at : at + 1] = [place]
    return len(places) - len(tails)
