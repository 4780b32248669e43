"""diskcache with bytes only: nothing is unpickled, and no file but the database is touched.

diskcache believes its database. A row that says so is unpickled on reading, by its `JSONDisk` too
(CVE-2025-69872), and a row's file name is joined to the folder unchecked, for reading and for
deleting. So the classes here know one form of row, text and bytes in the database itself, and
refuse every other. Without files beside the database each write is one transaction of SQLite: what
a process leaves behind that was killed is whole. Imported only when a disk store is opened.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from typing import Any
from weakref import WeakSet

import diskcache
from diskcache.core import DBNAME, MODE_RAW

from langchain_bedrock_opt.errors import CacheStoreError

DISK_ERRORS = (diskcache.Timeout, sqlite3.Error, OSError, ValueError)
"""What diskcache and SQLite raise where a disk or a database fails."""

_READ = (
    "SELECT mode, filename, value FROM Cache"
    " WHERE key = ? AND raw = 1 AND (expire_time IS NULL OR expire_time > ?)"
)

SPARED_PREFIXES = ("epoch:", "sim:l:")
"""How keys begin that are dropped last: epochs, without which no entry may be served, and labels,
by which the similarity tier knows what it may serve. They are few, and written long before what
depends on them."""

SPARED_SECONDS = 10 * 365 * 86400.0
"""How much younger than it is such a key is taken to be, when the oldest are dropped."""

_SPARE = "UPDATE Cache SET store_time = store_time + ? WHERE key = ? AND raw = 1"

_NEW_LEASES = (
    "CREATE TABLE IF NOT EXISTS Leases (key TEXT PRIMARY KEY, token TEXT, expire_time REAL)"
)
_DROP_OLD_LEASES = "DELETE FROM Leases WHERE expire_time <= ?"
_TAKE_LEASE = "INSERT OR IGNORE INTO Leases VALUES (?, ?, ?)"
_EXTEND_LEASE = "UPDATE Leases SET expire_time = ? WHERE key = ? AND token = ? AND expire_time > ?"
_END_LEASE = "DELETE FROM Leases WHERE key = ? AND token = ? AND expire_time > ?"
_END_ALL_LEASES = "DELETE FROM Leases"


class BytesDisk(diskcache.Disk):  # type: ignore[misc] # diskcache has no types
    """diskcache's row format, cut down to text keys and bytes inside the database."""

    def put(self, key: Any) -> tuple[Any, bool]:
        """A key as the database has it."""
        if not isinstance(key, str):
            raise CacheStoreError(f"a key must be a text, not a {type(key).__name__}")
        return key, True

    def get(self, key: Any, raw: Any) -> str:
        """A key out of the database."""
        if not raw or not isinstance(key, str):
            raise CacheStoreError("a key in the cache folder is no text: it is not ours")
        return key

    def store(self, value: Any, read: bool, key: Any = None) -> tuple[Any, ...]:  # noqa: ARG002, FBT001 - diskcache's signature
        """Bytes as size of the file, mode, file name and value of a row."""
        if not isinstance(value, bytes) or read:
            raise CacheStoreError(f"a value must be bytes, not a {type(value).__name__}")
        return 0, MODE_RAW, None, value

    def fetch(self, mode: Any, filename: Any, value: Any, read: bool) -> bytes:  # noqa: FBT001 - diskcache's signature
        """The bytes of a row."""
        if mode == MODE_RAW and filename is None and isinstance(value, bytes) and not read:
            return value
        raise CacheStoreError("an entry in the cache folder was not written by this cache")

    def remove(self, file_path: str) -> None:
        """Leave a file alone: no entry of ours has one, so its name is somebody else's."""


