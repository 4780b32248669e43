"""What Bedrock refuses of provisioned throughput: names, tokens, units, models, commitments."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from langchain_bedrock_opt.emulator import BedrockEmulator, ThroughputPace, ThroughputSettings
from langchain_bedrock_opt.emulator.throughput.throughput import months_after
from langchain_bedrock_opt.errors import EmulatorError
from tests.batch_service import NOON
from tests.throughput_service import (
    DAY,
    NOVA,
    SONNET,
    TAKES_MINUTES,
    ThroughputService,
    make_throughput_service,
)

TOKEN = "token-1"


@pytest.fixture
def service() -> ThroughputService:
    return make_throughput_service()


def test_a_token_buys_once() -> None:
    """The same request with the same token gets the same ARN, from many threads at once."""
    bought: list[str] = []

    def slow_clock() -> float:
        time.sleep(0.001)  # the other threads come in between
        return NOON

    emulator = BedrockEmulator(throughput=ThroughputSettings(clock=slow_clock))
    client = emulator.client("bedrock")

    def buy() -> None:
        answer = client.create_provisioned_model_throughput(
            modelUnits=1, provisionedModelName="chat", modelId=SONNET, clientRequestToken=TOKEN
        )
        bought.append(answer["provisionedModelArn"])

    threads = [threading.Thread(target=buy) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(bought) == 8
    assert len(set(bought)) == 1
    assert emulator.throughput.purchases == 1


def test_a_token_never_buys_again(service: ThroughputService) -> None:
    """Even after its throughput is deleted a token buys nothing new."""
    arn = service.create(clientRequestToken=TOKEN)
    service.delete(arn)
    assert service.create(clientRequestToken=TOKEN) == arn
    assert service.names() == []


@pytest.mark.parametrize(
    "changes", [{"name": "other"}, {"modelUnits": 2}, {"tags": [{"key": "a", "value": "b"}]}]
)
def test_a_token_is_for_one_request(service: ThroughputService, changes: dict[str, Any]) -> None:
    """The same token with other parameters is refused, and buys nothing."""
    service.create(clientRequestToken=TOKEN)
    with pytest.raises(ClientError, match=r"ValidationException.*clientRequestToken"):
        service.create(clientRequestToken=TOKEN, **changes)
    assert service.emulator.throughput.purchases == 1


def test_a_name_is_taken_while_its_throughput_exists(service: ThroughputService) -> None:
    """Neither Create nor Update takes the name of another throughput, even of one that Failed."""
    service.fail()
    service.create("chat")
    other = service.create("other")
    with pytest.raises(ClientError, match=r"ValidationException.*already in use"):
        service.create("chat")
    with pytest.raises(ClientError, match=r"ValidationException.*already in use"):
        service.update(other, desiredProvisionedModelName="chat")
    service.update(other, desiredProvisionedModelName="other")  # its own name is no other's
    assert service.names() == ["chat", "other"]


@pytest.mark.parametrize(
    "changes",
    [
        {"modelUnits": 0},
        {"commitmentDuration": "OneYear"},
        {"provisionedModelName": "no blanks"},
        {"tags": [{"key": "a", "value": "b"}] * 201},
    ],
)
def test_what_botocores_model_forbids_is_refused(
    service: ThroughputService, changes: dict[str, Any]
) -> None:
    """Units, commitments, names and lists of tags outside botocore's bounds are refused."""
    # The client would refuse some of it by itself.
    unchecked = service.emulator.client("bedrock", config=Config(parameter_validation=False))
    request = {"modelUnits": 1, "provisionedModelName": "chat", "modelId": SONNET, **changes}
    with pytest.raises(ClientError, match="ValidationException"):
        unchecked.create_provisioned_model_throughput(**request)
    assert service.names() == []


def test_a_throughput_has_fifty_tags_at_most(service: ThroughputService) -> None:
    """More tags than a resource can have are refused, at the creation and later."""
    tags = [{"key": f"tag-{number}", "value": "x"} for number in range(51)]
    with pytest.raises(ClientError, match="TooManyTagsException"):
        service.create(tags=tags)
    arn = service.create(tags=tags[:50])
    with pytest.raises(ClientError, match="TooManyTagsException"):
        service.bedrock.tag_resource(resourceARN=arn, tags=tags[50:])
    assert len(service.bedrock.list_tags_for_resource(resourceARN=arn)["tags"]) == 50
    assert service.emulator.throughput.purchases == 1


def test_an_account_without_units_buys_nothing() -> None:
    """An account as AWS opens it has no model units, and is told where to ask for them."""
    service = make_throughput_service(account_units=0)
    with pytest.raises(ClientError, match="By default, your account has no model units") as caught:
        service.create()
    assert caught.value.response["Error"]["Code"] == "ServiceQuotaExceededException"
    assert service.names() == []


