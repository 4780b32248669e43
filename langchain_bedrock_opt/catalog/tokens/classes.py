"""The characters of a text, counted by class: what every estimate of tokens starts from.

The text is sorted into classes by two byte tables, a few passes in C over the whole of it: time
and memory are linear in its length whatever it holds.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

CLASSES: Final = (
    "letter",
    "word",
    "digit",
    "punctuation",
    "space",
    "han",
    "kana",
    "hangul",
    "other",
)
"""The classes, in the order of `Counts` and of a family's weights.

`letter` to `space` are ASCII; a `word` is a run of its letters. `kana` has the CJK punctuation
with it; `other` is everything else, whole scripts and emoji alike.
"""

Counts: TypeAlias = tuple[int, ...]
"""How many of each class a text has, in the order of `CLASSES`."""

NO_COUNTS: Final[Counts] = (0,) * len(CLASSES)


def _table(classes: Mapping[str, Iterable[int]]) -> bytes:
    """A table for `bytes.translate`: each byte to the letter of its class, "o" for other."""
    table = bytearray(b"o" * 256)
    for letter, members in classes.items():
        for member in members:
            table[member] = ord(letter)
    return bytes(table)


_ASCII: Final = _table(
    {
        "l": string.ascii_letters.encode(),
        "d": string.digits.encode(),
        "s": string.whitespace.encode(),
        "p": string.punctuation.encode(),
    }
)
_LETTERS: Final = bytes(ord("l") if byte == ord("l") else ord(" ") for byte in range(256))

# Blocks of 256 characters, by the high byte of their code: Han U+3400-9FFF, kana with CJK
# punctuation U+3000-30FF, Hangul jamo U+1100-11FF and syllables U+AC00-D7FF.
_BLOCKS: Final = _table(
    {"h": range(0x34, 0xA0), "k": (0x30,), "g": (0x11, *range(0xAC, 0xD8))},
)


def class_counts(text: str) -> Counts:
    """Count the characters of a text by class.

    Args:
        text: Any text; lone surrogates are allowed.

    Returns:
        Whole numbers. Of two texts put together, every count is the sum of theirs, except that a
        word cut in two is one word, not two.

    Example:
        >>> dict(zip(CLASSES, class_counts("Tokyo 東京!")))["han"]
        2
    """
    plain = text.encode("ascii", "replace")
    # What is not ASCII has become a question mark here, and is counted by its block instead.
    foreign = 0 if text.isascii() else plain.count(b"?") - text.count("?")
    classes = plain.translate(_ASCII)
    count = classes.count
    han = kana = hangul = 0
    if foreign:
        # The high byte of a UTF-16 unit names its block. Characters beyond U+FFFF are two
        # surrogates, in no block that is counted.
        blocks = text.encode("utf-16-le", "surrogatepass")[1::2].translate(_BLOCKS)
        han, kana, hangul = blocks.count(b"h"), blocks.count(b"k"), blocks.count(b"g")
    return (
        count(b"l"),
        (b" " + classes.translate(_LETTERS)).count(b" l"),
        count(b"d"),
        count(b"p") - foreign,
        count(b"s"),
        han,
        kana,
        hangul,
        count(b"o") + foreign - han - kana - hangul,
    )
