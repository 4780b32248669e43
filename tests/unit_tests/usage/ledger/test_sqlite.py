"""What a usage ledger in SQLite does that others don't.

What holds for every kind of ledger is in `tests/conformance/test_ledgers.py`.
"""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from langchain_bedrock_opt.contracts import TokenUsage, UsageRecord
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.usage.ledger.ledger import UsageLedger
from langchain_bedrock_opt.usage.ledger.selection import EVERYTHING
from langchain_bedrock_opt.usage.ledger.sqlite import SqliteStore

Make = Callable[..., UsageRecord]

PROGRAM = """
import sys
from datetime import datetime, timezone
from langchain_bedrock_opt.contracts import UsageRecord
from langchain_bedrock_opt.usage.ledger.ledger import UsageLedger
ledger = UsageLedger(sys.argv[1])
def add(run_id):
    at = datetime.now(timezone.utc)
    ledger.add(UsageRecord(run_id=run_id, started_at=at, model_id="m" * 200, status="ok"))
"""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program holds the database's write lock."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@pytest.mark.parametrize("name", ["u.db", "u.sqlite", "u.SQLITE3"])
def test_suffix_says_that_it_is_a_database(tmp_path: Path, record: Make, name: str) -> None:
    """A path with a database's suffix becomes one, which other programs can query."""
    ledger = UsageLedger(tmp_path / name)
    ledger.add(record(model_id="m", path=("agent", "plan"), usage=TokenUsage(output=9)))
    ledger.flush()
    with closing(sqlite3.connect(tmp_path / name)) as connection:
        query = "SELECT model, node, usage_output, substr(started_at, 1, 10) FROM records"
        assert connection.execute(query).fetchall() == [("m", "plan", 9, "2026-11-22")]


def test_locked_database_delays_no_call(tmp_path: Path, record: Make) -> None:
    """While another program holds the lock, records are taken; then they are written."""
    path = tmp_path / "usage.db"
    ledger = UsageLedger(path)
    ledger.add(record(run_id="before"))
    ledger.flush()
    with locked(path):
        # Would `add` wait for the lock, it would wait for ever: this thread holds it.
        for index in range(500):
            ledger.add(record(run_id=str(index)))
        assert ledger.lost_records == 0
    assert ledger.totals().calls == 501


def test_flood_on_a_locked_database_is_bounded(
    tmp_path: Path, record: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """What waits is bounded: beyond it the oldest are lost, counted, and told of once."""
    path = tmp_path / "usage.db"
    store = SqliteStore(path, max_pending=10)
    store.add(record(run_id="first"))
    store.flush()
    with locked(path):
        for index in range(100):
            store.add(record(run_id=str(index)))
    store.flush()
    kept = [each.run_id for each in store.read(EVERYTHING)]
    assert kept == ["first", *map(str, range(90, 100))]
    assert (store.lost_records, len(caplog.messages)) == (90, 1)


def test_idle_ledger_has_no_thread(tmp_path: Path, record: Make) -> None:
    """The writer ends when there is nothing to write, and a later record starts another."""
    store = SqliteStore(
        tmp_path / "usage.db", interval=0.001, clock=iter(range(0, 10**6, 60)).__next__
    )
    for run_id in ("a", "b"):
        store.add(record(run_id=run_id))
        for thread in threading.enumerate():
            if thread.name == "usage-ledger":
                thread.join(60)
                assert not thread.is_alive()
    assert store.totals(EVERYTHING).calls == 2


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="nothing can be killed so here")
def test_killed_process_leaves_what_was_written(tmp_path: Path) -> None:
    """A process that is killed loses at most what it added in the last moment."""
    path = tmp_path / "usage.db"
    program = PROGRAM + (
        "for index in range(200): add(f'early {index}')\n"
        "ledger.flush()\n"
        "print('written', flush=True)\n"
        "index = 0\n"
        "while True:\n"
        "    add(f'late {index}'); index += 1\n"
    )
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    found = [each.run_id for each in UsageLedger(path).records()]
    early, late = found[:200], found[200:]
    assert early == [f"early {index}" for index in range(200)]
    assert late == [f"late {index}" for index in range(len(late))]


@pytest.mark.skipif(sys.platform == "win32", reason="a file's size can't be limited here")
def test_full_disk_is_counted(tmp_path: Path) -> None:
    """On a full disk records are lost, counted and logged once; what was written stays."""
    path = tmp_path / "usage.db"
    program = PROGRAM + (
        "import logging, resource, signal\n"
        "logging.basicConfig(level='WARNING')\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "add('kept'); ledger.flush()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))\n"
        "for batch in range(3):\n"
        "    for index in range(1000): add(f'{batch} {index}')\n"
        "    ledger.flush()\n"
        "print(ledger.lost_records)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=60,
        check=True,
    )  # fmt: skip
    kept = [each.run_id for each in UsageLedger(path).records()]
    assert kept[0] == "kept"
    assert int(done.stdout) == 3001 - len(kept) > 0
    assert done.stderr.count("lost a record") == 1


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"year,cost\n2026,17\n", "no SQLite database: name another file"),
        (b"SQLite format 3\x00" + b"\xff" * 4096, "can't be read"),
    ],
)
def test_file_that_is_no_database_is_refused(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    """A file that SQLite can't read is refused when the ledger is made, and left as it is."""
    path = tmp_path / "usage.db"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=complaint):
        UsageLedger(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("CREATE TABLE photos (name TEXT)", "database of another program"),
        ("PRAGMA application_id = 7", "database of another program"),
        ("PRAGMA user_version = 7", "database of another program"),
    ],
)
def test_database_of_another_program_is_refused(
    tmp_path: Path, statement: str, complaint: str
) -> None:
    """A database that is no ledger is never written to."""
    path = tmp_path / "photos.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
    with pytest.raises(ConfigurationError, match=complaint):
        UsageLedger(path)


def test_ledger_of_a_later_release_is_refused(tmp_path: Path, record: Make) -> None:
    """A schema that this release does not know is told, with what to do."""
    path = tmp_path / "usage.db"
    ledger = UsageLedger(path)
    ledger.add(record())
    ledger.flush()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(ConfigurationError, match=r"version 99.*upgrade"):
        UsageLedger(path)


def test_empty_file_becomes_a_ledger(tmp_path: Path, record: Make) -> None:
    """A file without a byte, such as `mktemp` makes, is nobody's."""
    path = tmp_path / "usage.db"
    path.touch()
    ledger = UsageLedger(path)
    assert ledger.records() == []
    ledger.add(record())
    assert len(ledger.records()) == 1


def test_damaged_database_is_told(tmp_path: Path, record: Make) -> None:
    """A database that breaks while it is used raises nothing in a call, and says so when read."""
    path = tmp_path / "usage.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 0")
    ledger = UsageLedger(path)
    path.write_bytes(b"not a database any more" * 1000)
    ledger.add(record())
    with pytest.raises(ConfigurationError, match=r"can't be read.*move it away"):
        ledger.records()
    assert ledger.lost_records == 1
