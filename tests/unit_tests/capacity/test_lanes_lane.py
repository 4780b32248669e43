"""`Lane`: a service tier or a performance is asked for where it is offered, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_bedrock_opt import BedrockUsageCallbackHandler, ChatBedrockRouter, UsageRecord
from langchain_bedrock_opt.aws.layers import LayeredClient
from langchain_bedrock_opt.aws.resolution import Resolution, remember_resolution
from langchain_bedrock_opt.capacity.lanes.lane import Lane
from langchain_bedrock_opt.chat_model import ChatBedrockOptimized
from langchain_bedrock_opt.emulator import BedrockEmulator, Reply, ScriptedResponder
from langchain_bedrock_opt.errors import ConfigurationError, InvalidRequestError

PRO = "us.amazon.nova-pro-v1:0"
LITE = "us.amazon.nova-lite-v1:0"
PROVISIONED = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/lanes2345678"


@pytest.fixture
def bedrock() -> BedrockEmulator:
    return BedrockEmulator()


def model_with(bedrock: BedrockEmulator, lane: Lane, model: str = PRO) -> ChatBedrockOptimized:
    return ChatBedrockOptimized(
        model=model,
        client=bedrock.client(),
        bedrock_client=bedrock.client("bedrock"),
        layers=[lane],
    )


def sent(bedrock: BedrockEmulator) -> list[tuple[str | None, str | None]]:
    """The service tier and the performance of each request."""
    return [
        (
            call.params.get("serviceTier", {}).get("type"),
            call.params.get("performanceConfig", {}).get("latency"),
        )
        for call in bedrock.journal.calls()
        if call.operation.startswith("Converse")
    ]


def lane_of(answer: Any) -> dict[str, Any]:
    lane: dict[str, Any] = answer.response_metadata["bedrock_opt"]["lane"]
    return lane


def read(model: ChatBedrockOptimized, usage: BedrockUsageCallbackHandler, *, streams: bool) -> None:
    config: Any = {"callbacks": [usage]}
    if streams:
        list(model.stream("Hi", config))
    else:
        model.invoke("Hi", config)


def test_a_lane_asks_for_what_the_model_offers(bedrock: BedrockEmulator) -> None:
    """Both settings go with each request, and the report says what was asked for."""
    answer = model_with(bedrock, Lane(service_tier="flex", performance="optimized")).invoke("Hi")

    assert sent(bedrock) == [("flex", "optimized")]
    assert lane_of(answer) == {"service_tier": "flex", "performance": "optimized"}


def test_what_a_model_does_not_offer_is_left_out(bedrock: BedrockEmulator) -> None:
    """The call is made as if nothing had been asked for, and its report says what is missing."""
    lane = Lane(service_tier="flex", performance="optimized")

    answer = model_with(bedrock, lane, LITE).invoke("Hi")

    assert sent(bedrock) == [(None, None)]
    assert lane_of(answer) == {"left_out": ["service_tier", "performance"]}


def test_what_is_offered_goes_by_the_region_that_is_called() -> None:
    """Latency-optimized inference is left out where only other regions have it."""
    bedrock = BedrockEmulator(region="eu-west-1")

    answer = model_with(bedrock, Lane(performance="optimized"), "amazon.nova-pro-v1:0").invoke("Hi")

    assert lane_of(answer) == {"left_out": ["performance"]}


def test_a_calls_own_setting_wins(bedrock: BedrockEmulator) -> None:
    """What a call names is sent as it stands, whatever the lane would have asked for."""
    model = model_with(bedrock, Lane(service_tier="flex"))

    answer = model.invoke("Hi", serviceTier="priority")

    assert sent(bedrock) == [("priority", None)]
    assert lane_of(answer) == {"service_tier": "priority"}


def test_without_a_check_bedrock_decides(bedrock: BedrockEmulator) -> None:
    """An offer that is newer than the catalog can be asked for."""
    model = model_with(bedrock, Lane(service_tier="flex", check=False), LITE)

    with pytest.raises(InvalidRequestError, match="service tier flex"):
        model.invoke("Hi")


def test_a_lane_learns_what_an_arn_stands_for_when_it_is_resolved() -> None:
    """What was not known at a lane's first call is looked up again at the next."""
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/laneslate123"
    asked: list[Any] = []

    class Answering:
        def converse(self, **request: Any) -> dict[str, Any]:
            asked.append(request.get("serviceTier"))
            return {"output": {}}

    client = LayeredClient(Answering(), [Lane(service_tier="flex")])
    client.converse(modelId=arn)
    haiku = "anthropic.claude-haiku-4-5-20251001-v1:0"
    remember_resolution(arn, Resolution(base=haiku, resolved_id=f"us.{haiku}", region="us-east-1"))
    client.converse(modelId=arn)

    assert asked == [{"type": "flex"}, None]


