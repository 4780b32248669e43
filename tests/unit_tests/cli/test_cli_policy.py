"""`bedrock-opt policy`, and --json of the verbs that had none."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from langchain_bedrock_opt.catalog.policies import FEATURES, batch_role_trust, iam_policy
from langchain_bedrock_opt.emulator import BedrockEmulator
from tests.unit_tests.cli.conftest import Run

NOVA = "us.amazon.nova-lite-v1:0"
ACCOUNT = "111122223333"


def test_a_policy_of_several_features(run: Run) -> None:
    """A policy is printed as JSON, with what the command line names in it."""
    ended = run(
        *("policy", "invoke", "batch", "--model", NOVA, "--bucket", "tickets"),
        *("--region", "us-east-1", "--account", ACCOUNT),
    )

    assert ended.code == 0
    assert ended.document == iam_policy(
        "invoke", "batch", models=[NOVA], bucket="tickets", region="us-east-1", account=ACCOUNT
    )


def test_features_are_listed(run: Run) -> None:
    """--help lists the features, and one that is none is refused with them."""
    said = run("policy", "--help").out
    assert all(f"  {name} " in said for name in FEATURES)
    ended = run("policy", "everything")
    assert (ended.code, "'everything': name some of invoke" in ended.err) == (2, True)


def test_the_trust_of_the_batch_role(run: Run) -> None:
    """--trust prints who may take the service role on, for an account that must be named."""
    ended = run("policy", "batch-role", "--trust", "--account", ACCOUNT)
    assert ended.document == batch_role_trust(ACCOUNT)
    assert run("policy", "batch-role", "--trust").code == 2
    trust = run(*("policy", "batch-role", "--trust", "--account", ACCOUNT), "--partition=aws-cn")
    assert trust.document == batch_role_trust(ACCOUNT, partition="aws-cn")
    assert "arn:aws-cn:bedrock:" in trust.out
    assert run("policy", "invoke", "--trust", "--account", ACCOUNT).code == 2


@pytest.mark.parametrize("which", [["invoke"], ["batch-role", "--trust"]])
@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--account", "1111-2222-3333", "write its 12 digits"),
        ("--partition", "aws-usgov", "name one of aws, aws-cn"),
    ],
)
def test_a_place_that_is_none(
    which: list[str], option: str, value: str, words: str, run: Run
) -> None:
    """An account or a partition that can't be is refused, and no policy is printed."""
    account = [] if option == "--account" else ["--account", ACCOUNT]
    ended = run("policy", *which, *account, option, value)

    assert (ended.code, ended.out) == (2, "")
    assert value in ended.err
    assert words in ended.err


def test_prices_as_data(run: Run) -> None:
    """A model's prices are data by tier, and a model without one has none and code 1."""
    shown = run("prices", "show", NOVA, "--json")
    assert shown.document["usd_per_million_tokens"]["default"]["input"] == "0.06"
    assert shown.document["usd_per_million_tokens"]["default"]["layer"] == "shipped"

    unpriced = run("prices", "show", "acme.frontier-v9", "--json")
    assert (unpriced.code, unpriced.document["usd_per_million_tokens"]) == (1, {})


def test_a_dashboard_that_was_written_as_data(aws: BedrockEmulator, run: Run) -> None:
    """With --apply and --json it is data what was written, and a remark who is not notified."""
    ended = run("dashboard", "--apply", "--name", "cli", "--cost-per-hour", "5", "--json")

    assert ended.document["dashboard"] == "cli"
    assert "cli-cost-per-hour" in ended.document["alarms"]
    assert "--action ARN" in ended.err


class Ended:
    """An event that has happened: nobody waits for it."""

    def wait(self) -> None:
        """Return at once."""


def test_the_emulators_place_as_data(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --json the emulator says in one line where it is, and how SDKs find it."""
    monkeypatch.setattr("langchain_bedrock_opt.cli.emulator.signal.signal", lambda *_: None)
    monkeypatch.setattr(
        "langchain_bedrock_opt.cli.emulator.threading", SimpleNamespace(Event=Ended)
    )
    [line] = run("emulator", "--port", "0", "--json").out.splitlines()

    place = json.loads(line)
    assert place["environment"]["AWS_ENDPOINT_URL"] == place["endpoint_url"]
