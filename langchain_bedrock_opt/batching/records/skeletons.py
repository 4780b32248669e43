"""Records as bytes with gaps: what is the same in all of them is made once.

A request for `[system, human]` messages differs from the next one only in two texts. So one is
made with marks in their places, by the way that every record could go, and cut at the marks:
the next record is its texts in these gaps. JSON escapes each character by itself, so a text
may even be put together of escaped pieces.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

_PLAIN: Final = frozenset({SystemMessage, HumanMessage, AIMessage})
# Characters of Unicode's private use area: no text of a request but a mark is likely to have them,
# and if one has, the marks don't add up and the short way is not taken.
_MARK: Final = re.compile("\ue0b0([0-9]+)\ue0b1".encode())

Shape = tuple[type[BaseMessage], ...]
"""The types of a conversation's messages."""


def mark(number: int) -> str:
    """The mark for the place of a text.

    Example:
        >>> mark(3) == mark(4)
        False
    """
    return f"\ue0b0{number}\ue0b1"


class Skeleton:
    """A record with gaps.

    Args:
        body: A record with a mark wherever a text belongs.
        expected: How often each mark must be found.

    Raises:
        ValueError: The marks are not those that are expected: texts are not just copied here.

    Example:
        >>> body = f'{{"text":"{mark(0)}"}}'.encode()
        >>> Skeleton(body, [1]).fill(["Hello"])
        b'{"text":"Hello"}'
    """

    def __init__(self, body: bytes, expected: Sequence[int]) -> None:
        between = _MARK.split(body)
        numbers = [int(number) for number in between[1::2]]
        if [numbers.count(number) for number in range(len(expected))] != list(expected):
            raise ValueError("a text is not copied as it is")
        self._form = b"%b".join(part.replace(b"%", b"%%") for part in between[::2])
        self._order = tuple(numbers)
        self._in_order = self._order == tuple(range(len(expected)))

    def fill(self, texts: Sequence[str]) -> bytes:
        """The record with these texts.

        Raises:
            TypeError: A text is not a string that UTF-8 has bytes for.
        """
        escaped = [orjson.dumps(text)[1:-1] for text in texts]
        if not self._in_order:
            escaped = [escaped[number] for number in self._order]
        return self._form % tuple(escaped)


def plain_texts(messages: Sequence[BaseMessage]) -> list[str] | None:
    """The texts of a conversation that holds nothing else and that upstream takes as it is.

    Upstream merges neighbours of one type, writes something in the place of blank texts, and trims
    the last text if it is the model's.

    Example:
        >>> plain_texts([SystemMessage("Be brief."), HumanMessage("Hi")])
        ['Be brief.', 'Hi']
        >>> plain_texts([HumanMessage("Hi"), HumanMessage("there")]) is None
        True
    """
    texts: list[str] = []
    before: Any = None
    for message in messages:
        kind, text = type(message), message.content
        if kind is before or kind not in _PLAIN or message.additional_kwargs:
            return None
        if type(text) is not str or not text or text.isspace():
            return None
        if isinstance(message, AIMessage) and (message.tool_calls or message.response_metadata):
            return None
        texts.append(text)
        before = kind
    if before is AIMessage and texts[-1][-1].isspace():
        return None
    return texts or None


class Skeletons:
    """The skeletons of one recorder, by the shape of a conversation.

    Each is compared with the long way on the first record that has its shape, and is not used if
    they differ.

    Args:
        slow: Makes a record the long way.
    """

    _MOST: Final = 256

    def __init__(self, slow: Callable[[Sequence[BaseMessage]], bytes]) -> None:
        self._slow = slow
        self._known: dict[Shape, Skeleton | None] = {}

    def record(self, messages: Sequence[BaseMessage]) -> bytes:
        """A record, the short way if there is one."""
        texts = plain_texts(messages)
        if texts is None:
            return self._slow(messages)
        shape = tuple(map(type, messages))
        if shape not in self._known:
            return self._learn(shape, messages, texts)
        skeleton = self._known[shape]
        if skeleton is None:
            return self._slow(messages)
        try:
            return skeleton.fill(texts)
        except TypeError:
            return self._slow(messages)

    def _learn(self, shape: Shape, messages: Sequence[BaseMessage], texts: list[str]) -> bytes:
        body = self._slow(messages)
        if len(self._known) < self._MOST:
            self._known[shape] = self._of_shape(shape, texts, body)
        return body

    def _of_shape(self, shape: Shape, texts: list[str], body: bytes) -> Skeleton | None:
        marked = [kind(content=mark(number)) for number, kind in enumerate(shape)]
        try:
            skeleton = Skeleton(self._slow(marked), [1] * len(shape))
            return skeleton if skeleton.fill(texts) == body else None
        except (TypeError, ValueError):
            return None
