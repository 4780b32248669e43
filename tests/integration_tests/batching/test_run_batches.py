"""A run on a local Bedrock: from its inputs to its results, and what may go wrong between."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from langchain_bedrock_opt.batching.parts import JobKind
from langchain_bedrock_opt.batching.run.batch_run import BatchRun
from langchain_bedrock_opt.batching.run.plan import plan
from langchain_bedrock_opt.emulator import OutputFault
from langchain_bedrock_opt.errors import (
    BatchStorageError,
    InputsChangedError,
)
from tests.batch_service import HAIKU, SLOW, make_batch_service
from tests.batch_toy import TEXTS, Toy, begin, check, question_of, services_for


@pytest.mark.parametrize("order", ["input", "any"])
def test_each_input_gets_its_own_answer(order: Any) -> None:
    """Shuffled outputs of several jobs are joined to their inputs, in either order."""
    service = make_batch_service()
    service.emulator.jobs.faults.add(OutputFault(shuffle=True, duplicate=2, unknown=2))

    run = begin(service, iter(TEXTS))
    results = sorted(run.results(order), key=lambda result: result.index)

    check(results, TEXTS)
    assert not any(result.error for result in results)
    assert len(service.emulator.jobs.list()) == 3


@pytest.mark.parametrize("order", ["input", "any"])
def test_equal_known_and_refused_inputs_are_not_sent(order: Any) -> None:
    """Equal inputs are sent once and all answered; a cache's answers and refusals are kept."""
    service, program = make_batch_service(), Toy()
    program.known = {"known": "from the cache"}
    texts = ["a", "b", "a", None, "known", "c", "d", "e", "b", "a"]

    run = begin(service, texts, program=program)
    results = sorted(run.results(order), key=lambda result: result.index)
    summary = run.summary()

    assert service.emulator.jobs.records == 5
    assert results[4].output == "from the cache"
    assert isinstance(results[3].error, ValueError)
    assert [question_of(results[place].output) for place in (0, 2, 9)] == ["a"] * 3
    assert (summary.inputs, summary.success, summary.error, summary.missing) == (10, 9, 1, 0)
    assert (summary.same, summary.cached, summary.refused, summary.attempts) == (3, 1, 1, 5)


def test_kinds_have_jobs_of_their_own() -> None:
    """Records of two models are cut apart, each by its own model's jobs, and come back in order."""
    service, program = make_batch_service(), Toy()
    program.kinds = dict.fromkeys(TEXTS[::2], JobKind(HAIKU, "Converse"))

    results = list(begin(service, program=program).results())

    check(results, TEXTS)
    assert len(service.emulator.jobs.list()) == 4


def test_a_run_costs_half() -> None:
    """The summary says what was paid at the batch price, and what single calls would cost."""
    summary = begin(make_batch_service()).summary()

    assert summary.cost_usd is not None
    assert summary.on_demand_usd is not None
    assert summary.cost_usd * 2 == summary.on_demand_usd
    assert summary.input_tokens > 0
    assert "success" in str(summary)
    assert "<table>" in summary._repr_html_()


def test_another_process_attaches() -> None:
    """A run is found again by its URI alone, and gives the same results."""
    service = make_batch_service()
    run = begin(service)

    again = BatchRun.attach(run.uri, program=Toy(), services=services_for(service))

    assert [r.output for r in again.results()] == [r.output for r in run.results()]
    message = next(BatchRun.attach(run.uri, services=services_for(service)).results()).output
    assert message.response_metadata["bedrock_opt"]["batch"].startswith("arn:")


def test_another_chain_or_place_is_refused() -> None:
    """Attaching with another chain, or where there is no run, says so."""
    service, other = make_batch_service(), Toy()
    other.fingerprint = "other"
    run = begin(service)

    with pytest.raises(InputsChangedError, match="another chain"):
        BatchRun.attach(run.uri, program=other, services=services_for(service))
    with pytest.raises(BatchStorageError, match="There is no run"):
        BatchRun.attach(run.uri + "x", services=services_for(service))


