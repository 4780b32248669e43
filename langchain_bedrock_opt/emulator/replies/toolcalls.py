"""Which tools an emulated model calls, and with what."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from langchain_bedrock_opt.emulator.replies import clues
from langchain_bedrock_opt.emulator.replies.conversation import Conversation
from langchain_bedrock_opt.emulator.replies.digests import token
from langchain_bedrock_opt.emulator.replies.profiles import profile_of
from langchain_bedrock_opt.emulator.replies.schemas import fill

_PLAUSIBLE: Final = 2
"""The score from which on a tool fits a prompt: a word of its name, or two of its description."""

_SEQUENTIAL: Final = frozenset({"meta", "ai21"})
"""Providers whose emulated models call one tool at a time. A rule of this emulator, so that both
habits can be tried; it is not verified against AWS."""

_STOP_WORDS: Final = frozenset(
    re.findall(
        r"\w+",
        "a about after all an and any are as at be by can data do does each for from function get "
        "give given has have how i if in input into is it its let list make may me number of on "
        "one or output please return returns run set should string tell that the then this to "
        "tool tools two use used uses using value was we what when where which who will with "
        "would you your",
    )
)

# Japanese users ask tools that are described in English. A few words bridge most demos.
_JAPANESE_WORDS: Final[Mapping[str, str]] = {
    "天気": "weather",
    "気温": "temperature",
    "検索": "search",
    "調べ": "search",
    "計算": "calculate",
    "足し": "add",
    "時刻": "time",
    "何時": "time",
    "日付": "date",
    "株価": "stock",
    "価格": "price",
    "値段": "price",
    "予約": "book",
    "翻訳": "translate",
    "メール": "email",
    "注文": "order",
    "顧客": "customer",
    "在庫": "inventory",
    "人口": "population",
    "為替": "exchange",
    "ニュース": "news",
    "地図": "map",
}
_MATH_WORDS: Final = frozenset({"calc", "calculate", "calculator", "math", "arithmetic", "compute"})
_CJK_PAIR: Final = re.compile("(?=([\u30a1-\u30ff\u4e00-\u9fff]{2}))")


def tool_calls(request: Mapping[str, Any], conversation: Conversation) -> list[dict[str, Any]]:
    """The `toolUse` blocks of an answer; empty if the model answers in words.

    `tool` is obeyed always. `any` prefers a tool that was not called yet in this turn, and ends
    in words once all were: a real model would go on, and so would the agent around it. `auto`
    calls a tool if the prompt seems to ask for one and no results have come yet.

    Args:
        request: The Converse request.
        conversation: The same request, as rules see it.
    """
    config = request.get("toolConfig") or {}
    tools = [tool["toolSpec"] for tool in config.get("tools", ()) if "toolSpec" in tool]
    chosen = _chosen(tools, config.get("toolChoice") or {"auto": {}}, conversation)
    forced = "tool" in (config.get("toolChoice") or {})
    several = not forced and _may_call_several(request)
    calls = [
        (tool["name"], arguments)
        for tool in (chosen if several else chosen[:1])
        for arguments in _arguments(tool, conversation.material, several=several)
    ]
    return [
        {
            "toolUse": {
                # The whole request is in the id, so no two calls of a conversation share one.
                "toolUseId": f"tooluse_{token(request, index)}",
                "name": name,
                "input": arguments,
            }
        }
        for index, (name, arguments) in enumerate(calls)
    ]


def _chosen(
    tools: Sequence[Mapping[str, Any]], choice: Mapping[str, Any], conversation: Conversation
) -> list[Mapping[str, Any]]:
    if "tool" in choice:
        return [tool for tool in tools if tool["name"] == choice["tool"].get("name")]
    fitting = sorted(tools, key=lambda tool: -_score(tool, conversation.prompt))  # stable
    if "any" in choice:
        unused = [tool for tool in fitting if tool["name"] not in conversation.used_tools]
        return unused[:1]
    if conversation.results:
        return []
    return _asked_for(fitting, conversation.prompt)


def _asked_for(tools: Sequence[Mapping[str, Any]], prompt: str) -> list[Mapping[str, Any]]:
    """The tools a prompt seems to ask for: each must fit by something no better one fits by."""
    claimed: set[str] = set()
    chosen: list[Mapping[str, Any]] = []
    for tool in tools:
        evidence = _evidence(tool, prompt)
        if sum(weight for what, weight in evidence.items() if what not in claimed) >= _PLAUSIBLE:
            chosen.append(tool)
            claimed |= evidence.keys()
    return chosen


def _may_call_several(request: Mapping[str, Any]) -> bool:
    fields = request.get("additionalModelRequestFields") or {}
    if (fields.get("tool_choice") or {}).get("disable_parallel_tool_use"):
        return False
    return profile_of(request.get("modelId", "")).provider not in _SEQUENTIAL


def _arguments(tool: Mapping[str, Any], material: str, *, several: bool) -> Iterator[Any]:
    """The arguments of each call of a tool: one for each thing that is named side by side."""
    schema = (tool.get("inputSchema") or {}).get("json") or {}
    named = clues.subjects(material) if several and _takes_one_name(schema) else []
    for subject in named or (None,):
        filled = fill({"type": "object", **schema}, material, subject=subject)
        yield filled if isinstance(filled, dict) else {}


def _takes_one_name(schema: Mapping[str, Any]) -> bool:
    """Whether a tool takes one plain string, so that two names mean two calls."""
    required = schema.get("required", ())
    if len(required) != 1:
        return False
    only = schema.get("properties", {}).get(required[0])
    return isinstance(only, Mapping) and only.get("type") == "string" and "enum" not in only


def _score(tool: Mapping[str, Any], prompt: str) -> int:
    """How well a tool fits a prompt."""
    return sum(_evidence(tool, prompt).values())


def _evidence(tool: Mapping[str, Any], prompt: str) -> dict[str, int]:
    """What a tool and a prompt have in common, each with its weight."""
    name, description = tool["name"], tool.get("description") or ""
    prompt = clues.ends(prompt)
    asked = _stems(prompt) | {word for ja, word in _JAPANESE_WORDS.items() if ja in prompt}
    evidence = dict.fromkeys(_stems(description) & asked, 1)
    evidence |= dict.fromkeys(_stems(" ".join(clues.words(name))) & asked, 2)
    evidence |= dict.fromkeys(_pairs(f"{name} {description}") & _pairs(prompt), 2)
    if name.lower() in prompt.lower():
        evidence[name] = 3
    if _MATH_WORDS & set(clues.words(f"{name} {description}")) and clues.expression(prompt):
        evidence["an expression"] = 2
    return evidence


def _stems(text: str) -> set[str]:
    """The words of a text that mean something, without their commonest endings."""
    found = re.findall(r"[a-z]{3,}", text.lower())
    return {
        re.sub(r"(?:ing|ed|es|s)$", "", word) or word for word in found if word not in _STOP_WORDS
    }


def _pairs(text: str) -> set[str]:
    """Neighbouring pairs of kanji or katakana: in Japanese nothing separates words."""
    return set(_CJK_PAIR.findall(text))
