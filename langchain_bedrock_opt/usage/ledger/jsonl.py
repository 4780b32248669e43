"""Records in a file of JSON lines, which several processes append to."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from langchain_bedrock_opt.contracts import UsageRecord
from langchain_bedrock_opt.forks import when_forked
from langchain_bedrock_opt.usage.ledger.selection import Selection
from langchain_bedrock_opt.usage.ledger.serialization import record_from_json, record_to_json
from langchain_bedrock_opt.usage.ledger.stores import AddedUp

logger = logging.getLogger(__name__)


class JsonLinesStore(AddedUp):
    """Appends each record at once, as one line, with one write: nothing waits to be written.

    Args:
        path: The file, made by the first record.
    """

    def __init__(self, path: Path) -> None:
        self.lost_records = 0
        self._path = path
        self._file: int | None = None
        self._finalizer: weakref.finalize[Any, Any] | None = None
        self._lock = threading.Lock()
        when_forked(self)

    def after_fork(self) -> None:
        """What a forked child does first: another thread of its parent may have held the lock."""
        self._lock = threading.Lock()

    def add(self, record: UsageRecord) -> None:
        """Append one record. One that can't be written is lost, logged once and counted."""
        try:
            line = record_to_json(record).encode() + b"\n"
            with self._lock:
                self._append(line)
        except (OSError, ValueError, RecursionError) as error:  # a full disk; odd metadata
            with self._lock:
                self._close()  # the next add opens it anew, and mends a line that was cut
                self.lost_records += 1
                if self.lost_records == 1:
                    logger.warning("Usage ledger path=<%s> lost a record: %s", self._path, error)

    def _append(self, line: bytes) -> None:
        if self._file is None:
            self._file = _open_for_append(self._path)
            # Nobody has to close a ledger: its descriptor goes when it goes.
            self._finalizer = weakref.finalize(self, os.close, self._file)
        _write_all(self._file, line)

    def _close(self) -> None:
        if self._finalizer is not None:
            self._finalizer()
        self._file = self._finalizer = None

    def flush(self) -> None:
        """Nothing to do: each record is in the file as soon as it is added."""

    def read(self, selection: Selection) -> Iterator[UsageRecord]:
        """Records in the order in which they were added; lines that can't be read are skipped.

        They are counted in one log line. Of a run that several handlers or processes added, the
        first line counts.
        """
        seen: set[str] = set()
        unreadable = 0
        try:
            with self._path.open("rb") as file:
                for line in filter(None, (line.strip() for line in file)):
                    try:
                        record = record_from_json(line)
                    except ValueError:
                        unreadable += 1
                        continue
                    if record.run_id not in seen:
                        seen.add(record.run_id)
                        if selection.takes(record):
                            yield record
        except FileNotFoundError:
            return  # nothing has been added yet
        if unreadable:
            logger.warning(
                "Usage ledger path=<%s> has lines=<%d> that can't be read", self._path, unreadable
            )


def _open_for_append(path: Path) -> int:
    """A descriptor whose writes go to the end, also beside other processes' writes."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, 0o666)
    try:
        size = os.fstat(descriptor).st_size
        if size:
            os.lseek(descriptor, size - 1, os.SEEK_SET)
            if os.read(descriptor, 1) != b"\n":
                # A crash cut the last line; without a break it would take ours with it.
                _write_all(descriptor, b"\n")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _write_all(descriptor: int, data: bytes) -> None:
    """Write all of it: one system call, unless the file system takes less at once."""
    while data:
        data = data[os.write(descriptor, data) :]