def test_submitting_again_makes_no_second_job() -> None:
    """The same inputs under the same run id are the same run, before and after it has ended."""
    service = make_batch_service()
    first = begin(service, run_id="nightly")
    begin(service, run_id="nightly")
    list(first.results())
    again = begin(service, run_id="nightly")

    check(list(again.results()), TEXTS)
    assert service.emulator.jobs.records == len(TEXTS)


@pytest.mark.parametrize(
    ("texts", "index"),
    [
        ([*TEXTS[:7], "other", *TEXTS[8:]], 7),
        (TEXTS[:20], 20),
        ([*TEXTS, "more"], 23),
        ([*TEXTS[:7], None, *TEXTS[8:]], 7),
    ],
)
def test_other_inputs_are_refused(texts: list[Any], index: int) -> None:
    """A run that is submitted with other inputs names the first that differs."""
    service = make_batch_service()
    begin(service, run_id="nightly")

    with pytest.raises(InputsChangedError) as caught:
        begin(service, texts, run_id="nightly")

    assert caught.value.index == index
    assert len(service.emulator.jobs.list()) == 3


def test_what_a_cache_learns_meanwhile_changes_nothing() -> None:
    """A run may be submitted again when a cache has its answers by now."""
    service, program = make_batch_service(), Toy()
    begin(service, run_id="nightly")
    program.known = dict.fromkeys(TEXTS[:5], "from the cache")

    check(list(begin(service, program=program, run_id="nightly").results()), TEXTS)


def test_a_job_without_a_slot_waits_for_one() -> None:
    """Shards beyond the quota of running jobs are queued, and sent when a job has ended."""
    service = make_batch_service(pace=SLOW, quotas={"max_running": 1})

    run = begin(service)
    queued = run.status()
    results = list(run.results())

    assert [shard.status for shard in queued.stages[0].shards][1:] == ["Queued"] * 2
    check(results, TEXTS)
    assert not any(result.error for result in results)


def test_status_tells_how_far_a_run_is() -> None:
    """Statuses and counts come by one List, before and after the end."""
    service = make_batch_service(pace=SLOW)
    run = begin(service)
    looks = service.emulator.journal.count("ListModelInvocationJobs")

    status = run.status()

    assert (status.total, status.is_over) == (23, False)
    assert service.emulator.journal.count("ListModelInvocationJobs") == looks + 1
    assert service.emulator.journal.count("GetModelInvocationJob") == 0
    run.wait()
    assert run.status().is_over
    assert run.status().done == 23
    assert "Completed 10/10" in str(run.status())


def test_progress_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """A callable hears of each look; `progress=True` shows it on stderr."""
    service = make_batch_service(pace=SLOW)
    heard: list[int] = []

    begin(service).wait(progress=lambda status: heard.append(status.done))
    begin(service).wait(progress=True)

    assert len(heard) > 3
    assert "records" in capsys.readouterr().err


