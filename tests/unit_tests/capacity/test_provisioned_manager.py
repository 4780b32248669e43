"""`ProvisionedThroughputManager`: buying, waiting, listing, changing and deleting."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from langchain_bedrock_opt.capacity.provisioned.manager import ProvisionedThroughputManager
from langchain_bedrock_opt.emulator import ThroughputPace
from langchain_bedrock_opt.errors import (
    CapacityError,
    CommitmentError,
    ConfigurationError,
    ModelIdError,
    PurchaseError,
    UnconfirmedPurchaseError,
    UnitsFixedError,
)
from tests.faulty_clients import FaultyClient, no_connection, service_says
from tests.provisioned_fates import NOVA_24K, manager_of
from tests.throughput_service import (
    CUSTOM,
    DAY,
    NOVA,
    TAKES_MINUTES,
    ThroughputService,
    make_throughput_service,
)

NOVA_300K = "amazon.nova-lite-v1:0:300k"
GET = "get_provisioned_model_throughput"
LIST = "list_provisioned_model_throughputs"
DELETE = "delete_provisioned_model_throughput"
NOBODY = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdefabcdef"


@pytest.fixture
def service() -> ThroughputService:
    return make_throughput_service(pace=TAKES_MINUTES)


@pytest.fixture
def manager(service: ThroughputService) -> ProvisionedThroughputManager:
    return manager_of(service)


def test_what_is_bought_is_what_was_asked_for(
    service: ThroughputService, manager: ProvisionedThroughputManager
) -> None:
    """Model, units, commitment, name and tags arrive; what comes back is in Creating."""
    bought = manager.create(
        NOVA_24K,
        name="prod",
        units=2,
        commitment="SixMonths",
        tags={"Team": "AI"},
        confirm=True,
    )

    assert (bought.status, bought.units, bought.name) == ("Creating", 2, "prod")
    assert (bought.model_id, bought.foundation_model_id) == (NOVA_24K, NOVA)
    assert bought.commitment_ends == datetime(2027, 5, 22, 12, tzinfo=timezone.utc)
    tags = service.bedrock.list_tags_for_resource(resourceARN=bought.arn)["tags"]
    assert tags == [{"key": "Team", "value": "AI"}]


def test_nothing_is_bought_unconfirmed(
    service: ThroughputService, manager: ProvisionedThroughputManager
) -> None:
    """Without confirm=True the error says what, where, for how long and, if told, for how much."""
    with pytest.raises(UnconfirmedPurchaseError) as caught:
        manager.create(NOVA_24K, name="prod", units=2, commitment="OneMonth", unit_price="20.50")

    assert str(caught.value) == (
        "confirm=False: this would buy 2 model units of amazon.nova-lite-v1:0:24k in us-east-1 as "
        "'prod', with a commitment of one month, within which it can't be deleted. It bills by "
        "the hour, used or not, until it is deleted: 41.00 USD an hour, 29,520.00 USD in 30 days. "
        "Pass confirm=True to buy it."
    )
    with pytest.raises(UnconfirmedPurchaseError, match="this would buy 1 model unit of"):
        manager.create(NOVA_24K, name="prod", confirm="yes")  # type: ignore[arg-type]
    assert service.emulator.journal.calls() == ()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"units": 0}, "units=0 is not a whole number from 1 on"),
        ({"units": True}, "units=True is not"),
        ({"units": 1.5}, "units=1.5 is not"),
        ({"commitment": 1}, "commitment=1: pass 'OneMonth', 'SixMonths', or None"),
        ({"name": "two  words"}, "name='two  words': a name is made of"),
        ({"name": ""}, "name=''"),
        ({"token": "no spaces"}, "token='no spaces': a token is made of"),
        ({"model": "us.amazon.nova-lite-v1:0"}, "is an inference profile.*'amazon.nova-lite"),
        ({"model": NOBODY}, "is a provisioned-model: provisioned throughput is bought for"),
        ({"unit_price": "cheap"}, "unit_price='cheap' is not a price"),
        ({"unit_price": -1}, "unit_price=-1 is not a price"),
    ],
)
def test_a_purchase_that_can_not_be_is_refused_here(
    service: ThroughputService,
    manager: ProvisionedThroughputManager,
    arguments: dict[str, Any],
    says: str,
) -> None:
    """Mistakes in the arguments are told before AWS is asked anything."""
    with pytest.raises(ConfigurationError, match=says):
        manager.create(**{"model": NOVA_24K, "name": "prod", "confirm": True, **arguments})

    assert service.emulator.journal.calls() == ()


def test_settings_that_can_not_be_are_refused() -> None:
    """A manager that would never look is not made, and a word that is no model id is told."""
    with pytest.raises(ConfigurationError, match="poll_seconds=0 is not above 0"):
        ProvisionedThroughputManager(object(), poll_seconds=0)
    with pytest.raises(ModelIdError, match="'nova' is not a Bedrock model id"):
        ProvisionedThroughputManager(object()).create("nova", name="prod")


def test_a_region_is_enough_for_a_client() -> None:
    """Without a client one is made, by boto3's usual chain."""
    with pytest.raises(UnconfirmedPurchaseError, match="in eu-west-2 as 'prod'"):
        ProvisionedThroughputManager(region_name="eu-west-2").create(NOVA_24K, name="prod")


