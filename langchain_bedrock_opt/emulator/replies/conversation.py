"""What a rule can see in a Converse request: the prompt, its language, results, files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

_QUOTED = re.compile("「[^」]*」|『[^』]*』|\"[^\"]*\"|“[^”]*”|(?<!\\w)'[^'\n]*'(?!\\w)")
_CJK = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")
_HIRAGANA = re.compile("[\u3041-\u309f]")
_LATIN = re.compile("[A-Za-z]")

# One Japanese character says about as much as this many Latin letters: product names and code in
# a Japanese sentence shall not make it English.
_LETTERS_PER_CHARACTER: Final = 6
_ENOUGH: Final = 4_000  # characters that tell a language


def is_japanese(text: str) -> bool:
    """Whether a text is to be answered in Japanese; words in quotation marks don't count.

    Example:
        >>> is_japanese("Amazon Bedrockの料金は？"), is_japanese('What does "ありがとう" mean?')
        (True, False)
    """
    bare = _QUOTED.sub("", text[:_ENOUGH])
    characters = len(_CJK.findall(bare))
    letters = len(_LATIN.findall(bare))
    if _HIRAGANA.search(bare):
        return characters * _LETTERS_PER_CHARACTER >= letters
    return characters > letters


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """What one tool gave back.

    Attributes:
        name: The tool's name; empty if the conversation does not hold its call.
        text: The result as one text.
        failed: Whether the tool reported an error.
    """

    name: str
    text: str
    failed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A request as the rules see it.

    Attributes:
        prompt: The text of the last user turn that has text of its own; empty if none has.
        japanese: Whether the answer is to be in Japanese.
        results: The tool results of the last turn.
        used_tools: Tools called since the last user turn without tool results, in order.
        files: What else the last turn holds, such as `image (png)`.
    """

    prompt: str
    japanese: bool
    results: tuple[ToolResult, ...]
    used_tools: tuple[str, ...]
    files: tuple[str, ...]

    @property
    def material(self) -> str:
        """Where values for arguments are looked for: the prompt, then the results of tools."""
        return "\n".join([self.prompt, *(result.text for result in self.results)])

    @classmethod
    def of(cls, request: Mapping[str, Any]) -> Conversation:
        """Read a Converse request."""
        messages: Sequence[Mapping[str, Any]] = request.get("messages") or ()
        turns = [message["content"] for message in messages if message.get("role") == "user"]
        last: Sequence[Mapping[str, Any]] = turns[-1] if turns else ()
        prompt = next(filter(None, map(_text, reversed(turns))), "")
        calls = _calls(messages)
        return cls(
            prompt=prompt,
            japanese=is_japanese(prompt or _text(request.get("system") or ())),
            results=tuple(_results(last, calls)),
            used_tools=_used_tools(messages),
            files=tuple(_files(last)),
        )


def _text(blocks: Sequence[Mapping[str, Any]]) -> str:
    texts = (
        block.get("text") or block.get("guardContent", {}).get("text", {}).get("text")
        for block in blocks
    )
    return "\n".join(text for text in texts if text and text.strip())


def _calls(messages: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Tool names by the id of their call."""
    return {
        block["toolUse"]["toolUseId"]: block["toolUse"]["name"]
        for message in messages
        for block in message.get("content", ())
        if "toolUse" in block
    }


def _used_tools(messages: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    used: list[str] = []
    for message in reversed(messages):
        blocks = message.get("content", ())
        if message.get("role") == "user":
            if not any("toolResult" in block for block in blocks):
                break
            continue
        used[:0] = [block["toolUse"]["name"] for block in blocks if "toolUse" in block]
    return tuple(used)


def _results(blocks: Sequence[Mapping[str, Any]], calls: Mapping[str, str]) -> Iterator[ToolResult]:
    for block in blocks:
        if result := block.get("toolResult"):
            yield ToolResult(
                name=calls.get(result.get("toolUseId", ""), ""),
                text=" ".join(filter(None, map(_result_text, result.get("content", ())))),
                failed=result.get("status") == "error",
            )


def _result_text(block: Mapping[str, Any]) -> str:
    if "json" in block:
        return json.dumps(block["json"], ensure_ascii=False)
    return str(block.get("text", "")).strip()


def _files(blocks: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for block in blocks:
        yield from _files(block.get("toolResult", {}).get("content", ()))
        for kind in ("image", "document", "video", "audio"):
            if kind in block:
                name = block[kind].get("name")
                form = block[kind].get("format", "")
                yield f"{kind} “{name}” ({form})" if name else f"{kind} ({form})"
