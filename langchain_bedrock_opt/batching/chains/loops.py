"""An async iterator, for callers that have no event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

_T = TypeVar("_T")


class _End(NamedTuple):
    """Nothing more comes; the error if there was one."""

    error: BaseException | None


def drained(make: Callable[[], AsyncIterator[_T]], *, threads: int) -> Iterator[_T]:
    """Run an async iterator on an event loop of its own, in a thread of its own.

    If the caller gives up, so does the iterator.

    Args:
        make: Makes the iterator, in that loop.
        threads: How many sync calls it can wait for at once.

    Raises:
        Exception: Whatever the iterator raises.
    """
    items: SimpleQueue[_T | _End] = SimpleQueue()
    loop = asyncio.new_event_loop()
    tasks: list[asyncio.Task[None]] = []

    async def feed() -> None:
        async for item in make():
            items.put(item)

    def work() -> None:
        asyncio.set_event_loop(loop)
        loop.set_default_executor(ThreadPoolExecutor(threads))
        tasks.append(loop.create_task(feed()))
        error: BaseException | None = None
        try:
            loop.run_until_complete(tasks[0])
        except BaseException as raised:  # noqa: BLE001 - it is raised where the items are awaited
            error = raised
        finally:
            _close(loop)
        items.put(_End(error))

    thread = threading.Thread(
        target=copy_context().run, args=(work,), name="bedrock-batch-loop", daemon=True
    )
    thread.start()
    try:
        yield from _until_end(items)
    finally:
        if thread.is_alive() and tasks:
            _try_to_cancel(loop, tasks[0])
        thread.join()


def _until_end(items: SimpleQueue[Any]) -> Iterator[Any]:
    while True:
        item = items.get()
        if not isinstance(item, _End):
            yield item
        elif item.error is not None:
            raise item.error
        else:
            return


def _try_to_cancel(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
    try:
        loop.call_soon_threadsafe(task.cancel)
    except RuntimeError:  # it has ended meanwhile
        return


def _close(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what is left, so that no thread waits for an answer that nobody brings."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
    asyncio.set_event_loop(None)
    loop.close()
