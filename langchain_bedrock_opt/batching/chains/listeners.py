"""Async handlers of callbacks, called from the threads that stages run in."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler, BaseCallbackManager
from langchain_core.runnables import RunnableConfig


class OnLoop:
    """An async handler whose coroutines run on the event loop that the batch was awaited on.

    A handler may hold what belongs to that loop: a lock, a queue, a session. LangChain would run
    it on a new loop for each event that comes from a thread.

    Args:
        handler: The handler.
        loop: The loop. It must not wait for the thread that calls.
    """

    def __init__(self, handler: AsyncCallbackHandler, loop: asyncio.AbstractEventLoop) -> None:
        self._handler = handler
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        """What the handler has; its async methods wait."""
        found = getattr(self._handler, name)
        if not inspect.iscoroutinefunction(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            return asyncio.run_coroutine_threadsafe(found(*args, **kwargs), self._loop).result()

        return call

    def __eq__(self, other: object) -> bool:
        """Whether it is the same handler: LangChain calls one that is given twice once."""
        return self._handler == (other._handler if isinstance(other, OnLoop) else other)

    def __hash__(self) -> int:
        """That of the handler."""
        return hash(self._handler)


def heard_on(
    loop: asyncio.AbstractEventLoop, config_of: Callable[[int], RunnableConfig]
) -> Callable[[int], RunnableConfig]:
    """The same configs, with their async handlers on an event loop.

    Args:
        loop: The loop.
        config_of: The config of an input, by its place.
    """

    def moved(place: int) -> RunnableConfig:
        config = config_of(place)
        callbacks: Any = config.get("callbacks")
        if isinstance(callbacks, BaseCallbackManager):
            callbacks = callbacks.copy()
            callbacks.handlers = _moved(callbacks.handlers, loop)
            callbacks.inheritable_handlers = _moved(callbacks.inheritable_handlers, loop)
        elif callbacks:
            callbacks = _moved(callbacks, loop)
        return {**config, "callbacks": callbacks}

    return moved


def _moved(
    handlers: list[BaseCallbackHandler], loop: asyncio.AbstractEventLoop
) -> list[BaseCallbackHandler]:
    return [
        cast("BaseCallbackHandler", OnLoop(handler, loop))
        if isinstance(handler, AsyncCallbackHandler)
        else handler
        for handler in handlers
    ]
