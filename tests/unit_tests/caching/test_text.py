"""The canonical form of texts."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_bedrock_opt.caching.text import canonical_text

TEXTS = st.text(st.characters(codec=None) | st.sampled_from(" \t\r\n`~\u3000ｶﾞﾊﾟ\uff21\uff1110²①"))
NO_CODE = TEXTS.filter(lambda text: not set(text) & set("`~\uff40\uff5e"))
ONE_CR = NO_CODE.filter(lambda text: "\r\r" not in text)  # CR CR LF is a CR before a line end
NO_FENCE = st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="`~")


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("  Hello \n", "Hello"),
        ("a\r\nb\r\n\r\nc", "a\nb\n\nc"),
        ("\uff21\uff22\uff11\uff1f", "AB1?"),
        ("a\u3000b", "a b"),
        ("ｶﾞﾗｽﾊﾟﾝ", "ガラスパン"),
        ("e\u0301", "é"),
        ("か\u3099", "が"),
    ],
)
def test_unseen_differences_are_folded(text: str, canonical: str) -> None:
    """Space, line ends, width and composition are brought to one form."""
    assert canonical_text(text) == canonical


@pytest.mark.parametrize(
    "text",
    [
        *["10²", "①②", "㌔", "ﬁ", "H₂O", "Ⅳ", "½", "A", "a", "カ", "か", "—", "〜", "™"],
        *["a  b", "a\nb", "a \nb", "a\t\nb", "a\rb"],
    ],
)
def test_meaning_is_kept(text: str) -> None:
    """Superscripts, case, space inside and at line ends, and all that NFKC would flatten stay."""
    assert canonical_text(text) == text


@pytest.mark.parametrize(
    "code",
    [
        "```\nx = 1  \r\n\uff21\n```",
        "```python\nif a:\n\tb  \n```",
        "~~~\n \uff21 \n~~~",
        "````\n```\n \uff21 \n```\n````",
        "```\nnever closed \uff21 \n ",
    ],
)
def test_code_is_untouched(code: str) -> None:
    """Fenced code stays byte for byte, and the text around it is folded."""
    closed = code.rstrip()[-3:] in {"```", "~~~"}
    after = "\n \uff22 \n" if closed else ""

    canonical = canonical_text("  \uff21  \r\n" + code + after)

    assert canonical == "A  \n" + code + ("\n B" if closed else "")


@given(ONE_CR)
def test_folding_again_changes_nothing(text: str) -> None:
    """A canonical text without code is its own canonical form, lone surrogates included."""
    once = canonical_text(text)

    assert canonical_text(once) == once


@given(st.text(NO_FENCE))
def test_full_width_is_ascii(text: str) -> None:
    """A text typed in full width is the text typed in ASCII."""
    wide = "".join(chr(ord(character) + 0xFEE0) for character in text)

    assert canonical_text(wide) == canonical_text(text)


@given(st.text(st.sampled_from(" \t\n`ab\u00e9")))
def test_space_inside_a_text_is_kept(text: str) -> None:
    """Only the space around a text is dropped; each line keeps the space at its end."""
    assert canonical_text(f"a{text}b") == f"a{text}b"


@given(NO_CODE)
def test_decomposed_is_composed(text: str) -> None:
    """A decomposed text, as macOS writes file names, is the composed one."""
    assert canonical_text(unicodedata.normalize("NFD", text)) == canonical_text(text)


@given(st.lists(st.sampled_from(["a", "²", "2", "①", "1", "が", "ガ", "K", "k"]), max_size=6))
def test_different_texts_stay_different(characters: list[str]) -> None:
    """Nothing is merged that a reader would tell apart."""
    text = "".join(characters)

    assert canonical_text(text) == text
