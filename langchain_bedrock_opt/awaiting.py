"""Work of a thread that a task awaits: one answer, or a stream of chunks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from langchain_core.outputs import ChatGenerationChunk, ChatResult

from langchain_bedrock_opt.aws.call_context import Caller, awaited_by

# Chunks that may wait between the thread that reads a stream and the task that awaits it.
_STREAM_BUFFER: Final = 256


class Call:
    """Some work for a context of its own, that may be given up before a request is sent.

    Args:
        work: The work.
    """

    def __init__(self, work: Callable[[], ChatResult]) -> None:
        self._work = work
        self._caller = Caller()

    def __call__(self) -> ChatResult:
        """Do the work.

        Raises:
            CancelledError: It was given up before.
        """
        if not self._caller.begin():
            raise asyncio.CancelledError
        awaited_by(self._caller)
        return self._work()

    def give_up(self) -> bool:
        """Await it no longer; whether nothing was sent for it, nor will be."""
        return self._caller.give_up()


class Pump:
    """Carries a stream's chunks from the thread that reads it to the task that awaits them.

    One thread reads the whole stream, in a context of its own: LangChain's default hops to a thread
    for each chunk.

    Args:
        open_stream: Opens the stream, in the reading thread.
    """

    def __init__(self, open_stream: Callable[[], Any]) -> None:
        self._open_stream = open_stream
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[ChatGenerationChunk | None] = asyncio.Queue()
        self._room = threading.Semaphore(_STREAM_BUFFER)
        self._is_stopped = False
        self._caller = Caller()

    def read(self) -> None:
        """Read the stream to its end, or until `stop`. Runs in a thread.

        Raises:
            BaseException: Whatever the stream raises.
        """
        if not self._caller.begin():
            return  # given up while it waited for a thread: nothing is opened, nothing paid
        awaited_by(self._caller)
        chunks = self._open_stream()
        try:
            for chunk in chunks:
                self._room.acquire()
                if self._is_stopped:
                    break
                self._send(chunk)
        finally:
            chunks.close()
            self._send(None)

    def give_up(self) -> bool:
        """Await it no longer; whether nothing was sent for it, nor will be."""
        return self._caller.give_up()

    def stop(self) -> None:
        """Have the thread give the stream up, at its next chunk."""
        self._is_stopped = True
        self._room.release()

    def __aiter__(self) -> AsyncIterator[ChatGenerationChunk]:
        """The chunks, as they come."""
        return self

    async def __anext__(self) -> ChatGenerationChunk:
        """The next chunk."""
        chunk = await self._queue.get()
        if chunk is None:
            raise StopAsyncIteration
        self._room.release()
        return chunk

    def _send(self, chunk: ChatGenerationChunk | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._queue.put_nowait, chunk)
