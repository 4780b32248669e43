"""How provisioned throughput goes from status to status, and when it answers."""

from __future__ import annotations

import math
from typing import Any

import pytest
from botocore.exceptions import ClientError

from langchain_bedrock_opt.emulator import ThroughputFault, ThroughputPace
from langchain_bedrock_opt.errors import EmulatorError
from tests.throughput_service import CUSTOM, NOVA, TAKES_MINUTES, make_throughput_service

UPDATE = "UpdateProvisionedModelThroughput"


def test_a_throughput_is_in_service_when_its_time_has_come() -> None:
    """It is Creating, and refuses calls, until the clock says that it is InService."""
    service = make_throughput_service(pace=TAKES_MINUTES)
    arn = service.create()
    service.clock.sleep(299)
    assert service.get(arn)["status"] == "Creating"
    with pytest.raises(ClientError, match=r"ValidationException.*in status Creating"):
        service.say(arn)

    service.clock.sleep(1)

    assert service.say(arn)["stopReason"] == "end_turn"
    told = service.get(arn)
    assert told["status"] == "InService"
    assert (told["lastModifiedTime"] - told["creationTime"]).total_seconds() == 300


def test_a_throughput_may_never_be_ready() -> None:
    """With an endless pace it is Creating a year later."""
    service = make_throughput_service(pace=ThroughputPace(creating=math.inf))
    arn = service.create()
    service.clock.sleep(365 * 24 * 3600)
    assert service.get(arn)["status"] == "Creating"


def test_a_planned_failure_says_why_and_refuses_calls() -> None:
    """One that Failed has its message in Get, none in List, and answers no call."""
    service = make_throughput_service(pace=TAKES_MINUTES)
    service.fail(name="ch*", message="There is no capacity left.", seconds=60)
    arn = service.create()
    assert "failureMessage" not in service.get(arn)
    service.clock.sleep(60)

    told = service.get(arn)

    assert (told["status"], told["failureMessage"]) == ("Failed", "There is no capacity left.")
    assert service.names(statusEquals="Failed") == ["chat"]
    listed = service.bedrock.list_provisioned_model_throughputs()["provisionedModelSummaries"]
    assert "failureMessage" not in listed[0]
    assert service.emulator.throughput.list()[0].message == "There is no capacity left."
    with pytest.raises(ClientError, match=r"ValidationException.*in status Failed"):
        service.say(arn)


def test_while_it_is_updated_the_former_model_answers() -> None:
    """Updating tells the model to come beside the one that answers, and ends with the new one."""
    service = make_throughput_service(pace=TAKES_MINUTES)
    arn = service.create(modelId=CUSTOM)
    service.clock.sleep(300)
    wanted = CUSTOM[:-1] + "0"

    service.update(arn, desiredModelId=wanted)

    told = service.get(arn)
    assert (told["status"], told["modelArn"], told["desiredModelArn"]) == (
        "Updating",
        CUSTOM,
        wanted,
    )
    assert service.say(arn)["stopReason"] == "end_turn"
    service.clock.sleep(60)
    told = service.get(arn)
    assert (told["status"], told["modelArn"], told["desiredModelArn"]) == (
        "InService",
        wanted,
        wanted,
    )


def test_an_update_that_fails_keeps_the_former_model() -> None:
    """After a failed update the throughput is Failed, with the model that it had."""
    service = make_throughput_service()
    service.fail(operation=UPDATE, message="The model is gone.")
    arn = service.create(modelId=CUSTOM)
    service.update(arn, desiredModelId=CUSTOM[:-1] + "0")
    told = service.get(arn)
    assert (told["status"], told["failureMessage"]) == ("Failed", "The model is gone.")
    assert told["modelArn"] == told["desiredModelArn"] == CUSTOM


def test_faults_are_for_names_and_times() -> None:
    """A fault meets the throughputs of its pattern, as often as it says, until it is cleared."""
    service = make_throughput_service(pace=TAKES_MINUTES)
    service.fail(name="*-slow", status="InService", seconds=3600, times=None)
    for name in ("a-slow", "fast", "b-slow"):
        service.create(name, modelId=NOVA)
    service.clock.sleep(3599)
    assert service.names(statusEquals="Creating") == ["a-slow", "b-slow"]
    service.clock.sleep(1)
    assert service.names(statusEquals="InService") == ["a-slow", "fast", "b-slow"]

    service.emulator.throughput.faults.clear()
    arn = service.create("c-slow")
    service.clock.sleep(300)
    assert service.get(arn)["status"] == "InService"


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ({"operation": "GetProvisionedModelThroughput"}, "operation"),
        ({"status": "Broken"}, "status"),
        ({"seconds": -1}, "seconds"),
        ({"times": 0}, "times"),
    ],
)
def test_a_fault_that_can_not_happen_is_refused(fault: dict[str, Any], named: str) -> None:
    """A typo in a fault is an error, not a test that passes."""
    with pytest.raises(EmulatorError, match=named):
        ThroughputFault(**fault)
