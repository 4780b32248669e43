"""Records in a file of JSON lines, which several processes append to."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from langchain_bedrock_opt.contracts import UsageRecord
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.forks import when_forked
from langchain_bedrock_opt.usage.ledger.selection import Selection
from langchain_bedrock_opt.usage.ledger.serialization import record_from_json, record_to_json
from langchain_bedrock_opt.usage.ledger.stores import AddedUp

logger = logging.getLogger(__name__)

_BEGINNING: Final = b"{"


class JsonLinesStore(AddedUp):
    """Appends each record at once, as one line, with one write: nothing waits to be written.

    No lock is held while it writes: the operating system puts whole writes one after the other,
    and the garbage collector may close an abandoned stream, and so add its record, at any moment.

    Args:
        path: The file, made by the first record.

    Raises:
        ConfigurationError: The file is there and no ledger.
    """

    def __init__(self, path: Path) -> None:
        _check_file(path)
        self.lost_records = 0
        self._path = path
        self._file: _AppendedFile | None = None
        self.after_fork()
        when_forked(self)

    def after_fork(self) -> None:
        """What a forked child does first: another thread of its parent may have held the lock."""
        self._counting = threading.RLock()

    def add(self, record: UsageRecord) -> None:
        """Append one record. One that can't be written is lost, logged once and counted."""
        try:
            line = record_to_json(record).encode() + b"\n"
            file = self._file
            if file is None:  # of two threads that open it, one keeps its descriptor for later
                file = self._file = _AppendedFile(self._path)
            file.write(line)
        except (OSError, ValueError, RecursionError) as error:  # a full disk; odd metadata
            self._file = None  # the next add opens it anew, and mends a line that was cut
            with self._counting:
                self.lost_records += 1
                is_first = self.lost_records == 1
            if is_first:
                logger.warning("Usage ledger path=<%s> lost a record: %s", self._path, error)

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


class _AppendedFile:
    """A file that is open for appending, until the last who writes to it lets go of it."""

    def __init__(self, path: Path) -> None:
        self._descriptor = _open_for_append(path)
        # At exit it stays open: another exit hook may add a record, and with the number given
        # back the record could go into a file that was opened since.
        weakref.finalize(self, os.close, self._descriptor).atexit = False

    def write(self, data: bytes) -> None:
        _write_all(self._descriptor, data)


def _check_file(path: Path) -> None:
    """See that a file, if it is there, may be a ledger: it may be somebody else's.

    Raises:
        ConfigurationError: It is none.
    """
    if not path.is_file():
        return
    try:
        with path.open("rb") as file:
            beginning = file.read(len(_BEGINNING))
    except OSError:
        return  # who can't read it is told so by the first `add`
    if beginning not in (b"", _BEGINNING):
        raise ConfigurationError(
            f"UsageLedger path {str(path)!r} is no file of JSON lines: name another file, or "
            "move it away. Ledgers in SQLite have the suffix '.db'."
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
