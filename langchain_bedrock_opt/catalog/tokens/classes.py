"""The characters of a text, counted by class: what every estimate of tokens starts from.

The text is sorted into classes by byte tables, a few passes in C over the whole of it: time and
memory are linear in its length whatever it holds.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

CLASSES: Final = (
    "lower",
    "upper",
    "word",
    "digit",
    "mark",
    "pair",
    "space",
    "newline",
    "han",
    "kana",
    "hangul",
    "latin",
    "cyrillic",
    "astral",
    "other",
)
"""The classes, in the order of `Counts` and of a family's weights.

`lower` to `newline` are ASCII. A `word` is a run of its letters. Of a run of punctuation, every
two neighbours are a `pair`, and the rest, with the first of each pair, are a `mark`. `kana` has
East Asian punctuation with it, `latin` is what has accents, `astral` is beyond U+FFFF, emoji
mostly, and `other` is everything else.
"""

Counts: TypeAlias = tuple[int, ...]
"""How many of each class a text has, in the order of `CLASSES`."""

NOTHING: Final[Counts] = (0,) * len(CLASSES)
"""The counts of no text."""


def _table(classes: Mapping[str, Iterable[int]], *, rest: str) -> bytes:
    """A table for `bytes.translate`: each byte to the letter of its class."""
    table = bytearray(rest.encode() * 256)
    for letter, members in classes.items():
        for member in members:
            table[member] = ord(letter)
    return bytes(table)


_PLAIN: Final = {
    "l": string.ascii_lowercase.encode(),
    "u": string.ascii_uppercase.encode(),
    "d": string.digits.encode(),
    "s": b" \t\r\v\f",
    "n": b"\n",
}
_ASCII: Final = _table(_PLAIN, rest="p")
_MIXED: Final = _table({**_PLAIN, "f": b"?"}, rest="p")
_WORDS: Final = _table({"w": b"lu"}, rest=" ")

# Blocks of 256 characters, by the high byte of their code: Han U+3400-9FFF, kana with CJK
# punctuation U+3000-30FF and full-width forms U+FF00-FFFF, Hangul jamo U+1100-11FF and syllables
# U+AC00-D7FF, Latin U+0000-02FF and U+1E00-1EFF, Cyrillic U+0400-04FF.
_BLOCKS: Final = _table(
    {
        "h": range(0x34, 0xA0),
        "k": (0x30, 0xFF),
        "g": (0x11, *range(0xAC, 0xD8)),
        "a": (0x00, 0x01, 0x02, 0x1E),
        "c": (0x04,),
    },
    rest="o",
)


def class_counts(text: str) -> Counts:
    """Count the characters of a text by class.

    Args:
        text: Any text; lone surrogates are allowed.

    Returns:
        Whole numbers, none below 0. Of two texts put together every count is the sum of theirs,
        except where they meet: two parts of a word are one word, two marks may be a pair.

    Example:
        >>> counts = dict(zip(CLASSES, class_counts("Tokyo is 東京!")))
        >>> counts["word"], counts["han"], counts["mark"]
        (2, 2, 1)
    """
    if text.isascii():
        return _counts(text.encode().translate(_ASCII), 0, _NO_BLOCKS)
    # What is not ASCII becomes a question mark, so question marks become another mark first.
    plain = text.replace("?", "!").encode("ascii", "replace").translate(_MIXED)
    foreign = plain.count(b"f")
    return _counts(plain, foreign, _block_counts(text, foreign))


_NO_BLOCKS: Final = NOTHING[CLASSES.index("han") :]


def _counts(classes: bytes, foreign: int, blocks: Counts) -> Counts:
    count = classes.count
    lower, upper, digits, marks = count(b"l"), count(b"u"), count(b"d"), count(b"p")
    pairs, newlines = count(b"pp"), count(b"n")
    return (
        lower,
        upper,
        (b" " + classes.translate(_WORDS)).count(b" w"),
        digits,
        marks - pairs,
        pairs,
        len(classes) - lower - upper - digits - marks - newlines - foreign,
        newlines,
        *blocks,
    )


def _block_counts(text: str, foreign: int) -> Counts:
    # The high byte of a UTF-16 unit names its block. A character beyond U+FFFF is two surrogates,
    # in no block that is counted.
    units = text.encode("utf-16-le", "surrogatepass")[1::2].translate(_BLOCKS)
    han, kana, hangul = units.count(b"h"), units.count(b"k"), units.count(b"g")
    astral = len(units) - len(text)
    rest = foreign - han - kana - hangul - astral
    if not rest:
        return han, kana, hangul, 0, 0, astral, 0
    latin = units.count(b"a") - (len(text) - foreign)  # ASCII is in the first block
    cyrillic = units.count(b"c")
    return han, kana, hangul, latin, cyrillic, astral, rest - latin - cyrillic
