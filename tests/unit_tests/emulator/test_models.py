"""What a local Bedrock knows of models."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

import botocore.session
import pytest
from botocore.model import ListShape, Shape, StructureShape

from langchain_bedrock_opt.catalog.specs import known_model_ids, spec_of
from langchain_bedrock_opt.emulator.models import CONTROL_PLANE, ModelDirectory
from langchain_bedrock_opt.emulator.types import ServiceFailure
from langchain_bedrock_opt.errors import EmulatorError

HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"
NOVA = "amazon.nova-lite-v1:0"
INVALID = "The provided model identifier is invalid."
ACCOUNT_ARN = "arn:aws:bedrock:us-east-1:123456789012"
NOW = datetime(2026, 11, 22, tzinfo=timezone.utc)


def call(directory: ModelDirectory, operation: str, **params: Any) -> dict[str, Any]:
    return CONTROL_PLANE[operation](directory, params)


@pytest.mark.parametrize(
    ("model_id", "base"),
    [
        (NOVA, NOVA),
        (f"us.{HAIKU}", HAIKU),
        (f"global.{HAIKU}", HAIKU),
        (f"arn:aws:bedrock:us-east-1::foundation-model/{NOVA}", NOVA),
        (f"{ACCOUNT_ARN}:inference-profile/us.{HAIKU}", HAIKU),
        ("anthropic.claude-v2:1", "anthropic.claude-v2:1"),
        ("anthropic.claude-instant-v1", "anthropic.claude-instant-v1"),
        ("amazon.titan-tg1-large", "amazon.titan-tg1-large"),
        ("ai21.j2-mid-v1", "ai21.j2-mid-v1"),
        ("moonshot.kimi-k2-thinking", "moonshot.kimi-k2-thinking"),
        ("us.xai.grok-9.9", "xai.grok-9.9"),
    ],
)
def test_an_id_is_resolved_to_the_model_behind_it(model_id: str, base: str) -> None:
    """Ids of every kind that names its model resolve to the bare id, retired models included."""
    assert ModelDirectory().resolve(model_id) == base


@pytest.mark.parametrize(
    "model_id",
    [
        "does-not-exist",
        "us.does-not-exist-model-v1:0",
        "anthropic.claude-does-not-exist",
        "anthropic.gpt-5",
        "acme.frontier-v9",
        "arn:aws:bedrock:us-east-1:123456789012:nonsense/abc",
        "",
        # A scope that the model is not offered in, or that the region may not call.
        f"sa.{NOVA}",
        f"eu.{NOVA}",
    ],
)
def test_an_id_that_names_nothing_is_invalid(model_id: str) -> None:
    """What is no model, no profile, or none of this region's, gets Bedrock's own refusal."""
    with pytest.raises(ServiceFailure) as caught:
        ModelDirectory().resolve(model_id)
    assert (caught.value.code, caught.value.message) == ("ValidationException", INVALID)


def test_a_profile_may_be_called_from_its_own_geography() -> None:
    """The region decides which profiles exist: the directory's, or that of the one request."""
    european = ModelDirectory("eu-west-1")
    assert european.resolve(f"eu.{NOVA}") == NOVA
    assert european.resolve(f"us.{NOVA}", region="us-west-2") == NOVA
    with pytest.raises(ServiceFailure, match=INVALID):
        european.resolve(f"us.{NOVA}")


def test_a_model_behind_profiles_only_can_not_be_invoked_by_its_bare_id() -> None:
    """Such a model answers through a profile; its bare id is still good for counting tokens."""
    directory = ModelDirectory()
    with pytest.raises(ServiceFailure) as caught:
        directory.resolve(HAIKU)
    assert caught.value.message == (
        f"Invocation of model ID {HAIKU} with on-demand throughput isn\u2019t supported. Retry "
        "your request with the ID or ARN of an inference profile that contains this model."
    )
    assert directory.resolve(HAIKU, invoke=False) == HAIKU


def test_a_strict_directory_knows_the_catalog_alone() -> None:
    """Strict, it refuses plausible ids without a spec, and ARNs that nobody registered."""
    directory = ModelDirectory(strict=True)
    assert directory.resolve(known_model_ids()[0], invoke=False) == known_model_ids()[0]
    with pytest.raises(ServiceFailure, match=INVALID):
        directory.resolve("xai.grok-9.9")
    with pytest.raises(ServiceFailure) as caught:
        directory.resolve(f"{ACCOUNT_ARN}:provisioned-model/abcdef123456")
    assert caught.value.code == "ResourceNotFoundException"


