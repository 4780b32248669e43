"""Which model is behind an ARN, and what the user is told when nobody knows."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from langchain_bedrock_opt import BedrockEmulator
from langchain_bedrock_opt.aws.resolution import Resolution, Resolver, base_model_of, resolve
from langchain_bedrock_opt.catalog.model_ids import parse_model_id
from langchain_bedrock_opt.errors import ConfigurationError

ARN = "arn:aws:bedrock:us-east-1:123456789012:{}"
HAIKU = "anthropic.claude-3-haiku-20240307-v1:0"
NOVA = "amazon.nova-lite-v1:0"
FOUNDATION = f"arn:aws:bedrock:us-east-1::foundation-model/{HAIKU}"


class Control:
    """A control plane that knows one model and counts its calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def get_provisioned_model_throughput(self, **_: Any) -> dict[str, Any]:
        self.calls.append("provisioned")
        return {"foundationModelArn": FOUNDATION + ":48k"}

    def get_inference_profile(self, **_: Any) -> dict[str, Any]:
        return {"models": [{"modelArn": FOUNDATION}]}

    def get_prompt_router(self, **_: Any) -> dict[str, Any]:
        return {"fallbackModel": {"modelArn": FOUNDATION}}

    def get_custom_model(self, modelIdentifier: str) -> dict[str, Any]:  # noqa: N803
        return {"baseModelArn": FOUNDATION, "modelArn": modelIdentifier}

    def get_custom_model_deployment(self, **_: Any) -> dict[str, Any]:
        return {"modelArn": ARN.format("custom-model/x")}


@pytest.mark.parametrize(
    "resource",
    [
        "provisioned-model/p0",
        "application-inference-profile/a0",
        "prompt-router/r0",
        "default-prompt-router/anthropic.claude:1",
        "custom-model/c0",
        "custom-model-deployment/d0",
    ],
)
def test_the_control_plane_is_asked(resource: str) -> None:
    """Each kind of ARN that hides its model is looked up by its own operation."""
    assert base_model_of(parse_model_id(ARN.format(resource)), Control()) == HAIKU


def test_an_id_that_names_its_model_asks_nobody() -> None:
    """A bare id, a profile and their ARNs need no call."""
    for text in (HAIKU, f"us.{HAIKU}", FOUNDATION, ARN.format(f"inference-profile/us.{HAIKU}")):
        assert base_model_of(parse_model_id(text), None) == HAIKU


def test_an_arn_is_asked_once() -> None:
    """The second model made from one ARN costs no call."""
    control = Control()
    model_id = parse_model_id(ARN.format("provisioned-model/asked-once"))

    base_model_of(model_id, control)
    base_model_of(model_id, control)

    assert control.calls == ["provisioned"]


def test_a_new_model_asks_again_after_a_refusal() -> None:
    """After a missing permission is granted, a model made from the same ARN finds out at once."""
    model_id = parse_model_id(ARN.format("provisioned-model/refused-once"))
    with pytest.raises(ConfigurationError, match=r'AccessDenied.*base_model="'):
        base_model_of(model_id, Refusing())

    assert base_model_of(model_id, Control()) == HAIKU


@pytest.mark.parametrize("resource", ["imported-model/i0", "prompt/P0:1"])
def test_an_arn_that_nobody_knows_asks_the_user(resource: str) -> None:
    """Where no operation tells the model, the message says how to name it."""
    with pytest.raises(ConfigurationError, match='Pass base_model="'):
        base_model_of(parse_model_id(ARN.format(resource)), Control())
    with pytest.raises(ConfigurationError, match="no control-plane client"):
        base_model_of(parse_model_id(ARN.format("provisioned-model/no-client")), None)


def profile_of(*regions: str, model: str = HAIKU) -> str | None:
    """The id that a profile over these regions stands for."""

    class Profiles(Control):
        def get_inference_profile(self, **_: Any) -> dict[str, Any]:
            arns = [f"arn:aws:bedrock:{region}::foundation-model/{model}" for region in regions]
            return {"models": [{"modelArn": arn} for arn in arns]}

    arn = ARN.format("application-inference-profile/scoped")
    return Resolver().resolve(arn, Profiles()).resolved_id


