"""Streams that are looked at before they are passed on.

Another tier can stand in for one as long as nobody has seen anything of its answer. So a stream
is read up to the first part that says something, or, buffered, to its end. Parts are chunks, or
the events of `astream_events`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping
from contextlib import aclosing, closing
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, TypeVar, cast

from langchain_core.language_models.chat_model_stream import AsyncChatModelStream, ChatModelStream
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables.schema import StreamEvent

_Part = TypeVar("_Part")

# The start of a block may be an empty text's.
_TELLING: Final = frozenset({"content-block-delta", "content-block-finish", "message-finish"})

Reading: TypeAlias = Literal["untouched", "opened", "whole"]
"""How far a stream is read: not at all, to its first word, or to its end."""

Parts: TypeAlias = "Generator[_Part, None, None] | list[_Part]"
"""A stream that goes on, or one that has been read to its end."""

AsyncParts: TypeAlias = "AsyncGenerator[_Part, None] | list[_Part]"
"""Likewise, asynchronous."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsRead:
    """Events of version 1 or 2 that have been read.

    Attributes:
        parts: The events.
        output_message: The answer, if they have been read to their end.
    """

    parts: AsyncParts[StreamEvent]
    output_message: AIMessage | None


def says_something(chunk: AIMessageChunk) -> bool:
    """Whether a chunk has text, reasoning or a part of a tool call in it.

    Example:
        >>> says_something(AIMessageChunk("")), says_something(AIMessageChunk("Hi"))
        (False, True)
    """
    return bool(chunk.content or chunk.tool_call_chunks)


def tells_something(event: Mapping[str, Any]) -> bool:
    """Whether an event of `astream_events`, of version 1 or 2, shows something of the answer.

    Example:
        >>> tells_something({"event": "on_chat_model_start", "data": {"input": "Hi"}})
        False
    """
    kind, chunk = event["event"], event["data"].get("chunk")
    if kind.endswith("_stream") and isinstance(chunk, AIMessageChunk):
        return says_something(chunk)
    return not kind.endswith("_start")


def read_stream(
    stream: Iterator[_Part], reading: Reading, says: Callable[[_Part], bool]
) -> Parts[_Part]:
    """Read a stream as far as told; errors that come until then are raised here.

    Args:
        stream: A stream, not yet read.
        reading: How far.
        says: Whether a part shows something of the answer.
    """
    source = cast("Generator[_Part, None, None]", stream)
    if reading == "untouched":
        return source
    if reading == "whole":
        with closing(source):
            return list(source)
    held: list[_Part] = []
    for part in source:
        held.append(part)
        if says(part):
            break
    return _joined(held, source)


async def aread_stream(
    stream: AsyncIterator[_Part], reading: Reading, says: Callable[[_Part], bool]
) -> AsyncParts[_Part]:
    """As `read_stream`, asynchronously."""
    source = cast("AsyncGenerator[_Part, None]", stream)
    if reading == "untouched":
        return source
    if reading == "whole":
        async with aclosing(source):
            return [part async for part in source]
    held: list[_Part] = []
    async for part in source:
        held.append(part)
        if says(part):
            break
    return _ajoined(held, source)


def read_events(stream: ChatModelStream, reading: Reading) -> ChatModelStream:
    """Read the events of version 3 as far as told. They stay in the stream, for whoever it is for.

    Args:
        stream: A chat model's `stream_events(version="v3")`.
        reading: How far.
    """
    if reading != "untouched":
        for event in stream:
            if reading == "opened" and event["event"] in _TELLING:
                break
    return stream


async def aread_events(stream: AsyncChatModelStream, reading: Reading) -> AsyncChatModelStream:
    """As `read_events`, asynchronously. A stream that fails, or is not waited for, is closed."""
    try:
        if reading == "whole":
            await stream
        elif reading == "opened":
            async for event in stream:
                if event["event"] in _TELLING:
                    break
    except BaseException:
        await stream.aclose()
        raise
    return stream


def pass_on(parts: Parts[_Part]) -> Generator[_Part, None, None]:
    """The parts; the stream is closed when they are, wherever the consumer stops."""
    if isinstance(parts, list):
        yield from parts
        return
    with closing(parts):
        yield from parts


async def apass_on(parts: AsyncParts[_Part]) -> AsyncGenerator[_Part, None]:
    """As `pass_on`, asynchronously."""
    if isinstance(parts, list):
        for part in parts:
            yield part
        return
    async with aclosing(parts):
        async for part in parts:
            yield part


def _joined(
    held: list[_Part], source: Generator[_Part, None, None]
) -> Generator[_Part, None, None]:
    with closing(source):
        yield from held
        yield from source


async def _ajoined(
    held: list[_Part], source: AsyncGenerator[_Part, None]
) -> AsyncGenerator[_Part, None]:
    async with aclosing(source):
        for part in held:
            yield part
        async for part in source:
            yield part