def test_nothing_is_asked_of_a_provisioned_throughput() -> None:
    """It is paid by the hour, whatever the tier."""
    bedrock = BedrockEmulator(provisioned={PROVISIONED: "amazon.nova-pro-v1:0"})

    answer = model_with(bedrock, Lane(service_tier="flex"), PROVISIONED).invoke("Hi")

    assert sent(bedrock) == [(None, None)]
    assert lane_of(answer) == {"left_out": ["service_tier"]}


def test_an_application_profile_takes_what_its_model_offers(bedrock: BedrockEmulator) -> None:
    """The model behind the ARN was asked for when the chat model was made."""
    offered = bedrock.models.register_application_profile(PRO, "lanesprofil1")
    not_offered = bedrock.models.register_application_profile(LITE, "lanesprofil2")
    lane = Lane(service_tier="flex")

    answers = [model_with(bedrock, lane, arn).invoke("Hi") for arn in (offered, not_offered)]

    assert [lane_of(answer) for answer in answers] == [
        {"service_tier": "flex"},
        {"left_out": ["service_tier"]},
    ]


def test_one_lane_fits_all_tiers_of_a_router(bedrock: BedrockEmulator) -> None:
    """Each tier's model is asked for what it offers."""
    router = ChatBedrockRouter(
        tiers={"simple": LITE, "complex": PRO},
        client=bedrock.client(),
        layers=[Lane(service_tier="flex")],
    )

    answers = [router.invoke("Hi", force=tier) for tier in ("simple", "complex")]

    assert [lane_of(answer) for answer in answers] == [
        {"left_out": ["service_tier"]},
        {"service_tier": "flex"},
    ]


def test_a_routers_own_service_tier_goes_to_the_models_that_offer_it(
    bedrock: BedrockEmulator, caplog: pytest.LogCaptureFixture
) -> None:
    """A tier without the offer is made without it, which is logged; none at all is a mistake."""
    router = ChatBedrockRouter(
        tiers={"simple": LITE, "complex": PRO}, client=bedrock.client(), service_tier="flex"
    )
    for tier in ("simple", "complex"):
        router.invoke("Hi", force=tier)

    assert sent(bedrock) == [(None, None), ("flex", None)]
    assert "service_tier='flex' is left out for tiers=<simple>" in caplog.text
    with pytest.raises(ConfigurationError, match="service_tier 'flex' is not offered"):
        ChatBedrockRouter(tiers={"simple": LITE}, client=bedrock.client(), service_tier="flex")


@pytest.mark.parametrize("streams", [False, True])
def test_records_say_what_served_a_lanes_calls(bedrock: BedrockEmulator, *, streams: bool) -> None:
    """Tier, performance and price come from the answer, though the model was not made with them."""
    usage = BedrockUsageCallbackHandler()
    read(model_with(bedrock, Lane(service_tier="flex")), usage, streams=streams)
    read(model_with(bedrock, Lane(performance="optimized")), usage, streams=streams)

    flex, optimized = usage.ledger.records()
    assert (flex.service_tier, flex.price_tier) == ("flex", "flex")
    assert (optimized.performance, optimized.price_tier) == ("optimized", "latency-optimized")
    for record in (flex, optimized):
        assert record.cost_pico_usd
        assert record.cost_pico_usd != record.list_pico_usd


@pytest.mark.parametrize("streams", [False, True])
def test_a_call_that_is_served_otherwise_is_recorded_and_priced_so(*, streams: bool) -> None:
    """Beyond a quota Bedrock serves the default tier and standard latency, and bills them."""
    served = Reply(
        content=({"text": "Hello!"},),
        input_tokens=5,
        output_tokens=3,
        extra={"serviceTier": {"type": "default"}, "performanceConfig": {"latency": "standard"}},
    )
    bedrock = BedrockEmulator(responder=ScriptedResponder([served]))
    usage = BedrockUsageCallbackHandler()
    lane = Lane(service_tier="priority", performance="optimized")

    read(model_with(bedrock, lane), usage, streams=streams)

    record: UsageRecord = usage.ledger.records()[0]
    assert sent(bedrock) == [("priority", "optimized")]
    assert (record.service_tier, record.performance) == ("default", "standard")
    assert record.price_tier == "default"
    assert record.cost_pico_usd == record.list_pico_usd != 0


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "needs a service_tier"),
        ({"service_tier": "cheap"}, "service_tier='cheap' is none of default, flex"),
        ({"performance": "fast"}, "performance='fast' is none of standard, optimized"),
    ],
)
def test_mistakes_are_told_at_construction(settings: dict[str, Any], says: str) -> None:
    """A lane to nowhere is refused."""
    with pytest.raises(ConfigurationError, match=says):
        Lane(**settings)
