"""The sentences an emulated model writes: English or Japanese, short or long, in its own manner.

They are about the prompt's topic and claim nothing about it: nobody shall take an emulated answer
for a fact.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import ceil
from random import Random
from typing import Final

from langchain_bedrock_opt.catalog.tokens import estimate_tokens
from langchain_bedrock_opt.emulator.replies.clues import topic
from langchain_bedrock_opt.emulator.replies.conversation import Conversation
from langchain_bedrock_opt.emulator.replies.profiles import ModelProfile, Size

# How each provider's models open an answer, so that a reader sees who answered.
_OPENINGS: Final[Mapping[str, tuple[str, str]]] = {
    "anthropic": (
        "Here is a clear look at “{topic}”.",
        "「{topic}」について、順を追ってご説明します。",
    ),
    "amazon": ("In short, on “{topic}”:", "「{topic}」の要点をまとめます。"),
    "meta": ("Happy to help with “{topic}”!", "「{topic}」についてお答えします！"),
    "mistral": ("Let us take “{topic}” in order.", "「{topic}」を整理してみましょう。"),
    "cohere": ("A summary of “{topic}” follows.", "「{topic}」の概要は次のとおりです。"),
    "openai": ("The essentials of “{topic}” first.", "まず「{topic}」の結論からお伝えします。"),
    "deepseek": (
        "Thinking about “{topic}” leads to this.",
        "「{topic}」は、次のように考えられます。",
    ),
}
_OPENING: Final = ("About “{topic}”:", "「{topic}」についてのお答えです。")
_NO_TOPIC: Final = ("your message", "いただいた内容")

_ENGLISH: Final = (
    "It helps to separate what is known from what still has to be decided.",
    "The main point is easier to see once the terms are defined.",
    "A small example usually says more than a general rule.",
    "Start with the simplest case and add one condition at a time.",
    "Each step builds on the one before it, so the order matters.",
    "Two constraints pull in different directions here, and both deserve attention.",
    "Costs and benefits should be weighed over the same period.",
    "It is worth checking the result against a case whose answer is known.",
    "Where several answers are possible, say which assumption leads to which.",
    "The details depend on the context in which the question is asked.",
    "A common mistake is to skip the first step because it looks obvious.",
    "What changes rarely can be prepared once; what changes often should stay flexible.",
    "Measuring before and after makes the effect visible.",
    "If something does not fit, look at the inputs before the method.",
    "The remaining open points can be settled one after the other.",
    "Taken together, these points give a sound basis for the next step.",
)
_JAPANESE: Final = (
    "まず、分かっていることと、これから決めることを分けて考えます。",
    "用語の意味をそろえると、論点がはっきりします。",
    "一般論よりも、小さな具体例のほうが伝わりやすい場合があります。",
    "最も単純な場合から始め、条件を一つずつ加えていきます。",
    "各段階は前の段階の上に成り立つため、順序が大切です。",
    "ここでは二つの制約が互いに関係しており、どちらにも注意が必要です。",
    "費用と効果は、同じ期間で比べると判断しやすくなります。",
    "答えの分かっている例で結果を確かめておくと安心です。",
    "複数の答えがありうる場合は、どの前提から導かれるかを示します。",
    "細かな点は、質問の背景によって変わります。",
    "当たり前に見える最初の手順を飛ばすのは、よくある誤りです。",
    "変わりにくい部分は先に用意し、変わりやすい部分は柔軟にしておきます。",
    "前後を測ると、効果が目に見えるようになります。",
    "結果が合わないときは、方法よりも先に入力を見直します。",
    "残った論点は、一つずつ順に片付けられます。",
    "以上を合わせると、次の一歩のための確かな土台になります。",
)

_DETAILED: Final = re.compile(
    r"\b(?:in detail|detailed|step by step|comprehensive|thorough|essay|compare|analy[sz]e|"
    r"critically|explain why|report)\b|"
    "詳しく|詳細|具体的|比較|分析|手順|論じ|例を挙げ|レポート|徹底",
    re.IGNORECASE,
)
_BRIEF: Final = re.compile(
    r"\b(?:briefly|in short|one (?:word|sentence|line)|short answer|single word|yes or no)\b|"
    "簡潔|簡単に|手短|一言|一文|短く|要点だけ",
    re.IGNORECASE,
)
_SIZE_FACTOR: Final[Mapping[Size, float]] = {"small": 1.0, "medium": 1.5, "large": 2.0}
_SHORT_PROMPT: Final = 30
_LONG_PROMPT: Final = 150
_ENOUGH: Final = 2_000  # characters; more of a prompt makes its answer no longer


def answer(conversation: Conversation, profile: ModelProfile, draw: Random) -> str:
    """An answer to the prompt: an opening that names the topic, and a few sentences.

    Args:
        conversation: What is asked, and in which language.
        profile: Who answers: the provider gives the opening, the size the length.
        draw: Chooses the sentences.
    """
    japanese = conversation.japanese
    openings = _OPENINGS.get(profile.provider, _OPENING)
    first = [openings[japanese].format(topic=_topic(conversation))]
    if conversation.files:
        first.insert(0, _received(conversation))
    bank = _JAPANESE if japanese else _ENGLISH
    count = min(len(bank), _sentences(conversation.prompt, profile.size))
    # In the bank's order, since its last sentences close an answer.
    chosen = sorted(draw.sample(range(len(bank)), count))
    return _join([*first, *(bank[index] for index in chosen)], japanese=japanese)


def answer_from_results(conversation: Conversation, profile: ModelProfile) -> str:
    """An answer that uses what the tools gave back."""
    japanese = conversation.japanese
    openings = _OPENINGS.get(profile.provider, _OPENING)
    lines = [openings[japanese].format(topic=_topic(conversation))]
    if conversation.files:
        lines.append(_received(conversation))
    for result in conversation.results:
        name = result.name or ("ツール" if japanese else "the tool")
        text = _shortened(result.text) or ("（空）" if japanese else "(empty)")
        if japanese:
            lines.append(
                f"{name} はエラーを返しました：{text}"
                if result.failed
                else f"{name} の結果：{text}"
            )
        else:
            lines.append(
                f"{name} reported an error: {text}" if result.failed else f"{name}: {text}"
            )
    return "\n".join(lines)


def reasoning(conversation: Conversation) -> str:
    """What a model that thinks writes down before it answers."""
    about = _topic(conversation)
    if conversation.japanese:
        return f"質問は「{about}」に関するものです。必要な観点を挙げ、順序を決めてから答えます。"
    return (
        f"The question is about “{about}”. I will collect the relevant points, put them in order "
        "and then answer."
    )


def _topic(conversation: Conversation) -> str:
    japanese = conversation.japanese
    return topic(conversation.prompt, japanese=japanese) or _NO_TOPIC[japanese]


def _sentences(prompt: str, size: Size) -> int:
    """How many sentences follow the opening."""
    if _BRIEF.search(prompt):
        return 1
    tokens = estimate_tokens(prompt[:_ENOUGH])
    count = 2 + (tokens > _SHORT_PROMPT) + (tokens > _LONG_PROMPT)
    if _DETAILED.search(prompt):
        count += 5
    return ceil(count * _SIZE_FACTOR[size])


def _received(conversation: Conversation) -> str:
    files = conversation.files
    if conversation.japanese:
        return f"ファイルを{len(files)}件受け取りました：{'、'.join(files)}。"
    return f"I received {len(files)} file{'s' * (len(files) > 1)}: {', '.join(files)}."


def _join(sentences: list[str], *, japanese: bool) -> str:
    return ("" if japanese else " ").join(sentences)


_RESULT_CHARACTERS: Final = 400


def _shortened(text: str) -> str:
    return text if len(text) <= _RESULT_CHARACTERS else f"{text[:_RESULT_CHARACTERS]}…"
