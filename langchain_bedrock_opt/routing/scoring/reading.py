"""What a request holds: the question that is asked, and how much comes with it.

Everything a chat model takes as input is read here into one small record. No text is read whole:
beyond `SCAN_CHARS` only the head and the tail of a text count, so that reading takes no longer
for ten megabytes than for ten pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import BaseMessage, HumanMessage, convert_to_messages
from langchain_core.prompt_values import PromptValue

from langchain_bedrock_opt.catalog.tokens import estimate_tokens

SCAN_CHARS: Final = 1500
"""Characters that are read at each end of a text."""

_IMAGE_TOKENS: Final = 1600
"""What a picture of full size costs on Claude: width x height / 750, at 1,568 x 764 pixels."""

_ASCII_TOKENS_PER_CHAR: Final = 0.3
"""By `estimate_tokens` English prose has 0.22 tokens a character, code 0.26, JSON 0.3: the most."""

_FOLLOW_UP_CHARS: Final = 40
"""A human turn this short ("go on") is read with the human turn before it."""

_NON_ASCII_FACTOR: Final = 3
"""How much more a character says in the scripts that need no spaces, for `_FOLLOW_UP_CHARS`."""

_SAMPLES: Final = 16
_SAMPLE_CHARS: Final = 100
_MAX_DEPTH: Final = 3

_IMAGE_KINDS: Final = frozenset({"image", "image_url", "input_image", "video"})
_DOCUMENT_KINDS: Final = frozenset({"document", "file", "input_file", "pdf"})
_NESTED_KINDS: Final = frozenset({"tool_result", "toolResult", "guardContent"})


@dataclass(slots=True)
class Amount:
    """How much a request, or a part of it, holds.

    Attributes:
        ascii_chars: Characters of texts that are plain ASCII.
        other_chars: Characters of all other texts.
        images: Images and videos.
        documents: Documents.
    """

    ascii_chars: int = 0
    other_chars: int = 0
    images: int = 0
    documents: int = 0
    _samples: list[str] = field(default_factory=list)

    def add_text(self, text: str) -> None:
        """Count a text."""
        if text.isascii():
            self.ascii_chars += len(text)
            return
        self.other_chars += len(text)
        if len(self._samples) < _SAMPLES:
            self._samples += (text[:_SAMPLE_CHARS], text[_SAMPLE_CHARS:][-_SAMPLE_CHARS:])

    @property
    def chars(self) -> int:
        """All characters."""
        return self.ascii_chars + self.other_chars

    def tokens(self) -> int:
        """Estimated tokens: from samples, so in a time that does not grow with the texts."""
        tokens = self.ascii_chars * _ASCII_TOKENS_PER_CHAR + self.images * _IMAGE_TOKENS
        if self.other_chars:
            sample = "".join(self._samples)
            tokens += self.other_chars * estimate_tokens(sample) / len(sample)
        return round(tokens)

    def copy(self) -> Amount:
        """The same amount, to go on counting from."""
        return replace(self, _samples=[*self._samples])


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A request, read.

    All but `total` stands still while a tool loop runs.

    Attributes:
        ask: The last human turn, head and tail; a short follow-up with the turn before it.
        ask_chars: Its full length in characters.
        human_turns: Number of human turns.
        background: What comes before the last human turn.
        with_ask: The same with that turn.
        total: The whole request, without its tools.
    """

    ask: str
    ask_chars: int
    human_turns: int
    background: Amount
    with_ask: Amount
    total: Amount


