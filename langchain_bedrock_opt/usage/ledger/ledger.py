"""`UsageLedger`: the sink that keeps records, in memory or in a file of JSON lines."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections import deque
from pathlib import Path
from typing import Any, overload

from langchain_bedrock_opt.contracts import UsageRecord
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.usage.ledger.serialization import record_from_json, record_to_json
from langchain_bedrock_opt.usage.reporting.totals import UsageTotals, total, totals_by

logger = logging.getLogger(__name__)


class UsageLedger:
    """Keeps usage records and adds them up. Thread-safe.

    Without a path, records are kept in memory. With one, each is appended to the file at once,
    as one line of JSON, and read from there: the ledger holds what other processes wrote to it
    too, and nothing is lost when this one ends. No prompt text is written.

    Args:
        path: A file of JSON lines, made by the first `add`. Its directory must exist.
        max_records: In memory only: how many records are kept; beyond it the oldest are dropped,
            from the totals too. None keeps all.

    Attributes:
        path: The file, or None.
        lost_records: Records that could not be written.

    Raises:
        ConfigurationError: The path is a directory or in none, `max_records` is not positive,
            or both are given.

    Example:
        >>> from datetime import datetime, timezone
        >>> ledger = UsageLedger()
        >>> at = datetime(2026, 11, 22, tzinfo=timezone.utc)
        >>> ledger.add(UsageRecord(run_id="r", started_at=at, model_id="m", status="ok"))
        >>> ledger.totals(by="model")["m"].calls
        1
    """

    def __init__(
        self, path: str | os.PathLike[str] | None = None, *, max_records: int | None = None
    ) -> None:
        if max_records is not None and (max_records <= 0 or path is not None):
            raise ConfigurationError(
                f"max_records={max_records!r} bounds a ledger in memory and must be positive; "
                "a ledger with a path keeps nothing in memory: leave it out there."
            )
        self.path = None if path is None else _checked(Path(path).expanduser())
        self._records: deque[UsageRecord] = deque(maxlen=max_records)
        self._added = 0
        self.lost_records = 0
        self._file: int | None = None
        self._finalizer: weakref.finalize[Any, Any] | None = None
        self._lock = threading.Lock()

    @property
    def dropped_records(self) -> int:
        """Records that `max_records` pushed out of memory."""
        with self._lock:
            return self._added - len(self._records)

    def add(self, record: UsageRecord) -> None:
        """Keep one record. A record that can't be written is lost, logged once and counted."""
        with self._lock:
            if self.path is None:
                self._records.append(record)
                self._added += 1
                return
            try:
                self._append(record_to_json(record).encode() + b"\n", self.path)
            except (OSError, ValueError) as error:  # a full disk; metadata that contains itself
                self._close()  # the next add opens it anew, and mends a line that was cut
                self.lost_records += 1
                if self.lost_records == 1:
                    logger.warning("Usage ledger path=<%s> lost a record: %s", self.path, error)

    def _append(self, line: bytes, path: Path) -> None:
        if self._file is None:
            self._file = _open_for_append(path)
            # Nobody has to close a ledger: its descriptor goes when it goes.
            self._finalizer = weakref.finalize(self, os.close, self._file)
        _write_all(self._file, line)

    def _close(self) -> None:
        if self._finalizer is not None:
            self._finalizer()
        self._file = self._finalizer = None

    def flush(self) -> None:
        """Nothing to do: each record is in the file, or in memory, as soon as it is added."""

    def records(self) -> list[UsageRecord]:
        """All records, in the order in which they were added.

        Lines of the file that can't be read, such as one that was cut by a crash, are left out
        and logged.
        """
        if self.path is None:
            with self._lock:
                return list(self._records)
        return _read(self.path)

    @overload
    def totals(self, by: None = None) -> UsageTotals: ...

    @overload
    def totals(self, by: str) -> dict[str, UsageTotals]: ...

    def totals(self, by: str | None = None) -> UsageTotals | dict[str, UsageTotals]:
        """Add the records up, as a whole or by a property.

        Args:
            by: None for the whole, or `model`, `tier` (the router's), `service_tier`, `status`,
                `tag`, `tag:NAME` or `metadata:KEY`; see `totals.totals_by`.

        Raises:
            ConfigurationError: `by` is none of these.
        """
        records = self.records()
        return total(records) if by is None else totals_by(records, by)


def _checked(path: Path) -> Path:
    if path.is_dir():
        raise ConfigurationError(
            f"UsageLedger path {str(path)!r} is a directory: name a file in it, "
            f"such as {str(path / 'usage.jsonl')!r}."
        )
    if not path.parent.is_dir():
        raise ConfigurationError(
            f"UsageLedger path {str(path)!r} is in a directory that does not exist: "
            f"create {str(path.parent)!r} first."
        )
    return path


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


def _read(path: Path) -> list[UsageRecord]:
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []  # nothing has been added yet
    read = [_record_or_none(line) for line in lines if line]
    records = [record for record in read if record is not None]
    if len(records) < len(read):
        logger.warning(
            "Usage ledger path=<%s> has lines=<%d> that can't be read",
            path,
            len(read) - len(records),
        )
    return records


def _record_or_none(line: bytes) -> UsageRecord | None:
    try:
        return record_from_json(line)
    except ValueError:
        return None