@pytest.mark.parametrize(
    "arn",
    [
        f"{ACCOUNT_ARN}:provisioned-model/abcdef123456",
        f"{ACCOUNT_ARN}:application-inference-profile/mi1dadi0g15f",
        f"{ACCOUNT_ARN}:prompt-router/abcdef123456",
        f"{ACCOUNT_ARN}:default-prompt-router/anthropic.claude:1",
        f"{ACCOUNT_ARN}:imported-model/abcdef123456",
        f"{ACCOUNT_ARN}:custom-model-deployment/abcdef123456",
        "arn:aws:sagemaker:us-east-1:123456789012:endpoint/endpoint-quick-start",
    ],
)
def test_an_unregistered_arn_is_answered_by_the_default_model(arn: str) -> None:
    """An ARN of someone's account works out of the box, and is known to be a guess."""
    directory = ModelDirectory(default_model_id=HAIKU)
    assert directory.resolve(arn) == HAIKU
    assert directory.base_of(arn) is None


def test_resources_named_at_construction_are_found_by_their_arns() -> None:
    """Provisioned throughputs, profiles and routers resolve to the models they were made for."""
    directory = ModelDirectory(
        provisioned={"chat": NOVA},
        application_profiles={f"{ACCOUNT_ARN}:application-inference-profile/abc": f"us.{HAIKU}"},
        prompt_routers={"router": (f"us.{HAIKU}", NOVA)},
        strict=True,
    )
    assert directory.resolve(directory.provisioned[0].arn) == NOVA
    assert directory.resolve(f"{ACCOUNT_ARN}:application-inference-profile/abc") == HAIKU
    assert directory.resolve(directory.prompt_routers[0].arn) == NOVA


def test_a_resource_of_an_unknown_model_or_a_taken_name_is_refused() -> None:
    """A mistake in the setup is reported with the value and what to do."""
    directory = ModelDirectory(provisioned={"chat": NOVA})
    with pytest.raises(EmulatorError, match=r"'chat' is registered already.*take another name"):
        directory.register_provisioned(NOVA, "chat")
    with pytest.raises(EmulatorError, match=r"'acme.frontier-v9' can't be registered"):
        directory.register_application_profile("acme.frontier-v9", "mine")
    with pytest.raises(EmulatorError, match="names its model"):
        directory.register_prompt_router([directory.provisioned[0].arn[:-1] + "0"], NOVA, "router")


def test_the_recorded_application_profile_is_reproduced(
    recordings: Callable[[str], list[dict[str, Any]]],
) -> None:
    """GetInferenceProfile of a profile copied from a global one looks as it was recorded."""
    (exchange,) = recordings("GetInferenceProfile")
    recorded = json.loads(exchange["response"]["body"])
    directory = ModelDirectory(now=lambda: NOW)
    arn = directory.register_application_profile(
        f"global.{HAIKU}", recorded["inferenceProfileArn"], description=recorded["description"]
    )
    answer = call(directory, "GetInferenceProfile", inferenceProfileIdentifier=arn)
    made_by_aws = {"createdAt", "updatedAt", "inferenceProfileName", "toolboxArn"}
    assert {key: answer[key] for key in recorded if key not in made_by_aws} == {
        key: value for key, value in recorded.items() if key not in made_by_aws
    }
    assert answer["createdAt"] == NOW


def test_a_system_profile_names_its_destinations() -> None:
    """A regional profile lists the model's ARN in each region that may serve it."""
    answer = call(ModelDirectory(), "GetInferenceProfile", inferenceProfileIdentifier=f"us.{HAIKU}")
    assert answer["type"] == "SYSTEM_DEFINED"
    assert answer["models"] == [
        {"modelArn": f"arn:aws:bedrock:{region}::foundation-model/{HAIKU}"}
        for region in ("us-east-1", "us-east-2", "us-west-2")
    ]


@pytest.mark.parametrize("identifier", [HAIKU, f"eu.{HAIKU}", "unknown", f"sa.{NOVA}"])
def test_a_profile_that_is_not_there_is_not_found(identifier: str) -> None:
    """A bare model id, a foreign scope and nonsense are all no profile."""
    with pytest.raises(ServiceFailure) as caught:
        call(ModelDirectory(), "GetInferenceProfile", inferenceProfileIdentifier=identifier)
    assert caught.value.code == "ResourceNotFoundException"


def test_a_created_profile_can_be_called_and_listed() -> None:
    """CreateInferenceProfile gives an ARN that resolves, and refuses the name a second time."""
    directory = ModelDirectory()
    params = {
        "inferenceProfileName": "billing",
        "modelSource": {"copyFrom": directory.arn_of(f"us.{HAIKU}")},
    }
    arn = call(directory, "CreateInferenceProfile", **params)["inferenceProfileArn"]
    assert directory.resolve(arn) == HAIKU
    listed = call(directory, "ListInferenceProfiles", typeEquals="APPLICATION")
    assert [each["inferenceProfileArn"] for each in listed["inferenceProfileSummaries"]] == [arn]
    with pytest.raises(ServiceFailure) as caught:
        call(directory, "CreateInferenceProfile", **params)
    assert caught.value.code == "ConflictException"