def read_conversation(model_input: LanguageModelInput) -> Conversation:
    """Read a model's input.

    Args:
        model_input: What `invoke` takes: a text, a prompt value, or a sequence of messages in any
            form LangChain knows.

    Raises:
        TypeError: The input is none of these.

    Example:
        >>> read_conversation("What is 1+1?").ask
        'What is 1+1?'
        >>> read_conversation([("human", "Hi"), ("ai", "Hello!")]).human_turns
        1
    """
    if isinstance(model_input, str):
        return _one_text(model_input)
    messages = messages_of(model_input)
    last = _last_human(messages)
    before, asking, after = messages[:last], messages[last : last + 1], messages[last + 1 :]
    background = Amount()
    for message in before:
        _read(message.content, background)
    with_ask = background.copy()
    texts = [text for message in asking for text in _read(message.content, with_ask)]
    total = with_ask.copy()
    for message in after:
        _read(message.content, total)
    return Conversation(
        ask=_ask_text(texts, before),
        ask_chars=sum(map(len, texts)),
        human_turns=sum(isinstance(message, HumanMessage) for message in messages),
        background=background,
        with_ask=with_ask,
        total=total,
    )


def _one_text(text: str) -> Conversation:
    """A text is one human turn; what it comes to is written out, as a message takes longer."""
    amount = Amount()
    amount.add_text(text)
    return Conversation(
        ask=_clip(text),
        ask_chars=len(text),
        human_turns=1,
        background=Amount(),
        with_ask=amount,
        total=amount,
    )


def messages_of(model_input: LanguageModelInput) -> Sequence[BaseMessage]:
    """The messages of a prompt value, or of a sequence in any form LangChain knows.

    A text is none of them: most requests are one, and what reads it needs no message of it.

    Args:
        model_input: What `invoke` takes, save for a text.

    Raises:
        TypeError: The input is none of these.
    """
    if isinstance(model_input, PromptValue):
        return model_input.to_messages()
    if isinstance(model_input, Sequence):
        return convert_to_messages(model_input)
    raise TypeError(
        f"Can't read {type(model_input).__name__} as a prompt: give a str, a prompt value or a "
        "list of messages."
    )


def _last_human(messages: Sequence[BaseMessage]) -> int:
    """Where the last human turn is; without one the last message stands for it."""
    for index in range(len(messages) - 1, -1, -1):
        if isinstance(messages[index], HumanMessage):
            return index
    return max(len(messages) - 1, 0)


def _ask_text(texts: list[str], before: Sequence[BaseMessage]) -> str:
    ask = _clip("\n".join(map(_clip, texts)))
    weight = 1 if ask.isascii() else _NON_ASCII_FACTOR
    if not before or len(ask) * weight > _FOLLOW_UP_CHARS:
        return ask
    for message in reversed(before):
        if isinstance(message, HumanMessage):
            return _clip("\n".join(map(_clip, [*_read(message.content, Amount()), ask])))
    return ask


def _clip(text: str) -> str:
    """Head and tail of a text."""
    if len(text) <= 2 * SCAN_CHARS:
        return text
    return f"{text[:SCAN_CHARS]}\n{text[-SCAN_CHARS:]}"


def _read(content: Any, amount: Amount, depth: int = 0) -> list[str]:
    """Count what a message's content holds, and return its texts."""
    if isinstance(content, str):
        amount.add_text(content)
        return [content]
    texts: list[str] = []
    if isinstance(content, list) and depth < _MAX_DEPTH:
        for block in content:
            texts += _read_block(block, amount, depth)
    return texts


def _read_block(block: Any, amount: Amount, depth: int) -> list[str]:
    if not isinstance(block, dict):
        return _read(block, amount, depth + 1)
    if isinstance(text := block.get("text"), str):
        return _read(text, amount)
    # LangChain's blocks name their type; Converse's have one key, which is the type.
    kind = str(block.get("type") or next(iter(block), ""))
    if kind in _NESTED_KINDS:
        inner = block.get(kind)
        inner = inner if isinstance(inner, dict) else block
        return _read(inner.get("content"), amount, depth + 1)
    if kind in _IMAGE_KINDS or str(block.get("mime_type", "")).startswith("image/"):
        amount.images += 1
    elif kind in _DOCUMENT_KINDS:
        amount.documents += 1
    return []
