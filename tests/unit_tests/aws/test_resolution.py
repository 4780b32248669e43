"""Which model is behind an ARN, and what the user is told when nobody knows."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from langchain_bedrock_opt.aws.resolution import base_model_of
from langchain_bedrock_opt.catalog.model_ids import parse_model_id
from langchain_bedrock_opt.errors import ConfigurationError

ARN = "arn:aws:bedrock:us-east-1:123456789012:{}"
HAIKU = "anthropic.claude-3-haiku-20240307-v1:0"
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


def test_a_refusal_is_not_remembered() -> None:
    """After a missing permission is granted, the same ARN resolves."""

    class Refusing(Control):
        def get_provisioned_model_throughput(self, **_: Any) -> dict[str, Any]:
            error = {"Error": {"Code": "AccessDeniedException", "Message": "no"}}
            raise ClientError(error, "Get")  # type: ignore[arg-type]

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