def test_progress_without_rich_is_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where `rich` is not installed, each change is a line on stderr."""
    monkeypatch.setitem(sys.modules, "rich.progress", None)

    begin(make_batch_service(pace=SLOW), run_id="nightly").wait(progress=True)

    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("nightly: 0/23 records, jobs: 3 ")
    assert len(lines) == len(set(lines)) > 2


def test_stages_follow_stages() -> None:
    """Results of one stage are asked of the next; what fails on the way fails alone."""
    service, program = make_batch_service(), Toy(stages=2)
    texts = [*TEXTS[:10], "poison", None, "again", "again"]

    run = begin(service, texts, program=program)
    results = list(run.results())
    again = list(
        BatchRun.attach(run.uri, program=program, services=services_for(service)).results()
    )

    check(results, texts)
    assert [result.index for result in results if result.error] == [10, 11]
    assert [result.output for result in again] == [result.output for result in results]
    assert {job.stage for job in run.summary().jobs} == {0, 1}


def test_a_plan_sends_nothing() -> None:
    """A dry run has the jobs and records of the run that follows, and sends nothing."""
    service = make_batch_service()
    settings = service.settings(max_records=10)
    texts = [*TEXTS, TEXTS[0], None]

    found = plan(Toy(), texts, settings)

    assert service.keys() == []
    assert found.jobs == 3
    assert (found.inputs, found.kinds[0].records, found.kinds[0].same) == (25, 23, 1)
    assert list(found.refused) == [24]
    assert found.at_most_usd is not None
    assert found.on_demand_at_most_usd is not None
    assert found.at_most_usd < found.on_demand_at_most_usd
    assert "1 inputs make no record" in str(found)
    assert "<table>" in found._repr_html_()
    run = begin(service, texts)
    sizes = tuple(job.records for job in run.summary().jobs)
    assert sizes == found.kinds[0].jobs


def test_a_wait_may_time_out() -> None:
    """After its time a wait ends with `TimeoutError`, and may be gone on with."""
    service = make_batch_service(pace=SLOW)
    run = begin(service)

    with pytest.raises(TimeoutError, match="it goes on"):
        run.wait(timeout=20)

    check(list(run.results()), TEXTS)


async def test_async_twins_do_the_same() -> None:
    """The async methods give what the sync ones give, and don't hold up the event loop."""
    service = make_batch_service(pace=SLOW)
    run = begin(service)

    assert (await run.astatus()).total == 23
    await run.await_()
    results = [result async for result in run.aresults()]
    outputs, summary = await asyncio.gather(run.aoutputs(), run.asummary())
    again = await BatchRun.aattach(run.uri, program=Toy(), services=services_for(service))

    check(results, TEXTS)
    assert outputs == [result.output for result in results]
    assert summary.success == 23
    await again.acancel()


async def test_a_cancelled_await_leaves_the_run_alone() -> None:
    """A task that is cancelled while it waits ends at once, and the jobs go on."""
    service = make_batch_service(pace=SLOW)
    run = begin(service)
    hour = asyncio.create_task(run.await_(progress=lambda _: None))
    await asyncio.sleep(0)
    hour.cancel()

    with pytest.raises(asyncio.CancelledError):
        await hour

    assert len([result async for result in run.aresults("any")]) == 23


def test_two_processes_at_once_make_one_run() -> None:
    """Two that submit the same at the same time agree on each shard, and make its job once."""
    service = make_batch_service()
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(lambda _: begin(service, run_id="nightly"), range(2)))

    for run in runs:
        check(list(run.results()), TEXTS)
    assert service.emulator.jobs.records == len(TEXTS)
    inputs = [key for key in service.keys("runs/") if "/input/" in key]
    assert len(inputs) == 3


def test_two_who_submit_other_inputs_at_once_are_told_apart() -> None:
    """Of two that begin one run with other inputs, the second is refused and harms nothing."""
    service = make_batch_service()
    later = iter(TEXTS)

    def first_of_all() -> Iterator[str]:
        # By the time that this one sends its first shard, the other has sent all of its own.
        yield from [f"other {number}" for number in range(14)]
        begin(service, later, run_id="nightly")
        yield from TEXTS

    with pytest.raises(InputsChangedError) as caught:
        begin(service, first_of_all(), run_id="nightly")

    assert caught.value.index == 0
    check(list(begin(service, run_id="nightly").results()), TEXTS)


def test_two_kinds_are_gone_on_with_apart() -> None:
    """A shard of one model that is sent before any of another keeps its number on the way back."""
    service, program = make_batch_service(), Toy()
    program.kinds = dict.fromkeys(TEXTS[3:], JobKind(HAIKU, "Converse"))
    texts = [*TEXTS, *(f"more {number}" for number in range(5))]

    def breaks_off() -> Iterator[str]:
        yield from TEXTS
        raise RuntimeError("the process dies")

    with pytest.raises(RuntimeError, match="dies"):
        begin(service, breaks_off(), program=program, run_id="nightly")
    assert len(service.emulator.jobs.list()) == 1

    check(list(begin(service, texts, program=program, run_id="nightly").results()), texts)
    assert service.emulator.jobs.records == len(texts)


def test_no_inputs_are_no_job() -> None:
    """A run of nothing is over at once, with nothing in it."""
    run = begin(make_batch_service(), [])

    assert run.outputs() == []
    assert run.summary().inputs == 0
