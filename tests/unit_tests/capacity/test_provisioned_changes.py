"""Renaming, moving and deleting, where answers are lost and statuses are in the way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone

import pytest

from langchain_bedrock_opt.capacity.provisioned.manager import ProvisionedThroughputManager
from langchain_bedrock_opt.capacity.provisioned.purchase import Commitment
from langchain_bedrock_opt.errors import CapacityError, CommitmentError
from tests.faulty_clients import FaultyClient, service_says
from tests.provisioned_fates import NOVA_24K, TROUBLES, Fate, fated, manager_of
from tests.throughput_service import (
    CUSTOM,
    DAY,
    TAKES_MINUTES,
    ThroughputService,
    make_throughput_service,
)

NOVA_300K = "amazon.nova-lite-v1:0:300k"
DELETE = "delete_provisioned_model_throughput"


@pytest.fixture
def service() -> ThroughputService:
    return make_throughput_service(pace=TAKES_MINUTES)


def ready(service: ThroughputService, model: str = NOVA_24K, *, is_committed: bool = False) -> str:
    """One that is in service; its ARN."""
    manager = manager_of(service)
    commitment: Commitment | None = "OneMonth" if is_committed else None
    return manager.wait(manager.create(model, name="prod", commitment=commitment, confirm=True)).arn


def renamed(manager: ProvisionedThroughputManager) -> str:
    return manager.rename("prod", "blue").name


def moved(manager: ProvisionedThroughputManager) -> str:
    return manager.move_model("prod", NOVA_300K).desired_model_id


@pytest.mark.parametrize(("change", "made"), [(renamed, "blue"), (moved, NOVA_300K)])
def test_a_change_whose_answer_was_lost_is_made(
    service: ThroughputService, change: Callable[[ProvisionedThroughputManager], str], made: str
) -> None:
    """AWS refuses to change what is Updating: that it is so by the first try is seen."""
    ready(service, CUSTOM)
    lost = next(trouble for trouble in TROUBLES if trouble.name == "lost answer")
    client = fated(service, {1: lost})

    assert change(manager_of(service, client)) == made

    assert client.calls.count("update_provisioned_model_throughput") == 2


def test_a_change_that_is_refused_for_a_status_says_to_wait(service: ThroughputService) -> None:
    """One that is Updating is not renamed, and the advice is not how to buy one."""
    ready(service)
    manager = manager_of(service)
    manager.rename("prod", "blue")

    with pytest.raises(CapacityError, match=r"status Updating.*\. Wait until it is in service"):
        manager.rename("blue", "green")


def test_one_that_is_deleted_while_it_is_changed_is_missed(service: ThroughputService) -> None:
    """If it is gone right after its change, the error says so."""
    ready(service)
    gone = Fate("gone", lambda: service_says("ResourceNotFoundException", 404))

    with pytest.raises(CapacityError, match="There is no provisioned throughput arn:"):
        manager_of(service, fated(service, {2: gone})).rename("prod", "blue")


def test_one_that_is_updating_is_deleted_after_its_commitment(service: ThroughputService) -> None:
    """After the end of a commitment a status that is in the way is waited for."""
    ready(service, is_committed=True)
    service.clock.sleep(40 * DAY)
    manager = manager_of(service)
    manager.rename("prod", "blue")

    manager.delete("blue")

    assert list(manager.list()) == []


def test_a_clock_that_is_ahead_of_awss_is_allowed_for(service: ThroughputService) -> None:
    """A refusal minutes after a commitment's end is still taken to be about the commitment."""
    ready(service, is_committed=True)
    ends = datetime(2026, 12, 22, 12, 2, tzinfo=timezone.utc)
    service.clock.sleep(ends.timestamp() - service.clock())
    client = FaultyClient(service.bedrock)
    client.fail(DELETE, service_says("ConflictException", 400, "No"))

    with pytest.raises(CommitmentError, match="can't be deleted before 2026-12-22 12:00 UTC"):
        manager_of(service, client).delete("prod")