def test_waiting_tells_of_each_look(
    service: ThroughputService, manager: ProvisionedThroughputManager
) -> None:
    """`wait` looks each `poll_seconds` until it is in service, by object, ARN or name."""
    bought = manager.create(NOVA_24K, name="prod", confirm=True)
    told: list[str] = []

    ready = manager.wait(bought, progress=lambda seen: told.append(seen.status))

    assert ready.is_in_service
    assert told == ["Creating"] * 5 + ["InService"]
    assert service.clock.slept == [60] * 5
    assert manager.wait(bought.arn) == manager.wait("prod") == ready


def test_waiting_has_an_end(manager: ProvisionedThroughputManager) -> None:
    """After the timeout the error says that it goes on, and how to wait on; that works."""
    bought = manager.create(NOVA_24K, name="prod", confirm=True)

    with pytest.raises(CapacityError, match="prod is still Creating after 90 seconds") as caught:
        manager.wait(bought, timeout=90)

    assert caught.value.arn == bought.arn
    assert manager.wait(bought).is_in_service


def test_waiting_outlasts_trouble(
    service: ThroughputService, caplog: pytest.LogCaptureFixture
) -> None:
    """Throttles, outages and expired credentials are logged and waited out."""
    client = FaultyClient(service.bedrock)
    bought = manager_of(service).create(NOVA_24K, name="prod", confirm=True)
    client.fail(
        GET,
        service_says("ExpiredTokenException", 403, "The token has expired"),
        service_says("ThrottlingException", 429),
        no_connection(),
        service_says("ResourceNotFoundException", 404),
    )

    assert manager_of(service, client).wait(bought).is_in_service
    assert caplog.messages == [  # once, while it lasts
        "prod can't be looked at just now, and is waited for: The token has expired."
    ]


def test_waiting_for_one_that_is_gone_ends(
    service: ThroughputService, manager: ProvisionedThroughputManager
) -> None:
    """If somebody deletes it meanwhile, the wait ends in minutes and says so."""
    bought = manager.wait(manager.create(NOVA_24K, name="prod", confirm=True))
    manager.delete("prod")

    with pytest.raises(CapacityError, match=r"prod .* is not there any more: somebody has deleted"):
        manager.wait(bought)
    with pytest.raises(CapacityError, match="There is no provisioned throughput prod in us-east-1"):
        manager.wait("prod")


def test_one_that_may_not_be_looked_at_is_not_waited_for(service: ThroughputService) -> None:
    """A refusal ends the wait at once, with what to allow."""
    bought = manager_of(service).create(NOVA_24K, name="prod", confirm=True)
    client = FaultyClient(service.bedrock)
    client.fail(GET, service_says("AccessDeniedException", 403, "You are not authorized"))

    with pytest.raises(CapacityError, match="Allow bedrock:CreateProvisionedModelThroughput"):
        manager_of(service, client).wait(bought)


