"""A Bedrock client in memory, a clock that only moves when told, and records by default."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_aws import ChatBedrockConverse

from langchain_bedrock_opt.contracts import UsageRecord

HAIKU = "anthropic.claude-3-haiku-20240307-v1:0"
EPOCH = datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)


class FakeClock:
    """Seconds that pass only by `advance`."""

    def __init__(self) -> None:
        self.now = EPOCH.timestamp()

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class FakeBedrock:
    """What `ChatBedrockConverse` needs of a bedrock-runtime client.

    A call takes a quarter of a second on the fake clock, and so does each event of a stream.
    """

    meta = SimpleNamespace(region_name="us-east-1")

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.calls: list[dict[str, Any]] = []
        self.error: BaseException | None = None
        self.usage: dict[str, Any] = {"inputTokens": 100, "outputTokens": 20, "totalTokens": 120}
        self.extra: dict[str, Any] = {}
        self.deltas: list[dict[str, Any]] = [
            {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": text}}}
            for text in ("Kyo", "to")
        ]

    def converse(self, **request: Any) -> dict[str, Any]:
        self.calls.append(request)
        self.clock.advance(0.25)
        if self.error is not None:
            raise self.error
        return {
            "output": {"message": {"role": "assistant", "content": [{"text": "Kyoto"}]}},
            "stopReason": "end_turn",
            "usage": dict(self.usage),
            "metrics": {"latencyMs": 240},
            **self.extra,
        }

    def converse_stream(self, **request: Any) -> dict[str, Any]:
        self.calls.append(request)
        return {"stream": self._events()}

    def _events(self) -> Iterator[dict[str, Any]]:
        for event in (
            {"messageStart": {"role": "assistant"}},
            *self.deltas,
            {"contentBlockStop": {"contentBlockIndex": 0}},
            {"messageStop": {"stopReason": "end_turn"}},
        ):
            self.clock.advance(0.25)
            yield event
        if self.error is not None:
            raise self.error
        metadata = {"usage": dict(self.usage), "metrics": {"latencyMs": 240}, **self.extra}
        yield {"metadata": metadata}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def bedrock(clock: FakeClock) -> FakeBedrock:
    return FakeBedrock(clock)


@pytest.fixture
def chat(bedrock: FakeBedrock) -> Callable[..., ChatBedrockConverse]:
    """A real `ChatBedrockConverse` over the client in memory."""

    def build(model: str = HAIKU, client: Any = bedrock, **fields: Any) -> ChatBedrockConverse:
        return ChatBedrockConverse(model=model, client=client, bedrock_client=client, **fields)

    return build


@pytest.fixture
def record() -> Callable[..., UsageRecord]:
    """A usage record of which a test names only what it is about; each is of a run of its own."""
    runs = (f"run-{number}" for number in count())

    def build(**fields: Any) -> UsageRecord:
        defaults = {"run_id": next(runs), "started_at": EPOCH, "model_id": HAIKU, "status": "ok"}
        return UsageRecord(**{**defaults, **fields})

    return build
