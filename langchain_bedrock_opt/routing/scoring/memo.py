"""What was asked of a network once, kept; and of many who ask the same at once, one that asks.

Threads wait for threads, and tasks for tasks of the same event loop: a thread that waited for a
task could hold the very thread that the task needs. So a prompt that comes from both at once is
asked twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final, Generic, TypeVar
from weakref import WeakKeyDictionary

from langchain_bedrock_opt.errors import ConfigurationError

_T = TypeVar("_T")

_KEY_BYTES: Final = 16


class Memo(Generic[_T]):
    """Keeps the answers to texts, the last used longest, without the texts.

    A text is known again by a hash whose key is drawn for each memo, so that what is kept can't
    be compared with the hashes of guessed texts. Failures are not kept. Safe to use from several
    threads and event loops.

    Args:
        max_size: How many answers are kept.

    Raises:
        ConfigurationError: `max_size` is below 1.

    Example:
        >>> lengths: Memo[int] = Memo(max_size=2)
        >>> lengths.get("four", lambda: 4), lengths.get("four", lambda: 5)
        (4, 4)
    """

    def __init__(self, max_size: int) -> None:
        if isinstance(max_size, bool) or not isinstance(max_size, int) or max_size < 1:
            raise ConfigurationError(f"cache_size={max_size!r}: give a whole number above zero.")
        self._max_size = max_size
        self._secret = secrets.token_bytes(_KEY_BYTES)
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, _T] = OrderedDict()
        self._flights: dict[bytes, Future[_T]] = {}
        self._tasks: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[bytes, asyncio.Task[_T]]] = (
            WeakKeyDictionary()
        )

    def __len__(self) -> int:
        """How many answers are kept."""
        return len(self._kept)

    def get(self, text: str, ask: Callable[[], _T]) -> _T:
        """The answer to a text: the kept one, another thread's, or a new one.

        Args:
            text: What is asked about.
            ask: Asks.

        Raises:
            Exception: What `ask` raises, for all who waited for it.
        """
        key = self._key(text)
        with self._lock:
            if key in self._kept:
                return self._used(key)
            flight = self._flights.get(key)
            leads = flight is None
            if flight is None:
                flight = self._flights[key] = Future()
        return self._lead(key, flight, ask) if leads else flight.result()

    def _lead(self, key: bytes, flight: Future[_T], ask: Callable[[], _T]) -> _T:
        try:
            answer = ask()
        except Exception as error:
            flight.set_exception(error)
            raise
        except BaseException:  # meant for this thread only, such as Ctrl-C
            flight.cancel()
            raise
        else:
            self._keep(key, answer)
            flight.set_result(answer)
            return answer
        finally:
            with self._lock:
                del self._flights[key]

    async def aget(self, text: str, ask: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """As `get`, asynchronously.

        The asking is a task of its own: who is cancelled leaves it to the others, and to the memo.
        """
        key, loop = self._key(text), asyncio.get_running_loop()
        with self._lock:
            if key in self._kept:
                return self._used(key)
            # Tasks that a loop was closed on hold it: nothing else would ever drop the two.
            for closed in [each for each in self._tasks if each.is_closed()]:
                del self._tasks[closed]
            tasks = self._tasks.setdefault(loop, {})
        task = tasks.get(key)  # only this loop's thread comes here
        if task is None:
            task = tasks[key] = loop.create_task(self._ask(key, ask))
            task.add_done_callback(lambda done: _forget(tasks, key, done))
        await asyncio.wait([task])  # who is cancelled here does not cancel the task
        return task.result()

    async def _ask(self, key: bytes, ask: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        answer = await ask()
        self._keep(key, answer)
        return answer

    def _keep(self, key: bytes, answer: _T) -> None:
        with self._lock:
            self._kept[key] = answer
            self._kept.move_to_end(key)
            if len(self._kept) > self._max_size:
                self._kept.popitem(last=False)

    def _used(self, key: bytes) -> _T:
        self._kept.move_to_end(key)
        return self._kept[key]

    def _key(self, text: str) -> bytes:
        data = text.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(data, key=self._secret, digest_size=_KEY_BYTES).digest()


def _forget(tasks: dict[bytes, asyncio.Task[_T]], key: bytes, task: asyncio.Task[_T]) -> None:
    """Drop a task that is over, and look at its error: nobody may be left to do so."""
    del tasks[key]
    if not task.cancelled():
        task.exception()
