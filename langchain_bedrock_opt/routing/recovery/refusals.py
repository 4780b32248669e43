"""Refusals: answers in which a model declines, in English and Japanese.

An apology is not a refusal, and "I can't" inside an answer is not either. So an answer counts
only if it is short, is no letter, and *begins* by saying that the model will not or can not do
what only a model is asked to do: answer, help, write.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from langchain_core.messages import AIMessage

from langchain_bedrock_opt.routing.recovery.checks import Expectations, stop_reason

_LONGEST: Final = 900
"""Characters. A longer answer gives something, whatever it begins with."""

_OPENING: Final = 240
"""Characters in which a refusal shows itself."""

_NOT_ABLE: Final = (
    r"(?:can(?:no|')?t|can not|won't(?: be able to)?|will not(?: be able to)?"
    r"|(?:am|'m) (?:not able|unable)(?: to)?|(?:must|have to) (?:respectfully )?decline to"
    r"|'m not (?:going|comfortable)(?: to)?|do(?: not|n't) feel comfortable)"
)
_DOING: Final = (
    r"(?:help(?!ing? but| but)|assist|answer|provide|provid(?:e|ing)|comply|fulfil+|engage|"
    r"(?:do|discuss|complete|support) (?:that|this)|generat(?:e|ing)|creat(?:e|ing)|"
    r"writ(?:e|ing)|shar(?:e|ing)|offer|participate|process (?:that|this|your)|"
    r"give (?:you )?(?:\w+ ){0,2}(?:advice|instructions|information)|respond|"
    r"continue with (?:that|this)|carry out)"
)
_ENGLISH: Final = re.compile(
    r"(?:(?:i'm|i am|we're|my apologies|i apologi[sz]e|unfortunately|sorry|as an? (?:ai|large)"
    r"[^,.]{0,30})(?: (?:very |so |really |truly )?(?:sorry|afraid))?[,.:;!]?\s*(?:but\s+|that\s+)?"
    r"(?:unfortunately,? )?){0,2}"  # not more: each round may end in many places
    rf"i\s?{_NOT_ABLE}\s+(?:and (?:won't|will not)\s+)?(?:\w+ )?{_DOING}\b",
    re.IGNORECASE,
)

_DECLINED: Final = (
    r"(?:でき(?:ません|かねます|ない)|いたしかねます|致しかねます|出来(?:ません|かねます)|しかねます|"
    r"(?:控え|差し控え)(?:させて(?:いただき|頂き)|ます)|応じられません|応じかねます)"
)
_TASK: Final = (
    r"(?:お?(?:答え|応え|こたえ)|ご?回答|お?手伝い|お力にな|ご?協力|ご?支援|ご?対応|ご?提供|ご?説明|"
    r"ご?案内|生成|作成|執筆|(?:ご?(?:依頼|要望|要求|リクエスト|質問)に(?:は)?))"
)
_LINK: Final = r"(?:する|し|いたす|なる|なり|いただく|して|ること|こと|を|は|が|に|も|の|情報)*"
_JAPANESE: Final = re.compile(
    r"(?:(?:大変|誠に|たいへん)?(?:申し訳(?:あり|ござい)ません|申し訳ない(?:です|のです)|恐れ入ります|"
    r"すみません|ごめんなさい|残念ながら)(?:が|けれども|けど)?[、。,.!！]?\s*)?"
    rf"(?!.{{0,8}}」)[^。.\n「」]{{0,60}}?{_TASK}{_LINK}{_DECLINED}"
)
_JAPANESE_SELF: Final = re.compile(
    r"申し訳|すみません|ごめんなさい|残念ながら|恐れ入ります|その|この|お答え|ご|私|わたし|AI|回答|そのような"
)

_LETTER: Final = re.compile(
    r"^\s*(?:subject:|dear\b|件名|拝啓)|(?:best|kind) regards|sincerely|敬具|様\s*[\n、]|```",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The model declines to answer."""

    name: str = "refusal"

    def find(self, answer: AIMessage, expected: Expectations) -> str | None:  # noqa: ARG002 - a check
        """Whether the answer is a refusal."""
        if stop_reason(answer) == "refusal":
            return "stopped by refusal"
        if answer.tool_calls:
            return None
        return "the answer declines" if is_refusal(str(answer.text)) else None


def is_refusal(text: str) -> bool:
    """Whether a text declines a request.

    Example:
        >>> is_refusal("I'm sorry, but I can't help with that.")
        True
        >>> is_refusal("申し訳ございませんが、そのご質問にはお答えできません。")
        True
        >>> is_refusal("I'm sorry to hear that! Here is what you can do: …")
        False
        >>> is_refusal("「申し訳ございません」は、目上の人への謝罪に使います。")
        False
    """
    text = text.strip()
    if not text or len(text) > _LONGEST or _LETTER.search(text):
        return False
    opening = text[:_OPENING].replace("’", "'")
    if _ENGLISH.match(opening):
        return True
    return bool(_JAPANESE_SELF.match(opening) and _JAPANESE.match(opening))