def test_a_failed_one_says_why_and_what_to_do(
    service: ThroughputService, manager: ProvisionedThroughputManager
) -> None:
    """`Failed` is an error with AWS's reason, advice, and the ARN to delete; so is buying on."""
    service.fail(message="There is not enough capacity.")
    bought = manager.create(NOVA_24K, name="prod", confirm=True)

    with pytest.raises(PurchaseError) as caught:
        manager.wait(bought)

    assert str(caught.value) == (
        "prod is Failed: There is not enough capacity. AWS has no capacity for it at the moment: "
        "try later, with fewer units, or in another region. Delete it if it is still there, since "
        "whether AWS bills a failed one is not known: "
        f"manager.delete('{bought.arn}'); then buy it again with another token=."
    )
    with pytest.raises(PurchaseError, match="prod is Failed: There is not enough"):
        manager.create(NOVA_24K, name="prod", confirm=True)
    manager.delete("prod")
    again = manager.create(NOVA_24K, name="prod", token="another", confirm=True)
    assert manager.wait(again).is_in_service


def test_all_pages_are_listed(
    service: ThroughputService, manager: ProvisionedThroughputManager, monkeypatch: Any
) -> None:
    """A list has the newest first, over as many pages as AWS has."""
    monkeypatch.setattr("langchain_bedrock_opt.capacity.provisioned.calls._PAGE", 2)
    for number in range(5):
        service.create(f"chat-{number}")
        service.clock.sleep(1)

    assert [each.name for each in manager.list()] == [f"chat-{at}" for at in (4, 3, 2, 1, 0)]
    assert service.emulator.journal.count("ListProvisionedModelThroughputs") == 3


def test_a_list_is_filtered(
    service: ThroughputService, manager: ProvisionedThroughputManager
) -> None:
    """By status, by a part of the name, and by the model with or without its context length."""
    service.create("old-24", modelId=NOVA_24K)
    service.clock.sleep(1000)
    service.create("new-24", modelId=NOVA_24K)
    service.create("new-300", modelId=NOVA_300K)

    def names(**filters: Any) -> set[str]:
        return {each.name for each in manager.list(**filters)}

    assert names(status="InService") == {"old-24"}
    assert names(name_contains="new") == {"new-24", "new-300"}
    assert names(model=NOVA_24K) == {"new-24", "old-24"}
    assert names(model=NOVA) == {"new-24", "old-24", "new-300"}
    assert names(model=f"arn:aws:bedrock:us-east-1::foundation-model/{NOVA_300K}") == {"new-300"}
    with pytest.raises(ConfigurationError, match="status='Ready' is none of Creating, InService"):
        manager.list(status="Ready")


def test_one_is_got_by_what_names_it(
    service: ThroughputService, manager: ProvisionedThroughputManager
) -> None:
    """ARN, name and object name one; what is none of them is told apart from what is missing."""
    arn = service.create("chat")

    by_name = manager.get("chat")
    assert by_name.arn == arn
    assert manager.get(arn) == manager.get(by_name) == by_name
    with pytest.raises(CapacityError, match="no provisioned throughput arn:") as caught:
        manager.get(NOBODY)
    assert caught.value.arn == NOBODY
    with pytest.raises(ConfigurationError, match="is not the ARN of a provisioned throughput"):
        manager.get(f"arn:aws:bedrock:us-east-1::foundation-model/{NOVA}")


def test_questions_are_asked_again(service: ThroughputService) -> None:
    """Throttles and outages are waited for, some minutes long; then the error says so."""
    client = FaultyClient(service.bedrock)
    service.create("chat")
    client.fail(GET, service_says("ThrottlingException", 429), no_connection())
    client.fail(LIST, *[service_says("InternalServerException", 500)] * 99)
    manager = manager_of(service, client)

    assert manager.get("chat").name == "chat"
    with pytest.raises(CapacityError, match=r"InternalServerException.*for some minutes"):
        manager.list()
    assert client.calls[LIST] == 8


