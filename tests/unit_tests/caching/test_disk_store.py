"""The store on disk: whom it trusts, and what it leaves behind."""

from __future__ import annotations

import pickle
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import diskcache
import pytest

from langchain_bedrock_opt.caching.stores.bytes_disk import BytesCache
from langchain_bedrock_opt.caching.stores.disk import DiskCacheStore
from langchain_bedrock_opt.errors import CacheStoreError, ConfigurationError
from tests.extras import needs_fork

REPOSITORY = Path(__file__).parents[3]
DISKCACHE_FILE = "ab/cd/0123456789abcdef0123456789ab.val"  # a name as diskcache gives them


class Payload:
    """Writes a file when it is unpickled, as an attacker's pickle would do worse."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def store(folder: Path) -> Iterator[DiskCacheStore]:
    store = DiskCacheStore(folder)
    yield store
    store.close()


def plant(folder: Path, **columns: Any) -> None:
    """Change every row of a cache's database behind its back."""
    connection = sqlite3.connect(folder / "cache.db")
    assignments = ", ".join(f"{column} = ?" for column in columns)
    connection.execute(f"UPDATE Cache SET {assignments}", tuple(columns.values()))
    connection.commit()
    connection.close()


def write_as_diskcache_would(folder: Path, content: bytes) -> Path:
    """A file with a name that diskcache could have given."""
    file = folder / DISKCACHE_FILE
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    return file


def test_diskcache_s_own_formats_execute_a_planted_pickle(tmp_path: Path) -> None:
    """The danger is real: diskcache's JSONDisk, too, unpickles a row that says it is a pickle."""
    executed = tmp_path / "executed"
    with diskcache.Cache(tmp_path / "json", disk=diskcache.JSONDisk) as cache:
        key_row = cache.disk.put("key")[0]
        cache["key"] = "value"
        plant(tmp_path / "json", mode=4, value=pickle.dumps(Payload(executed)), key=key_row)
        with pytest.raises(Exception, match=r"bytes-like|decompress"):
            cache["key"]

    assert executed.exists()


@pytest.mark.parametrize("in_file", [False, True])
def test_a_planted_pickle_is_refused(
    *, in_file: bool, folder: Path, tmp_path: Path, store: DiskCacheStore
) -> None:
    """A row that says it is a pickle is an error of the store and executes nothing."""
    executed = tmp_path / "executed"
    pickled = pickle.dumps(Payload(executed))
    store.put("key", b"value", 60)
    if in_file:
        write_as_diskcache_would(folder, pickled)
        plant(folder, mode=4, value=None, filename=DISKCACHE_FILE)
    else:
        plant(folder, mode=4, value=pickled)

    with pytest.raises(CacheStoreError):
        store.get("key")

    assert not executed.exists()


def test_a_pickled_key_is_refused(folder: Path, tmp_path: Path, store: DiskCacheStore) -> None:
    """A key that says it is a pickle is not read, and clearing the store still works."""
    executed = tmp_path / "executed"
    store.put("key", b"value", 60)
    plant(folder, raw=0, key=pickle.dumps(Payload(executed)))

    with pytest.raises(CacheStoreError):
        list(store._opened().iterkeys())
    store.clear()

    assert store.get("key") is None
    assert not executed.exists()


@pytest.mark.parametrize("where", ["../secret.txt", "absolute", "aa/../../secret.txt"])
def test_files_outside_the_folder_are_not_touched(
    where: str, folder: Path, tmp_path: Path, store: DiskCacheStore
) -> None:
    """A row that names a file outside is refused on reading, and its file survives deletion."""
    secret = tmp_path / "secret.txt"
    secret.write_bytes(b"secret")
    store.put("key", b"value", 60)
    plant(folder, mode=2, filename=str(secret) if where == "absolute" else where)

    with pytest.raises(CacheStoreError):
        store.get("key")
    store.delete("key")

    assert secret.read_bytes() == b"secret"
    assert store.get("key") is None


