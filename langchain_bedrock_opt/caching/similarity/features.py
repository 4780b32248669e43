"""What speaks for and against reusing an answer, as numbers.

None of them decides alone. Word order and names are here and no vetoes, because true paraphrases
differ in them as well: the verifier learns from labels what they are worth for this traffic.
"""

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
    """The features of a pair, in the order of `FEATURES`.

    Args:
        asked: Facts of the new question.
        known: Facts of the question whose answer is stored.
        similarity: The cosine between their embeddings.
        agreement: How far the other near candidates agree with this one, 0 to 1: the share of
            their similarities (to the eighth power) that is of candidates with the same answer; 0
            where there are none or it is not known.
        ok: How often this entry was found right before.
        errors: How often it was found wrong.

    Returns:
        A number for each name in `FEATURES`; tens of microseconds with facts at hand.

    Example:
        >>> from langchain_bedrock_opt.caching.similarity.facts import read_facts
        >>> one, other = (read_facts(text, key=b"k") for text in ("to Rome", "to Paris"))
        >>> pair = dict(zip(FEATURES, features(one, other, 0.8)))
        >>> pair["similarity"], pair["names_changed"] > 0
        (0.8, True)
    """
    return (
        similarity,
        max(0.0, 1.0 - similarity) ** 0.5,
        *_words(asked, known),
        *_order(asked, known),
        *_names(asked, known),
        *_rest(asked, known),
        agreement,
        log1p(ok),
        log1p(errors),
    )


def _words(asked: TextFacts, known: TextFacts) -> tuple[float, ...]:
    """Words and character runs in common, and words that were changed or added."""
    content = len(asked.content & known.content)
    every = len(asked.every & known.every)
    pairs = len(asked.follow & known.follow)
    runs = (asked.sketch & known.sketch).bit_count()
    asked_content, known_content = len(asked.content) - content, len(known.content) - content
    asked_rest = max(0, len(asked.every) - every - asked_content)
    known_rest = max(0, len(known.every) - every - known_content)
    return (
        _share(every, len(asked.every) + len(known.every) - every),
        _share(content, len(asked.content) + len(known.content) - content),
        _share(runs, asked.bits + known.bits - runs),
        _share(pairs, len(asked.follow) + len(known.follow) - pairs),
        log1p(min(asked_content, known_content)),
        log1p(max(asked_content, known_content)),
        log1p(min(asked_rest, known_rest)),
        log1p(max(asked_rest, known_rest)),
    )


def _order(asked: TextFacts, known: TextFacts) -> tuple[float, ...]:
    """Words in common that moved, or have another part: "to Rome" and "from Rome"."""
    places = [known.order[word] for word in asked.order if word in known.order]
    moved = _moved(places)
    shared = asked.roles & known.roles
    changed = {word for word, _ in asked.roles - shared} & {
        word for word, _ in known.roles - shared
    }
    return (
        moved / len(places) if places else 0.0,
        float(moved > 0),
        log1p(len(changed)),
        _share(len(shared), min(len(asked.roles), len(known.roles))),
    )


def _names(asked: TextFacts, known: TextFacts) -> tuple[float, ...]:
    asked_only, known_only = len(asked.names - known.every), len(known.names - asked.every)
    return (
        log1p(min(asked_only, known_only)),
        log1p(max(asked_only, known_only)),
        log1p(len(asked.names & known.names)),
    )


def _rest(asked: TextFacts, known: TextFacts) -> tuple[float, ...]:
    """What is asked for, contrasts that one side alone has, exact values, and lengths."""
    exact = (
        len(asked.numbers & known.numbers)
        + len(asked.dates & known.dates)
        + len(asked.ids & known.ids)
        + len(asked.quotes & known.quotes)
    )
    short, long = sorted((len(asked.words), len(known.words)))
    return (
        float(asked.asks != known.asks),
        log1p(len(asked.contrasts ^ known.contrasts)),
        log1p(exact),
        float(asked.negations + known.negations > 0),
        log1p(short),
        _share(short, long),
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
