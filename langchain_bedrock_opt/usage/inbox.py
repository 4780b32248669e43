"""`Inbox`: hands items of many threads to one handler at a time, without ever waiting."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from langchain_bedrock_opt.forks import when_forked

Item = TypeVar("Item")


class Inbox(Generic[Item]):
    """Items go through a queue, and whoever finds the handler free handles all that wait.

    No thread waits for another, and a `put` inside a `put` is safe: the garbage collector may
    close an abandoned stream, whose record then arrives while another one is being added up. In a
    forked process it starts empty.

    Args:
        handle: Takes one item. It runs in one thread at a time.

    Example:
        >>> seen = []
        >>> Inbox(seen.append).put("record")
        >>> seen
        ['record']
    """

    def __init__(self, handle: Callable[[Item], None]) -> None:
        self._handle = handle
        self.after_fork()
        when_forked(self)

    def after_fork(self) -> None:
        """Start empty: another thread of the parent may have held the lock, and has the items."""
        self._items: deque[Item] = deque()
        self._lock = threading.Lock()

    def put(self, item: Item) -> None:
        """Hand an item over; it is handled at once or by the thread that is at it."""
        self._items.append(item)
        self._handle_waiting()

    def exclusively(self, work: Callable[[], None]) -> None:
        """Handle what waits, then do some work while no item is handled. This one waits."""
        with self._lock:
            self._handle_all()
            work()
        self._handle_waiting()

    def _handle_waiting(self) -> None:
        # One more look after the lock is free again: an item may have come just before.
        while self._items and self._lock.acquire(blocking=False):
            try:
                self._handle_all()
            finally:
                self._lock.release()

    def _handle_all(self) -> None:
        while self._items:  # nobody else takes any: the lock is held
            self._handle(self._items.popleft())