def test_a_name_is_changed(
    service: ThroughputService, manager: ProvisionedThroughputManager
) -> None:
    """`rename` keeps the ARN, to which calls go; a name that is taken is refused."""
    bought = manager.wait(manager.create(NOVA_24K, name="prod", confirm=True))
    service.create("other")

    renamed = manager.rename("prod", "blue")

    assert (renamed.arn, renamed.name) == (bought.arn, "blue")
    with pytest.raises(CapacityError, match=r"already in use.*Choose another name"):
        manager.rename(manager.wait("blue"), "other")
    with pytest.raises(ConfigurationError, match="a name is made of"):
        manager.rename("blue", "no spaces")


def test_a_custom_model_is_changed_for_another(
    service: ThroughputService, manager: ProvisionedThroughputManager
) -> None:
    """`move_model` takes one of a custom model to its base; it is Updating, then serves that."""
    bought = manager.wait(manager.create(CUSTOM, name="tuned", confirm=True))
    assert (bought.model_id, bought.foundation_model_id) == (CUSTOM, NOVA)

    moving = manager.move_model("tuned", NOVA_300K)

    assert (moving.status, moving.desired_model_id) == ("Updating", NOVA_300K)
    assert f"moves to    {NOVA_300K}" in str(moving)
    assert manager.wait(moving).model_id == NOVA_300K


def test_a_foundation_model_is_not_changed(
    service: ThroughputService, manager: ProvisionedThroughputManager
) -> None:
    """One of a foundation model can't be moved: the error says to buy another one."""
    service.create("chat", modelId=NOVA_24K)

    with pytest.raises(ConfigurationError, match="only those of custom models can be moved: buy"):
        manager.move_model("chat", NOVA_300K)

    assert service.emulator.journal.count("UpdateProvisionedModelThroughput") == 0


def test_units_are_fixed(service: ThroughputService, manager: ProvisionedThroughputManager) -> None:
    """`resize` says what to do instead, and asks AWS nothing."""
    for named in ("prod", manager.create(NOVA_24K, name="prod", confirm=True)):
        asked = len(service.emulator.journal.calls())
        with pytest.raises(
            UnitsFixedError, match=r"units of prod can't be changed to 3.* a second"
        ):
            manager.resize(named, 3)
        assert len(service.emulator.journal.calls()) == asked


def test_one_without_a_commitment_is_deleted(
    service: ThroughputService, manager: ProvisionedThroughputManager
) -> None:
    """At any time, and at once; while it is being made, as soon as AWS allows it."""
    manager.create(NOVA_24K, name="prod", confirm=True)

    manager.delete("prod")

    assert list(manager.list()) == []
    assert service.clock.slept[0] == 1
    with pytest.raises(CapacityError, match="no provisioned throughput prod"):
        manager.delete("prod")
    manager.delete("prod", missing_ok=True)


def test_a_commitment_is_held_without_asking(
    service: ThroughputService, manager: ProvisionedThroughputManager
) -> None:
    """Before its end AWS is not even asked to delete; after it, it is deleted."""
    manager.wait(manager.create(NOVA_24K, name="prod", commitment="OneMonth", confirm=True))

    with pytest.raises(CommitmentError, match="can't be deleted before 2026-12-22 12:00 UTC") as no:
        manager.delete("prod")

    assert no.value.until == datetime(2026, 12, 22, 12, tzinfo=timezone.utc)
    assert service.emulator.journal.count("DeleteProvisionedModelThroughput") == 0
    service.clock.sleep(31 * DAY)
    manager.delete("prod")
    assert list(manager.list()) == []


@pytest.mark.parametrize("code", ["ConflictException", "ValidationException"])
def test_a_commitment_that_only_aws_knows_of_is_held(service: ThroughputService, code: str) -> None:
    """If the clocks differ, AWS's own refusal is told in the same words."""
    manager_of(service).create(NOVA_24K, name="prod", commitment="OneMonth", confirm=True)
    service.clock.sleep(31 * DAY)
    client = FaultyClient(service.bedrock)
    client.fail(DELETE, service_says(code, 400, "It is committed"))

    with pytest.raises(CommitmentError, match="before 2026-12-22 12:00 UTC"):
        manager_of(service, client).delete("prod")


