"""The most tokens that a text or an image can be expected to have: for limits on money.

An estimate is right on average, and so too low for half of all texts. What is reserved of a
budget must not be: here every class of characters weighs at least what it does in the family
that counts it highest, and what packs badly (figures, hashes, base64) weighs more.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from langchain_bedrock_opt.catalog.tokens.classes import CLASSES, class_counts
from langchain_bedrock_opt.catalog.tokens.families import (
    Weights,
    default_family,
    family_of,
    token_families,
    weighed,
)

_MOST: Final[dict[str, float]] = {
    # Letters of prose come in known words, those of base64 and of ids don't. So a letter weighs
    # more than in any family and a word less; a word of two letters and more is still above all.
    "lower": 0.2,
    "upper": 0.7,
    "word": 0.86,
    # Some tokenizers count every digit, others three as one; short numbers come with marks.
    "digit": 2.05,
    "mark": 1.11,
    "pair": 1.09,
    "space": 0.09,
    "newline": 1.32,
    "han": 1.3,
    "kana": 1.3,
    "hangul": 1.75,
    "latin": 2.27,
    "cyrillic": 2.27,
    "astral": 4.0,
    "other": 2.4,
}
_WEIGHTS: Final[Weights] = tuple(_MOST[name] for name in CLASSES)

_WIDE: Final = 0xFF
"""The high byte of full-width and half-width forms, U+FF00-FFFF."""

_WIDE_EXTRA: Final = 3.0 - _MOST["kana"]
"""Full-width letters and half-width kana may be three tokens each, one for each byte."""


class Most(NamedTuple):
    """The most tokens of what is no text.

    Attributes:
        request: What is around a whole prompt.
        tools: The instructions that a model is given once if there are tools at all.
        image: One image.
    """

    request: int
    tools: int
    image: int


_LEAST: Final = Most(request=0, tools=800, image=5_000)
"""What is taken even where a family says less: these are rules of thumb."""


def most_tokens(text: str) -> int:
    """The most tokens that a text has by any family's tokenizer.

    It is about 1.8 times what most models count for English, and more for figures. Only runs of
    random small letters, or of rare Chinese and Korean characters, can have more.

    Args:
        text: Any text; lone surrogates are allowed.

    Returns:
        0 for an empty text, at least 1 for any other.

    Example:
        >>> most_tokens("What is the capital of France?")
        13
        >>> most_tokens("2026-11-23")
        19
    """
    if not text:
        return 0
    total = weighed(class_counts(text), _WEIGHTS)
    if not text.isascii():
        units = text.encode("utf-16-le", "surrogatepass")
        total += _WIDE_EXTRA * units[1::2].count(_WIDE)
    return max(1, -int(-total // 1))


def most_around(model: object = None) -> Most:
    """The most tokens of what is no text in a prompt.

    Args:
        model: A model id of any form, or a chat model. One that is not known may be any model.

    Example:
        >>> most_around("us.anthropic.claude-sonnet-4-6").image
        5000
        >>> most_around("qwen.qwen3-vl-235b-a22b").image
        16000
    """
    family = family_of(model)
    families = token_families().values() if family is default_family() else (family,)
    found = (
        Most(each.request, each.tools + each.tool, max(each.image.flat, each.image.most or 0))
        for each in families
    )
    return Most(*map(max, zip(_LEAST, *found, strict=True)))
