"""The few words that say that something was left out, in the language of the prompt."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

SAMPLE: Final = 2000
"""Characters of a text that its language is read from."""

_KANA: Final = re.compile(r"[\u3041-\u3096\u30a1-\u30fa]")
_HAN: Final = re.compile(r"[\u3400-\u9fff]")
_HANGUL: Final = re.compile(r"[\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3]")
_LATIN: Final = re.compile(r"[^\W\d_\u1100-\uffff]+")


class Marker(NamedTuple):
    """What stands in the place of what was left out.

    Attributes:
        text: For a part of a text.
        messages: For whole messages.
        space: What parts it from the text beside it, within a line.
    """

    text: str
    messages: str
    space: str


ENGLISH: Final = Marker("[… omitted]", "[… earlier messages omitted]", " ")
JAPANESE: Final = Marker("[…省略]", "[…以前のメッセージを省略]", "")
# The same characters in simplified and in traditional Chinese.
CHINESE: Final = Marker("[…已省略]", "[…已省略部分消息]", "")
KOREAN: Final = Marker("[… 생략]", "[… 이전 메시지 생략]", " ")


def marker_for(sample: str) -> Marker:
    """The marker in the language that a text seems to be in, by its script.

    Kana make it Japanese, Han without kana Chinese, Hangul Korean; all else is answered in
    English. Code and names in Latin letters weigh little: a Japanese prompt is full of them.

    Args:
        sample: A part of the prompt.

    Example:
        >>> marker_for("次のログを要約してください。ERROR connection refused").text
        '[…省略]'
        >>> marker_for("Please summarize.").text
        '[… omitted]'
    """
    kana, han = len(_KANA.findall(sample)), len(_HAN.findall(sample))
    hangul, words = len(_HANGUL.findall(sample)), len(_LATIN.findall(sample))
    # Fewer of these characters than a fifth of all are quoted in a text in another language.
    if (kana + han + hangul) * 4 < words:
        return ENGLISH
    if hangul > kana + han:
        return KOREAN
    if kana * 20 > han:
        return JAPANESE
    return CHINESE if han else ENGLISH