def test_a_failed_one_is_deleted_whatever_its_commitment(
    service: ThroughputService, manager: ProvisionedThroughputManager
) -> None:
    """What never came into service is not held back here: AWS decides."""
    service.fail()
    manager.create(NOVA_24K, name="prod", commitment="OneMonth", confirm=True)
    service.clock.sleep(1000)

    manager.delete("prod")

    assert list(manager.list()) == []


def test_a_deletion_that_is_refused_says_that_it_bills(service: ThroughputService) -> None:
    """Without permission, or if AWS does not come round in time, the error has the ARN."""
    arn = service.create("chat")
    client = FaultyClient(service.bedrock)
    client.fail(DELETE, service_says("AccessDeniedException", 403))

    with pytest.raises(CapacityError, match=f"{arn} is not deleted, and still bills") as caught:
        manager_of(service, client).delete("chat")

    assert caught.value.arn == arn
    never = make_throughput_service(pace=ThroughputPace(creating=1e9))
    never.create("chat")
    with pytest.raises(CapacityError, match=r"still bills.*ConflictException"):
        manager_of(never).delete("chat", timeout=600)


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        ("You have requested more model units than the quota", "An account has no model units"),
        ("This model is not offered without a commitment", "sold with certain commitments only"),
        ("Provisioned throughput is not supported for x", "--by-inference-type PROVISIONED"),
        ("The provisioned throughput p is in status Updating", "Wait until it is in service"),
        ("The provisioned throughput p has something new", None),
        ("Something new", None),
    ],
)
def test_refusals_come_with_advice(
    service: ThroughputService, message: str, advice: str | None
) -> None:
    """AWS's words are passed on, with what to do where they are known."""
    client = FaultyClient(service.bedrock)
    client.fail(
        "create_provisioned_model_throughput", service_says("ValidationException", 400, message)
    )

    with pytest.raises(PurchaseError, match=message) as caught:
        manager_of(service, client).create(NOVA_24K, name="prod", confirm=True)

    said = str(caught.value)
    assert advice in said if advice else said.endswith(f"{message}.")


def test_credentials_that_ran_out_are_told(service: ThroughputService) -> None:
    """A purchase with expired credentials says how to renew them."""
    client = FaultyClient(service.bedrock)
    client.fail(LIST, service_says("ExpiredTokenException", 403))

    with pytest.raises(CapacityError, match="Run `aws configure` or `aws sso login`"):
        manager_of(service, client).create(NOVA_24K, name="prod", confirm=True)


def test_it_reads_well(service: ThroughputService, manager: ProvisionedThroughputManager) -> None:
    """One prints as a list of facts, many as a table, in notebooks as HTML without their markup."""
    assert str(manager.list()) == "No provisioned throughput."
    bought = manager.create(NOVA_24K, name="prod", commitment="OneMonth", confirm=True)

    assert str(bought).splitlines()[:3] == [
        "Provisioned throughput prod",
        "  status      Creating",
        "  model       amazon.nova-lite-v1:0:24k",
    ]
    assert "OneMonth, until 2026-12-22 12:00 UTC" in str(bought)
    assert str(manager.list()).splitlines() == [
        "name  status    model                      units  commitment",
        "prod  Creating  amazon.nova-lite-v1:0:24k  1      OneMonth, until 2026-12-22 12:00 UTC",
    ]
    for shown in (bought, manager.list()):
        assert "<td>amazon.nova-lite-v1:0:24k</td>" in shown._repr_html_()


def test_the_end_of_a_commitment_is_seen_coming(manager: ProvisionedThroughputManager) -> None:
    """It is committed until then, and ends soon from 14 days before; one without has neither."""
    bought = manager.create(NOVA_24K, name="prod", commitment="OneMonth", confirm=True)
    ends = bought.commitment_ends
    assert ends is not None

    moments = [ends - timedelta(days=15), ends - timedelta(days=14), ends]

    assert [bought.is_committed(moment) for moment in moments] == [True, True, False]
    assert [bought.ends_soon(moment) for moment in moments] == [False, True, False]
    free = manager.create(NOVA_24K, name="free", confirm=True)
    assert not free.is_committed(ends)
    assert not free.ends_soon(ends)