class BytesCache(diskcache.Cache):  # type: ignore[misc] # diskcache has no types
    """A `diskcache.Cache` with leases, whose connections are all closed, each thread's.

    diskcache opens one connection to SQLite a thread and closes only the calling thread's own.
    Here a thread's connection is closed when the thread ends, and `close` closes those of all.

    Leases have a table of their own in the same database, so that a write can depend on one in a
    transaction, and neither eviction nor an entry's end touches them.

    Keys that begin with one of `SPARED_PREFIXES` are dropped last when the folder is full.

    Args:
        directory: The folder; it exists.
        timeout: Seconds to wait for another process's write.
        settings: diskcache's own.
    """

    def __init__(self, directory: str, *, timeout: float, **settings: Any) -> None:
        self._path = os.path.join(directory, DBNAME)  # noqa: PTH118 - diskcache's paths are texts
        self._seconds = timeout
        self._mine = threading.local()
        self._all: WeakSet[_Connection] = WeakSet()
        self._all_lock = threading.Lock()
        super().__init__(directory, timeout=timeout, disk=BytesDisk, **settings)
        self._sql_retry(_NEW_LEASES)

    def read(self, key: str, now: float) -> bytes | None:
        """The bytes under a key that have not expired by `now`; nothing is written."""
        # diskcache's own `get` asks the machine's clock, and takes longer.
        rows = self._con.execute(_READ, (key, now)).fetchall()
        if not rows:
            return None
        ((mode, filename, value),) = rows
        return self._disk.fetch(mode, filename, value, False)  # type: ignore[no-any-return]

    def swap(self, key: str, old: bytes | None, new: bytes, ttl: float | None, now: float) -> bool:
        """Set bytes if `old` is what is there."""
        with self.transact():
            if self.read(key, now) != old:
                return False
            self.write(key, new, ttl)
            return True

    def write(self, key: str, value: bytes, ttl: float | None) -> None:
        """Set bytes."""
        text, _ = self._disk.put(key)
        if not text.startswith(SPARED_PREFIXES):
            self.set(key, value, expire=ttl)
            return
        with self.transact():
            self.set(key, value, expire=ttl)
            self._con.execute(_SPARE, (SPARED_SECONDS, text))

    def set_leased(self, key: str, value: bytes, ttl: float | None, token: str, now: float) -> bool:
        """Set bytes if a lease on the key still holds, and end it."""
        with self.transact():
            if not self.end_lease(key, token, now):
                return False
            self.write(key, value, ttl)
            return True

    def take_lease(self, key: str, token: str, expires_at: float, now: float) -> bool:
        """Take the lease on a key if nobody holds it; leases that are over are dropped."""
        with self.transact():
            self._con.execute(_DROP_OLD_LEASES, (now,))
            return self._con.execute(_TAKE_LEASE, (key, token, expires_at)).rowcount > 0

    def extend_lease(self, key: str, token: str, expires_at: float, now: float) -> bool:
        """Move the end of a lease that still holds."""
        return self._con.execute(_EXTEND_LEASE, (expires_at, key, token, now)).rowcount > 0

    def end_lease(self, key: str, token: str, now: float) -> bool:
        """Drop a lease; False if it did not hold any more."""
        return self._con.execute(_END_LEASE, (key, token, now)).rowcount > 0

    def clear_all(self) -> None:
        """Drop all entries and leases."""
        self._con.execute(_END_ALL_LEASES)
        self.clear()

    @property
    def _con(self) -> sqlite3.Connection:
        # diskcache's own property, asked before each statement. The process id is compared
        # because SQLite forbids to take a connection along through a fork.
        connection: _Connection | None = getattr(self._mine, "connection", None)
        if connection is None or connection.closed or connection.pid != os.getpid():
            connection = self._mine.connection = self._connect()
        return connection.sqlite

    def close(self) -> None:
        """Close the connections of all threads. The next use opens a new one."""
        with self._all_lock:
            connections = list(self._all)
        for connection in connections:
            connection.close()

    def _connect(self) -> _Connection:
        connection = _Connection(self._path, self._seconds)
        with self._all_lock:
            self._all.add(connection)
        # What holds for one connection only must be set again on each; the rest is in the file.
        for name in ("cache_size", "mmap_size", "synchronous"):
            value = diskcache.DEFAULT_SETTINGS[f"sqlite_{name}"]
            connection.sqlite.execute(f"PRAGMA {name} = {value}")
        return connection


class _Connection:
    """One thread's connection, closed at the latest when the thread lets go of it."""

    def __init__(self, path: str, timeout: float) -> None:
        self.closed = True  # until it is open, should opening fail
        self.pid = os.getpid()
        # Used by one thread alone, but possibly closed by another.
        self.sqlite = sqlite3.connect(
            path, timeout=timeout, isolation_level=None, check_same_thread=False
        )
        self.closed = False

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.sqlite.close()

    def __del__(self) -> None:
        self.close()
