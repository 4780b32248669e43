"""What a prompt offers as values for a tool's arguments: quotes, numbers, names, topics.

Plain patterns for English and Japanese. They need not understand a prompt; they must find what a
reader of a demo expects to see in the arguments.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_QUOTED: Final = re.compile(
    "「([^」]+)」|『([^』]+)』|\"([^\"\n]+)\"|“([^”]+)”|(?<!\\w)'([^'\n]+)'(?!\\w)"
)
# A minus belongs to the number only where it can't be a hyphen or a subtraction.
_NUMBER: Final = re.compile(
    r"(?<![A-Za-z0-9_.])(?:(?<![\w)])-)?\d+(?:,\d{3})*(?:\.\d+)?(?![A-Za-z_])"
)
_PROPER: Final = r"[A-Z][\w'’-]*(?:\s+[A-Z][\w'’-]*)*"
_SUBJECT: Final = re.compile(
    rf"\b(?:in|for|of|at|from|to|about|named|called)\s+({_PROPER}(?:,\s*[A-Z]{{2}}\b)?)"
)
_SEVERAL: Final = re.compile(
    rf"\b(?:in|for|of|at|from|to|about|between)\s+"
    rf"({_PROPER}(?:\s*,\s*{_PROPER})*\s*,?\s+and\s+{_PROPER})"
)
_NOUN_JA: Final = "[\u4e00-\u9fff々\u30a0-\u30ffA-Za-z0-9]"
_SUBJECT_JA: Final = re.compile(f"({_NOUN_JA}{{2,30}})(?:の|における|について|に関する|で)")
_SEVERAL_JA: Final = re.compile(f"({_NOUN_JA}{{2,30}}(?:(?:と|や|、|および){_NOUN_JA}{{2,30}})+)の")
_EXPRESSION: Final = re.compile(r"[(\d][\d\s.,()]*(?:[-+*/×÷^%][\d\s.,()]+)+")

_LEAD: Final = re.compile(
    r"(?:please|can you|could you|would you|i(?:'d like| want| need)(?: you)? to|tell me|give me|"
    r"show me|explain|describe|discuss|summari[sz]e|compare|list|write|create|generate|translate|"
    r"what(?:'s|’s)|(?:what|who|where|when|which)(?: (?:is|are|was|were|does|do|did|would|can))?|"
    r"(?:how|why)(?: (?:is|are|do|does|did|can|could|should|would|to|many|much))?"
    r"(?: (?:i|we|you))?|"
    r"in detail|step by step|briefly|about|me|an?|is|are)\b[\s,:]*",
    re.IGNORECASE,
)
_TAIL_JA: Final = re.compile(
    "(?:とは(?:何|なん|どういう)?.*|は(?:何|なん|なに|どこ|いつ|誰|どう|いくつ|どれ).*|"
    "(?:について|に関して|を|の)?(?:詳しく|簡単に|簡潔に|具体的に|分かりやすく|わかりやすく)?"
    "(?:教え|説明|解説|述べ|比較|要約|翻訳|調べ|検索|書い|作成|計算|挙げ|まとめ|提案|考え)"
    "(?:し)?(?:て|ろ|よ|せ)?.{0,8}|(?:です|ます|でしょう)か.*|[はがをにの]?[？?。！!]+)$"
)
_WINDOW: Final = 2_000  # characters
_TOPIC_WORDS: Final = 8
_TOPIC_CHARACTERS: Final = 60
_TOPIC_CHARACTERS_JA: Final = 24


def ends(text: str) -> str:
    """The beginning and the end of a long text, where one asks; what is pasted stands between."""
    return text if len(text) <= 2 * _WINDOW else f"{text[:_WINDOW]}\n{text[-_WINDOW:]}"


def quotes(text: str) -> list[str]:
    """The texts in quotation marks, English and Japanese ones.

    Example:
        >>> quotes("Create 'こんにちは株式会社' and “Acme”; what's new?")
        ['こんにちは株式会社', 'Acme']
    """
    return [next(filter(None, groups)) for groups in _QUOTED.findall(text)]


def numbers(text: str) -> list[int | float]:
    """The numbers in a text; full-width digits count, digits inside a name do not.

    Example:
        >>> numbers("magic_function(3), GPT4, -2.5 と １，０００")
        [3, -2.5, 1000]
    """
    found: list[int | float] = []
    for match in _NUMBER.findall(unicodedata.normalize("NFKC", text)):
        plain = match.replace(",", "")
        found.append(float(plain) if "." in plain else int(plain))
    return found


def subjects(text: str) -> list[str]:
    """The several things a prompt names side by side; empty if it names only one.

    Example:
        >>> subjects("What is the weather in Seattle and San Francisco today?")
        ['Seattle', 'San Francisco']
        >>> subjects("東京と大阪の天気を教えて")
        ['東京', '大阪']
    """
    text = ends(text)
    if match := _SEVERAL.search(text):
        return [name for name in re.split(r"\s*,\s*(?:and\s+)?|\s+and\s+", match[1]) if name]
    if match := _SEVERAL_JA.search(text):
        return [name for name in re.split("と|や|、|および", match[1]) if name]
    return []


def subject(text: str) -> str | None:
    """The one thing, place or person a prompt is about, or None if no name stands out.

    Example:
        >>> subject("What is the weather in San Francisco, CA?"), subject("京都の人口は？")
        ('San Francisco, CA', '京都')
    """
    text = ends(text)
    match = _SUBJECT.search(text) or _SUBJECT_JA.search(text)
    return match[1] if match else None


def expression(text: str) -> str | None:
    """An arithmetic expression in a text.

    Example:
        >>> expression("What's 15 * 23?")
        '15 * 23'
    """
    match = _EXPRESSION.search(unicodedata.normalize("NFKC", ends(text)))
    return match[0].strip(" ,.") if match else None


def named(text: str, name: str) -> str | None:
    """The value that a text gives a name, as in `city: Paris` or `limit=5`.

    Example:
        >>> named("Search with max_results = 5, please", "max_results")
        '5'
    """
    if len(name) < 3:  # noqa: PLR2004 - `a: ` and `id ` are everywhere
        return None
    spelled = r"[\s_-]?".join(map(re.escape, words(name)))
    match = re.search(
        rf"(?<!\w){spelled}\s*(?:is\s+|[=:：]\s*|は)(?:['\"「]([^'\"」\n]+)['\"」]|([\w.@/+-]*\w))",
        text,
        re.IGNORECASE,
    )
    return (match[1] or match[2]) if match else None


def words(name: str) -> list[str]:
    """The words of an identifier, in lower case.

    Example:
        >>> words("getCurrent_weather")
        ['get', 'current', 'weather']
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[\W_]+", " ", name)
    return spaced.lower().split() or [name]


