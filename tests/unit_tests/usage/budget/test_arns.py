"""Calls of ARNs cost what stands behind them, also where only the control plane knows that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from langchain_bedrock_opt import BedrockEmulator, ChatBedrockOptimized
from langchain_bedrock_opt.aws.resolution import resolve
from langchain_bedrock_opt.catalog.price_book import PriceBook
from langchain_bedrock_opt.errors import BudgetExceededError
from langchain_bedrock_opt.usage.budget import Budget
from tests.unit_tests.usage.conftest import HAIKU

Model = Callable[..., ChatBedrockOptimized]
GLOBAL_PROFILE = (
    "arn:aws:bedrock:us-east-1:123456789012:inference-profile/"
    "global.anthropic.claude-haiku-4-5-20251001-v1:0"
)
PROVISIONED_ARN = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abc123"


def test_an_application_profile_is_priced_with_its_scope(
    model: Model, emulator: BedrockEmulator
) -> None:
    """An ARN that this process has asked about costs what the profile does that it copies."""
    arn = emulator.client("bedrock").create_inference_profile(
        inferenceProfileName="everywhere",
        modelSource={"copyFrom": GLOBAL_PROFILE},
    )["inferenceProfileArn"]
    resolve(arn, emulator.client("bedrock"))
    by_arn, by_name = Budget(1), Budget(1)

    model(arn).invoke("2+2?", {"callbacks": [by_arn]})
    model(GLOBAL_PROFILE.rpartition("/")[2]).invoke("2+2?", {"callbacks": [by_name]})

    assert by_arn.spent_usd == by_name.spent_usd > 0


def test_provisioned_capacity_costs_nothing_a_call(chat: Callable[..., Any]) -> None:
    """It is paid by the hour, so no call of it is refused, unless an override prices its ARN."""
    free = Budget(0)
    arn_price: Any = {PROVISIONED_ARN: {"input": 1, "output": 2}}
    shared = Budget("0.0001", prices=PriceBook(overrides=arn_price))
    named = {"provider": "anthropic", "base_model": HAIKU}

    chat(PROVISIONED_ARN, **named).invoke("2+2?", {"callbacks": [free]})
    with pytest.raises(BudgetExceededError, match="could cost"):
        chat(PROVISIONED_ARN, max_tokens=100, **named).invoke("2+2?", {"callbacks": [shared]})

    assert free.spent_usd == 0
    assert free.counts.uncertain == free.counts.unpriced == 0
