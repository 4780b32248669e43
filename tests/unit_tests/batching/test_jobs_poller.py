"""Waiting for jobs: few calls, ends seen soon, and no error that ends a wait."""

from __future__ import annotations

import os
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_bedrock_opt.batching.jobs.pace import pause_before_look
from langchain_bedrock_opt.batching.jobs.poller import JobPoller
from langchain_bedrock_opt.batching.jobs.states import JobState
from langchain_bedrock_opt.batching.parts import Services
from langchain_bedrock_opt.emulator import JobPace
from langchain_bedrock_opt.errors import BatchJobError
from tests.batch_service import NOON, SLOW, BatchService, ManualClock, make_batch_service, records
from tests.extras import needs_fork
from tests.faulty_clients import FaultyClient, no_connection, service_says

HOUR = 3600.0
GET, LIST = "get_model_invocation_job", "list_model_invocation_jobs"


class Bench:
    """A service, its client that may fail, and a poller over it."""

    def __init__(self, **options: Any) -> None:
        self.service: BatchService = make_batch_service(**options)
        self.service.put("in/0.jsonl", records(5))
        self.client = FaultyClient(self.service.bedrock)
        self.clock = self.service.clock
        self.services = Services(
            bedrock=self.client, s3=None, clock=self.clock, sleep=self.clock.sleep
        )
        self.poller = JobPoller.of(self.services)


@pytest.fixture
def bench() -> Bench:
    return Bench(pace=SLOW)


def test_a_wait_ends_when_all_jobs_are_over(bench: Bench) -> None:
    """A wait gives the last states of its jobs soon after the last of them is over."""
    arns = [bench.service.create(f"job-{number}") for number in range(3)]
    began = bench.clock.now

    states = bench.poller.wait(arns)

    assert {arn: state.status for arn, state in states.items()} == dict.fromkeys(arns, "Completed")
    assert {state.success for state in states.values()} == {5}
    assert 300 <= bench.clock.now - began <= 310


def test_a_job_that_was_over_is_told_at_once(bench: Bench) -> None:
    """For jobs that are over nobody waits, and what was seen is not asked for again."""
    arn = bench.service.create()
    bench.clock.now += HOUR

    bench.poller.wait([arn])
    bench.poller.wait([arn])

    assert bench.clock.slept == []
    assert bench.client.calls[GET] == 1
    assert bench.poller.wait([]) == {}


def test_who_comes_back_sees_the_state_of_now() -> None:
    """A new wait for a job that was seen before looks at once, however far the next look is."""
    bench = Bench(pace=JobPace(running=2 * HOUR, stopping=20))
    arn = bench.service.create()
    bench.clock.now += HOUR
    bench.poller.wait([arn], until=lambda _: True)
    bench.client.stop_model_invocation_job(jobIdentifier=arn)
    bench.clock.now += 30  # and by its age, the job is to be looked at every 72 seconds

    states = bench.poller.wait([arn])

    assert states[arn].status == "Stopped"
    assert bench.clock.slept == []


def test_a_caller_can_end_the_wait_by_what_it_sees(bench: Bench) -> None:
    """`until` is called after each look with what is known, and ends the wait."""
    arns = [bench.service.create("job-0")]
    bench.clock.now += 100
    arns.append(bench.service.create("job-1"))
    seen: list[dict[str, str]] = []

    def one_is_over(states: Any) -> bool:
        seen.append({state.name: state.status for state in states.values()})
        return any(state.is_over for state in states.values())

    bench.poller.wait(arns, until=one_is_over)

    assert seen[0] == {"job-0": "InProgress", "job-1": "Submitted"}
    assert seen[-1] == {"job-0": "Completed", "job-1": "InProgress"}


def test_a_wait_may_have_an_end(bench: Bench) -> None:
    """After `timeout` seconds a wait gives what is known, over or not."""
    arn = bench.service.create()
    began = bench.clock.now

    states = bench.poller.wait([arn], timeout=42)

    assert bench.clock.now - began == pytest.approx(42)
    assert states[arn].status == "Validating"


class Day:
    """A control plane of 20 jobs that is quick enough for a day of looks.

    Args:
        apart: Seconds between the jobs' creations.
        counts: Whether the service says how many records are through.
    """

    meta = SimpleNamespace(region_name="us-east-1")

    def __init__(self, *, apart: float, counts: bool) -> None:
        self.clock = ManualClock()
        self.calls: Counter[str] = Counter()
        self.starts = {f"arn/{number}": NOON + number * apart for number in range(20)}
        self.counts = counts
        self.clock.now = max(self.starts.values())

    def described(self, arn: str) -> dict[str, Any]:
        start = self.starts[arn]
        share = (self.clock.now - start) / (24 * HOUR)
        counts = {"totalRecordCount": 50_000, "processedRecordCount": int(50_000 * min(share, 1))}
        return {
            "jobArn": arn,
            "jobName": f"job-{arn}",
            "submitTime": datetime.fromtimestamp(start, timezone.utc),
            "status": "Completed" if share >= 1 else "InProgress",
            **(counts if self.counts else {}),
        }

    def get_model_invocation_job(self, jobIdentifier: str) -> dict[str, Any]:  # noqa: N803 - boto3's
        self.calls[GET] += 1
        return self.described(jobIdentifier)

    def list_model_invocation_jobs(self, **_: Any) -> dict[str, Any]:
        self.calls[LIST] += 1
        return {"invocationJobSummaries": [self.described(arn) for arn in self.starts]}


