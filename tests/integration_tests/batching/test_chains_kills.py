"""A batch of collected calls that is killed at any step and made again pays for nothing twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.batch_chain_killer import KILLED, TEXTS
from tests.batch_service import make_batch_service

ROOT = Path(__file__).resolve().parents[3]


def test_a_killed_batch_of_collected_calls_is_gone_on_with() -> None:
    """Before or after each request, death costs nothing: the same two jobs, all outputs."""
    service = make_batch_service(min_records=4)
    with service.emulator:
        step = os.environ.get("KILL_STEP", "17")
        out = subprocess.run(
            [sys.executable, "-m", "tests.batch_chain_killer", service.bucket, "0", step],
            cwd=ROOT,
            env={**os.environ, **service.emulator.environment, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )
    points = [json.loads(line) for line in out.stdout.splitlines()]
    expected = json.loads(points[-1][3])
    assert len(expected) == len(TEXTS)
    for point, _, code, said in points:
        assert code == 0, (point, said)
        assert json.loads(said) == expected, point
        jobs = [
            job
            for job in service.emulator.jobs.list()
            if job.name.startswith(f"chain-{point}-round-")
        ]
        assert len(jobs) == 2, point
    assert len(points) > 3
    assert points[-1][1] == 0
    assert {killed for _, killed, _, _ in points[:-1]} == {KILLED}
