"""Throughputs that are registered at the emulator, beside those that are bought."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from langchain_bedrock_opt.catalog.model_units import UnitCapacity
from tests.throughput_service import NOVA, make_throughput_service


def test_registered_throughputs_are_read_and_filtered() -> None:
    """A registered throughput is in service, found by name and ARN, and listed by filter."""
    service = make_throughput_service(provisioned={"chat": NOVA})
    models = service.emulator.models
    arn = models.register_provisioned("amazon.nova-pro-v1:0", "big", model_units=3)

    told = service.get("big")

    assert (told["status"], told["modelUnits"]) == ("InService", 3)
    assert service.get(arn) == told
    assert service.names(modelArnEquals=models.arn_of(NOVA)) == ["chat"]
    assert service.emulator.throughput.purchases == 0
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        service.get("none")


def test_a_registered_throughput_is_changed_and_deleted_like_a_bought_one() -> None:
    """It takes another name, and once it is deleted it neither answers nor shows."""
    service = make_throughput_service()
    arn = service.emulator.models.register_provisioned(NOVA, "chat")
    service.update("chat", desiredProvisionedModelName="talk")
    assert service.get(arn)["provisionedModelName"] == "talk"
    service.delete(arn)
    assert service.names() == []
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        service.say(arn)


def test_a_registered_throughput_has_units_from_the_start() -> None:
    """What its units take is told before anybody has called it."""
    service = make_throughput_service(
        capacities={NOVA: UnitCapacity(output_per_minute=50)}, provisioned={"chat": NOVA}
    )
    (registered,) = service.emulator.models.provisioned
    left = service.emulator.throughput.units.remaining(registered.arn)
    assert left is not None
    assert left.output == 50
