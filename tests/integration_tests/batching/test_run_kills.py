"""A run that is killed at any step and gone on with makes no second job and loses no result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from langchain_bedrock_opt.emulator import JobFault, OutputFault
from tests.batch_deaths import KILLED, SEEDS
from tests.batch_service import BatchService, make_batch_service

ROOT = Path(__file__).resolve().parents[3]
JOBS = {"plain": 2, "again": 3, "stages": 4, "few": 0}
STEPS = {
    "s3.PutObject",
    "s3.GetObject",
    "s3.ListObjectsV2",
    "bedrock.CreateModelInvocationJob",
    "bedrock.GetModelInvocationJob",
}


def kill(service: BatchService, scenario: str) -> list[dict[str, Any]]:
    out = subprocess.run(
        [sys.executable, "-m", "tests.batch_killer", scenario, service.bucket],
        cwd=ROOT,
        env={**os.environ, **service.emulator.environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=3000,
    )
    return [json.loads(line) for line in out.stdout.splitlines()]


@pytest.mark.parametrize("scenario", list(JOBS))
def test_a_killed_run_is_gone_on_with(scenario: str) -> None:
    """Before or after each kind of request, death costs nothing: the same jobs, all results."""
    service = make_batch_service(min_records=4)
    faults = service.emulator.jobs.faults
    faults.add(JobFault(job="again-*-0-00000-*", status="Expired", processed=1))
    faults.add(OutputFault(shuffle=True))
    with service.emulator:
        deaths = kill(service, scenario)

    names = [job.name for job in service.emulator.jobs.list()]
    for death in deaths:
        run_id = death["run_id"]
        assert death["code"] == 0, death
        assert death["results"] == death["expected"], run_id
        mine = [name for name in names if name.startswith((f"{run_id}-0-", f"{run_id}-1-"))]
        assert len(mine) == len(set(mine)) == JOBS[scenario], run_id
    assert {death["seed"] for death in deaths} == set(range(SEEDS))
    killed = {death["kind"] for death in deaths if death["killed"] == KILLED}
    expected = STEPS if JOBS[scenario] else {"s3.PutObject", "bedrock-runtime.Converse"}
    for step in expected:
        assert {f"before-send.{step}", f"response-received.{step}"} <= killed, step


@pytest.mark.parametrize(("scenario", "records"), [("cache", 12), ("flaky", 24)])
def test_a_killed_run_is_gone_on_with_where_something_has_changed(
    scenario: str, records: int
) -> None:
    """An input that needed no record the first time gets its own answer, and shifts no other's."""
    service = make_batch_service(min_records=4)
    with service.emulator:
        deaths = kill(service, scenario)

    for death in deaths:
        assert death["code"] == 0, death  # else its answers were not those of its inputs
        mine = [
            job
            for job in service.emulator.jobs.list()
            if job.name.startswith(f"{death['run_id']}-")
        ]
        assert len(mine) == len({job.name for job in mine})
        assert sum(job.counts.total for job in mine) <= records
    assert {death["seed"] for death in deaths} == set(range(SEEDS))
