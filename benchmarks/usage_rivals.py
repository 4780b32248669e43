"""Counting beside the tools that trace LangChain, where they are installed: CPU ratios.

None of them is a dependency. Install what is to be compared beside this package:
`openinference-instrumentation-langchain opentelemetry-sdk`, `langfuse`,
`opentelemetry-instrumentation-langchain` (OpenLLMetry). Spans go to memory and nothing leaves
the process, which is kind to them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler

from benchmarks.harness import Result, compare
from benchmarks.usage_overhead import Measure, UsageModel, ainvoke, invoke, stream
from langchain_bedrock_opt.usage import BedrockUsageCallbackHandler

ROUNDS = 9

Rival = Callable[[], AbstractContextManager[list[BaseCallbackHandler]]]


def run() -> Result:
    """Compare calls with each tool to the same calls without any, in turn."""
    figures: dict[str, float] = {}
    baselines: dict[str, float] = {}
    model = UsageModel()
    ways = {"invoke": invoke(model), "ainvoke": ainvoke(model), "stream": stream(model)}
    for name, tool in {"ours": _ours, "UsageMetadataCallbackHandler": _langchains}.items():
        into = figures if name == "ours" else baselines
        into.update({f"{name}, {way}": _ratio(measure, tool) for way, measure in ways.items()})
    for name, (module, tool) in RIVALS.items():
        if _is_there(module):
            for way, measure in ways.items():
                baselines[f"{name}, {way}"] = _ratio(measure, tool)
    goals = {f"ours, {way}": ("<=", bound) for way, bound in BOUNDS.items()}
    return Result(benchmark="usage_rivals", figures=figures, baselines=baselines, goals=goals)


BOUNDS = {"invoke": 1.45, "ainvoke": 1.45, "stream": 1.30}


def _ratio(measure: Measure, tool: Rival) -> float:
    def with_tool() -> float:
        with tool() as callbacks:
            return measure(callbacks)

    with_tool()
    return compare(with_tool, lambda: measure([]), rounds=ROUNDS).ratio


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even its parent package
        return False


def _ours() -> AbstractContextManager[list[BaseCallbackHandler]]:
    return nullcontext([BedrockUsageCallbackHandler()])


def _langchains() -> AbstractContextManager[list[BaseCallbackHandler]]:
    return nullcontext([UsageMetadataCallbackHandler()])


def _spans_in_memory() -> Any:
    """A tracer provider whose spans go to a list and nowhere else."""
    export = import_module("opentelemetry.sdk.trace.export")
    memory = import_module("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    provider = import_module("opentelemetry.sdk.trace").TracerProvider()
    provider.add_span_processor(export.SimpleSpanProcessor(memory.InMemorySpanExporter()))
    return provider


@contextmanager
def _instrumented(module: str, name: str) -> Iterator[list[BaseCallbackHandler]]:
    """LangChain as an instrumentor changes it: it hangs handlers onto every run by itself."""
    manager: Any = import_module("langchain_core.callbacks").BaseCallbackManager
    original = manager.__init__
    instrumentor = getattr(import_module(module), name)()
    instrumentor.instrument(tracer_provider=_spans_in_memory())
    try:
        yield []
    finally:
        instrumentor.uninstrument()
        manager.__init__ = original  # OpenLLMetry's own undoing leaves it changed


def _openinference() -> AbstractContextManager[list[BaseCallbackHandler]]:
    return _instrumented("openinference.instrumentation.langchain", "LangChainInstrumentor")


def _openllmetry() -> AbstractContextManager[list[BaseCallbackHandler]]:
    os.environ["TRACELOOP_TRACE_CONTENT"] = "false"
    return _instrumented("opentelemetry.instrumentation.langchain", "LangchainInstrumentor")


def _langfuse() -> AbstractContextManager[list[BaseCallbackHandler]]:
    langfuse = import_module("langfuse")
    langfuse.Langfuse(
        public_key="pk",
        secret_key="sk",
        host="http://127.0.0.1:9",  # nobody listens: sending is not what is measured
        tracing_enabled=True,
    )
    handler: BaseCallbackHandler = import_module("langfuse.langchain").CallbackHandler()
    return nullcontext([handler])


RIVALS: dict[str, tuple[str, Rival]] = {
    "OpenInference": ("openinference.instrumentation.langchain", _openinference),
    "OpenLLMetry": ("opentelemetry.instrumentation.langchain", _openllmetry),
    "Langfuse": ("langfuse.langchain", _langfuse),
}
