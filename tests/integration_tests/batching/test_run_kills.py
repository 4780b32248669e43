"""A run that is killed at any step and gone on with makes no second job and loses no result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from langchain_bedrock_opt.emulator import JobFault
from tests.batch_killer import KILLED, ODD, TEXTS
from tests.batch_service import BatchService, make_batch_service

ROOT = Path(__file__).resolve().parents[3]
JOBS = {"plain": 2, "again": 3, "stages": 4, "few": 0}


def kill(service: BatchService, scenario: str, first: int, step: int) -> list[list[Any]]:
    out = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.batch_killer",
            scenario,
            service.bucket,
            str(first),
            str(step),
        ],
        cwd=ROOT,
        env={**os.environ, **service.emulator.environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=3000,
    )
    return [json.loads(line) for line in out.stdout.splitlines()]


@pytest.mark.parametrize(
    ("scenario", "first", "step"),
    [("plain", 0, 13), ("again", 9, 29), ("stages", 2, 29), ("few", 3, 11)],
)
def test_a_killed_run_is_gone_on_with(scenario: str, first: int, step: int) -> None:
    """Before or after a request, death costs nothing: the same jobs, all results."""
    if "KILL_EVERYWHERE" in os.environ:  # some minutes
        first, step = 0, 1
    service = make_batch_service(min_records=4)
    service.emulator.jobs.faults.add(
        JobFault(job="again-*-0-00000-*", status="Expired", processed=1)
    )
    with service.emulator:
        points = kill(service, scenario, first, step)

    texts = TEXTS[:3] if scenario == "few" else TEXTS
    for point, _, code, said in points:
        assert code == 0, (point, said)
        assert json.loads(said) == texts, point
        names = [
            job.name
            for job in service.emulator.jobs.list()
            if job.name.startswith(f"{scenario}-{point}-0-")
            or job.name.startswith(f"{scenario}-{point}-1-")
        ]
        assert len(names) == len(set(names)) == JOBS[scenario], point
    assert len(points) > 3
    assert points[-1][1] == 0
    assert {killed for _, killed, _, _ in points[:-1]} == {KILLED}


@pytest.mark.parametrize(("scenario", "first", "step"), [("cache", 17, 12), ("flaky", 83, 10)])
def test_a_killed_run_is_gone_on_with_where_something_has_changed(
    scenario: str, first: int, step: int
) -> None:
    """An input that needed no record the first time gets its own answer, and shifts no other's."""
    if "KILL_EVERYWHERE" in os.environ:  # some minutes
        first, step = 0, 1
    service = make_batch_service(min_records=4)
    with service.emulator:
        points = kill(service, scenario, first, step)

    without = [None if place == ODD else text for place, text in enumerate(TEXTS)]
    for point, _, code, said in points:
        assert code == 0, (point, said)
        # The failure of a stage that was all sent stands.
        assert json.loads(said) in ([TEXTS, without] if scenario == "flaky" else [TEXTS]), point
        for stage in range(2):
            name = f"{scenario}-{point}-{stage}-"
            jobs = [job for job in service.emulator.jobs.list() if job.name.startswith(name)]
            assert len(jobs) == len({job.name for job in jobs})
            assert sum(job.counts.total for job in jobs) <= len(set(TEXTS) - {None}), point
    assert len(points) > 3
    assert points[-1][1] == 0
    assert any(json.loads(said) == TEXTS for _, killed, _, said in points if killed)
