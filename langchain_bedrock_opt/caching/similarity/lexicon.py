"""What the gate knows of Japanese and English words.

General knowledge of the two languages, written by hand and taken from no data set. A change here
changes what facts hold: raise `facts.FACTS_VERSION` with it.
"""

from __future__ import annotations

import re
from typing import Final

HAN: Final = "\u3005\u3006\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Kanji, for character classes of patterns."""


def _words(text: str) -> list[str]:
    return text.split()


FUNCTION_WORDS: Final = frozenset(
    _words("""a an the this that these those some any each every all both such same other another
    own i me my mine we us our ours you your yours he him his she her hers it its they them their
    theirs one ones who whom whose which what when where why how whether if then than as so too
    also just only very really quite rather still yet already again ever even much many more most
    be am is are was were been being do does did doing done have has had having can could
    may might must shall should will would ought let get gets got getting
    of in on at by to from with without into onto upon over under above below between among
    through during before after since until till about against for per via within across along
    around near off out up down
    and or but nor because while although though unless there here now
    please thanks thank hello hi hey ok okay yes no not never
    's 're 've 'll 'd 'm n't""")
)
"""English words that say how others belong together."""

PREPOSITIONS: Final = frozenset(
    _words("""of in on at by to from with without into onto over under above below between through
    before after since until about against for via within than as and or""")
)
"""Words that give the next content word its part in the sentence."""

PARTICLES: Final = _words(
    "からは からの までは までの よりも には では とは への での との にも でも から まで より "
    "が を に は で と の へ も や"
)
"""Japanese particles that stand after a noun, longest first."""

PARTICLE_ROLES: Final = {"は": "が", "には": "に", "では": "で", "とは": "と", "からは": "から"}
"""Particles that give a noun the same part as another one: a topic is mostly the subject."""

ASKING: Final = {
    "who": _words("who whom whose 誰 だれ どなた"),
    "when": _words("when いつ 何時 何日 何曜日"),
    "where": _words("where どこ どちら 何処"),
    "why": _words("why なぜ 何故 どうして なんで"),
    "how": _words("how どうやって どのように どうすれば どうやれば"),
    "what": _words("what 何 なに"),
    "which": _words("which どの どれ"),
    "amount": _words("いくら いくつ 何人 何個 何回 何枚 何台 何本 何匹"),
}
"""What a question asks for."""

NEGATORS: Final = frozenset(
    _words("""not n't no never none nobody nothing nowhere neither nor without cannot unable except
    excluding avoid avoids avoiding avoided fail fails failed failing lack lacks lacking refuse
    refuses refused cant dont doesnt didnt wont isnt arent wasnt werent havent hasnt hadnt couldnt
    wouldnt shouldnt""")
)
"""English words that turn a statement round. Contractions are read as `n't`."""

NEGATION_IDIOMS: Final = re.compile(
    r"\b(?:not only|why (?:not|don['’]t|doesn['’]t|didn['’]t)(?= (?:you|we|i)\b)|or not|no matter"
    r"|no problem|no doubt|if not|not just|no\.? ?(?=\d)|,? (?:is|are|do|does|did|was|were|ca|wo"
    r"|could|would|should)n['’]t (?:it|you|we|they|he|she)(?=\?|$))",
    re.IGNORECASE,
)
"""English phrases with a negator that deny nothing."""

JAPANESE_NEGATION: Final = re.compile(
    r"(?P<idle>な(?:ければ|くては|いと)(?:なら|なり|いけ|だめ|ダメ)(?:ない|ません|なかった)?か?"
    r"|少ない|すくない|危ない|あぶない|つまらない|もったいない|くだらない|違いない"
    r"|ちがいない|仕方ない|仕方がない|しょうがない|しかたない|かも(?:しれ|知れ)(?:ない|ません)"
    r"|とんでもない|申し訳(?:ない|ありません|ございません)|みっともない|切ない|幼い"
    r"|(?:では|じゃ)?ない(?:です|でしょう)?か(?=[。？?!！\s]|$)|ませんか|ませんでしょうか"
    r"|すみません|なくな|なくし|なくす|無くな|無くし|無くす|だけでなく|のみならず|必ず|まず|ずつ"
    r"|はず|ずっと|きずな|ずれ|なしで済|不動産|不思議|不可欠|未来|未満|無料|無線|無事|無限|無視"
    r"|非常|非難)"
    r"|なかった|なけれ|なきゃ|なくて|なく(?!とも)|ない|ません|ずに|ず(?=[、。，,\s]|$)|ぬ(?=[。\s]|$)"
    rf"|なし|無し|禁止|以外|(?<![{HAN}])[未不非無](?=[{HAN}])|できず"
)
"""Japanese forms that deny; `idle` ones only look like it, or ask politely."""

