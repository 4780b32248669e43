"""How many tokens a text is likely to have, without asking anyone.

Counting characters by four, as most libraries do, is two thirds too low for Japanese. Weights by
character class are within 5 to 12 % (mean absolute error) on three public tokenizers, in
English, Japanese, Chinese, Korean, code and JSON. They are estimates: what a call really spent is
in its response.

The text is sorted into classes by two byte tables, a few passes in C over the whole of it: time
and memory are linear in its length whatever it holds.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from typing import Final

# Tokens a character, and tokens a word of letters. Fitted on 2026-11-22 to three public
# tokenizers, on English and Japanese documentation, translated interface texts, Python and JSON.
_LETTER: Final = 0.20
_DIGIT: Final = 2.05
_PUNCTUATION: Final = 0.18
_SPACE: Final = 0.08
_HAN: Final = 1.14
_KANA: Final = 1.17
_HANGUL: Final = 1.47
_OTHER: Final = 2.27
_WORD: Final = 0.61


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


def estimate_tokens(text: str) -> int:
    """Estimate how many tokens a text has.

    Args:
        text: Any text; lone surrogates are allowed.

    Returns:
        At least 1 for a text that is not empty.

    Example:
        >>> estimate_tokens("What is the capital of France?")
        9
        >>> estimate_tokens("")
        0
    """
    if not text:
        return 0
    plain = text.encode("ascii", "replace")
    # What is not ASCII has become a question mark here, and is counted by its block instead.
    foreign = 0 if text.isascii() else plain.count(b"?") - text.count("?")
    total = _weigh_ascii(plain, foreign)
    if foreign:
        total += _weigh_blocks(text, foreign)
    return max(1, round(total))


def _weigh_ascii(plain: bytes, foreign: int) -> float:
    classes = plain.translate(_ASCII)
    words = (b" " + classes.translate(_LETTERS)).count(b" l")
    return (
        classes.count(b"l") * _LETTER
        + words * _WORD
        + classes.count(b"d") * _DIGIT
        + classes.count(b"s") * _SPACE
        + (classes.count(b"p") - foreign) * _PUNCTUATION
        + classes.count(b"o") * _OTHER
    )


def _weigh_blocks(text: str, foreign: int) -> float:
    # The high byte of a UTF-16 unit names its block. Characters beyond U+FFFF are two surrogates,
    # in no block that is counted.
    blocks = text.encode("utf-16-le", "surrogatepass")[1::2].translate(_BLOCKS)
    han, kana, hangul = blocks.count(b"h"), blocks.count(b"k"), blocks.count(b"g")
    other = foreign - han - kana - hangul
    return han * _HAN + kana * _KANA + hangul * _HANGUL + other * _OTHER
