"""A batch of collected calls that is killed at any step and made again pays for nothing twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.batch_chain_killer import TEXTS
from tests.batch_deaths import KILLED, SEEDS
from tests.batch_service import make_batch_service

ROOT = Path(__file__).resolve().parents[3]
STEPS = ("s3.PutObject", "s3.GetObject", "bedrock.CreateModelInvocationJob")


def test_a_killed_batch_of_collected_calls_is_gone_on_with() -> None:
    """Before or after each kind of request, death costs nothing: the same two jobs, all outputs."""
    service = make_batch_service(min_records=4)
    with service.emulator:
        out = subprocess.run(
            [sys.executable, "-m", "tests.batch_chain_killer", service.bucket],
            cwd=ROOT,
            env={**os.environ, **service.emulator.environment, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
            timeout=3000,
        )
    deaths = [json.loads(line) for line in out.stdout.splitlines()]
    names = [job.name for job in service.emulator.jobs.list()]
    for death in deaths:
        run_id = death["run_id"]
        assert death["code"] == 0, death
        assert death["results"] == death["expected"], run_id
        assert len(death["results"]) == len(TEXTS)
        assert sum(name.startswith(f"{run_id}-round-") for name in names) == 2, run_id
    assert {death["seed"] for death in deaths} == set(range(SEEDS))
    killed = {death["kind"] for death in deaths if death["killed"] == KILLED}
    for step in STEPS:
        assert {f"before-send.{step}", f"response-received.{step}"} <= killed, step
