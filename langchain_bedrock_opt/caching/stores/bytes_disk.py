"""diskcache with bytes only: nothing is unpickled, and no file outside the folder is touched.

diskcache believes its database. A row that says so is unpickled on reading, by its `JSONDisk` too
(CVE-2025-69872), and a row's file name is joined to the folder unchecked, for reading and for
deleting. So the classes here refuse whatever they have not written themselves. Imported only when
a disk store is opened.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
from typing import Any
from weakref import WeakSet

import diskcache
from diskcache.core import DBNAME, MODE_BINARY, MODE_RAW

from langchain_bedrock_opt.errors import CacheStoreError

_FILE_NAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{28}\.val")
"""The names that diskcache gives to its files."""


class BytesDisk(diskcache.Disk):  # type: ignore[misc] # diskcache has no types
    """diskcache's row format, cut down to text keys and bytes."""

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

    def store(self, value: Any, read: bool, key: Any = None) -> tuple[Any, ...]:  # noqa: FBT001 - diskcache's signature
        """Bytes as a row, or as a file if they are long."""
        if not isinstance(value, bytes) or read:
            raise CacheStoreError(f"a value must be bytes, not a {type(value).__name__}")
        row: tuple[Any, ...] = super().store(value, False, key)
        return row

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> bytes:  # noqa: FBT001 - diskcache's signature
        """The bytes of a row."""
        if mode == MODE_RAW and isinstance(value, bytes) and not read:
            return value
        if mode == MODE_BINARY and self._is_ours(filename) and not read:
            data: bytes = super().fetch(mode, filename, value, False)
            return data
        raise CacheStoreError("an entry in the cache folder was not written by this cache")

    def remove(self, file_path: str) -> None:
        """Delete an entry's file; a name that is not ours is left alone."""
        if self._is_ours(file_path):
            super().remove(file_path)

    def _is_ours(self, filename: Any) -> bool:
        if not isinstance(filename, str) or not _FILE_NAME.fullmatch(filename.replace(os.sep, "/")):
            return False
        folder = os.path.realpath(self._directory)
        # A symbolic link in the folder would lead out of it.
        return os.path.realpath(os.path.join(folder, filename)).startswith(folder + os.sep)  # noqa: PTH118 - diskcache's paths are texts


class BytesCache(diskcache.Cache):  # type: ignore[misc] # diskcache has no types
    """A `diskcache.Cache` whose connections are all closed, each thread's.

    diskcache opens one connection to SQLite a thread and closes only the calling thread's own.
    Here a thread's connection is closed when the thread ends, and `close` closes those of all.

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
