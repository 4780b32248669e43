"""What holds for every usage ledger: in memory, in JSON lines, and in SQLite."""

from __future__ import annotations

import gc
import math
import multiprocessing
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langchain_bedrock_opt.contracts import RouteDecision, TokenUsage, UsageRecord, UsageSink
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.usage.ledger.ledger import UsageLedger
from langchain_bedrock_opt.usage.reporting.grouping import PROPERTIES
from langchain_bedrock_opt.usage.reporting.totals import total, totals_by
from tests.extras import needs_fork

START = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)
PATHS = {"memory": None, "json lines": "usage.jsonl", "sqlite": "usage.db"}
COUNTS = st.integers(0, 10**9)
TOKENS = st.builds(
    TokenUsage, input=COUNTS, output=COUNTS, cache_read=COUNTS, cache_write_1h=COUNTS
)
# Three of these amounts do not fit into 64 bits together.
PICO = st.none() | st.integers(0, 2**63 - 1)
ROUTES = st.builds(
    RouteDecision,
    tier=st.sampled_from(["simple", "complex"]),
    model_id=st.just("m"),
    score=st.just(0.5),
    escalated_from=st.none() | st.just("simple"),
)
MAYBE = st.none() | st.sampled_from(["a", "b", "名前"])
RECORDS = st.lists(
    st.builds(
        UsageRecord,
        run_id=st.uuids().map(str),
        started_at=st.integers(0, 10**11).map(lambda late: START + timedelta(microseconds=late)),
        model_id=st.sampled_from(["m", "n"]),
        status=st.sampled_from(["ok", "error", "aborted"]),
        resolved_id=MAYBE,
        region=MAYBE,
        usage=st.none() | TOKENS,
        estimate=st.none() | TOKENS,
        saved=TOKENS,
        cache_hit=st.booleans(),
        cost_pico_usd=PICO,
        list_pico_usd=PICO,
        uncached_pico_usd=PICO,
        saved_pico_usd=PICO,
        price_tier=st.sampled_from(["default", "batch", "provisioned"]),
        latency_ms=st.floats(0, 10**6),
        ttft_ms=st.none() | st.floats(0, 10**6),
        retries=st.integers(0, 5),
        route=st.none() | ROUTES,
        path=st.lists(st.sampled_from(["agent", "model"])).map(tuple),
        tags=st.lists(st.sampled_from(["team:a", "team:b", "night"])).map(tuple),
        metadata=st.dictionaries(st.just("tenant"), st.sampled_from(["x", 7, True])),
    ),
    max_size=12,
)


def record(run_id: str = "run", **values: Any) -> UsageRecord:
    defaults = {"run_id": run_id, "started_at": START, "model_id": "m", "status": "ok"}
    return UsageRecord(**{**defaults, **values})


@pytest.fixture(params=PATHS)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], UsageLedger]:
    """Makes empty ledgers of each kind in turn."""
    name, numbers = PATHS[request.param], count()
    return lambda: UsageLedger(None if name is None else tmp_path / f"{next(numbers)}-{name}")


@pytest.fixture
def ledger(make: Callable[[], UsageLedger]) -> UsageLedger:
    return make()


@pytest.fixture(params=[name for name in PATHS if name != "memory"])
def on_disk(request: pytest.FixtureRequest, tmp_path: Path) -> UsageLedger:
    """A ledger that other processes can read, of each kind."""
    return UsageLedger(tmp_path / str(PATHS[request.param]))


def test_keeps_records_in_order(ledger: UsageLedger) -> None:
    """What was added comes back, in order, and adds up."""
    records = [record(str(index), usage=TokenUsage(input=index)) for index in range(5)]
    for each in records:
        ledger.add(each)
    ledger.flush()
    assert ledger.records() == records
    assert ledger.totals().usage == TokenUsage(input=10)
    assert ledger.totals(by="status")["ok"].calls == 5
    assert isinstance(ledger, UsageSink)


def test_fresh_ledger_is_empty(ledger: UsageLedger) -> None:
    """A ledger to which nothing was added has no records, and makes no file."""
    assert (ledger.records(), ledger.totals().calls, ledger.totals(by="day")) == ([], 0, {})
    assert ledger.path is None or not ledger.path.exists()


