"""`BatchWriter`: puts batches of records into the database, or says how many it lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from typing_extensions import Self

from langchain_bedrock_opt.contracts import UsageRecord
from langchain_bedrock_opt.usage.ledger.sqlite_schema import INSERT, open_ledger, row_of


class BatchWriter:
    """One connection, opened by the first batch and after each failure anew.

    Args:
        path: The database.
        patience: Seconds to wait for another process's lock.

    Attributes:
        error: What the last failure said.
    """

    def __init__(self, path: Path, *, patience: float) -> None:
        self.error = ""
        self._path = path
        self._patience = patience
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        """Open nothing yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection, if there is one."""
        self._close()

    def _close(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def write(self, records: Sequence[UsageRecord]) -> int | None:
        """Write records in one transaction.

        Returns:
            How many of them can't be written; None if the database is locked, so that none is
            and all may be tried again.
        """
        rows = [row for record in records if (row := self._row(record)) is not None]
        refused = len(records) - len(rows)
        try:
            if self._connection is None:
                self._connection = open_ledger(self._path, patience=self._patience)
            return refused + self._insert(self._connection, rows)
        except sqlite3.Error as error:
            # Closing rolls the transaction back. A full disk, or a folder that is gone, may be
            # back with the next batch.
            self._close()
            self.error = str(error)
            return None if _is_lock(error) else len(records)

    def _row(self, record: UsageRecord) -> tuple[Any, ...] | None:
        try:
            return row_of(record)
        except Exception as error:  # noqa: BLE001 - metadata is the user's own, and its text too
            self.error = str(error)
            return None

    def _insert(self, connection: sqlite3.Connection, rows: list[tuple[Any, ...]]) -> int:
        """Insert rows; those that SQLite has no form for are left out and counted."""
        refused = 0
        connection.execute("BEGIN IMMEDIATE")
        for row in rows:
            try:
                connection.execute(INSERT, row)
            except (OverflowError, ValueError) as error:  # noqa: PERF203 - beyond 64 bits, half a character
                self.error = str(error)
                refused += 1
        connection.execute("COMMIT")
        return refused


def _is_lock(error: sqlite3.Error) -> bool:
    # Its code is an attribute from Python 3.11 on.
    return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
