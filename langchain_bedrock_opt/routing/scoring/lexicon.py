"""The words that tell what kind of work a prompt asks for, in English and Japanese.

English is looked up word by word; Japanese, which has no spaces, by one search for all its
phrases. Both sides name the same kinds of work, so that a prompt and its translation meet the
same signals. They are hints with small weights, not a grammar.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

EASY: Final = "easy"
"""Looking up, translating, summarizing, extracting, rewording, small talk."""

OPEN: Final = "open"
"""Explaining, writing, solving: the answer has to be made, not found."""

HARD: Final = "hard"
"""Analyzing, comparing, designing, proving, planning, building software."""

CONSTRAINT: Final = "constraint"
"""Demands on the answer: limits, formats, conditions."""

STEP: Final = "step"
"""Words that tie steps or quantities together."""

NUMBER: Final = "number"
"""Numbers that are written as words."""

NEGATION: Final = "negation"
"""Words that turn a statement around: easy to overlook."""

SEVERAL: Final = "several"
"""Words that ask for more than one thing at once."""

REQUEST: Final = "request"
"""Endings of a Japanese sentence that ask for something without a question mark."""

KINDS: Final = (EASY, OPEN, HARD, CONSTRAINT, STEP, NUMBER, NEGATION, SEVERAL, REQUEST)

_ENGLISH: Final = {
    EASY: """
        translate translation summarize summarise summary tldr extract list define definition
        spell spelling grammar proofread rephrase paraphrase reword convert capital
        hello hi hey thanks thank classify label synonym antonym name""",
    OPEN: """
        explain describe write draft compose story essay blog email poem speech solve calculate
        compute determine find why example examples suggest recommend persuade roleplay pretend
        imagine probability area equation""",
    HARD: """
        analyze analyse analysis analyzing compare comparison comparing contrast design architect
        architecture prove proof derive derivation plan planning strategy strategic refactor
        optimize optimise optimization evaluate evaluation assess critique critically justify debug
        implement implementation algorithm complexity tradeoff tradeoffs trade-off trade-offs
        synthesize hypothesis hypotheses implications investigate simulate migrate migration
        theorem lemma diagnose roadmap scalable concurrency distributed argue debate""",
    CONSTRAINT: """
        must only exactly without within ensure avoid include including exclude
        format json yaml xml csv table markdown bullet bullets words sentences paragraphs
        characters constraint constraints requirement requirements specific strictly respectively
        assuming assume unless except""",
    STEP: """
        then next finally step steps later every each total altogether remaining times per more
        fewer if therefore consider suppose""",
    NUMBER: """
        one two three four five six seven eight nine ten eleven twelve dozen hundred thousand
        million once twice half double triple first second third quarter""",
    NEGATION: """
        not no never none nor neither cannot isn doesn don didn won wouldn false""",
    SEVERAL: "also both respectively additionally plus simultaneously",
}

_JAPANESE: Final = {
    EASY: """
        翻訳 訳して 要約 まとめて 抽出 一覧 定義 とは何 とはなん って何 ってなに なんという
        何という は誰 はどこ はいつ 読み方 言い換え 校正 誤字 変換 分類 こんにちは ありがとう
        おはよう 教えて""",
    OPEN: """
        説明 述べ 描写 書いて 作成 執筆 エッセイ ブログ メール 物語 小説 スピーチ 解いて
        求めよ 求めて 計算 なぜ 理由 例を 例えば 提案 推薦 おすすめ 説得 演じ 役割を
        想像 確率 面積 方程式 体現""",
    HARD: """
        分析 比較 対比 設計 アーキテクチャ 証明 導出 導け 計画 戦略 リファクタ 最適化 評価
        批評 批判的 根拠 デバッグ 実装 アルゴリズム 計算量 トレードオフ 両立 統合し 仮説
        考察 検討 議論 論じ 論証 調査 シミュレー 移行 定理 補題 診断 ロードマップ 並行
        分散 影響を""",
    CONSTRAINT: """
        必ず のみ だけを 以内 未満 ちょうど 含めて 除い 避けて せずに しないで 使わず 形式
        表で 表に マークダウン 箇条書き 文字 段落 条件 要件 制約 具体的 厳密
        仮定 ただし""",
    STEP: """
        それぞれ まず 次に 最後に 手順 ステップ 段階 その後 毎 ごと 各 合計 全部で 総 残り あたり
        につき より 多く 少な もし なら したがって 考慮 とすると""",
    NUMBER: "最初 倍 半分 2つ 二つ 二人 三人 百 千 万",
    NEGATION: "ない なく ません なかった 以外 誤り 誤って 偽",
    SEVERAL: "さらに 加えて 両方 同時に および 及び ならびに",
    REQUEST: "ください 下さい なさい せよ でしょうか。 ますか。 ですか。",
}


def _by_word(kinds: Mapping[str, str]) -> dict[str, str]:
    return {word: kind for kind, words in kinds.items() for word in words.split()}


_ENGLISH_KINDS: Final = _by_word(_ENGLISH)
_ENGLISH_WORDS: Final = frozenset(_ENGLISH_KINDS)
# "Who" and "when" ask to look something up only where a question starts with them.
_LOOKUP: Final = re.compile(r"\s*(?:who|when|where|what is|what's)\b")
_WORD: Final = re.compile(r"[a-z][a-z-]*")
_NO_WORDS: Final = bytes(
    code if chr(code) in "abcdefghijklmnopqrstuvwxyz-" else ord(" ") for code in range(256)
)
_JAPANESE_KINDS: Final = _by_word(_JAPANESE)
# Longer phrases first: the search takes the first alternative that fits.
_PHRASE: Final = re.compile("|".join(sorted(_JAPANESE_KINDS, key=len, reverse=True)))


def kinds_of_words(text: str) -> dict[str, int]:
    """How many distinct words and phrases of each kind a text holds.

    Requests are counted each time, the others once.

    Example:
        >>> kinds_of_words("Compare A and B, then compare B and C.")["hard"]
        1
        >>> kinds_of_words("AとBを比較して、次にBとCを比較してください。")["hard"]
        1
    """
    kinds = dict.fromkeys(KINDS, 0)
    lowered, is_ascii = text.lower(), text.isascii()
    if is_ascii:  # as the pattern has it, but for hyphens before a word, in half of the time
        words = lowered.encode().translate(_NO_WORDS).decode().split()
    else:
        words = _WORD.findall(lowered)
    for word in _ENGLISH_WORDS.intersection(words):
        kinds[_ENGLISH_KINDS[word]] += 1
    if _LOOKUP.match(lowered):
        kinds[EASY] += 1
    if not is_ascii:
        phrases = _PHRASE.findall(text)
        for phrase in set(phrases):
            kinds[_JAPANESE_KINDS[phrase]] += 1
        if kinds[REQUEST]:
            kinds[REQUEST] = sum(_JAPANESE_KINDS[phrase] is REQUEST for phrase in phrases)
    return kinds
