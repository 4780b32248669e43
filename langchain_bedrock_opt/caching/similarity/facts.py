"""What the gate knows of a text, without the text.

Words, numbers, names and the rest are kept as keyed hashes, so that facts say which parts of two
texts are equal and nothing else. A long text is read to `MAX_CHARACTERS`; two texts of which one
is longer are never taken for each other.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from hashlib import blake2b
from itertools import pairwise
from typing import Any, Final

import msgpack

from langchain_bedrock_opt.caching.similarity.contrasts import english_contrasts, japanese_contrasts
from langchain_bedrock_opt.caching.similarity.lexicon import (
    ASKING,
    JAPANESE_NEGATION,
    NEGATION_IDIOMS,
    NEGATORS,
    PARTICLE_ROLES,
    PARTICLES,
    PREPOSITIONS,
)
from langchain_bedrock_opt.caching.similarity.tokens import Kind, Token, read_tokens, stem
from langchain_bedrock_opt.caching.similarity.values import read_values
from langchain_bedrock_opt.errors import CacheStoreError

FACTS_VERSION: Final = 1
"""Changes whenever facts of the same text would; older ones are refused."""

MAX_CHARACTERS: Final = 2000
"""How much of a text is read."""

SKETCH_BITS: Final = 1024
_NO_KIND: Final = 0xFFFFFFFC
"""All bits of a word but the two that hold its kind."""
_GRAM: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFacts:
    """What the gate needs of a text, as keyed hashes and counts.

    Attributes:
        words: The words in their order; the two lowest bits of a hash hold its `Kind`.
        sketch: A bit for each run of three characters (two in Japanese), by its hash.
        numbers: Numbers, each in one form.
        dates: Years, months, days, weekdays, times, relative days.
        units: Dimension and unit, as pairs.
        ids: Codes, addresses, names of variables, blocks of code.
        quotes: Quotations.
        quoted: The words that stand in quotations.
        contrasts: Words that exclude others, as pairs of group and value.
        roles: Content words with the particle or preposition that gives them their part.
        asks: What the text asks for: who, when, how …
        negations: How many negators it holds.
        script: Its script by most of its letters; empty if it has none.
        cut: A hash of the whole text if only its start was read, or 0.
    """

    words: tuple[int, ...]
    sketch: int
    numbers: frozenset[int]
    dates: frozenset[int]
    units: frozenset[tuple[int, int]]
    ids: frozenset[int]
    quotes: frozenset[int]
    quoted: frozenset[int]
    contrasts: frozenset[tuple[int, int]]
    roles: frozenset[tuple[int, int]]
    asks: frozenset[int]
    negations: int
    script: str
    cut: int
    content: frozenset[int] = field(init=False, compare=False, repr=False)
    names: frozenset[int] = field(init=False, compare=False, repr=False)
    follow: frozenset[tuple[int, int]] = field(init=False, compare=False, repr=False)
    every: frozenset[int] = field(init=False, compare=False, repr=False)
    order: dict[int, int] = field(init=False, compare=False, repr=False)
    bits: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Work out what every comparison needs, once."""
        words = [word & _NO_KIND for word in self.words]
        kinds = [word & 3 for word in self.words]
        content = [
            word
            for word, kind in zip(words, kinds, strict=True)
            if kind in {Kind.CONTENT, Kind.NAME}
        ]
        names = [word for word, kind in zip(words, kinds, strict=True) if kind == Kind.NAME]
        derived = {
            "every": frozenset(words),
            "content": frozenset(content),
            "names": frozenset(names),
            "follow": frozenset(pairwise(words)),
            "order": {word: place for place, word in enumerate(dict.fromkeys(content))},
            "bits": self.sketch.bit_count(),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)  # the way round frozen, for derived fields

    def to_bytes(self) -> bytes:
        """The facts as bytes, for `from_bytes`: below 1 KB for a text of 200 characters.

        Example:
            >>> facts = read_facts("Is it open?", key=b"secret")
            >>> TextFacts.from_bytes(facts.to_bytes()) == facts
            True
        """
        packed = [_PACK[part.name](getattr(self, part.name)) for part in _stored()]
        data: bytes = msgpack.packb([FACTS_VERSION, *packed])
        return data

    @classmethod
    def from_bytes(cls, data: bytes) -> TextFacts:
        """What `to_bytes` made into bytes.

        Raises:
            CacheStoreError: The bytes are no facts, or of another version.
        """
        try:
            version, *packed = msgpack.unpackb(data)
            if version != FACTS_VERSION:
                raise ValueError(version)  # noqa: TRY301 - one message for all
            return cls(
                **{
                    part.name: _UNPACK[part.name](value)
                    for part, value in zip(_stored(), packed, strict=True)
                }
            )
        except Exception as error:  # msgpack raises many kinds on nonsense
            raise CacheStoreError("a cache entry holds no facts of this version") from error


