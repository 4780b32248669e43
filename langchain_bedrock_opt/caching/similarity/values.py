"""What a text states exactly: numbers, dates, units, ids and quotations, in one form each."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from langchain_bedrock_opt.caching.similarity.lexicon import (
    HAN,
    KANJI_COUNTERS,
    KANJI_DIGITS,
    KANJI_GROUPS,
    KANJI_MAGNITUDES,
    MAGNITUDES,
    MONTHS,
    NUMBER_WORDS,
    RELATIVE_DAYS,
    UNITS,
    WEEKDAYS,
)


@dataclass(slots=True)
class Values:
    """What a text states exactly, each as a text in one form.

    Attributes:
        numbers: Such as `1500`, `0.5` or `15%`.
        dates: Parts of dates: `y2026`, `m5`, `d3`, `monday`, `10:30`, `tomorrow`.
        units: Dimension and unit: of a number, or of temperature and money, of any word.
        ids: Codes, addresses, paths, names of variables, and whole blocks of code.
        quotes: What stands in quotation marks.
    """

    numbers: set[str] = field(default_factory=set)
    dates: set[str] = field(default_factory=set)
    units: set[tuple[str, str]] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    quotes: set[str] = field(default_factory=set)


def read_values(text: str) -> Values:
    """What a text states exactly.

    Example:
        >>> read_values("Send 1,500 yen by 2026-05-03").numbers
        {'1500'}
        >>> read_values("三人で２万円") == read_values("3人で20000円")
        True
    """
    values = Values()
    for read in (_code, _quotes, _ids, _dates, _times, _numbers, _kanji_numbers, _number_words):
        text = read(text, values)
    _lone_units(text, values)
    return values


_FENCED = re.compile(r"(`{3,}|~{3,})(?s:.*?)(?:\1|\Z)")
_QUOTED = re.compile(
    r"“([^”]{1,200})”|\"([^\"]{1,200})\"|「([^」]{1,200})」|『([^』]{1,200})』|`([^`]{1,200})`"
    r"|«([^»]{1,200})»|(?<![^\s(])['‘]([^'‘’]{1,200})['’](?![^\s).,;:!?])"
)


def _taken(pattern: re.Pattern[str], take: Callable[[re.Match[str]], bool], text: str) -> str:
    """The text without the matches that `take` has taken."""
    return pattern.sub(lambda match: " " if take(match) else match.group(), text)


def _code(text: str, values: Values) -> str:
    def take(match: re.Match[str]) -> bool:
        values.ids.add(match.group())
        return True

    return _taken(_FENCED, take, text) if "```" in text or "~~~" in text else text


def _quotes(text: str, values: Values) -> str:
    """Note quotations, but leave them in: the numbers inside count as well."""
    for match in _QUOTED.finditer(text):
        inner = " ".join(re.findall(r"\w+", match[match.lastindex or 0].casefold()))
        if inner:
            values.quotes.add(inner)
    return text


_ADDRESS = r"https?://[^\s<>\"'()（）「」]+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|(?<![\w/])(?:~|\.{1,2})?/[\w./-]*\w"
_CODE_WORD = r"(?<![A-Za-z0-9_])[A-Za-z0-9]+(?:[-_./#:][A-Za-z0-9]+)*(?![A-Za-z0-9_])"
_ID = re.compile(f"(?:{_ADDRESS})|{_CODE_WORD}", re.ASCII)
_NO_ID = re.compile(
    r"\d+(?:st|nd|rd|th|s)|[\d.,:/-]+|\d+(?:\.\d+)?(?:[kK]|[a-zA-Z]+)(?:/h)?", re.ASCII
)


def _ids(text: str, values: Values) -> str:
    def take(match: re.Match[str]) -> bool:
        found = match.group()
        plain = not any(mark in found for mark in "@_") and "://" not in found
        if plain and found[0] not in "/~." and not _is_code(found):
            return False
        values.ids.add(found.rstrip(".:"))
        return True

    return _taken(_ID, take, text)


def _is_code(word: str) -> bool:
    """Whether letters and digits stand mixed, other than in 11th, 5km, 3k, 2.5 and 10:30."""
    if word.count(".") > 1 and word.replace(".", "").isdigit():
        return True  # a version
    has_both = any(map(str.isdigit, word)) and any(map(str.isalpha, word))
    if not has_both:
        return False
    if _NO_ID.fullmatch(word) is None:
        return True
    unit = word.lstrip("0123456789.,:/-").lower()
    return unit not in UNITS and unit not in {"st", "nd", "rd", "th", "s", "k", "am", "pm"}


_MONTH = "|".join(f"{month}|{month[:3]}" for month in MONTHS) + "|sept"
_DATE_FORMS: Final = (
    re.compile(r"(?<!\d)(?P<y>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})(?!\d)"),
    re.compile(
        rf"\b(?P<name>(?i:{_MONTH}))\b\.? (?P<d>\d{{1,2}})(?:st|nd|rd|th)?\b"
        r"(?:,? (?P<y>\d{4})\b)?"
    ),
    re.compile(
        rf"\b(?P<d>\d{{1,2}})(?:st|nd|rd|th)?(?: of)? (?P<name>(?i:{_MONTH}))\b\.?"
        r"(?:,? (?P<y>\d{4})\b)?"
    ),
    re.compile(rf"\b(?P<name>(?i:{_MONTH}))\b\.?,? (?P<y>\d{{4}})\b"),
    re.compile(
        r"(?:(?P<y>\d{4}) ?年 ?)?(?<!\d)(?P<m>\d{1,2}) ?月(?!間)(?: ?(?P<d>\d{1,2}) ?日(?!間))?"
    ),
    re.compile(r"(?<![\d.,])(?P<y>(?:1[5-9]|20)\d\d) ?年(?!間)"),
    re.compile(r"(?<![\d.,$€£¥])(?P<y>(?:19|20)\d\d)(?![\d.,]\d|\d|%| ?[円ドル人個])"),
)
_MONTH_ALONE = re.compile(
    rf"\b(?:in|by|since|until|till|last|next|every|of|for|during) ({'|'.join(MONTHS)})\b"
    rf"|\b({'|'.join(month for month in MONTHS if month not in {'march', 'may', 'august'})})\b",
    re.IGNORECASE,
)
_WEEKDAY = re.compile(rf"\b({'|'.join(WEEKDAYS)})s?\b|([月火水木金土日])曜", re.IGNORECASE)
_RELATIVE = re.compile(
    rf"\b(?:tomorrow|yesterday)\b|\b(?:last|next) (?:week|month|year|quarter)\b"
    rf"|{'|'.join(word for word in RELATIVE_DAYS if not word.isascii())}",
    re.IGNORECASE,
)


def _dates(text: str, values: Values) -> str:
    def take(match: re.Match[str]) -> bool:
        parts = match.groupdict()
        if name := parts.get("name"):
            parts["m"] = str(1 + [month[:3] for month in MONTHS].index(name[:3].lower()))
        values.dates |= {
            f"{part}{int(parts[part])}" for part in "ymd" if parts.get(part) is not None
        }
        return True

    for form in _DATE_FORMS:
        text = _taken(form, take, text)
    for match in _MONTH_ALONE.finditer(text):
        name = (match[1] or match[2]).lower()
        values.dates.add(f"m{1 + MONTHS.index(name)}")
    for match in _WEEKDAY.finditer(text):
        day = match[1].lower() if match[1] else WEEKDAYS["月火水木金土日".index(match[2])]
        values.dates.add(day)
    for match in _RELATIVE.finditer(text):
        found = match.group().lower()
        values.dates.add(RELATIVE_DAYS.get(found, found))
    return text


_TIME = re.compile(
    r"(?<![\d:])(?P<h>\d{1,2}):(?P<m>\d{2})(?![\d:])(?: ?(?P<half>[ap])\.?m\b)?"
    r"|\b(?P<h2>\d{1,2}) ?(?P<half2>[ap])\.?m\b"
    r"|(?P<half3>午前|午後)? ?(?P<h3>\d{1,2})時(?!間)(?:(?P<m3>\d{1,2})分|(?P<half_hour>半))?",
    re.IGNORECASE,
)
_NOON = 12


def _times(text: str, values: Values) -> str:
    def take(match: re.Match[str]) -> bool:
        hour = int(match["h"] or match["h2"] or match["h3"])
        minute = 30 if match["half_hour"] else int(match["m"] or match["m3"] or 0)
        half = (match["half"] or match["half2"] or "").lower()
        if half == "p" or match["half3"] == "午後":
            hour += _NOON if hour < _NOON else 0
        elif hour == _NOON and (half == "a" or match["half3"] == "午前"):
            hour = 0
        values.dates.add(f"{hour}:{minute:02}")
        return True

    return _taken(_TIME, take, text)


_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_UNIT_WORD = "|".join(
    re.escape(unit) for unit in sorted(UNITS, key=len, reverse=True) if not unit.isascii()
)
_NUMBER = re.compile(
    r"(?P<money>[$€£¥₩₹])? ?(?P<sign>(?<![\w)])[-−+])?"
    r"(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:[.,]\d+)?|[½¼¾⅓⅔])(?P<power>[⁰¹²³⁴⁵⁶⁷⁸⁹]+)?"
    r"(?P<group>[kK](?![a-zA-Z])|[百千]?[万億兆]|[百千])?"
    rf" ?(?P<percent>%|percent\b|per cent\b|パーセント)?"
    rf"(?P<unit>-?(?:{_UNIT_WORD})|-?°?[A-Za-z]{{1,12}}(?:/h)?(?![A-Za-z]))?"
)


def _numbers(text: str, values: Values) -> str:
    def note(match: re.Match[str]) -> str:
        number = _decimal(match["digits"], match["group"])
        if match["sign"] in {"-", "−"}:
            number = f"-{number}"
        number += f"^{match['power']}" if match["power"] else ""
        values.numbers.add(number + ("%" if match["percent"] else ""))
        for form in (match["money"], match["unit"]):
            _note_unit(form, values)
        return f" {match['unit'] or ''}"  # in "5 apples" it is no unit, but a word

    return _NUMBER.sub(note, text)


def _note_unit(form: str | None, values: Values) -> None:
    if form is None:
        return
    form = form.lstrip("-").lower()
    unit = UNITS.get(form) or UNITS.get(form.removesuffix("s"))
    if unit is not None:
        values.units.add(unit)


def _decimal(digits: str, group: str | None) -> str:
    """A number in one form: without separators, trailing zeros, and words for thousands."""
    if len(digits) == 1 and not digits.isdecimal():
        return f"{unicodedata.numeric(digits):.4g}"
    digits = digits.replace(",", "") if _GROUPED.fullmatch(digits) else digits.replace(",", ".")
    whole, _, part = digits.partition(".")
    times = 1
    for mark in group or "":
        times *= 1000 if mark in "kK" else {**KANJI_MAGNITUDES, **KANJI_GROUPS}[mark]
    if not part.strip("0"):
        return str(int(whole) * times)
    if times == 1:
        return f"{int(whole)}.{part.rstrip('0')}"
    return f"{float(f'{whole}.{part}') * times:.12g}"


_KANJI_NUMBER = re.compile(
    rf"(?<![{HAN}])(?!十分(?![間後前以])|万一)"  # "enough" and "by any chance" count nothing
    rf"([〇一二三四五六七八九十百千万億兆]+)(?=({'|'.join(KANJI_COUNTERS)}))"
)


def _kanji_numbers(text: str, values: Values) -> str:
    def take(match: re.Match[str]) -> bool:
        number = _kanji_value(match[1])
        if number == 1:
            return False  # mostly no more than "a"
        values.numbers.add(str(number))
        _note_unit(match[2], values)
        return False

    return _taken(_KANJI_NUMBER, take, text)


def _kanji_value(kanji: str) -> int:
    """The value of 二千三百, 十五万 or, digit by digit, 二〇二六."""
    if all(mark in KANJI_DIGITS for mark in kanji):
        return int("".join(str(KANJI_DIGITS[mark]) for mark in kanji))
    total = group = digit = 0
    for mark in kanji:
        if mark in KANJI_DIGITS:
            digit = KANJI_DIGITS[mark]
        elif mark in KANJI_MAGNITUDES:
            group += (digit or 1) * KANJI_MAGNITUDES[mark]
            digit = 0
        else:
            total += ((group + digit) or 1) * KANJI_GROUPS[mark]
            group = digit = 0
    return total + group + digit


_NUMBER_WORD = "|".join(sorted([*NUMBER_WORDS, *MAGNITUDES], key=len, reverse=True))
_NUMBER_WORDS = re.compile(
    rf"\b((?:{_NUMBER_WORD})(?:(?:[ -]| and )(?:{_NUMBER_WORD}))*)s?\b"
    r"(?: (percent)| ([a-z]{2,12}))?",
    re.IGNORECASE,
)


def _number_words(text: str, values: Values) -> str:
    for match in _NUMBER_WORDS.finditer(text):
        number = _words_value(re.findall("[a-z]+", match[1].lower()))
        if number == 1:
            continue  # "one" is mostly no count
        values.numbers.add(f"{number}%" if match[2] else str(number))
        _note_unit(match[3], values)
    return text


def _words_value(words: list[str]) -> int:
    total = group = 0
    for word in words:
        if word == "hundred":
            group = (group or 1) * MAGNITUDES[word]
        elif word in MAGNITUDES:
            total += (group or 1) * MAGNITUDES[word]
            group = 0
        else:
            group += NUMBER_WORDS.get(word, 0)
    return total + group


_LONE_UNIT = re.compile(
    r"(?<![A-Za-z])[A-Za-z]{3,}(?![A-Za-z])|摂氏|華氏|米ドル|ドル|ユーロ|英ポンド|人民元|ルピー"
)
_LONE_DIMENSIONS = frozenset({"temperature", "money"})


def _lone_units(text: str, values: Values) -> None:
    """Units of temperature and money count without a number: "in Celsius", "pay in euros"."""
    for match in _LONE_UNIT.finditer(text):
        form = match.group().lower()
        unit = UNITS.get(form) or UNITS.get(form.removesuffix("s"))
        if unit is not None and unit[0] in _LONE_DIMENSIONS:
            values.units.add(unit)
