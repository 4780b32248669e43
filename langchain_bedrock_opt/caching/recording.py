"""A stream on its way to its reader, recorded for the cache."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextvars import copy_context
from threading import Lock

from langchain_bedrock_opt.aws.layers import Event, Response, close_events
from langchain_bedrock_opt.caching.cuts import Cuts
from langchain_bedrock_opt.caching.events import StreamAssembler
from langchain_bedrock_opt.caching.flight import Flight
from langchain_bedrock_opt.errors import CacheStoreError


class Recording:
    """Passes a stream's events on as they are asked for, and keeps the answer once it is whole.

    While others wait for the same answer, a thread reads on in the reader's place and context;
    what it reads ahead is kept for the reader. A stream that its reader breaks off is closed and
    not kept.

    Args:
        events: The stream.
        flight: Landed when the stream is complete, has failed or is closed.
        keep: Stores a complete answer with its cuts, and returns what others may share of it.
    """

    def __init__(
        self,
        events: Iterable[Event],
        flight: Flight,
        keep: Callable[[Response, Cuts | None], bytes | None],
    ) -> None:
        self._source = events
        self._events = iter(events)
        self._flight = flight
        self._keep = keep
        self._assembler = StreamAssembler()
        self._ahead: deque[Event] = deque()
        self._error: Exception | None = None
        self._ended = False
        self._context = copy_context()
        self._lock = Lock()  # held while an event is read, by whoever reads it
        flight.driven_by(self._drive)

    def __iter__(self) -> Iterator[Event]:
        """The events, once."""
        while True:
            with self._lock:
                if not self._ahead:
                    self._read()
                event = self._ahead.popleft() if self._ahead else None
            if event is None:
                break
            yield event
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Give the connection back; those who wait for the answer have to ask themselves."""
        with self._lock:
            self._ended = True
            close_events(self._events)
            close_events(self._source)
        self._flight.land(failed=True)

    def _drive(self, deadline: float) -> None:
        while not self._flight.landed and (left := deadline - time.monotonic()) > 0:
            if self._lock.acquire(timeout=left):
                try:
                    self._context.run(self._read)
                finally:
                    self._lock.release()

    def _read(self) -> None:
        """Read one event, if there is one left."""
        if self._ended:
            return
        try:
            event = next(self._events)
            self._record(event)
        except StopIteration:
            self._ended = True
            self._flight.land(failed=True)  # no effect if the answer was complete
        except Exception as error:  # noqa: BLE001 - raised in the reader's thread, wherever it was read
            self._ended, self._error = True, error
            self._flight.land(failed=True)
        else:
            self._ahead.append(event)

    def _record(self, event: Event) -> None:
        """Take the event down before its reader gets it, who may take it apart."""
        if self._assembler.complete:
            return
        self._assembler.add(event)
        if self._assembler.complete:
            try:
                response = self._assembler.response()
            except CacheStoreError:
                self._flight.land()
            else:
                self._flight.land(self._keep(response, self._assembler.cuts))