def test_threads_add_without_loss(ledger: UsageLedger) -> None:
    """Records that many threads add at once are all there."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ledger.add, [record(str(index)) for index in range(400)]))
    assert {each.run_id for each in ledger.records()} == set(map(str, range(400)))


def test_streams_may_be_collected_at_any_moment(ledger: UsageLedger) -> None:
    """The garbage collector may close a stream, and so add its record, within any line of ours."""
    numbers = count()
    lines: set[object] = set()

    def stream() -> Iterator[None]:
        try:
            yield
        finally:
            ledger.add(record(f"abandoned {next(numbers)}"))

    def collect(frame: FrameType, event: str, _: object) -> Any:
        if Path(frame.f_code.co_filename).parent.name not in {"ledger", "usage"}:
            return None
        line = (frame.f_code, frame.f_lineno)
        if line in lines:  # once each: an endless stream of records would never be through
            return collect
        lines.add(line)
        abandoned = stream()
        next(abandoned)
        cycle: list[object] = [abandoned]
        cycle.append(cycle)
        del abandoned, cycle
        gc.collect(0)
        return collect

    def use() -> None:
        sys.settrace(collect)
        for index in range(3):
            ledger.add(record(str(index)))
            ledger.totals()
        sys.settrace(None)

    thread = threading.Thread(target=use, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert ledger.totals().calls == 3 + next(numbers) > 20
    assert ledger.lost_records == 0


def test_same_run_counts_once(ledger: UsageLedger) -> None:
    """A run that two handlers add is one record: the first."""
    ledger.add(record("run", usage=TokenUsage(input=3)))
    ledger.add(record("run", usage=TokenUsage(input=4)))
    assert ledger.totals().usage == TokenUsage(input=3)
    assert len(ledger.records()) == ledger.totals().calls == 1
    assert ledger.lost_records == 0


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=20,
    deadline=None,  # a new file each time
)
@given(RECORDS)
def test_totals_are_those_of_the_records(
    make: Callable[[], UsageLedger], records: list[UsageRecord]
) -> None:
    """Every ledger adds up to what its records do: exactly, by every property, and in time."""
    ledger = make()
    for each in records:
        ledger.add(each)
    assert ledger.records() == records
    assert ledger.totals() == total(records)
    for by in (*PROPERTIES, "tag", "tag:team", "metadata:tenant"):
        assert list(ledger.totals(by=by).items()) == list(totals_by(records, by).items())
    assert ledger.totals(by=["model", "day"]) == totals_by(records, ["model", "day"])
    middle = START + timedelta(hours=14)
    assert ledger.totals(since=middle) == total(
        each for each in records if each.started_at >= middle
    )
    assert ledger.totals(until=middle) == total(
        each for each in records if each.started_at < middle
    )


def test_records_are_selected(ledger: UsageLedger) -> None:
    """Records can be asked for by time, model, tag, status, region and tier, and all at once."""
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"
    later = START + timedelta(hours=1)
    odd = record(
        "odd", model_id=arn, resolved_id="us.n", started_at=later, status="error",
        region="us-west-2", price_tier="flex", tags=("night", "team:a"),
    )  # fmt: skip
    for each in (record("plain", tags=("day",)), odd):
        ledger.add(each)
    everything: dict[str, Any] = {
        "since": later, "until": later + timedelta(seconds=1), "model": arn, "tag": "night",
        "status": "error", "region": "us-west-2", "price_tier": "flex",
    }  # fmt: skip
    for name, value in everything.items():
        found = [each.run_id for each in ledger.records(**{name: value})]
        assert found == (["plain", "odd"] if name == "until" else ["odd"]), name
    assert ledger.records(**everything) == ledger.records(model="us.n") == [odd]
    assert ledger.records(until=later, tag="day") == [record("plain", tags=("day",))]
    assert ledger.records(tag="nigh") == []


def test_time_zones_are_heeded(ledger: UsageLedger) -> None:
    """A moment is the same moment in every time zone."""
    tokyo = timezone(timedelta(hours=9))
    ledger.add(record("a", started_at=datetime(2026, 11, 23, 1, tzinfo=tokyo)))
    assert list(ledger.totals(by=["day", "hour"])) == [("2026-11-22", "2026-11-22T16:00Z")]
    assert len(ledger.records(since=datetime(2026, 11, 22, 16, tzinfo=timezone.utc))) == 1
    assert ledger.records(until=datetime(2026, 11, 23, 1, tzinfo=tokyo)) == []


@pytest.mark.parametrize("wrong", [{"since": START.replace(tzinfo=None)}, {"until": "2026-11-22"}])
def test_times_need_a_zone(ledger: UsageLedger, wrong: Any) -> None:
    """A time that could mean several moments is refused, with the fix."""
    with pytest.raises(ConfigurationError, match="give a datetime with tzinfo"):
        ledger.records(**wrong)
    with pytest.raises(ConfigurationError, match="give a datetime with tzinfo"):
        ledger.totals(**wrong)


def test_unknown_wishes_name_the_known_ones(ledger: UsageLedger) -> None:
    """A status or a property that does not exist is refused with those that do."""
    with pytest.raises(ConfigurationError, match="'ok', 'error', 'aborted'"):
        ledger.records(status="failed")  # type: ignore[arg-type] # what is tested
    with pytest.raises(ConfigurationError, match="'model', 'tier'"):
        ledger.totals(by="colour")
    with pytest.raises(ConfigurationError, match="'metadata:KEY'"):
        ledger.totals(by=["model", "colour"])
    with pytest.raises(ConfigurationError, match="nothing to group by"):
        ledger.totals(by=[])


def test_another_process_reads_and_adds(on_disk: UsageLedger) -> None:
    """Two processes on one file see each other's records."""
    on_disk.add(record("here"))
    on_disk.flush()
    script = (
        "import dataclasses, sys\n"
        "from langchain_bedrock_opt.usage.ledger.ledger import UsageLedger\n"
        "ledger = UsageLedger(sys.argv[1])\n"
        "ledger.add(dataclasses.replace(ledger.records()[0], run_id='there'))\n"
    )
    subprocess.run([sys.executable, "-c", script, str(on_disk.path)], check=True, timeout=60)
    on_disk.add(record("here again"))
    assert [each.run_id for each in on_disk.records()] == ["here", "there", "here again"]