def read_facts(text: str, *, key: bytes) -> TextFacts:
    """What the gate needs of a text.

    Args:
        text: A text in its canonical form (`caching.text`).
        key: A secret of up to 64 bytes for the hashes; facts compare only under equal keys.

    Returns:
        The facts. Reading takes some tenths of a millisecond for a text of 100 characters and is
        bounded for long ones.

    Example:
        >>> facts = read_facts("Not before May 5, please", key=b"secret")
        >>> facts.negations, facts.script, len(facts.dates)
        (1, 'latin', 2)
    """
    name = _Hasher(key)
    read = text[:MAX_CHARACTERS]
    tokens, values = read_tokens(read), read_values(read)
    words = [(name("word", token.word) & _NO_KIND) | token.kind for token in tokens]
    return TextFacts(
        words=tuple(words),
        sketch=_sketch(read, name),
        numbers=name.every("number", values.numbers),
        dates=name.every("date", values.dates),
        units=frozenset((name("dim", kind), name("unit", unit)) for kind, unit in values.units),
        ids=name.every("id", values.ids),
        quotes=name.every("quote", values.quotes),
        quoted=frozenset(
            name("word", token.word) & _NO_KIND
            for quote in values.quotes
            for token in read_tokens(quote)
        ),
        contrasts=frozenset(_contrasts(read, tokens, name)),
        roles=frozenset(_roles(tokens, words, name)),
        asks=name.every("asks", _asks(read, tokens)),
        negations=_negations(read),
        script=_script(read),
        cut=name("text", text) | 1 if len(text) > MAX_CHARACTERS else 0,
    )


class _Hasher:
    """Names things by 32 bits that say nothing of them without the key."""

    def __init__(self, key: bytes) -> None:
        self._start = blake2b(key=key, digest_size=4, person=b"bedrock-opt sim")

    def __call__(self, kind: str, text: str) -> int:
        found = self._start.copy()
        found.update(f"{kind}\0{text}".encode("utf-8", "surrogatepass"))
        return int.from_bytes(found.digest(), "big")

    def every(self, kind: str, texts: Iterable[str]) -> frozenset[int]:
        return frozenset(self(kind, text) for text in texts)


def _sketch(text: str, name: _Hasher) -> int:
    """A set of character runs as bits. Spaces and marks count as one space."""
    plain = " ".join(_LETTERS.findall(text.lower()))
    size = _GRAM if plain.isascii() else _GRAM - 1
    bits = 0
    for gram in {plain[start : start + size] for start in range(len(plain) - size + 1)}:
        bits |= 1 << (name("gram", gram) % SKETCH_BITS)
    return bits


_LETTERS = re.compile(r"\w+")


def _contrasts(text: str, tokens: list[Token], name: _Hasher) -> Iterable[tuple[int, int]]:
    """The words of contrast, single English ones and pairs of them, and Japanese ones."""
    by_word = english_contrasts()
    plain = [stem(token.word) if token.kind == Kind.FUNCTION else token.word for token in tokens]
    found = [by_word.get(word, ()) for word in plain]
    found += [by_word.get(f"{one} {other}", ()) for one, other in pairwise(plain)]
    if not text.isascii():
        pattern, by_match = japanese_contrasts()
        found += [by_match[match] for match in pattern.findall(text)]
    for contrasts in found:
        for contrast in contrasts:
            yield name("group", contrast.group), name("value", contrast.value)


