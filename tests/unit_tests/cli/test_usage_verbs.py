"""The verbs about cost: reports of a ledger, prices, dashboard and alarms."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from langchain_bedrock_opt import UsageLedger, UsageRecord
from langchain_bedrock_opt.cli import main
from langchain_bedrock_opt.contracts import TokenUsage

LITE = "us.amazon.nova-lite-v1:0"
AT = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)


@pytest.fixture(params=["usage.jsonl", "usage.db"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A ledger of two days with a call on each."""
    ledger = UsageLedger(tmp_path / request.param)
    for number in range(2):
        ledger.add(
            UsageRecord(
                run_id=str(number),
                started_at=AT + timedelta(days=number),
                model_id=LITE,
                status="ok",
                usage=TokenUsage(input=1000, output=100),
                cost_pico_usd=84_000_000,
            )
        )
    ledger.flush()
    return str(ledger.path)


@pytest.fixture
def cloudwatch() -> Iterator[None]:
    """A CloudWatch in memory."""
    with mock_aws():
        yield


def test_a_report_says_what_calls_cost(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The report of a ledger names its models and their cost."""
    assert main(["report", ledger]) == 0

    said = capsys.readouterr().out
    assert "nova-lite" in said
    assert "0.000168" in said


def test_a_report_of_some_days(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Dates bound a report, and --json makes data of it."""
    assert main(["report", ledger, "--since", "2026-11-23", "--json"]) == 0

    figures = json.loads(capsys.readouterr().out)
    assert figures["totals"]["calls"] == 1
    assert figures["totals"]["cost_pico_usd"] == 84_000_000


def test_totals_by_a_property(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With --by there is a line for each group."""
    assert main(["report", ledger, "--by", "day"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split("\t") == ["2026-11-22", "1 calls", "0.000084 USD"]
    assert len(lines) == 2


def test_totals_by_several_as_data(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Properties are put together by commas, and --json makes data of the totals."""
    assert main(["report", ledger, "--by", "model,day", "--json"]) == 0

    rows = json.loads(capsys.readouterr().out)
    assert [row["group"] for row in rows] == [[LITE, "2026-11-22"], [LITE, "2026-11-23"]]
    assert rows[0]["cost_pico_usd"] == 84_000_000


@pytest.mark.parametrize(
    "verb",
    [
        ["demo"],
        ["emulator"],
        ["report"],
        ["prices"],
        ["prices", "show"],
        ["prices", "refresh"],
        ["prices", "drift"],
        ["dashboard"],
    ],
)
def test_every_verb_explains_itself(verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """--help of each verb prints its options."""
    with pytest.raises(SystemExit) as ended:
        main([*verb, "--help"])

    assert ended.value.code == 0
    assert "usage: bedrock-opt" in capsys.readouterr().out


def test_a_report_as_a_page(
    ledger: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --html the report is a page that stands alone."""
    page = tmp_path / "report.html"
    assert main(["report", ledger, "--html", str(page)]) == 0

    text = page.read_text("utf-8")
    assert text.startswith("<!doctype html>")
    assert "nova-lite" in text
    assert "<script" not in text
    assert str(page) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["report", "nowhere.jsonl"], "There is no ledger 'nowhere.jsonl'"),
        (["dashboard", "--name", "a b"], "a b"),
        (["dashboard", "--guide"], "--model ID"),
        (["prices", "drift", "--litellm", "nowhere.json"], "nowhere.json"),
    ],
)
def test_bad_input_is_said_in_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What can't be done ends with status 2 and one line that names it."""
    assert main(arguments) == 2

    said = capsys.readouterr().err.strip()
    assert words in said
    assert "\n" not in said


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01"])
def test_a_date_that_is_none(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A date that can't be read is refused with an example of one."""
    with pytest.raises(SystemExit) as ended:
        main(["report", "usage.jsonl", "--since", text])

    assert ended.value.code == 2
    assert "2026-11-22" in capsys.readouterr().err


def test_a_models_prices(capsys: pytest.CaptureFixture[str]) -> None:
    """A model's prices are shown by tier, with their source."""
    assert main(["prices", "show", LITE]) == 0

    said = capsys.readouterr().out
    assert "default: input 0.06, output 0.24" in said
    assert "shipped" in said


def test_a_model_without_a_price(capsys: pytest.CaptureFixture[str]) -> None:
    """A model that nobody knows is called unpriced, and the status says so."""
    assert main(["prices", "show", "acme.frontier-v9"]) == 1
    assert "no known price" in capsys.readouterr().out


def test_drift_lists_disagreements(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A map of LiteLLM's with another price is told price by price."""
    theirs = {
        LITE: {
            "litellm_provider": "bedrock_converse",
            "input_cost_per_token": 7e-8,
            "output_cost_per_token": 2.4e-7,
        }
    }
    path = tmp_path / "map.json"
    path.write_text(json.dumps(theirs), "utf-8")
    assert main(["prices", "drift", "--litellm", str(path)]) == 0

    assert f"{LITE}, default, input: ours 0.06" in capsys.readouterr().out


def test_a_dashboard_and_alarms_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Without --apply the dashboard and its alarms are printed, and nothing is asked of AWS."""
    assert main(["dashboard", "--model", LITE, "--daily-budget", "20"]) == 0

    captured = capsys.readouterr()
    written = json.loads(captured.out)
    assert "the dashboard is of us-east-1" in captured.err
    assert written["dashboard"]["widgets"]
    names = [alarm["AlarmName"] for alarm in written["alarms"]]
    assert {"bedrock-budget-80", "bedrock-budget-100"} <= set(names)


def test_the_guides_dashboard(capsys: pytest.CaptureFixture[str]) -> None:
    """--guide draws the guide's own two metrics."""
    assert main(["dashboard", "--guide", "--model", LITE]) == 0

    written = json.loads(capsys.readouterr().out)
    assert "InferenceLatency" in json.dumps(written["dashboard"])
    assert written["alarms"] == []


@pytest.mark.usefixtures("cloudwatch")
def test_a_dashboard_is_applied(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """--apply writes the dashboard and its alarms to CloudWatch, in the user's own region."""
    apply = ["dashboard", "--apply", "--name", "chat", "--cost-per-hour", "5"]
    assert main(apply) == 2
    assert "No AWS region" in capsys.readouterr().err
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert main(apply) == 0

    client = boto3.client("cloudwatch", region_name="eu-west-1")  # noqa: TID251 - the user's own
    body = client.get_dashboard(DashboardName="chat")["DashboardBody"]
    assert "eu-west-1" in body
    assert "us-east-1" not in body
    assert client.list_dashboards()["DashboardEntries"][0]["DashboardName"] == "chat"
    names = [alarm["AlarmName"] for alarm in client.describe_alarms()["MetricAlarms"]]
    assert "chat-cost-per-hour" in names
    assert "Wrote dashboard chat" in capsys.readouterr().out
