"""Records in a SQLite database: written by a thread, in batches, and queried by SQL."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from langchain_bedrock_opt.contracts import UsageRecord
from langchain_bedrock_opt.forks import when_forked
from langchain_bedrock_opt.usage.ledger.selection import Selection
from langchain_bedrock_opt.usage.ledger.serialization import record_from_json
from langchain_bedrock_opt.usage.ledger.sqlite_queries import sums_by, sums_of
from langchain_bedrock_opt.usage.ledger.sqlite_schema import check_file, open_ledger, unreadable
from langchain_bedrock_opt.usage.ledger.sqlite_writer import BatchWriter
from langchain_bedrock_opt.usage.ledger.stores import AddedUp
from langchain_bedrock_opt.usage.reporting.grouping import Group, Several
from langchain_bedrock_opt.usage.reporting.totals import UsageTotals

logger = logging.getLogger(__name__)

_LINGER: Final = 1.0
"""Seconds that the writer waits for more before it ends; a later record starts it anew."""

_PATIENCE: Final = 3.0
"""Seconds to wait for another process's lock: of a reader, of `flush`, and at exit."""


class SqliteStore(AddedUp):
    """Keeps records in a database that several processes may write to at once.

    `add` puts a record in a queue and never touches the disk, so a slow disk or a database that
    another process has locked delays no call. A thread writes the queue in batches. It is no
    daemon: Python waits for it at exit, after an exception and at the end of a child of
    `multiprocessing`, so that all is written. Killed or ended by `os._exit`, a process loses what
    it added within the last interval.

    Args:
        path: The file, made by the first record. A local disk: SQLite's log needs its locks.
        interval: Seconds between two batches.
        max_pending: How many records wait while the database is locked; beyond it the oldest are
            lost, and counted.
        clock: Seconds on a clock that never goes back.

    Raises:
        ConfigurationError: The file is there and no ledger.
    """

    def __init__(
        self,
        path: Path,
        *,
        interval: float = 0.1,
        max_pending: int = 100_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_file(path)
        self._path = path
        self._interval = interval
        self._max_pending = max_pending
        self._clock = clock
        self.after_fork()
        when_forked(self)

    def after_fork(self) -> None:
        """Start with nothing to write: what a forked child finds here its parent writes."""
        self.lost_records = 0
        self._changed = threading.Condition()
        self._pending: deque[UsageRecord] = deque()
        self._writer: threading.Thread | None = None
        self._waiting = 0  # for the queue to be empty: then the writer does not wait for more

    def add(self, record: UsageRecord) -> None:
        """Queue one record."""
        with self._changed:
            self._pending.append(record)
            if len(self._pending) > self._max_pending:
                self._pending.popleft()
                self._lose(1, "too many wait for a locked database")
            if self._writer is None:
                self._start()

    def _start(self) -> None:
        """Have the queue written: by a thread, or here where Python waits for none any more."""
        # It outlives a ledger that is dropped, until all is written. It is there before it runs:
        # the garbage collector may close a stream and add its record in this very moment.
        self._writer = threading.Thread(target=self._write_until_quiet, name="usage-ledger")
        if not _is_exiting():
            with suppress(RuntimeError):  # the process may start no more threads: here, then
                self._writer.start()
                return
        try:
            with BatchWriter(self._path, patience=self._interval) as batches:
                while self._pending:
                    self._write(batches)
        finally:
            self._writer = None

    def flush(self) -> None:
        """Wait until what was added is in the database; three seconds if that is locked."""
        with self._changed:
            self._waiting += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._pending, timeout=_PATIENCE)
            self._waiting -= 1

    def _write_until_quiet(self) -> None:
        quiet_since = self._clock()
        with BatchWriter(self._path, patience=self._interval) as writer:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._waiting, timeout=self._interval)
                    is_quiet = self._clock() - quiet_since > _LINGER
                    if not self._pending and (is_quiet or _is_exiting()):
                        self._writer = None
                        return
                if self._pending:
                    self._write(writer)
                    quiet_since = self._clock()

    def _write(self, writer: BatchWriter) -> None:
        """Write what is queued; it stays in the queue until that is done."""
        locked_at_exit_since = None
        while True:
            with self._changed:
                batch = list(self._pending)
            lost = writer.write(batch)
            if lost is not None:
                break
            if _is_exiting() or threading.current_thread() is not self._writer:  # it is waited for
                locked_at_exit_since = locked_at_exit_since or self._clock()
                if self._clock() - locked_at_exit_since > _PATIENCE:
                    lost = len(batch)
                    break
        with self._changed:
            for record in batch:
                if self._pending and self._pending[0] is record:
                    self._pending.popleft()
                else:
                    self.lost_records -= 1  # pushed out while it was written, so it is not lost
            if lost:
                self._lose(lost, writer.error)
            self._changed.notify_all()

    def _lose(self, count: int, why: str) -> None:
        if not self.lost_records:
            logger.warning("Usage ledger path=<%s> lost a record: %s", self._path, why)
        self.lost_records += count

    def read(self, selection: Selection) -> Iterator[UsageRecord]:
        """Records in the order in which they were written."""
        where, parameters = selection.where()
        with self._reading() as connection:
            rows = connection.execute(
                f"SELECT json FROM records WHERE {where} ORDER BY id",  # noqa: S608 - fixed texts
                parameters,
            )
            for (text,) in rows:
                yield record_from_json(text)

    def totals(self, selection: Selection) -> UsageTotals:
        """What they add up to, by SQL."""
        with self._reading() as connection:
            return sums_of(connection, selection)

    def totals_by(self, selection: Selection, by: str | Several) -> dict[Group, UsageTotals]:
        """What they add up to by properties: by SQL, save for tags and metadata."""
        with self._reading() as connection:
            found = sums_by(connection, selection, by)
        return super().totals_by(selection, by) if found is None else found

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees what this process has added.

        Raises:
            ConfigurationError: The database can't be read.
        """
        self.flush()
        path = self._path if self._path.exists() else Path(":memory:")  # nothing was added yet
        try:
            with closing(open_ledger(path, patience=_PATIENCE)) as connection:
                yield connection
        except sqlite3.DatabaseError as error:
            raise unreadable(self._path, error) from error


def _is_exiting() -> bool:
    """Whether this process ends, and waits for its threads."""
    return not threading.main_thread().is_alive()
