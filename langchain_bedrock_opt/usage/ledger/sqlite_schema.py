"""The table of a SQLite ledger: its columns, how it is opened, and what is no ledger."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from langchain_bedrock_opt.contracts import UsageRecord
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.usage.ledger.serialization import record_to_json
from langchain_bedrock_opt.usage.reporting.grouping import PROPERTIES, timestamp
from langchain_bedrock_opt.usage.reporting.totals import MEASURES, measures
from langchain_bedrock_opt.usage.waiting import latency_of, ttft_of

SCHEMA_VERSION: Final = 1
"""Version of the table, in SQLite's `user_version`."""

APPLICATION_ID: Final = 0x62646F31
"""What marks the file as a ledger of this package, in SQLite's `application_id`."""

_HEADER: Final = b"SQLite format 3\x00"

GROUP_COLUMNS: Final = tuple(name for name in PROPERTIES if name not in ("day", "hour"))
"""Columns that hold a property records are grouped by; `started_at` holds the two others."""

SUM_COLUMNS: Final = tuple(name for name in MEASURES if name != "calls")
"""Columns that are added up; calls are counted."""

_TEXTS: Final = ("run_id", "started_at", "resolved", *GROUP_COLUMNS)
_NUMBERS: Final = ("latency_ms", "ttft_ms")
_COLUMNS: Final = (*_TEXTS, *SUM_COLUMNS, *_NUMBERS, "json")

_CREATE: Final = (
    "CREATE TABLE IF NOT EXISTS records (id INTEGER PRIMARY KEY, run_id TEXT NOT NULL UNIQUE, "
    + ", ".join(f"{name} TEXT" for name in _TEXTS[1:])
    + ", "
    + ", ".join(f"{name} INTEGER NOT NULL" for name in SUM_COLUMNS)
    + ", "
    + ", ".join(f"{name} REAL" for name in _NUMBERS)
    + ", json TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS records_by_time ON records (started_at)",
)

INSERT: Final = (
    f"INSERT OR IGNORE INTO records ({', '.join(_COLUMNS)}) "  # noqa: S608 - names of our own
    f"VALUES ({', '.join('?' * len(_COLUMNS))})"
)
"""Adds a row of `row_of`; a run that is there already stays as it is."""


def row_of(record: UsageRecord) -> tuple[Any, ...]:
    """A record as a row.

    Raises:
        ValueError: The record has no JSON form.
        RecursionError: Its metadata is too deep for JSON.
    """
    return (
        record.run_id,
        timestamp(record),
        record.resolved_id,
        *(PROPERTIES[name](record) for name in GROUP_COLUMNS),
        *measures(record)[1:],
        latency_of(record),
        ttft_of(record),
        record_to_json(record),
    )


def open_ledger(path: Path, *, patience: float) -> sqlite3.Connection:
    """A connection whose table is there.

    Args:
        path: The file; made if it is missing.
        patience: Seconds to wait for another process's lock.

    Raises:
        sqlite3.Error: It can't be opened.
    """
    connection = sqlite3.connect(path, timeout=patience, isolation_level=None)
    try:
        # Readers and the writer don't wait for each other then, and a commit needs no fsync: a
        # crash of the process loses nothing, one of the machine the last moments.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        if connection.execute("PRAGMA user_version").fetchone() == (0,):
            connection.execute("BEGIN IMMEDIATE")
            for statement in _CREATE:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def check_file(path: Path) -> None:
    """See that a file, if it is there, is a ledger that this release can read and write.

    Nothing is moved or overwritten: the file may be somebody else's.

    Raises:
        ConfigurationError: It is none.
    """
    try:
        with path.open("rb") as file:
            header = file.read(len(_HEADER))
    except FileNotFoundError:
        return
    if not header:
        return  # empty: SQLite takes it as a new database
    if header != _HEADER:
        raise ConfigurationError(
            f"UsageLedger path {str(path)!r} is no SQLite database: name another file, or move "
            "it away. Ledgers of JSON lines have the suffix '.jsonl'."
        )
    try:
        application, version, tables = _marks(path)
    except sqlite3.DatabaseError as error:
        raise unreadable(path, error) from error
    if application != APPLICATION_ID and (application or version or tables):
        raise ConfigurationError(
            f"UsageLedger path {str(path)!r} is a SQLite database of another program: "
            "name another file."
        )
    if version > SCHEMA_VERSION:
        raise ConfigurationError(
            f"UsageLedger path {str(path)!r} has schema version {version}; this release knows "
            f"{SCHEMA_VERSION}: upgrade langchain-bedrock-opt, or name another file."
        )


def unreadable(path: Path, error: sqlite3.Error) -> ConfigurationError:
    """What to say of a ledger that SQLite can't read."""
    if "locked" in str(error):
        return ConfigurationError(
            f"UsageLedger path {str(path)!r} is locked by another program: try again later."
        )
    return ConfigurationError(
        f"UsageLedger path {str(path)!r} can't be read ({error}): move it away, or recover it "
        "with the '.recover' command of sqlite3."
    )


def _marks(path: Path) -> tuple[int, int, int]:
    """Application id, version, and how many tables and indexes there are."""
    with closing(sqlite3.connect(path)) as connection:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return application, version, tables