@pytest.mark.parametrize("apart", [0, 60, 720])
@pytest.mark.parametrize("counts", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_a_day_of_twenty_shards_costs_nine_hundred_lists(
    *, apart: float, counts: bool, seed: int
) -> None:
    """20 shards that take 24 hours each: at most 900 lists, and each end is seen in two minutes."""
    day = Day(apart=apart, counts=counts)
    random = Random(seed).random
    poller = JobPoller(day, clock=day.clock, sleep=day.clock.sleep, random=random)
    seen: dict[str, float] = {}

    def note(states: Any) -> bool:
        for arn, state in states.items():
            if state.is_over:
                seen.setdefault(arn, day.clock.now)
        return False

    poller.wait(day.starts, until=note)

    assert day.calls[LIST] <= 900
    assert day.calls[GET] == 40
    lags = [seen[arn] - start - 24 * HOUR for arn, start in day.starts.items()]
    assert all(0 <= lag <= 120 for lag in lags)


def test_lists_ask_for_no_more_than_is_waited_for(bench: Bench) -> None:
    """A list names what all jobs' names begin with, and begins where the oldest was made."""
    bench.service.create("other")
    bench.clock.now += HOUR
    arns = [bench.service.create(f"nightly-{number}") for number in (10, 11)]

    bench.poller.wait(arns, timeout=100)

    asked = bench.client.requests[LIST][0]
    assert asked["nameContains"] == "nightly-1"
    began = datetime.fromtimestamp(bench.clock.now - 100, timezone.utc)
    assert timedelta(0) <= began - asked["submitTimeAfter"] <= timedelta(minutes=2)
    assert bench.client.calls[GET] == 2


def test_errors_do_not_end_a_wait(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Throttles, outages and expired credentials lengthen the waits, with one warning each."""
    arn = bench.service.create()
    bench.client.fail(GET, service_says("ThrottlingException", 429), no_connection())
    bench.client.fail(LIST, *[service_says("InternalServerException", 500)] * 3)
    bench.client.fail(LIST, *[service_says("ExpiredTokenException", 403)] * 3)

    states = bench.poller.wait([arn])

    assert states[arn].status == "Completed"
    assert caplog.text.count("credentials have expired") == 1
    assert caplog.text.count("InternalServerException") == 1
    assert max(bench.clock.slept) > 100


def test_without_the_permission_to_list_jobs_are_asked_for(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """Where lists are refused each job is asked for by itself."""
    arn = bench.service.create()
    bench.client.fail(LIST, *[service_says("AccessDeniedException", 403, "no list")] * 999)

    assert bench.poller.wait([arn])[arn].status == "Completed"
    assert caplog.text.count("no list") == 1


def test_a_job_that_a_list_leaves_out_is_asked_for(bench: Bench) -> None:
    """A job that is not in the list is not lost from sight."""
    arn = bench.service.create()
    bench.client.__dict__["list_model_invocation_jobs"] = lambda **_: {"invocationJobSummaries": []}

    assert bench.poller.wait([arn])[arn].status == "Completed"


def test_one_job_that_may_not_be_seen_hides_no_other(bench: Bench) -> None:
    """Where one job is refused, the others are seen to end."""
    arns = [bench.service.create(f"job-{number}") for number in range(2)]
    get = bench.client.__getattr__(GET)

    def refusing(jobIdentifier: str) -> Any:  # noqa: N803 - boto3's
        if jobIdentifier == arns[0]:
            raise service_says("AccessDeniedException", 403)
        return get(jobIdentifier=jobIdentifier)

    bench.client.__dict__[GET] = refusing

    states = bench.poller.wait(arns, timeout=HOUR)

    assert [state.name for state in states.values()] == ["job-1"]
    assert states[arns[1]].status == "Completed"


def test_a_clock_that_is_put_back_holds_nothing_up(bench: Bench) -> None:
    """When the machine's clock is put back by hours, jobs are looked at as before."""
    arn = bench.service.create()
    began = bench.clock.now

    def clock() -> float:
        return bench.clock.now - (2 * HOUR if bench.clock.now > began + 100 else 0)

    poller = JobPoller(bench.client, clock=clock, sleep=bench.clock.sleep)

    assert poller.wait([arn])[arn].status == "Completed"
    assert bench.clock.now - began <= 310


def test_a_status_that_is_new_is_waited_for(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """A status that is not known here is a passing one, and said once."""
    arn = bench.service.create()
    get = bench.client.__getattr__(GET)

    def renamed(**asked: Any) -> dict[str, Any]:
        job: dict[str, Any] = get(**asked)
        return {**job, "status": "Pausing"} if bench.clock.now < begin + 290 else job

    begin = bench.clock.now
    bench.client.__dict__[GET] = renamed
    bench.client.fail(LIST, *[service_says("AccessDeniedException", 403)] * 999)

    assert bench.poller.wait([arn])[arn].status == "Completed"
    assert caplog.text.count("'Pausing', which is not known here") == 1


def test_a_job_that_does_not_exist_is_an_error(bench: Bench) -> None:
    """A job of another region or account is an error after some minutes, with the fix."""
    arn = bench.service.create()

    with pytest.raises(BatchJobError, match=r"no job .* in us-east-1 for this account") as caught:
        bench.poller.wait([arn[:-4] + "aaaa"])

    assert caught.value.job_arn == arn[:-4] + "aaaa"


def test_a_wait_without_any_answer_ends_after_the_job_must_have(bench: Bench) -> None:
    """If nothing is heard until an hour after a job's last moment, the wait ends."""
    arn = bench.service.create()
    bench.poller.wait([arn], timeout=1)
    bench.client.fail(LIST, *[no_connection()] * 9999)
    began = bench.clock.now

    with pytest.raises(BatchJobError, match="attach to the run again"):
        bench.poller.wait([arn])

    assert 24 * HOUR < bench.clock.now - began < 26 * HOUR


def test_one_poller_serves_a_client() -> None:
    """Whoever has the same client and clock has the same poller, for as long as it is held."""
    bench, other = Bench(), Bench()

    assert JobPoller.of(bench.services) is bench.poller
    assert JobPoller.of(other.services) is not bench.poller


def lists_of(threads: int) -> int:
    """How many lists it takes to wait for eight jobs in so many threads."""
    bench = Bench(pace=SLOW)
    arns = [bench.service.create(f"job-{number}") for number in range(8)]
    barrier = threading.Barrier(threads, timeout=20)

    def sleep(seconds: float) -> None:
        # Time passes when all are asleep.
        if barrier.wait() == 0:
            bench.clock.sleep(seconds)
        barrier.wait()

    poller = JobPoller(bench.client, clock=bench.clock, sleep=sleep, random=lambda: 0)
    with ThreadPoolExecutor(threads) as pool:
        share = len(arns) // threads
        waits = [arns[start : start + share] for start in range(0, len(arns), share)]
        found = [state for states in pool.map(poller.wait, waits) for state in states.values()]

    assert [state.status for state in found] == ["Completed"] * 8
    assert bench.client.calls[GET] == 16
    return bench.client.calls[LIST]


def test_threads_that_wait_share_the_calls() -> None:
    """Eight threads that wait for a job each make hardly more lists than one for all."""
    assert lists_of(threads=8) <= lists_of(threads=1) + 2


@needs_fork
def test_a_forked_process_begins_anew(bench: Bench) -> None:
    """A fork while a thread looks at jobs does not hold up waits in the child."""
    arn = bench.service.create()
    bench.clock.now += HOUR
    with bench.poller._lock:
        child = os.fork()
        if child == 0:
            try:
                is_over = bench.poller.wait([arn])[arn].is_over
            finally:
                os._exit(0 if is_over else 1)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0


JOBS = st.builds(
    lambda age, total, share: JobState(
        "arn",
        "n",
        "InProgress",
        submitted_at=datetime(2026, 11, 22, tzinfo=timezone.utc) - timedelta(seconds=age),
        total=total,
        processed=None if total is None else int(total * share),
    ),
    st.floats(-100, 10**6),
    st.none() | st.integers(0, 10**6),
    st.floats(0, 1),
)


@given(jobs=st.lists(JOBS, max_size=5), failures=st.integers(0, 50))
def test_the_next_look_is_never_far(jobs: list[JobState], failures: int) -> None:
    """The pause is 5 to 120 seconds, and up to 300 in trouble; never less for the trouble."""
    now = datetime(2026, 11, 22, tzinfo=timezone.utc)

    usual = pause_before_look(jobs, now)

    assert 5 <= usual <= 120
    assert usual <= pause_before_look(jobs, now, failures=failures) <= 300


def test_an_end_in_sight_is_looked_for_sooner() -> None:
    """When the counts say that a job is nearly through, the next look comes sooner."""
    now = datetime(2026, 11, 22, tzinfo=timezone.utc)
    job = JobState("a", "n", "InProgress", submitted_at=now - timedelta(hours=1), total=1000)

    def pause(done: int) -> float:
        return pause_before_look([job._replace(processed=done)], now)

    assert pause(10) == pause(900) == 72
    assert 5 <= pause(990) < 10
    assert 5 <= pause(1000) < 10
    other = job._replace(arn="b", processed=None)
    assert pause_before_look([job._replace(processed=990), other], now) == 72
