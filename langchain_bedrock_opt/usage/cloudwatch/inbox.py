"""`Inbox`: hands items of many threads to one handler at a time, without ever waiting."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Inbox(Generic[Item]):
    """Items go through a queue, and whoever finds the handler free handles all that wait.

    No thread waits for another, and a `put` inside a `put` is safe: the garbage collector may
    close an abandoned stream, whose record then arrives while another one is being added up.

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
        self._items: deque[Item] = deque()
        self._lock = threading.Lock()

    def put(self, item: Item) -> None:
        """Hand an item over; it is handled at once or by the thread that is at it."""
        self._items.append(item)
        # One more look after the lock is free again: an item may have come just before.
        while self._items and self._lock.acquire(blocking=False):
            try:
                self._handle_all()
            finally:
                self._lock.release()

    def exclusively(self, work: Callable[[], None]) -> None:
        """Handle what waits, then do some work while no item is handled. This one waits."""
        with self._lock:
            self._handle_all()
            work()

    def _handle_all(self) -> None:
        while self._items:  # nobody else takes any: the lock is held
            self._handle(self._items.popleft())
