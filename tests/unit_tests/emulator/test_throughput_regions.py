"""Provisioned throughput is known in the region it was bought in."""

from __future__ import annotations

from dataclasses import replace

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.throughput_service import NOVA, ThroughputService, make_throughput_service

TOKEN = "token-1"


def in_ireland(service: ThroughputService) -> ThroughputService:
    """The same service, as clients of another region see it."""
    there = Config(region_name="eu-west-1", retries={"total_max_attempts": 1})
    client = service.emulator.client
    return replace(service, bedrock=client("bedrock", config=there), runtime=client(config=there))


@pytest.fixture
def virginia() -> ThroughputService:
    return make_throughput_service(account_units=1)


def test_each_region_has_throughputs_of_its_own(virginia: ThroughputService) -> None:
    """Names, tokens and units of one region are free in another; ARNs say which it is."""
    ireland = in_ireland(virginia)

    arns = [
        each.create("chat", modelId=NOVA, clientRequestToken=TOKEN) for each in (virginia, ireland)
    ]

    assert [arn.split(":")[3] for arn in arns] == ["us-east-1", "eu-west-1"]
    for each, arn in zip((virginia, ireland), arns, strict=True):
        told = each.get("chat")
        assert told["provisionedModelArn"] == arn
        assert told["modelArn"].split(":")[3] == told["foundationModelArn"].split(":")[3]
        assert told["modelArn"].split(":")[3] == arn.split(":")[3]
        assert each.names() == ["chat"]
        assert each.say(arn)["stopReason"] == "end_turn"
    ireland.delete("chat")
    assert virginia.names() == ["chat"]


def test_a_throughput_of_another_region_is_not_known(virginia: ThroughputService) -> None:
    """It is neither told, listed, changed, tagged, deleted nor called there."""
    arn = virginia.create("chat", modelId=NOVA)
    ireland = in_ireland(virginia)

    assert ireland.names() == []
    for call in (
        ireland.get,
        ireland.delete,
        ireland.say,
        lambda arn: ireland.update(arn, desiredProvisionedModelName="talk"),
        lambda arn: ireland.bedrock.list_tags_for_resource(resourceARN=arn),
        lambda arn: ireland.bedrock.tag_resource(
            resourceARN=arn, tags=[{"key": "a", "value": "b"}]
        ),
        lambda arn: ireland.bedrock.untag_resource(resourceARN=arn, tagKeys=["a"]),
    ):
        with pytest.raises(ClientError, match="ResourceNotFoundException"):
            call(arn)
    assert virginia.names() == ["chat"]


def test_a_registered_throughput_is_of_the_region_of_its_arn() -> None:
    """One that is registered with its ARN is called in that region."""
    arn = "arn:aws:bedrock:eu-west-1:123456789012:provisioned-model/abcdefabcdef"
    virginia = make_throughput_service(provisioned={arn: NOVA})
    ireland = in_ireland(virginia)

    assert ireland.say(arn)["stopReason"] == "end_turn"
    assert ireland.get(arn)["modelArn"].split(":")[3] == "eu-west-1"
    assert virginia.names() == []
