"""Conversations that were turned into requests before, so that it need not be done again.

langchain-aws takes some 80 µs for each message of a history to turn it into a Converse request,
more than a cache needs to answer it. So a chat model whose layers answer equal requests again
(`Layer.replays`) remembers the last conversations it sent by a digest of their messages.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from threading import Lock
from typing import Any, Final

import msgpack
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from langchain_bedrock_opt.aws.call_context import Conversation

REMEMBERED: Final = 4 * 1024 * 1024
"""Bytes of conversations that a model remembers."""

LONGEST: Final = 256 * 1024
"""Bytes above which a conversation is not remembered: one with media, or whole books."""

# What of an AI message's metadata langchain-aws looks at when it converts the message.
_METADATA: Final = ("model_provider", "output_version", "model_name")


class Conversions:
    """The conversations that a chat model has converted last. Used by many threads at once."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: OrderedDict[bytes, Conversation] = OrderedDict()
        self._bytes = 0

    def known(self, digest: bytes) -> Conversation | None:
        """The conversation of a digest, if it is remembered."""
        with self._lock:
            conversation = self._known.get(digest)
            if conversation is not None:
                self._known.move_to_end(digest)
            return conversation

    def remember(self, digest: bytes, conversation: Conversation) -> None:
        """Remember a conversation, if one was seen."""
        if conversation.packed is None or len(conversation.packed) > LONGEST:
            return
        with self._lock:
            if digest not in self._known:
                self._known[digest] = conversation
                self._bytes += len(conversation.packed)
            while self._bytes > REMEMBERED:
                _, oldest = self._known.popitem(last=False)
                self._bytes -= len(oldest.packed or b"")


def digest_of(messages: Sequence[BaseMessage], settings: Sequence[Any]) -> bytes | None:
    """A digest of all that a conversation's request depends on.

    Args:
        messages: LangChain's messages. Ids, usage and names are not in the request.
        settings: What else it depends on: msgpack-ready values.

    Returns:
        None if a message can't be read so, or if they are too long to be remembered.

    Example:
        >>> from langchain_core.messages import HumanMessage
        >>> digest_of([HumanMessage("Hi", id="1")], []) == digest_of([HumanMessage("Hi")], [])
        True
    """
    try:
        data: bytes = msgpack.packb(
            [*map(_parts, messages), settings], unicode_errors="surrogatepass"
        )
    except (TypeError, ValueError, OverflowError):
        return None
    return blake2b(data, digest_size=32).digest() if len(data) <= LONGEST else None


def _parts(message: BaseMessage) -> tuple[Any, ...]:
    kind, content, extra = type(message).__name__, message.content, message.additional_kwargs
    if isinstance(message, AIMessage):
        metadata: Mapping[str, Any] = message.response_metadata
        said = [metadata.get(name) for name in _METADATA]
        return kind, content, extra, message.tool_calls, said
    if isinstance(message, ToolMessage):
        return kind, content, extra, message.tool_call_id, message.status
    return kind, content, extra
