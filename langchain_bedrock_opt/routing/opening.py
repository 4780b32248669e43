"""Streams that are looked at before they are passed on.

Another tier can stand in for one as long as nobody has seen anything of its answer. So a stream
is read up to the first chunk that says something, or, buffered, to its end.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import aclosing, closing
from typing import Literal, TypeAlias, cast

from langchain_core.messages import AIMessageChunk

Reading: TypeAlias = Literal["untouched", "opened", "whole"]
"""How far a stream is read: not at all, to its first word, or to its end."""

Chunks: TypeAlias = "Generator[AIMessageChunk, None, None] | list[AIMessageChunk]"
"""A stream that goes on, or one that has been read to its end."""

AsyncChunks: TypeAlias = "AsyncGenerator[AIMessageChunk, None] | list[AIMessageChunk]"
"""Likewise, asynchronous."""


def read_stream(stream: Iterator[AIMessageChunk], reading: Reading) -> Chunks:
    """Read a stream as far as told; errors that come until then are raised here.

    Args:
        stream: A chat model's stream, not yet read.
        reading: How far.
    """
    source = cast("Generator[AIMessageChunk, None, None]", stream)
    if reading == "untouched":
        return source
    if reading == "whole":
        with closing(source):
            return list(source)
    held: list[AIMessageChunk] = []
    for chunk in source:
        held.append(chunk)
        if says_something(chunk):
            break
    return _joined(held, source)


async def aread_stream(stream: AsyncIterator[AIMessageChunk], reading: Reading) -> AsyncChunks:
    """As `read_stream`, asynchronously."""
    source = cast("AsyncGenerator[AIMessageChunk, None]", stream)
    if reading == "untouched":
        return source
    if reading == "whole":
        async with aclosing(source):
            return [chunk async for chunk in source]
    held: list[AIMessageChunk] = []
    async for chunk in source:
        held.append(chunk)
        if says_something(chunk):
            break
    return _ajoined(held, source)


def pass_on(chunks: Chunks) -> Generator[AIMessageChunk, None, None]:
    """The chunks; the stream is closed when they are, wherever the consumer stops."""
    if isinstance(chunks, list):
        yield from chunks
        return
    with closing(chunks):
        yield from chunks


async def apass_on(chunks: AsyncChunks) -> AsyncGenerator[AIMessageChunk, None]:
    """As `pass_on`, asynchronously."""
    if isinstance(chunks, list):
        for chunk in chunks:
            yield chunk
        return
    async with aclosing(chunks):
        async for chunk in chunks:
            yield chunk


def says_something(chunk: AIMessageChunk) -> bool:
    """Whether a chunk has text, reasoning or a part of a tool call in it.

    Example:
        >>> says_something(AIMessageChunk("")), says_something(AIMessageChunk("Hi"))
        (False, True)
    """
    return bool(chunk.content or chunk.tool_call_chunks)


def _joined(
    held: list[AIMessageChunk], source: Generator[AIMessageChunk, None, None]
) -> Generator[AIMessageChunk, None, None]:
    with closing(source):
        yield from held
        yield from source


async def _ajoined(
    held: list[AIMessageChunk], source: AsyncGenerator[AIMessageChunk, None]
) -> AsyncGenerator[AIMessageChunk, None]:
    async with aclosing(source):
        for chunk in held:
            yield chunk
        async for chunk in source:
            yield chunk
