"""The usage ledger in memory and in a file of JSON lines.

What holds for every kind of ledger is in `tests/conformance/test_ledgers.py`.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from langchain_bedrock_opt.contracts import TokenUsage, UsageRecord
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.usage.ledger.ledger import UsageLedger

Make = Callable[..., UsageRecord]


def test_bounded_ledger_drops_the_oldest(record: Make) -> None:
    """A ledger with a bound keeps the newest records and says how many it dropped."""
    ledger = UsageLedger(max_records=2)
    for index in range(5):
        ledger.add(record(run_id=str(index)))
    assert [each.run_id for each in ledger.records()] == ["3", "4"]
    assert ledger.dropped_records == 3


def test_another_process_reads_and_adds(tmp_path: Path, record: Make) -> None:
    """Two processes on one file see each other's records."""
    path = tmp_path / "usage.jsonl"
    ledger = UsageLedger(path)
    ledger.add(record(run_id="here"))
    script = (
        "import dataclasses, sys\n"
        "from langchain_bedrock_opt.usage.ledger.ledger import UsageLedger\n"
        "ledger = UsageLedger(sys.argv[1])\n"
        "ledger.add(dataclasses.replace(ledger.records()[0], run_id='there'))\n"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=True, timeout=60)
    ledger.add(record(run_id="here again"))
    assert [each.run_id for each in ledger.records()] == ["here", "there", "here again"]


@pytest.mark.parametrize("rest", ['{"v":1,"run_', "\xff\x00", '{"v":99}\n', "\n\n"])
def test_damaged_lines_cost_only_themselves(tmp_path: Path, record: Make, rest: str) -> None:
    """A line that a crash cut, or that another version wrote, takes no other record with it."""
    path = tmp_path / "usage.jsonl"
    UsageLedger(path).add(record(run_id="before"))
    with path.open("a", encoding="latin-1") as file:
        file.write(rest)
    ledger = UsageLedger(path)
    ledger.add(record(run_id="after"))
    assert [each.run_id for each in ledger.records()] == ["before", "after"]


def test_record_that_cannot_be_written_is_counted(
    tmp_path: Path, record: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """A ledger that can't write raises nothing, says so once, and goes on when it can again."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    ledger = UsageLedger(folder / "usage.jsonl")
    folder.rename(tmp_path / "gone")
    ledger.add(record())
    ledger.add(record())
    assert (ledger.lost_records, len(caplog.messages)) == (2, 1)
    folder.mkdir()
    ledger.add(record(run_id="back"))
    assert [each.run_id for each in ledger.records()] == ["back"]


def test_metadata_that_contains_itself_is_counted(tmp_path: Path, record: Make) -> None:
    """A record that has no JSON form is counted as lost and raises nothing."""
    loop: dict[str, object] = {}
    loop["self"] = loop
    ledger = UsageLedger(tmp_path / "usage.jsonl")
    ledger.add(record(metadata=loop))
    assert ledger.lost_records == 1


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="descriptors are counted in /proc")
def test_ledgers_leave_no_file_open(tmp_path: Path, record: Make) -> None:
    """A ledger that is no longer used gives its file back, without being closed."""
    for index in range(20):
        UsageLedger(tmp_path / f"{index}.jsonl").add(record())
    gc.collect()
    files = [os.path.realpath(each) for each in Path("/proc/self/fd").iterdir()]
    assert not [file for file in files if file.startswith(str(tmp_path.resolve()))]


def test_file_holds_only_what_is_allowed(tmp_path: Path, record: Make) -> None:
    """One record is one line, compact."""
    path = tmp_path / "usage.jsonl"
    UsageLedger(path).add(record(usage=TokenUsage(input=3)))
    line = path.read_text("utf-8")
    assert line.endswith('"usage":{"input":3}}\n')
    assert line.count("\n") == 1


def test_path_must_be_a_file_in_a_directory(tmp_path: Path) -> None:
    """A path that can't become a file is refused when the ledger is made, with the fix."""
    with pytest.raises(ConfigurationError, match="name a file in it"):
        UsageLedger(tmp_path)
    with pytest.raises(ConfigurationError, match="create"):
        UsageLedger(tmp_path / "missing" / "usage.jsonl")


@pytest.mark.parametrize("content", [b"my thesis\n", b"\xff\xd8\xff\xe0JFIF", b"\n"])
def test_file_of_somebody_else_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file that does not begin as a ledger is refused, with the fix, and left as it is."""
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"notes\.txt.*name another file"):
        UsageLedger(path)
    assert path.read_bytes() == content


def test_empty_file_becomes_a_ledger(tmp_path: Path, record: Make) -> None:
    """A file without a byte, such as `mktemp` makes, is nobody's."""
    path = tmp_path / "usage.jsonl"
    path.touch()
    UsageLedger(path).add(record(run_id="first"))
    assert [each.run_id for each in UsageLedger(path).records()] == ["first"]


def test_record_added_at_exit_goes_to_the_ledger(tmp_path: Path) -> None:
    """A record that an exit hook adds is in the ledger, and in no file that was opened since."""
    program = (
        "import atexit, sys\n"
        "from datetime import datetime, timezone\n"
        "from langchain_bedrock_opt.contracts import UsageRecord\n"
        "from langchain_bedrock_opt.usage.ledger.ledger import UsageLedger\n"
        "ledger = UsageLedger(sys.argv[1])\n"
        "def add(run_id):\n"
        "    at = datetime.now(timezone.utc)\n"
        "    ledger.add(UsageRecord(run_id=run_id, started_at=at, model_id='m', status='ok'))\n"
        "def at_exit():\n"
        "    global other\n"
        "    other = open(sys.argv[2], 'w')\n"
        "    add('last')\n"
        "atexit.register(at_exit)\n"
        "add('first')\n"
    )
    paths = [tmp_path / "usage.jsonl", tmp_path / "other.csv"]
    subprocess.run([sys.executable, "-c", program, *map(str, paths)], check=True, timeout=60)
    assert [each.run_id for each in UsageLedger(paths[0]).records()] == ["first", "last"]
    assert paths[1].read_bytes() == b""


@pytest.mark.parametrize("bound", [0, -1])
def test_bound_must_be_positive(bound: int) -> None:
    """A bound that would keep nothing is refused."""
    with pytest.raises(ConfigurationError, match=f"max_records={bound}"):
        UsageLedger(max_records=bound)


def test_bound_is_for_memory_only(tmp_path: Path) -> None:
    """A bound on a file is refused, since it would not be kept."""
    with pytest.raises(ConfigurationError, match="leave it out"):
        UsageLedger(tmp_path / "usage.jsonl", max_records=5)