def topic(text: str, *, japanese: bool) -> str:
    """What a prompt is about, in a few words; empty for an empty prompt.

    Example:
        >>> topic("What is the capital of France?", japanese=False)
        'the capital of France'
        >>> topic("量子コンピュータについて詳しく教えてください。", japanese=True)
        '量子コンピュータ'
    """
    sentence = _question(ends(text))
    return _topic_ja(sentence) if japanese else _topic_en(sentence)


def _question(text: str) -> str:
    """The last question, or else the first sentence."""
    sentences = [part.strip() for part in re.split(r"(?<=[?!？！。])|(?<=\.)\s|\n", text)]
    sentences = [part for part in sentences if re.search(r"\w", part)]
    asked = [part for part in sentences if part.endswith(("?", "？"))]
    return asked[-1] if asked else (sentences[0] if sentences else text.strip())


def _topic_en(sentence: str) -> str:
    bare = sentence
    while match := _LEAD.match(bare):
        if not bare[match.end() :].strip(" ?!."):
            break
        bare = bare[match.end() :]
    parts = bare.split()
    short = " ".join(parts[:_TOPIC_WORDS])[:_TOPIC_CHARACTERS].strip(" ?!.,:;\"'“”")
    return f"{short} …" if len(parts) > _TOPIC_WORDS else short


def _topic_ja(sentence: str) -> str:
    bare = _TAIL_JA.sub("", sentence).strip(" 　、。？！?!を") or sentence.strip(" 　。？！?!")
    bare = bare.replace("「", "").replace("」", "")  # it will stand in such quotes itself
    return f"{bare[:_TOPIC_CHARACTERS_JA]}…" if len(bare) > _TOPIC_CHARACTERS_JA else bare