def test_many_processes_write_at_once(on_disk: UsageLedger) -> None:
    """What several processes add at the same time is all there, and each run once."""
    script = (
        "import sys\n"
        "from datetime import datetime, timezone\n"
        "from langchain_bedrock_opt.contracts import UsageRecord\n"
        "from langchain_bedrock_opt.usage.ledger.ledger import UsageLedger\n"
        "ledger = UsageLedger(sys.argv[1])\n"
        "for index in range(300):\n"
        "    for run_id in (f'{sys.argv[2]}-{index}', f'shared-{index}'):\n"
        "        ledger.add(UsageRecord(run_id=run_id, model_id='m', status='ok',\n"
        "                               started_at=datetime.now(timezone.utc)))\n"
    )
    commands = [[sys.executable, "-c", script, str(on_disk.path), str(each)] for each in range(4)]
    processes = [subprocess.Popen(command) for command in commands]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0, 0]
    assert on_disk.totals().calls == len(on_disk.records()) == 4 * 300 + 300


@pytest.mark.parametrize("ending", ["", "raise RuntimeError('broken')", "sys.exit(3)"])
def test_nothing_is_lost_at_exit(on_disk: UsageLedger, ending: str) -> None:
    """A process that ends, by an exception too, leaves all of its records behind."""
    script = (
        "import sys\n"
        "from datetime import datetime, timezone\n"
        "from langchain_bedrock_opt.contracts import UsageRecord\n"
        "from langchain_bedrock_opt.usage.ledger.ledger import UsageLedger\n"
        "def add(run_id):\n"
        "    UsageLedger(sys.argv[1]).add(UsageRecord(run_id=run_id, model_id='m', status='ok',\n"
        "                                 started_at=datetime.now(timezone.utc)))\n"
        "import atexit; atexit.register(add, 'last')\n"
        f"add('first')\n{ending}\n"
    )
    command = [sys.executable, "-c", script, str(on_disk.path)]
    subprocess.run(command, check=False, timeout=60, stderr=subprocess.DEVNULL)
    assert [each.run_id for each in on_disk.records()] == ["first", "last"]


def _add(ledger: UsageLedger, run_id: str) -> None:
    ledger.add(record(run_id))


@needs_fork
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_children_add_their_own_records(on_disk: UsageLedger) -> None:
    """Forked children lose nothing, and write nothing of their parent's a second time."""
    on_disk.add(record("before"))
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_add, args=(on_disk, f"child {each}")) for each in range(3)]
    for child in children:
        child.start()
    on_disk.add(record("after"))
    for child in children:
        child.join(60)
    found = sorted(each.run_id for each in on_disk.records())
    assert found == ["after", "before", "child 0", "child 1", "child 2"]
    assert on_disk.totals().calls == 5


def test_record_without_a_form_is_counted(
    on_disk: UsageLedger, caplog: pytest.LogCaptureFixture
) -> None:
    """Records that can't be written raise nothing, take none with them, and are logged once."""
    loop: dict[str, object] = {}
    loop["self"] = loop
    on_disk.add(record("good"))
    for run_id in ("bad", "worse"):
        on_disk.add(record(run_id, metadata=loop))
    on_disk.add(record("good too"))
    assert [each.run_id for each in on_disk.records()] == ["good", "good too"]
    assert (on_disk.lost_records, len(caplog.messages)) == (2, 1)


def test_numbers_that_json_lacks_are_text(on_disk: UsageLedger) -> None:
    """NaN and infinity in metadata are kept as text, so that every reader of JSON can go on."""
    odd = {"score": math.nan, "bounds": [-math.inf, 0.5, {"top": math.inf}]}
    on_disk.add(record("odd", metadata=odd))
    (found,) = on_disk.records()
    assert found.metadata == {"score": "nan", "bounds": ["-inf", 0.5, {"top": "inf"}]}


def test_folder_that_goes_and_comes_back(tmp_path: Path, on_disk: UsageLedger) -> None:
    """A ledger that can't write raises nothing, counts it, and goes on when it can again."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    ledger = UsageLedger(folder / str(on_disk.path and on_disk.path.name))
    folder.rename(tmp_path / "gone")
    ledger.add(record("lost"))
    ledger.flush()
    assert ledger.lost_records == 1
    folder.mkdir()
    ledger.add(record("back"))
    assert [each.run_id for each in ledger.records()] == ["back"]


def test_no_prompt_is_needed_to_report(ledger: UsageLedger) -> None:
    """Every ledger reports on its records, within the time that is asked for."""
    ledger.add(record("early"))
    ledger.add(replace(record("late"), started_at=START + timedelta(days=1)))
    assert ledger.report().totals.calls == 2
    assert ledger.report(since=START + timedelta(hours=1)).totals.calls == 1
