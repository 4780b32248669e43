"""Processes that are killed while they buy provisioned throughput, and their successors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from langchain_bedrock_opt.capacity.provisioned.purchase import TEMPORARY
from langchain_bedrock_opt.emulator import ThroughputPace
from tests.batch_deaths import KILLED, SEEDS
from tests.extras import needs_fork
from tests.throughput_service import make_throughput_service

ROOT = Path(__file__).resolve().parents[3]


@needs_fork
def test_a_killed_purchase_is_made_once_and_a_killed_block_leaves_nothing() -> None:
    """Real processes die before or after each kind of request; others do the same again.

    So does one that ends inside a block: what it bought is deleted at its end.
    """
    service = make_throughput_service(pace=ThroughputPace(creating=0))
    with service.emulator as emulator:
        out = subprocess.run(
            [sys.executable, "-m", "tests.provisioned_killer"],
            cwd=ROOT,
            env={**os.environ, **emulator.environment, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
            timeout=100,
        )
    deaths = [json.loads(line) for line in out.stdout.splitlines()]
    bought = [state.name for state in emulator.throughput.list()]

    assert {(death["killed"], death["code"]) for death in deaths} == {(KILLED, 0)}
    assert {death["results"] for death in deaths} == {"InService"}
    for death in deaths:
        if death["run_id"].startswith("buy"):
            assert bought.count(death["run_id"]) == 1, death
    assert not [name for name in bought if name.startswith(TEMPORARY)]
    # What the dead had bought, their successors found: it was not sent again.
    runs = 2 * (SEEDS + len(deaths)) + 1
    calls = emulator.journal.count("CreateProvisionedModelThroughput")
    assert emulator.throughput.purchases == calls < runs - len(deaths) / 2
    for operation in ("List", "Create", "Get"):
        kinds = {death["kind"] for death in deaths if f".{operation}" in death["kind"]}
        assert len(kinds) == 2, operation
