"""Budgets over the emulator, with a model whose price is known."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from botocore.config import Config

from langchain_bedrock_opt import BedrockEmulator, ChatBedrockOptimized
from langchain_bedrock_opt.errors import BudgetExceededError

MODEL = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
"""$1.10 a million tokens of prompt, $5.50 of answer, $2.20 written to the cache for an hour."""

WORST = Decimal("0.0011")
"""What an answer of 200 tokens costs on it, so the least that such a call reserves."""


def spend_all(model: Any, config: Any) -> None:
    """Call until the budget in the config refuses."""
    with contextlib.suppress(BudgetExceededError):
        while True:
            model.invoke("Tell me a story.", config)


@pytest.fixture
def emulator() -> BedrockEmulator:
    return BedrockEmulator()


@pytest.fixture
def model(emulator: BedrockEmulator) -> Callable[..., ChatBedrockOptimized]:
    """A chat model over the emulator, of at most 200 tokens an answer, that does not retry."""
    client = emulator.client(config=Config(retries={"total_max_attempts": 1}))

    def build(name: str = MODEL, **fields: Any) -> ChatBedrockOptimized:
        fields = {"max_tokens": 200, "client": client, "bedrock_client": client, **fields}
        return ChatBedrockOptimized(model=name, **fields)

    return build