_NUMBER_WORDS = _words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty"
)
_ORDINALS = _words(
    "third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
)
_TENS = _words("twenty thirty forty fifty sixty seventy eighty ninety")

NUMBER_WORDS: Final[dict[str, int]] = (
    {word: value for value, word in enumerate(_NUMBER_WORDS)}
    | {word: value for value, word in enumerate(_ORDINALS, start=3)}
    | {word: 10 * tens for tens, word in enumerate(_TENS, start=2)}
    | {"dozen": 12, "twice": 2}
)
MAGNITUDES: Final = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}

KANJI_DIGITS: Final = {digit: value for value, digit in enumerate("〇一二三四五六七八九")}
KANJI_MAGNITUDES: Final = {"十": 10, "百": 100, "千": 1000}
KANJI_GROUPS: Final = {"万": 10**4, "億": 10**8, "兆": 10**12}
KANJI_COUNTERS: Final = _words(
    "人 名 匹 頭 台 枚 本 個 つ 回 年 月 日 時 分 秒 円 歳 才 番 階 度 倍 件 羽 冊 軒 機 杯 社 週 "
    "カ月 か月 ヶ月 ケ月 パーセント 割 両 着 足 組 列 種類 "
    "カ国 か国 ヶ国 ヵ国 世紀 メートル キロ グラム 万 億"
)
"""What shows that a kanji digit counts something: 三人 is three people, 三重 is a place."""

_UNITS = """
temperature celsius: celsius centigrade °c ℃ 摂氏
temperature fahrenheit: fahrenheit °f ℉ 華氏
temperature kelvin: kelvin ケルビン
length mm: mm millimeter millimetre ミリメートル
length cm: cm centimeter centimetre センチ センチメートル ㎝
length m: m meter metre メートル
length km: km kilometer kilometre キロメートル ㎞
length inch: inch inches インチ
length foot: foot feet ft フィート
length yard: yard yd ヤード
length mile: mile mi マイル
mass mg: mg milligram ミリグラム
mass g: g gram gramme グラム
mass kg: kg kilogram kilo キログラム ㎏
mass tonne: ton tonne トン
mass ounce: ounce oz オンス
mass pound: lb lbs ポンド
volume ml: ml milliliter millilitre ミリリットル
volume l: l liter litre リットル
volume gallon: gallon ガロン
volume cup: cup カップ
data bit: bit ビット
data byte: byte バイト
data kb: kb kilobyte キロバイト
data mb: mb megabyte メガバイト
data gb: gb gigabyte ギガバイト
data tb: tb terabyte テラバイト
time second: second sec 秒
time minute: minute min 分
time hour: hour hr 時間
time day: day 日間
time week: week 週間
time month: month か月 カ月 ヶ月 ケ月 ヵ月
time year: year yr 年間
money dollar: dollar usd $ ドル 米ドル
money euro: euro eur € ユーロ
money sterling: gbp £ 英ポンド
money yen: yen jpy ¥ 円
money yuan: yuan cny rmb 人民元
money won: won krw ₩ ウォン
money rupee: rupee inr ₹ ルピー
money franc: franc chf フラン
power watt: watt w ワット
power kilowatt: kw kilowatt キロワット
speed kmh: km/h kph 時速
speed mph: mph
"""

UNITS: Final[dict[str, tuple[str, str]]] = {
    form: tuple(head.split())  # type: ignore[misc]  # two words each, as the test holds
    for head, _, forms in (line.partition(": ") for line in _UNITS.strip().splitlines())
    for form in forms.split()
}
"""Dimension and unit, by each way to write the unit."""

MONTHS: Final = _words(
    "january february march april may june july august september october november december"
)
WEEKDAYS: Final = _words("monday tuesday wednesday thursday friday saturday sunday")

RELATIVE_DAYS: Final = {
    "tomorrow": "tomorrow", "明日": "tomorrow", "あした": "tomorrow", "翌日": "tomorrow",
    "yesterday": "yesterday", "昨日": "yesterday", "きのう": "yesterday",
    "明後日": "+2 days", "あさって": "+2 days", "一昨日": "-2 days", "おととい": "-2 days",
    "先週": "last week", "来週": "next week", "先月": "last month", "来月": "next month",
    "去年": "last year", "昨年": "last year", "来年": "next year", "再来年": "+2 years",
}  # fmt: skip
"""Days by their distance from today. Today itself is what is meant where nothing is said."""