def _roles(tokens: list[Token], words: list[int], name: _Hasher) -> Iterable[tuple[int, int]]:
    """Content words with the particle after them, or the preposition before them."""
    preposition = ""
    for place, token in enumerate(tokens):
        if token.kind == Kind.FUNCTION:
            preposition = token.word if token.word in PREPOSITIONS else preposition
            continue
        after = tokens[place + 1].word if place + 1 < len(tokens) else ""
        role = PARTICLE_ROLES.get(after, after) if after in _PARTICLES else preposition
        preposition = ""
        if role:
            yield words[place] & _NO_KIND, name("role", role)


_PARTICLES = frozenset(PARTICLES)


def _asks(text: str, tokens: list[Token]) -> Iterable[str]:
    words = {token.word for token in tokens}
    for asked, forms in ASKING.items():
        if any(form in words if form.isascii() else form in text for form in forms):
            yield asked


_WORDS = re.compile(r"[a-z]+(?:['’][a-z]+)*")


def _negations(text: str) -> int:
    japanese = 0
    if not text.isascii():
        japanese = sum(match["idle"] is None for match in JAPANESE_NEGATION.finditer(text))
    words = _WORDS.findall(NEGATION_IDIOMS.sub(" ", text).lower())
    english: int = sum(word in NEGATORS or word.endswith(("n't", "n’t")) for word in words)
    return japanese + english


_SCRIPTS: Final = {
    "latin": "A-Za-z\u00c0-\u024f",
    "cjk": "\u3041-\u30ff\u3005\u3006\u3400-\u4dbf\u4e00-\u9fff",
    "hangul": "\uac00-\ud7af\u1100-\u11ff",
    "cyrillic": "\u0400-\u04ff",
    "greek": "\u0370-\u03ff",
    "arabic": "\u0600-\u06ff",
    "hebrew": "\u0590-\u05ff",
    "devanagari": "\u0900-\u097f",
    "thai": "\u0e00-\u0e7f",
}
_SCRIPT_LETTERS = {script: re.compile(f"[{letters}]+") for script, letters in _SCRIPTS.items()}
_LATIN_LETTERS_A_KANJI = 3
"""A Latin word has about as many letters for each character of Japanese."""


def _script(text: str) -> str:
    if text.isascii():
        return "latin" if _SCRIPT_LETTERS["latin"].search(text) else ""
    counts = {
        script: sum(map(len, letters.findall(text))) for script, letters in _SCRIPT_LETTERS.items()
    }
    counts["latin"] //= _LATIN_LETTERS_A_KANJI
    script = max(counts, key=lambda script: counts[script])
    return script if counts[script] else ""


def _stored() -> Iterable[Any]:
    return (part for part in fields(TextFacts) if part.init)


def _pack_words(words: Iterable[int]) -> bytes:
    numbers = list(words)
    return struct.pack(f">{len(numbers)}I", *numbers)


def _unpack_words(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f">{len(data) // 4}I", data)


def _pack_pairs(pairs: Iterable[tuple[int, int]]) -> bytes:
    return _pack_words(word for pair in sorted(pairs) for word in pair)


def _unpack_pairs(data: bytes) -> frozenset[tuple[int, int]]:
    words = _unpack_words(data)
    return frozenset(zip(words[::2], words[1::2], strict=True))


_SETS = ("numbers", "dates", "ids", "quotes", "quoted", "asks")
_PAIRS = ("units", "contrasts", "roles")
_PACK: dict[str, Callable[[Any], Any]] = {
    "words": _pack_words,
    "sketch": lambda bits: bits.to_bytes(SKETCH_BITS // 8, "big"),
    **dict.fromkeys(_SETS, lambda words: _pack_words(sorted(words))),
    **dict.fromkeys(_PAIRS, _pack_pairs),
    **dict.fromkeys(("negations", "script", "cut"), lambda value: value),
}
_UNPACK: dict[str, Callable[[Any], Any]] = {
    "words": _unpack_words,
    "sketch": lambda data: int.from_bytes(data, "big"),
    **dict.fromkeys(_SETS, lambda data: frozenset(_unpack_words(data))),
    **dict.fromkeys(_PAIRS, _unpack_pairs),
    "negations": int,
    "script": str,
    "cut": int,
}
