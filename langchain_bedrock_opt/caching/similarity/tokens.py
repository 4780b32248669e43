"""Words of Japanese and English texts, each with its kind. No dictionary is needed.

English words are brought to a plain form by cutting endings. Japanese has no spaces: a change of
script ends a word, and a particle at the start of the hiragana after a noun is a word of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from langchain_bedrock_opt.caching.similarity.lexicon import FUNCTION_WORDS, HAN, PARTICLES


class Kind(IntEnum):
    """What a word is good for."""

    FUNCTION = 0
    """It says how others belong together: prepositions, particles, endings."""
    CONTENT = 1
    NAME = 2
    """It looks like a name: a capital letter inside a sentence, a word of katakana."""
    NUMBER = 3


class Token(NamedTuple):
    """A word in its plain form, where it stands, and its kind."""

    word: str
    kind: Kind


_TOKEN = re.compile(
    r"(?P<number>\d+(?:[.,:]\d+)*)"
    r"|(?P<katakana>[ァ-ヺー]+)"
    rf"|(?P<han>[{HAN}]+)"
    r"|(?P<hiragana>[ぁ-ゖー]+)"
    rf"|(?P<word>[^\W\d_ぁ-ヿ{HAN}]+(?:['’][^\W\d_ぁ-ヿ{HAN}]+)*)"
    r"|(?P<end>[.!?。！？\n])"
)
_PARTICLE = re.compile("|".join(PARTICLES))
_PARTICLE_AT_END = re.compile(f"(?:{'|'.join(PARTICLES)})$")
_VOWEL = re.compile("[aeiouy]")
_MIN_STEM = 3
_NAME_LENGTH = 3  # shorter words of katakana are seldom names


def read_tokens(text: str) -> list[Token]:
    """The words of a text in their order.

    Example:
        >>> [token.word for token in read_tokens("Dogs chased the cats")]
        ['dog', 'chas', 'the', 'cat']
        >>> [token.word for token in read_tokens("学生が犬を追う")]
        ['学生', 'が', '犬', 'を', '追', 'う']
    """
    tokens: list[Token] = []
    starts_sentence = follows_word = True
    for match in _TOKEN.finditer(text):
        group, found = match.lastgroup, match.group()
        if group == "end":
            starts_sentence = True
            continue
        if group == "hiragana":
            tokens += _hiragana(found, follows_word=follows_word and bool(tokens))
        elif group == "word":
            tokens += _english(found, starts_sentence=starts_sentence)
        elif group == "number":
            tokens.append(Token(found, Kind.NUMBER))
        else:
            is_name = group == "katakana" and len(found) >= _NAME_LENGTH
            tokens.append(Token(found, Kind.NAME if is_name else Kind.CONTENT))
        follows_word = group in {"han", "katakana", "word", "number"}
        starts_sentence = False
    return tokens


def stem(word: str) -> str:
    """An English word without its ending, in small letters.

    Example:
        >>> stem("Closing") == stem("closes") == stem("close")
        True
    """
    word = word.lower()
    if word.endswith(("'s", "’s")):
        word = word[:-2]
    for ending, instead in (("ies", "y"), ("ied", "y")):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word.removesuffix(ending) + instead
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > _MIN_STEM:
        word = word[:-1]
    for ending in ("ing", "ed"):
        rest = word.removesuffix(ending)
        if rest != word and len(rest) >= _MIN_STEM and _VOWEL.search(rest):
            word = rest[:-1] if rest[-1] == rest[-2] and rest[-1] not in "ls" else rest
            break
    return word[:-1] if word.endswith("e") and len(word) > _MIN_STEM else word


def _english(found: str, *, starts_sentence: bool) -> Iterator[Token]:
    lower = found.lower().replace("’", "'")
    if lower.endswith("n't"):
        rest = {"ca": "can", "wo": "will", "sha": "shall"}.get(lower[:-3], lower[:-3])
        yield Token(rest, Kind.FUNCTION)
        yield Token("n't", Kind.FUNCTION)
        return
    head, mark, tail = lower.partition("'")
    if lower in FUNCTION_WORDS or head in FUNCTION_WORDS:
        yield Token(head, Kind.FUNCTION)
        if mark and tail != "s":
            yield Token(mark + tail, Kind.FUNCTION)
        return
    is_name = found[0].isupper() and not starts_sentence
    yield Token(stem(lower), Kind.NAME if is_name else Kind.CONTENT)


def _hiragana(found: str, *, follows_word: bool) -> Iterator[Token]:
    """A particle and what follows it, or a word of hiragana and the particle at its end."""
    if follows_word:
        particle = _PARTICLE.match(found)
        if particle is None:
            yield Token(found, Kind.FUNCTION)  # the ending of a verb or an adjective
            return
        yield Token(particle.group(), Kind.FUNCTION)
        found = found[particle.end() :]
    particle = _PARTICLE_AT_END.search(found)
    if particle is not None and particle.start() > 1:
        yield Token(found[: particle.start()], Kind.CONTENT)
        yield Token(particle.group(), Kind.FUNCTION)
    elif found:
        yield Token(found, Kind.CONTENT)