@pytest.mark.parametrize("is_link", [False, True])
def test_files_in_the_folder_are_not_read(
    *, is_link: bool, folder: Path, tmp_path: Path, store: DiskCacheStore
) -> None:
    """No entry of ours is in a file: one with a name of diskcache's, or a link, is refused."""
    secret = tmp_path / "secret.txt"
    secret.write_bytes(b"secret")
    store.put("key", b"value", 60)
    file = write_as_diskcache_would(folder, b"planted")
    if is_link:
        file.unlink()
        file.symlink_to(secret)
    plant(folder, mode=2, value=None, filename=DISKCACHE_FILE)

    with pytest.raises(CacheStoreError):
        store.get("key")
    store.put("key", b"new", 60)

    assert store.get("key") == b"new"
    assert secret.read_bytes() == b"secret"


@pytest.mark.parametrize("columns", [{"mode": 3, "value": "text"}, {"value": "text"}, {"mode": 9}])
def test_rows_that_are_not_bytes_are_refused(
    columns: dict[str, Any], folder: Path, store: DiskCacheStore
) -> None:
    """A row of any other form than this store's own is an error, never an answer."""
    store.put("key", b"value", 60)
    plant(folder, **columns)

    with pytest.raises(CacheStoreError):
        store.get("key")


def test_only_bytes_under_texts_are_written(store: DiskCacheStore) -> None:
    """What is not bytes under a text key is refused before anything could be pickled."""
    with pytest.raises(CacheStoreError):
        store.put("key", {"a": 1}, 60)  # type: ignore[arg-type]
    with pytest.raises(CacheStoreError):
        store.put(("key",), b"value", 60)  # type: ignore[arg-type]


def test_nothing_is_on_disk_before_the_first_use(folder: Path) -> None:
    """Making a store makes no folder; closing it unused neither."""
    store = DiskCacheStore(folder)
    store.close()

    assert not folder.exists()


@pytest.mark.parametrize("exists", [False, True])
def test_only_this_user_may_read_the_folder(*, exists: bool, folder: Path) -> None:
    """The folder's mode is 0700, even if it was there before with another one."""
    if exists:
        folder.mkdir(mode=0o755)
    store = DiskCacheStore(folder)
    store.put("key", b"value", 60)
    store.close()

    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    """A cache is not put among a user's files, nor in the place of one."""
    file = tmp_path / "notes.txt"
    file.touch()

    for path in (tmp_path, file):
        with pytest.raises(ConfigurationError, match="folder of its own"):
            DiskCacheStore(path)


def test_the_path_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home directory and variables in the path are followed."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PLACE", "cache")
    store = DiskCacheStore("~/$PLACE")
    store.put("key", b"value", 60)
    store.close()

    assert (tmp_path / "cache" / "cache.db").exists()


def test_a_file_that_is_no_database_is_an_error(folder: Path) -> None:
    """A broken database is an error of the store, which the cache goes on without."""
    folder.mkdir()
    (folder / "cache.db").write_bytes(b"not a database" * 100)
    store = DiskCacheStore(folder)

    with pytest.raises(CacheStoreError):
        store.get("key")
    store.close()


def test_the_size_limit_holds(folder: Path) -> None:
    """Beyond its limit the store drops what was stored first, and keeps the newest."""
    store = DiskCacheStore(folder, size_limit=500_000)
    for index in range(200):
        store.put(str(index), bytes(10_000), 60)

    newest, oldest = store.get("199"), store.get("0")
    store.close()

    assert newest is not None
    assert oldest is None
    assert sum(file.stat().st_size for file in folder.glob("cache.db")) < 1_000_000


