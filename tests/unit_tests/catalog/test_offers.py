"""What models are offered in: service tiers by price, latency-optimized inference by rows."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from langchain_bedrock_opt.catalog.model_ids import parse_model_id
from langchain_bedrock_opt.catalog.offers import Offers, check_offer, offers_of
from langchain_bedrock_opt.catalog.price_rows import shipped_rows
from langchain_bedrock_opt.catalog.specs import known_model_ids
from langchain_bedrock_opt.chat_model import ChatBedrockOptimized
from langchain_bedrock_opt.errors import ConfigurationError

PROVISIONED = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcd1234efgh"
EAST = "us-east-1"


def test_a_model_is_offered_in_each_tier_that_has_a_price_for_it() -> None:
    """Whatever prices.json knows of a model's tiers, its offers say, and nothing else."""
    priced: dict[str, set[str]] = {}
    for row in shipped_rows():
        priced.setdefault(row["model"], set()).add(row.get("tier", "default"))

    for model_id, tiers in priced.items():
        offers = offers_of(model_id)
        if "default" not in tiers:
            assert offers is None
            continue
        assert offers is not None
        assert set(offers.service_tiers) == {"reserved"} | tiers & {"default", "flex", "priority"}


def test_offers_go_by_the_region_and_not_by_the_profile() -> None:
    """A tier that has no price in a region is not offered there; profiles make no difference."""
    premier = "amazon.nova-premier-v1:0"

    here = offers_of(f"us.{premier}", EAST)
    assert here == offers_of(premier, EAST) == offers_of(premier)
    assert here is not None
    assert "priority" in here.service_tiers
    assert offers_of(premier, "eu-west-1") == Offers(("default", "reserved"), False)


@pytest.mark.parametrize(
    ("model_id", "region", "offered"),
    [
        ("us.amazon.nova-pro-v1:0", None, True),
        ("us.amazon.nova-pro-v1:0", EAST, True),
        ("us.amazon.nova-pro-v1:0", "eu-west-1", False),
        ("eu.amazon.nova-pro-v1:0", None, False),
        ("us.anthropic.claude-3-5-haiku-20241022-v1:0", EAST, False),
        ("us.anthropic.claude-3-5-haiku-20241022-v1:0", "us-west-2", True),
        ("us.amazon.nova-lite-v1:0", None, False),
    ],
)
def test_latency_optimized_inference_is_offered_in_few_places(
    model_id: str, region: str | None, *, offered: bool
) -> None:
    """The rows name models, their profiles' scopes and the regions that take it."""
    offers = offers_of(model_id, region)

    assert offers is not None
    assert offers.latency_optimized is offered


def test_rows_of_the_data_are_of_models_that_exist() -> None:
    """Each row names a model of the catalog, its source and the date it was checked."""
    text = (files("langchain_bedrock_opt.catalog") / "data" / "offers.json").read_text("utf-8")

    for row in json.loads(text)["latency_optimized"]:
        assert row["model"] in known_model_ids()
        assert row["regions"]
        assert row["source"]
        assert row["checked"].startswith("2026-")


@pytest.mark.parametrize("model_id", ["acme.frontier-v9", "no model at all"])
def test_nothing_is_known_of_what_is_not_in_the_catalog(model_id: str) -> None:
    """What is not known is not refused."""
    assert offers_of(model_id) is None
    check_offer(model_id, EAST, service_tier="flex", performance="optimized")


def test_a_provisioned_throughput_has_no_tiers() -> None:
    """It is paid by the hour, so that no tier makes it cheaper or quicker."""
    assert parse_model_id(PROVISIONED).base is None
    assert offers_of(PROVISIONED) == Offers(("default",), False)


def test_a_chat_model_refuses_what_its_model_does_not_offer() -> None:
    """The message says what, where it is offered, and how to ask for it all the same."""
    with pytest.raises(ConfigurationError, match=r"'priority'.*eu-west-1.*call it in us-.*Lane\("):
        ChatBedrockOptimized(
            model="eu.amazon.nova-premier-v1:0", region_name="eu-west-1", service_tier="priority"
        )
    with pytest.raises(ConfigurationError, match="performance 'optimized' is not offered"):
        ChatBedrockOptimized(
            model="us.amazon.nova-lite-v1:0",
            region_name=EAST,
            performance_config={"latency": "optimized"},
        )
    with pytest.raises(ConfigurationError, match="flex"):
        ChatBedrockOptimized(
            model=PROVISIONED,
            base_model="amazon.nova-pro-v1:0",
            region_name=EAST,
            service_tier="flex",
        )


def test_a_chat_model_takes_what_is_offered_or_not_known() -> None:
    """An offer that is in the catalog, and a model that is not, are made as they are asked for."""
    nova = ChatBedrockOptimized(
        model="us.amazon.nova-pro-v1:0",
        region_name=EAST,
        service_tier="flex",
        performance_config={"latency": "optimized"},
    )
    new = ChatBedrockOptimized(model="acme.frontier-v9", region_name=EAST, service_tier="priority")

    assert (nova.service_tier, new.service_tier) == ("flex", "priority")
