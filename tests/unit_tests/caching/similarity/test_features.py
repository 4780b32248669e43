"""What speaks for and against reuse."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_bedrock_opt.caching.similarity.facts import read_facts
from langchain_bedrock_opt.caching.similarity.features import FEATURE_SIGNS, FEATURES, features


def named(one: str, other: str, **known: float) -> dict[str, float]:
    sides = read_facts(one, key=b"k"), read_facts(other, key=b"k")
    found = features(*sides, 0.9, **known)  # type: ignore[arg-type]  # counts are whole numbers
    return dict(zip(FEATURES, found, strict=True))


def test_swapped_words_are_seen_as_moved() -> None:
    """The same words in another order share all words, and some have moved."""
    pair = named("The dog bites the cyclist", "The cyclist bites the dog")

    assert pair["words_shared"] == 1.0
    assert pair["moved"] > 0
    assert named("The dog bites the cyclist", "the dog bit the cyclist")["moved"] == 0


def test_swapped_particles_change_roles() -> None:
    """が and を say who does what: swapped, both nouns have another part."""
    swapped = named("学生が警官を追う", "警官が学生を追う")
    scrambled = named("学生が警官を追う", "警官を学生が追う")

    assert swapped["roles_changed"] > 0
    assert scrambled["roles_changed"] == 0


def test_swapped_prepositions_change_roles() -> None:
    """From Rome to Oslo is not from Oslo to Rome."""
    assert named("a train from Rome to Oslo", "a train from Oslo to Rome")["roles_changed"] > 0


def test_other_names_are_seen() -> None:
    """A name on either side that the other lacks is counted as changed."""
    assert named("the mayor of Paris", "the mayor of Lyon")["names_changed"] > 0
    assert named("the mayor of Paris", "Paris and its mayor")["names_changed"] == 0


def test_other_question_words_are_seen() -> None:
    """Asking when is not asking why, in both languages."""
    assert named("When did it end?", "Why did it end?")["asks_changed"] == 1
    assert named("いつ終わりましたか", "なぜ終わりましたか")["asks_changed"] == 1


def test_what_the_tier_knows_is_passed_on() -> None:
    """Agreement of neighbours and an entry's past are features of their own."""
    pair = named("a", "a", agreement=0.75, ok=3, errors=1)

    assert pair["agreement"] == 0.75
    assert pair["ok"] == math.log1p(3)
    assert pair["errors"] == math.log1p(1)


@settings(deadline=None)  # the first text compiles the word lists
@given(st.text(), st.text(), st.floats(-1.5, 1.5))
def test_features_are_finite(one: str, other: str, similarity: float) -> None:
    """Every pair of texts has as many finite numbers as there are names and signs."""
    sides = read_facts(one, key=b"k"), read_facts(other, key=b"k")
    found = features(*sides, similarity)

    assert len(found) == len(FEATURES) == len(FEATURE_SIGNS)
    assert all(map(math.isfinite, found))


@settings(deadline=None)  # the first text compiles the word lists
@given(st.text(), st.text())
def test_features_are_symmetric(one: str, other: str) -> None:
    """Which question came first has no effect, apart from the order that words moved in."""
    there, back = named(one, other), named(other, one)
    for name in ("moved", "moved_any"):
        there.pop(name), back.pop(name)

    assert there == back
