"""What is kept of a text: hashes, few of them, and never the text."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_bedrock_opt.caching.similarity.contrasts import english_contrasts, japanese_contrasts
from langchain_bedrock_opt.caching.similarity.facts import MAX_CHARACTERS, TextFacts, read_facts
from langchain_bedrock_opt.caching.similarity.lexicon import UNITS
from langchain_bedrock_opt.errors import CacheStoreError

KEY = b"a secret of this cache"
ENGLISH = (
    "Could you please tell me whether the savings account that I opened on 3 May 2025 with the "
    'number AB-12345 still pays 2.5% interest, or has "Flexible Saver" become the only account?!!'
)
JAPANESE = (
    "二〇二五年五月三日に開設した普通預金口座（番号AB-12345）は、今でも年率2.5%の利息が付きますか。"
    "それとも「フレキシブル預金」だけが利用できるようになったのでしょうか。教えていただけると助かります。"
    "また、来月の引き落とし日を変更したい場合は、支店の窓口に行かなければなりませんか、アプリでも大丈夫ですか。"
)


@settings(deadline=None)  # the first text compiles the word lists
@given(st.text())
def test_facts_survive_a_round_trip(text: str) -> None:
    """Facts from bytes are the facts that were stored, lone surrogates or not."""
    facts = read_facts(text, key=KEY)

    assert TextFacts.from_bytes(facts.to_bytes()) == facts


@pytest.mark.parametrize("text", [ENGLISH, JAPANESE])
def test_nothing_of_the_text_is_in_the_bytes(text: str) -> None:
    """No word of a text, and no name of what it says, can be read in what is stored."""
    data = read_facts(text, key=KEY).to_bytes()

    told = [*text.replace("、", " ").replace("。", " ").split(), "2.5", "12345", "flexible", "m5"]
    for word in told:
        if len(word) > 2:
            assert word.encode() not in data
            assert word.lower().encode() not in data


@pytest.mark.parametrize("text", [ENGLISH, JAPANESE[:200]])
def test_facts_of_a_question_are_small(text: str) -> None:
    """Two hundred characters of either language take less than a kilobyte."""
    assert len(read_facts(text[:200], key=KEY).to_bytes()) < 1024


def test_facts_tell_nothing_under_another_key() -> None:
    """Two caches with keys of their own have no hash in common."""
    mine, yours = read_facts(ENGLISH, key=b"mine"), read_facts(ENGLISH, key=b"yours")

    assert not mine.every & yours.every
    assert not mine.numbers & yours.numbers


@pytest.mark.parametrize(
    "text", ["a", "9", "`", "「", "三", "に", "a1", "'", "/", "1,", "ない", "may "]
)
def test_long_texts_are_read_in_part(text: str) -> None:
    """A megabyte of whatever sort gives facts of bounded size; no pattern runs away."""
    data = read_facts(text * (1_000_000 // len(text)), key=KEY).to_bytes()

    assert len(data) < 16 * MAX_CHARACTERS


@pytest.mark.parametrize(
    "data", [b"", b"no", b"\x91\x01", msgpack.packb([0] * 15), msgpack.packb({"a": 1}), b"\xc1"]
)
def test_nonsense_is_refused(data: bytes) -> None:
    """Bytes that are no facts of this version are an error, which the cache takes for a miss."""
    with pytest.raises(CacheStoreError, match="no facts"):
        TextFacts.from_bytes(data)


@settings(deadline=None)  # the first text compiles the word lists
@given(st.data())
def test_broken_facts_are_refused_or_facts(data: st.DataObject) -> None:
    """A flipped byte gives other facts or a CacheStoreError, and no other exception."""
    stored = bytearray(read_facts(ENGLISH, key=KEY).to_bytes())
    place = data.draw(st.integers(0, len(stored) - 1))
    stored[place] ^= data.draw(st.integers(1, 255))

    try:
        TextFacts.from_bytes(bytes(stored))
    except CacheStoreError:
        return


def test_word_lists_are_well_formed() -> None:
    """Every unit has a dimension and a name, and no word contradicts itself in one group."""
    assert all(len(unit) == 2 for unit in UNITS.values())
    for words in (english_contrasts(), japanese_contrasts()[1]):
        for word, contrasts in words.items():
            groups = [contrast.group for contrast in contrasts]
            assert len(groups) == len(set(groups)), word
