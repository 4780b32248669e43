"""What tests of admission control share: a local Bedrock in virtual time, and calls to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from botocore.config import Config

from benchmarks.virtual_time import VirtualTime
from langchain_bedrock_opt import BedrockEmulator
from langchain_bedrock_opt.aws.layers import EventStream
from langchain_bedrock_opt.capacity.admission import TokenQuota
from langchain_bedrock_opt.capacity.admission.requests import prompt_tokens
from langchain_bedrock_opt.emulator import Pace, Quota, Reply

HAIKU = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
NOVA = "us.amazon.nova-lite-v1:0"
ONCE = Config(retries={"total_max_attempts": 1})
OUTPUT = 150


class Answers:
    """Answers of one length."""

    def reply(self, request: Mapping[str, Any]) -> Reply:
        tokens = prompt_tokens(request) * 2  # estimates are off
        return Reply(content=({"text": "Done."},), input_tokens=tokens, output_tokens=OUTPUT)


def ask(text: str = "Hello!", *, model: str = HAIKU, most: int = 300) -> dict[str, Any]:
    return {
        "modelId": model,
        "messages": [{"role": "user", "content": [{"text": text}]}],
        "inferenceConfig": {"maxTokens": most},
    }


def bedrock(time: VirtualTime, quota: int | None = None) -> BedrockEmulator:
    return BedrockEmulator(
        responder=Answers(),
        pace=Pace(time_to_first_token=0.5, tokens_per_second=100),
        quotas={} if quota is None else {HAIKU: Quota(tokens_per_minute=quota)},
        clock=time.clock,
        sleep=time.sleep,
    )


def layer(
    time: VirtualTime, tokens: Any = 100_000, requests: Any = None, **more: Any
) -> TokenQuota:
    return TokenQuota(tokens, requests, clock=time.clock, wait=time.wait, **more)


class Failing:
    """A client that ends each call as it is told."""

    def __init__(self, ends: Iterator[BaseException | None]) -> None:
        self._ends = ends

    def converse(self, **_request: Any) -> dict[str, Any]:
        end = next(self._ends)
        if end is not None:
            raise end
        usage = {"inputTokens": 7, "outputTokens": 900, "cacheReadInputTokens": 5}
        return {"output": {}, "usage": usage}

    def converse_stream(self, **request: Any) -> dict[str, Any]:
        response = self.converse(**request)

        def events() -> Iterator[dict[str, Any]]:
            yield {"contentBlockDelta": {}}
            if (end := next(self._ends)) is not None:
                raise end
            yield {"metadata": {"usage": response["usage"]}}

        read = events()
        return {"stream": EventStream(read, read)}
