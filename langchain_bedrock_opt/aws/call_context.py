"""What a call's layers may know beyond the request: carried from the chat model by its context.

A layer sees a Converse request and nothing of LangChain. Two things reach it all the same, in the
thread or task that makes the call: the metadata of the run, by which a user speaks to a layer for
one call, and what was worked out before about the same conversation (`Conversation`). A layer that
holds calls back also learns whether anybody still awaits them (`Caller`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import Any, Final

import msgpack

STAND_IN: Final = "\x00langchain-bedrock-opt: a conversation that was sent before stands here"
"""The text of the one message that is converted in place of a conversation."""

_NOTHING: Mapping[str, Any] = {}


class Conversation:
    """The part of a request that LangChain's messages became, for one client's next request.

    It is kept as bytes: whoever changes a message or a request later, changes no conversation.

    Args:
        owner: The client whose request it is for. Another client that is called meanwhile, by a
            layer say, has nothing to do with it.

    Attributes:
        packed: The messages and the system blocks; None until a request of the owner was seen,
            or if it held something that can't be packed.
        notes: What layers have worked out of the messages, each under a name of its own.
    """

    def __init__(self, owner: object) -> None:
        self._owner = owner
        self.packed: bytes | None = None
        self.notes: dict[str, Any] = {}

    def belongs_to(self, client: object) -> bool:
        """Whether it is for this client's requests."""
        return self._owner is client

    @contextmanager
    def placed_in(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The request with this conversation in it; or, the first time, the request as it is.

        Inside the block the conversation is no request's any more, and its notes are at hand for
        these messages.
        """
        if self.packed is None:
            self._pack(request)
        else:
            request = {**request, **self._unpacked(self.packed)}
        conversation = _conversation.set(None)
        notes = _notes.set((request.get("messages"), self.notes))
        try:
            yield request
        finally:
            _notes.reset(notes)
            _conversation.reset(conversation)

    def _pack(self, request: Mapping[str, Any]) -> None:
        part = {name: request[name] for name in ("messages", "system") if name in request}
        try:
            # Strictly: what would come back as something else is not packed.
            self.packed = msgpack.packb(part, strict_types=True, unicode_errors="surrogatepass")
        except (TypeError, ValueError, OverflowError):
            self.packed = None

    @staticmethod
    def _unpacked(packed: bytes) -> dict[str, Any]:
        part: dict[str, Any] = msgpack.unpackb(
            packed, strict_map_key=False, unicode_errors="surrogatepass"
        )
        return part


class Caller:
    """Who awaits a call that another thread makes, and may give it up before it is sent.

    boto3 can't be broken off, so what was sent goes on to its end. Before, a call is held back:
    until a thread is free for it, and by layers that have it wait. Thread-safe.

    Attributes:
        has_left: Whether it was given up.

    Example:
        >>> caller = Caller()
        >>> caller.begin()
        True
        >>> caller.hold(lambda: print("given up"))
        >>> caller.give_up()
        given up
        True
        >>> caller.let_go()
        False
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._is_held = True
        self._was_let_go = False
        self._wake: Callable[[], object] | None = None
        self.has_left = False

    def begin(self) -> bool:
        """Say that there is a thread for the call.

        Returns:
            Whether it is still awaited.
        """
        with self._lock:
            self._is_held = False
            return not self.has_left

    def hold(self, wake: Callable[[], object]) -> None:
        """Say that the call is held back.

        Args:
            wake: Called when the call is given up until `let_go`, in any thread.
        """
        with self._lock:
            self._is_held, self._wake = True, wake

    def let_go(self) -> bool:
        """Say that the call is held back no longer.

        Returns:
            Whether it is still awaited, and may be sent.
        """
        with self._lock:
            self._is_held, self._wake = False, None
            self._was_let_go = True
            return not self.has_left

    def give_up(self) -> bool:
        """Await the call no longer.

        Returns:
            Whether nothing was sent, nor will be. A call that was let go before may have been.
        """
        with self._lock:
            self.has_left = True
            is_unsent, wake = self._is_held and not self._was_let_go, self._wake
        if wake is not None:
            wake()
        return is_unsent


_caller: ContextVar[Caller | None] = ContextVar("bedrock_opt_caller", default=None)


def awaited_by(caller: Caller) -> None:
    """Say who awaits the call that this context is for, from now on."""
    _caller.set(caller)


def current_caller() -> Caller:
    """Who awaits the call under way; one that never leaves if it is made by no task."""
    return _caller.get() or Caller()


_metadata: ContextVar[Mapping[str, Any]] = ContextVar("bedrock_opt_metadata", default=_NOTHING)
_conversation: ContextVar[Conversation | None] = ContextVar("bedrock_opt_messages", default=None)
_notes: ContextVar[tuple[Any, dict[str, Any]] | None] = ContextVar(
    "bedrock_opt_notes", default=None
)


def run_metadata() -> Mapping[str, Any]:
    """The metadata of the run that this request belongs to; empty outside of one.

    It is what the caller gave as `config={"metadata": …}`, to the chain or to the model.
    """
    return _metadata.get()


def conversation_for(client: object) -> Conversation | None:
    """The conversation that a chat model has set for this client's next request, if it has."""
    conversation = _conversation.get()
    return conversation if conversation is not None and conversation.belongs_to(client) else None


def notes_on(messages: object) -> dict[str, Any] | None:
    """What was worked out before of these very messages of a request; None if nobody keeps it."""
    noted = _notes.get()
    return noted[1] if noted is not None and noted[0] is messages else None


@contextmanager
def call_context(
    metadata: Mapping[str, Any] | None, conversation: Conversation | None = None
) -> Iterator[None]:
    """Say what layers may know of the request that is made inside the block.

    Args:
        metadata: The run's metadata.
        conversation: Filled from its owner's request if it is empty; else put into it.
    """
    metadata_before = _metadata.set(metadata or _NOTHING)
    conversation_before = _conversation.set(conversation)
    try:
        yield
    finally:
        _conversation.reset(conversation_before)
        _metadata.reset(metadata_before)
