"""`bedrock-opt doctor`: what it finds, and the fix beside it."""

from __future__ import annotations

import resource
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from langchain_bedrock_opt.cli.checks import machine
from langchain_bedrock_opt.cli.checks.bench import Bench
from langchain_bedrock_opt.cli.checks.examination import examine
from langchain_bedrock_opt.cli.checks.finding import Finding
from langchain_bedrock_opt.emulator import BedrockEmulator, Fault
from tests.unit_tests.cli.conftest import Run

NOVA = "us.amazon.nova-lite-v1:0"
BASE = "amazon.nova-lite-v1:0"
HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"
NOW = datetime(2026, 11, 23, 12, tzinfo=timezone.utc)

Answers = Mapping[str, list[tuple[str, Any]]]


SESSION = boto3.Session("testing", "testing", region_name="us-east-1")
"""Clients of its own: those of the package are shared, and would stay stubbed."""


def make_client(service: Any, region: str = "us-east-1") -> Any:
    return SESSION.client(service, region_name=region)


class Stand:
    """Clients whose answers a test has written down, service by service and in order."""

    def __init__(self, **answers: list[tuple[str, Any]]) -> None:
        self._clients: dict[str, Any] = {}
        for name, planned in answers.items():
            service = name.replace("_", "-")
            client = make_client(service)
            stub = Stubber(client)
            for operation, answer in planned:
                if isinstance(answer, str):
                    stub.add_client_error(operation, answer, "no")
                else:
                    stub.add_response(operation, answer)
            stub.activate()
            self._clients[service] = client

    def __call__(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = make_client(service)
        return self._clients[service]


IDENTITY = ("get_caller_identity", {"Arn": "arn:aws:iam::111122223333:user/kim"})
PROFILE = {
    "inferenceProfileName": "US Nova Lite",
    "inferenceProfileArn": f"arn:aws:bedrock:us-east-1:111122223333:inference-profile/{NOVA}",
    "models": [{"modelArn": f"arn:aws:bedrock:us-east-1::foundation-model/{BASE}"}],
    "inferenceProfileId": NOVA,
    "status": "ACTIVE",
    "type": "SYSTEM_DEFINED",
}
MODEL = {
    "modelDetails": {
        "modelArn": f"arn:aws:bedrock:us-east-1::foundation-model/{BASE}",
        "modelId": BASE,
        "modelName": "Nova Lite",
        "providerName": "Amazon",
        "inferenceTypesSupported": ["ON_DEMAND"],
    }
}


def available(**changes: Any) -> dict[str, Any]:
    """What GetFoundationModelAvailability says of a model that may be called."""
    return {
        "modelId": BASE,
        "agreementAvailability": {"status": "AVAILABLE"},
        "authorizationStatus": "AUTHORIZED",
        "entitlementAvailability": "AVAILABLE",
        "regionAvailability": "AVAILABLE",
        **changes,
    }


def quota(name: str, value: float) -> dict[str, Any]:
    return {"QuotaName": name, "Value": value}


def looked(stand: Callable[[str], Any], check: str, *models: str, **options: Any) -> list[Finding]:
    """What a check finds."""
    bench = Bench(models=models or (NOVA,), client_of=stand, **options)
    return [finding for finding in examine(bench) if finding.check == check]


@pytest.fixture
def bedrock() -> Stand:
    """An account in which everything is well."""
    return Stand(
        sts=[IDENTITY],
        bedrock=[
            ("get_inference_profile", PROFILE),
            ("get_foundation_model_availability", available()),
            ("get_foundation_model", MODEL),
        ],
        service_quotas=[
            (
                "list_service_quotas",
                {
                    "NextToken": "more",
                    "Quotas": [
                        quota(
                            "On-demand model inference tokens per minute for Amazon Nova Lite", 5
                        ),
                        quota(
                            "Cross-region model inference tokens per minute for Amazon Nova Pro", 6
                        ),
                        quota("Batch inference job size (in GB) for Amazon Nova Lite", 7),
                    ],
                },
            ),
            (
                "list_service_quotas",
                {
                    "Quotas": [
                        quota(
                            "Cross-region model inference tokens per minute for Amazon Nova Lite",
                            400_000,
                        ),
                        quota(
                            "Cross-Region model inference requests per minute for Amazon Nova "
                            "Lite V1",
                            200,
                        ),
                    ]
                },
            ),
        ],
    )


def test_an_account_that_is_well(bedrock: Stand) -> None:
    """The profile, the access and the quotas of the scope are told of a model that is well."""
    findings = list(examine(Bench(models=(NOVA,), client_of=bedrock)))

    said = {finding.check: finding for finding in findings}
    assert said["credentials"].said == "arn:aws:iam::111122223333:user/kim, found in env"
    assert said["model"].said == f"{NOVA}: US Nova Lite, ACTIVE"
    assert said["model access"].said == f"{NOVA}: granted"
    assert said["quotas"].said == f"{NOVA}: 400,000 tokens a minute, 200 requests a minute"
    assert {said[check].status for check in ("region", "model", "model access", "quotas")} == {"ok"}


def test_against_the_local_bedrock(aws: BedrockEmulator, run: Run) -> None:
    """On the local Bedrock calls go through, and what it does not have is unknown, no failure."""
    ended = run("doctor", "--model", NOVA, "--call", "--json")

    assert ended.code == 0
    found = {finding["check"]: finding for finding in ended.document["findings"]}
    assert found["call"]["status"] == "ok"
    assert found["credentials"]["status"] == "ok"
    assert (found["clock"]["status"], found["clock"]["said"]) == (
        "ok",
        "agrees with the endpoint's",
    )
    assert found["endpoint"]["status"] == "warning"
    assert aws.endpoint_url in found["endpoint"]["said"]
    assert found["endpoint"]["fix"] == "To call AWS itself: unset AWS_ENDPOINT_URL"
    assert found["quotas"]["status"] == found["model access"]["status"] == "unknown"
    assert ended.document["counts"].get("failure", 0) == 0


def test_by_default_the_demos_models_are_looked_at(aws: BedrockEmulator, run: Run) -> None:
    """Without --model the demo's three tiers are looked at, and the result is a line for each."""
    ended = run("doctor")

    assert ended.code == 0
    lines = [line for line in ended.out.splitlines() if line.startswith("ok   model: global.")]
    assert len(lines) == 3
    assert "unknown" in ended.out.splitlines()[-1]


def test_without_credentials_or_a_region(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without both, both are told with their fixes, and AWS is not asked."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    ended = run("doctor")

    assert ended.code == 1
    assert "FAIL region: No AWS region" in ended.out
    assert "FAIL credentials: there are none\n       -> Run `aws configure`" in ended.out
    assert "models: not looked at" in ended.out


def test_a_region_that_can_not_be(run: Run) -> None:
    """A region that is no name fails once, and the credentials are not tried in it."""
    ended = run("doctor", "--region", "us east", "--json")

    findings = {each["check"]: each for each in ended.document["findings"]}
    assert findings["region"]["status"] == "failure"
    assert findings["credentials"]["said"] == "found in env, not tried without a region"
    assert ended.document["counts"]["failure"] == 1


def test_offline_nobody_is_asked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --offline a region, credentials and profiles are judged by what is known here."""
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setattr(Bench, "ask", None)
    ended = run("doctor", "--offline", "--json", "--model", NOVA, "--model", f"eu.{BASE}")

    assert ended.code == 1
    failures = [each for each in ended.document["findings"] if each["status"] == "failure"]
    assert [each["said"] for each in failures] == [
        f"{NOVA}: profiles of 'us' can't be called from eu-west-1"
    ]
    assert "global" in failures[0]["fix"]
    assert "unknown" not in ended.document["counts"]


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("ExpiredToken", "failure", "they have expired"),
        ("InvalidClientTokenId", "failure", "AWS does not take them"),
        ("ServiceUnavailable", "unknown", "STS could not be asked"),
    ],
)
def test_credentials_that_do_not_hold(code: str, status: str, words: str) -> None:
    """Expired and foreign credentials fail; where STS does not answer, nobody knows."""
    [finding] = looked(Stand(sts=[("get_caller_identity", code)]), "credentials")

    assert (finding.status, finding.fix != "") == (status, True)
    assert words in finding.said


def test_an_api_key_of_bedrocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """An API key of Bedrock's is found, and not shown."""
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "hush")
    [finding] = looked(Stand(), "credentials", is_offline=True)
    assert "not tried" in finding.said

    [finding] = looked(Stand(bedrock=[]), "credentials")
    assert finding.status == "ok"
    assert "hush" not in finding.said


def test_access_that_is_missing() -> None:
    """What the account lacks for a model is named."""
    answer = available(
        agreementAvailability={"status": "NOT_AVAILABLE"}, authorizationStatus="NOT_AUTHORIZED"
    )
    stand = Stand(
        sts=[IDENTITY],
        bedrock=[
            ("get_inference_profile", PROFILE),
            ("get_foundation_model_availability", answer),
        ],
    )
    [finding] = looked(stand, "model access")

    assert finding.status == "failure"
    assert finding.said == f"{NOVA}: the account lacks its agreement and authorization"
    assert "Model access" in finding.fix


def test_what_may_not_be_asked() -> None:
    """A question that IAM forbids is unknown, and the action to allow is named."""
    stand = Stand(
        sts=[IDENTITY],
        bedrock=[
            ("get_inference_profile", "AccessDeniedException"),
            ("get_foundation_model_availability", "AccessDeniedException"),
        ],
        service_quotas=[("list_service_quotas", "AccessDeniedException")],
    )
    findings = {each.check: each for each in examine(Bench(models=(NOVA,), client_of=stand))}

    for check, action in (
        ("model", "bedrock:GetInferenceProfile"),
        ("model access", "bedrock:GetFoundationModelAvailability"),
        ("quotas", "servicequotas:ListServiceQuotas"),
    ):
        assert findings[check].status == "unknown"
        assert findings[check].fix == f"Allow {action} (`bedrock-opt policy doctor`)."


def test_models_that_are_not_offered(aws: BedrockEmulator) -> None:
    """An id with a slip, a model behind profiles only and a text that is no id have their fixes."""
    findings = looked(aws.client, "model", "amazon.nova-light-v1:0", HAIKU, "claude")

    by_status = {finding.said: finding.fix for finding in findings if finding.status == "failure"}
    assert len(by_status) == 3
    fixes = list(by_status.values())
    assert "Did you mean 'amazon.nova-lite-v1:0'?" in fixes[0]
    assert f"global.{HAIKU}" in fixes[1]
    assert fixes[2] == "Correct the id."


def test_a_model_that_ends_soon() -> None:
    """A legacy model is warned of."""
    details = MODEL["modelDetails"] | {"modelLifecycle": {"status": "LEGACY"}}
    stand = Stand(
        sts=[IDENTITY],
        bedrock=[
            ("get_foundation_model", {"modelDetails": details}),
            ("get_foundation_model_availability", available()),
            ("get_foundation_model", {"modelDetails": details}),
        ],
        service_quotas=[("list_service_quotas", {"Quotas": []})],
    )
    findings = {
        finding.check: finding for finding in examine(Bench(models=(BASE,), client_of=stand))
    }

    assert findings["model"].status == "warning"
    assert "legacy" in findings["model"].said
    assert findings["quotas"].status == "unknown"
    assert findings["quotas"].said == f"{BASE}: no quota of that name"


def test_a_model_without_a_price(aws: BedrockEmulator) -> None:
    """A model that nobody has a price of is warned of."""
    findings = looked(aws.client, "model", "acme.frontier-v9:0")

    assert findings[0].status == "warning"
    assert "bedrock-opt prices refresh" in findings[0].fix


def test_an_arn_that_hides_its_model() -> None:
    """An ARN is told with the model behind it, and one that is not known is unknown."""
    emulator = BedrockEmulator(provisioned={"chat": BASE})
    listed = emulator.client("bedrock").list_provisioned_model_throughputs()
    arn = listed["provisionedModelSummaries"][0]["provisionedModelArn"]
    other = f"{arn[:-4]}0000"
    findings = looked(emulator.client, "model", arn, other)

    assert [finding.status for finding in findings] == ["ok", "failure"]
    assert findings[0].said == f"{arn}: stands for {BASE}"
    assert "AWS does not know it" in findings[1].said


def test_an_arn_that_may_not_be_looked_at() -> None:
    """An ARN that IAM hides is unknown, with the action and policy; one that tells nothing, too."""
    arn = "arn:aws:bedrock:us-east-1:111122223333:{}/abcdef123456"
    denied = [("get_provisioned_model_throughput", "AccessDeniedException")]
    [finding] = looked(
        Stand(sts=[IDENTITY], bedrock=denied), "model", arn.format("provisioned-model")
    )
    assert finding.status == "unknown"
    action = "bedrock:GetProvisionedModelThroughput"
    assert finding.fix == f"Allow {action} (`bedrock-opt policy resolve`)."

    [finding] = looked(Stand(sts=[IDENTITY]), "model", arn.format("imported-model"))
    assert (finding.status, "--call" in finding.fix) == ("unknown", True)


def test_a_profile_is_asked_for_before_it_is_judged() -> None:
    """Online AWS says whether a profile is there, whatever is known here of its regions."""
    stand = Stand(sts=[IDENTITY], bedrock=[("get_inference_profile", PROFILE)])
    stand._clients["bedrock-runtime"] = make_client("bedrock-runtime", "eu-west-1")
    [finding] = looked(stand, "model")

    assert (finding.status, finding.said) == ("ok", f"{NOVA}: US Nova Lite, ACTIVE")


def test_a_call_that_fails(aws: BedrockEmulator, run: Run) -> None:
    """A call that is throttled is a warning, one that is forbidden a failure with the policy."""
    for code, status, words in (
        ("ThrottlingException", "warning", ""),
        ("AccessDeniedException", "failure", "bedrock:InvokeModel"),
    ):
        aws.faults.add(Fault(operation="Converse", code=code, times=2))
        ended = run("doctor", "--model", NOVA, "--call", "--json")
        aws.faults.clear()
        [found] = [each for each in ended.document["findings"] if each["check"] == "call"]
        assert found["status"] == status
        assert words in found["fix"]


def test_a_quota_of_nothing() -> None:
    """A quota of 0, as new accounts have, is a failure."""
    name = "Cross-region model inference tokens per minute for Amazon Nova Lite"
    stand = Stand(
        sts=[IDENTITY],
        bedrock=[
            ("get_inference_profile", PROFILE),
            ("get_foundation_model_availability", available()),
            ("get_foundation_model", MODEL),
        ],
        service_quotas=[("list_service_quotas", {"Quotas": [quota(name, 0)]})],
    )
    [finding] = looked(stand, "quotas")

    assert finding.status == "failure"
    assert "Service Quotas console" in finding.fix


@pytest.mark.parametrize(
    ("ahead", "status", "words"),
    [
        (2, "ok", "agrees with AWS's"),
        (-90, "warning", "90 seconds behind AWS's"),
        (400, "failure", "400 seconds ahead of AWS's"),
    ],
)
def test_a_clock_that_is_wrong(ahead: float, status: str, words: str) -> None:
    """The machine's clock is held against the date of AWS's answers."""
    answer = IDENTITY[1] | {
        "ResponseMetadata": {"HTTPHeaders": {"date": format_datetime(NOW, usegmt=True)}}
    }
    now = (NOW + timedelta(seconds=ahead)).timestamp()
    stand = Stand(sts=[("get_caller_identity", answer)], bedrock=[])
    [finding] = looked(stand, "clock", clock=lambda: now)

    assert finding.status == status
    assert words in finding.said


def test_a_region_that_is_not_known() -> None:
    """A region without Bedrock, as far as boto3 knows, is a warning."""
    stand = Stand(sts=[IDENTITY], bedrock=[])
    stand._clients["bedrock-runtime"] = make_client("bedrock-runtime", "xx-east-1")
    [finding] = looked(stand, "region")

    assert finding.status == "warning"
    assert "no Amazon Bedrock in xx-east-1" in finding.said


def test_a_package_that_is_too_old(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """A package outside of the bounds, or not there, is told with the command that mends it."""
    real = metadata.version

    def version(name: str) -> str:
        if name == "zstandard":
            raise metadata.PackageNotFoundError(name)
        return "1.0.0" if name == "langchain-core" else real(name)

    monkeypatch.setattr(machine, "version", version)
    ended = run("doctor", "--offline", "--region", "us-east-1")

    assert ended.code == 1
    assert "FAIL versions: langchain-core 1.0.0 is not <2,>=1.7.2" in ended.out
    assert 'pip install "langchain-core<2,>=1.7.2"' in ended.out
    assert "FAIL versions: zstandard is not installed" in ended.out


def test_a_missing_extra_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Extras that are not there are named with how to install one."""

    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(machine, "version", version)
    [finding] = machine.extras(Bench())

    assert finding.status == "ok"
    assert finding.said.startswith("installed: none; not installed: ")
    assert "langchain-bedrock-opt[" in finding.fix


def test_folders_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """A cache folder that can't be made and a low limit of open files are told with their fixes."""
    (tmp_path / "file").touch()
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 100))
    ended = run(
        "doctor", "--offline", "--region", "us-east-1", "--cache", str(tmp_path / "file"), "--json"
    )

    found = {finding["check"]: finding for finding in ended.document["findings"]}
    assert found["cache folder"]["status"] == "failure"
    assert found["connections"]["fix"].startswith("Raise it with `ulimit -n 320`")


def test_a_check_that_breaks(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """A check that fails by itself is unknown, and the others are made."""

    def broken(_: str) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr(machine, "version", broken)
    ended = run("doctor", "--offline", "--region", "us-east-1")

    assert "?    versions: the check could not be made: RuntimeError: out of order" in ended.out
    assert "ok   region: us-east-1" in ended.out