def test_profiles_are_listed_page_by_page() -> None:
    """The pages of a list, followed by their tokens, are the whole list."""
    directory = ModelDirectory()
    whole = call(directory, "ListInferenceProfiles")["inferenceProfileSummaries"]
    assert {each["inferenceProfileId"] for each in whole} >= {f"us.{HAIKU}", f"global.{HAIKU}"}
    assert not [each for each in whole if each["inferenceProfileId"].startswith("eu.")]
    pages, token = [], None
    while True:
        page = call(directory, "ListInferenceProfiles", maxResults=2, nextToken=token)
        pages += page["inferenceProfileSummaries"]
        token = page.get("nextToken")
        if token is None:
            break
    assert pages == whole


@pytest.mark.parametrize(
    ("filters", "matches"),
    [
        ({}, lambda spec: True),
        ({"byProvider": "Amazon"}, lambda spec: spec.provider == "amazon"),
        ({"byProvider": "anthropic"}, lambda spec: spec.provider == "anthropic"),
        ({"byOutputModality": "EMBEDDING"}, lambda spec: spec.kind == "embedding"),
        ({"byInferenceType": "ON_DEMAND"}, lambda spec: not spec.needs_profile),
        ({"byInferenceType": "PROVISIONED"}, lambda spec: False),
    ],
)
def test_foundation_models_are_filtered(filters: dict[str, str], matches: Any) -> None:
    """ListFoundationModels lists the models of the catalog that pass the filter."""
    listed = call(ModelDirectory(), "ListFoundationModels", **filters)["modelSummaries"]
    assert [each["modelId"] for each in listed] == [
        model_id for model_id in known_model_ids() if matches(spec_of(model_id))
    ]


def test_a_foundation_model_is_described_from_the_catalog() -> None:
    """GetFoundationModel knows a model's name, provider and modalities."""
    details = call(ModelDirectory(), "GetFoundationModel", modelIdentifier=NOVA)["modelDetails"]
    assert (details["modelName"], details["providerName"]) == ("Nova Lite", "Amazon")
    assert details["inputModalities"] == ["TEXT", "IMAGE", "VIDEO"]
    for unknown in (f"us.{NOVA}", "acme.frontier-v9", "not an id"):
        with pytest.raises(ServiceFailure, match=INVALID):
            call(ModelDirectory(), "GetFoundationModel", modelIdentifier=unknown)


def test_prompt_routers_are_read_and_listed() -> None:
    """A registered router names its models and its fallback."""
    directory = ModelDirectory(prompt_routers={"router": (f"us.{HAIKU}", NOVA)})
    arn = directory.prompt_routers[0].arn
    answer = call(directory, "GetPromptRouter", promptRouterArn=arn)
    assert answer["fallbackModel"] == {"modelArn": directory.arn_of(NOVA)}
    assert answer["models"][0] == {"modelArn": directory.arn_of(f"us.{HAIKU}")}
    assert call(directory, "ListPromptRouters")["promptRouterSummaries"] == [answer]
    assert call(directory, "ListPromptRouters", type="default")["promptRouterSummaries"] == []
    with pytest.raises(ServiceFailure) as caught:
        call(directory, "GetPromptRouter", promptRouterArn=arn + "0")
    assert caught.value.code == "ResourceNotFoundException"


PARAMS: Mapping[str, dict[str, Any]] = {
    "CreateInferenceProfile": {
        "inferenceProfileName": "mine",
        "modelSource": {"copyFrom": f"arn:aws:bedrock:us-east-1::foundation-model/{NOVA}"},
    },
    "GetFoundationModel": {"modelIdentifier": NOVA},
    "GetInferenceProfile": {"inferenceProfileIdentifier": f"us.{NOVA}"},
}


@pytest.mark.parametrize("operation", sorted(CONTROL_PLANE))
def test_answers_have_botocores_shapes(operation: str) -> None:
    """Every control-plane answer has the members that botocore's model has, all required ones."""
    directory = ModelDirectory(prompt_routers={"router": (NOVA,)})
    params = PARAMS.get(operation, {})
    if operation == "GetPromptRouter":
        params = {"promptRouterArn": directory.prompt_routers[0].arn}
    model = botocore.session.get_session().get_service_model("bedrock")
    shape = model.operation_model(operation).output_shape
    assert shape is not None
    assert mismatches(call(directory, operation, **params), shape) == []


def mismatches(value: Any, shape: Shape, path: str = "") -> list[str]:
    """Where a value differs from a shape: unknown members, missing ones, wrong types."""
    if isinstance(shape, StructureShape):
        found = [f"{path}.{name}: unknown" for name in set(value) - set(shape.members)]
        found += [f"{path}.{name}: missing" for name in set(shape.required_members) - set(value)]
        for name in set(value) & set(shape.members):
            found += mismatches(value[name], shape.members[name], f"{path}.{name}")
        return found
    if isinstance(shape, ListShape):
        return [text for each in value for text in mismatches(each, shape.member, f"{path}[]")]
    wanted = {"string": str, "integer": int, "boolean": bool, "double": float}
    wanted["timestamp"] = datetime
    return [] if isinstance(value, wanted[shape.type_name]) else [f"{path}: {value!r}"]
