"""What counting costs: a call's CPU with our handler beside the same call without any.

Each round measures every case in turn, in one process, so that a busy moment hits all of them.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

from langchain_aws import ChatBedrockConverse
from langchain_core.callbacks import (
    BaseCallbackHandler,
    UsageMetadataCallbackHandler,
    get_usage_metadata_callback,
)
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from benchmarks.harness import Result
from langchain_bedrock_opt.usage import BedrockUsageCallbackHandler, get_bedrock_usage_callback

MODEL = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
CALLS = 200
STREAMS = 20
ROUNDS = 21
BLOCKS = 10_000
USAGE: Any = {
    "input_tokens": 7520,
    "output_tokens": 5,
    "total_tokens": 7525,
    "input_token_details": {"cache_read": 7000, "cache_creation": 502},
}
METADATA = {
    "model_name": MODEL,
    "model_provider": "bedrock_converse",
    "stopReason": "end_turn",
    "metrics": {"latencyMs": [5]},
}

Measure = Callable[[list[BaseCallbackHandler]], float]


class UsageModel(BaseChatModel):
    """A chat model that does nothing but report usage, in the form of `ChatBedrockConverse`."""

    model: str = MODEL

    @property
    def _llm_type(self) -> str:
        return "usage"

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        message = AIMessage("Kyoto", usage_metadata=USAGE, response_metadata=METADATA)
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(self, *_: Any, **__: Any) -> ChatResult:
        return self._generate()

    def _stream(self, *_: Any, run_manager: Any = None, **__: Any) -> Iterator[ChatGenerationChunk]:
        for _number in range(100):
            chunk = ChatGenerationChunk(message=AIMessageChunk(content="word "))
            if run_manager:
                run_manager.on_llm_new_token("word ", chunk=chunk)
            yield chunk
        last = AIMessageChunk(content="", usage_metadata=USAGE, response_metadata=METADATA)
        yield ChatGenerationChunk(message=last)


class ConverseClient:
    """What `ChatBedrockConverse` needs of a bedrock-runtime client, in memory."""

    meta = SimpleNamespace(region_name="us-east-1")

    def converse(self, **_: Any) -> dict[str, Any]:
        """A whole answer."""
        return {
            "output": {"message": {"role": "assistant", "content": [{"text": "Kyoto"}]}},
            "stopReason": "end_turn",
            "usage": {"inputTokens": 18, "outputTokens": 5, "totalTokens": 23},
            "metrics": {"latencyMs": 5},
        }

    def converse_stream(self, **_: Any) -> dict[str, Any]:
        """A stream of 101 events."""
        return {"stream": self._events()}

    def _events(self) -> Iterator[dict[str, Any]]:
        yield {"messageStart": {"role": "assistant"}}
        for _number in range(97):
            yield {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "word "}}}
        yield {"contentBlockStop": {"contentBlockIndex": 0}}
        yield {"messageStop": {"stopReason": "end_turn"}}
        usage = {"inputTokens": 18, "outputTokens": 5, "totalTokens": 23}
        yield {"metadata": {"usage": usage, "metrics": {"latencyMs": 5}}}


def invoke(model: BaseChatModel) -> Measure:
    """Microseconds of CPU for one `invoke`."""

    def measure(callbacks: list[BaseCallbackHandler]) -> float:
        start = time.process_time()
        for _ in range(CALLS):
            model.invoke("Hello", {"callbacks": callbacks})
        return (time.process_time() - start) / CALLS * 1e6

    return measure


def ainvoke(model: BaseChatModel) -> Measure:
    """Microseconds of CPU for one `ainvoke`."""

    def measure(callbacks: list[BaseCallbackHandler]) -> float:
        async def calls() -> float:
            start = time.process_time()
            for _ in range(CALLS):
                await model.ainvoke("Hello", {"callbacks": callbacks})
            return (time.process_time() - start) / CALLS * 1e6

        return asyncio.run(calls())

    return measure


def stream(model: BaseChatModel) -> Measure:
    """Microseconds of CPU for one stream of 101 chunks."""

    def measure(callbacks: list[BaseCallbackHandler]) -> float:
        start = time.process_time()
        for _ in range(STREAMS):
            for _chunk in model.stream("Hello", {"callbacks": callbacks}):
                pass
        return (time.process_time() - start) / STREAMS * 1e6

    return measure


def ratios(
    measure: Measure, handlers: dict[str, Callable[[], BaseCallbackHandler]], rounds: int = ROUNDS
) -> dict[str, list[float]]:
    """Each handler's ratio to no callback, round by round.

    Args:
        measure: Measures once, with the callbacks it is given.
        handlers: Makes the handlers, by name.
        rounds: How often; the order turns, so that nobody is always first.
    """
    ready = {name: [make()] for name, make in handlers.items()}
    cases: list[tuple[str, list[BaseCallbackHandler]]] = [("", []), *ready.items()]
    for _, callbacks in cases:
        measure(callbacks)
    found: dict[str, list[float]] = {name: [] for name in ready}
    for number in range(rounds):
        turn = number % len(cases)
        times = {name: measure(callbacks) for name, callbacks in cases[turn:] + cases[:turn]}
        for name, values in found.items():
            values.append(times[name] / times[""])
    return found


def models() -> dict[str, BaseChatModel]:
    """What is called: a model that does nothing, and the real one over a client in memory."""
    client: Any = ConverseClient()
    converse = ChatBedrockConverse(model=MODEL, client=client, bedrock_client=client)
    return {"usage model": UsageModel(), "ChatBedrockConverse": converse}


def run() -> Result:
    """Compare calls with our handler, with LangChain's and with none."""
    figures: dict[str, float] = {}
    baselines: dict[str, float] = {}
    handlers: dict[str, Callable[[], BaseCallbackHandler]] = {
        "ours": BedrockUsageCallbackHandler,
        "theirs": UsageMetadataCallbackHandler,
    }
    for what, model in models().items():
        for how, measure in (
            ("invoke", invoke(model)),
            ("ainvoke", ainvoke(model)),
            ("stream of 101 chunks", stream(model)),
        ):
            found = ratios(measure, handlers)
            pairs = zip(found["ours"], found["theirs"], strict=True)
            figures[f"{what}, {how} / no callback"] = statistics.median(found["ours"])
            figures[f"{what}, {how} / UsageMetadataCallbackHandler"] = statistics.median(
                ours / theirs for ours, theirs in pairs
            )
            baselines[f"{what}, {how}: UsageMetadataCallbackHandler / no callback"] = (
                statistics.median(found["theirs"])
            )
    figures["unrelated call after 10,000 blocks / before"] = after_blocks(
        get_bedrock_usage_callback
    )
    # Last: what it leaves behind stays for the whole process.
    baselines["the same of get_usage_metadata_callback"] = after_blocks(get_usage_metadata_callback)
    return Result(benchmark="usage_overhead", figures=figures, baselines=baselines, goals=goals())


def goals() -> dict[str, tuple[str, float]]:
    """The most that counting may cost."""
    bounds = {"unrelated call after 10,000 blocks / before": 1.05}
    for what in models():
        bounds[f"{what}, invoke / no callback"] = 1.45
        bounds[f"{what}, ainvoke / no callback"] = 1.45
        bounds[f"{what}, stream of 101 chunks / no callback"] = 1.30
        bounds[f"{what}, invoke / UsageMetadataCallbackHandler"] = 1.10
        bounds[f"{what}, ainvoke / UsageMetadataCallbackHandler"] = 0.6
    return {name: ("<=", bound) for name, bound in bounds.items()}


def after_blocks(block: Callable[[], Any]) -> float:
    """An unrelated call's CPU after many `with` blocks, as a ratio to before."""
    measure = invoke(UsageModel())
    with block():  # what the first use sets up once is no leak
        pass
    before = min(measure([]) for _ in range(ROUNDS))
    for _ in range(BLOCKS):
        with block():
            pass
    return min(measure([]) for _ in range(ROUNDS)) / before
