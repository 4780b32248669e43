"""What a call's layers may know beyond the request: carried from the chat model by its context.

A layer sees a Converse request and nothing of LangChain. Two things reach it all the same, in the
thread or task that makes the call: the metadata of the run, by which a user speaks to a layer for
one call, and a conversation that was converted before (`conversion`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

_NOTHING: Mapping[str, Any] = {}


@dataclass(slots=True)
class Conversation:
    """The part of a request that LangChain's messages became.

    Attributes:
        messages: The request's messages; None until a request has been seen.
        system: The request's system blocks.
        notes: What layers have worked out of the messages, each under a name of its own.
    """

    messages: list[Any] | None = None
    system: list[Any] | None = None
    notes: dict[str, Any] = field(default_factory=dict)

    def put_into(self, request: dict[str, Any]) -> dict[str, Any]:
        """The request with this conversation in it; or this conversation, taken from it."""
        if self.messages is None:
            self.messages, self.system = request.get("messages"), request.get("system")
            return request
        return {**request, "messages": self.messages, "system": self.system}


_metadata: ContextVar[Mapping[str, Any]] = ContextVar("bedrock_opt_metadata", default=_NOTHING)
_conversation: ContextVar[Conversation | None] = ContextVar("bedrock_opt_messages", default=None)


def run_metadata() -> Mapping[str, Any]:
    """The metadata of the run that this request belongs to; empty outside of one.

    It is what the caller gave as `config={"metadata": …}`, to the chain or to the model.
    """
    return _metadata.get()


def current_conversation() -> Conversation | None:
    """The conversation that the chat model has set for its next request, if it has."""
    return _conversation.get()


@contextmanager
def call_context(
    metadata: Mapping[str, Any] | None, conversation: Conversation | None = None
) -> Iterator[None]:
    """Say what layers may know of the request that is made inside the block.

    Args:
        metadata: The run's metadata.
        conversation: Filled from the request if it is empty; else it takes its place in it.
    """
    metadata_before = _metadata.set(metadata or _NOTHING)
    conversation_before = _conversation.set(conversation)
    try:
        yield
    finally:
        _conversation.reset(conversation_before)
        _metadata.reset(metadata_before)
