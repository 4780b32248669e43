"""The operations on provisioned throughput, as clients of `bedrock` see them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError, ParamValidationError
from botocore.validate import ParamValidator

from tests.batch_service import NOON
from tests.throughput_service import (
    CUSTOM,
    NOVA,
    SONNET,
    ThroughputService,
    make_throughput_service,
)

BOUGHT = datetime.fromtimestamp(NOON, timezone.utc)
SONNET_ARN = f"arn:aws:bedrock:us-east-1::foundation-model/{SONNET}"


@pytest.fixture
def service() -> ThroughputService:
    return make_throughput_service()


def test_a_bought_throughput_is_told_by_name_and_by_arn(service: ThroughputService) -> None:
    """Get tells what was asked for, under the name as under the ARN."""
    arn = service.create("chat", modelUnits=2, commitmentDuration="OneMonth")

    assert service.get(arn) == {
        "provisionedModelName": "chat",
        "provisionedModelArn": arn,
        "modelArn": SONNET_ARN,
        "desiredModelArn": SONNET_ARN,
        "foundationModelArn": SONNET_ARN,
        "modelUnits": 2,
        "desiredModelUnits": 2,
        "status": "InService",
        "creationTime": BOUGHT,
        "lastModifiedTime": BOUGHT,
        "commitmentDuration": "OneMonth",
        "commitmentExpirationTime": datetime(2026, 12, 22, 12, tzinfo=timezone.utc),
    }
    assert service.get("chat") == service.get(arn)


def test_a_throughput_is_bought_by_the_models_arn_and_for_a_variant(
    service: ThroughputService,
) -> None:
    """The ARN of a foundation model, and an id that names a context length, can be bought."""
    by_arn = service.create("by-arn", modelId=SONNET_ARN)
    variant = service.create("variant", modelId=f"{NOVA}:300k")
    assert service.get(by_arn)["modelArn"] == SONNET_ARN
    assert service.get(variant)["modelArn"].endswith(f"/{NOVA}:300k")
    assert service.say(variant)["stopReason"] == "end_turn"


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["one", "two", "three"]),
        ({"sortBy": "CreationTime", "sortOrder": "Descending"}, ["three", "two", "one"]),
        ({"nameContains": "o"}, ["one", "two"]),
        ({"modelArnEquals": f"arn:aws:bedrock:us-east-1::foundation-model/{NOVA}"}, ["two"]),
        ({"statusEquals": "Failed"}, ["two"]),
        ({"creationTimeAfter": BOUGHT}, ["two", "three"]),
        ({"creationTimeBefore": BOUGHT + timedelta(days=2)}, ["one", "two"]),
        ({"PaginationConfig": {"PageSize": 2}}, ["one", "two", "three"]),
    ],
)
def test_a_list_is_filtered_sorted_and_paged(
    service: ThroughputService, filters: dict[str, Any], expected: list[str]
) -> None:
    """List goes by status, model, name and time of creation, and gives all pages."""
    service.fail(name="two")
    for name, model_id in (("one", SONNET), ("two", NOVA), ("three", SONNET)):
        service.create(name, modelId=model_id)
        service.clock.sleep(24 * 3600)
    assert service.names(**filters) == expected


def test_a_page_has_what_was_asked_for_and_a_token(service: ThroughputService) -> None:
    """A page is no longer than maxResults, and a token that is none is refused."""
    for name in ("one", "two", "three"):
        service.create(name)
    page = service.bedrock.list_provisioned_model_throughputs(maxResults=2)
    assert len(page["provisionedModelSummaries"]) == 2
    with pytest.raises(ClientError, match="nextToken"):
        service.bedrock.list_provisioned_model_throughputs(nextToken=page["nextToken"] + "x")


def test_answers_have_botocores_shapes(service: ThroughputService) -> None:
    """Get and List of a throughput of any kind have the members of botocore's model."""
    service.fail(name="failed")
    service.create("failed", commitmentDuration="SixMonths")
    service.create("custom", modelId=CUSTOM)
    model = botocore.session.get_session().get_service_model("bedrock")
    answers = {
        "ListProvisionedModelThroughputs": service.bedrock.list_provisioned_model_throughputs(),
        "GetProvisionedModelThroughput": service.get("failed"),
        "ListTagsForResource": service.bedrock.list_tags_for_resource(
            resourceARN=service.get("custom")["provisionedModelArn"]
        ),
    }
    for operation, answer in answers.items():
        answer.pop("ResponseMetadata", None)
        shape = model.operation_model(operation).output_shape
        assert shape is not None
        assert ParamValidator().validate(answer, shape).generate_report() == ""