def test_an_accounts_units_are_shared() -> None:
    """Units are free again when a throughput is deleted, and one that Failed holds none."""
    service = make_throughput_service(account_units=3)
    service.create("two", modelUnits=2)
    with pytest.raises(ClientError, match=r"has 3 model units .* 2 of them in use; 2 were"):
        service.create("too-many", modelUnits=2)
    service.fail()
    service.create("failed")
    service.create("one")
    service.delete("two")
    service.create("two-more", modelUnits=2)
    assert service.names() == ["failed", "one", "two-more"]


@pytest.mark.parametrize(
    "model_id",
    [
        f"us.{NOVA}",
        "no-such-model",
        "acme.frontier-v9",
        "arn:aws:bedrock:us-east-1:123456789012:custom-model/imported/abcdefabcdef",
    ],
)
def test_only_models_can_be_bought(service: ThroughputService, model_id: str) -> None:
    """Profiles, imported models and what is no model at all have no provisioned throughput."""
    with pytest.raises(ClientError, match=r"ValidationException.*model identifier is invalid"):
        service.create(modelId=model_id)


@pytest.mark.parametrize(
    ("model_id", "region", "is_offered"),
    [
        (f"{NOVA}:300k", "us-east-1", True),
        (f"{NOVA}:300k", "eu-west-1", False),
        (NOVA, "us-east-1", False),
        (f"{SONNET}:28k", "ap-south-1", True),
    ],
)
def test_a_strict_service_goes_by_awss_list(
    model_id: str, region: str, *, is_offered: bool
) -> None:
    """A strict emulator sells what AWS lists, where AWS lists it; the default sells any model."""
    request = {"modelId": model_id}
    assert make_throughput_service(region=region).create(**request)
    strict = make_throughput_service(region=region, strict=True)
    if is_offered:
        assert strict.say(strict.create(**request))["stopReason"] == "end_turn"
    else:
        with pytest.raises(ClientError, match=r"ValidationException.*not supported for"):
            strict.create(**request)


@pytest.mark.parametrize(("commitment", "days"), [("OneMonth", 30), ("SixMonths", 181)])
def test_a_committed_throughput_is_deleted_when_its_term_is_over(
    service: ThroughputService, commitment: str, days: int
) -> None:
    """Delete is refused until the very end of the commitment, and says when that is."""
    arn = service.create(commitmentDuration=commitment)
    until = service.get(arn)["commitmentExpirationTime"]
    service.clock.sleep(days * DAY - 1)
    with pytest.raises(ClientError, match="commitment term") as caught:
        service.delete(arn)
    assert caught.value.response["Error"]["Code"] == "ConflictException"
    assert f"{until:%Y-%m-%d}" in str(caught.value)
    assert service.say(arn)["stopReason"] == "end_turn"
    service.clock.sleep(1)
    service.delete(arn)
    assert service.names() == []


def test_a_commitment_to_what_failed_binds_nobody(service: ThroughputService) -> None:
    """A throughput that Failed can be deleted, whatever its commitment."""
    service.fail()
    service.delete(service.create(commitmentDuration="SixMonths"))
    assert service.names() == []


def test_a_month_ends_on_the_last_day_of_a_shorter_one() -> None:
    """A month from 31 January is the end of February, and December leads into the next year."""
    at = [months_after(datetime(2026, month, 31, 8, tzinfo=timezone.utc), 1) for month in (1, 12)]
    assert [each.isoformat() for each in at] == [
        "2026-02-28T08:00:00+00:00",
        "2027-01-31T08:00:00+00:00",
    ]


@pytest.mark.parametrize("status", ["Creating", "Updating", "Failed"])
@pytest.mark.parametrize("operation", ["update", "delete"])
def test_only_a_throughput_at_rest_is_changed(status: str, operation: str) -> None:
    """One that is created or updated is not changed or deleted; one that Failed is deleted."""
    service = make_throughput_service(pace=TAKES_MINUTES)
    if status == "Failed":
        service.fail(seconds=0)
    arn = service.create()
    if status == "Updating":
        service.clock.sleep(300)
        service.update(arn, desiredProvisionedModelName="talk")
    assert service.get(arn)["status"] == status

    changes: dict[str, Callable[[], None]] = {
        "update": lambda: service.update(arn, desiredProvisionedModelName="other"),
        "delete": lambda: service.delete(arn),
    }
    if (status, operation) == ("Failed", "delete"):
        changes[operation]()
        assert service.names() == []
        return
    code = "ConflictException" if operation == "delete" else "ValidationException"
    with pytest.raises(ClientError, match=f"{code}.*in status {status}"):
        changes[operation]()
    assert service.names() == ["talk" if status == "Updating" else "chat"]


def test_settings_that_make_no_sense_are_refused() -> None:
    """A time below zero and a negative number of units are refused where they are written."""
    with pytest.raises(EmulatorError, match=r"ThroughputPace\.creating is -1"):
        ThroughputPace(creating=-1)
    with pytest.raises(EmulatorError, match="account_units is -1"):
        ThroughputSettings(account_units=-1)