@pytest.mark.parametrize("key", ["epoch:a", "sim:l:a"])
def test_what_entries_depend_on_is_dropped_last(folder: Path, key: str) -> None:
    """Epochs and labels outlast entries that were stored after them, and may be replaced."""
    store = DiskCacheStore(folder, size_limit=500_000)
    store.swap(key, None, b"first", None)
    store.put(key, b"second", None)
    for index in range(200):
        store.put(str(index), bytes(10_000), None)

    kept, oldest = store.get(key), store.get("0")
    store.close()

    assert kept == b"second"
    assert oldest is None


def test_even_that_keeps_to_the_size_limit(folder: Path) -> None:
    """If there is nothing else to drop, the oldest of those go, and the folder does not grow."""
    store = DiskCacheStore(folder, size_limit=500_000)
    for index in range(200):
        store.put(f"epoch:{index}", bytes(10_000), None)

    newest, oldest = store.get("epoch:199"), store.get("epoch:0")
    store.close()

    assert newest is not None
    assert oldest is None


def test_reading_writes_nothing(folder: Path, store: DiskCacheStore) -> None:
    """A read leaves the database as it is, so that readers never wait for a lock."""
    store.put("key", b"value", 60)
    connection = sqlite3.connect(folder / "cache.db")
    rows = connection.execute("SELECT * FROM Cache").fetchall()
    settings = connection.execute("SELECT * FROM Settings").fetchall()

    store.get("key")
    store.get("nothing")

    assert connection.execute("SELECT * FROM Cache").fetchall() == rows
    assert connection.execute("SELECT * FROM Settings").fetchall() == settings
    connection.close()


def test_connections_close_with_their_threads(store: DiskCacheStore) -> None:
    """A thread that used the store leaves no open connection behind when it ends."""
    store.put("key", b"value", 60)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(store.get, ["key"] * 16))

    cache = store._opened()
    assert isinstance(cache, BytesCache)
    assert len([connection for connection in cache._all if not connection.closed]) == 1


def test_closing_closes_the_connections_of_live_threads(store: DiskCacheStore) -> None:
    """Closing reaches threads that go on living, and the store opens again when it is used."""
    used, over = threading.Event(), threading.Event()

    def use() -> None:
        store.put("key", b"value", 60)
        used.set()
        over.wait(10)

    thread = threading.Thread(target=use)
    thread.start()
    assert used.wait(10)
    cache = store._opened()
    store.close()

    assert all(connection.closed for connection in cache._all)
    assert store.get("key") == b"value"
    over.set()
    thread.join()


@needs_fork
def test_a_forked_process_has_its_own_connection(folder: Path) -> None:
    """A child made by fork reads and writes what its parent sees."""
    script = f"""
        import os
        from langchain_bedrock_opt.caching.stores.disk import DiskCacheStore
        store = DiskCacheStore({str(folder)!r})
        store.put("parent", b"1", 60)
        child = os.fork()
        if child == 0:
            assert store.get("parent") == b"1"
            store.put("child", b"2", 60)
            store.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert store.get("child") == b"2"
        store.close()
    """
    assert run(script).returncode == 0


def test_two_processes_share_a_folder(folder: Path) -> None:
    """Two processes that write at once lose nothing, and each reads what the other wrote."""
    script = f"""
        import sys
        from langchain_bedrock_opt.caching.stores.disk import DiskCacheStore
        store = DiskCacheStore({str(folder)!r})
        for index in range(50):
            store.put(sys.argv[1] + str(index), sys.argv[1].encode() * 1000, 60)
        store.close()
    """
    with ThreadPoolExecutor() as pool:
        processes = list(pool.map(lambda name: run(script, name), ["a", "b"]))
    assert [process.returncode for process in processes] == [0, 0]

    store = DiskCacheStore(folder)
    values = {name + str(i): store.get(name + str(i)) for name in "ab" for i in range(50)}
    store.close()
    assert all(value == key[0].encode() * 1000 for key, value in values.items())


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """A script in a process of its own."""
    command = [sys.executable, "-c", textwrap.dedent(script), *arguments]
    return subprocess.run(command, check=False, cwd=REPOSITORY, timeout=60)