def test_a_name_is_changed_and_its_former_one_is_free(service: ThroughputService) -> None:
    """Update gives another name at once; the ARN and its answers stay, and the name is free."""
    arn = service.create("chat")
    service.clock.sleep(60)

    service.update("chat", desiredProvisionedModelName="talk")

    told = service.get(arn)
    assert (told["provisionedModelName"], told["status"]) == ("talk", "InService")
    assert told["lastModifiedTime"] == BOUGHT + timedelta(seconds=60)
    assert service.say(arn)["stopReason"] == "end_turn"
    assert service.create("chat") != arn


def test_units_can_not_be_changed(service: ThroughputService) -> None:
    """What the guide asks of Update is refused by botocore before it is sent."""
    arn = service.create()
    with pytest.raises(ParamValidationError, match="desiredModelUnits"):
        service.update(arn, desiredModelUnits=2)
    assert service.get(arn)["modelUnits"] == 1


def test_the_model_of_a_base_model_can_not_be_changed(service: ThroughputService) -> None:
    """Another model is taken only by the throughput of a custom model."""
    arn = service.create()
    with pytest.raises(ClientError, match=r"ValidationException.*associated with a base model"):
        service.update(arn, desiredModelId=NOVA)
    assert service.get(arn)["modelArn"] == SONNET_ARN


@pytest.mark.parametrize("wanted", [CUSTOM[:-1] + "0", f"{NOVA}:300k"])
def test_a_custom_models_throughput_is_moved_within_its_base(
    service: ThroughputService, wanted: str
) -> None:
    """It goes to another custom model of the same base, or to the base itself."""
    arn = service.create(modelId=CUSTOM)
    assert service.get(arn)["foundationModelArn"].endswith(f"/{NOVA}:300k")
    assert service.say(arn)["stopReason"] == "end_turn"
    service.update(arn, desiredModelId=wanted)
    assert service.get(arn)["modelArn"].endswith(wanted)


def test_a_custom_models_throughput_stays_with_its_base(service: ThroughputService) -> None:
    """It is not moved to a model with another base."""
    arn = service.create(modelId=CUSTOM)
    with pytest.raises(ClientError, match=r"ValidationException.*custom model of it"):
        service.update(arn, desiredModelId=SONNET)
    assert service.get(arn)["modelArn"] == CUSTOM


def test_a_deleted_throughput_is_gone(service: ThroughputService) -> None:
    """After Delete it is neither told nor listed nor called, and its name is free again."""
    arn = service.create("chat")
    service.delete("chat")

    assert service.names() == []
    for call in (service.get, service.delete, service.say):
        with pytest.raises(ClientError, match="ResourceNotFoundException"):
            call(arn)
    assert service.create("chat") != arn
    assert service.emulator.throughput.purchases == 2


