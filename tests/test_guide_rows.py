"""Each row of the guide that this project set out from, done by the README alone.

A block of the README that a comment `<!-- row: NAME -->` stands before does a row. It runs as a
reader would run it, and what it came to is looked at from the side of the local Bedrock.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from langchain_bedrock_opt import BedrockEmulator, ChatBedrockRouter, RoutingPolicy

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
ROW = re.compile(r"<!-- row: ([\w-]+) -->\n+```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = dict(ROW.findall(README))
LONGEST = 14
HARD = "決済の2つの設計を費用・障害の観点で比較し、根拠を示して移行計画を立ててください。"


@dataclass
class Done:
    """What a block came to.

    Attributes:
        bedrock: The local Bedrock that it ran on.
        names: The block's variables.
        printed: What it printed.
    """

    bedrock: BedrockEmulator
    names: dict[str, Any]
    printed: str

    def asked(self, operation: str) -> int:
        """How often an operation of Bedrock was called."""
        return self.bedrock.journal.count(operation)


def on_demand(done: Done) -> None:
    assert done.asked("Converse") == 1
    assert done.printed.strip()


def provisioned(done: Done) -> None:
    assert done.asked("CreateProvisionedModelThroughput") == 1
    assert done.asked("DeleteProvisionedModelThroughput") == 1
    assert not done.bedrock.client("bedrock").list_provisioned_model_throughputs()[
        "provisionedModelSummaries"
    ]
    called = [entry.model_id for entry in done.bedrock.journal.calls("Converse")]
    assert called
    assert all(":provisioned-model/" in str(model_id) for model_id in called)


def planning(done: Done) -> None:
    assert done.names["plan"].units > 0
    assert "unit" in done.printed


def batch(done: Done) -> None:
    assert done.asked("CreateModelInvocationJob") == 1
    assert done.asked("Converse") == 0
    assert len(done.names["summaries"]) == 120


def streaming(done: Done) -> None:
    assert done.asked("ConverseStream") == 1
    assert done.printed.strip()


def latency(done: Done) -> None:
    assert "p95" in done.printed
    assert done.asked("ConverseStream") == 2
    assert done.names["measured"].keys() == set(done.names["tiers"].values())
    tiers = done.names["tiers"]
    slower = RoutingPolicy(max_ttft_ms=800, latency={tiers["complex"]: 900.0})
    assert done.names["router"].decide(HARD).tier == "complex"
    assert ChatBedrockRouter(tiers=tiers, policy=slower).decide(HARD).tier == "simple"


def prompts(done: Done) -> None:
    assert done.printed.strip()
    assert done.asked("Converse") == 1


def connection(done: Done) -> None:
    config = done.names["model"].client.meta.config
    assert (config.connect_timeout, config.read_timeout) == (2, 60)
    assert config.max_pool_connections == 500
    assert done.asked("Converse") == 1


def usage(done: Done) -> None:
    totals = done.names["usage"].ledger.totals()
    assert totals.calls == 1
    assert totals.usage.total > 0


def cost(done: Done) -> None:
    assert done.printed.count("USD") >= 2


def caching(done: Done) -> None:
    assert done.asked("Converse") == 1
    tables = done.bedrock.client("dynamodb").list_tables()["TableNames"]
    assert "answers" in tables
    assert "hit" in done.printed


def selection(done: Done) -> None:
    called = {entry.model_id for entry in done.bedrock.journal.calls("Converse")}
    assert len(called) == 2


def cloudwatch(done: Done) -> None:
    metrics = done.bedrock.client("cloudwatch").list_metrics(Namespace="MyApp")["Metrics"]
    assert {"EstimatedCost", "ClientLatency"} <= {metric["MetricName"] for metric in metrics}


CHECKS: dict[str, Callable[[Done], None]] = {
    "on-demand": on_demand,
    "provisioned": provisioned,
    "planning": planning,
    "batch": batch,
    "streaming": streaming,
    "latency": latency,
    "prompts": prompts,
    "connection": connection,
    "usage": usage,
    "cost": cost,
    "cache": caching,
    "selection": selection,
    "cloudwatch": cloudwatch,
}


@pytest.fixture
def bedrock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[BedrockEmulator]:
    """A local Bedrock where AWS would be, with a bucket."""
    monkeypatch.chdir(tmp_path)
    with BedrockEmulator() as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        emulator.client("s3").create_bucket(Bucket="my-bucket")
        yield emulator


@pytest.mark.parametrize("row", CHECKS)
def test_a_row_is_done_by_the_readme_alone(
    row: str, bedrock: BedrockEmulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """A reader who pastes a row's block, of less than 15 lines, has done what the row says."""
    block = BLOCKS[row]
    names: dict[str, Any] = {"__name__": "readme"}

    exec(compile(block, f"README.md, row {row}", "exec"), names)

    assert len(block.strip().splitlines()) <= LONGEST
    CHECKS[row](Done(bedrock, names, capsys.readouterr().out))


def test_every_row_is_in_the_table() -> None:
    """The table leads from each row to its block, and each block is a row of the table."""
    section = README.partition("## The guide, row by row")[2].partition("\n## ")[0]
    headings = re.findall(r"^### (.+)\n\n<!-- row: ([\w-]+) -->", section, re.MULTILINE)
    linked = re.findall(r"\[code\]\(#([\w-]+)\)", section)

    assert {row for _, row in headings} == set(BLOCKS) == set(CHECKS)
    assert linked == [heading.lower().replace(" ", "-") for heading, _ in headings]
