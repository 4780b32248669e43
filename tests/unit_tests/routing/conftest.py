"""A Bedrock client in memory, and a router of three tiers over it."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from langchain_bedrock_opt.routing import Calibration, ChatBedrockRouter

TIERS = {
    "simple": "us.amazon.nova-lite-v1:0",
    "moderate": "us.anthropic.claude-haiku-4-5-20251001-v1:0",
    "complex": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
}


class FakeBedrock:
    """Answers with the model's id, or calls the first tool until `tool_rounds` are over."""

    def __init__(self) -> None:
        self.meta = SimpleNamespace(region_name="us-east-1")
        self.requests: list[dict[str, Any]] = []
        self.tool_rounds = 0
        self.tool_input: dict[str, Any] = {"a": 1, "b": 2}
        self.error: Exception | None = None
        self._lock = threading.Lock()

    @property
    def models(self) -> list[str]:
        """The model ids that were called, in order."""
        return [request["modelId"] for request in self.requests]

    def converse(self, **request: Any) -> dict[str, Any]:
        content, stop_reason = self._answer(request)
        return {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": stop_reason,
            "usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15},
            "metrics": {"latencyMs": 7},
            "ResponseMetadata": {"RequestId": "r"},
        }

    def converse_stream(self, **request: Any) -> dict[str, Any]:
        content, stop_reason = self._answer(request)
        return {"stream": _events(content[0], stop_reason), "ResponseMetadata": {}}

    def _answer(self, request: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
        with self._lock:
            self.requests.append(request)
        if self.error is not None:
            raise self.error
        results = sum("toolResult" in block for m in request["messages"] for block in m["content"])
        if "toolConfig" in request and results < self.tool_rounds:
            name = request["toolConfig"]["tools"][0]["toolSpec"]["name"]
            use = {"toolUseId": f"t{results}", "name": name, "input": self.tool_input}
            return [{"toolUse": use}], "tool_use"
        return [{"text": f"from {request['modelId']}"}], "end_turn"


def _events(block: dict[str, Any], stop_reason: str) -> Iterator[dict[str, Any]]:
    yield {"messageStart": {"role": "assistant"}}
    for part in block["text"].split(" "):
        yield {"contentBlockDelta": {"delta": {"text": part}, "contentBlockIndex": 0}}
    yield {"contentBlockStop": {"contentBlockIndex": 0}}
    yield {"messageStop": {"stopReason": stop_reason}}
    usage = {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}
    yield {"metadata": {"usage": usage, "metrics": {"latencyMs": 7}}}


@pytest.fixture
def bedrock() -> FakeBedrock:
    return FakeBedrock()


@pytest.fixture
def tiers() -> dict[str, str]:
    """Model ids by tier, from the cheapest to the strongest."""
    return dict(TIERS)


@pytest.fixture
def make_router(bedrock: FakeBedrock) -> Callable[..., ChatBedrockRouter]:
    """Makes routers of model ids over the client in memory."""

    def make(tiers: dict[str, Any] | None = None, **kwargs: Any) -> ChatBedrockRouter:
        arguments = {"client": bedrock, "bedrock_client": bedrock, **kwargs}
        return ChatBedrockRouter(tiers=tiers or dict(TIERS), **arguments)

    return make


@pytest.fixture
def router(make_router: Callable[..., ChatBedrockRouter]) -> ChatBedrockRouter:
    return make_router()


_FILLERS = ("the red", "a slow", "some warm", "that tall", "an odd", "their small", "the last")


def label_prompts(
    count: int = 200, *, seed: int = 0, is_random: bool = False
) -> list[dict[str, Any]]:
    """Prompts about zorbles, which the cheapest tier knows, and quimpets, which it does not.

    Nothing shipped knows that. One label in ten is turned round; with `is_random` all are drawn.
    """
    chance = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for number in range(count):
        topic = chance.choice(("zorble", "quimpet"))
        is_good = (topic == "zorble") != (chance.random() < 0.1)
        if is_random:
            is_good = chance.random() < 0.5
        prompt = f"Tell {chance.choice(_FILLERS)} {topic} of number {number} hello."
        rows.append({"prompt": prompt, "label": is_good})
    return rows


@pytest.fixture(scope="session")
def labelled() -> Callable[..., list[dict[str, Any]]]:
    """Makes rows of prompts with labels that follow a rule; see `label_prompts`."""
    return label_prompts


@pytest.fixture(scope="session")
def calibration() -> Calibration:
    """What 200 such prompts taught a router of three tiers, for a quality of 90 %."""
    client = FakeBedrock()
    router = ChatBedrockRouter(tiers=dict(TIERS), client=client, bedrock_client=client)
    return router.calibrate(label_prompts(), quality=0.9)
