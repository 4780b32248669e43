"""Work of minutes to days for an event loop: in daemon threads, which keep no process alive."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import copy_context
from itertools import islice
from typing import Final, TypeVar, cast

_T = TypeVar("_T")
_AT_ONCE: Final = 64


async def in_thread(work: Callable[[], _T]) -> _T:
    """Do some work in a thread of its own, with this task's context variables.

    LangChain's and asyncio's executors have few threads and are joined when the process ends: a
    wait of hours must not hold one of those.

    Args:
        work: The work. If the task is cancelled meanwhile it goes on, and its result is dropped.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()
    context = copy_context()

    def tell(result: _T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(cast("_T", result))

    def run() -> None:
        result, error = None, None
        try:
            result = context.run(work)
        except BaseException as raised:  # noqa: BLE001 - it is raised in the task
            error = raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, result, error)

    threading.Thread(target=run, daemon=True, name="batch-run").start()
    return await done


async def iterate_in_thread(items: Iterator[_T]) -> AsyncIterator[_T]:
    """Iterate in threads, some items at a time, so that the event loop is never held up.

    Args:
        items: The iterator.
    """
    while chunk := await in_thread(lambda: list(islice(items, _AT_ONCE))):
        for item in chunk:
            yield item