def test_tags_are_read_added_and_removed(service: ThroughputService) -> None:
    """Tags given at creation are read, changed by key, and removed by key."""
    tags = [{"key": "Team", "value": "AI"}, {"key": "Stage", "value": "test"}]
    arn = service.create(tags=tags)
    client = service.bedrock
    assert client.list_tags_for_resource(resourceARN=arn)["tags"] == tags

    client.tag_resource(resourceARN=arn, tags=[{"key": "Team", "value": "ML"}])
    client.untag_resource(resourceARN=arn, tagKeys=["Stage", "None"])

    assert client.list_tags_for_resource(resourceARN=arn)["tags"] == [
        {"key": "Team", "value": "ML"}
    ]
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        client.list_tags_for_resource(resourceARN=arn[:-12] + "000000000000")


def test_tags_of_other_resources_are_left_to_the_services_beside(
    service: ThroughputService,
) -> None:
    """Tags of what is no provisioned throughput are not part of the local Bedrock."""
    with pytest.raises(ClientError, match="keeps tags of provisioned throughputs only"):
        service.bedrock.list_tags_for_resource(resourceARN=CUSTOM)


def test_the_emulator_tells_what_there_is(service: ThroughputService) -> None:
    """A test sees what exists, without a client, and the calls in the journal."""
    arn = service.create("chat", commitmentDuration="SixMonths", tags=[{"key": "a", "value": "b"}])
    service.delete(service.create("gone"))

    (state,) = service.emulator.throughput.list()

    assert (state.arn, state.name, state.model_arn) == (arn, "chat", SONNET_ARN)
    assert (state.status, state.model_units, state.tags) == ("InService", 1, {"a": "b"})
    assert (state.created_at, state.commitment) == (BOUGHT, "SixMonths")
    assert state.committed_until == datetime(2027, 5, 22, 12, tzinfo=timezone.utc)
    journal = service.emulator.journal
    creations = journal.calls("CreateProvisionedModelThroughput")
    assert [entry.status for entry in creations] == [201, 201]
    assert creations[0].params["provisionedModelName"] == "chat"
    assert journal.count("DeleteProvisionedModelThroughput") == 1


GUIDE_TAGS = [
    {"key": "Environment", "value": "Production"},
    {"key": "Team", "value": "AI-Platform"},
]


def test_the_guides_own_calls_run(service: ThroughputService) -> None:
    """The guide's creation, call, list, get and delete run as they stand; its update can't."""
    bedrock, runtime = service.bedrock, service.runtime
    response = bedrock.create_provisioned_model_throughput(
        modelUnits=1,
        provisionedModelName="claude-sonnet-production",
        modelId="anthropic.claude-3-sonnet-20240229-v1:0",
        commitmentDuration="OneMonth",
        tags=GUIDE_TAGS,
    )
    provisioned_model_arn = response["provisionedModelArn"]
    response = runtime.converse(
        modelId=provisioned_model_arn,
        messages=[{"role": "user", "content": [{"text": "こんにちは、調子はどうですか?"}]}],
        inferenceConfig={"maxTokens": 1024},
    )
    assert response["output"]["message"]["content"][0]["text"]
    response = bedrock.list_provisioned_model_throughputs()
    shown = [
        f"{pt['provisionedModelName']}: {pt['status']}"
        for pt in response["provisionedModelSummaries"]
    ]
    response = bedrock.get_provisioned_model_throughput(provisionedModelId=provisioned_model_arn)
    shown.append(f"モデルユニット: {response['modelUnits']}")
    shown.append(f"ステータス: {response['status']}")
    assert shown == [
        "claude-sonnet-production: InService",
        "モデルユニット: 1",
        "ステータス: InService",
    ]
    with pytest.raises(ParamValidationError, match="desiredModelUnits"):
        bedrock.update_provisioned_model_throughput(
            provisionedModelId=provisioned_model_arn, desiredModelUnits=2
        )
    with pytest.raises(ClientError, match="2026-12-22T12:00:00Z"):  # the guide commits to a month
        bedrock.delete_provisioned_model_throughput(provisionedModelId=provisioned_model_arn)
    service.clock.sleep(30 * 24 * 3600)
    bedrock.delete_provisioned_model_throughput(provisionedModelId=provisioned_model_arn)
    assert service.names() == []
