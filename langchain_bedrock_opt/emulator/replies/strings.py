"""Strings for a JSON schema, taken from a prompt."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from langchain_bedrock_opt.emulator.replies import clues
from langchain_bedrock_opt.emulator.replies.conversation import is_japanese

# How a format looks in a prompt, and what stands for it if the prompt holds none.
_FORMATS: Final[Mapping[str, tuple[str, str]]] = {
    "date": (r"\d{4}-\d{2}-\d{2}", "2026-01-01"),
    "date-time": (
        r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2})?(?:Z|[+-]\d{2}:\d{2})?",
        "2026-01-01T00:00:00Z",
    ),
    "time": (r"\b\d{2}:\d{2}(?::\d{2})?", "00:00:00Z"),
    "email": (r"[\w.+-]+@[\w-]+\.[\w.-]*\w", "user@example.com"),
    "uri": (r"https?://[^\s\"'<>）」]+", "https://example.com/"),
    "uuid": (
        r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        "00000000-0000-4000-8000-000000000000",
    ),
    "ipv4": (r"\b\d{1,3}(?:\.\d{1,3}){3}\b", "192.0.2.1"),
}
_FORMAT_OF_WORD: Final = {"email": "email", "url": "uri", "uri": "uri", "link": "uri"}
_MATH_WORDS: Final = frozenset({"expression", "formula", "equation"})
_WHOLE_WORDS: Final = frozenset(
    {"query", "question", "prompt", "text", "input", "message", "request"}
)
_WHOLE_CHARACTERS: Final = 500


class StringSource:
    """The strings a prompt offers, used up one after the other.

    Args:
        prompt: Where strings are looked for.
        subject: What the value is about, if the prompt is about several things.
    """

    def __init__(self, prompt: str, subject: str | None) -> None:
        self._prompt = prompt
        self._quotes = clues.quotes(prompt) if subject is None else []
        self._subjects = [subject] if subject else clues.subjects(prompt)
        if not self._subjects and (found := clues.subject(prompt)):
            self._subjects = [found]
        self._topic = clues.topic(prompt, japanese=is_japanese(prompt)) or "sample"
        self._topic_used = False

    def supply(self) -> int:
        """How many strings are left, apart from the topic, which is always there."""
        return max(len(self._quotes), len(self._subjects))

    def value(self, schema: Mapping[str, Any], name: str) -> str:
        """A string for a schema of type string.

        Args:
            schema: Its `format`, `default`, `examples`, `pattern` and lengths count.
            name: The property's name; it decides what is looked for.
        """
        if "format" in schema and schema["format"] in _FORMATS:
            return self._formatted(schema["format"])
        text = next(self._clues(schema, name))
        pattern = schema.get("pattern")
        if pattern and not re.search(pattern, text):
            text = next(filter(re.compile(pattern).search, self._candidates(schema)), text)
        return _fit_length(schema, text)

    def variants(self, schema: Mapping[str, Any], text: str, count: int) -> list[str]:
        """Strings like this one, of lengths that the schema takes too."""
        most = schema.get("maxLength", float("inf"))
        tails = [str(n) for n in range(2, count + 2)]
        return [
            text[: max(0, int(min(most - len(t), len(text))))] + t for t in tails if len(t) <= most
        ]

    def _formatted(self, form: str) -> str:
        pattern, fallback = _FORMATS[form]
        match = re.search(pattern, self._prompt, re.IGNORECASE)
        return match[0] if match else fallback

    def _candidates(self, schema: Mapping[str, Any]) -> list[str]:
        offered = [schema.get("default"), *schema.get("examples", ()), *clues.quotes(self._prompt)]
        return [text for text in [*offered, *self._prompt.split()] if isinstance(text, str)]

    def _clues(self, schema: Mapping[str, Any], name: str) -> Iterator[str]:
        """What the string could be, best first; asking for more uses more of the prompt up."""
        if value := clues.named(self._prompt, name):
            yield value
        if "default" in schema:
            yield str(schema["default"])
        words = set(clues.words(name))
        for word in words & _FORMAT_OF_WORD.keys():
            yield self._formatted(_FORMAT_OF_WORD[word])
        if words & _MATH_WORDS and (found := clues.expression(self._prompt)):
            yield found
        if self._quotes:
            yield self._quotes.pop(0)
        if words & _WHOLE_WORDS and self._prompt.strip():
            yield self._prompt.strip()[:_WHOLE_CHARACTERS]
        if self._subjects:
            yield self._subjects.pop(0)
        yield self._about(name)

    def _about(self, name: str) -> str:
        if not self._topic_used or not name:
            self._topic_used = True
            return self._topic
        return f"{' '.join(clues.words(name))}: {self._topic}"


def _fit_length(schema: Mapping[str, Any], text: str) -> str:
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if len(text) < least:
        text = (text or "x") * (least // max(1, len(text)) + 1)
        text = text[:least]
    return text if most is None else text[:most]
