"""`bedrock-opt throughput`: a plan from a ledger, and what is bought by it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from uuid import uuid4

import pytest

from langchain_bedrock_opt import UsageLedger, UsageRecord
from langchain_bedrock_opt.contracts import TokenUsage
from langchain_bedrock_opt.emulator import BedrockEmulator, ThroughputFault
from tests.unit_tests.cli.conftest import Run

SONNET = "anthropic.claude-3-sonnet-20240229-v1:0"
NOVA = "amazon.nova-lite-v1:0:24k"
NOON = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    """A ledger of four minutes, each of which fills a unit of the guide's."""
    ledger = UsageLedger(tmp_path / "usage.db")
    for minute in range(4):
        ledger.add(
            UsageRecord(
                run_id=str(minute),
                started_at=NOON + timedelta(minutes=minute),
                model_id=SONNET,
                status="ok",
                usage=TokenUsage(input=180_000, output=36_000),
            )
        )
    ledger.flush()
    return str(ledger.path)


@pytest.fixture
def name() -> str:
    return f"cli-{uuid4().hex[:8]}"


def test_a_plan_of_a_ledger(run: Run, ledger: str, tmp_path: Path) -> None:
    """A plan finds the units that pay, by the guide's example or by one's own figures."""
    asked = ["throughput", "plan", "--ledger", ledger, "--model", SONNET, "--unit-price", "20"]
    planned = run(*asked, "--json", "--plot", str(tmp_path / "plan.svg"))

    assert planned.code == 0
    assert planned.document["units"] == 1
    assert "guide's example" in planned.err
    assert (tmp_path / "plan.svg").read_text("utf-8").startswith("<?xml")
    own = ["--capacity-in", "90000", "--capacity-out", "18000", "--since", "2026-11-22T12:00"]
    assert run(*asked, *own, "--json").document["units"] == 2
    assert run(*asked, "--unit-price-one-month", "10").code == 0


def test_a_plan_that_can_not_be_made(run: Run, ledger: str) -> None:
    """A model without a price or a capacity, and a ledger that is not there, are told."""
    asked = ["throughput", "plan", "--unit-price", "20", "--ledger"]
    for arguments, words in (
        ([ledger, "--model", "acme.frontier-v9:0"], "no known price on demand"),
        ([ledger, "--model", "us.amazon.nova-lite-v1:0"], "say --capacity-in"),
        (["nowhere.db", "--model", SONNET], "There is no ledger"),
    ):
        ended = run(*asked, *arguments)
        assert ended.code == 2
        assert words in ended.err


def test_a_plan_that_can_not_be_drawn(run: Run, ledger: str, tmp_path: Path) -> None:
    """A drawing of a form that is none is the one document, and no plan beside it."""
    asked = ["throughput", "plan", "--ledger", ledger, "--model", SONNET, "--unit-price", "20"]
    ended = run(*asked, "--json", "--plot", str(tmp_path / "plan.xyz"))

    assert (ended.code, ended.document["error"]["type"]) == (2, "ConfigurationError")


def test_nothing_is_bought_without_confirm(aws: BedrockEmulator, run: Run, name: str) -> None:
    """Without --confirm the cost is told, the way to buy it too, and nothing is bought."""
    ended = run("throughput", "create", NOVA, "--name", name, "--unit-price", "20", "--units", "2")

    assert ended.code == 2
    assert "40.00 USD an hour" in ended.err
    assert "--confirm" in ended.err
    assert run("throughput", "list", "--name", name, "--json").document == []


def test_from_purchase_to_deletion(aws: BedrockEmulator, run: Run, name: str) -> None:
    """One is bought once, waited for, shown, listed and deleted."""
    buying = ["throughput", "create", NOVA, "--name", name, "--confirm", "--tag", "team=search"]
    bought = run(*buying, "--wait", "--json")
    assert bought.document["status"] == "InService"
    assert f"bedrock-opt throughput delete {name} --yes" in bought.err
    assert f"{name}: InService" in bought.err
    assert run(*buying, "--json").document["arn"] == bought.document["arn"]

    assert name in run("throughput", "list").out
    assert run("throughput", "list", "--leftovers", "--name", name, "--json").document == []
    shown = run("throughput", "show", name, "--json").document
    assert shown["created_at"].endswith("+00:00")
    assert run("throughput", "wait", name).code == 0

    kept = run("throughput", "delete", name)
    assert (kept.code, "say --yes" in kept.err) == (2, True)
    assert run("throughput", "delete", name, "--yes", "--json").document["deleted"]
    gone = run("throughput", "show", name)
    assert (gone.code, "There is no provisioned throughput" in gone.err) == (3, True)


def test_a_wait_that_is_too_long(aws: BedrockEmulator, run: Run, name: str) -> None:
    """A wait that ran out of time has code 1, and tells what was bought and how to wait on."""
    aws.throughput.faults.add(ThroughputFault(status="InService", seconds=600, times=1))
    buying = ["throughput", "create", NOVA, "--name", name, "--confirm", "--wait"]
    ended = run(*buying, "--timeout", "0", "--json")
    error = ended.document["error"]

    assert (ended.code, error["type"]) == (1, "ThroughputTimeoutError")
    assert error["arn"] == run("throughput", "show", name, "--json").document["arn"]
    assert ended.err.startswith(f"{name} ({error['arn']}) is bought, and Creating.\n")
    assert f"`bedrock-opt throughput wait {error['arn']}`" in error["message"]
    assert f"bedrock-opt throughput delete {name} --yes" in ended.err


def test_one_that_is_committed_stays(aws: BedrockEmulator, run: Run, name: str) -> None:
    """One with a commitment is not deleted, and it is told until when."""
    run(
        *("throughput", "create", NOVA, "--name", name, "--confirm"),
        *("--commitment", "one-month", "--json"),
    )
    ended = run("throughput", "delete", name, "--yes")

    assert ended.code == 3
    assert "can't be deleted before" in ended.err


def test_one_that_failed(aws: BedrockEmulator, run: Run, name: str) -> None:
    """One that has failed is shown with code 1, and not waited for."""
    aws.throughput.faults.add(ThroughputFault(message="no capacity", times=1))
    run("throughput", "create", NOVA, "--name", name, "--confirm")
    shown = run("throughput", "show", name)
    waited = run("throughput", "wait", name)

    assert (shown.code, "no capacity" in shown.out) == (1, True)
    assert (waited.code, "no capacity" in waited.err) == (3, True)
    assert run("throughput", "delete", name, "--yes").code == 0


@pytest.mark.parametrize("tag", ["team", "=search"])
def test_a_tag_is_a_pair(tag: str, run: Run) -> None:
    """A tag that is no pair is refused by its value."""
    ended = run("throughput", "create", NOVA, "--name", "x", "--tag", tag)

    assert ended.code == 2
    assert f"{tag!r} is not of the form KEY=VALUE" in ended.err