@pytest.mark.parametrize(
    ("regions", "scope"),
    [
        (["us-east-1"], None),
        (["us-east-1", "us-east-2", "us-west-2"], "us"),
        (["ca-central-1", "us-east-1", "us-west-2"], "us"),
        (["ca-central-1", "ca-west-1"], "ca"),
        (["eu-west-1", "eu-central-1"], "eu"),
        (["ap-northeast-1", "ap-northeast-3"], "jp"),
        (["ap-southeast-2", "ap-southeast-4"], "au"),
        (["ap-south-1", "ap-south-2"], "in"),
        (["ap-northeast-1", "ap-southeast-2"], "apac"),
        (["us-gov-west-1", "us-gov-east-1"], "us-gov"),
        (["", "us-east-1"], "global"),
    ],
)
def test_an_application_profile_has_the_scope_of_its_models(
    regions: list[str], scope: str | None
) -> None:
    """The regions behind a profile say whose copy it is, on which its price depends."""
    assert profile_of(*regions) == (f"{scope}.{HAIKU}" if scope else HAIKU)


def test_regions_of_no_known_geography_have_no_price_rather_than_a_wrong_one() -> None:
    """A profile of a new kind names its model, and no id to price it by."""
    assert profile_of("us-east-1", "eu-west-1") is None


def test_the_emulators_copies_resolve_to_what_they_are_copies_of() -> None:
    """An application profile made from each kind of profile leads back to it."""
    emulator = BedrockEmulator()
    control = emulator.client("bedrock")
    for name in (f"us.{NOVA}", "global.anthropic.claude-sonnet-4-5-20250929-v1:0"):
        source = ARN.format(f"inference-profile/{name}")
        arn = control.create_inference_profile(
            inferenceProfileName=name.partition(".")[0] + "-copy",
            modelSource={"copyFrom": source},
        )["inferenceProfileArn"]
        found = Resolver().resolve(arn, control)
        assert (found.resolved_id, found.region, found.tier) == (name, "us-east-1", "default")


def test_provisioned_throughput_says_its_units_and_commitment() -> None:
    """A provisioned model is billed by the hour, by units and commitment."""

    class Provisioned(Control):
        def get_provisioned_model_throughput(self, **_: Any) -> dict[str, Any]:
            return {
                "foundationModelArn": FOUNDATION,
                "modelUnits": 3,
                "commitmentDuration": "SixMonths",
            }

    found = Resolver().resolve(ARN.format("provisioned-model/p9"), Provisioned())
    assert found == Resolution(
        base=HAIKU,
        resolved_id=HAIKU,
        tier="provisioned",
        region="us-east-1",
        model_units=3,
        commitment="SixMonths",
    )


@pytest.mark.parametrize("resource", ["custom-model/c1", "prompt-router/r1"])
def test_what_has_no_price_of_its_model_has_no_id_to_price(resource: str) -> None:
    """A tuned model is not its base, and a router's calls each have a model of their own."""
    found = Resolver().resolve(ARN.format(resource), Control())
    assert (found.base, found.resolved_id) == (HAIKU, None)


def test_an_id_is_what_it_says() -> None:
    """Ids and profiles' ARNs resolve without a call, scope and region included."""
    found = resolve(ARN.format(f"inference-profile/us.{HAIKU}"), None)
    assert (found.base, found.resolved_id, found.region) == (HAIKU, f"us.{HAIKU}", "us-east-1")


class Refusing(Control):
    def get_provisioned_model_throughput(self, **_: Any) -> dict[str, Any]:
        self.calls.append("provisioned")
        error = {"Error": {"Code": "AccessDeniedException", "Message": "no"}}
        raise ClientError(error, "Get")  # type: ignore[arg-type]


def test_a_failure_is_remembered_for_some_minutes() -> None:
    """Calls to an ARN that may not be looked up don't each ask AWS again."""
    now = [0.0]
    resolver = Resolver(remember_failure=300, clock=lambda: now[0])
    control, arn = Refusing(), ARN.format("provisioned-model/forbidden")
    for _ in range(5):
        with pytest.raises(ConfigurationError, match="AccessDenied"):
            resolver.resolve(arn, control)
    assert len(control.calls) == 1
    now[0] = 300.0
    assert resolver.resolve(arn, Control()).base == HAIKU


def test_threads_that_start_together_ask_once() -> None:
    """Many calls to one ARN at the start of a process make one question."""

    class Slow(Control):
        def get_provisioned_model_throughput(self, **_: Any) -> dict[str, Any]:
            answer = super().get_provisioned_model_throughput()
            gate.wait(5)
            return answer

    resolver, control, gate = Resolver(), Slow(), threading.Event()
    arn = ARN.format("provisioned-model/together")
    with ThreadPoolExecutor(8) as pool:
        found = [pool.submit(resolver.resolve, arn, control) for _ in range(8)]
        gate.set()
        assert {each.result().base for each in found} == {HAIKU}
    assert control.calls == ["provisioned"]
    assert resolver.known(arn) is not None
