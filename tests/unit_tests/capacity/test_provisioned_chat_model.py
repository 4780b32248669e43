"""`manager.chat_model`: provisioned throughput that streams, uses tools, and is priced right."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.tools import tool

from langchain_bedrock_opt import (
    BedrockUsageCallbackHandler,
    ChatBedrockOptimized,
    ChatBedrockRouter,
)
from langchain_bedrock_opt.aws.resolution import known_resolution
from langchain_bedrock_opt.capacity.provisioned.manager import ProvisionedThroughputManager
from langchain_bedrock_opt.catalog.model_units import UnitCapacity
from langchain_bedrock_opt.emulator import Fault
from langchain_bedrock_opt.errors import CapacityError
from tests.provisioned_fates import NOVA_24K, manager_of
from tests.throughput_service import CUSTOM, NOVA, ThroughputService, make_throughput_service


class NoControlPlane:
    """A control plane that nobody may ask."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the control plane was asked for {name}")


@pytest.fixture
def service() -> ThroughputService:
    return make_throughput_service()


@pytest.fixture
def manager(service: ThroughputService) -> ProvisionedThroughputManager:
    return manager_of(service)


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"Rain in {city}"


@pytest.mark.parametrize("model", [NOVA_24K, CUSTOM])
def test_streaming_and_tool_choice_are_those_of_the_model(
    service: ThroughputService, manager: ProvisionedThroughputManager, model: str
) -> None:
    """An ARN says nothing of its model, and yet it streams and can be told to use a tool."""
    bought = manager.wait(manager.create(model, name="prod", confirm=True))

    chat = manager.chat_model(bought, client=service.runtime, bedrock_client=NoControlPlane())

    assert len(list(chat.stream("Tell me of the sea."))) > 1
    forced = chat.bind_tools([weather], tool_choice="weather").invoke("How is it in Kyoto?")
    assert [call["name"] for call in forced.tool_calls] == ["weather"]
    assert chat.base_model_id == NOVA
    assert chat.supports_tool_choice_values == ("auto", "any", "tool")
    asked = {call.model_id for call in service.emulator.journal.calls() if call.usage}
    assert asked == {bought.arn}


def test_the_region_is_that_of_the_arn(manager: ProvisionedThroughputManager) -> None:
    """Without a client of the user's own, calls go to where it was bought."""
    bought = manager.create(NOVA_24K, name="prod", confirm=True)

    assert manager.chat_model(bought).client.meta.region_name == "us-east-1"
    assert manager.chat_model("prod", max_tokens=7).max_tokens == 7


def test_calls_cost_nothing_more_by_the_token(
    service: ThroughputService, manager: ProvisionedThroughputManager
) -> None:
    """Records have price tier `provisioned` and source `hourly`, and nobody asks AWS about it."""
    bought = manager.create(NOVA_24K, name="priced", units=2, commitment="OneMonth", confirm=True)
    usage = BedrockUsageCallbackHandler(resolver="aws")
    chat = manager.chat_model(bought, client=service.runtime, bedrock_client=NoControlPlane())

    chat.invoke("Hello!", config={"callbacks": [usage]})

    (record,) = usage.ledger.records()
    assert (record.price_tier, record.price_source) == ("provisioned", "hourly")
    assert record.cost_pico_usd == 0
    assert (record.model_id, record.resolved_id, record.region) == (bought.arn, NOVA, "us-east-1")
    resolution = known_resolution(bought.arn)
    assert resolution is not None
    assert (resolution.model_units, resolution.commitment) == (2, "OneMonth")


def test_what_it_has_no_room_for_overflows() -> None:
    """With `overflow=` a full one answers on-demand at once, and the record is priced by that."""
    service = make_throughput_service(capacities={NOVA: UnitCapacity(total_per_minute=150)})
    manager = manager_of(service)
    bought = manager.create(NOVA_24K, name="small", confirm=True)
    usage = BedrockUsageCallbackHandler()
    chat = manager.chat_model(
        bought,
        overflow="us.amazon.nova-lite-v1:0",
        max_tokens=100,
        client=service.runtime,
        bedrock_client=NoControlPlane(),
        callbacks=[usage],
    )

    lanes = [
        chat.invoke("word " * 30).response_metadata["bedrock_opt"]["lane"]["capacity"]
        for _ in range(3)
    ]

    assert lanes == ["provisioned", "on_demand", "on_demand"]
    assert [record.price_tier for record in usage.ledger.records()] == [
        "provisioned",
        "default",
        "default",
    ]


def test_with_overflow_a_throttle_is_not_retried_first(
    manager: ProvisionedThroughputManager,
) -> None:
    """The client of the provisioned leg tries once; without overflow as botocore does."""
    bought = manager.create(NOVA_24K, name="prod", confirm=True)

    chat = manager.chat_model(bought, overflow="us.amazon.nova-lite-v1:0")

    assert _attempts(chat) == 1
    assert _attempts(manager.chat_model(bought)) != 1


def _attempts(model: ChatBedrockOptimized) -> int | None:
    attempts: int | None = model.client.base.meta.config.retries.get("total_max_attempts")
    return attempts


def test_it_can_be_a_tier_of_a_router(
    service: ThroughputService, manager: ProvisionedThroughputManager
) -> None:
    """A router sends to it what it sends to its tier, and a throttle of it goes elsewhere."""
    bought = manager.create(NOVA_24K, name="tier", confirm=True)
    chat = manager.chat_model(bought, overflow="us.amazon.nova-lite-v1:0", client=service.runtime)
    router = ChatBedrockRouter(tiers={"simple": chat})
    service.emulator.faults.add(Fault(code="ThrottlingException", model_id=bought.arn, times=1))

    told = router.invoke("Hello!").response_metadata["bedrock_opt"]

    assert told["lane"] == {"capacity": "on_demand", "overflow": "throttled"}


def test_one_that_is_not_there_is_told(manager: ProvisionedThroughputManager) -> None:
    """A name that nothing has makes no chat model."""
    with pytest.raises(CapacityError, match="no provisioned throughput nobody"):
        manager.chat_model("nobody")
